"""Judging a generated ensemble: one call, every number beside its real-against-real floor.

The order of work: read samples of each set, make the baselines, compute the statistics of all in the same
bins, and hold each contestant against half of the real set (`arena`). Then the courts that need more: copies
of training maps, the twin model, and the network that reads parameters off the maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import DataError, UsageError
from skyloom.evaluate.generated import contestants, copies
from skyloom.evaluate.generated.arena import Arena
from skyloom.evaluate.generated.card import Scorecard, curves_of
from skyloom.evaluate.generated.curves import (
    Curve,
    compute_curves,
    curves_of_numbers,
    default_statistics,
)
from skyloom.evaluate.generated.features import features
from skyloom.evaluate.generated.measures import (
    curve_measure,
    distance_measure,
    diversity_measure,
    observed,
    observed_measure,
    points,
    response_measure,
    value_measure,
    variance_measure,
)
from skyloom.evaluate.generated.sample import Ensemble, common_fields, gather, shared_parameters
from skyloom.evaluate.generated.tables import table_rows

MAKERS: Mapping[str, Callable[..., Ensemble]] = {
    "gaussian": contestants.gaussian,
    "shuffled": contestants.shuffled,
}
GROUPS_A_POINT = 4  #: groups of the reference half that a parameter point should have


def judge(
    real: xr.Dataset,
    generated: xr.Dataset,
    *,
    train: xr.Dataset | None = None,
    twin: xr.Dataset | None = None,
    one_parameter: tuple[xr.Dataset, xr.Dataset] | None = None,
    fixed: tuple[xr.Dataset, xr.Dataset] | None = None,
    fields: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    statistics: Sequence[str | dict[str, Any]] | None = None,
    baselines: Sequence[str] = ("gaussian", "shuffled"),
    network: bool = True,
    steps: int = 400,
    seconds_per_sample: float | None = None,
    maximum: int = 1000,
    splits: int = 20,
    bins: int = 4,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Scorecard:
    """Judge a generated ensemble of maps, cubes or numbers of events.

    Args:
        real: Real samples that the generator was not trained on, a field set; maps of one pixel are numbers.
        generated: Generated ones, a field set with the same fields, units and box. A field that is one and
            the same in all samples of both, such as the mask of a detector, is left out.
        train: What the generator was trained on, for the memorisation court (maps only).
        twin: Samples of a second generator that was trained on other simulations; equal sample ids mean equal
            latent vectors.
        one_parameter: Real and generated sets in which one parameter is varied at a time, for the response;
            left out, the response is that of the sets themselves.
        fixed: Real and generated sets at one parameter point, such as CAMELS's CV, for the variance of the
            statistics between maps.
        fields: Fields to compare; None for all that both have.
        parameters: Parameters to compare at; None for all that both know.
        statistics: Components of kind ``statistic``; None for those of `curves.default_statistics`.
        baselines: ``gaussian`` and ``shuffled``; maps and cubes only.
        network: Whether a judge network is trained to read the parameters off generated maps: on ``train``
            where that is given and knows the parameters, or else on a part of the real maps.
        steps: Optimiser steps of its training.
        seconds_per_sample: Time that a sample takes to make [s], for the record.
        maximum: Samples of each set that are looked at.
        splits: Splits of the real set into halves.
        bins: Parameter points of each parameter.
        seed: Everything that is drawn follows from it.
        progress: Called with (done, all) steps.

    Returns:
        The scorecard; docs/reference/scorecard.md defines every number.

    Raises:
        FieldSetError: A set breaks the convention, or holds NaN or infinity.
        DataError: The sets cannot be compared, or the real one has fewer than four groups.
        UsageError: An unknown baseline, statistic or parameter.

    Example:
        >>> from skyloom.fields import example
        >>> card = judge(example(groups=12), example(groups=12, seed=1), network=False, splits=5,
        ...              statistics=["power_spectrum"], fields=["T_b"])
        >>> card.row("T_b.power_spectrum.power.sigma")["real"]
        True
    """
    others = [generated, *(ds for ds in (twin,) if ds is not None)]
    names = common_fields(real, generated, "generated", fields)
    shared = shared_parameters(real, others, parameters)
    sets = _varying([gather(ds, names, shared, maximum=maximum, seed=seed) for ds in (real, *others)])
    names = sets[0].fields
    told = _settings(real, generated, names, shared, seconds_per_sample)
    specs = list(default_statistics(sets[0].dims) if statistics is None else statistics)
    step = _Steps(progress, len(specs) + 5 + (one_parameter is not None) + (fixed is not None) + network)
    made = _baselines(sets[0], baselines, seed)
    arena = _arena(sets[0], sets[1], made, splits, seed)
    step()
    curves, skipped = _curves(arena.ensembles, specs, statistics is None, step)
    curves = curves_of_numbers(arena.ensembles) + curves
    table, feature_names = features(arena.ensembles)
    at = points(arena, bins=_bins(arena, bins))
    rows = [row for curve in curves for row in arena.contest(*curve_measure(curve, arena, at))]
    step()
    if sets[0].table:
        rows += table_rows(arena, shared, seed=seed)
    rows += _response_rows(curves, arena, shared, one_parameter, names, specs, (splits, seed, maximum))
    step()
    if fixed is not None:
        rows += _variance_rows(fixed, names, specs, (splits, seed, maximum))
        step()
    rows += arena.contest(*distance_measure(table, arena, seed=seed))
    if (seen := observed(curves)) is not None:
        rows += arena.contest(*observed_measure(seen, arena, seed=seed))
    for name in names:
        rows += arena.contest(*value_measure(arena, name, seed=seed))
    rows += arena.contest(*diversity_measure(table, at))
    step()
    maps = sets[0].dims == 2
    numbers = {
        **told,
        "statistics": specs,
        "skipped": skipped,
        "features": feature_names,
        "splits": splits,
        "size": arena.size,
        "points": len(at),
        "rows": rows,
        "duplicates": _duplicates(sets) if maps else None,
        "memorisation": _court(sets, train, names, shared, maximum, seed)
        if train is not None and maps
        else None,
        "twin": _twin(sets, made, splits, seed) if twin is not None else None,
        "judge": None,
    }
    step()
    if network and maps and shared:
        from skyloom.evaluate.generated.network import read_parameters

        learnt = None if train is None else _learnt_from(train, sets[0], names, shared, seed)
        numbers["judge"] = read_parameters(
            sets[0], sets[1], shared, steps=steps, seed=seed, learnt_from=learnt
        )
        step()
    return Scorecard(numbers, curves_of(curves, arena, shared))


class _Steps:
    """Counts the steps done."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)


