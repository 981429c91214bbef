"""The residual network: its parameter count by hand and the symmetries that it promises."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.layers import dihedral
from skyloom.nets.resnet import ResNet


def settle(net, channels=1, size=32):
    """Give normalisation layers and zero-started blocks values that would show a broken symmetry."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in (*net.named_parameters(), *net.named_buffers()):
            if value.is_floating_point() and "conv" not in name:
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return net.eval()


@pytest.fixture
def maps():
    return torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(3))


def test_parameter_count_by_hand():
    w = 4
    stem = 25 * 1 * w + 2 * w
    first = 2 * 9 * w * w + 2 * 2 * w  # no skip convolution: same width, stride 1
    later = sum(9 * i * 2 * i + 9 * (2 * i) ** 2 + i * 2 * i + 3 * 2 * (2 * i) for i in (w, 2 * w, 4 * w))
    head = 2 * (8 * w) * 3 + 3
    assert sum(p.numel() for p in ResNet(1, 3, 64, width=w).parameters()) == stem + first + later + head


def test_second_block_of_a_stage_keeps_width_and_size():
    one, two = (sum(p.numel() for p in ResNet(1, 1, 32, width=4, blocks=[1, n]).parameters()) for n in (1, 2))
    assert two - one == 2 * 9 * 8 * 8 + 2 * 2 * 8


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("element", range(1, 8))
def test_d4_average_does_not_see_flips_and_turns(maps, norm, element):
    net = settle(ResNet(1, 2, 32, width=4, norm=norm, d4_average=True))
    torch.testing.assert_close(net(dihedral(maps, element)), net(maps), rtol=1e-5, atol=1e-5)


def test_without_the_average_a_flip_is_seen(maps):
    net = settle(ResNet(1, 2, 32, width=4))
    assert (net(maps.flip(-1)) - net(maps)).abs().max() > 1e-4


def test_d4_average_is_the_mean_of_eight_passes_and_only_at_prediction(maps):
    net = settle(ResNet(1, 2, 32, width=4, norm="group", d4_average=True))
    by_hand = sum(net.once(dihedral(maps, e)) for e in range(8)) / 8
    torch.testing.assert_close(net(maps), by_hand, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net.train()(maps), net.once(maps))


@pytest.mark.parametrize("shift", [(16, 0), (0, 16), (-16, 16)])
def test_rolls_by_the_stride_are_not_seen_when_periodic(maps, shift):
    periodic, bounded = (settle(ResNet(1, 2, 32, width=4, circular=c)) for c in (True, False))
    assert periodic.stride == 16
    rolled = maps.roll(shift, (-2, -1))
    torch.testing.assert_close(periodic(rolled), periodic(maps), rtol=1e-5, atol=1e-5)
    assert (bounded(rolled) - bounded(maps)).abs().max() > 1e-4


def test_pooling_takes_mean_and_spread():
    net = settle(ResNet(1, 1, 16, width=4, blocks=[1]))
    features = net.stages(net.stem(torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(4))))
    pooled = torch.cat((features.mean((2, 3)), (features.var((2, 3), correction=0) + 1e-4).sqrt()), 1)
    maps = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(net(maps), net.head(pooled))


def test_a_constant_map_has_finite_gradients():
    net = ResNet(1, 1, 16, width=4, norm="group")
    maps = torch.ones(2, 1, 16, 16, requires_grad=True)
    net(maps).sum().backward()
    assert torch.isfinite(maps.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_group_norm_result_does_not_depend_on_the_batch(maps):
    net = settle(ResNet(1, 2, 32, width=4, norm="group")).train()
    torch.testing.assert_close(net(maps)[:1], net(maps[:1]), rtol=1e-5, atol=1e-5)


def test_layout_does_not_change_the_answer(maps):
    net = settle(ResNet(1, 2, 32, width=4))
    plain = net(maps)
    torch.testing.assert_close(net.to(memory_format=torch.channels_last)(maps), plain, rtol=1e-5, atol=1e-5)


def test_refusals():
    with pytest.raises(ShapeError, match="at least 8 pixels a side, found 4"):
        ResNet(1, 1, 4)
    with pytest.raises(UsageError, match=r"no norm 'grup'[\s\S]*did you mean 'group'"):
        ResNet(1, 1, 16, norm="grup")
    with pytest.raises(UsageError, match=r"blocks=\[1, 0\]"):
        ResNet(1, 1, 16, blocks=[1, 0])
    with pytest.raises(ShapeError, match=r"resnet was built for maps of shape \(B, 1, H, W\)"):
        ResNet(1, 1, 16)(torch.zeros(1, 2, 16, 16))
