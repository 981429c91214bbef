"""The benchmark network: as many blocks as the map can be halved, the weights counted by hand, no edges."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from skyloom.errors import UsageError
from skyloom.nets.cmd_cnn import CMDNet


@pytest.mark.parametrize(("size", "blocks"), [(32, 3), (64, 4), (256, 6)])
def test_weights_are_those_of_the_blocks_that_the_size_asks_for(size, blocks):
    h, channels, out = 2, 3, 12
    expected, before = 0, channels
    for block in range(blocks):
        after = 2 * h * 2**block
        expected += 9 * before * after + 9 * after**2 + 4 * after**2  # two 3 x 3, one 2 x 2
        expected += 2 * after * (2 if block == 0 else 3)  # the very first has no normalisation
        before = after
    last = 2 * before
    expected += 16 * before * last + 2 * last  # 4 x 4
    expected += last * (last // 2) + last // 2 + (last // 2) * out + out
    net = CMDNet(channels, out, size, width=h)
    assert sum(weight.numel() for weight in net.parameters()) == expected
    assert sum(isinstance(layer, nn.Conv2d) and layer.stride == (2, 2) for layer in net.modules()) == blocks


def test_features_of_a_rolled_periodic_map_are_rolled():
    net = CMDNet(2, 3, 32, width=2).eval()
    blocks = net.features[:-3]  # all but the convolution that looks at each of the 4 x 4 places apart
    maps = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(blocks(maps.roll((8, 16), (-2, -1))), blocks(maps).roll((1, 2), (-2, -1)))


@pytest.mark.parametrize(("size", "changes"), [(48, {}), (4, {}), (32, {"width": 0}), (32, {"dropout": 1.0})])
def test_what_it_cannot_be_is_refused(size, changes):
    with pytest.raises(UsageError, match="cmd_cnn"):
        CMDNet(1, 2, size, **changes)
