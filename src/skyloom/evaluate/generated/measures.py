"""What is measured between a reference and a contestant: curves, responses, distances, diversity.

Each function makes a measure for `Arena.contest`: a function of rows of the joint table that returns numbers,
beside what these numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skyloom import registry
from skyloom.errors import DataError
from skyloom.evaluate.generated.arena import Arena, Measure, Told
from skyloom.evaluate.generated.curves import Curve
from skyloom.statistics import distances
from skyloom.statistics.grouped import curve_error, group_means

LEAST_GROUPS = 3  #: groups that a sample variance needs
BOUNDED = ("coherence",)  #: statistics whose difference means something by itself
PIXELS = 256  #: pixels of each map whose values are compared


def points(arena: Arena, *, bins: int) -> list[np.ndarray]:
    """Return the parameter points: which rows of the joint table lie in each.

    For every parameter, its values where there are no more than ``bins`` of them, else so many ranges that
    hold equal numbers of real samples. Without parameters there is one point, everything.

    Args:
        arena: The ensembles.
        bins: Ranges of each parameter.
    """
    found = []
    real = arena.rows("real")
    for column in arena.theta.T:
        values = np.unique(column[real])
        edges = np.quantile(column[real], np.arange(1, bins) / bins) if len(values) > bins else values[1:]
        # Between values stands the middle, so that rounding moves nobody.
        if len(values) <= bins:
            edges = 0.5 * (values[1:] + values[:-1])
        place = np.searchsorted(edges, column, side="right")
        found += [place == point for point in range(len(edges) + 1)]
    return found or [np.ones(len(arena.groups), dtype=bool)]


def curve_measure(curve: Curve, arena: Arena, at: Sequence[np.ndarray]) -> tuple[Measure, list[Told]]:
    """Error of a curve relative to the sample variance and in per cent, the median over bins and points.

    A bin that a sample knows nothing of, such as a ring without a hit, is averaged over the others. A curve
    without a unit that lies between -1 and 1 by its nature, the coherence, has its difference too.

    Args:
        curve: The statistic.
        arena: The ensembles.
        at: The parameter points.
    """
    values = curve.values[:, np.isfinite(curve.values).any(axis=0)]
    known = np.isfinite(values).any(axis=1)
    bounded = curve.statistic in BOUNDED

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        sigma, percent, gap = [], [], []
        for point in at:
            a, b = (rows[point[rows] & known[rows]] for rows in (reference, other))
            if not b.size or len(np.unique(arena.groups[a])) < LEAST_GROUPS:
                continue
            error = curve_error(values[a], values[b], arena.groups[a], arena.groups[b])
            sigma.append(error.sigma)
            percent.append(error.percent)
            gap.append(error.gap)
        found = [sigma, percent, gap] if bounded else [sigma, percent]
        return np.array([_median(part) for part in found])

    name = curve.statistic.replace("_", " ")
    name += (
        f", {curve.variable.replace('_', ' ')}" if curve.variable not in ("power", curve.statistic) else ""
    )
    told = [
        Told(f"{curve.key}.sigma", "statistics", name, "σ", "less", curve.of),
        Told(f"{curve.key}.percent", "statistics", name, "%", "less", curve.of),
    ]
    if bounded:
        told.append(
            Told(f"{curve.key}.difference", "difference", f"{name}, difference", "", "less", curve.of)
        )
    return measure, told


def variance_measure(curve: Curve) -> tuple[Measure, list[Told]]:
    """Spread of a curve between maps, over that of the reference, the median over bins.

    Args:
        curve: The statistic, of samples that are all at one parameter point.
    """
    values, whole = _finite(curve.values)

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        a, b = (values[rows[whole[rows]]] for rows in (reference, other))
        if min(len(a), len(b)) < LEAST_GROUPS:
            return np.array([np.nan])
        sd = a.std(axis=0, ddof=1)
        ratio = np.divide(b.std(axis=0, ddof=1), sd, out=np.full(sd.shape, np.nan), where=sd > 0)
        return np.array([_median([ratio])])

    name = curve.statistic.replace("_", " ")
    return measure, [
        Told(f"variance.{curve.key}", "variance", f"spread between maps, {name}", "", "both", curve.of)
    ]


def response_measure(
    curves: Sequence[Curve], arena: Arena, parameters: Sequence[str]
) -> tuple[Measure, list[Told]]:
    """Error of the response to each parameter, all others held, in units of the sample variance.

    The response is the slope of a statistic in a linear regression on all parameters together: on a set in
    which one parameter is varied at a time it is that one's own slope. It is told for a change of one sd.

    Args:
        curves: The statistics.
        arena: The ensembles.
        parameters: Names of the columns of ``arena.theta``.
    """
    tables = [_finite(curve.values) for curve in curves]
    theta = standardised_parameters(arena)

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        gaps: list[list[np.ndarray]] = [[] for _ in parameters]
        for values, whole in tables:
            a, b = (rows[whole[rows]] for rows in (reference, other))
            if min(len(a), len(b)) < 2 * (theta.shape[1] + 1):
                continue
            means = group_means(values[a], arena.groups[a])[0]
            sd = means.std(axis=0, ddof=1) if len(means) >= LEAST_GROUPS else np.full(means.shape[1], np.nan)
            gap = np.abs(slopes(theta[b], values[b]) - slopes(theta[a], values[a]))
            gap = np.divide(gap, sd, out=np.full(gap.shape, np.nan), where=sd > 0)
            for p in range(len(parameters)):
                gaps[p].append(gap[p])
        return np.array([_median(gap) for gap in gaps])

    return measure, [Told(f"response.{name}", "response", name, "σ", "less") for name in parameters]


def standardised_parameters(arena: Arena) -> np.ndarray:
    """Parameters of all rows in units of the real spread, shape ``(n, P)``."""
    real = arena.theta[arena.rows("real")]
    return np.asarray((arena.theta - real.mean(axis=0)) / np.maximum(real.std(axis=0), 1e-300))


def slopes(theta: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slopes of a linear regression with intercept, shape ``(P, bins)``.

    Args:
        theta: Parameters, shape ``(n, P)``, standardised.
        values: A statistic, shape ``(n, bins)``.

    Example:
        >>> theta = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> slopes(theta, theta @ [[2.0], [3.0]] + 1.0).round(6).tolist()
        [[2.0], [3.0]]
    """
    design = np.column_stack([np.ones(len(theta)), theta])
    return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0][1:])


