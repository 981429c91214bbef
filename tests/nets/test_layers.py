"""Periodic convolution against NumPy's wrap, D4 against its group table, Glorot against its closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from skyloom.errors import ShapeError
from skyloom.nets.layers import PeriodicConv2d, check_maps, dihedral, keras_glorot_normal_, wrap


@pytest.mark.parametrize("width", [0, 1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_wrap_is_numpys_wrap_and_keeps_the_layout(width, layout):
    maps = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    expected = np.pad(maps.numpy(), ((0, 0), (0, 0), (width, width), (width, width)), mode="wrap")
    for padded in (wrap(maps, width), wrap(maps.clone().requires_grad_(), width)):
        np.testing.assert_array_equal(padded.detach().numpy(), expected)
        assert padded.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_gradient_of_wrap_is_that_of_differences(width):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 2, 4, 5, generator=generator, dtype=torch.float64).contiguous(
        memory_format=torch.channels_last
    )
    assert torch.autograd.gradcheck(lambda m: wrap(m, width) ** 2, maps.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda m: wrap(m, width) ** 3, maps)


def test_wrap_refuses_a_map_smaller_than_the_padding():
    with pytest.raises(ShapeError, match=r"\(1, 8\) cannot be wrapped by 2 pixels"):
        wrap(torch.zeros(1, 1, 1, 8), 2)


@pytest.mark.parametrize(("circular", "boundary"), [(True, "wrap"), (False, "fill")])
def test_convolution_is_scipys(circular, boundary):
    generator = torch.Generator().manual_seed(1)
    conv = PeriodicConv2d(1, 1, 3, circular=circular)
    x = torch.rand(1, 1, 7, 7, generator=generator)
    kernel = conv.conv.weight.detach()[0, 0].numpy()[::-1, ::-1]  # torch correlates, scipy convolves
    expected = convolve2d(x[0, 0].numpy(), kernel, mode="same", boundary=boundary)
    np.testing.assert_allclose(conv(x).detach()[0, 0].numpy(), expected, atol=1e-6)


def test_strided_convolution_commutes_with_rolls_by_its_stride():
    conv = PeriodicConv2d(2, 3, 5, stride=2)
    x = torch.rand(1, 2, 12, 12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(conv(x.roll(4, -2)), conv(x).roll(2, -2))
    assert not torch.allclose(conv(x.roll(1, -2)), conv(x).roll(1, -2), atol=1e-3)


def test_the_eight_elements_are_different_and_closed():
    asymmetric = torch.arange(9).reshape(3, 3)
    orbit = {tuple(dihedral(asymmetric, e).flatten().tolist()) for e in range(8)}
    assert len(orbit) == 8
    for first in range(8):
        again = {tuple(dihedral(dihedral(asymmetric, first), e).flatten().tolist()) for e in range(8)}
        assert again == orbit


def test_glorot_normal_is_keras_own():
    fan_in, fan_out, n = 300, 100, 400_000
    torch.manual_seed(0)
    weights = keras_glorot_normal_(torch.empty(n), fan_in, fan_out).double()
    variance = 2 / (fan_in + fan_out)
    # The sample variance of n normal draws scatters by (2 / n)^1/2; a cut normal has lighter tails.
    assert abs(weights.var().item() / variance - 1) < 5 * (2 / n) ** 0.5
    assert abs(weights.mean().item()) < 5 * (variance / n) ** 0.5
    edge = 2 * variance**0.5 / 0.87962566103423978
    assert 0.99 * edge < weights.abs().max().item() <= edge


def test_a_wrong_batch_is_named():
    with pytest.raises(
        ShapeError, match=r"vgg was built for maps of shape \(B, 2, 8, 8\), found \(3, 1, 8, 8\)"
    ):
        check_maps(torch.zeros(3, 1, 8, 8), 2, 8, "vgg")
    with pytest.raises(ShapeError, match=r"\(B, 1, H, W\), found \(8, 8\)"):
        check_maps(torch.zeros(8, 8), 1, None, "resnet")
