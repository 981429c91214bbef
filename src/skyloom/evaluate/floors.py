"""What is the best that can be reached, and how far apart are two real sets.

Two halves of the real set, split by group, differ by chance alone: a score no worse than theirs cannot be
told from real. The sd of a statistic over groups is its cosmic variance, the unit in which errors of curves
are told.

Noise in the labels sets a ceiling of its own: a map cut from a box is labelled with a property of the whole
box (``x_HI``), but shows its own (``x_HI_slice``). Even who reads that perfectly errs by their difference.
The ceiling regresses the box label on the slice label, on the train side, and is judged as a prediction like
any other; only what the shapes in the slice tell of the rest of its box lies above it. It holds for any pair
``<name>`` and ``<name>_slice``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from skyloom.errors import DataError, UsageError
from skyloom.statistics.grouped import group_means
from skyloom.tasks.prediction import prediction


def halves(
    groups: np.ndarray, covariates: np.ndarray | None = None, *, tries: int = 64, seed: int = 0
) -> np.ndarray:
    """Deal whole groups to two halves that are alike in their parameters.

    Of ``tries`` random deals the one is taken whose means of the covariates differ least, as in a
    rerandomised trial (Morgan & Rubin 2012, Ann. Stat. 40, 1263): what is left is the chance of the initial
    conditions.

    Args:
        groups: Group of each sample, shape ``(n,)``.
        covariates: Parameters of each sample, shape ``(n, P)``, in any units; None for none.
        tries: Deals to choose from.
        seed: Seed of the deals.

    Returns:
        Whether each sample is in the first half, shape ``(n,)``; halves differ by at most one group.

    Raises:
        DataError: Fewer than two groups.
        UsageError: ``tries`` is less than 1.

    Example:
        >>> first = halves(np.array(["a", "a", "b", "c", "d"]))
        >>> bool(first[0] == first[1]), len({group for group, kept in zip("aabcd", first) if kept})
        (True, 2)
    """
    if tries < 1:
        raise UsageError(f"halves: tries is {tries!r}, allowed: 1 or more")
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    index, K = index.ravel(), len(names)
    if K < 2:
        raise DataError(
            f"a set of {K} group cannot be split into two halves",
            hint="give two simulations or more; maps of one simulation are no independent halves",
        )
    means = np.zeros((K, 0)) if covariates is None else group_means(covariates, index)[0]
    means = (means - means.mean(axis=0)) / np.maximum(means.std(axis=0), 1e-300)
    rng = np.random.default_rng(seed)
    best, least = np.zeros(K, dtype=bool), np.inf
    for _ in range(tries if means.shape[1] else 1):
        first = np.zeros(K, dtype=bool)
        first[rng.permutation(K)[: K // 2]] = True
        gap = float(np.square(means[first].mean(axis=0) - means[~first].mean(axis=0)).sum())
        if gap < least:
            best, least = first, gap
    return np.asarray(best[index])


def cosmic_variance(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of a statistic and its sd between simulations.

    Args:
        values: The statistic of each sample, shape ``(n, ...)``, in any unit ``u``.
        groups: Group of each sample, shape ``(n,)``.

    Returns:
        ``(mean, sd)`` [u] over groups of the groups' means, each of shape ``(...,)``; the sd of one group is
        NaN.

    Raises:
        ShapeError: Groups and samples differ in number, or there is none.

    Example:
        >>> mean, sd = cosmic_variance(np.array([1.0, 3.0, 4.0]), np.array(["a", "a", "b"]))
        >>> float(mean), round(float(sd), 6)
        (3.0, 1.414214)
    """
    means, names = group_means(values, groups)
    sd = means.std(axis=0, ddof=1) if len(names) > 1 else np.full(means.shape[1:], np.nan)
    return means.mean(axis=0), sd


