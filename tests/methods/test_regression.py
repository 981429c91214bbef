"""Regression to fields: losses by hand, the published loss, and a map that is learnt exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.methods.regression import Regression
from skyloom.statistics import images

NET = {"name": "unet", "width": 4, "depth": 2}


def pair(shape=(2, 1, 16, 16), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


@pytest.mark.parametrize(
    ("loss", "expected"),
    # Residuals of 3 and 4, half of the pixels each.
    [("mse", (9 + 16) / 2), ("l1", 3.5), ("charbonnier", ((9 + 1) ** 0.5 + (16 + 1) ** 0.5) / 2)],
)
def test_losses_by_hand(loss, expected):
    method = Regression(1, 1, 16, net=NET, loss=loss, softening=1.0)
    method.net = torch.nn.Identity()
    maps, targets = torch.zeros(2, 1, 16, 16), torch.cat([torch.full((1, 1, 16, 16), v) for v in (3.0, -4.0)])
    minimised, logged = method.losses(maps, targets)
    assert minimised.item() == pytest.approx(expected) == pytest.approx(logged.item())


def test_the_published_loss_is_mse_and_a_share_of_one_minus_ssim():
    method = Regression(1, 1, 48, net=NET, ssim=0.1)
    method.net = torch.nn.Identity()
    given, targets = pair((3, 1, 48, 48))
    targets = 0.5 * given + 0.5 * targets
    loss, _ = method.losses(given, targets)
    alike = (1 - (loss - (given - targets).square().mean()) / 0.1).item()
    # Over the pixels that see a whole window; the scorecard takes all pixels of the periodic map.
    t, o = targets[:, 0].double().numpy(), given[:, 0].double().numpy()
    whole = float(images.ssim(t, o, span=1.0).mean())
    assert alike == pytest.approx(whole, abs=0.01)
    assert method.losses(targets, targets)[0].item() == pytest.approx(0, abs=1e-6)


def test_a_linear_map_is_learnt_exactly():
    """One block of one 1 × 1 convolution is y = a x + b: least squares has its answer in closed form."""
    torch.manual_seed(0)
    method = Regression(2, 1, 16, net=NET).double()
    method.net = torch.nn.Conv2d(2, 1, 1).double()
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(4, 2, 16, 16, generator=generator, dtype=torch.float64)
    targets = 2.0 * maps[:, :1] - 0.5 * maps[:, 1:] + 0.25
    optimiser = torch.optim.LBFGS(method.parameters(), max_iter=60, tolerance_grad=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = method.training_step({"maps": maps, "targets": targets}, 0)
        loss.backward()
        return loss

    method.log = lambda *_, **__: None
    optimiser.step(closure)
    weights = [*method.net.weight.flatten().tolist(), *method.net.bias.tolist()]
    np.testing.assert_allclose(weights, [2.0, -0.5, 0.25], atol=1e-6)
    torch.testing.assert_close(method.predict(maps)["mean"], targets, rtol=0, atol=1e-5)


def test_the_unet_learns_what_only_neighbours_tell():
    """The shifted input is nothing that a pixel by itself could tell; the network finds it."""
    torch.manual_seed(0)
    method = Regression(1, 1, 16, net={"name": "unet", "width": 8, "depth": 2, "norm": "none"})
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(method.parameters(), lr=0.01)
    for _ in range(150):
        maps = torch.randn(16, 1, 16, 16, generator=generator)
        loss, _ = method.losses(maps, maps.roll(1, -1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    maps = torch.randn(8, 1, 16, 16, generator=generator)
    left = method.predict(maps)["mean"] - maps.roll(1, -1)
    assert left.square().mean() < 0.1  # of a variance of 1


def test_refusals():
    with pytest.raises(UsageError, match=r"needs a network that gives maps, 'resnet' gives numbers"):
        Regression(1, 1, 16, net={"name": "resnet"})
    with pytest.raises(UsageError, match="ssim is -1"):
        Regression(1, 1, 16, net=NET, ssim=-1.0)
    with pytest.raises(ShapeError, match="window of 11 pixels, the maps have 8"):
        Regression(1, 1, 8, net=NET, ssim=0.1)
    method = Regression(1, 2, 16, net=NET)
    with pytest.raises(ShapeError, match=r"targets of shape \(3, 2, 16, 16\), found \(3, 1, 16, 16\)"):
        method.check({"maps": torch.zeros(3, 1, 16, 16), "targets": torch.zeros(3, 1, 16, 16)})
    with pytest.raises(UsageError, match="one answer for a map and no samples"):
        method.predict(torch.zeros(1, 1, 16, 16), draws=3)
