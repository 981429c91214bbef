"""An attribution that shows the map fails the check, one that shows the training passes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.explain import Context
from skyloom.explain.gradients import IntegratedGradients
from skyloom.explain.sanity import RandomisedWeights, spearman, untrained_twin
from skyloom.methods.supervised import MeanSquared


@pytest.fixture
def setting():
    torch.manual_seed(0)
    maps = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    context = Context(np.zeros((4, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
    return MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4}), maps, context


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-4, 5, (3, 2, 5, 5)), rng.integers(-4, 5, (3, 2, 5, 5))
    expected = [
        stats.spearmanr(np.abs(x).ravel(), np.abs(y).ravel()).statistic for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(spearman(a, b), expected, atol=1e-12)
    assert np.isnan(spearman(np.ones((1, 4)), np.arange(4.0)[None])).all()


def fixed(of):
    """An explanation made of one function of method and maps."""

    class Fixed:
        def explain(self, method, maps, target, *, generator, context):
            return xr.Dataset({"attribution": (("sample", "channel", "y", "x"), of(method, maps))})

    return Fixed


@pytest.fixture
def on_trial(monkeypatch):
    def use(of):
        build = registry.build
        made = fixed(of)()
        monkeypatch.setattr(
            registry,
            "build",
            lambda spec, *kinds, **k: made if "explanation" in kinds else build(spec, *kinds, **k),
        )

    return use


def test_an_attribution_that_copies_the_map_is_suspicious(setting, on_trial):
    method, maps, context = setting
    on_trial(lambda method, maps: maps.numpy())
    ds = RandomisedWeights().explain(
        method, maps, 0, generator=torch.Generator().manual_seed(0), context=context
    )
    np.testing.assert_allclose(ds["correlation"], 1)
    summary = json.loads(ds.attrs["summary"])
    assert summary["median"] == pytest.approx(1) and summary["suspicious"] is True


def test_an_attribution_made_of_the_weights_passes(setting, on_trial):
    method, maps, context = setting

    def from_weights(method, maps):
        seed = int(method.net.head.weight.sum().item() * 1e6) % 2**31
        return np.random.default_rng(seed).random(maps.shape)

    on_trial(from_weights)
    ds = RandomisedWeights(twins=5).explain(
        method, maps, 0, generator=torch.Generator().manual_seed(0), context=context
    )
    # Independent ranks of 256 pixels correlate with a scatter of 1 / 255^1/2 = 0.063.
    assert np.abs(ds["correlation"]).max() < 5 * 0.063
    assert ds["correlation"].std() == pytest.approx(0.063, rel=0.6)
    assert json.loads(ds.attrs["summary"])["suspicious"] is False


def test_twins_differ_from_each_other_and_leave_the_global_state(setting):
    method, _, _ = setting
    generator = torch.Generator().manual_seed(1)
    state = torch.get_rng_state()
    first, second = untrained_twin(method, generator), untrained_twin(method, generator)
    again = untrained_twin(method, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first.net.head.weight, second.net.head.weight)
    assert torch.equal(first.net.head.weight, again.net.head.weight)


def test_settings_of_the_attribution_are_used_and_named(setting):
    method, maps, context = setting
    ds = RandomisedWeights(attribution={"name": "integrated_gradients", "steps": 2}, twins=1).explain(
        method, maps, 0, generator=torch.Generator().manual_seed(0), context=context
    )
    assert json.loads(ds.attrs["summary"])["attribution"] == {
        "name": "integrated_gradients",
        "steps": 2,
        "tolerance": None,
    }
    generator = torch.Generator().manual_seed(0)
    tool = IntegratedGradients(steps=2)
    here = tool.explain(method, maps, 0, generator=generator, context=context)
    there = tool.explain(untrained_twin(method, generator), maps, 0, generator=generator, context=context)
    expected = spearman(here["attribution"].values, there["attribution"].values)
    np.testing.assert_allclose(ds["correlation"][0], expected)


def test_refusals(setting):
    method, maps, context = setting
    with pytest.raises(UsageError, match="at least one twin, found 0"):
        RandomisedWeights(twins=0)
    with pytest.raises(UsageError, match="cannot judge 'flatten_spectrum'"):
        RandomisedWeights(attribution={"name": "flatten_spectrum"}).explain(
            method, maps, 0, generator=torch.Generator().manual_seed(0), context=context
        )
