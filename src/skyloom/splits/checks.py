"""The single checks of an audit; each says whether it passed, and with what.

A check fails closed: where it cannot look (a coordinate is missing, a fingerprint was not given), it fails
and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import xarray as xr

from skyloom.errors import SkyloomError
from skyloom.fields import parent_box
from skyloom.fields.transforms import ids_digest
from skyloom.runs import SIDES
from skyloom.splits import periodic
from skyloom.splits.clusters import TIES, column, components
from skyloom.splits.fingerprint import twin_parts
from skyloom.splits.record import Split

_EXAMPLES = 3


class Fitted(Protocol):
    """Transforms that know the digest of the ids they were fitted on, as ``FieldTransforms`` does."""

    @property
    def digest(self) -> str:
        """The ``ids_digest`` of those ids."""


@dataclass(frozen=True)
class Check:
    """One thing that an audit looked at.

    Args:
        name: What must hold.
        passed: Whether it does.
        detail: What was found, with examples of sample ids where it fails.

    Example:
        >>> str(Check("no group is on two sides", True, "12 groups"))
        'ok    no group is on two sides: 12 groups'
    """

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok   ' if self.passed else 'LEAK '} {self.name}: {self.detail}"


def check_ids(table: xr.Dataset, split: Split) -> Check:
    """Check that every id is that of one sample of the table, on one side, and that no side is empty.

    Args:
        table: A field set, or its coordinates alone.
        split: The split.
    """
    name = "every sample is known and on one side"
    known = table["sample"].values.astype(str).tolist() if "sample" in table.coords else []
    dealt = [sample for side in SIDES for sample in split.sides[side]]
    faults = [f"{side} is empty" for side in SIDES if not split.sides[side]]
    for what, found in (
        ("on two sides, or twice on one", _repeated(dealt)),
        ("on a side and excluded", sorted(set(dealt) & set(split.excluded))),
        ("not in the table", sorted((set(dealt) | set(split.excluded)) - set(known))),
        ("twice in the table", _repeated(known)),
    ):
        if found:
            faults.append(f"{len(found)} {what} ({_some(found)})")
    return Check(name, not faults, "; ".join(faults) or f"{len(dealt)} samples")


def check_disjoint(table: xr.Dataset, split: Split, key: str) -> Check:
    """Check that no value of a coordinate is on two sides.

    Args:
        table: A field set, or its coordinates alone.
        split: The split.
        key: The coordinate, such as ``group``, ``seed`` or ``parent``.
    """
    name = f"no {key} is on two sides"
    try:
        values = column(table, key)
    except SkyloomError as error:
        return Check(name, False, f"cannot be checked: {error.message}")
    ids, rows = table["sample"].values.astype(str), side_rows(table, split)
    faults = []
    for one, other in combinations(SIDES, 2):
        shared = np.intersect1d(values[rows[one]], values[rows[other]])
        if len(shared):
            a, b = (ids[rows[side]][values[rows[side]] == shared[0]][0] for side in (one, other))
            faults.append(
                f"{len(shared)} on {one} and {other}, such as {shared[0]!s} ({a} in {one}, {b} in {other})"
            )
    return Check(name, not faults, "; ".join(faults) or f"{len(np.unique(values))} in the table")


def check_slabs(table: xr.Dataset, split: Split) -> Check:
    """Check that samples that depend on each other are the buffer apart along the axis of the slabs.

    Args:
        table: A field set, or its coordinates alone, with the attributes of its box.
        split: The split, with ``axis`` and ``buffer`` in its settings.
    """
    name = "dependent samples on two sides are a buffer apart"
    settings = split.settings or {}
    try:
        axis, buffer = settings["axis"], float(settings["buffer"])
        box, wraps = parent_box(table)
        start, length = column(table, "position").astype(float), column(table, "thickness").astype(float)
        axes = column(table, "axis").astype(str)
        dependent = _components(table)
    except (SkyloomError, KeyError, TypeError, ValueError) as error:
        return Check(name, False, f"cannot be checked: {_reason(error)}")
    ids, rows = table["sample"].values.astype(str), side_rows(table, split)
    used = np.concatenate(list(rows.values()))
    across = ids[used][axes[used] != axis]
    if not buffer > 0 or len(across):
        why = (
            f"{len(across)} were not cut along {axis} ({_some(across)})"
            if len(across)
            else f"buffer {buffer:g}"
        )
        return Check(name, False, why)
    nearest = (np.inf, "", "")
    for one, other in _pairs(rows, dependent):
        distance, i, j = periodic.gap(
            (start[one], length[one]), (start[other], length[other]), box, periodic=wraps
        )
        nearest = min(nearest, (distance, str(ids[one][i]), str(ids[other][j])))
    found = (
        f"the nearest are {nearest[0]:.6g} apart ({nearest[1]}, {nearest[2]})"
        if nearest[1]
        else "none depend"
    )
    wrap = "across the periodic wrap too" if wraps else "the box is not periodic"
    # Positions may have been stored as float32.
    return Check(name, nearest[0] >= buffer - 1e-6 * box, f"{found}, the buffer is {buffer:g}, {wrap}")


def check_times(table: xr.Dataset, split: Split) -> Check:
    """Check that samples that depend on each other are the buffer apart in time.

    Args:
        table: A field set, or its coordinates alone.
        split: The split, with ``key`` and ``buffer`` in its settings.
    """
    name = "dependent samples on two sides are a buffer apart"
    settings = split.settings or {}
    try:
        times, buffer = column(table, settings["key"]).astype(float), float(settings["buffer"])
        dependent = _components(table)
    except (SkyloomError, KeyError, TypeError, ValueError) as error:
        return Check(name, False, f"cannot be checked: {_reason(error)}")
    ids, rows = table["sample"].values.astype(str), side_rows(table, split)
    nearest = (np.inf, "", "")
    for one, other in _pairs(rows, dependent):
        a, b = (times[one], np.zeros(len(one))), (times[other], np.zeros(len(other)))
        distance, i, j = periodic.gap(a, b, np.inf, periodic=False)
        nearest = min(nearest, (distance, str(ids[one][i]), str(ids[other][j])))
    found = (
        f"the nearest are {nearest[0]:.6g} apart ({nearest[1]}, {nearest[2]})"
        if nearest[1]
        else "none depend"
    )
    passed = buffer > 0 and nearest[0] >= buffer * (1 - 1e-6)
    return Check(name, passed, f"{found} in {settings['key']}, the buffer is {buffer:g}")


def check_twins(table: xr.Dataset, split: Split, fingerprints: Any) -> Check:
    """Check that no map of one side is, rolled, flipped, turned or rescaled, a map of another.

    A field that is one and the same map in all samples, such as the mask of a detector, tells no two apart
    and is left out, as long as another field does.

    Args:
        table: A field set, or its coordinates alone.
        split: The split.
        fingerprints: Those of the table's maps in its order, shape ``(n,)``, or ``(n, fields)``; or None.
    """
    name = "no map is the twin of one on another side"
    if fingerprints is None:
        return Check(name, False, "cannot be checked: no fingerprints were given")
    prints = np.asarray(fingerprints).astype(str)
    ids, rows = table["sample"].values.astype(str), side_rows(table, split)
    if prints.ndim not in {1, 2} or len(prints) != len(ids):
        return Check(name, False, f"cannot be checked: fingerprints {prints.shape} for {len(ids)} samples")
    prints = prints.reshape(len(ids), -1)
    used = np.concatenate(list(rows.values()))
    lost = ids[used][(prints[used] == "").any(axis=1)]
    if len(lost):
        return Check(name, False, f"cannot be checked: {len(lost)} have no fingerprint ({_some(lost)})")
    varied = (prints[used] != prints[used[:1]]).any(axis=0)
    prints = prints[:, varied] if varied.any() else prints
    seen: dict[str, tuple[str, str]] = {}
    twins: dict[str, str] = {}
    plain = 0
    for side in SIDES:
        for row in rows[side].tolist():
            parts = [f"{field} {part}" for field, text in enumerate(prints[row]) for part in twin_parts(text)]
            plain += not parts
            for part in parts:
                other, twin = seen.setdefault(part, (side, ids[row]))
                if other != side:
                    twins.setdefault(str(ids[row]), f"{twin} in {other} and {ids[row]} in {side}")
    exempt = f"{plain} of {len(used)} hold too little to be told apart and were not compared"
    detail = f"{len(twins)} twins ({_some(twins.values())}); " if twins else ""
    return Check(name, not twins, detail + exempt)


def check_transforms(split: Split, transforms: Fitted) -> Check:
    """Check that transforms were fitted on the training samples, on all of them and on no other.

    Args:
        split: The split.
        transforms: Has the ``digest`` of the ids fitted on.
    """
    name = "transforms were fitted on train alone"
    try:
        found = transforms.digest
    except (SkyloomError, AttributeError) as error:
        return Check(name, False, f"cannot be checked: {_reason(error)}")
    if found == ids_digest(split.sides["train"]):
        return Check(name, True, f"{len(split.sides['train'])} samples, digest {found[:12]}")
    every = [sample for side in SIDES for sample in split.sides[side]]
    where = "all sides" if found == ids_digest(every) else "other samples"
    return Check(name, False, f"fitted on {where} (digest {str(found)[:12]}), refit on split.sides['train']")


def side_rows(table: xr.Dataset, split: Split) -> dict[str, np.ndarray]:
    """Return the rows of the table that stand on each side; unknown ids are left out.

    Args:
        table: A field set, or its coordinates alone.
        split: The split.
    """
    place = {sample: row for row, sample in enumerate(table["sample"].values.astype(str).tolist())}
    return {
        side: np.array([place[sample] for sample in split.sides[side] if sample in place], dtype=int)
        for side in SIDES
    }


def _components(table: xr.Dataset) -> np.ndarray:
    return components([column(table, name) for name in TIES])


def _pairs(rows: Mapping[str, np.ndarray], dependent: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of one component on one side with those on another."""
    for one, other in combinations(SIDES, 2):
        for label in np.intersect1d(dependent[rows[one]], dependent[rows[other]]):
            a, b = (rows[side][dependent[rows[side]] == label] for side in (one, other))
            yield a, b


def _repeated(names: Iterable[str]) -> list[str]:
    found, counts = np.unique(np.array(list(names), dtype=str), return_counts=True)
    return [str(name) for name in found[counts > 1]]


def _some(names: Iterable[Any]) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:_EXAMPLES]) + (", ..." if len(listed) > _EXAMPLES else "")


def _reason(error: Exception) -> str:
    if isinstance(error, SkyloomError):
        return error.message
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
