r"""Comparing ensembles whose samples come in groups: mean curves, and errors of any distance.

Samples of one simulation are not independent, so means are taken within groups first, and errors leave out
whole groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError

Array = NDArray[Any]


class Estimate(NamedTuple):
    """A distance, or several, with standard errors."""

    value: Array
    """Shape ``(...)``, that of what the distance returns."""
    error: Array
    """Same shape; NaN where an ensemble has fewer than two groups."""


class CurveError(NamedTuple):
    """How far a mean curve is from another; NaN where the scale is zero or unknown."""

    sigma: Array
    """Absolute difference in units of the sample variance's root, shape ``(bins,)``."""
    percent: Array
    """Absolute difference in per cent of the first curve, shape ``(bins,)``."""
    gap: Array
    """Absolute difference in the unit of the curves, shape ``(bins,)``."""


class Moments(NamedTuple):
    """Mean and spread over groups."""

    mean: Array
    """Shape ``(...)``."""
    sd: Array
    """Same shape; NaN where fewer than two groups are known."""


def curve_error(first: Array, second: Array, first_groups: Array, second_groups: Array) -> CurveError:
    r"""Error of a mean summary statistic, such as P(k), relative to its sample variance and in per cent.

    .. math:: e_\sigma = |\bar S_2 - \bar S_1| / \mathrm{sd}_g(S_1), \qquad
              e_\% = 100 \, |\bar S_2 - \bar S_1| / |\bar S_1|

    Samples are averaged within their group, then over groups; the sd is that over the groups of the first
    ensemble, so ``e_sigma = 1`` is the difference that one simulation shows from the mean of all. A bin that
    is NaN in a sample, since it holds nothing there, is averaged over the others.

    Args:
        first: The statistic of the reference, shape ``(n, bins)``, in any unit.
        second: The statistic of the other ensemble, shape ``(m, bins)``, same unit.
        first_groups: Group of each sample of the reference, shape ``(n,)``.
        second_groups: Group of each sample of the other, shape ``(m,)``.

    Returns:
        ``CurveError(sigma, percent, gap)``, each of shape ``(bins,)``.

    Raises:
        ShapeError: The bins differ, or groups and samples differ in number.

    Example:
        >>> real = np.array([[1.0], [2.0], [3.0]])
        >>> error = curve_error(real, np.array([[3.0]]), np.arange(3), np.zeros(1))
        >>> float(error.sigma[0]), float(error.percent[0])
        (1.0, 50.0)
    """
    means = [group_means(*pair)[0] for pair in ((first, first_groups), (second, second_groups))]
    if means[0].shape[1] != means[1].shape[1]:
        raise ShapeError(f"curves of {means[0].shape[1]} and {means[1].shape[1]} bins cannot be compared")
    reference, spread = moments(means[0])
    gap = np.abs(moments(means[1]).mean - reference)
    nothing = np.full(gap.shape, np.nan)
    # Rounding leaves a spread where all groups are equal.
    spread = np.where(spread > 1e-12 * np.abs(reference), spread, np.nan)
    percent = 100 * np.divide(gap, np.abs(reference), out=nothing.copy(), where=reference != 0)
    return CurveError(gap / spread, percent, gap)


def group_means(values: Array, groups: Array) -> tuple[Array, Array]:
    """Return the mean of every group, shape ``(K, ...)``, and the groups' names, sorted.

    Args:
        values: Shape ``(n, ...)``, in any unit; NaN does not count, and a group without a number has NaN.
        groups: Group of each sample, shape ``(n,)``.

    Raises:
        ShapeError: Groups and samples differ in number, or there is none.

    Example:
        >>> means, names = group_means(np.array([1.0, 3.0, 5.0]), np.array(["b", "b", "a"]))
        >>> means.tolist(), names.tolist()
        ([5.0, 2.0], ['a', 'b'])
    """
    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    if groups.ndim != 1 or len(groups) != len(values) or not groups.size:
        raise ShapeError(
            f"{len(values)} samples and groups of shape {groups.shape}; one name a sample is needed"
        )
    names, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(index.ravel(), kind="stable")
    starts, known = np.cumsum([0, *counts[:-1]]), ~np.isnan(values)
    sums = np.add.reduceat(np.where(known, values, 0.0)[order], starts, axis=0)
    numbers = np.add.reduceat(known[order], starts, axis=0, dtype=np.int64)
    return np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0), names


