"""Planted answers: only in the phases, only at large scales, only at small ones; and intervals by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from skyloom.errors import UsageError
from skyloom.explain import Context
from skyloom.explain.context import accuracy, class_probability
from skyloom.explain.interventions import (
    Equalise,
    FlattenSpectrum,
    RemoveMean,
    ShufflePhases,
    Smooth,
    interval,
    resample,
)
from skyloom.methods.cross_entropy import CrossEntropy

N = 32


def generator():
    return torch.Generator().manual_seed(0)


def wave(k):
    return np.cos(2 * np.pi * k * np.arange(N) / N) * np.ones((N, 1))


def standardising(raw):
    """A transform that is not the identity: the intervention belongs before it."""
    return torch.from_numpy((raw * 4 - 1).astype(np.float32))


def amplitude(k):
    """Read the amplitude of ``wave(k)`` in the raw map, from the transformed one."""
    pattern = torch.from_numpy(wave(k).astype(np.float32)) * 2 / N**2
    return lambda maps: (((maps[:, 0] + 1) / 4) * pattern).sum((1, 2))


@pytest.fixture
def labels():
    return np.random.default_rng(5).standard_normal(40)


def on_wave(k, labels):
    """Maps whose label is the amplitude of one wave, with another wave as a distraction."""
    raw = labels[:, None, None, None] * wave(k) + 0.7 * wave(9).T
    return Context(labels[:, None], raw, standardising, ["a"])


@pytest.mark.parametrize("k", [2, 8])
def test_smoothing_lowers_the_score_as_the_gaussian_says(reader, labels, k):
    context = on_wave(k, labels)
    widths = [0.0, 1.0, 3.0]
    ds = Smooth(widths=widths[1:]).explain(
        reader(amplitude(k)), torch.zeros(1), 0, generator=generator(), context=context
    )
    gain = np.exp(-2 * np.pi**2 * np.array(widths) ** 2 * (k / N) ** 2)
    # The prediction is gain × label: Σ (1 - gain)² y² / Σ (y - <y>)².
    expected = 1 - (1 - gain) ** 2 * np.square(labels).sum() / np.square(labels - labels.mean()).sum()
    np.testing.assert_allclose(ds["score"], expected, atol=1e-4)
    np.testing.assert_allclose(ds["drop"], expected[0] - expected, atol=1e-4)
    np.testing.assert_array_equal(ds["width"], widths)
    np.testing.assert_allclose(ds["correlation_squared"], 1, atol=1e-4)
    assert ds["width"].attrs["units"] == "pixel"
    half_lost = json.loads(ds.attrs["summary"])["half_lost_at"]
    lost = [w for w, s in zip(widths, expected, strict=True) if expected[0] - s > expected[0] / 2]
    assert half_lost == (lost[0] if lost else None)


def test_an_answer_at_large_scales_survives_smoothing_and_not_flattening(reader, labels):
    context, method = on_wave(1, labels), reader(amplitude(1))
    smooth = Smooth(widths=[0, 2]).explain(method, torch.zeros(1), 0, generator=generator(), context=context)
    flat = FlattenSpectrum().explain(method, torch.zeros(1), 0, generator=generator(), context=context)
    assert smooth["score"].sel(width=2).item() > 0.99
    assert flat["score"].sel(spectrum="own").item() > 0.999
    # Two waves with equal power after flattening: the size of the amplitude is gone, only its sign is left.
    assert flat["score"].sel(spectrum="flat").item() < 0.8
    assert flat["drop_low"].sel(spectrum="flat").item() > 0


def test_an_answer_in_the_phases_survives_flattening_and_not_smoothing(reader, labels):
    # A single point on one of N columns: its spectrum is white whatever the column, so the place is in the
    # phases.
    columns = np.random.default_rng(1).integers(0, N, 40)
    raw = np.zeros((40, 1, N, N))
    raw[np.arange(40), 0, 3, columns] = 5.0
    context = Context(columns[:, None].astype(float), raw, standardising, ["column"])

    def peak(maps):
        return maps[:, 0].flatten(1).argmax(1).remainder(N).float()

    method = reader(peak)
    flat = FlattenSpectrum().explain(method, torch.zeros(1), 0, generator=generator(), context=context)
    np.testing.assert_allclose(flat["score"], [1, 1], atol=1e-6)
    assert json.loads(flat.attrs["summary"]) == {"score": "r2", "own": 1.0, "flat": 1.0}

    def sharpness(maps):
        """Answers only while the point is sharper than the Gaussian of two pixels makes it."""
        return torch.where(maps.flatten(1).amax(1) > 5, peak(maps), torch.zeros(len(maps)))

    smooth = Smooth(widths=[2]).explain(
        reader(sharpness), torch.zeros(1), 0, generator=generator(), context=context
    )
    assert smooth["score"][0].item() == pytest.approx(1)
    assert smooth["score"][1].item() < 0


def test_maps_that_are_not_periodic_are_smoothed_with_mirrors(reader, labels):
    ramp = np.linspace(0, 1, N) * np.ones((N, 1))
    raw = labels[:, None, None, None] * ramp
    edge = lambda maps: (maps[:, 0, 0, -1] + 1) / 4  # noqa: E731
    periodic, bounded = (
        Smooth(widths=[2]).explain(
            reader(edge),
            torch.zeros(1),
            0,
            generator=generator(),
            context=Context(labels[:, None], raw, standardising, ["a"], periodic=p),
        )
        for p in (True, False)
    )
    for ds, mode in ((periodic, "wrap"), (bounded, "reflect")):
        gain = gaussian_filter1d(np.linspace(0, 1, N), 2, mode=mode)[-1]
        expected = 1 - (1 - gain) ** 2 * np.square(labels).sum() / np.square(labels - labels.mean()).sum()
        assert ds["score"][1].item() == pytest.approx(expected, abs=2e-3)
    # The mirrored ramp is flat at its edge, the wrapped one falls from 1 to 0 there.
    assert periodic["score"][1] < bounded["score"][1] - 0.1


def test_intervals_are_wider_for_fewer_groups_and_paired(reader, labels):
    maps = np.repeat(labels, 5)[:, None, None, None] * wave(2)
    truth = np.repeat(labels, 5) + np.repeat(np.random.default_rng(2).standard_normal(40), 5)
    alone = Context(truth[:, None], maps, standardising, ["a"])
    grouped = Context(truth[:, None], maps, standardising, ["a"], groups=np.repeat(np.arange(40), 5))
    width = {}
    for name, context in (("alone", alone), ("grouped", grouped)):
        ds = Smooth(widths=[0, 2], bootstrap=300).explain(
            reader(amplitude(2)), torch.zeros(1), 0, generator=generator(), context=context
        )
        assert (ds["low"] < ds["score"]).all() and (ds["score"] < ds["high"]).all()
        assert ds["drop_low"][0] == ds["drop_high"][0] == 0
        width[name] = float((ds["high"] - ds["low"])[0])
    # Five copies of a map carry no more than one: the interval that counts them is too narrow by 5^1/2.
    assert width["grouped"] / width["alone"] == pytest.approx(5**0.5, rel=0.3)


def test_whole_groups_are_drawn():
    truth = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    sizes = resample(lambda t, p: float(len(t)), truth, truth[None], groups, 50, generator())
    assert (sizes == 6).all()
    even = resample(
        lambda t, p: float((np.unique(t, return_counts=True)[1] % 2).max()),
        truth,
        truth[None],
        groups,
        50,
        generator(),
    )
    assert (even == 0).all()
    assert np.isnan(
        interval(resample(lambda t, p: 1.0, truth, truth[None], np.zeros(6), 50, generator()))
    ).all()


def test_any_score_can_be_asked(reader, labels):
    context = Context(
        labels[:, None],
        labels[:, None, None, None] * wave(2),
        standardising,
        ["a"],
        score=lambda t, p: -float(np.abs(t - p).mean()),
        score_name="minus_mae",
    )
    ds = Smooth(widths=[3]).explain(
        reader(amplitude(2)), torch.zeros(1), 0, generator=generator(), context=context
    )
    gain = np.exp(-2 * np.pi**2 * 9 * (2 / N) ** 2)
    assert ds["score"][1].item() == pytest.approx(-(1 - gain) * np.abs(labels).mean(), rel=1e-3)
    assert ds.attrs["score"] == "minus_mae"


def test_negative_width_is_refused():
    with pytest.raises(UsageError, match=r"0 pixels or more, found \[-1"):
        Smooth(widths=[-1.0])


def both(component, reader_of, context):
    ds = component.explain(reader_of, torch.zeros(1), 0, generator=generator(), context=context)
    summary = json.loads(ds.attrs["summary"])
    np.testing.assert_array_equal(ds["score"], [summary["own"], summary["changed"]])
    return ds["score"].values


def test_an_answer_in_the_power_survives_shuffled_phases_and_one_in_the_places_does_not(reader, labels):
    size = np.exp(0.3 * labels)
    raw = size[:, None, None, None] * np.random.default_rng(3).standard_normal((40, 1, N, N))
    context = Context(size[:, None], raw, standardising, ["sigma"])
    power = reader(lambda maps: ((maps[:, 0] + 1) / 4).square().mean((1, 2)).sqrt())
    own, changed = both(ShufflePhases(), power, context)
    assert changed == pytest.approx(own, abs=1e-3) and own > 0.9
    places = on_wave(2, labels)
    own, changed = both(ShufflePhases(), reader(amplitude(2)), places)
    # The answer becomes y cos θ with a random angle: 1 - Σ y² (1 - cos θ)² / Σ y² = 1 - 3/2 on average.
    assert own > 0.999 and changed == pytest.approx(-0.5, abs=0.5)


def test_an_answer_in_the_histogram_does_not_survive_equalisation(reader, labels):
    size = np.exp(0.3 * labels)
    raw = size[:, None, None, None] * np.random.default_rng(3).standard_normal((40, 1, N, N))
    context = Context(size[:, None], raw, standardising, ["sigma"])
    spread = reader(lambda maps: ((maps[:, 0] + 1) / 4).std((1, 2)))
    own, changed = both(Equalise(), spread, context)
    # All maps get one spread, the mean of all: the score of a constant, 0 less the error of that constant.
    assert own > 0.99 and changed == pytest.approx(0, abs=0.02)
    order = reader(lambda maps: maps.flatten(1).argmax(1).float())
    places = Context(raw.reshape(40, -1).argmax(1)[:, None].astype(float), raw, standardising, ["place"])
    np.testing.assert_allclose(both(Equalise(), order, places), [1, 1], atol=1e-9)


def test_an_answer_in_the_mean_does_not_survive_its_removal(reader, labels):
    raw = labels[:, None, None, None] + wave(3)
    context = Context(labels[:, None], raw, standardising, ["level"])
    mean = reader(lambda maps: (maps.mean((1, 2, 3)) + 1) / 4)
    np.testing.assert_allclose(both(RemoveMean(), mean, context), [1, 0], atol=1e-5)
    np.testing.assert_allclose(
        both(RemoveMean(), reader(amplitude(2)), on_wave(2, labels)), [1, 1], atol=1e-5
    )


@pytest.fixture
def classifier():
    """Two classes, waves along x of 2 and of 8; the logit of each is 4 times the amplitude of its wave."""
    two, eight = amplitude(2), amplitude(8)
    method = CrossEntropy(1, 2, N, net={"name": "vgg", "widths": [1], "dense": []})
    method.net.forward = lambda maps: torch.stack([4 * two(maps), 4 * eight(maps)], dim=1)
    return method


@pytest.mark.parametrize("target", [0, 1])
def test_probability_against_smoothing_width(classifier, target):
    truth = np.eye(2)[np.arange(10) % 2]
    raw = np.where(truth[:, :1, None, None] > 0, wave(2), wave(8))
    context = Context(
        truth,
        raw,
        standardising,
        ["slow", "fast"],
        score=class_probability,
        score_name="probability",
        classes=True,
    )
    ds = Smooth(widths=[1.0, 4.0], bootstrap=20).explain(
        classifier, torch.zeros(1), target, generator=generator(), context=context
    )
    gain = np.exp(-2 * np.pi**2 * np.array([0.0, 1.0, 4.0]) ** 2 * ((2, 8)[target] / N) ** 2)
    np.testing.assert_allclose(ds["score"], 1 / (1 + np.exp(-4 * gain)), atol=1e-5)
    assert ds.attrs["target"] == ("slow", "fast")[target]
    joint = Context(
        truth,
        raw,
        standardising,
        ["slow", "fast"],
        score=accuracy,
        score_name="accuracy",
        classes=True,
        joint=True,
    )
    ds = Smooth(widths=[1.0], bootstrap=20).explain(
        classifier, torch.zeros(1), target, generator=generator(), context=joint
    )
    np.testing.assert_array_equal(ds["score"], [1, 1])


def test_scores_of_classes_by_hand():
    truth = np.array([[1, 0], [1, 0], [0, 1]])
    said = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
    assert class_probability(truth[:, 0], said[:, 0]) == pytest.approx(0.6)
    assert accuracy(truth, said) == pytest.approx(2 / 3)
    assert np.isnan(class_probability(np.zeros(3), said[:, 0]))
