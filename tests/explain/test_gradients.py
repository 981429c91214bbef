"""Attributions against closed forms, and what they must not touch."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from skyloom.errors import UsageError
from skyloom.explain import Context
from skyloom.explain.gradients import IntegratedGradients, Saliency
from skyloom.methods.supervised import MeanSquared, Moments

TOOLS = [Saliency(), IntegratedGradients(steps=4)]
GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("target", [0, 1])
def test_saliency_of_a_linear_network_is_the_size_of_its_weights(linear, weights, maps, context, target):
    ds = Saliency().explain(linear, maps, target, generator=GENERATOR, context=context)
    expected = weights[target].abs().expand(5, -1, -1, -1).numpy()
    np.testing.assert_allclose(ds["attribution"], expected, rtol=1e-6)
    np.testing.assert_array_equal(ds["maps"], maps)
    assert ds.attrs["explanation"] == "saliency" and ds.attrs["target"] == context.parameters[target]
    assert json.loads(ds.attrs["summary"])["mean_slope"] == pytest.approx(
        weights[target].abs().mean().item(), rel=1e-5
    )


@pytest.mark.parametrize("target", [0, 1])
def test_integrated_gradients_of_a_linear_network_are_weight_times_value(
    linear, weights, maps, context, target
):
    ds = IntegratedGradients(steps=1).explain(linear, maps, target, generator=GENERATOR, context=context)
    np.testing.assert_allclose(ds["attribution"], weights[target] * maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ds["change"], (weights[target] * maps).sum((1, 2, 3)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ds["gap"], 0, atol=1e-4)


def test_integrated_gradients_of_a_square_are_the_square(reader, maps, context):
    # F = Σ x²: x ∫ 2 t x dt = x², and one Gauss–Legendre point integrates a line exactly.
    method = reader(lambda m: m.square().sum((1, 2, 3)), size=8)
    ds = IntegratedGradients(steps=1).explain(method, maps, 0, generator=GENERATOR, context=context)
    np.testing.assert_allclose(ds["attribution"], maps**2, rtol=1e-5, atol=1e-6)


def test_the_gap_is_reported_per_map_and_shrinks_with_steps(reader, maps, context):
    # F = (Σ x)⁴ along the line is t⁴ F: one midpoint gives 4 (1/2)³ F = F / 2, so half of the change is
    # missing.
    method = reader(lambda m: m.sum((1, 2, 3)) ** 4 * 1e-4, size=8)
    one = IntegratedGradients(steps=1).explain(method, maps, 0, generator=GENERATOR, context=context)
    np.testing.assert_allclose(one["gap"], -one["change"] / 2, rtol=1e-4)
    summary = json.loads(one.attrs["summary"])
    assert summary["gap_relative"] == pytest.approx(0.5, rel=1e-4)
    assert summary["gap_largest"] == pytest.approx(float(abs(one["gap"]).max()))
    two = IntegratedGradients(steps=2).explain(method, maps, 0, generator=GENERATOR, context=context)
    # Two Gauss–Legendre points are exact for polynomials up to the third degree: 4 t³ is one.
    np.testing.assert_allclose(two["gap"] / two["change"], 0, atol=1e-4)


@pytest.mark.parametrize("cls", [MeanSquared, Moments])
def test_completeness_on_a_trained_kind_of_network(cls):
    torch.manual_seed(0)
    method = cls(1, 1, 32, net={"name": "resnet", "width": 4})
    maps = torch.randn(66, 1, 32, 32)  # more than one piece

    context = Context(np.zeros((66, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
    few, many = (
        IntegratedGradients(steps=n).explain(method, maps, 0, generator=GENERATOR, context=context)
        for n in (2, 48)
    )
    relative = [json.loads(ds.attrs["summary"])["gap_relative"] for ds in (few, many)]
    assert relative[1] < 0.02
    assert relative[1] < relative[0]
    np.testing.assert_allclose(
        many["attribution"].sum(("channel", "y", "x")) - many["change"], many["gap"], atol=1e-5
    )


def test_steps_are_doubled_until_the_gap_is_tolerable(reader, maps, context):
    # F = (Σ x)⁴: one point misses half, two points nothing, see above.
    method = reader(lambda m: m.sum((1, 2, 3)) ** 4 * 1e-4, size=8)
    tool = IntegratedGradients(steps=1, tolerance=0.01)
    ds = tool.explain(method, maps, 0, generator=GENERATOR, context=context)
    summary = json.loads(ds.attrs["summary"])
    assert summary["steps"] == 2 and summary["gap_relative"] < 1e-4
    jump = reader(lambda m: (m.sum((1, 2, 3)) * 0).sign() + (m.sum((1, 2, 3)) > 0).float(), size=8)
    ds = tool.explain(jump, maps, 0, generator=GENERATOR, context=context)
    # A step has no slope anywhere: the gap stays, and the doubling ends.
    assert json.loads(ds.attrs["summary"])["steps"] == 512
    assert json.loads(ds.attrs["summary"])["gap_relative"] == pytest.approx(1)
    with pytest.raises(UsageError, match="tolerance above 0, found 0"):
        IntegratedGradients(tolerance=0.0)


def test_saliency_of_the_predicted_class_is_that_of_the_largest_logit(linear, weights, maps, context):
    classes = dataclasses.replace(context, truth=np.eye(2)[[0, 1, 0, 1, 1]], classes=True)
    ds = Saliency(of="predicted").explain(linear, maps, 0, generator=GENERATOR, context=classes)
    with torch.no_grad():
        chosen = linear(maps).argmax(1)
    assert len(chosen.unique()) == 2
    np.testing.assert_allclose(ds["attribution"], weights[chosen].abs(), rtol=1e-6)
    assert ds["class"].values.tolist() == [context.parameters[i] for i in (0, 1, 0, 1, 1)]
    with pytest.raises(UsageError, match="needs classes; Omega_m, sigma_8 are values"):
        Saliency(of="predicted").explain(linear, maps, 0, generator=GENERATOR, context=context)


def test_a_constant_answer_has_no_relative_gap(reader, maps, context):
    method = reader(lambda m: 0 * m.sum((1, 2, 3)), size=8)
    ds = IntegratedGradients(steps=1).explain(method, maps, 0, generator=GENERATOR, context=context)
    assert json.loads(ds.attrs["summary"])["gap_relative"] is None


@pytest.mark.parametrize("tool", TOOLS)
def test_the_method_and_the_maps_are_left_as_they_were(tool, maps, context):
    method = MeanSquared(3, 2, 8, net={"name": "resnet", "width": 4, "dropout": 0.5}).train()
    next(layer for layer in method.modules() if isinstance(layer, nn.BatchNorm2d)).eval()
    frozen = next(method.parameters()).requires_grad_(False)
    method.net.head.bias.grad = torch.ones(2)
    modes = [layer.training for layer in method.modules()]
    state = {name: value.clone() for name, value in method.state_dict().items()}
    before = maps.clone()
    with torch.no_grad():  # the caller's choice does not matter
        first = tool.explain(method, maps, 0, generator=GENERATOR, context=context)
        again = tool.explain(method, maps, 0, generator=GENERATOR, context=context)
    assert [layer.training for layer in method.modules()] == modes
    assert not frozen.requires_grad and method.net.head.weight.requires_grad
    assert torch.equal(method.net.head.bias.grad, torch.ones(2)) and method.net.head.weight.grad is None
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())
    assert torch.equal(maps, before) and not maps.requires_grad and maps.grad is None
    np.testing.assert_array_equal(first["attribution"], again["attribution"])  # dropout was off


@pytest.mark.parametrize("tool", TOOLS)
def test_a_map_is_explained_as_if_alone(tool, maps, context):
    torch.manual_seed(0)
    method = MeanSquared(3, 2, 8, net={"name": "resnet", "width": 4})
    together = tool.explain(method, maps, 1, generator=GENERATOR, context=context)["attribution"][:1]
    alone = tool.explain(method, maps[:1], 1, generator=GENERATOR, context=context)["attribution"]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_refusals(linear, maps, context):
    with pytest.raises(UsageError, match="at least one step, found 0"):
        IntegratedGradients(steps=0)
    for tool in TOOLS:
        with pytest.raises(UsageError, match=r"no target 2[\s\S]*0 to 1, for Omega_m, sigma_8"):
            tool.explain(linear, maps, 2, generator=GENERATOR, context=context)
