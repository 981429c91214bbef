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
from skyloom.explain.context import accuracy
from skyloom.explain.gradients import IntegratedGradients
from skyloom.explain.sanity import RandomisedLabels, RandomisedWeights, spearman, untrained_twin
from skyloom.methods.cross_entropy import CrossEntropy
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


@pytest.fixture(scope="module")
def trained():
    """A small network that learned the mean of the left upper quarter of noise maps."""
    generator = torch.Generator().manual_seed(4)
    maps = torch.randn(128, 1, 8, 8, generator=generator)
    truth = maps[:, 0, :4, :4].mean((1, 2))[:, None] * 4  # unit variance
    torch.manual_seed(0)
    method = MeanSquared(1, 1, 8, net={"name": "vgg", "widths": [4], "dense": []})
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        method.losses(maps, truth)[0].backward()
        optimiser.step()
    context = Context(truth.numpy(), maps.numpy(), torch.from_numpy, ["quarter"])
    return method.eval(), maps, context


@pytest.mark.parametrize("name", ["saliency", "gradient_shap"])
def test_a_trained_toy_passes_both_checks(trained, name):
    method, maps, context = trained
    quarter = np.zeros((8, 8), bool)
    quarter[:4, :4] = True
    slopes = registry.build("saliency", "explanation").explain(
        method, maps, 0, generator=torch.Generator(), context=context
    )["attribution"]
    assert slopes.values[..., quarter].mean() > 3 * slopes.values[..., ~quarter].mean()
    options = {"generator": torch.Generator().manual_seed(0), "context": context}
    for check in (
        RandomisedWeights(attribution={"name": name}),
        RandomisedLabels(attribution={"name": name}, epochs=10),
    ):
        summary = json.loads(check.explain(method, maps, 0, **options).attrs["summary"])
        assert summary["suspicious"] is False and summary["median"] < 0.4
    assert summary["at_chance"] is True and summary["trained"] > 0.8
    # Permuted labels correlate with the true ones by 128^-1/2 = 0.09: R² of the twin is 0 or less, to that.
    assert summary["permuted"] < 2 * 4 * 0.09
    assert summary["chance"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("check", [RandomisedWeights(), RandomisedLabels(epochs=1)])
def test_an_edge_detector_fails_both_checks(trained, on_trial, check):
    method, maps, context = trained
    on_trial(lambda method, maps: np.hypot(*np.gradient(maps.numpy(), axis=(2, 3))))
    options = {"generator": torch.Generator().manual_seed(0), "context": context}
    summary = json.loads(check.explain(method, maps, 0, **options).attrs["summary"])
    assert summary["suspicious"] is True and summary["median"] == pytest.approx(1)


def test_labels_that_reach_the_network_by_another_way_are_told(trained):
    method, maps, context = trained

    class Told(RandomisedLabels):
        def _teach(self, twin, *_):
            twin.load_state_dict(method.state_dict())
            return 0.0

    check = Told(epochs=1)
    summary = json.loads(
        check.explain(method, maps, 0, generator=torch.Generator(), context=context).attrs["summary"]
    )
    assert summary["at_chance"] is False and summary["permuted"] == summary["trained"]


def test_classifiers_are_checked_by_accuracy():
    generator = torch.Generator().manual_seed(4)
    maps = torch.randn(64, 1, 8, 8, generator=generator)
    truth = np.eye(2)[(maps[:, 0, :4].mean((1, 2)) > 0).numpy().astype(int)]
    torch.manual_seed(0)
    method = CrossEntropy(1, 2, 8, net={"name": "vgg", "widths": [2], "dense": []})
    context = Context(
        truth, maps.numpy(), torch.from_numpy, ["up", "down"], score=accuracy, score_name="accuracy",
        classes=True, joint=True,
    )  # fmt: skip
    ds = RandomisedLabels(epochs=2).explain(
        method, maps, 1, generator=torch.Generator().manual_seed(0), context=context
    )
    summary = json.loads(ds.attrs["summary"])
    assert summary["chance"] == pytest.approx(truth.mean(0).max())  # the more frequent class, always
    assert 0 <= summary["permuted"] <= 1 and summary["score"] == "accuracy"


@pytest.mark.parametrize("name", ["twins", "epochs", "batch_size"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(UsageError, match=f"randomised_labels needs {name} of 1 or more, found 0"):
        RandomisedLabels(**{name: 0})


def test_labels_cannot_judge_what_attributes_nothing(setting):
    method, maps, context = setting
    with pytest.raises(UsageError, match="randomised_labels cannot judge 'smooth'"):
        RandomisedLabels(attribution={"name": "smooth"}).explain(
            method, maps, 0, generator=torch.Generator(), context=context
        )
