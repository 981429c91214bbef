"""Distances have the closed forms of Gaussians, their symmetries, and see what they are named for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import distances as d


def gaussian(n: int, D: int = 1, *, mean: float = 0.0, sd: float = 1.0, seed: int = 0) -> np.ndarray:
    return mean + sd * np.random.default_rng(seed).standard_normal((n, D))


def test_wasserstein_of_gaussians():
    a, b = gaussian(40_000, seed=1)[:, 0], gaussian(50_000, mean=2.0, sd=3.0, seed=2)[:, 0]
    # W2² = (μ1 - μ2)² + (σ1 - σ2)²
    assert d.wasserstein(a, b, order=2) == pytest.approx(np.sqrt(8), rel=0.02)
    # A shift moves every quantile alike, whatever the order.
    assert d.wasserstein(a, a + 2.0) == pytest.approx(2.0)
    assert d.wasserstein(a, a + 2.0, order=3) == pytest.approx(2.0)


def test_wasserstein_of_unequal_numbers_is_that_of_repeated_values():
    a, b = np.array([0.0, 1.0, 5.0]), np.array([2.0, 4.0])
    for order in (1, 2):
        assert d.wasserstein(a, b, order=order) == pytest.approx(
            d.wasserstein(np.repeat(a, 2), np.repeat(b, 3), order=order)
        )


def test_sliced_wasserstein_of_a_shift():
    a = gaussian(2000, 3, seed=1)
    # The mean square of the projections of the shift is |shift|² / D.
    assert d.sliced_wasserstein(a, a + 2.0, directions=1000) == pytest.approx(2.0, rel=0.05)
    assert d.sliced_wasserstein(a, gaussian(2000, 3, seed=2) + 2.0, directions=1000) == pytest.approx(
        2.0, rel=0.05
    )


def test_mmd_of_gaussians():
    h, s, shift = 1.5, 1.0, 1.0
    a, b = gaussian(3000, seed=1), gaussian(3000, mean=shift, seed=2)
    # E k(x, y) of two Gaussians of width s a distance D apart: h / sqrt(h² + 2 s²) exp(-D² / 2 (h² + 2 s²)).
    width = h**2 + 2 * s**2
    expected = 2 * h / np.sqrt(width) * (1 - np.exp(-(shift**2) / (2 * width)))
    assert d.mmd(a, b, bandwidth=h) == pytest.approx(expected, rel=0.1)


def test_mmd_is_unbiased_for_equal_laws():
    found = [
        d.mmd(gaussian(40, 2, seed=2 * i), gaussian(40, 2, seed=2 * i + 1), bandwidth=1.0) for i in range(200)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    assert 0.3 < np.mean(np.array(found) < 0) < 0.8


def test_frechet_of_gaussians():
    a, b = gaussian(50_000, 2, seed=1), gaussian(50_000, 2, mean=1.0, sd=3.0, seed=2)
    # |Δμ|² = 2 and tr = 2 (σ1 - σ2)² = 8.
    assert d.frechet(a, b) == pytest.approx(10.0, rel=0.02)
    # Covariances that do not commute: the definition with a plain matrix root.
    import scipy.linalg

    first, second = a @ np.array([[1.0, 0.7], [0.0, 0.5]]), b @ np.array([[0.4, -0.3], [0.9, 1.1]])
    S1, S2 = np.cov(first.T), np.cov(second.T)
    cross = scipy.linalg.sqrtm(S1 @ S2)
    direct = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(S1 + S2 - 2 * cross.real)
    assert d.frechet(first, second) == pytest.approx(direct, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_auc_of_two_shifted_gaussians(shift):
    n = 1000
    a, b = gaussian(n, seed=1), gaussian(n, mean=shift, seed=2)
    area = d.two_sample_auc(a, b, np.arange(n), np.arange(n, 2 * n))
    # The best classifier of two unit Gaussians has Φ(d / √2); 1000 of each leave an error of 0.013 at most.
    assert area == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.04)


@pytest.mark.parametrize("classifier", ["logistic", "boosting"])
def test_auc_sees_a_difference_of_widths(classifier):
    n = 400
    a, b = gaussian(n, 2, seed=1), gaussian(n, 2, sd=3.0, seed=2)
    groups = np.arange(n)
    assert d.two_sample_auc(a, b, groups, groups + n, classifier=classifier) > 0.8


def test_auc_does_not_learn_groups():
    # Fifteen samples a group hug their group's own centre: with groups torn apart a classifier remembers.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 15)
    points = rng.standard_normal((40, 12))[groups] + 0.05 * rng.standard_normal((600, 12))
    first = groups < 20
    honest = d.two_sample_auc(
        points[first], points[~first], groups[first], groups[~first], classifier="boosting"
    )
    torn = d.two_sample_auc(
        points[first], points[~first], np.arange(300), np.arange(300, 600), classifier="boosting"
    )
    assert torn > 0.95 and honest < 0.8


def test_manifold_of_equal_laws_and_of_what_is_missing():
    real, twin = gaussian(600, 2, seed=1), gaussian(600, 2, seed=2)
    same = d.manifold(real, twin)
    assert min(same.precision, same.recall, same.coverage) > 0.93
    assert same.density == pytest.approx(1.0, abs=0.1)
    # Naeem et al. (2020), lemma 2: the expected coverage of equal laws with n = m is 1 - 1 / 2^k about.
    assert same.coverage == pytest.approx(1 - 2**-5, abs=0.03)
    collapsed = d.manifold(real, twin[twin[:, 0] > 0])
    assert collapsed.precision > 0.93 and collapsed.recall < 0.7 and collapsed.coverage < 0.7
    noisy = d.manifold(real, twin + gaussian(600, 2, sd=3.0, seed=3))
    assert noisy.precision < 0.6 and noisy.recall > 0.93


@pytest.mark.parametrize("distance", [d.sliced_wasserstein, d.mmd, d.frechet])
def test_symmetries(distance):
    a, b = gaussian(80, 3, seed=1), gaussian(60, 3, mean=0.5, seed=2)
    forth = distance(a, b)
    assert distance(b, a) == pytest.approx(forth, abs=1e-9)
    assert distance(a[::-1], b) == pytest.approx(forth, abs=1e-9)
    assert distance(a + 5.0, b + 5.0) == pytest.approx(forth, abs=1e-9)
    assert forth > distance(a, a) - 1e-12


def test_change_of_units():
    a, b = gaussian(80, 3, seed=1), gaussian(60, 3, mean=0.5, seed=2)
    assert d.sliced_wasserstein(10 * a, 10 * b) == pytest.approx(10 * d.sliced_wasserstein(a, b))
    assert d.frechet(10 * a, 10 * b) == pytest.approx(100 * d.frechet(a, b))
    assert d.mmd(10 * a, 10 * b) == pytest.approx(d.mmd(a, b))
    for scaled, plain in zip(d.manifold(10 * a, 10 * b), d.manifold(a, b), strict=True):
        assert scaled == plain


def test_normalised_has_the_scale_of_the_bulk_and_drops_what_is_constant():
    bulk = gaussian(20_000, 2, mean=3.0, sd=2.0)
    wild = np.concatenate([bulk, np.full((20, 2), 1e6)])
    a, b = d.normalised(np.column_stack([wild, np.full(len(wild), 1.0)]), np.full((1, 3), 5.0))
    assert a.shape[1] == b.shape[1] == 2
    # One sd above the mean, whatever a thousandth of the values does.
    assert b == pytest.approx(np.full((1, 2), np.arcsinh(1.0)), rel=0.03)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: d.wasserstein([0.0], [1.0], order=0), UsageError, "order is 0"),
        (lambda: d.wasserstein([], [1.0]), DataError, "has 0 samples"),
        (lambda: d.mmd(np.zeros((4, 1)), np.zeros((4, 1))), DataError, "are equal"),
        (lambda: d.mmd(gaussian(4), gaussian(4), bandwidth=-1.0), UsageError, "bandwidth is -1.0"),
        (lambda: d.frechet(gaussian(4, 2), gaussian(4, 3)), ShapeError, "2 and 3 features"),
        (lambda: d.manifold(gaussian(5), gaussian(9)), DataError, "has 5 samples, and 6 are needed"),
        (lambda: d.frechet(np.array([[0.0], [np.nan]]), gaussian(4)), DataError, "the first 1"),
        (
            lambda: d.two_sample_auc(gaussian(4), gaussian(4), np.zeros(4), np.arange(4)),
            DataError,
            "one group only",
        ),
    ],
)
def test_wrong_input_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
