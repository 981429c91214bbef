"""Probabilities that are right pass, those that are too sure are caught, and the temperature comes back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, LeakError, ShapeError, UsageError
from skyloom.evaluate.probabilities import (
    Tempered,
    calibration_error,
    confidence_bins,
    own_probabilities,
    reliability,
    tempered,
)
from skyloom.evaluate.repair import fit_repair, repair_from_state


def drawn(n=4000, C=3, temperature=1.0, seed=0, per_group=1, concentration=0.7):
    """Truth drawn from probabilities, and these at another temperature: below 1 too sure."""
    rng = np.random.default_rng(seed)
    right = rng.dirichlet(np.full(C, concentration), size=n)
    truth = (right.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return truth, tempered(right, temperature), np.arange(n) // per_group


def prediction(side="validation", **options) -> xr.Dataset:
    truth, probability, groups = drawn(**options)
    return xr.Dataset(
        {"truth": ("sample", truth), "probability": (("sample", "class"), probability)},
        coords={
            "sample": np.array([f"s{i}" for i in range(len(truth))]),
            "group": ("sample", groups),
            "class": ["a", "b", "c"],
        },
        attrs={"answers": "classes", "side": side, "temperature": 1.0, "intervals": "none"},
    )


def test_error_of_right_probabilities_is_its_noise():
    ratios = []
    for seed in range(12):
        found = reliability(*drawn(n=2000, seed=seed), bootstrap=20)
        ratios.append(found.ece / found.noise)
        assert len(found.right) >= 3
    # The mean of |x| of one normal has a relative error of 0.76; of B > 3 bins in 12 trials, 0.13. The sweep
    # chooses bins that rise, which moves them a little.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.4) and max(ratios) < 3


def test_too_sure_and_not_sure_enough_are_caught():
    for temperature, sign in ((0.6, -1), (1.6, 1)):
        found = reliability(*drawn(temperature=temperature), bootstrap=50)
        assert found.ece > 4 * found.noise
        assert np.average(found.right - found.confidence, weights=found.share) * sign > 0.02


def test_error_by_hand():
    # Two bins: sure of 60 % and right in 50 %, sure of 90 % and right in 70 %.
    probability = np.repeat([[0.6, 0.4], [0.9, 0.1]], 10, axis=0)
    truth = np.array([0] * 5 + [1] * 5 + [0] * 7 + [1] * 3)
    assert confidence_bins(probability.max(axis=1), truth == 0).tolist() == [0] * 10 + [1] * 10
    assert calibration_error(truth, probability) == pytest.approx((0.1 + 0.2) / 2)
    # Half the weight on the second ten alone.
    weights = np.repeat([[0.0, 1.0], [1.0, 1.0]], 10, axis=1)
    assert calibration_error(truth, probability, weights=weights) == pytest.approx([0.2, 0.15])


def test_equal_confidences_are_one_bin():
    probability = np.tile([0.7, 0.3], (30, 1))
    truth = np.array([0] * 21 + [1] * 9)
    assert (confidence_bins(probability.max(axis=1), truth == 0) == 0).all()
    found = reliability(truth, probability, np.arange(30), bootstrap=20)
    assert found.ece == pytest.approx(0, abs=1e-12) and found.share.tolist() == [1.0]


def test_maps_of_one_group_do_not_make_the_noise_small():
    # Ten copies of each map: the error is that of the maps, not of the copies.
    truth, probability, _ = drawn(n=300, seed=2)
    once = reliability(truth, probability, np.arange(300), bootstrap=20)
    copied = reliability(
        np.repeat(truth, 10), np.repeat(probability, 10, axis=0), np.repeat(np.arange(300), 10), bootstrap=20
    )
    assert copied.noise == pytest.approx(once.noise, rel=0.3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_comes_back(temperature):
    fitted = Tempered.fit(prediction(n=8000, temperature=temperature))
    # What was cooled to T must be warmed by 1/T; the curvature of the log loss gives errors of about 2 %.
    assert fitted.temperature == pytest.approx(1 / temperature, rel=0.08)
    judged = fitted.apply(prediction(side="test", n=8000, temperature=temperature, seed=1))
    found = reliability(
        judged["truth"].values, judged["probability"].values, judged["group"].values, bootstrap=20
    )
    assert found.ece < 3 * found.noise


def test_sets_hold_the_truth_as_often_as_they_say_on_a_new_side():
    levels = (0.5, 0.8, 0.95)
    fitted = Tempered.fit(prediction(n=6000, temperature=0.5), levels)
    judged = fitted.apply(prediction(side="test", n=6000, temperature=0.5, seed=1))
    inside = judged["set"].values[np.arange(6000), judged["truth"].values]
    # Binomial errors of both sides, three of them: below 2.5 points.
    assert inside.mean(axis=0) == pytest.approx(levels, abs=0.025)
    sizes = judged["set"].sum("class").mean("sample").values
    assert (np.diff(sizes) > 0).all() and sizes[-1] < 3


def test_repair_keeps_every_answer_and_twice_changes_nothing():
    p = prediction(n=500, temperature=0.5)
    fitted = fit_repair(p, (0.9,))
    again = repair_from_state(json.loads(json.dumps(fitted.state())))
    once = fitted.apply(p)
    twice = again.apply(once)
    assert twice["probability"].values == pytest.approx(once["probability"].values)
    assert twice["set"].equals(once["set"]) and once.attrs["intervals"] == "conformal"
    order = [q["probability"].values.argmax(axis=1).tolist() for q in (p, once)]
    assert order[0] == order[1]
    assert own_probabilities(once)["probability"].values == pytest.approx(p["probability"].values, abs=1e-9)


def test_every_group_counts_alike():
    # One group of 900 maps that are too sure, nine of 100 that are right: the small groups outweigh it.
    sure, right = prediction(n=900, temperature=0.4), prediction(n=900, seed=1)
    both = xr.concat([sure, right], "sample")
    both = both.assign_coords(group=("sample", np.r_[np.zeros(900), 1 + np.arange(900) // 100]))
    by_map = both.assign_coords(group=("sample", np.arange(1800)))
    assert 1 < Tempered.fit(both).temperature < Tempered.fit(by_map).temperature


def test_refusals():
    p = prediction(n=60)
    for side in ("test", "train"):
        with pytest.raises(LeakError, match=f"on the {side} side"):
            Tempered.fit(p.assign_attrs(side=side))
    with pytest.raises(UsageError, match="is for a, b, c; found a, b, d"):
        Tempered.fit(p).apply(p.assign_coords({"class": ["a", "b", "d"]}))
    p["truth"].values[3] = -1
    with pytest.raises(DataError, match="right class of 1 of 60"):
        Tempered.fit(p)
    with pytest.raises(ShapeError, match="do not fit"):
        calibration_error(np.zeros(3, int), np.ones((4, 2)))
