"""Scores against closed forms and against repeated samples; symmetries under a change of units."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import r2_score

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.evaluate import scores

RNG = np.random.default_rng(3)
TRUTH = RNG.normal(size=(400, 2))
MEAN = 0.8 * TRUTH + 0.3 * RNG.normal(size=TRUTH.shape) + 0.1
SD = np.full(TRUTH.shape, 0.3)
OF_MEAN = [scores.r2, scores.rmse, scores.bias, scores.correlation]


def test_hand_calculated():
    t, m = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.5], [4.0]])
    # residuals 0, 0.5, 1: sum of squares 1.25; truth about its mean: 2
    assert scores.r2(t, m) == pytest.approx([1 - 1.25 / 2])
    assert scores.rmse(t, m) == pytest.approx([np.sqrt(1.25 / 3)])
    assert scores.bias(t, m) == pytest.approx([0.5])
    assert scores.chi2(t, m, np.full((3, 1), 0.5)) == pytest.approx([1.25 / 0.25 / 3])
    assert scores.coverage(t, m - 0.5, m + 0.5) == pytest.approx([2 / 3])
    assert scores.correlation(t, m) == pytest.approx([np.corrcoef(t.T, m.T)[0, 1]])


def test_r2_is_scikit_learns():
    assert scores.r2(TRUTH, MEAN) == pytest.approx(r2_score(TRUTH, MEAN, multioutput="raw_values"))


@pytest.mark.parametrize("score", OF_MEAN)
def test_integer_weights_are_repeats(score):
    weights = RNG.integers(0, 4, size=(5, len(TRUTH)))
    together = score(TRUTH, MEAN, weights=weights)
    assert together.shape == (5, 2)
    for row, w in zip(together, weights, strict=True):
        assert row == pytest.approx(score(np.repeat(TRUTH, w, axis=0), np.repeat(MEAN, w, axis=0)))


@pytest.mark.parametrize("unit", [1e-6, 1000.0])
def test_change_of_units(unit):
    for score, power in ((scores.r2, 0), (scores.correlation, 0), (scores.rmse, 1), (scores.bias, 1)):
        assert score(unit * TRUTH, unit * MEAN) == pytest.approx(unit**power * score(TRUTH, MEAN))
    assert scores.chi2(unit * TRUTH, unit * MEAN, unit * SD) == pytest.approx(scores.chi2(TRUTH, MEAN, SD))


def test_large_offset_does_not_spoil_r2():
    # 1e6 + unit scatter leaves ten digits in the inputs; two passes keep them
    assert scores.r2(TRUTH + 1e6, MEAN + 1e6) == pytest.approx(scores.r2(TRUTH, MEAN), abs=1e-8)


def test_equal_truths_have_no_r2_and_no_correlation():
    t = np.full((5, 1), 0.1)
    assert np.isnan(scores.r2(t, t)) and np.isnan(scores.correlation(t, TRUTH[:5, :1]))
    assert scores.rmse(t, t + 1) == pytest.approx([1.0])


def test_no_weight_is_nan():
    assert np.isnan(scores.average(np.ones((2, 1)), np.zeros(2))).all()


def make_prediction(**more):
    pair = ("sample", "parameter")
    variables = {"truth": (pair, TRUTH), "mean": (pair, MEAN)}
    return xr.Dataset({**variables, **more})


def test_evaluate_finds_scores_by_name():
    pair = ("sample", "parameter")
    bounds = {
        name: ((*pair, "level"), (MEAN + s * SD)[..., None]) for name, s in (("lower", -1), ("upper", 1))
    }
    p = make_prediction(sd=(pair, SD), **bounds).assign_coords(level=[0.683])
    assert scores.evaluate("chi2", p) == pytest.approx(scores.chi2(TRUTH, MEAN, SD))
    assert scores.evaluate("pull", p) == pytest.approx(((MEAN - TRUTH) / SD).mean(axis=0))
    assert scores.evaluate("coverage_68.3", p) == pytest.approx((np.abs(MEAN - TRUTH) <= SD).mean(axis=0))
    assert scores.evaluate("coverage_95", p) is None


def test_evaluate_leaves_out_what_is_not_predicted():
    assert scores.evaluate("chi2", make_prediction()) is None
    assert scores.evaluate("coverage_68", make_prediction()) is None


@pytest.mark.parametrize("name", ["r3", "coverage_high", "mse"])
def test_unknown_score_is_refused(name):
    with pytest.raises(UsageError, match=f"unknown score '{name}'.*allowed"):
        scores.evaluate(name, make_prediction())


def test_wrong_shapes_and_sd_are_refused():
    with pytest.raises(ShapeError, match=r"\(400, 2\) and \(400, 1\)"):
        scores.rmse(TRUTH, MEAN[:, :1])
    with pytest.raises(ShapeError, match="last axis"):
        scores.rmse(TRUTH, MEAN, weights=np.ones(3))
    with pytest.raises(ShapeError, match="samples, parameters"):
        scores.average(np.ones(3))
    with pytest.raises(DataError, match="1 of 4 predicted sd"):
        scores.chi2(np.zeros((2, 2)), np.zeros((2, 2)), np.array([[1.0, 1.0], [0.0, 1.0]]))