def _varying(sets: list[Ensemble]) -> list[Ensemble]:
    """Leave out fields that are one and the same map in all samples of all sets, as a detector's mask is."""
    names = [
        name
        for name in sets[0].fields
        if any((one.values(name) != sets[0].values(name)[0]).any() for one in sets)
    ]
    if not names:
        raise DataError("no field differs between any two samples", hint="compare sets of maps that vary")
    return [Ensemble(one.data[names], one.groups, one.theta) for one in sets]


def _settings(
    real: xr.Dataset, generated: xr.Dataset, names: list[str], shared: list[str], seconds: float | None
) -> dict[str, Any]:
    def about(ds: xr.Dataset) -> dict[str, Any]:
        return {
            "suite": str(ds.attrs["suite"]),
            "samples": ds.sizes["sample"],
            "groups": len(np.unique(ds["group"].values)),
        }

    groups = about(real)["groups"]
    if groups < 4:
        raise DataError(
            f"the real set has {groups} groups; halves of two at least are held against each other",
            hint="give more simulations, or a set whose 'group' tells them apart",
        )
    return {
        "kind": "ensemble",
        "real": about(real),
        "generated": about(generated),
        "fields": names,
        "units": {name: str(real[name].attrs["units"]) for name in names},
        "parameters": shared,
        "seconds_per_sample": seconds,
    }


def _baselines(real: Ensemble, names: Sequence[str], seed: int) -> dict[str, Ensemble]:
    unknown = [name for name in names if name not in MAKERS]
    if unknown:
        raise UsageError(
            f"there is no baseline {unknown[0]!r} of a generated set", hint=f"allowed: {', '.join(MAKERS)}"
        )
    return {name: MAKERS[name](real, seed=seed) for name in names} if real.dims else {}


def _arena(
    real: Ensemble, generated: Ensemble, made: Mapping[str, Ensemble], splits: int, seed: int
) -> Arena:
    if splits < 2:
        raise UsageError(f"splits is {splits!r}, allowed: 2 or more; the floor's range is that over splits")
    return Arena(real, generated, made, splits=splits, seed=seed)