def distance_measure(features: np.ndarray, arena: Arena, *, seed: int) -> tuple[Measure, list[Told]]:
    """Distances in feature space, on the scale of the reference (`distances.normalised`).

    Args:
        features: Of the joint table, shape ``(n, D)``.
        arena: The ensembles.
        seed: Seed of folds and projections.
    """

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        a, b = distances.normalised(features[reference], features[other])
        try:
            area = distances.two_sample_auc(a, b, arena.groups[reference], arena.groups[other], seed=seed)
        except DataError:
            area = float("nan")
        few = min(5, len(a) - 1, len(b) - 1)
        found = distances.manifold(a, b, neighbours=few)
        return np.array(
            [
                area,
                distances.frechet(a, b),
                distances.mmd(a, b),
                distances.sliced_wasserstein(a, b, directions=64, seed=seed),
                *found,
            ]
        )

    return measure, [
        Told("auc", "distances", "classifier AUC", most=1.0),
        Told("frechet", "distances", "Fréchet distance²"),
        Told("mmd", "distances", "MMD²", least=-np.inf),
        Told("sliced_wasserstein", "distances", "sliced Wasserstein"),
        Told("precision", "distances", "precision", better="more", most=1.0),
        Told("recall", "distances", "recall", better="more", most=1.0),
        Told("density", "distances", "density", better="both"),
        Told("coverage", "distances", "coverage", better="more", most=1.0),
    ]


def observed(curves: Sequence[Curve]) -> np.ndarray | None:
    """Return what statistics of events tell of each sample in one number, shape ``(n, D)``; None of maps.

    Args:
        curves: The statistics; profiles are left out, what is not known of a sample counts as the median.
    """
    columns = []
    for curve in curves:
        kind = getattr(registry.get(curve.statistic, "statistic"), "inputs", "map") if curve.of == "" else ""
        if kind == "event" and not curve.dims:
            values = curve.values[:, 0]
            columns.append(np.where(np.isfinite(values), values, np.nanmedian(values)))
    return np.column_stack(columns) if columns else None


def observed_measure(table: np.ndarray, arena: Arena, *, seed: int) -> tuple[Measure, list[Told]]:
    """How well a classifier tells two sets of events apart by what a physicist measures of them.

    Args:
        table: Observables of the joint table, shape ``(n, D)``.
        arena: The ensembles.
        seed: Seed of the folds.
    """

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        a, b = distances.normalised(table[reference], table[other])
        groups = arena.groups[reference], arena.groups[other]
        try:
            return np.array([distances.two_sample_auc(a, b, *groups, seed=seed)])
        except DataError:
            return np.array([np.nan])

    return measure, [Told("auc_events", "distances", "classifier AUC, observables of events", most=1.0)]


def value_measure(arena: Arena, field: str, *, seed: int) -> tuple[Measure, list[Told]]:
    """Wasserstein distance of the values of pixels, in units of their real sd.

    Args:
        arena: The ensembles.
        field: Name of the field.
        seed: Seed of the pixels that are looked at, the same number in every map.
    """
    values = [e.values(field).reshape(len(e), -1).astype(np.float64) for e in arena.ensembles]
    scale = float(values[0].std()) or 1.0
    rng = np.random.default_rng(seed)
    pixels = rng.choice(values[0].shape[1], min(PIXELS, values[0].shape[1]), replace=False)
    table = np.concatenate([value[:, pixels] for value in values]) / scale

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.array([distances.wasserstein(table[reference].ravel(), table[other].ravel())])

    return measure, [Told(f"{field}.wasserstein", "distances", "Wasserstein of values", "sd", of=field)]


def diversity_measure(features: np.ndarray, at: Sequence[np.ndarray]) -> tuple[Measure, list[Told]]:
    """Spread of the features between samples at one parameter point, over that of the reference.

    Args:
        features: Of the joint table, shape ``(n, D)``.
        at: The parameter points.
    """

    def measure(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        a, b = distances.normalised(features[reference], features[other])
        ratios = []
        for point in at:
            here, there = a[point[reference]], b[point[other]]
            if min(len(here), len(there)) >= LEAST_GROUPS:
                ratios.append(there.var(axis=0, ddof=1).sum() / max(here.var(axis=0, ddof=1).sum(), 1e-300))
        return np.array([np.sqrt(np.median(ratios)) if ratios else np.nan])

    return measure, [Told("spread", "diversity", "spread over the real", better="both")]


def _finite(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins that hold anything, and the rows in which all of these are known."""
    values = values[:, np.isfinite(values).any(axis=0)]
    return values, np.isfinite(values).all(axis=1)


def _median(parts: Sequence[np.ndarray]) -> float:
    joined = np.concatenate(parts) if parts else np.zeros(0)
    joined = joined[np.isfinite(joined)]
    return float(np.median(joined)) if joined.size else float("nan")
