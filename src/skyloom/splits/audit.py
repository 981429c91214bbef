"""The proof that a split does not leak, without which nothing can be trained.

``audit`` is the only way to an ``AuditedSplit``, and only an ``AuditedSplit`` opens the training data. It
looks at what the samples say of themselves (group, seed, parent, position, time) and, by fingerprints, at the
maps. It does not see what neither tells: a simulation run twice under two seeds, crops of one map, smoothed
or noisy copies. A split by sample is let through as leaky, and says so wherever it is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from skyloom.errors import LeakError, UsageError, nearest
from skyloom.runs import SIDES
from skyloom.splits.checks import (
    Check,
    Fitted,
    check_disjoint,
    check_ids,
    check_slabs,
    check_times,
    check_transforms,
    check_twins,
    side_rows,
)
from skyloom.splits.clusters import TIES
from skyloom.splits.record import Split

_TOKEN = object()
_BANNER = "!!! LEAKY SPLIT: one simulation may stand on several sides; scores say nothing of unseen ones !!!"
_UNSEEN = "not seen by any audit: crops, smoothed or noisy copies, one simulation run under two seeds"


class AuditedSplit:
    """A split with the checks it passed; only ``audit`` makes one.

    Raises:
        UsageError: It was built by hand, or is written to.

    Example:
        >>> AuditedSplit(None, None, (), "")
        Traceback (most recent call last):
        skyloom.errors.UsageError: an AuditedSplit cannot be made by hand
          → call skyloom.splits.audit(table, split, fingerprints=...)
    """

    __slots__ = ("_checks", "_split", "_text")
    _checks: tuple[Check, ...]
    _split: Split
    _text: str

    def __init__(self, token: object, split: Split, checks: tuple[Check, ...], text: str) -> None:
        if token is not _TOKEN:
            raise UsageError(
                "an AuditedSplit cannot be made by hand",
                hint="call skyloom.splits.audit(table, split, fingerprints=...)",
            )
        for name, value in (("_split", split), ("_checks", checks), ("_text", text)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise UsageError(
            f"an AuditedSplit is fixed: {name} cannot be set", hint="make and audit another split"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers that are spawned get a copy; nobody else rebuilds one.
        return _restore, (self._split, self._checks, self._text)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{side}={len(self.ids(side))}" for side in SIDES)
        return f"AuditedSplit(by={self._split.by!r}, {sizes}, leaky={self.leaky})"

    @property
    def split(self) -> Split:
        """The split."""
        return self._split

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was looked at; in a leaky split some of it failed."""
        return self._checks

    @property
    def leaky(self) -> bool:
        """Whether the split lets one simulation stand on several sides, by the recipe's own word."""
        return self._split.leaky

    @property
    def digest(self) -> str:
        """The sha256 of the split, hexadecimal."""
        return self._split.digest

    def ids(self, side: str) -> tuple[str, ...]:
        """Return the ids of a side, sorted.

        Args:
            side: ``train``, ``validation`` or ``test``.

        Raises:
            UsageError: No such side.
        """
        if side not in SIDES:
            raise UsageError(f"no side {side!r}", hint=nearest(side, SIDES))
        return self._split.sides[side]

    def text(self) -> str:
        """Return the audit to read, as ``audit.txt`` holds it."""
        return self._text


