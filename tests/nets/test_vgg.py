"""The tutorial's VGG, layer by layer: every count below is worked out from its published description."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skyloom.errors import ShapeError
from skyloom.nets.vgg import VGG


@pytest.fixture
def on_paper():
    """The full network without its 668 MB of memory."""
    with torch.device("meta"):
        return VGG(1, 1, 200)


def trainable(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_parameters_of_the_published_network(on_paper):
    convolutions = 9 * (1 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256)
    first_dense = 25 * 25 * 256 * 1024
    dense = first_dense + 2 * 1024**2 + 1024 * 1
    normalisation = 2 * (32 + 64 + 128 + 256 + 3 * 1024)
    assert convolutions == 1_170_720 and first_dense == 163_840_000 and normalisation == 7_104
    assert trainable(on_paper) == convolutions + dense + normalisation == 167_116_000
    assert on_paper.head[0].weight.numel() == first_dense


def test_layers_are_the_published_ones_in_order(on_paper):
    described = []
    for layer in (*on_paper.features, *on_paper.head):
        match layer:
            case nn.Conv2d():
                assert layer.kernel_size == (3, 3) and layer.padding == "same" and layer.stride == (1, 1)
                described.append(f"conv {layer.in_channels} {layer.out_channels}")
            case nn.Linear():
                described.append(f"dense {layer.in_features} {layer.out_features}")
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                assert layer.eps == 1e-3 and layer.momentum == pytest.approx(1 - 0.9)
                described.append(f"norm {layer.num_features}")
            case nn.MaxPool2d():
                assert layer.kernel_size == 2
                described.append("pool")
            case nn.ReLU():
                assert not layer.inplace  # attribution hooks
                described.append("relu")
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            assert layer.bias is None
    assert described == [
        *["conv 1 32", "conv 32 32", "norm 32", "relu", "pool"],
        *["conv 32 64", "conv 64 64", "norm 64", "relu", "pool"],
        *["conv 64 128", "conv 128 128", "norm 128", "relu", "pool"],
        *["conv 128 256", "conv 256 256", "norm 256", "relu"],
        *["dense 160000 1024", "norm 1024", "relu"],
        *["dense 1024 1024", "norm 1024", "relu"],
        *["dense 1024 1024", "norm 1024", "relu"],
        "dense 1024 1",
    ]


def test_forward_is_the_layers_with_keras_flattening():
    torch.manual_seed(0)
    net = VGG(2, 3, 16, widths=[3, 4], dense=[5, 6]).eval()
    maps = torch.rand(2, 2, 16, 16)
    features = net.features(maps).detach().numpy()
    flat = torch.from_numpy(np.transpose(features, (0, 2, 3, 1)).reshape(2, -1).copy())
    torch.testing.assert_close(net(maps), net.head(flat))
    torch.testing.assert_close(net(maps.contiguous(memory_format=torch.channels_last)), net(maps))


def test_initial_weights_are_glorot_normal_and_so_are_the_shifts():
    torch.manual_seed(0)
    net = VGG(1, 1, 16, widths=[32, 64, 128, 256], dense=[1024])
    conv, norm = net.features[16], net.features[17]
    assert conv.weight.var().item() == pytest.approx(2 / (9 * 256 + 9 * 256), rel=0.02)
    # A vector of n has fans n and n in Keras: variance 1 / n. 256 draws scatter by (2 / 256)^1/2 = 9 %.
    assert norm.bias.var().item() == pytest.approx(1 / 256, rel=0.27)
    assert torch.equal(norm.weight, torch.ones(256))
    assert norm.running_mean.abs().max() == 0 and torch.equal(norm.running_var, torch.ones(256))


def test_odd_sizes_are_pooled_as_keras_does():
    assert VGG(1, 1, 19, widths=[2, 2, 2], dense=[3]).head[0].in_features == 4 * 4 * 2  # 19 -> 9 -> 4


def test_refusals_name_what_was_found():
    with pytest.raises(ShapeError, match="8 pixels a side or more, found 4"):
        VGG(1, 1, 4)
    with pytest.raises(ShapeError, match=r"found \(2, 1, 8, 8\)"):
        VGG(1, 1, 16, widths=[2], dense=[])(torch.zeros(2, 1, 8, 8))
