"""The autoencoder of maps: what wraps, what it refuses, and the divergence of its Gaussians."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.autoencoder import KLAutoencoder, gaussian_divergence

SMALL = {"width": 8, "halvings": 2, "channels": 3}


@pytest.mark.parametrize(("padding", "wraps"), [("circular", True), ("zeros", False)])
def test_a_periodic_map_rolled_by_what_a_latent_pixel_covers_rolls_the_latent_map(padding, wraps):
    torch.manual_seed(0)
    net = KLAutoencoder(2, 16, padding=padding, **SMALL).eval()
    maps = torch.randn(2, 2, 16, 16)
    with torch.no_grad():
        (mean, spread), (rolled, rolled_spread) = net.encode(maps), net.encode(maps.roll((4, 8), (-2, -1)))
        off = (rolled - mean.roll((1, 2), (-2, -1))).abs().max()
        off = max(off, (rolled_spread - spread.roll((1, 2), (-2, -1))).abs().max())
        back = net.decode(mean.roll((1, 2), (-2, -1))) - net.decode(mean).roll((4, 8), (-2, -1))
    assert bool(off < 1e-4) == wraps
    assert bool(back.abs().max() < 1e-4) == wraps


def test_the_latent_map_is_smaller_by_the_halvings():
    for halvings, side in ((0, 16), (1, 8), (3, 2)):
        net = KLAutoencoder(1, 16, width=4, halvings=halvings, channels=2)
        assert net.latent == (2, side)
        assert net.encode(torch.zeros(1, 1, 16, 16))[0].shape == (1, 2, side, side)


def test_the_divergence_is_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    wanted = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(gaussian_divergence(mean, log_variance), wanted)


def test_refusals():
    with pytest.raises(UsageError, match="18 pixels 2 times"):
        KLAutoencoder(1, 18, **SMALL)
    with pytest.raises(UsageError, match="0 channels"):
        KLAutoencoder(1, 16, channels=0)
    with pytest.raises(ShapeError, match=r"\(B, 1, 16, 16\)"):
        KLAutoencoder(1, 16, **SMALL).encode(torch.zeros(1, 1, 8, 8))
