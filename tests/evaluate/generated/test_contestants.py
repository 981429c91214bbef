"""The baselines keep exactly what they are said to keep, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.evaluate.generated.contestants import gaussian, shuffled
from skyloom.evaluate.generated.sample import gather
from skyloom.statistics import moments, power_spectrum
from skyloom.statistics.two_point import coherence


@pytest.fixture(scope="module")
def ensemble(real):
    return gather(real, ["delta", "gas"], ["A"], maximum=999, seed=0)


def test_gaussian_field_has_the_power_and_the_coherence_and_no_skewness(ensemble):
    made = gaussian(ensemble)
    P = [power_spectrum(e.values("gas"), 64.0, bins=8).power.mean(axis=0) for e in (ensemble, made)]
    assert P[1] == pytest.approx(P[0], rel=0.15)
    r = [coherence(e.values("delta"), e.values("gas"), 64.0, bins=8).r.mean(axis=0) for e in (ensemble, made)]
    assert r[1] == pytest.approx(r[0], abs=0.05)
    skewness = [moments(e.values("delta")).skewness.mean() for e in (ensemble, made)]
    assert skewness[0] > 1 and abs(skewness[1]) < 0.1
    assert np.array_equal(made.theta, ensemble.theta) and np.array_equal(made.groups, ensemble.groups)


def test_shuffled_pixels_keep_all_values_together(ensemble):
    made = shuffled(ensemble, seed=1)
    for row in (0, 5):
        before, after = (e.stacked()[row].reshape(2, -1) for e in (ensemble, made))
        order = [np.lexsort(values) for values in (before, after)]
        assert np.array_equal(before[:, order[0]], after[:, order[1]]) and not np.array_equal(before, after)
    white = power_spectrum(made.values("delta"), 64.0, bins=4).power.mean(axis=0)
    # sigma² V / N_pix at every k
    expected = ensemble.values("delta").var(axis=(1, 2)).mean() * 64.0**2 / 32**2
    assert white == pytest.approx(np.full(4, expected), rel=0.1)