def audit(
    table: xr.Dataset, split: Split, *, fingerprints: Any = None, transforms: Fitted | None = None
) -> AuditedSplit:
    """Prove that a split does not leak.

    Args:
        table: The field set, or its coordinates and attributes alone.
        split: The split to look at.
        fingerprints: ``fingerprint(maps)`` of the table's maps in its order, shape ``(n,)``, or
            ``(n, fields)``. Without them the audit fails.
        transforms: What was fitted, if anything was yet: audit again once it is.

    Returns:
        The split with its checks, the key to the training data.

    Raises:
        LeakError: A check failed, or could not be made. Of a leaky split only the ids must be sound.

    Example:
        >>> from skyloom.fields import example
        >>> from skyloom.splits import ByGroup, fingerprint
        >>> maps = example()
        >>> split = ByGroup(fractions={"train": 0.6, "validation": 0.2, "test": 0.2}).assign(maps)
        >>> audit(maps, split, fingerprints=fingerprint(maps["T_b"].values))
        AuditedSplit(by='group', train=16, validation=4, test=4, leaky=False)
    """
    checks = [check_ids(table, split)]
    sound = checks[0].passed
    checks += _independence(table, split)
    checks.append(check_twins(table, split, fingerprints))
    if transforms is not None:
        checks.append(check_transforms(split, transforms))
    failed = [check for check in checks if not check.passed]
    if failed and not (split.leaky and sound):
        listed = "\n".join(f"  - {check.name}: {check.detail}" for check in failed)
        raise LeakError(
            f"the split by {split.by} leaks, {len(failed)} of {len(checks)} checks failed:\n{listed}",
            hint="split by group, widen the buffer, or remove the samples named",
        )
    return AuditedSplit(
        _TOKEN, split, tuple(checks), _text(table, split, checks, fitted=transforms is not None)
    )


def _independence(table: xr.Dataset, split: Split) -> list[Check]:
    if split.by == "slab":
        return [check_slabs(table, split)]
    settings = split.settings or {}
    if split.by == "held_out":
        return _held_out(table, split)
    if split.by == "time" and settings.get("buffer") is not None:
        return [check_times(table, split), check_disjoint(table, split, "parent")]
    keys = [*TIES, *([settings["key"]] if split.by == "group" and "key" in settings else [])]
    return [check_disjoint(table, split, key) for key in dict.fromkeys(keys)]


def _held_out(table: xr.Dataset, split: Split) -> list[Check]:
    """Check the test side against the other two, and validation against training."""
    train, validation, test = (split.sides[side] for side in SIDES)
    settings = split.settings or {}
    tested = replace(split, sides={"train": train + validation, "validation": (), "test": test})
    chosen = replace(split, sides={"train": train, "validation": validation, "test": ()})
    if settings.get("time_buffer") is None:
        apart = [check_disjoint(table, tested, key) for key in TIES]
    else:
        timed = replace(tested, settings={"key": settings["key"], "buffer": settings["time_buffer"]})
        apart = [check_times(table, timed), check_disjoint(table, tested, "parent")]
    return [*apart, check_slabs(table, chosen)]


def _text(table: xr.Dataset, split: Split, checks: list[Check], *, fitted: bool) -> str:
    ties = [name for name in TIES if name in table.coords]
    rows = side_rows(table, split)
    lines = [_BANNER, ""] if split.leaky else []
    lines += [f"Split by {split.by}, digest {split.digest[:12]}"]
    lines += [f"  {name} = {value}" for name, value in (split.settings or {}).items()]
    lines += ["", "".join(f"{word:>12}" for word in ("side", "samples", *(f"{name}s" for name in ties)))]
    for side in SIDES:
        counts = [len(rows[side]), *(len(np.unique(table[name].values[rows[side]])) for name in ties)]
        lines.append(f"{side:>12}" + "".join(f"{count:>12}" for count in counts))
    lines += [f"{'excluded':>12}{len(split.excluded):>12}", ""]
    if split.excluded:
        named = ", ".join(split.excluded[:5]) + (", ..." if len(split.excluded) > 5 else "")
        lines += [f"excluded: {named} (all in split.json)", ""]
    lines += [str(check) for check in checks]
    if not fitted:
        lines.append("      transforms: none fitted yet, none looked at")
    return "\n".join([*lines, "", _UNSEEN, ""])


def _restore(split: Split, checks: tuple[Check, ...], text: str) -> AuditedSplit:
    return AuditedSplit(_TOKEN, split, checks, text)
