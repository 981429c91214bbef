"""Five ways to deal samples to the sides train, validation and test.

All but the last keep samples that depend on each other on one side: whole clusters of simulations that share
a group, a seed or a parent box (see ``clusters``), or, within one box or one driven flow, what lies further
apart than a buffer. ``BySample`` does not, and therefore works only where a recipe says ``leaky: true``.

Fractions are of clusters, not of samples. Every way is a function of the samples' coordinates and the seed,
never of their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import DataError, LeakError, UsageError
from skyloom.fields import parent_box
from skyloom.runs import SIDES
from skyloom.splits import periodic
from skyloom.splits.arguments import check_fractions, check_ranges, check_share, in_order
from skyloom.splits.clusters import clusters, column, deal, deal_classes, gather
from skyloom.splits.record import Split, check_sides

_AXES = ("x", "y", "z")


class ByGroup:
    """Deal whole simulations: what shares a group, a seed or a parent stays together.

    Args:
        fractions: Share of the clusters for ``train``, ``validation`` and ``test``; they sum to 1.
        seed: Another seed, another deal.
        key: One more coordinate whose equal values stay together, such as ``halo``.
        stratify: Parameter or label that tells the classes: the clusters of each are dealt by themselves, so
            that every class is on every side. It takes three clusters of each; with two, see ``ByHeldOut``.

    Example:
        >>> from skyloom.fields import example
        >>> split = ByGroup(fractions={"train": 0.5, "validation": 0.25, "test": 0.25}).assign(example(4))
        >>> [len(split.sides[side]) for side in ("train", "validation", "test")]
        [8, 4, 4]
    """

    def __init__(
        self,
        *,
        fractions: dict[str, float],
        seed: int = 0,
        key: str = "group",
        stratify: str | None = None,
    ) -> None:
        check_fractions(fractions)
        self.fractions, self.seed, self.key, self.stratify = in_order(fractions), seed, key, stratify

    def assign(self, table: xr.Dataset) -> Split:
        """Return the split of a table.

        Args:
            table: A field set, or its coordinates alone.

        Raises:
            DataError: There are fewer clusters than sides (of one class), or a coordinate is missing.
        """
        names = clusters(table, self.key)
        settings: dict[str, Any] = {"fractions": self.fractions, "seed": self.seed, "key": self.key}
        if self.stratify is None:
            side = deal(names.tolist(), self.fractions, self.seed, what=_counted(table))
        else:
            side = deal_classes(names, column(table, self.stratify), self.fractions, self.seed, self.stratify)
            settings["stratify"] = self.stratify
        sides, _ = gather(table, [side[name] for name in names.tolist()])
        return Split(sides, by="group", settings=settings)


class BySlab:
    """Cut every box into three slabs along one axis, with a buffer between any two that touch.

    For sets with too few boxes to deal whole ones. In a periodic box the last slab touches the first, so
    there are three buffers. A map counts for a slab only if it lies in it with its whole thickness; those
    that touch a buffer, and those cut along another axis (which cross every slab), are excluded. All boxes
    are cut at the same places, since boxes of one simulation at several times look alike.

    Args:
        axis: ``x``, ``y`` or ``z``.
        buffer: Least distance between sides, in the unit of the box; at least the correlation length.
        fractions: Share of the box without buffers for each side; or give ``slabs``.
        slabs: Side to ``[low, high]`` in the unit of the box; ``low > high`` wraps.
        seed: Where the first slab begins in a periodic box, and the order of the sides in one that is not.

    Example:
        >>> from skyloom.fields import example
        >>> maps = example(groups=1, per_group=64, size=32)  # 32 slices of 4 Mpc at each of two redshifts
        >>> slabs = {"train": [0, 60], "validation": [70, 90], "test": [100, 120]}
        >>> split = BySlab(axis="z", buffer=8.0, slabs=slabs).assign(maps)
        >>> [len(split.sides[side]) for side in ("train", "validation", "test")], len(split.excluded)
        ([30, 8, 10], 16)
    """

    def __init__(
        self,
        *,
        axis: str,
        buffer: float,
        fractions: dict[str, float] | None = None,
        slabs: dict[str, list[float]] | None = None,
        seed: int = 0,
    ) -> None:
        if axis not in _AXES:
            raise UsageError(f"slabs along the axis {axis!r}", hint="allowed: x, y, z")
        if not buffer > 0:
            raise UsageError(f"a buffer of {buffer!r}", hint="above 0: neighbouring slabs are correlated")
        if (fractions is None) == (slabs is None):
            raise UsageError("slabs need either fractions or slabs", hint="give one of the two")
        if fractions is not None:
            check_fractions(fractions)
        if slabs is not None:
            check_sides(slabs)
            check_ranges(slabs, ordered=False)
        self.axis, self.buffer, self.seed = axis, float(buffer), seed
        self.fractions = None if fractions is None else in_order(fractions)
        self.slabs = None if slabs is None else {side: list(slabs[side]) for side in SIDES}

    def assign(self, table: xr.Dataset) -> Split:
        """Return the split of a table.

        Args:
            table: A field set, or its coordinates alone, with the attributes of its box.

        Raises:
            DataError: The slabs and buffers do not fit into the box, a side is empty, or a coordinate is
                missing.
        """
        box, wraps = _box(table)
        slabs = self._given(box, wraps) if self.slabs is not None else self._drawn(box, wraps)
        start, length = column(table, "position"), column(table, "thickness")
        along = column(table, "axis").astype(str) == self.axis
        sides = np.full(len(start), "", dtype="<U10")
        for side, slab in slabs.items():
            sides[along & periodic.inside(start, length, slab, box)] = side
        members, excluded = gather(table, sides.tolist())
        settings = {
            "axis": self.axis,
            "buffer": self.buffer,
            "seed": self.seed,
            "slabs": {side: [low, low + size] for side, (low, size) in slabs.items()},
        }
        return Split(members, by="slab", settings=settings, excluded=excluded)

    def _drawn(self, box: float, wraps: bool) -> dict[str, tuple[float, float]]:
        fractions = self.fractions or {}
        free = box - self.buffer * (len(SIDES) if wraps else len(SIDES) - 1)
        if free <= 0:
            raise DataError(
                f"buffers of {self.buffer:g} leave nothing of a box of {box:g}", hint="take a smaller buffer"
            )
        rng = np.random.default_rng(self.seed)
        order = list(SIDES) if wraps else [str(side) for side in rng.permutation(SIDES)]
        place = float(rng.uniform(0, box)) if wraps else 0.0
        slabs = {}
        for side in order:
            size = fractions[side] * free
            slabs[side] = (place % box, size)
            place += size + self.buffer
        return {side: slabs[side] for side in SIDES}

    def _given(self, box: float, wraps: bool) -> dict[str, tuple[float, float]]:
        slabs = {}
        for side, (low, high) in (self.slabs or {}).items():
            if not (0 <= low <= box and 0 <= high <= box) or (high < low and not wraps):
                allowed = f"0 to {box:g}" + ("" if wraps else ", low < high")
                raise DataError(f"the slab of {side} is [{low:g}, {high:g}]", hint=f"allowed: {allowed}")
            slabs[side] = (float(low), float((high - low) % box if high < low else high - low))
        for index, one in enumerate(SIDES):
            for other in SIDES[index + 1 :]:
                a, b = [(np.array([slabs[side][0]]), np.array([slabs[side][1]])) for side in (one, other)]
                distance = periodic.gap(a, b, box, periodic=wraps)[0]
                if distance < self.buffer * (1 - 1e-9):
                    raise DataError(
                        f"the slabs of {one} and {other} are {distance:g} apart, buffer {self.buffer:g}",
                        hint="the last face of a periodic box touches the first"
                        if wraps
                        else "move them apart",
                    )
        return slabs


class ByCorner:
    """Keep a corner of the parameter space for the test, and see whether the rest extrapolates.

    Clusters with any sample in the corner are for the test alone: their samples in the corner are the test
    side, the others are excluded.

    Args:
        parameters: Parameter or label to ``[low, high]``, both included, in its own unit; a sample is in
            the corner when all hold.
        validation: Share of the remaining clusters for validation.
        seed: Another seed, another deal of the remaining clusters.

    Example:
        >>> from skyloom.fields import example
        >>> split = ByCorner(parameters={"HII_EFF_FACTOR": [40, 50]}, validation=0.25).assign(example(8))
        >>> [len(split.sides[side]) for side in ("train", "validation", "test")]
        [20, 4, 8]
    """

    def __init__(self, *, parameters: dict[str, list[float]], validation: float = 0.2, seed: int = 0) -> None:
        if not parameters:
            raise UsageError("a corner without parameters", hint="give parameters: {Omega_m: [0.4, 0.5]}")
        check_ranges(parameters, ordered=True)
        check_share(validation)
        self.parameters = {name: list(ends) for name, ends in parameters.items()}
        self.validation, self.seed = validation, seed

    def assign(self, table: xr.Dataset) -> Split:
        """Return the split of a table.

        Args:
            table: A field set, or its coordinates alone.

        Raises:
            DataError: No sample is in the corner, or fewer than two clusters are outside; a parameter is
                missing.
        """
        names = clusters(table)
        corner = np.ones(len(names), dtype=bool)
        for name, ends in self.parameters.items():
            corner &= _within(column(table, name), ends)
        if not corner.any():
            raise DataError(
                f"none of {len(names)} samples is in the corner {self.parameters}", hint="widen it"
            )
        reserved = set(names[corner].tolist())
        rest = [name for name in names.tolist() if name not in reserved]
        shares = {"train": 1 - self.validation, "validation": self.validation}
        what = f"clusters with no sample in the corner ({_counted(table)} in all)"
        side = deal(rest, shares, self.seed, what=what)
        sides = [
            "test" if held else side.get(name, "") for name, held in zip(names.tolist(), corner, strict=True)
        ]
        members, excluded = gather(table, sides)
        settings = {"parameters": self.parameters, "validation": self.validation, "seed": self.seed}
        return Split(members, by="corner", settings=settings, excluded=excluded)


class ByTime:
    """Keep a range of redshift, or of another coordinate, for the test.

    Without a buffer the simulations are dealt as well, as ``ByGroup`` does, because a simulation at one
    redshift gives away itself at another: the test side holds the test simulations in the test range, the
    others what lies outside that range. With a buffer, one simulation may stand on several sides, as
    snapshots of a driven flow more than the buffer apart: sound only where the flow forgets in that time.

    Args:
        test: ``[low, high]`` of the coordinate, both included.
        key: The coordinate.
        fractions: Share of the clusters for each side; only without a buffer.
        buffer: Least distance in the coordinate between sides; only without fractions.
        validation: ``[low, high]`` for validation; needed with a buffer. Without it, validation has the
            same range as training.
        seed: Another seed, another deal.

    Example:
        >>> from skyloom.fields import example
        >>> thirds = {"train": 0.5, "validation": 0.25, "test": 0.25}
        >>> split = ByTime(test=[8.5, 9.5], fractions=thirds).assign(example(8))
        >>> [len(split.sides[side]) for side in ("train", "validation", "test")], len(split.excluded)
        ([8, 4, 4], 16)
    """

    def __init__(
        self,
        *,
        test: list[float],
        key: str = "redshift",
        fractions: dict[str, float] | None = None,
        buffer: float | None = None,
        validation: list[float] | None = None,
        seed: int = 0,
    ) -> None:
        if (fractions is None) == (buffer is None):
            raise UsageError(
                "a split by time needs either fractions or a buffer",
                hint="fractions deal whole simulations; a buffer parts the snapshots of one",
            )
        if fractions is not None:
            check_fractions(fractions)
        if buffer is not None and not buffer > 0:
            raise UsageError(f"a buffer of {buffer!r}", hint="above 0: neighbouring snapshots are correlated")
        if buffer is not None and validation is None:
            raise UsageError("a split by time with a buffer has no validation range", hint="give validation")
        self.ranges = {"test": list(test)} | ({} if validation is None else {"validation": list(validation)})
        check_ranges(self.ranges, ordered=True)
        self.key, self.buffer, self.seed = key, buffer, seed
        self.fractions = None if fractions is None else in_order(fractions)

    def assign(self, table: xr.Dataset) -> Split:
        """Return the split of a table.

        Args:
            table: A field set, or its coordinates alone.

        Raises:
            DataError: A side is empty, or a coordinate is missing.
        """
        times = column(table, self.key).astype(float)
        held = {side: _within(times, ends) for side, ends in self.ranges.items()}
        both = held["test"] & held.get("validation", False)
        if both.any():
            raise DataError(
                f"{both.sum()} samples are in the ranges of test and validation", hint="part them"
            )
        sides = self._by_range(times, held) if self.fractions is None else self._by_cluster(table, held)
        members, excluded = gather(table, sides.tolist())
        settings = {"key": self.key, "buffer": self.buffer, "seed": self.seed, "fractions": self.fractions}
        return Split(members, by="time", settings=settings | {"ranges": self.ranges}, excluded=excluded)

    def _by_cluster(self, table: xr.Dataset, held: Mapping[str, np.ndarray]) -> np.ndarray:
        names = clusters(table).tolist()
        side = deal(names, self.fractions or {}, self.seed, what=_counted(table))
        sides = np.array([side[name] for name in names], dtype="<U10")
        free = ~np.any(list(held.values()), axis=0)
        allowed = {name: held.get(name, free) for name in SIDES}
        return np.where(
            np.select([sides == name for name in SIDES], [allowed[name] for name in SIDES]), sides, ""
        )

    def _by_range(self, times: np.ndarray, held: Mapping[str, np.ndarray]) -> np.ndarray:
        buffer = self.buffer or 0.0
        sides = np.full(len(times), "train", dtype="<U10")
        for ends in self.ranges.values():
            sides[_within(times, [ends[0] - buffer, ends[1] + buffer], open_ends=True)] = ""
        sides[held["validation"]] = "validation"
        sides[held["test"]] = "test"
        near = [_distance(time, times[held["test"]]) < buffer for time in times[held["validation"]]]
        sides[np.flatnonzero(held["validation"])[np.array(near, dtype=bool)]] = ""
        return sides


class BySample:
    """Deal single samples, as published work often does: maps of one simulation on all sides.

    It shows what a network gains from having seen the box. The recipe must own up to it, and every page
    and figure made of it is marked.

    Args:
        fractions: Share of the samples for each side; they sum to 1.
        seed: Another seed, another deal.
        leaky: Must be true.

    Raises:
        LeakError: ``leaky`` is not true.

    Example:
        >>> from skyloom.fields import example
        >>> thirds = {"train": 0.5, "validation": 0.25, "test": 0.25}
        >>> BySample(fractions=thirds, leaky=True).assign(example()).leaky
        True
    """

    def __init__(self, *, fractions: dict[str, float], seed: int = 0, leaky: bool = False) -> None:
        check_fractions(fractions)
        if leaky is not True:
            raise LeakError(
                "a split by sample puts maps of one simulation on all sides",
                hint="split by group; or write leaky: true, and every figure will say so",
            )
        self.fractions, self.seed, self.leaky = in_order(fractions), seed, leaky

    def assign(self, table: xr.Dataset) -> Split:
        """Return the split of a table, marked as leaky.

        Args:
            table: A field set, or its coordinates alone.

        Raises:
            DataError: There are fewer samples than sides.
        """
        ids = table["sample"].values.astype(str).tolist()
        side = deal(ids, self.fractions, self.seed, what="samples")
        sides, _ = gather(table, [side[name] for name in ids])
        return Split(
            sides, by="sample", leaky=True, settings={"fractions": self.fractions, "seed": self.seed}
        )


def _counted(table: xr.Dataset) -> str:
    groups = len(np.unique(column(table, "group")))
    return f"independent clusters made of {groups} groups"


def _box(table: xr.Dataset) -> tuple[float, bool]:
    try:
        return parent_box(table)
    except KeyError as error:
        raise DataError(
            f"the samples have no attribute {error}", hint="give the field set's own table"
        ) from None


def _within(values: np.ndarray, ends: Sequence[float], *, open_ends: bool = False) -> np.ndarray:
    inside = (
        (values > ends[0]) & (values < ends[1]) if open_ends else (values >= ends[0]) & (values <= ends[1])
    )
    return np.asarray(inside)


def _distance(value: float, others: np.ndarray) -> float:
    return float(np.abs(others - value).min(initial=np.inf))
