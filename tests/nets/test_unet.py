"""The U-Net: the published sizes, periodic maps, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.unet import UNet


@pytest.mark.parametrize(("width", "parameters"), [(8, 121_497), (16, 483_377), (32, 1_928_289)])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_published_configuration_has_the_published_number_of_parameters(width, parameters, padding):
    # elektronn3's UNet(1, 1, n_blocks=4, start_filts=width): batch norm, transposed convolutions.
    net = UNet(1, 1, 128, width=width, depth=4, padding=padding, norm="batch", residual=False)
    assert sum(weight.numel() for weight in net.parameters()) == parameters


def test_there_is_a_norm_after_each_up_convolution():
    net = UNet(1, 1, 16, width=2, depth=3)
    # Two a block (3 down, 2 up) and one an up-convolution.
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.modules()) == 2 * 5 + 2


@pytest.mark.parametrize("residual", [True, False])
def test_a_periodic_map_may_be_rolled_by_what_one_deep_pixel_covers(residual):
    torch.manual_seed(0)
    net = UNet(2, 1, 16, width=4, depth=3, padding="circular", residual=residual).eval()
    maps = torch.randn(2, 2, 16, 16)
    for shift in (4, 8):
        rolled = net(maps.roll((shift, -shift), (-2, -1)))
        torch.testing.assert_close(rolled, net(maps).roll((shift, -shift), (-2, -1)), rtol=1e-4, atol=1e-5)
    # With an edge of zeros it knows where it is.
    net = UNet(2, 1, 16, width=4, depth=3, padding="zeros", residual=residual).eval()
    assert (net(maps.roll(4, -1)) - net(maps).roll(4, -1)).abs().max() > 1e-3


def test_reflection_sees_no_edge_in_a_constant_map():
    torch.manual_seed(0)
    flat = torch.full((1, 1, 8, 8), 0.7)
    for padding in ("reflect", "circular"):
        net = UNet(1, 1, 8, width=2, depth=1, padding=padding).eval()
        assert net(flat).std() < 1e-6
    assert UNet(1, 1, 8, width=2, depth=1, padding="zeros").eval()(flat).std() > 1e-4


def test_other_sizes_come_out_as_they_went_in():
    net = UNet(1, 3, 16, width=2, depth=3, norm="group").eval()
    assert net(torch.zeros(1, 1, 24, 8)).shape == (1, 3, 24, 8)


def test_refusals():
    with pytest.raises(ShapeError, match=r"18 × 18 pixels"):
        UNet(1, 1, 18, depth=3)
    with pytest.raises(UsageError, match="depth of 1 or more, found 0"):
        UNet(1, 1, 16, depth=0)
    with pytest.raises(ShapeError, match=r"20 × 22"):
        UNet(1, 1, 16, depth=3)(torch.zeros(1, 1, 20, 22))