def _bins(arena: Arena, bins: int) -> int:
    """As many parameter points as the groups of half the real set allow."""
    half = len(np.unique(arena.groups[arena.rows("real")])) // 2
    return max(1, min(bins, half // GROUPS_A_POINT))


def _curves(
    ensembles: Sequence[Ensemble], specs: Sequence[Any], chosen: bool, step: Callable[[], None]
) -> tuple[list[Curve], dict[str, str]]:
    """The curves; of statistics that nobody asked for, those that cannot be computed are only named."""
    curves: list[Curve] = []
    skipped: dict[str, str] = {}
    for spec in specs:
        try:
            curves += compute_curves(ensembles, [spec], progress=step)
        except (DataError, UsageError) as problem:
            if not chosen:
                raise
            skipped[str(spec)] = problem.message
    return curves, skipped


def _response_rows(
    curves: Sequence[Curve],
    arena: Arena,
    shared: Sequence[str],
    one_parameter: tuple[xr.Dataset, xr.Dataset] | None,
    names: Sequence[str],
    specs: Sequence[Any],
    settings: tuple[int, int, int],
) -> list[dict[str, Any]]:
    if not shared:
        return []
    if one_parameter is not None:
        splits, seed, maximum = settings
        common_fields(*one_parameter, "generated one-parameter", names)
        sets = [gather(ds, names, shared, maximum=maximum, seed=seed) for ds in one_parameter]
        arena = _arena(sets[0], sets[1], {}, splits, seed)
        curves = curves_of_numbers(sets) + compute_curves(sets, specs)
    return arena.contest(*response_measure(curves, arena, shared))


def _variance_rows(
    fixed: tuple[xr.Dataset, xr.Dataset],
    names: list[str],
    specs: Sequence[Any],
    settings: tuple[int, int, int],
) -> list[dict[str, Any]]:
    splits, seed, maximum = settings
    common_fields(*fixed, "generated fixed-parameter", names)
    sets = [gather(ds, names, [], maximum=maximum, seed=seed) for ds in fixed]
    arena = _arena(sets[0], sets[1], {}, splits, seed)
    curves = curves_of_numbers(sets) + compute_curves(sets, specs)
    return [row for curve in curves for row in arena.contest(*variance_measure(curve))]


def _learnt_from(
    train: xr.Dataset, real: Ensemble, names: list[str], shared: list[str], seed: int
) -> Ensemble | None:
    """The generator's training set, where a judge can learn from it and the real set is unseen then."""
    known = shared_parameters(train, [], None)
    if not set(shared) <= set(known) or np.isin(real.groups, train["group"].values.astype(str)).any():
        return None
    return gather(train, names, shared, maximum=train.sizes["sample"], seed=seed)


def _duplicates(sets: Sequence[Ensemble]) -> dict[str, float]:
    return {
        name: copies.duplicates(ensemble.stacked())
        for name, ensemble in zip(("real", "generated"), sets, strict=False)
    }


def _court(
    sets: Sequence[Ensemble],
    train: xr.Dataset,
    names: Sequence[str],
    shared: Sequence[str],
    maximum: int,
    seed: int,
) -> dict[str, Any]:
    common_fields(sets[0].data, train, "training", names)
    known = shared_parameters(train, [], None)
    # All of it: a copy of a map that was left out could not be found.
    seen = gather(train, names, [], maximum=train.sizes["sample"], seed=seed)
    foreign = np.flatnonzero(~np.isin(sets[0].groups, seen.groups))
    if not foreign.size:
        raise DataError(
            "every real sample is of a group that the generator was trained on",
            hint="give a real set of other simulations: held-out maps say how alike unrelated maps are",
        )
    held_out = sets[0].take(foreign)
    verdict = copies.court(
        sets[1].stacked(), held_out.stacked(), seen.stacked(), (_own(sets[1].groups), held_out.groups)
    )
    ids = sets[1].data["sample"].values.astype(str), seen.data["sample"].values.astype(str)
    for pair in verdict["nearest"]:
        pair["generated"], pair["train"] = ids[0][pair["generated"]], ids[1][pair["train"]]
    return verdict | {"parameters": [name for name in shared if name in known]}


def _own(groups: np.ndarray) -> np.ndarray:
    """Groups of generated maps under names that no real group has."""
    return np.char.add("generated ", groups)


def _twin(sets: Sequence[Ensemble], made: Mapping[str, Ensemble], splits: int, seed: int) -> dict[str, Any]:
    """The generated set against that of a second model, beside the real-against-real floor."""
    arena = _arena(sets[0], sets[1], {}, splits, seed)
    other = Arena(sets[2], sets[1], {}, splits=splits, seed=seed)
    floor = arena.contest(*distance_measure(features(arena.ensembles)[0], arena, seed=seed))
    rows = other.contest(*distance_measure(features(other.ensembles)[0], other, seed=seed))
    ids = [ensemble.data["sample"].values.astype(str) for ensemble in sets[1:]]
    _, mine, theirs = np.intersect1d(ids[0], ids[1], return_indices=True)
    result: dict[str, Any] = {
        "rows": [row | {"floor": beside["floor"]} for row, beside in zip(rows, floor, strict=True)],
        "paired": len(mine),
        "correlation": None,
    }
    if len(mine) and sets[1].dims:
        a, b = (e.take(rows).stacked() for e, rows in ((sets[1], mine), (sets[2], theirs)))
        a, b = (x.reshape(*x.shape[:2], -1) for x in (a, b))
        a, b = (x - x.mean(axis=2, keepdims=True) for x in (a, b))
        norm = np.sqrt(np.square(a).sum(axis=2) * np.square(b).sum(axis=2))
        result["correlation"] = float(np.median((a * b).sum(axis=2) / np.maximum(norm, 1e-300)))
    return result
