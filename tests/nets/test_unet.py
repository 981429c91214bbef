"""The U-Net: the published sizes, periodic maps, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.unet import Resize, UNet


@pytest.mark.parametrize(("width", "parameters"), [(8, 121_497), (16, 483_377), (32, 1_928_289)])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_published_configuration_has_the_published_number_of_parameters(width, parameters, padding):
    # elektronn3's UNet(1, 1, n_blocks=4, start_filts=width): batch norm, transposed convolutions.
    net = UNet(
        1, 1, 128, width=width, depth=4, padding=padding, norm="batch", residual=False, up="transposed"
    )
    assert sum(weight.numel() for weight in net.parameters()) == parameters


def test_there_is_a_norm_after_each_up_convolution():
    net = UNet(1, 1, 16, width=2, depth=3)
    # Two a block (3 down, 2 up) and one an up-convolution.
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.modules()) == 2 * 5 + 2


@pytest.mark.parametrize("up", ["bilinear", "transposed"])
@pytest.mark.parametrize("residual", [True, False])
def test_a_periodic_map_may_be_rolled_by_what_one_deep_pixel_covers(residual, up):
    torch.manual_seed(0)
    net = UNet(2, 1, 16, width=4, depth=3, padding="circular", residual=residual, up=up).eval()
    maps = torch.randn(2, 2, 16, 16)
    for shift in (4, 8):
        rolled = net(maps.roll((shift, -shift), (-2, -1)))
        torch.testing.assert_close(rolled, net(maps).roll((shift, -shift), (-2, -1)), rtol=1e-4, atol=1e-5)
    # With an edge of zeros it knows where it is.
    net = UNet(2, 1, 16, width=4, depth=3, padding="zeros", residual=residual).eval()
    assert (net(maps.roll(4, -1)) - net(maps).roll(4, -1)).abs().max() > 1e-3


def test_interpolation_prints_no_grid_on_a_constant_map():
    """A layer that treats all pixels alike makes a constant of a constant: no power but at k = 0."""

    def power(up):
        torch.manual_seed(0)
        net = UNet(1, 1, 16, width=4, depth=3, norm="none", residual=False, up=up).double().eval()
        flat = torch.full((1, 1, 16, 16), 0.7, dtype=torch.float64)
        spectrum = torch.fft.fft2(net(flat)[0, 0].detach()).abs().square() / 16**4
        mean = float(spectrum[0, 0])
        spectrum[0, 0] = 0
        return mean, spectrum

    mean, spectrum = power("bilinear")
    assert spectrum.sum() < 1e-24 * mean
    # Two transposed convolutions repeat themselves every four pixels: k = 0, 4, 8 and 12 of 16 in each axis.
    mean, spectrum = power("transposed")
    grid = spectrum[::4, ::4].sum()
    assert grid > 1e-8 * mean
    torch.testing.assert_close(grid, spectrum.sum())


def test_doubling_interpolates_half_way_between_pixels_and_across_the_edge():
    resize = Resize(1, 1, "circular")
    with torch.no_grad():
        resize.conv.conv.weight.zero_()[0, 0, 1, 1] = 1
        resize.conv.conv.bias.zero_()
    row = torch.tensor([0.0, 4.0, 8.0, 0.0]).expand(1, 1, 4, 4)
    # Of pixels a, b come (3a + b) / 4 and (a + 3b) / 4; the last one and the first are neighbours.
    wanted = torch.tensor([0.0, 1.0, 3.0, 5.0, 7.0, 6.0, 2.0, 0.0])
    torch.testing.assert_close(resize(row), wanted.expand(1, 1, 8, 8))


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
