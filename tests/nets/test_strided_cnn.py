"""The strided network has the published numbers of weights, in every depth, and no map is seen half."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.strided_cnn import StridedCNN


def weights(net: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize(("depth", "count"), [(1, 741), (2, 2581), (3, 8565), (4, 29749), (5, 108981)])
def test_depth_variants_have_the_published_numbers_of_weights(depth, count):
    widths = [8, 16, 32, 64, 128][:depth]
    assert weights(StridedCNN(1, 5, 128, widths=widths)) == count
    # By hand: 3x3 kernels and biases, two numbers a channel of the normalisation, 16 parts to the head.
    pairs = zip([1, *widths], widths, strict=False)
    assert sum(9 * a * b + 3 * b for a, b in pairs) + 5 * (16 * widths[-1] + 1) == count


def test_two_classes_have_those_of_the_published_state():
    assert weights(StridedCNN(1, 2, 128, dropout=0.0, block_dropout=0.25)) == 26_674


def test_dropout_stands_where_it_is_asked_for():
    kinds = [type(layer).__name__ for layer in StridedCNN(1, 2, 32, block_dropout=0.25).features]
    assert kinds[:4] == ["Conv2d", "BatchNorm2d", "SiLU", "Dropout"] and kinds.count("Dropout") == 4
    assert "Dropout" not in [type(layer).__name__ for layer in StridedCNN(1, 2, 32).features]


def test_every_pixel_reaches_the_answer():
    torch.manual_seed(0)
    net = StridedCNN(1, 2, 32, widths=[4, 8]).eval()
    maps = torch.randn(1, 1, 32, 32, requires_grad=True)
    net(maps).sum().backward()
    assert (maps.grad != 0).all()


def test_refusals():
    with pytest.raises(UsageError, match=r"widths \[\]"):
        StridedCNN(1, 2, 16, widths=[])
    with pytest.raises(UsageError, match=r"dropout 1.0"):
        StridedCNN(1, 2, 16, dropout=1.0)
    with pytest.raises(ShapeError, match=r"\(B, 1, 16, 16\), found \(2, 1, 8, 8\)"):
        StridedCNN(1, 2, 16)(torch.zeros(2, 1, 8, 8))
