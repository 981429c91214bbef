"""Do the sides look alike: summary statistics of the raw maps of each side, averaged over groups.

A statistic is computed for every map, or for every pair of a map's fields; samples are averaged within their
group, and the mean and the spread (sd) over groups are kept, so that a simulation with many maps counts once.
Bins are shared by all sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.evaluate.bootstrap import group_index
from skyloom.evaluate.floors import halves_apart


def compute(
    specs: Sequence[str | dict[str, Any]],
    maps: Mapping[str, np.ndarray],
    table: xr.Dataset,
    sides: np.ndarray,
    *,
    box: float,
    periodic: bool,
    units: Mapping[str, str],
    box_unit: str = "Mpc",
) -> xr.Dataset:
    """Compute statistics of the maps of several sides.

    Args:
        specs: Components of kind ``statistic``, each once: of one field or of two.
        maps: Raw maps or cubes of each field, shape ``(n, N, N)`` or ``(n, N, N, N)``, in the field's unit.
        table: Coordinates of the ``n`` samples; ``group`` is needed.
        sides: Name of each sample's side, shape ``(n,)``.
        box: Side length of a map [box_unit].
        periodic: Whether opposite sides touch.
        units: Unit of each field.
        box_unit: Unit of the box.

    Returns:
        For each variable ``v`` of statistic ``s`` of field ``f``: ``f.s.v`` (side, ...), the mean over
        groups, and ``f.s.v.spread``, their sd (NaN for one group), with the variable's units. The attribute
        ``halves_apart`` is the floor: how far two halves of the first side lie apart at most, in spreads
        (`floors.halves_apart`). Dimensions of ``v`` are named ``f.s.dim`` and keep their coordinates.
        ``groups`` and ``samples`` count on ``side``. A statistic of two fields is computed for every pair,
        where ``f`` is ``first-second``.

    Raises:
        UsageError: A statistic is named twice, needs a second field where there is one, or needs events.
        ShapeError: Maps, table and sides differ in number.

    Example:
        >>> table = xr.Dataset(coords={"sample": list("abcd"), "group": ("sample", list("gghi"))})
        >>> maps = {"T_b": np.array([1.0, 3.0, 4.0, 0.0])[:, None, None] * np.ones((4, 2, 2))}
        >>> sides = np.array(["train", "train", "train", "test"])
        >>> pdf = {"name": "pdf", "bins": 2, "low": 0.0, "high": 4.0}
        >>> ds = compute([pdf], maps, table, sides, box=1.0, periodic=True, units={"T_b": "mK"})
        >>> ds["T_b.pdf.pdf"].sel(side="train").values.tolist()  # g lies half in each bin, h in the upper
        [0.125, 0.375]
    """
    resolved = [registry.resolve(spec, "statistic") for spec in specs]
    names = [spec["name"] for spec in resolved]
    if len(set(names)) < len(names):
        raise UsageError(f"evaluate.statistics names {', '.join(names)}; each is allowed once")
    _check(maps, table, sides)
    groups = table["group"].values
    order = list(dict.fromkeys(str(side) for side in sides))
    rows = {side: np.flatnonzero(np.asarray(sides) == side) for side in order}
    parts = []
    for spec in resolved:
        statistic = registry.build(spec, "statistic")
        for fields in _taken(statistic, spec["name"], list(maps)):
            unit = units[fields[0]] if len(fields) == 1 else tuple(units[field] for field in fields)
            values = [maps[field] for field in fields]
            result = statistic.compute(*values, box, periodic, unit, box_unit=box_unit)
            parts.append(_by_side(result, groups, rows, f"{'-'.join(fields)}.{spec['name']}"))
    coords = {
        "side": ("side", np.array(order, dtype=str)),
        "groups": ("side", [len(np.unique(groups[index])) for index in rows.values()]),
        "samples": ("side", [len(index) for index in rows.values()]),
    }
    return xr.merge(parts, compat="equals", join="exact").assign_coords(coords)


def _taken(statistic: Any, name: str, fields: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the fields that a statistic takes at once, one or a pair."""
    inputs = getattr(statistic, "inputs", "map")
    if inputs not in ("map", "pair"):
        raise UsageError(f"evaluate.statistics names {name}, a statistic of {inputs}s; the data are maps")
    if inputs == "pair" and len(fields) < 2:
        raise UsageError(
            f"evaluate.statistics names {name}, a statistic of two fields; the data hold {fields[0]} alone",
            hint="name a second field under data.fields, or leave it out",
        )
    yield from combinations(fields, 2 if inputs == "pair" else 1)


def _check(maps: Mapping[str, np.ndarray], table: xr.Dataset, sides: np.ndarray) -> None:
    n = table.sizes["sample"]
    for field, values in maps.items():
        if not len(values) == n == len(sides):
            raise ShapeError(
                f"{len(values)} maps of '{field}', {n} samples in the table and {len(sides)} sides"
            )


def _by_side(
    result: xr.Dataset, groups: np.ndarray, rows: Mapping[str, np.ndarray], prefix: str
) -> xr.Dataset:
    """Mean and spread over groups of each variable of a statistic, for each side."""
    variables: dict[str, Any] = {}
    first = next(iter(rows.values()))
    for name, variable in result.data_vars.items():
        dims = tuple(f"{prefix}.{dim}" for dim in variable.dims if dim != "sample")
        if "sample" not in variable.dims:
            variables[f"{prefix}.{name}"] = (dims, variable.values, variable.attrs)
            continue
        values = variable.transpose("sample", ...).values
        moments = [_over_groups(values[index], groups[index]) for index in rows.values()]
        variables[f"{prefix}.{name}"] = (
            ("side", *dims),
            np.stack([mean for mean, _ in moments]),
            {**variable.attrs, "halves_apart": halves_apart(values[first], groups[first])},
        )
        spread = {**variable.attrs, "long_name": f"sd over groups of {variable.attrs.get('long_name', name)}"}
        variables[f"{prefix}.{name}.spread"] = (("side", *dims), np.stack([sd for _, sd in moments]), spread)
    coords = {
        f"{prefix}.{name}": (tuple(f"{prefix}.{dim}" for dim in coord.dims), coord.values, coord.attrs)
        for name, coord in result.coords.items()
        if "sample" not in coord.dims
    }
    return xr.Dataset(variables, coords=coords)


def _over_groups(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd over groups of the groups' means, each of shape ``values.shape[1:]``."""
    index, K = group_index(groups)
    sums = np.zeros((K, *values.shape[1:]))
    np.add.at(sums, index, values)
    means = sums / np.bincount(index).reshape(-1, *[1] * (values.ndim - 1))
    sd = means.std(axis=0, ddof=1) if K > 1 else np.full(values.shape[1:], np.nan)
    return means.mean(axis=0), sd
