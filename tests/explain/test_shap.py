"""Shapley values against closed forms, axioms, and where they must not be used."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from skyloom.errors import UsageError
from skyloom.explain import Context
from skyloom.explain.gradients import integrated_gradients, saliency
from skyloom.explain.occlusion import occlusion
from skyloom.explain.shap import (
    DeepLiftShap,
    GradientShap,
    deep_lift_shap,
    drawn,
    gradient_shap,
    refuse_unsound,
)
from skyloom.methods.supervised import MeanSquared


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def convolutional(*between: nn.Module, pooling: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3, padding=1), *between, nn.ReLU(), pooling or nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64, 1)).eval()


@pytest.fixture
def small():
    return torch.randn(6, 1, 8, 8, generator=generator(7))


@pytest.mark.parametrize("target", [0, 1])
def test_of_a_linear_network_they_are_weight_times_distance_from_the_mean(linear, weights, maps, target):
    baselines = torch.randn(9, 3, 8, 8, generator=generator(3)) + 0.5
    expected = weights[target] * (maps - baselines.mean(0))
    found = deep_lift_shap(linear, maps, baselines, target)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    one = gradient_shap(linear, maps, baselines[:1], target, draws=3, generator=generator())
    np.testing.assert_allclose(one, weights[target] * (maps - baselines[0]), atol=1e-5)
    np.testing.assert_allclose(deep_lift_shap(linear, maps, baselines[:1], target), one, atol=1e-5)
    # Random baselines: each pixel scatters by |w| sd(b) / draws^1/2.
    many = gradient_shap(linear, maps, baselines, target, draws=400, generator=generator())
    scatter = weights[target].abs() * baselines.std(0, correction=0) / 400**0.5
    off = ((many - expected) / scatter).square().mean().sqrt()
    assert off == pytest.approx(1.0, abs=0.15)


def test_sums_are_complete_where_every_layer_treats_values_alone(small):
    net = convolutional(nn.BatchNorm2d(4))
    baselines = small[:3]
    found = deep_lift_shap(net, small, baselines, 0)
    with torch.no_grad():
        change = (net(small) - net(baselines).mean())[:, 0]
    np.testing.assert_allclose(found.sum((1, 2, 3)), change, atol=1e-5)


def test_the_gap_tells_where_a_maximum_loses_a_part(small):
    # Where the brightest pixel of a window is overtaken without changing, the rule has nobody to pay.
    net = convolutional(pooling=nn.MaxPool2d(2))
    context = Context(np.zeros((6, 1)), small.numpy(), torch.from_numpy, ["x"])
    method = MeanSquared(1, 1, 8, net={"name": "vgg", "widths": [1], "dense": []})
    method.net = net
    ds = DeepLiftShap(baselines=3).explain(method, small, 0, generator=generator(), context=context)
    assert json.loads(ds.attrs["summary"])["gap_relative"] > 0.05
    np.testing.assert_allclose(
        ds["gap"], ds["attribution"].sum(("channel", "y", "x")) - ds["change"], atol=1e-6
    )


def test_a_product_is_shared_equally_and_a_pixel_without_influence_gets_nothing():
    # F = x1 x2 from (0, 0) to (a, b): both orders of the Shapley value give a b / 2 each.
    class Product(nn.Module):
        def forward(self, maps):
            return (maps[:, 0, 0, :1] * maps[:, 0, 0, 1:2]).reshape(-1, 1)

    maps = torch.tensor([[[[3.0, 4.0, 9.0]]]])
    black = torch.zeros(1, 1, 1, 3)
    exact = integrated_gradients(Product(), maps, 0, steps=2)
    np.testing.assert_allclose(exact, [[[[6.0, 6.0, 0.0]]]], atol=1e-5)
    # a b t, t uniform: mean a b / 2 = 6, sd 12 / 12^1/2 = 3.46, over 2000^1/2 = 0.077.
    drawn_at = gradient_shap(Product(), maps, black, 0, draws=2000, generator=generator())
    np.testing.assert_allclose(drawn_at, [[[[6.0, 6.0, 0.0]]]], atol=4 * 0.077)


ROLLING = {
    "saliency": lambda net, maps: saliency(net, maps, 0),
    "integrated_gradients": lambda net, maps: integrated_gradients(net, maps, 0, steps=4),
    "gradient_shap": lambda net, maps: gradient_shap(
        net, maps, torch.zeros_like(maps), 0, draws=4, generator=generator()
    ),
    "occlusion": lambda net, maps: occlusion(net, maps, 0, size=8, stride=8),
}


@pytest.mark.parametrize("name", ROLLING)
def test_attributions_roll_with_a_periodic_map(name):
    torch.manual_seed(0)
    method = MeanSquared(1, 1, 32, net={"name": "resnet", "width": 4, "blocks": [1, 1]})
    maps = torch.randn(1, 1, 32, 32, generator=generator(2))
    shift = (8, 16)  # a multiple of the stride 4 and of the patch 8
    found = ROLLING[name](method, maps)
    rolled = ROLLING[name](method, maps.roll(shift, (-2, -1)))
    np.testing.assert_allclose(rolled, found.roll(shift, (-2, -1)), atol=1e-3 * float(found.std()))


@pytest.mark.parametrize(
    "norm",
    [
        nn.InstanceNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.LayerNorm([4, 8, 8]),
        nn.RMSNorm([8]),
        nn.LocalResponseNorm(2),
    ],
)
def test_deep_lift_is_refused_with_a_norm_of_the_map(norm, small):
    with pytest.raises(
        UsageError, match=rf"1 is {type(norm).__name__}.*by the map itself[\s\S]*gradient_shap"
    ):
        deep_lift_shap(convolutional(norm), small, small[:2], 0)


def test_deep_lift_is_refused_where_a_module_runs_twice(small):
    relu = nn.ReLU()
    net = nn.Sequential(nn.Conv2d(1, 1, 1), relu, nn.Conv2d(1, 1, 1), relu, nn.Flatten())
    with pytest.raises(UsageError, match=r"deep_lift_shap needs .* once .*'1' runs more often"):
        refuse_unsound(net, small)


def test_what_deep_lift_leaves_behind_after_an_error_is_cleared(small):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()
            self.calls = 0

        def forward(self, maps):
            self.calls += 1
            if self.calls > 1:  # the first is the look at its layers
                self.relu(maps)
                raise ValueError("broken")
            return self.relu(maps).flatten(1)

    net = Broken()
    with pytest.raises(ValueError, match="broken"):
        deep_lift_shap(net, small, small[:2], 0)
    for layer in net.modules():
        assert not layer._forward_hooks and not layer._forward_pre_hooks and not layer._backward_hooks
        assert "input" not in vars(layer)


def test_the_components_explain_the_change_from_the_average_answer(linear, weights, maps, context):
    for tool in (GradientShap(baselines=3, draws=8), DeepLiftShap(baselines=3)):
        ds = tool.explain(linear, maps, 1, generator=generator(), context=context)
        chosen = drawn(maps, 3, generator())
        expected = ((maps - chosen.mean(0)) * weights[1]).sum((1, 2, 3))
        np.testing.assert_allclose(ds["change"], expected, atol=1e-4)
        summary = json.loads(ds.attrs["summary"])
        assert summary["baseline"] == "average answer of 3 of the maps"
        rms = np.sqrt(np.square(ds["gap"]).mean() / np.square(ds["change"]).mean())
        assert summary["gap_relative"] == pytest.approx(float(rms), rel=1e-4)
    assert summary["gap_relative"] < 1e-5  # of DeepLIFT, which is exact here


def test_baselines_are_drawn_once_each(maps):
    chosen = drawn(maps, 4, generator())
    assert len(torch.unique(chosen.flatten(1), dim=0)) == 4
    assert all(any(torch.equal(one, other) for other in maps) for one in chosen)
    assert torch.equal(drawn(maps, 99, generator()).sum(0), maps.sum(0)) or torch.allclose(
        drawn(maps, 99, generator()).sum(0), maps.sum(0), atol=1e-5
    )


def test_refusals():
    for make in (
        lambda: GradientShap(draws=0),
        lambda: GradientShap(baselines=0),
        lambda: DeepLiftShap(baselines=0),
    ):
        with pytest.raises(UsageError, match="of 1 or more, found 0"):
            make()


class OnePixel(nn.Module):
    """Looks at the pixel in row 3, column 5."""

    def forward(self, maps):
        return maps[:, :, 3, 5].sum(1, keepdim=True)


def test_occlusion_finds_the_one_pixel_that_is_looked_at(small):
    found = occlusion(OnePixel(), small, 0, size=2, stride=2, fill="mean")
    expected = torch.zeros(6, 1, 8, 8)
    drop = small[:, 0, 3, 5] - small.mean((1, 2, 3))
    expected[:, 0, 2:4, 4:6] = drop[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    zero = occlusion(OnePixel(), small, 0, size=2, stride=2, fill=0.25)
    np.testing.assert_allclose(
        zero[:, 0, 2:4, 4:6], (small[:, 0, 3, 5] - 0.25)[:, None, None].expand(-1, 2, 2)
    )
    # Patches of three at steps of one: of those over a pixel d rows away, the share (3 - d) / 3 covers both.
    fine = occlusion(OnePixel(), small, 0, size=3, stride=1)
    share = torch.tensor([2.0, 3.0, 2.0])[:, None] * torch.tensor([1.0, 2.0, 3.0]) / 9
    np.testing.assert_allclose(fine[:, 0, 2:5, 3:6], drop[:, None, None] * share, atol=1e-6)


def test_occlusion_covers_all_channels_with_their_own_means(maps):
    found = occlusion(OnePixel(), maps, 0, size=8, stride=8)
    expected = maps[:, :, 3, 5].sum(1) - maps.mean((2, 3)).sum(1)
    assert found.shape == (5, 1, 8, 8)
    np.testing.assert_allclose(found[:, 0, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("size", "stride"), [(9, 9), (2, 3), (2, 0)])
def test_patches_that_do_not_fit_are_refused(small, size, stride):
    with pytest.raises(UsageError, match=f"size is {size} and stride {stride}"):
        occlusion(OnePixel(), small, 0, size=size, stride=stride)
