"""Hold out runs, or a stretch of time, for the test, and validate on a slab of what remains.

With two or three runs of every class, whole runs cannot fill three sides with every class on each. The test
side matters most, so it gets what is strictest: whole runs, or snapshots a buffer of time away. Validation,
which only chooses the epoch and repairs the errors, is a slab of the training runs, a buffer away from the
rest: it knows its simulations, so its scores are not those of unseen ones.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields import parent_box
from skyloom.splits import periodic
from skyloom.splits.arguments import check_ranges, check_share
from skyloom.splits.clusters import clusters, column, deal, deal_classes, gather
from skyloom.splits.record import Split


class ByHeldOut:
    """Test on held-out runs (or snapshots), validate on a slab of the others, train on the rest of these.

    The slab has one place in all boxes; in a periodic box a buffer lies on both of its sides. Training and
    validation maps must lie wholly in their part; maps along other axes cross both and are excluded.

    Args:
        axis: Axis of the slab, ``x``, ``y`` or ``z``.
        buffer_share: Least distance between training and validation, as a share of the box; at least the
            correlation length.
        validation: Share of the box for the slab.
        fraction: Share of the runs for the test, at least one (of each class); or give ``runs`` or ``time``.
        runs: Groups for the test, by name.
        stratify: Parameter or label that tells the classes, of each of which runs are held out; null deals
            runs whatever they are of. Only with ``fraction``.
        time: ``[low, high]`` of ``key`` for the test, in all runs: sound only if the flow forgets.
        key: The coordinate that ``time`` is a range of.
        time_buffer: Least distance in ``key`` to the training; needed with ``time``.
        seed: Where the slab lies, and which runs are held out.

    Raises:
        UsageError: Not one of ``fraction``, ``runs`` and ``time`` is given, or a value is out of range.

    Example:
        >>> from skyloom.fields import example
        >>> maps = example(groups=4, per_group=32, size=32)
        >>> split = ByHeldOut(axis="z", buffer_share=0.07, validation=0.25, fraction=0.25).assign(maps)
        >>> groups = maps["group"].sel(sample=list(split.sides["test"])).values
        >>> len(set(groups)), len(split.sides["test"])
        (1, 32)
    """

    def __init__(
        self,
        *,
        axis: str,
        buffer_share: float = 1 / 12,
        validation: float = 0.2,
        fraction: float | None = None,
        runs: list[str] | None = None,
        stratify: str | None = None,
        time: list[float] | None = None,
        key: str = "time",
        time_buffer: float | None = None,
        seed: int = 0,
    ) -> None:
        if axis not in ("x", "y", "z"):
            raise UsageError(f"a slab along the axis {axis!r}", hint="allowed: x, y, z")
        if not 0 < buffer_share < 0.5:
            raise UsageError(
                f"a buffer_share of {buffer_share!r}",
                hint="above 0, since neighbouring slabs are correlated; below 0.5",
            )
        check_share(validation)
        if sum(value is not None for value in (fraction, runs, time)) != 1:
            raise UsageError(
                "what is held out is told by fraction, runs or time", hint="give one of the three"
            )
        if fraction is not None and not 0 < fraction < 1:
            raise UsageError(
                f"a fraction of {fraction!r} of the runs", hint="between 0 and 1, neither included"
            )
        if stratify is not None and fraction is None:
            raise UsageError(f"stratify {stratify!r} without a fraction", hint="give fraction: 0.5")
        if (time is None) != (time_buffer is None) or (time_buffer is not None and not time_buffer > 0):
            raise UsageError(
                f"time {time!r} with a time_buffer of {time_buffer!r}", hint="give both, above 0"
            )
        if time is not None:
            check_ranges({"time": time})
        self.axis, self.buffer_share, self.validation, self.seed = axis, buffer_share, validation, seed
        self.fraction, self.runs, self.stratify = fraction, runs, stratify
        self.time, self.key, self.time_buffer = time, key, time_buffer

    def assign(self, table: xr.Dataset) -> Split:
        """Return the split of a table.

        Args:
            table: A field set, or its coordinates alone, with the attributes of its box.

        Raises:
            DataError: The slab and its buffers do not fit into the box, a side is empty, too few runs are
                there (of a class), or a coordinate is missing.
        """
        held, kept = self._held(table)
        slabs, box = self._slabs(table)
        start, length = column(table, "position"), column(table, "thickness")
        along = column(table, "axis").astype(str) == self.axis
        sides = np.where(held, "test", "").astype("<U10")
        for side, slab in slabs.items():
            sides[kept & along & periodic.inside(start, length, slab, box)] = side
        members, excluded = gather(table, sides.tolist())
        settings = {
            "axis": self.axis,
            "buffer": self.buffer_share * box,
            "slabs": {side: [low, low + size] for side, (low, size) in slabs.items()},
            "key": self.key,
            "time_buffer": self.time_buffer,
            "stratify": self.stratify,
            "seed": self.seed,
        }
        return Split(members, by="held_out", settings=settings, excluded=excluded)

    def _held(self, table: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Return which samples are for the test, and which are for the other two sides."""
        if self.time is not None:
            times, (low, high), gap = (
                column(table, self.key).astype(float),
                self.time,
                self.time_buffer or 0.0,
            )
            held = (times >= low) & (times <= high)
            reach = times[held]
            far = np.array([np.abs(reach - time).min(initial=np.inf) >= gap for time in times], dtype=bool)
            return held, far & ~held
        names = clusters(table)
        if self.runs is not None:
            groups = column(table, "group").astype(str)
            unknown = sorted(set(self.runs) - set(groups.tolist()))
            if unknown:
                raise DataError(
                    f"there is no run {unknown[0]!r}", hint=nearest(unknown[0], np.unique(groups))
                )
            held = np.isin(names, np.unique(names[np.isin(groups, self.runs)]))
        else:
            held = self._dealt(table, names)
        return held, ~held

    def _dealt(self, table: xr.Dataset, names: np.ndarray) -> np.ndarray:
        shares = {"train": 1 - (self.fraction or 0.0), "test": self.fraction or 0.0}
        if self.stratify is None:
            side = deal(names.tolist(), shares, self.seed, what="independent clusters")
        else:
            side = deal_classes(names, column(table, self.stratify), shares, self.seed, self.stratify)
        return np.array([side[name] == "test" for name in names.tolist()])

    def _slabs(self, table: xr.Dataset) -> tuple[dict[str, tuple[float, float]], float]:
        """Return start and length of the slab and of what is left for training, and the side of the box."""
        try:
            box, wraps = parent_box(table)
        except KeyError as error:
            raise DataError(
                f"the samples have no attribute {error}", hint="give the field set's own table"
            ) from None
        size, buffer = self.validation * box, self.buffer_share * box
        left = box - size - buffer * (2 if wraps else 1)
        if left <= 0:
            raise DataError(
                f"a slab of {size:g} and buffers of {buffer:g} leave nothing of a box of {box:g}",
                hint="take a smaller buffer or a smaller share for validation",
            )
        low = float(np.random.default_rng(self.seed).uniform(0, box)) if wraps else box - size
        train = ((low + size + buffer) % box if wraps else 0.0, left)
        return {"train": train, "validation": (low, size)}, box
