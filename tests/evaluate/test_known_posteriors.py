"""The diagnostics on 10⁴ posteriors in closed form: right within a point, 20 % too narrow is caught by each.

Truth N(0, 1) in two parameters, seen with noise 0.5: the posterior is N(0.8 d, 1/5), with means of variance
0.8. The truths are drawn from their posteriors by a Latin hypercube, so that they scatter less than chance
would let them (half a point for a share of one half) and a point is far outside.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from skyloom.evaluate import scores
from skyloom.evaluate.bootstrap import clustered
from skyloom.evaluate.calibration import sbc, tarp
from skyloom.tasks.prediction import central_interval

N, DRAWS = 10_000, 99
LEVELS = (0.5, 0.68, 0.9, 0.95)


def posteriors(width: float):
    rng = np.random.default_rng(5)
    mean = np.sqrt(0.8) * rng.normal(size=(N, 2))
    cells = rng.permuted(np.tile(np.arange(N), (2, 1)), axis=1).T
    truth = mean + norm.ppf((cells + rng.random((N, 2))) / N) / np.sqrt(5)
    sd = np.full(truth.shape, width / np.sqrt(5))
    samples = mean[:, None] + sd[:, None] * rng.normal(size=(N, DRAWS, 2))
    return truth, mean, sd, samples, np.arange(N)


@pytest.fixture(scope="module")
def right():
    return posteriors(1.0)


@pytest.fixture(scope="module")
def narrow():
    return posteriors(0.8)


def coverage(known, level):
    truth, mean, sd, _, groups = known
    lower, upper = (bound[..., 0] for bound in central_interval(mean, sd, None, [level]))
    return clustered(lambda w: scores.coverage(truth, lower, upper, weights=w), groups, draws=200)


@pytest.mark.parametrize("level", LEVELS)
def test_coverage(right, narrow, level):
    assert coverage(right, level).value == pytest.approx([level, level], abs=0.01)
    caught = coverage(narrow, level)
    # The interval reaches 0.8 z of the true posterior.
    expected = 1 - 2 * norm.sf(0.8 * norm.isf((1 - level) / 2))
    assert caught.value == pytest.approx([expected] * 2, abs=0.01)
    assert (caught.high < level - 0.01).all()


def test_sbc(right, narrow):
    truth, _, _, samples, groups = right
    ranks = sbc(truth, samples, groups, bins=10, bootstrap=100)
    assert ranks.share == pytest.approx(np.full((10, 2), 0.1), abs=0.01)
    assert np.abs(np.cumsum(ranks.share, axis=0) - np.linspace(0.1, 1, 10)[:, None]).max() < 0.01
    assert (ranks.p_value > 0.01).all()
    truth, _, _, samples, groups = narrow
    ranks = sbc(truth, samples, groups, bins=10, bootstrap=100)
    outer = norm.sf(0.8 * norm.isf(0.1))  # 0.153 instead of 0.1
    assert ranks.share[[0, -1]] == pytest.approx(np.full((2, 2), outer), abs=0.01)
    assert (ranks.p_value < 1e-12).all() and (ranks.low[[0, -1]] > 0.11).all()


def test_tarp(right, narrow):
    truth, _, _, samples, groups = right
    curve = tarp(truth, samples, groups, references=2, bootstrap=100)
    assert curve.deviation < 0.01
    truth, _, _, samples, groups = narrow
    curve = tarp(truth, samples, groups, references=2, bootstrap=100)
    # Regions of high credibility hold too few of the truths, those of low credibility too many.
    low, high = curve.level < 0.4, (curve.level > 0.6) & (curve.level < 1)
    assert curve.deviation > 0.02
    assert (
        (curve.coverage - curve.level)[low].max() > 0.01 > -0.01 > (curve.coverage - curve.level)[high].min()
    )
    assert (curve.high < curve.level)[high].sum() >= 3 and (curve.low > curve.level)[low].sum() >= 3
