"""Checks of what a recipe says of a split, before any sample is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from skyloom.errors import UsageError
from skyloom.runs import SIDES
from skyloom.splits.record import check_sides


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Raise unless the three sides have positive fractions that sum to one.

    Args:
        fractions: Side to fraction.

    Raises:
        UsageError: A side is missing or unknown, a fraction is not positive, or the sum is not 1.

    Example:
        >>> check_fractions({"train": 0.6, "validation": 0.2, "test": 0.2})
    """
    check_sides(fractions)
    for side, fraction in fractions.items():
        if not fraction > 0:
            raise UsageError(f"the fraction of {side} is {fraction!r}", hint="every fraction is above 0")
    total = sum(fractions.values())
    if abs(total - 1) > 1e-6:
        raise UsageError(f"the fractions sum to {total:.6g}", hint="train + validation + test = 1")


def in_order(fractions: Mapping[str, float]) -> dict[str, float]:
    """Return fractions in the order of the sides, which decides who gets a remainder.

    Args:
        fractions: Side to fraction.

    Example:
        >>> in_order({"test": 0.25, "train": 0.5, "validation": 0.25})
        {'train': 0.5, 'validation': 0.25, 'test': 0.25}
    """
    return {side: float(fractions[side]) for side in SIDES}


def check_ranges(ranges: Mapping[str, Sequence[float]], *, ordered: bool = True) -> None:
    """Raise unless every range is two different finite numbers.

    Args:
        ranges: What it is a range of to ``[low, high]``.
        ordered: Whether low must be below high; a slab of a periodic box may wrap.

    Raises:
        UsageError: The message names the range.

    Example:
        >>> check_ranges({"Omega_m": [0.4, 0.5]})
    """
    for name, ends in ranges.items():
        if (
            len(ends) != 2
            or not np.isfinite(ends).all()
            or ends[0] == ends[1]
            or (ordered and ends[0] > ends[1])
        ):
            raise UsageError(f"the range of {name} is {list(ends)}", hint="give [low, high] with low < high")


def check_share(share: float) -> None:
    """Raise unless a share lies between 0 and 1.

    Args:
        share: Share of the clusters for validation.

    Raises:
        UsageError: It does not.

    Example:
        >>> check_share(0.2)
    """
    if not 0 < share < 1:
        raise UsageError(f"a share of {share!r} for validation", hint="between 0 and 1, neither included")
