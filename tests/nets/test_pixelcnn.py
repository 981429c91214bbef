"""PixelCNN++: what an output may depend on, and the spread that features begin with."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.pixelcnn import NormedConv, NormedTransposedConv, PixelCNN

SIZE = 8


def network(**changes):
    torch.manual_seed(0)
    settings = {"nr_resnet": 1, "nr_filters": 4, "scales": 2, "dropout": 0.0, **changes}
    net = PixelCNN(2, 3, 2, SIZE, **settings).double().eval()
    x, conditions = torch.randn(16, 2, SIZE, SIZE).double(), torch.randn(16, 2).double()
    net.initialise(x, conditions)
    return net, x, conditions


@pytest.mark.parametrize(("scales", "nr_resnet"), [(1, 1), (1, 3), (2, 1), (3, 2), (4, 1)])
def test_an_output_depends_on_all_pixels_before_it_and_on_none_after(scales, nr_resnet):
    net, x, conditions = network(scales=scales, nr_resnet=nr_resnet)
    x, conditions = x[:1], conditions[:1].expand(SIZE**2, -1)
    changed = x.repeat(SIZE**2, 1, 1, 1)
    changed.view(SIZE**2, 2, -1)[torch.arange(SIZE**2), :, torch.arange(SIZE**2)] += 1.0
    with torch.no_grad():
        moved = (net(changed, conditions) - net(x, conditions[:1])).abs().amax(dim=1).view(SIZE**2, -1)
    after = torch.ones(SIZE**2, SIZE**2).triu(1).bool()  # row: the changed pixel; column: the output
    assert (moved[~after] < 1e-14).all()  # sums of another order round differently
    if scales * nr_resnet == 6:
        assert (moved[after] > 0).all()  # nothing of the past is left out
    pixel = torch.arange(SIZE**2)
    right, below = pixel[pixel % SIZE < SIZE - 1], pixel[:-SIZE]
    assert (moved[right, right + 1] > 0).all() and (moved[below, below + SIZE] > 0).all()


def test_conditions_reach_every_pixel():
    net, x, conditions = network()
    with torch.no_grad():
        moved = (net(x, conditions) - net(x, conditions + 1)).abs().amax(dim=(0, 1))
    assert (moved > 0).all()


def test_features_begin_with_mean_0_and_the_spread_asked_for():
    net, x, conditions = network(scales=3, nr_resnet=2)
    with torch.no_grad():
        outputs = net(x, conditions)
    torch.testing.assert_close(outputs.mean(dim=(0, 2, 3)), torch.zeros(3).double(), atol=1e-10, rtol=0)
    torch.testing.assert_close(outputs.std(dim=(0, 2, 3), correction=0), torch.full((3,), 0.1).double())


@pytest.mark.parametrize("conv", [NormedConv(3, 4, (2, 3)), NormedTransposedConv(4, reach="up")])
def test_gains_are_the_norms_of_the_weights(conv):
    with torch.no_grad():
        conv.gain.copy_(torch.tensor([1.0, 2.0, 0.5, 3.0]))
        weight = conv.weight()
        # Of a transposed one the outputs are the second axis.
        weight = weight.transpose(0, 1) if isinstance(conv, NormedTransposedConv) else weight
        norms = weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, conv.gain.detach())


def test_a_doubled_pixel_takes_from_its_own_block():
    conv = NormedTransposedConv(1, reach="up_left").double()
    x = torch.zeros(1, 1, 4, 4).double()
    x[0, 0, 1, 2] = 1.0
    with torch.no_grad():
        seen = (conv(x) - conv(0 * x))[0, 0].ne(0).nonzero()
    assert seen.tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]


def test_what_does_not_fit_is_refused():
    net, x, conditions = network()
    with pytest.raises(UsageError, match="cannot halve maps of 6 pixels 2 times"):
        PixelCNN(1, 1, 0, 6, scales=3, nr_filters=2)
    with pytest.raises(UsageError, match="nr_resnet is 0"):
        PixelCNN(1, 1, 0, 8, nr_resnet=0)
    with pytest.raises(ShapeError, match=r"of shape \(B, 2, 8, 8\)"):
        net(x[:, :1], conditions)
