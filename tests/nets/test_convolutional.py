"""Convolutional players: symmetries of what they do not know, and what they refuse."""

import pytest
import torch

from skyloom.errors import UsageError
from skyloom.nets.convolutional import ConvolutionalCritic, ConvolutionalGenerator


@pytest.mark.parametrize(("doubling", "kernel"), [("transposed", 4), ("transposed", 6), ("nearest", 5)])
def test_a_pixel_of_the_coarsest_map_reaches_no_further_than_its_kernels(doubling, kernel):
    torch.manual_seed(0)
    net = ConvolutionalGenerator(
        1, 0, 16, latent=3, widths=[4], kernel=kernel, doubling=doubling, batch_norm=False, output="linear"
    )
    coarse = torch.zeros(1, 4, 8, 8)
    layers = net.layers[2:]  # behind the dense layer that spreads the noise
    moved = coarse.clone()
    moved[0, 0, 4, 4] = 1.0
    rows = (layers(moved) - layers(coarse))[0, 0].abs().sum(1).nonzero().flatten()
    # a pixel becomes two, or the kernel's width of a transposed convolution
    reach = kernel if doubling == "transposed" else kernel + 1
    assert len(rows) == reach and float(rows.float().mean()) == 8.5


def test_a_tanh_keeps_maps_within_their_range_and_conditions_count():
    torch.manual_seed(0)
    net = ConvolutionalGenerator(2, 2, 40, latent=4, widths=[8, 4, 4]).eval()
    noise = 50 * torch.randn(3, 4)
    maps = net(noise, torch.zeros(3, 2))
    assert maps.shape == (3, 2, 40, 40) and maps.abs().max().item() <= 1
    assert not torch.allclose(maps, net(noise, torch.ones(3, 2)))


def test_the_critic_scores_every_map_by_itself_and_sees_conditions():
    torch.manual_seed(0)
    net = ConvolutionalCritic(1, 1, 16, widths=[4, 8])
    maps, conditions = torch.randn(3, 1, 16, 16), torch.tensor([[0.0], [1.0], [2.0]])
    torch.testing.assert_close(net(maps, conditions)[1:2], net(maps[1:2], conditions[1:2]))
    assert not torch.allclose(net(maps, conditions), net(maps, conditions + 1))


def test_a_spectral_norm_keeps_the_slope_below_the_product_of_its_layers():
    torch.manual_seed(0)
    net = ConvolutionalCritic(1, 0, 8, widths=[4], spectral_norm=True)
    for _ in range(30):  # power iterations in training mode
        net(torch.randn(2, 1, 8, 8), torch.zeros(2, 0))
    net.eval()
    for weight in (net.layers[0].weight, net.layers[-1].weight):
        assert float(torch.linalg.matrix_norm(weight.flatten(1), 2).detach()) == pytest.approx(1.0, abs=0.02)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="a multiple of 16 pixels, found 40"):
        ConvolutionalGenerator(1, 0, 40, widths=[8, 8, 8, 8])
    with pytest.raises(UsageError, match="kernel 3 with 'transposed' doubling"):
        ConvolutionalGenerator(1, 0, 40, kernel=3)
    with pytest.raises(UsageError, match="kernel is 5"):
        ConvolutionalCritic(1, 0, 40, kernel=5)
