"""FastGAN's players: every size, what conditions and noise change, no edges, a critic that draws again."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.methods.adversarial import real_penalty
from skyloom.nets.fastgan import FastGANCritic, FastGANGenerator

SKIPS = {32: ["32"], 64: ["64"], 128: ["64", "128"], 256: ["64", "128", "256"]}


@pytest.mark.parametrize(("size", "skips"), SKIPS.items())
def test_every_size_is_drawn_and_scored_with_the_excitations_of_the_paper(size, skips):
    generator = FastGANGenerator(2, 3, size, width=1, largest=8, latent=4)
    # One map of noise for each doubling: 8², 16², ... pixels.
    doublings = [side for side in (8, 16, 32, 64, 128, 256) if side <= size]
    assert generator.noise_shape == (4 + sum(side**2 for side in doublings),)
    assert list(generator.skips) == skips
    maps = generator(torch.randn(2, *generator.noise_shape), torch.randn(2, 3))
    assert maps.shape == (2, 2, size, size)
    scores, lesson = FastGANCritic(2, 3, size, width=1, largest=8).with_lesson(maps, torch.randn(2, 3))
    assert scores.shape == (2, 128)
    assert lesson > 0


def test_conditions_and_each_part_of_the_noise_change_the_map():
    torch.manual_seed(0)
    net = FastGANGenerator(1, 2, 32, width=2, latent=4).eval()
    for up in net.ups.values():
        torch.nn.init.ones_(up.noise)  # it begins at zero: no noise is added before training asks for it
    noise, point = torch.randn(1, *net.noise_shape), torch.zeros(1, 2)
    before = net(noise, point)
    assert not torch.allclose(before, net(noise, point + 1))
    for place in (0, 4, -1):  # latent, the smallest map of noise, the largest
        other = noise.clone()
        other[0, place] += 3
        assert not torch.allclose(before, net(other, point))
    assert torch.equal(before, net(noise, point))


def test_scores_of_a_rolled_map_are_rolled():
    net = FastGANCritic(1, 2, 32, width=2).eval()
    maps, point = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1)), torch.ones(2, 2)
    plain, rolled = (net(m, point).reshape(2, 2, 8, 8) for m in (maps, maps.roll((4, -8), (-2, -1))))
    torch.testing.assert_close(rolled, plain.roll((1, -2), (-2, -1)), atol=1e-5, rtol=1e-4)


def test_the_projection_is_linear_in_what_the_conditions_become():
    net = FastGANCritic(1, 2, 16, width=2, spectral_norm=False).eval()
    eye = net.eyes[0]
    features, told = torch.randn(3, eye.head.layer.in_channels, 8, 8), torch.randn(3, 32)
    free, once, twice = (eye.score(features, weight * told) for weight in (0.0, 1.0, 2.0))
    torch.testing.assert_close(twice - free, 2 * (once - free))
    # One number for all parts of a map.
    assert (once - free).std(dim=1).max() < 1e-5


def test_the_critic_learns_to_draw_a_map_again():
    torch.manual_seed(0)
    net = FastGANCritic(1, 0, 16, width=4)
    maps = torch.randn(4, 1, 8, 8).repeat_interleave(2, -1).repeat_interleave(2, -2)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    lessons = []
    for _ in range(80):
        _, lesson = net.with_lesson(maps, torch.zeros(4, 0))
        optimiser.zero_grad()
        lesson.backward()
        optimiser.step()
        lessons.append(lesson.item())
    assert lessons[-1] < 0.5 * lessons[0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="48"):
        FastGANGenerator(1, 2, 48)
    net = FastGANGenerator(1, 2, 16, width=1, latent=4)
    with pytest.raises(ShapeError, match="conditions"):
        net(torch.zeros(2, *net.noise_shape), torch.zeros(2, 3))


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_a_penalty_on_the_slope_reaches_the_weights_of_the_critic(spectral_norm):
    torch.manual_seed(0)
    net = FastGANCritic(1, 2, 16, width=1, spectral_norm=spectral_norm).double().eval()
    maps, point = torch.randn(2, 1, 16, 16, dtype=torch.double), torch.randn(2, 2, dtype=torch.double)
    weight = next(value for value in net.eyes[0].parameters() if value.ndim == 4)

    def penalty():
        return real_penalty(lambda x: net(x, point), maps)

    penalty().backward()
    found, step = weight.grad[0, 0, 0, 0].item(), 1e-5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[0, 0, 0, 0] += sign * step
        ends.append(penalty().item())
        with torch.no_grad():
            weight[0, 0, 0, 0] -= sign * step
    # The slope of a slope: circular padding, projection and norm must all let a second derivative through.
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)
    assert abs(found) > 0