def moments(means: Array) -> Moments:
    """Return mean and sd over the groups that know a bin.

    Args:
        means: Of ``K`` groups, shape ``(K, ...)``, in any unit; NaN where a group does not know it.

    Returns:
        ``Moments(mean, sd)`` in the unit of the means, shape ``(...)``; NaN where no group, and of the sd
        where one group alone, knows a bin.

    Example:
        >>> found = moments(np.array([[1.0, np.nan], [3.0, 5.0]]))
        >>> found.mean.tolist(), found.sd.round(3).tolist()
        ([2.0, 5.0], [1.414, nan])
    """
    known = ~np.isnan(means)
    number = known.sum(axis=0)
    nothing = np.full(number.shape, np.nan)
    mean = np.divide(np.where(known, means, 0.0).sum(axis=0), number, out=nothing.copy(), where=number > 0)
    square = np.where(known, np.square(means - mean), 0.0).sum(axis=0)
    variance = np.divide(square, number - 1, out=nothing, where=number > 1)
    return Moments(mean, np.sqrt(variance))


def jackknifed(
    distance: Callable[[Array, Array], Any],
    first_groups: Array,
    second_groups: Array,
    *,
    blocks: int = 20,
    seed: int = 0,
) -> Estimate:
    r"""A distance with the standard error of a jackknife over blocks of whole groups.

    .. math:: \mathrm{var} = \sum_{e} \frac{B_e - 1}{B_e} \sum_{b} (d_{(b)} - \bar d_e)^2

    over the ensembles ``e``, where ``d_(b)`` leaves out block ``b``. Ensembles that share names of groups are
    paired: a block is then left out of both at once, and there is one sum.

    Args:
        distance: Function of the rows kept of the first and of the second ensemble, both ascending, that
            returns one number or an array of any shape.
        first_groups: Group of each sample of the first ensemble, shape ``(n,)``.
        second_groups: Group of each sample of the second, shape ``(m,)``.
        blocks: At most so many blocks an ensemble; fewer where there are fewer groups.
        seed: Which groups share a block.

    Returns:
        ``Estimate(value, error)``, the value that of all rows, both in the unit of the distance.

    Raises:
        UsageError: Fewer than 2 blocks.

    Example:
        >>> x, y = np.arange(10.0), np.zeros(5)
        >>> gap = jackknifed(lambda i, j: x[i].mean() - y[j].mean(), np.arange(10), np.arange(90, 95))
        >>> round(float(gap.value), 6), bool(np.isclose(gap.error, x.std(ddof=1) / np.sqrt(10)))
        (4.5, True)
    """
    if blocks < 2:
        raise UsageError(f"jackknifed: blocks is {blocks!r}, allowed: 2 or more")
    sides = [np.asarray(first_groups).astype(str), np.asarray(second_groups).astype(str)]
    everything = [np.arange(len(side)) for side in sides]
    value = np.asarray(distance(*everything), np.float64)
    unknown = np.full(value.shape, np.nan)
    names = [np.unique(side) for side in sides]
    shared = bool(np.isin(names[0], names[1]).any())
    rng, variance = np.random.default_rng(seed), np.zeros(value.shape)
    for own in [np.union1d(*names)] if shared else names:
        if len(own) < 2:
            return Estimate(value[()], unknown[()])
        without = []
        for block in np.array_split(rng.permutation(own), min(blocks, len(own))):
            kept = [np.flatnonzero(~np.isin(side, block)) for side in sides]
            if all(rows.size for rows in kept):
                without.append(np.asarray(distance(*kept), np.float64))
        B = len(without)
        if B < 2:
            return Estimate(value[()], unknown[()])
        deviation = np.stack(without) - np.mean(without, axis=0)
        variance += (B - 1) / B * np.square(deviation).sum(axis=0)
    return Estimate(value[()], np.sqrt(variance)[()])
