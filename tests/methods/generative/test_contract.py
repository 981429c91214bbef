"""What every generator of the registry promises: seeds, guidance, symmetry, rebuilding, learning."""

from __future__ import annotations

import json
from importlib.metadata import entry_points

import pytest
import torch

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.methods import rebuild
from skyloom.methods.generative.base import Denoising

CLASSES = {
    entry.name: entry.load()
    for entry in entry_points(group="skyloom.method")
    if "ensembles" in entry.load().answers
}
DENOISING = [name for name, made in CLASSES.items() if issubclass(made, Denoising)]
SMALL = {"net": {"name": "unet", "width": 8, "multiples": [1, 2], "attention": False}, "steps": 3}
#: Methods that need other arguments than those.
OWN = {
    "density_flow": {"hidden": [8], "coupling": True},
    "gan": {"net": {"name": "perceptron", "widths": [16]}, "critic": {"name": "perceptron", "widths": [16]}},
    "vae": {"net": {"name": "perceptron", "widths": [16]}, "encoder": {"name": "resnet", "width": 4}},
    "pixelcnn": {"levels": 16, "mixtures": 2, "nr_resnet": 1, "nr_filters": 4, "scales": 2},
    # Halved once, so that the denoiser of the latent maps can halve them again.
    "latent_diffusion": SMALL | {"autoencoder": {"name": "kl", "width": 8, "halvings": 1}},
}
CONDITIONS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]])


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


def settled(name, **changes):
    """A generator whose weights are no longer those it begins with, at which it answers nothing."""
    torch.manual_seed(0)
    method = registry.build({"name": name, **OWN.get(name, SMALL), **changes}, "method", data=(1, 2, 8))
    if name == "pixelcnn":
        maps = torch.randn((8, 1, 8, 8))
        method.prepare([{"maps": maps, "targets": torch.zeros(8, 2)}])
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return method.eval()


@pytest.fixture(scope="module", params=CLASSES)
def method(request):
    return settled(request.param)


@pytest.fixture(scope="module", params=DENOISING)
def denoising(request):
    return settled(request.param)


def test_one_seed_one_set_of_maps(method):
    state = torch.get_rng_state()
    first = method.sample(CONDITIONS, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, method.sample(CONDITIONS, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(first, method.sample(CONDITIONS, generator=torch.Generator().manual_seed(4)))
    none = method.sample(CONDITIONS)
    assert torch.equal(none, method.sample(CONDITIONS, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_map_does_not_depend_on_those_drawn_beside_it(method):
    together = method.sample(CONDITIONS, generator=seeds(5, 6, 7))
    alone = method.sample(CONDITIONS[1:2], generator=seeds(6))
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_conditions_move_the_maps(method):
    drawn = method.sample(CONDITIONS, generator=seeds(1, 1, 1))
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-4)


def test_a_guidance_of_0_forgets_the_conditions(denoising):
    guided = settled(denoising.name, guidance=0.0)
    guided.load_state_dict(denoising.state_dict())
    drawn = guided.sample(CONDITIONS, generator=seeds(1, 1, 1))
    torch.testing.assert_close(drawn[0], drawn[1])


@pytest.mark.parametrize("guidance", [0.0, 0.4, 1.0, 3.0])
def test_guidance_is_a_straight_line_through_its_limits(denoising, guidance):
    generator = torch.Generator().manual_seed(0)
    channels, _, size = denoising.net_data
    x, t = torch.randn((3, channels, size, size), generator=generator), torch.tensor([0.3, 0.6, 0.9])
    free, follow, here = (denoising.denoiser(CONDITIONS, w)(x, t).x_0 for w in (0.0, 1.0, guidance))
    torch.testing.assert_close(here, free + guidance * (follow - free), rtol=1e-3, atol=1e-4)


def test_rolling_the_noise_of_a_periodic_box_rolls_the_map(denoising):
    channels, _, size = denoising.net_data
    x = torch.randn((2, channels, size, size), generator=torch.Generator().manual_seed(0))
    t, denoise = torch.full((2,), 0.5), denoising.denoiser(CONDITIONS[:2], 1.0)
    # The network halves the map once, so it does not see shifts by two pixels.
    rolled = denoise(x.roll((2, 4), (-2, -1)), t).x_0
    torch.testing.assert_close(rolled, denoise(x, t).x_0.roll((2, 4), (-2, -1)), rtol=1e-3, atol=1e-4)


def test_rebuilds_from_json_and_weights(method):
    twin = rebuild(json.loads(json.dumps(method.spec)))
    twin.load_state_dict(method.state_dict())
    assert torch.equal(twin.sample(CONDITIONS), method.sample(CONDITIONS))


def test_validation_loss_is_the_same_twice_and_sampling_keeps_the_mode(method):
    maps = torch.randn((3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    found = []
    method.log = lambda name, value, **_: found.append((name, float(value.detach())))
    try:
        method.train()
        for _ in range(2):
            method.validation_step({"maps": maps, "targets": CONDITIONS}, 0)
        method.sample(CONDITIONS)
        assert method.training
    finally:
        del method.log
        method.eval()
    half = len(found) // 2
    assert found[:half] == found[half:]
    assert found[0][0] == "validation/loss"


def test_what_does_not_fit_is_refused(method):
    with pytest.raises(ShapeError, match="conditions of shape"):
        method.sample(CONDITIONS[:, :1])
    with pytest.raises(UsageError, match="0 steps"):
        method.sample(CONDITIONS, steps=0)
    with pytest.raises(UsageError, match="2 generators for 3 maps"):
        method.sample(CONDITIONS, generator=seeds(1, 2))


def test_guidance_needs_maps_without_conditions(denoising):
    with pytest.raises(UsageError, match="never learns to do without"):
        registry.build(
            {"name": denoising.name, **SMALL, "drop": 0.0, "guidance": 2.0}, "method", data=(1, 2, 8)
        )
