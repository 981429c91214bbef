"""Clustered intervals: the known design effect, their own coverage, speed, and agreement of the methods."""

from __future__ import annotations

import time

import numpy as np
import pytest

from skyloom.errors import ShapeError, UsageError
from skyloom.evaluate import scores
from skyloom.evaluate.bootstrap import clustered, effective_number, group_index, jackknife, of_samples


def random_effects(K: int, m: int, icc: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """K groups of m values with unit variance, correlated by icc within a group; shape (K m, 1)."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(size=(K, 1)), rng.normal(size=(K, m))
    values = np.sqrt(icc) * shared + np.sqrt(1 - icc) * own
    return values.reshape(-1, 1), np.repeat(np.arange(K), m)


def mean_of(values):
    return lambda weights: scores.average(values, weights)


def width(interval) -> float:
    return float(interval.high[0] - interval.low[0])


def test_error_by_map_is_too_small_by_the_design_effect():
    K, m, icc = 200, 15, 0.6
    ratios = []
    for seed in range(4):
        values, groups = random_effects(K, m, icc, seed)
        clustered_width = width(clustered(mean_of(values), groups, seed=seed))
        by_map = width(clustered(mean_of(values), np.arange(K * m), seed=seed))
        ratios.append(clustered_width / by_map)
    # sqrt(1 + 14 * 0.6) = 3.07; the sd of 4 x 200 group means is known to 1 / sqrt(2 * 800) = 2.5 %,
    # a width from 1000 draws to 4 %: three errors are 10 %.
    assert np.mean(ratios) == pytest.approx(np.sqrt(1 + (m - 1) * icc), rel=0.1)


@pytest.mark.parametrize(
    ("method", "K"), [("percentile", 100), ("expanded", 100), ("expanded", 12), ("bca", 100)]
)
def test_interval_covers_the_truth_as_often_as_it_says(method, K):
    trials = 300
    hits = 0
    for seed in range(trials):
        values, groups = random_effects(K, 2, 0.5, seed)
        interval = clustered(mean_of(values), groups, draws=300, method=method, seed=seed)
        hits += bool(interval.low[0] <= 0 <= interval.high[0])
    # Three binomial errors, and one point for the bootstrap's own error of order 1/K.
    assert hits / trials == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / trials) + 0.01)


def test_plain_percentiles_are_too_narrow_for_twelve_groups():
    values, groups = random_effects(12, 4, 0.5, 0)
    plain, wide = (
        clustered(mean_of(values), groups, draws=4000, method=m) for m in ("percentile", "expanded")
    )
    # t(0.975, 11) sqrt(12 / 11) / 1.96 = 1.173
    assert width(wide) / width(plain) == pytest.approx(1.173, rel=0.05)


def test_jackknife_of_a_mean_is_the_classical_error():
    values, groups = random_effects(30, 5, 0.5, 1)
    value, error = jackknife(mean_of(values), groups)
    means = values.reshape(30, 5).mean(axis=1)
    assert value[0] == pytest.approx(means.mean()) and error[0] == pytest.approx(
        means.std(ddof=1) / np.sqrt(30)
    )


def test_bca_shifts_towards_the_tail_of_a_skewed_score():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(60, 1))
    plain, bca = (
        clustered(mean_of(values), np.arange(60), draws=4000, method=m) for m in ("percentile", "bca")
    )
    assert bca.low[0] > plain.low[0] and bca.high[0] > plain.high[0]


def test_all_scores_of_all_parameters_in_one_call():
    values, groups = random_effects(50, 4, 0.5, 0)
    truth = np.hstack([values, 10 * values])
    both = clustered(
        lambda w: np.stack([scores.rmse(truth, truth + 1, weights=w)] * 3, axis=1), groups, draws=50
    )
    assert both.value.shape == both.low.shape == (3, 2) and both.value == pytest.approx(np.ones((3, 2)))
    assert both.high == pytest.approx(np.ones((3, 2)))


def test_same_seed_same_interval_and_order_of_maps_is_no_matter():
    values, groups = random_effects(40, 5, 0.5, 2)
    order = np.random.default_rng(1).permutation(len(values))
    first = clustered(mean_of(values), groups, seed=0)
    again = clustered(mean_of(values[order]), groups[order], seed=0)
    assert again.low == pytest.approx(first.low) and again.high == pytest.approx(first.high)
    assert clustered(mean_of(values), groups, seed=1).low != pytest.approx(first.low, abs=1e-12)


def test_blocks_give_the_same_draws(monkeypatch):
    values, groups = random_effects(40, 5, 0.5, 2)
    whole = clustered(mean_of(values), groups, draws=100)
    monkeypatch.setattr("skyloom.evaluate.bootstrap.BLOCK", 1000)
    assert clustered(mean_of(values), groups, draws=100).low == pytest.approx(whole.low)


def test_one_group_has_no_interval():
    interval = clustered(mean_of(np.ones((4, 1))), np.zeros(4))
    assert interval.value == pytest.approx([1.0]) and interval.groups == 1 and interval.samples == 4
    assert np.isnan(interval.low).all() and np.isnan(interval.high).all()
    assert np.isnan(jackknife(mean_of(np.ones((4, 1))), np.zeros(4))[1]).all()


def test_undefined_draws_are_left_out():
    # Two groups, each of one truth: half of the draws hold one group only and have no R².
    truth = np.repeat([[0.0], [1.0]], 3, axis=0)
    interval = clustered(lambda w: scores.r2(truth, truth + 0.1, weights=w), np.repeat([0, 1], 3))
    assert interval.low[0] == pytest.approx(1 - 0.01 / 0.25) == pytest.approx(interval.high[0])


def test_thousand_draws_of_three_thousand_maps_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(3000, 3))
    start = time.process_time()
    clustered(lambda w: scores.r2(truth, truth + 0.1, weights=w), np.arange(3000) // 24)
    assert time.process_time() - start < 2


def test_wrong_arguments_are_refused():
    for arguments in ({"method": "normal"}, {"level": 95}, {"draws": 0}):
        with pytest.raises(UsageError, match="bootstrap"):
            clustered(mean_of(np.ones((2, 1))), np.arange(2), **arguments)
    with pytest.raises(ShapeError, match="groups have shape"):
        group_index(np.array([]))


def test_effective_number_is_kishs_for_a_mean():
    K, m, icc = 800, 15, 0.4
    values, groups = random_effects(K, m, icc, 0)
    effective = effective_number(mean_of(values), groups)
    # n / (1 + 14 x 0.4); the variances of 800 group means and of 1000 parts are known to 5 % and 4.5 %.
    assert effective[0] == pytest.approx(K * m / (1 + (m - 1) * icc), rel=0.15)


def test_effective_number_of_independent_maps_is_their_number_and_never_above():
    values, _ = random_effects(400, 1, 0.0, 0)
    assert effective_number(mean_of(values), np.arange(400))[0] == pytest.approx(400)
    # Pairs that cancel each other are better than independent maps; they count as those.
    pairs = np.stack([values, -values + 0.01 * values**2], axis=1).reshape(-1, 1)
    assert effective_number(mean_of(pairs), np.repeat(np.arange(400), 2)) == pytest.approx([800])


def test_effective_number_is_unknown_where_a_score_does_not_vary_or_there_is_one_group():
    ones = np.ones((40, 1))
    assert np.isnan(effective_number(mean_of(ones), np.repeat(np.arange(8), 5)))
    assert np.isnan(effective_number(mean_of(random_effects(1, 9, 0, 0)[0]), np.zeros(9)))


def test_any_function_of_samples_is_a_score():
    values, groups = random_effects(30, 4, 0.5, 3)
    plain, made = mean_of(values), of_samples(lambda rows: rows.mean(axis=0), values)
    assert jackknife(made, groups)[1] == pytest.approx(jackknife(plain, groups)[1])
    first, second = (clustered(score, groups, draws=100) for score in (plain, made))
    assert second.low == pytest.approx(first.low) and second.high == pytest.approx(first.high)
    assert effective_number(made, groups) == pytest.approx(effective_number(plain, groups))
    median = clustered(of_samples(np.median, values[:, 0]), groups, draws=200)
    assert median.low < np.median(values) < median.high
    with pytest.raises(ShapeError, match="whole weights"):
        made(np.full((1, 120), 0.5))
    with pytest.raises(ShapeError, match="one length"):
        of_samples(np.mean, values, values[:-1])


def test_published_camels_predictions_have_errors_too_small_as_their_correlation_says(shared_data):
    table = np.genfromtxt(
        shared_data / "camels/camels_aion_test_predictions_latest.csv", delimiter=",", skip_header=1
    )
    truth, estimate = table[:, :1], table[:, 1:]
    _, index, sizes = np.unique(truth, return_inverse=True, return_counts=True)
    index, n, K = index.ravel(), len(truth), len(sizes)
    assert (n, K) == (2250, 920)  # every simulation of the suite has an Omega_m of its own
    effective = effective_number(lambda w: scores.bias(truth, estimate, weights=w), index)[0]
    # Intra-class correlation of the residuals from the analysis of variance (Donner & Koval 1980).
    residual = (estimate - truth)[:, 0]
    means = np.bincount(index, residual) / sizes
    between = (sizes * (means - residual.mean()) ** 2).sum() / (K - 1)
    within = ((residual - means[index]) ** 2).sum() / (n - K)
    typical = (n - (sizes**2).sum() / n) / (K - 1)
    icc = (between - within) / (between + (typical - 1) * within)
    expected = np.sqrt(1 + ((sizes**2).sum() / n - 1) * icc)
    assert icc == pytest.approx(0.61, abs=0.01)
    # Both variances are known to 5 %, their ratio's root to 3.5 %.
    assert np.sqrt(n / effective) == pytest.approx(expected, rel=0.05) == pytest.approx(1.5, abs=0.08)
