r"""Do the errors hold: simulation-based calibration and expected coverage (TARP).

If truths follow the prior that a posterior was trained under, then (i) the rank of each truth among its
``L`` draws is uniform (SBC: Talts et al. 2018, arXiv:1804.06788), and (ii) the credible region around any
reference point holds the truth with its own probability (TARP: Lemos et al. 2023, arXiv:2302.03026). Both
are necessary only: a posterior that ignores the map and returns the prior passes. Maps of one simulation are
one observation, so bands are bootstrapped over groups, and the p-value of SBC uses one map a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from skyloom.errors import ShapeError, UsageError
from skyloom.evaluate.bootstrap import clustered, group_index
from skyloom.evaluate.scores import average

REPEATS = 101  # choices of one map a group; odd, so that their median is one of them


@dataclass(frozen=True)
class Ranks:
    """Histogram of the ranks of the truth among posterior draws.

    Args:
        share: Share of samples in each bin, shape ``(bins, P)``; ``1 / bins`` if calibrated.
        low: Lower bound of the share over groups, same shape.
        high: Upper bound, same shape.
        p_value: Probability of so uneven a histogram if calibrated, shape ``(P,)``; NaN below ten groups.
        draws: Draws of each posterior.
        groups: Number of groups.
        samples: Number of samples.
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    draws: int
    groups: int
    samples: int


def sbc(
    truth: np.ndarray,
    samples: np.ndarray,
    groups: np.ndarray,
    *,
    bins: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Ranks:
    """Test the uniformity of the ranks of truths among draws of their posteriors.

    The p-value is that of a chi-square over one map a group, for 101 random choices of that map, combined as
    twice the median (valid however the choices depend on each other: Meinshausen, Meier & Bühlmann 2009,
    JASA 104, 1671).

    Args:
        truth: Shape ``(n, P)`` [u].
        samples: Draws, shape ``(n, L, P)`` [u].
        groups: Name of each sample's group, shape ``(n,)``.
        bins: Bins of the histogram; by default one for every five groups, between 2 and 20.
        bootstrap: Draws of the clustered band.
        seed: Seed of the choices, of the bootstrap and of the places among equals.

    Raises:
        ShapeError: The arrays do not fit together.
        UsageError: Fewer than two bins.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> draws = rng.normal(size=(200, 99, 1))
        >>> good = sbc(rng.normal(size=(200, 1)), draws, np.arange(200), bins=4)
        >>> narrow = sbc(rng.normal(size=(200, 1)), 0.5 * draws, np.arange(200), bins=4)
        >>> bool(good.p_value[0] > 0.05), bool(narrow.p_value[0] < 1e-6)
        (True, True)
    """
    _check(truth, samples, groups)
    index, K = group_index(groups)
    bins = int(np.clip(K // 5, 2, 20)) if bins is None else bins
    if bins < 2:
        raise UsageError(f"sbc: bins is {bins}; at least 2 are needed to see whether ranks are uniform")
    rng = np.random.default_rng(seed)
    position = _positions(samples < truth[:, None], samples == truth[:, None], rng)
    bin_of = np.minimum((position * bins).astype(int), bins - 1)
    one_hot = (bin_of[:, None, :] == np.arange(bins)[:, None]).astype(float)
    n, _, P = one_hot.shape
    flat = one_hot.reshape(n, -1)
    band = clustered(lambda w: average(flat, w), groups, draws=bootstrap, seed=seed)
    share, low, high = (values.reshape(bins, P) for values in (band.value, band.low, band.high))
    p_value = np.full(P, np.nan)
    if K >= 10:
        p_values = []
        for _ in range(REPEATS if n > K else 1):
            order = rng.permutation(n)
            chosen = order[np.unique(index[order], return_index=True)[1]]
            counts = one_hot[chosen].sum(axis=0)
            p_values.append(chi2.sf(((counts - K / bins) ** 2).sum(axis=0) / (K / bins), bins - 1))
        # Of one choice only there is nothing to combine.
        p_value = np.minimum(1.0, 2 * np.median(p_values, axis=0)) if n > K else p_values[0]
    return Ranks(share, low, high, p_value, samples.shape[1], K, n)


@dataclass(frozen=True)
class ExpectedCoverage:
    """Expected coverage of the joint posterior against credibility.

    Args:
        level: Credibility, shape ``(A,)``, from 0 to 1.
        coverage: Share of truths inside the region of that credibility, shape ``(A,)``.
        low: Lower bound over groups, same shape.
        high: Upper bound, same shape.
        deviation: Largest distance of ``coverage`` from ``level``.
    """

    level: np.ndarray
    coverage: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: float


def tarp(
    truth: np.ndarray,
    samples: np.ndarray,
    groups: np.ndarray,
    *,
    points: int = 21,
    references: int = 8,
    bootstrap: int = 1000,
    seed: int = 0,
) -> ExpectedCoverage:
    """Coverage of regions around random points (Lemos et al. 2023), over all parameters jointly.

    Reference points are uniform over the range of the truths, distances are Euclidean in units of that range.

    Args:
        truth: Shape ``(n, P)`` [u].
        samples: Draws, shape ``(n, L, P)`` [u].
        groups: Name of each sample's group, shape ``(n,)``.
        points: Credibilities at which the curve is given.
        references: Reference points a sample, averaged over.
        bootstrap: Draws of the clustered band.
        seed: Seed of the references and of the bootstrap.

    Raises:
        ShapeError: The arrays do not fit together.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> centre = rng.normal(size=(2000, 2))
        >>> truth = centre + rng.normal(size=(2000, 2))
        >>> curve = tarp(truth, centre[:, None] + rng.normal(size=(2000, 100, 2)), np.arange(2000))
        >>> bool(curve.deviation < 0.03)
        True
    """
    _check(truth, samples, groups)
    rng = np.random.default_rng(seed)
    span = np.ptp(truth, axis=0)
    span = np.where(span > 0, span, 1.0)
    levels = np.linspace(0, 1, points)
    inside = np.zeros((len(truth), points))
    for _ in range(references):
        point = truth.min(axis=0) + span * rng.random(truth.shape)
        radius = (((truth - point) / span) ** 2).sum(axis=-1)[:, None]
        distance = (((samples - point[:, None]) / span) ** 2).sum(axis=-1)
        credibility = _positions(distance < radius, distance == radius, rng)
        inside += (credibility[:, None] <= levels) / references
    band = clustered(lambda w: average(inside, w), groups, draws=bootstrap, seed=seed)
    return ExpectedCoverage(levels, band.value, band.low, band.high, float(abs(band.value - levels).max()))


def _positions(below: np.ndarray, equal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Place of the truth among draws (axis 1), uniform on [0, 1) if calibrated; chance decides ties."""
    L = below.shape[1]
    ties = equal.sum(axis=1)
    rank = below.sum(axis=1) + rng.integers(0, ties + 1)
    return np.asarray((rank + rng.random(rank.shape)) / (L + 1))


def _check(truth: np.ndarray, samples: np.ndarray, groups: np.ndarray) -> None:
    n, P = np.shape(truth) if np.ndim(truth) == 2 else (-1, -1)
    if np.ndim(samples) != 3 or (len(samples), samples.shape[-1]) != (n, P) or len(groups) != n:
        raise ShapeError(
            f"truth {np.shape(truth)}, samples {np.shape(samples)} and groups {np.shape(groups)} do not fit;"
            " (n, P), (n, draws, P) and (n,) were expected"
        )
