"""Grouped comparisons: groups count once, and the jackknife gives the known error of a mean."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import ShapeError, UsageError
from skyloom.statistics.grouped import curve_error, jackknifed


def test_curve_error_of_a_shift_is_the_shift_over_the_spread():
    rng = np.random.default_rng(0)
    real = 10.0 + rng.normal(size=(400, 3)) * [1.0, 2.0, 0.0]
    error = curve_error(real, real + 1.0, np.arange(400), np.arange(400))
    sd = real.std(axis=0, ddof=1)
    assert error.sigma[:2] == pytest.approx(1 / sd[:2])
    assert np.isnan(error.sigma[2])  # a bin without any spread has no scale
    assert error.percent == pytest.approx(100 / real.mean(axis=0))


def test_group_with_many_samples_counts_once():
    first = np.array([[0.0], [2.0]])
    second = np.array([[1.0], [5.0], [5.0], [5.0]])
    # Mean of groups 1 and 5 is 3, that of the reference 1; its two groups have the sd √2.
    error = curve_error(first, second, np.array(["a", "b"]), np.array(["a", "b", "b", "b"]))
    assert error.sigma[0] == pytest.approx(2 / np.sqrt(2)) and error.percent[0] == pytest.approx(200)


def test_change_of_units_leaves_both_errors():
    rng = np.random.default_rng(1)
    real, other = 5 + rng.normal(size=(30, 4)), 6 + rng.normal(size=(20, 4))
    one, ten = (curve_error(u * real, u * other, np.arange(30), np.arange(20)) for u in (1, 10))
    assert ten.sigma == pytest.approx(one.sigma) and ten.percent == pytest.approx(one.percent)


def test_jackknife_gives_the_error_of_grouped_means():
    rng = np.random.default_rng(2)
    K, m = 40, 10
    shared = rng.normal(size=K)
    x = np.repeat(shared, m) + 0.1 * rng.normal(size=K * m)
    groups = np.repeat(np.arange(K), m)
    y = np.zeros(30)
    gap = jackknifed(lambda i, j: x[i].mean() - y[j].mean(), groups, np.arange(100, 130), blocks=K)
    means = x.reshape(K, m).mean(axis=1)
    assert gap.error == pytest.approx(means.std(ddof=1) / np.sqrt(K), rel=1e-6)
    # By map the error would be √(1 + 9 ρ) times smaller, ρ = 1 / 1.01.
    by_map = jackknifed(
        lambda i, j: x[i].mean() - y[j].mean(), np.arange(K * m), np.arange(1000, 1030), blocks=400
    )
    assert gap.error / by_map.error == pytest.approx(np.sqrt(1 + 9 / 1.01), rel=0.15)


def test_blocks_of_groups_give_nearly_the_same_error():
    rng = np.random.default_rng(3)
    x = rng.normal(size=2000)
    found = [
        jackknifed(lambda i, j: x[i].mean(), np.arange(2000), np.arange(5000, 5002), blocks=20, seed=s).error
        for s in range(20)
    ]
    assert np.mean(found) == pytest.approx(x.std() / np.sqrt(2000), rel=0.1)


def test_paired_ensembles_lose_a_group_at_once():
    x = np.random.default_rng(4).normal(size=50)
    # The same values twice: their difference has no error, though each mean has one.
    gap = jackknifed(lambda i, j: x[i].mean() - x[j].mean(), np.arange(50), np.arange(50))
    assert gap.value == 0 and gap.error == pytest.approx(0, abs=1e-12)


def test_one_group_has_no_error():
    assert np.isnan(jackknifed(lambda i, j: 1.0, np.zeros(5), np.arange(1, 5)).error)


def test_wrong_input_is_refused():
    with pytest.raises(UsageError, match="blocks is 1"):
        jackknifed(lambda i, j: 1.0, np.arange(3), np.arange(3), blocks=1)
    with pytest.raises(ShapeError, match="3 and 2 bins"):
        curve_error(np.ones((2, 3)), np.ones((2, 2)), np.arange(2), np.arange(2))
    with pytest.raises(ShapeError, match="2 samples and groups of shape"):
        curve_error(np.ones((2, 3)), np.ones((2, 3)), np.arange(3), np.arange(2))


def test_a_bin_that_some_samples_do_not_know_is_averaged_over_the_others():
    nothing = np.nan
    first = np.array([[1.0, nothing], [3.0, 4.0], [5.0, 8.0], [7.0, 6.0]])
    second = np.array([[4.0, 9.0], [6.0, nothing], [nothing, nothing]])
    error = curve_error(first, second, np.array([0, 0, 1, 2]), np.array([5, 6, 7]))
    # Groups of the first: (2, 4), (5, 8), (7, 6): means 14 / 3 and 6; of the second: 5 and 9.
    assert error.gap.tolist() == pytest.approx([5 - 14 / 3, 3.0])
    sd = np.std([2.0, 5.0, 7.0], ddof=1), 2.0
    assert error.sigma.tolist() == pytest.approx([(5 - 14 / 3) / sd[0], 3.0 / sd[1]])
    # A bin that one group alone knows has no spread, one that none knows has no mean.
    alone = curve_error(first[:2] * nothing, second, np.arange(2), np.arange(3))
    assert np.isnan(alone.gap).all()
    one = curve_error(np.array([[1.0], [nothing]]), np.array([[2.0]]), np.arange(2), np.zeros(1))
    assert (one.gap[0], np.isnan(one.sigma[0])) == (1.0, True)
