"""Grad-CAM finds a planted blob, names its layer, and says when it cannot work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skyloom.errors import UsageError
from skyloom.explain.grad_cam import GradCam, grad_cam
from skyloom.explain.layers import calls, last_convolution
from skyloom.methods.supervised import MeanSquared

N = 32


def gaussian(size, width):
    x = torch.arange(size) - (size - 1) / 2
    return torch.exp(-(x[:, None] ** 2 + x**2) / (2 * width**2))


@pytest.fixture
def detector():
    """Two features, bright and dark blobs; the first output counts bright blobs and minds dark ones."""
    conv = nn.Conv2d(1, 2, 5, padding=2, bias=True)
    blob = gaussian(5, 1.0)
    with torch.no_grad():
        conv.weight[:, 0] = torch.stack([blob, -blob])
        conv.bias[:] = -2.0
    head = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        head.weight[:] = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    return nn.Sequential(conv, nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def test_a_bright_blob_speaks_for_and_a_dark_one_against(detector):
    maps = torch.zeros(1, 1, N, N)
    maps[0, 0, 4:9, 18:23] = gaussian(5, 1.0)
    maps[0, 0, 20:25, 6:11] -= gaussian(5, 1.0)
    found, layer = grad_cam(detector, maps, 0, layer="1")
    assert layer == "1"
    rows, columns = np.unravel_index([found.argmax(), found.argmin()], (N, N))
    assert rows.tolist() == [6, 22] and columns.tolist() == [20, 8]
    # The weight of a feature is its slope, 1 / N²; at a blob the feature is Σ g² - 2.
    peak = (float(gaussian(5, 1.0).square().sum()) - 2) / N**2
    assert found.max() == pytest.approx(peak, rel=1e-4)
    positive, _ = grad_cam(detector, maps, 0, layer="1", positive=True)
    assert positive.min() == 0 and positive.argmax() == found.argmax()
    np.testing.assert_array_equal(grad_cam(detector, maps, 1, layer="1")[0], 0)


def test_the_last_convolution_that_gives_a_map_is_found(detector):
    maps = torch.zeros(1, 1, N, N)
    assert grad_cam(detector, maps, 0)[1] == "0"
    with_head = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 2, 1), nn.Flatten()
    )
    assert last_convolution(with_head, maps).name == "1"
    method = MeanSquared(1, 1, N, net={"name": "resnet", "width": 4, "blocks": [1, 1]})
    assert last_convolution(method, maps).name == "net.stages.1.conv2.conv"
    assert not any(layer._forward_hooks for layer in method.modules())


def test_layers_are_told_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first = nn.Conv2d(2, 1, 1), nn.Conv2d(1, 2, 1)

        def forward(self, maps):
            return self.second(self.first(maps))

    found = calls(Backwards(), torch.zeros(3, 1, 4, 4))
    assert [(call.name, call.shape) for call in found] == [("first", (1, 2, 4, 4)), ("second", (1, 1, 4, 4))]


def test_refusals(detector, linear, maps, context):
    blank = torch.zeros(1, 1, N, N)
    with pytest.raises(UsageError, match=r"no layer '5' gives a map[\s\S]*allowed: 0, 1, 2"):
        grad_cam(detector, blank, 0, layer="5")
    with pytest.raises(UsageError, match="found no convolution"):
        GradCam().explain(linear, maps, 0, generator=torch.Generator(), context=context)
    eight = MeanSquared(1, 1, N, net={"name": "resnet", "width": 4, "d4_average": True})
    with pytest.raises(UsageError, match=r"runs more often[\s\S]*d4_average: false"):
        grad_cam(eight, blank, 0)