def halves_apart(values: np.ndarray, groups: np.ndarray, *, splits: int = 20, seed: int = 0) -> float:
    """Return how far the means of two random halves of a set lie apart at most, in units of its spread.

    Args:
        values: A statistic of each sample, shape ``(n, ...)``, in any unit.
        groups: Group of each sample, shape ``(n,)``.
        splits: Splits whose largest differences are averaged.
        seed: Seed of the splits.

    Returns:
        The largest difference over all bins, in units of the sd over groups; NaN for fewer than four groups,
        or where no bin has a spread.

    Raises:
        ShapeError: Groups and samples differ in number, or there is none.

    Example:
        >>> groups = np.arange(100)
        >>> gap = halves_apart(np.random.default_rng(0).standard_normal(100), groups)
        >>> 0.1 < gap < 0.25  # the mean of |N(0, 4 / 100)| is 0.16
        True
    """
    means, names = group_means(values, groups)
    if len(names) < 4:
        return float("nan")
    sd = means.std(axis=0, ddof=1)
    found = []
    for split in range(splits):
        first = halves(np.arange(len(names)), seed=seed + split)
        gap = np.abs(means[first].mean(axis=0) - means[~first].mean(axis=0))
        ratio = np.divide(gap, sd, out=np.full(gap.shape, np.nan), where=sd > 0)
        if np.isfinite(ratio).any():
            found.append(float(np.nanmax(ratio)))
    return float(np.mean(found)) if found else float("nan")


def label_noise(
    train: xr.Dataset,
    side: xr.Dataset,
    parameters: Sequence[str],
    *,
    levels: Sequence[float] = (0.68, 0.95),
    scores: Sequence[str] = (),
) -> xr.Dataset | None:
    """Predict box labels from the true slice labels by a straight line fitted on the train side.

    Args:
        train: Table (coordinates on ``sample``) of the train side.
        side: Table of the side to judge.
        parameters: Names of the targets; those without a ``<name>_slice`` in both tables are left out.
        levels: Levels of the intervals, from the residual sd on the train side.
        scores: Names of the scores to judge by.

    Returns:
        A prediction of those parameters, or None if there are none.

    Raises:
        DataError: A slice label is the same in all train samples, or a label is not finite.

    Example:
        >>> own = np.linspace(0, 1, 5)
        >>> table = xr.Dataset(coords={"sample": list("abcde"), "group": ("sample", list("abcde")),
        ...     "x_HI": ("sample", 0.1 + 0.8 * own), "x_HI_slice": ("sample", own)})
        >>> label_noise(table, table, ["x_HI"])["mean"].values.ravel().round(2).tolist()
        [0.1, 0.3, 0.5, 0.7, 0.9]
    """
    pairs = [
        name
        for name in parameters
        if all(f"{name}_slice" in t.coords and name in t.coords for t in (train, side))
    ]
    if not pairs:
        return None
    columns = [_line(train, side, name) for name in pairs]
    mean = np.stack([line for line, _ in columns], axis=1)
    sd = np.broadcast_to([spread for _, spread in columns], mean.shape)
    units = {name: str(side[name].attrs.get("units", "")) for name in pairs}
    return prediction({"mean": mean, "sd": sd}, side, units=units, levels=levels, scores=scores)


def _line(train: xr.Dataset, side: xr.Dataset, name: str) -> tuple[np.ndarray, float]:
    """Predicted box label of the side and the residual sd on the train side."""
    own, box = (np.asarray(train[key].values, float) for key in (f"{name}_slice", name))
    seen = np.asarray(side[f"{name}_slice"].values, float)
    if (
        not (np.isfinite(own).all() and np.isfinite(box).all() and np.isfinite(seen).all())
        or np.ptp(own) == 0
    ):
        raise DataError(
            f"labels '{name}' and '{name}_slice' must be finite and the latter must vary over the train side",
            hint="mend the table; without the slice label no ceiling is computed",
        )
    slope, intercept = np.polyfit(own, box, 1)
    residual = box - (intercept + slope * own)
    spread = max(float(np.sqrt((residual**2).mean())), 1e-6 * float(box.std()))
    return intercept + slope * seen, spread
