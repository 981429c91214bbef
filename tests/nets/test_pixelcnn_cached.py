"""One pixel at a time gives what the whole network gives, at any depth, scales and channels."""

from __future__ import annotations

import pytest
import torch

from skyloom.nets.pixelcnn import PixelCNN
from skyloom.nets.pixelcnn_cached import CachedPixelCNN


@pytest.mark.parametrize(
    ("size", "channels", "conditions", "scales", "nr_resnet", "filters"),
    [(8, 1, 0, 1, 1, 3), (8, 2, 3, 1, 3, 4), (8, 3, 1, 2, 1, 5), (12, 2, 0, 3, 2, 4), (16, 1, 2, 4, 1, 3)],
)
def test_outputs_are_those_of_a_pass_of_the_whole_network(
    size, channels, conditions, scales, nr_resnet, filters
):
    torch.manual_seed(size + scales)
    net = PixelCNN(
        channels, 4, conditions, size, nr_resnet=nr_resnet, nr_filters=filters, scales=scales, dropout=0.5
    )
    net = net.double().eval()
    x, given = torch.randn(3, channels, size, size).double(), torch.randn(3, conditions).double()
    net.initialise(x, given)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
        whole, cached = net(x, given), CachedPixelCNN(net, given)
        for i in range(size):
            cached.begin_row()
            for j in range(size):
                if (i + j) % 5 == 0:
                    cached.skip(j)
                else:
                    assert (cached.outputs(j) - whole[:, :, i, j]).abs().max() < 1e-10
                cached.write(j, x[:, :, i, j])
    assert whole.std() > 0.1
