"""Coloured noise: spectra that a plane wave has by hand, and a path that a Gaussian field stays on."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from skyloom import registry
from skyloom.errors import DataError
from skyloom.methods.generative.colour import Colour

N = 16
EXTRA = {"flow_matching": {}, "diffusion": {"spacing": "uniform"}}
NET = {"name": "unet", "width": 8, "multiples": [1, 2], "attention": False}


def steep(count, seed=0):
    """Two fields of a steep spectrum, of which the second is a part of the first and something of its own."""
    white = torch.randn((count, 2, N, N), generator=torch.Generator().manual_seed(seed))
    k = torch.hypot(torch.fft.fftfreq(N, 1 / N)[:, None], torch.fft.rfftfreq(N, 1 / N)[None])
    first, other = torch.fft.irfft2(torch.fft.rfft2(white) * (1 + k) ** -1.5, s=(N, N)).unbind(1)
    return torch.stack((3 * first, first + other), dim=1)


def batch(maps, conditions=None):
    """A batch, without conditions where none are given."""
    return {"maps": maps, "targets": torch.zeros(len(maps), 0) if conditions is None else conditions}


def test_the_spectra_of_a_plane_wave():
    wave = torch.cos(2 * math.pi * 3 * torch.arange(N) / N).expand(N, N)
    colour = Colour(2, 0, N)
    colour.learn([batch(torch.stack((wave, -2 * wave))[None])])
    # Two modes of N²/4 each in the ring of 3, nothing elsewhere.
    modes = int((colour.ring == 3).sum())
    expected = 2 * N**2 / 4 / modes * torch.tensor([[1.0, -2.0], [-2.0, 4.0]])
    torch.testing.assert_close(colour.root[3] @ colour.root[3].T, expected, rtol=1e-3, atol=1e-3)
    assert colour.root[[1, 2, 4, 5]].abs().max() < 1e-2


def test_coloured_noise_has_the_spectra_of_the_maps_and_no_place():
    colour, maps = Colour(2, 0, N), steep(400)
    colour.learn([batch(maps[:150]), batch(maps[150:])])
    white = torch.randn((400, 2, N, N), generator=torch.Generator().manual_seed(1))
    drawn = colour(white)
    again = Colour(2, 0, N)
    again.learn([batch(drawn)])
    found, wanted = (c.root @ c.root.mT for c in (again, colour))
    scale = wanted.diagonal(dim1=1, dim2=2).sqrt()
    error = (found - wanted) / (scale[:, :, None] * scale[:, None, :])
    # 400 maps, and a ring of 8 modes (4 of them independent) at least but for the mean: 4 sd are 0.14, 0.28.
    assert error[1:].abs().max() < 0.14 and error[0].abs().max() < 0.28
    torch.testing.assert_close(colour.whitened(drawn), white, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        colour(white.roll((3, 5), (2, 3))), drawn.roll((3, 5), (2, 3)), atol=1e-4, rtol=0
    )
    with pytest.raises(DataError, match="no map"):
        Colour(2, 0, N).learn([])


def test_means_and_powers_that_follow_a_condition_are_taken_out_and_put_back():
    c = torch.linspace(-1, 1, 600)[:, None]
    y = steep(600, seed=4)
    y = y - y.mean(dim=(2, 3), keepdim=True)
    shift, growth = (
        torch.tensor([0.5, -1.0])[None, :, None, None],
        torch.tensor([0.3, -0.2])[None, :, None, None],
    )
    grown = c[:, :, None, None]
    maps = shift * grown + torch.exp(growth * grown) * y
    colour = Colour(2, 1, N)
    colour.learn([batch(maps[::2], c[::2]), batch(maps[1::2], c[1::2])])
    torch.testing.assert_close(colour.shift[1], shift.flatten(), rtol=0, atol=1e-4)
    # ln a of every ring is 0.3 c and -0.2 c; that of a map scatters by 0.5 (2 / modes)^1/2, 8 modes or more.
    assert (colour.slope[1, :, 1:] - growth.flatten()[:, None]).abs().max() < 4 * 0.5 * 0.5 / (600 / 3) ** 0.5
    normal = colour.normalised(maps, c)
    halves = [normal[part].square().mean(dim=(0, 2, 3)).sqrt() for part in (c[:, 0] < 0, c[:, 0] > 0)]
    torch.testing.assert_close(halves[0], halves[1], rtol=0.1, atol=0)
    torch.testing.assert_close(colour.restored(normal, c), maps, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "kept"), [("flow_matching", 1.0), ("diffusion", math.cos(math.pi / 80) ** 40)]
)
def test_before_any_training_the_path_keeps_a_gaussian_field(name, kept):
    """The network begins at nothing, and the speed of a Gaussian field along the circle is nothing.

    DDIM turns by an angle of pi/2 in 40 equal steps and loses 1 - cos of each, which is its own error.
    """
    method = registry.build(
        {"name": name, "noise": "coloured", "net": NET, **EXTRA[name]}, "method", data=(2, 3, N)
    )
    method.colour.learn([batch(steep(100), torch.randn(100, 3))])
    x, denoise = method.colour(torch.randn(3, 2, N, N)), method.denoiser(torch.zeros(3, 3), 1.0)
    steps = {"flow_matching": 2, "diffusion": 40}[name]
    with torch.no_grad():
        end = method.walk(denoise, x, steps=steps, generator=None, done=None)
    torch.testing.assert_close(end, kept * x, rtol=0.02, atol=0.01)


def test_learns_from_the_train_side_when_a_training_begins():
    method = registry.build(
        {"name": "flow_matching", "noise": "coloured", "net": NET}, "method", data=(2, 3, N)
    )
    batches = {"train": [batch(steep(20), torch.randn(20, 3))]}
    method._trainer = SimpleNamespace(
        datamodule=SimpleNamespace(loader=batches.__getitem__),
        world_size=1,
        strategy=SimpleNamespace(reduce=max),
    )
    method.on_fit_start()
    alone = Colour(2, 3, N)
    alone.learn(batches["train"])
    assert torch.equal(method.colour.root, alone.root)
    assert {"colour.root", "colour.slope"} <= set(method.state_dict())
