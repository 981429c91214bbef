r"""Tables: marginals, dependence and conditional laws of numbers, real against generated.

What a table of numbers has to tell is fewer things than a map, and each can be asked: how every number is
spread (Kolmogorov and Smirnov's statistic), how numbers depend on each other (rank correlations), and how
mean and width of each move with what was asked for. A classifier of trees sees numbers and conditions
together, so a table that is right on average but not under its conditions does not pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from skyloom.errors import DataError
from skyloom.evaluate.generated.arena import Arena, Measure, Told
from skyloom.evaluate.generated.sample import Ensemble
from skyloom.statistics import distances

Array = NDArray[Any]

BINS = 8  #: ranges of a condition in which mean and width are told
LEAST = 12  #: numbers of each set in such a range, at least
FEWER = 8  #: splits, and blocks of the jackknife, of what takes long
HISTOGRAM = 40  #: bins of a histogram
RANGE = (0.001, 0.999)  #: what of the real values a histogram covers


def ks(first: Array, second: Array) -> float:
    r"""Return the Kolmogorov–Smirnov statistic :math:`\sup_x |F_1(x) - F_2(x)|`.

    Args:
        first: Values, shape ``(n,)``, in any unit ``u``.
        second: Values [u], shape ``(m,)``.

    Returns:
        From 0 to 1 [dimensionless].

    Example:
        >>> ks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
        0.5
    """
    a, b = np.sort(first), np.sort(second)
    at = np.concatenate([a, b])
    below = [np.searchsorted(values, at, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def table_rows(arena: Arena, parameters: Sequence[str], *, seed: int) -> list[dict[str, Any]]:
    """Return the rows of the scorecard that are of tables only.

    Args:
        arena: Ensembles of numbers.
        parameters: Names of the conditions, the columns of ``arena.theta``.
        seed: Seed of folds and trees.
    """
    names = arena.ensembles[0].fields
    table = np.column_stack([np.concatenate([e.values(name) for e in arena.ensembles]) for name in names])
    rows = arena.contest(*marginal_measure(table, names))
    rows += arena.contest(*dependence_measure(table, arena, names, parameters))
    for column, name in enumerate(parameters):
        rows += arena.contest(*conditional_measure(table, arena.theta[:, column], names, name, arena))
    rows += arena.contest(*trees_measure(table, arena, seed), splits=FEWER, blocks=FEWER)
    return rows


def marginal_measure(table: Array, names: Sequence[str]) -> tuple[Measure, list[Told]]:
    """How every number is spread, by Kolmogorov and Smirnov's statistic.

    Args:
        table: Numbers of the joint table, shape ``(n, D)``.
        names: Names of its columns.
    """

    def measure(reference: Array, other: Array) -> Array:
        pairs = zip(table[reference].T, table[other].T, strict=True)
        return np.array([ks(a, b) for a, b in pairs])

    return measure, [
        Told(f"{name}.ks", "marginals", "Kolmogorov–Smirnov", of=name, most=1.0) for name in names
    ]


def dependence_measure(
    table: Array, arena: Arena, names: Sequence[str], parameters: Sequence[str]
) -> tuple[Measure, list[Told]]:
    """Errors of the rank correlations of all pairs of numbers, and of numbers with conditions.

    Args:
        table: Numbers of the joint table, shape ``(n, D)``.
        arena: The ensembles.
        names: Names of the columns of the table.
        parameters: Names of the conditions.
    """
    both = np.column_stack([table, arena.theta])
    D = len(names)
    upper = np.triu_indices(D, 1)

    def measure(reference: Array, other: Array) -> Array:
        a, b = (_ranks(both[rows]) for rows in (reference, other))
        gap = np.abs(a - b)
        inner, outer = gap[upper], gap[:D, D:]
        found = [float(np.sqrt(np.square(inner).mean())) if inner.size else np.nan]
        found.append(float(inner.max()) if inner.size else np.nan)
        if len(parameters):
            found.append(float(outer.max()))
        return np.array(found)

    told = [
        Told("correlations.rms", "dependence", "rank correlations, rms error"),
        Told("correlations.largest", "dependence", "rank correlations, largest error"),
    ]
    if len(parameters):
        told.append(
            Told("correlations.conditions", "dependence", "rank correlations with conditions, largest error")
        )
    return measure, told


def _ranks(values: Array) -> Array:
    """Spearman's correlations; those of a constant are 0."""
    ranks = rankdata(values, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    norm = np.sqrt(np.square(ranks).sum(axis=0))
    norm = np.where(norm > 0, norm, 1.0)
    return np.asarray((ranks / norm).T @ (ranks / norm))


def conditional_measure(
    table: Array, condition: Array, names: Sequence[str], parameter: str, arena: Arena
) -> tuple[Measure, list[Told]]:
    """Errors of mean and width of every number in ranges of a condition, averaged over these.

    Args:
        table: Numbers of the joint table, shape ``(n, D)``.
        condition: The condition of each row, shape ``(n,)``.
        names: Names of the columns of the table.
        parameter: Name of the condition.
        arena: The ensembles.
    """
    place = ranges(condition[arena.rows("real")], condition)
    kinds = int(place.max()) + 1

    def measure(reference: Array, other: Array) -> Array:
        means: list[Array] = []
        widths: list[Array] = []
        for kind in range(kinds):
            a, b = (table[rows[place[rows] == kind]] for rows in (reference, other))
            if min(len(a), len(b)) < LEAST:
                continue
            sd = np.maximum(a.std(axis=0, ddof=1), 1e-300)
            means.append(np.abs(b.mean(axis=0) - a.mean(axis=0)) / sd)
            widths.append(np.abs(np.log(np.maximum(b.std(axis=0, ddof=1), 1e-300) / sd)))
        nothing = np.full(len(names), np.nan)
        return np.concatenate(
            [np.mean(parts, axis=0) if parts else nothing for parts in (means, widths)]
        ).reshape(-1)

    told = [
        Told(f"{name}.{what}.{parameter}", "conditionals", f"{word}, given {parameter}", unit, of=name)
        for what, word, unit in (("mean", "mean", "sd"), ("width", "ln of the width", ""))
        for name in names
    ]
    return measure, told


def ranges(real: Array, values: Array, bins: int = BINS) -> Array:
    """Return the range of a condition that each value lies in, with equal numbers of real ones.

    Args:
        real: Values of the real samples, shape ``(n,)``, in any unit ``u``.
        values: Values [u], shape ``(m,)``.
        bins: Ranges.

    Returns:
        Places from 0, shape ``(m,)``.

    Example:
        >>> ranges(np.arange(8.0), np.array([-1.0, 3.0, 99.0]), bins=2).tolist()
        [0, 0, 1]
    """
    edges = np.unique(np.quantile(real, np.arange(1, bins) / bins))
    return np.asarray(np.searchsorted(edges, values, side="right"))


def trees_measure(table: Array, arena: Arena, seed: int) -> tuple[Measure, list[Told]]:
    """How well boosted trees that see numbers and conditions tell the two apart.

    Args:
        table: Numbers of the joint table, shape ``(n, D)``.
        arena: The ensembles.
        seed: Seed of folds and trees.
    """
    both = np.column_stack([table, arena.theta])

    def measure(reference: Array, other: Array) -> Array:
        try:
            groups = arena.groups[reference], arena.groups[other]
            area = distances.two_sample_auc(
                both[reference], both[other], *groups, classifier="boosting", folds=2, seed=seed
            )
        except DataError:
            area = float("nan")
        return np.array([area])

    return measure, [Told("auc_trees", "distances", "classifier AUC, trees that see conditions", most=1.0)]


def uniform_rows(conditions: Array, *, seed: int, neighbours: int = 10) -> Array:
    """Choose half of the samples so that their conditions fill the range that they cover as evenly as can be.

    Each is drawn, without replacement, with a probability in proportion to the volume of the ball that
    reaches to its ``neighbours``-th nearest fellow, the tenth part of the rarest all alike.

    Args:
        conditions: Shape ``(n, P)``, in any units.
        seed: Seed of the draw.
        neighbours: Fellows inside a ball.

    Returns:
        Rows, ascending, shape ``(n // 2,)``.

    Raises:
        DataError: Fewer than twice as many samples as neighbours.

    Example:
        >>> crowded = np.random.default_rng(0).exponential(size=(1000, 1))
        >>> even = crowded[uniform_rows(crowded, seed=0)]
        >>> bool(np.median(even) > 1.2 * np.median(crowded))
        True
    """
    from scipy.spatial import cKDTree

    n, P = conditions.shape
    if n < 2 * neighbours:
        raise DataError(f"{n} samples are too few to choose from, {2 * neighbours} are needed")
    scaled = (conditions - conditions.mean(axis=0)) / np.maximum(conditions.std(axis=0), 1e-300)
    reach = cKDTree(scaled).query(scaled, k=neighbours + 1)[0][:, -1]
    volume = np.maximum(np.minimum(reach, np.quantile(reach, 0.9)), 1e-12) ** P
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(n, n // 2, replace=False, p=volume / volume.sum()))


def tabulate(pairs: Mapping[str, tuple[Ensemble, Ensemble]], parameter: str | None) -> xr.Dataset:
    """Return what the figures of a table show: histograms, and mean and width along a condition.

    Args:
        pairs: What the conditions are (``real``, ``uniform``) to a real and a generated ensemble.
        parameter: The condition, in ``Ensemble.data``; None for none.

    Returns:
        Of each number ``name``: ``name.density`` (labels, kind, its bin) [1/unit] with the bins' middles, and
        with a condition ``name.mean`` and ``name.width`` (labels, kind, range) [unit]; the ranges have the
        mean of the condition in them as ``condition`` (labels, range).
    """
    first = next(iter(pairs.values()))[0]
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {"labels": list(pairs), "kind": ["real", "generated"]}
    for name in first.fields:
        told = {key: str(first.data[name].attrs[key]) for key in ("units", "long_name")}
        values = np.concatenate([real.values(name) for real, _ in pairs.values()])
        low, high = (float(end) for end in np.quantile(values, RANGE))
        edges = np.linspace(low, high if high > low else low + 1.0, HISTOGRAM + 1)
        counts = [
            [np.histogram(e.values(name), edges)[0] / (len(e) * (edges[1] - edges[0])) for e in pair]
            for pair in pairs.values()
        ]
        bins = f"{name}.bin"
        coords[bins] = (bins, 0.5 * (edges[1:] + edges[:-1]), told)
        variables[f"{name}.density"] = (("labels", "kind", bins), np.array(counts), told)
        if parameter is not None:
            moments = np.array([_along(*pair, name, parameter) for pair in pairs.values()])
            for row, what in enumerate(("mean", "width")):
                variables[f"{name}.{what}"] = (("labels", "kind", "range"), moments[:, row], told)
    if parameter is not None:
        middles = [_middles(real, parameter) for real, _ in pairs.values()]
        about = {key: str(first.data[parameter].attrs[key]) for key in ("units", "long_name")}
        variables["condition"] = (("labels", "range"), np.array(middles), about | {"name": parameter})
    return xr.Dataset(variables, coords=coords)


def _along(real: Ensemble, generated: Ensemble, name: str, parameter: str) -> Array:
    """Mean and width of a number in the ranges of a condition, shape ``(2, 2, BINS)``: what, kind, range."""
    found = np.full((2, 2, BINS), np.nan)
    reference = real.data[parameter].values
    for kind, ensemble in enumerate((real, generated)):
        place = ranges(reference, ensemble.data[parameter].values)
        values = ensemble.values(name)
        for bin_ in range(BINS):
            here = values[place == bin_]
            if len(here) >= LEAST:
                found[:, kind, bin_] = here.mean(), here.std(ddof=1)
    return found


def _middles(real: Ensemble, parameter: str) -> Array:
    values = real.data[parameter].values
    place = ranges(values, values)
    return np.array([values[place == b].mean() if (place == b).any() else np.nan for b in range(BINS)])
