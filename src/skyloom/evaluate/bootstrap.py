r"""Error bars over groups: the clustered bootstrap and the jackknife.

Maps of one simulation share their truth and much of their error; resampling maps as if they were
independent gives bars that are too small by up to :math:`\sqrt{1 + (m-1)\rho}` for ``m`` maps a group with
intra-class correlation :math:`\rho`. So whole groups are drawn with replacement (Cameron, Gelbach & Miller
2008, Rev. Econ. Stat. 90, 414): a draw is a row of multinomial counts over groups, and becomes a row of
weights over samples, so that a score that takes weights is computed for all draws at once.

With ``K`` groups a percentile interval is too narrow by about :math:`\sqrt{(K-1)/K}` and by the difference
of a normal and Student's t. The default takes wider percentiles, :math:`\alpha'/2 = \Phi(-\sqrt{K/(K-1)}\,
t_{1-\alpha/2, K-1})` (Hesterberg 2015, Am. Stat. 69, 371), which are the usual ones as ``K`` grows.
With one group there is no interval: its bounds are NaN.

`effective_number` says the same as a number of maps: how many independent ones would give the error that the
groups give. Per-map errors are too small by the square root of the number of maps over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t

from skyloom.errors import ShapeError, UsageError

Score = Callable[[np.ndarray], np.ndarray]
BLOCK = 4_000_000  # weights held at once: 32 MB, and large enough that the matrix product rules
PARTS = 1000  # parts left out in turn where maps are taken for independent: their variance is known to 4.5 %


@dataclass(frozen=True)
class Interval:
    """A value with its interval over groups.

    Args:
        value: The score with every sample weighed alike, shape ``(...)``.
        low: Lower bound, same shape; NaN if there are fewer than two groups or no finite draw.
        high: Upper bound, same shape.
        groups: Number of groups, the size of the sample that counts.
        samples: Number of samples.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    groups: int
    samples: int


