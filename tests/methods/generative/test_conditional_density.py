"""The density flow between fields: blocks, and the mean and covariance of a linear Gaussian pair."""

from __future__ import annotations

import math

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.methods.generative.conditional_density import ConditionalDensity

UNET = {"name": "unet", "width": 8, "depth": 1, "norm": "none"}


def made(size=4, fields=1, **arguments):
    torch.manual_seed(0)
    given = {"net": UNET, "features": 0, "block": 2, "splines": 0, "hidden": [16], **arguments}
    return ConditionalDensity(1, fields, size, **given)


def test_blocks_hold_neighbours_and_are_put_together_again():
    method, maps = made(fields=2), torch.arange(64.0).reshape(2, 2, 4, 4)
    blocks = method.blocks(maps)
    assert blocks.shape == (8, 8)
    assert blocks[1].tolist() == [2, 3, 6, 7, 18, 19, 22, 23]  # the upper right corner of both fields
    assert torch.equal(method.joined(blocks, maps.shape), maps)


def test_density_is_that_of_independent_blocks():
    """The log density of a map is the sum of those of its quarters, where the network sees one pixel only."""
    method = made()
    method.net = torch.nn.Conv2d(1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    maps, fields = (torch.randn((3, 1, 4, 4), generator=generator) for _ in range(2))
    quarters = [
        method.log_prob(maps[..., y : y + 2, x : x + 2], fields[..., y : y + 2, x : x + 2])
        for y in (0, 2)
        for x in (0, 2)
    ]
    torch.testing.assert_close(method.log_prob(maps, fields), torch.stack(quarters).sum(0))


def test_a_linear_gaussian_pair_is_recovered():
    """y = a x + L n in blocks of 2 × 2: conditional mean a x, covariance C = L Lᵀ.

    The least loss is the entropy of a pixel, (ln |2πe C|) / 8 [nats].
    """
    a, L = 0.8, torch.tensor([[0.5, 0, 0, 0], [0.4, 0.3, 0, 0], [-0.2, 0.1, 0.4, 0], [0.1, 0, 0.3, 0.2]])
    C = L @ L.T
    method = made(soften=0.0)
    generator = torch.Generator().manual_seed(0)

    def pairs(n):
        maps = torch.randn((n, 1, 4, 4), generator=generator)
        noise = torch.randn((4 * n, 4), generator=generator) @ L.T
        return maps, a * maps + method.joined(noise, maps.shape)

    steps = 200
    optimiser = torch.optim.Adam(method.parameters(), lr=0.03)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss, _ = method.losses(*pairs(64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slower.step()
    entropy = 0.125 * torch.logdet(2 * math.pi * math.e * C)
    assert method.error(*pairs(2000), generator).item() == pytest.approx(entropy.item(), abs=0.03)
    maps = pairs(2)[0].clamp(-1.5, 1.5)  # where there was enough to learn from
    drawn = method.predict(maps, draws=2000, generator=generator)["samples"]
    torch.testing.assert_close(drawn.mean(1), a * maps, rtol=0, atol=0.1)
    left = method.blocks((drawn[0] - drawn[0].mean(0)).reshape(2000, 1, 4, 4)).reshape(2000, 4, 4)
    for block in left.unbind(1):
        torch.testing.assert_close(torch.cov(block.T), C, rtol=0, atol=0.05)


def test_a_constant_target_has_the_density_of_the_noise_that_softens_it():
    """Then the loss cannot fall below the entropy of that noise, ln(ε √(2πe)), however long it is trained."""
    method = made(soften=0.1)
    maps = torch.zeros(64, 1, 4, 4)
    optimiser = torch.optim.Adam(method.parameters(), lr=0.03)
    for _ in range(150):
        loss, _ = method.losses(maps, maps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    floor = math.log(0.1 * math.sqrt(2 * math.pi * math.e))
    found = method.validated(
        maps.repeat(10, 1, 1, 1), maps.repeat(10, 1, 1, 1), torch.Generator().manual_seed(0)
    )
    assert floor - 0.03 < found["loss"].item() < floor + 0.1


def test_refusals():
    with pytest.raises(ShapeError, match="blocks of 3 × 3 pixels in maps of 4"):
        made(block=3)
    with pytest.raises(ShapeError, match="of 1024 numbers each"):
        made(size=32, block=32)
    with pytest.raises(UsageError, match="features is -1"):
        made(features=-1)