def group_index(groups: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the number of each sample's group, shape ``(n,)``, and how many groups there are.

    Raises:
        ShapeError: ``groups`` is not one-dimensional or is empty.

    Example:
        >>> index, K = group_index(np.array(["b", "a", "b"]))
        >>> index.tolist(), K
        ([1, 0, 1], 2)
    """
    groups = np.asarray(groups)
    if groups.ndim != 1 or not groups.size:
        raise ShapeError(
            f"groups have shape {groups.shape}; one name a sample is needed, and at least one sample"
        )
    names, index = np.unique(groups, return_inverse=True)
    return index.ravel(), len(names)


def clustered(
    score: Score,
    groups: np.ndarray,
    *,
    draws: int = 1000,
    level: float = 0.95,
    method: Literal["expanded", "percentile", "bca"] = "expanded",
    seed: int = 0,
) -> Interval:
    """Bootstrap a score over groups.

    Args:
        score: Function of weights ``(D, n)`` that returns ``(D, ...)``, as those of
            ``skyloom.evaluate.scores`` with their data bound.
        groups: Name of each sample's group, shape ``(n,)``.
        draws: Bootstrap draws.
        level: Probability inside the interval.
        method: ``percentile``; ``expanded``, percentiles widened for few groups; ``bca``, corrected for
            bias and skewness (Efron 1987), for scores near a bound.
        seed: Seed of the draws.

    Returns:
        The value and its interval. Draws in which the score is undefined are left out.

    Raises:
        UsageError: An unknown method, a level outside (0, 1) or no draws.
        ShapeError: ``groups`` is empty or not one-dimensional.

    Example:
        >>> values = np.repeat([[0.0], [1.0]], 50, axis=0)
        >>> mean = clustered(lambda w: w @ values / w.sum(-1, keepdims=True), np.repeat(["a", "b"], 50))
        >>> float(mean.value[0]), float(mean.low[0]), float(mean.high[0]), mean.groups
        (0.5, 0.0, 1.0, 2)
    """
    if method not in ("expanded", "percentile", "bca") or not 0 < level < 1 or draws < 1:
        raise UsageError(
            f"bootstrap: method {method!r}, level {level}, draws {draws}; method must be expanded, percentile"
            " or bca, level between 0 and 1, draws at least 1"
        )
    index, K = group_index(groups)
    value = np.asarray(score(np.ones((1, len(index)))))[0]
    if K < 2:
        nothing = np.full(np.shape(value), np.nan)
        return Interval(value, nothing, nothing, K, len(index))
    counts = np.random.default_rng(seed).multinomial(K, np.full(K, 1 / K), size=draws)
    replicates = _scores(score, counts, index)
    if method == "bca":
        tails = _bca_tails(value, replicates, _scores(score, 1 - np.eye(K), index), level)
    else:
        z = norm.ppf((1 + level) / 2)
        if method == "expanded":
            z = np.sqrt(K / (K - 1)) * t.ppf((1 + level) / 2, K - 1)
        tails = np.broadcast_to(norm.cdf([-z, z]).reshape(2, *[1] * np.ndim(value)), (2, *np.shape(value)))
    low, high = _quantiles(replicates, tails)
    return Interval(value, low, high, K, len(index))


def jackknife(score: Score, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a score and its standard error, leaving out one group at a time.

    Args:
        score: As for ``clustered``.
        groups: Name of each sample's group, shape ``(n,)``.

    Returns:
        ``(value, error)``, each of the score's shape; the error is NaN with fewer than two groups.

    Raises:
        ShapeError: ``groups`` is empty or not one-dimensional.

    Example:
        >>> values = np.array([[1.0], [2.0], [3.0], [4.0]])
        >>> value, error = jackknife(lambda w: w @ values / w.sum(-1, keepdims=True), np.arange(4))
        >>> bool(np.isclose(error[0], values.std(ddof=1) / 2))  # sd / sqrt(n) for the mean of four
        True
    """
    index, K = group_index(groups)
    value = np.asarray(score(np.ones((1, len(index)))))[0]
    if K < 2:
        return value, np.full(np.shape(value), np.nan)
    left_out = _scores(score, 1 - np.eye(K), index)
    return value, np.sqrt((K - 1) * ((left_out - left_out.mean(axis=0)) ** 2).mean(axis=0))


def of_samples(function: Callable[..., ArrayLike], *columns: ArrayLike) -> Score:
    """Make a score that takes weights out of any function of samples, such as a median or a library's.

    Every draw calls the function once, with each sample as often as its weight says; a function that takes
    weights itself is faster.

    Args:
        function: Takes arrays of samples, in the order of ``columns``, and returns a number or an array.
        columns: What it takes, each with the ``n`` samples along its first axis.

    Returns:
        A score for ``clustered``, ``jackknife`` and ``effective_number``.

    Raises:
        ShapeError: The columns are not of one length, or (when called) a weight is no count.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> of_samples(np.median, values)(np.array([[1, 1, 1], [0, 1, 2]])).tolist()
        [2.0, 6.0]
    """
    arrays = [np.asarray(column) for column in columns]
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ShapeError(f"a score of samples needs columns of one length, found {sorted(lengths)}")

    def score(weights: np.ndarray) -> np.ndarray:
        counts = np.asarray(weights)
        if (counts < 0).any() or (counts != np.rint(counts)).any():
            raise ShapeError("a function of samples takes whole weights; 0.5 of a sample cannot be given")
        rows = [np.repeat(np.arange(counts.shape[-1]), row.astype(int)) for row in counts]
        return np.stack([np.asarray(function(*(array[row] for array in arrays)), float) for row in rows])

    return score


def effective_number(score: Score, groups: np.ndarray, *, seed: int = 0) -> np.ndarray:
    r"""Return how many independent maps would give a score the error that it has over groups.

    .. math:: n_\mathrm{eff} = n \, V_\mathrm{map} / V_\mathrm{group}, \qquad
              \mathrm{of\ a\ mean:}\ \ n_\mathrm{eff} = n / [1 + (m - 1)\,\rho]

    with the score's variance by the jackknife over groups, and over maps as if each were independent; the
    second form is Kish's (1965) for ``m`` maps a group of intra-class correlation ρ. With many maps,
    ``PARTS`` random parts are left out in turn instead of single maps. Maps of a group that differ more than
    chance would let them (ρ < 0) count as independent: the number is never above ``n``. It is itself known
    to about :math:`\sqrt{2/K}` of its value for ``K`` groups. The jackknife is wrong for scores that jump,
    such as a median.

    Args:
        score: As for ``clustered``.
        groups: Name of each sample's group, shape ``(n,)``.
        seed: Seed of the parts.

    Returns:
        The number, in the score's shape; NaN with fewer than two groups, or where the score does not vary.

    Raises:
        ShapeError: ``groups`` is empty or not one-dimensional.

    Example:
        >>> values = np.repeat(np.random.default_rng(0).normal(size=(40, 1)), 15, axis=0)
        >>> mean = lambda w: w @ values / w.sum(-1, keepdims=True)
        >>> effective_number(mean, np.repeat(np.arange(40), 15)).round().tolist()  # twins count once
        [39.0]
    """
    value, by_group = jackknife(score, groups)
    n = len(groups)
    parts = np.random.default_rng(seed).permutation(n) * min(n, PARTS) // n
    _, by_map = jackknife(score, parts)
    unknown = np.full(np.shape(by_group), np.nan)
    varies = by_group > 1e-9 * np.abs(value)  # a score that is 1 for every draw differs by rounding only
    number = np.divide(n * by_map**2, by_group**2, out=unknown, where=varies)
    return np.asarray(np.minimum(number, n))


def _scores(score: Score, counts: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Apply the score to rows of group counts, in blocks that fit in memory."""
    step = max(1, BLOCK // len(index))
    blocks = [score(counts[start : start + step, index]) for start in range(0, len(counts), step)]
    return np.concatenate([np.asarray(block, float) for block in blocks])


def _bca_tails(value: np.ndarray, replicates: np.ndarray, left_out: np.ndarray, level: float) -> np.ndarray:
    """Probabilities of the BCa percentiles (Efron 1987), shape ``(2, ...)``."""
    below = (replicates < value).mean(axis=0) + (replicates == value).mean(axis=0) / 2
    edge = 0.5 / len(replicates)
    z0 = norm.ppf(np.clip(below, edge, 1 - edge))
    influence = left_out.mean(axis=0) - left_out
    scale = (influence**2).sum(axis=0) ** 1.5
    a = np.divide((influence**3).sum(axis=0), 6 * scale, out=np.zeros(np.shape(scale)), where=scale > 0)
    z = z0 + norm.ppf([(1 - level) / 2, (1 + level) / 2]).reshape(2, *[1] * np.ndim(value))
    return np.asarray(norm.cdf(z0 + z / (1 - a * z)))


def _quantiles(replicates: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Quantiles of the finite draws at a probability for each entry, shape ``(2, ...)``."""
    flat = replicates.reshape(len(replicates), -1)
    bounds = np.full((2, flat.shape[1]), np.nan)
    for column, pair in enumerate(tails.reshape(2, -1).T):
        finite = flat[np.isfinite(flat[:, column]), column]
        if finite.size and np.isfinite(pair).all():
            bounds[:, column] = np.quantile(finite, pair)
    return bounds.reshape(tails.shape)
