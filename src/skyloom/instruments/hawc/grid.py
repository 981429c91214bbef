"""The 40 × 40 map of HAWC: a pixel for each PMT, four for each tank.

Rows of tanks become double rows of pixels, and the place of a tank in its row the place of its two columns;
the map squeezes out aisles and roads, so it is no scaled picture of the ground. It is that of the published
HAWC networks (E. Ruiz, ConvoNN; HAWC Deep Learning 2018), written here as runs of consecutive tanks. Of 1200
grid ids, 1193 have a pixel: 298 tanks, and the one id 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError

Array = NDArray[Any]

SIZE = 40
"""Pixels along each side."""
IDS = 1200
"""Grid ids, counted from 1."""

# Row of tanks, columns from which to which the tanks run (downwards), grid id of the first PMT of the first.
RUNS: tuple[tuple[int, int, int, int], ...] = (
    (19, 9, 1, 9), (18, 13, 13, 1089), (18, 12, 1, 45), (17, 14, 0, 93), (16, 14, 1, 153), (15, 15, 0, 209),
    (14, 15, 1, 273), (13, 16, 0, 333), (12, 16, 1, 401), (11, 17, 13, 465), (11, 8, 0, 485),
    (10, 17, 13, 521), (10, 9, 1, 541), (9, 17, 1, 577), (8, 18, 2, 645), (7, 18, 2, 713), (6, 18, 3, 781),
    (5, 18, 3, 845), (4, 18, 4, 909), (3, 18, 4, 969), (2, 19, 5, 1029), (1, 18, 6, 1093), (0, 19, 6, 1145),
)  # fmt: skip
ALONE = (8, 21, 39)
"""The one PMT of the first two tanks that the map shows: grid id, column, row."""


def tanks() -> list[tuple[int, int, int]]:
    """Return column, row and first grid id of the 298 tanks of the map.

    Example:
        >>> len(tanks()), tanks()[0]
        (298, (9, 19, 9))
    """
    return [
        (column, row, first + 4 * (start - column))
        for row, start, end, first in RUNS
        for column in range(start, end - 1, -1)
    ]


@lru_cache(maxsize=1)
def pixels() -> Array:
    """Return the pixel of every grid id.

    Returns:
        Column and row, shape ``(1201, 2)``, to be indexed by the grid id; -1 where it has no pixel.

    Example:
        >>> pixels()[9].tolist(), pixels()[1].tolist()
        ([18, 38], [-1, -1])
    """
    found = np.full((IDS + 1, 2), -1, dtype=np.int64)
    found[ALONE[0]] = ALONE[1:]
    for column, row, first in tanks():
        for k in range(4):
            found[first + k] = 2 * column + k // 2, 2 * row + k % 2
    found.flags.writeable = False
    return found


@lru_cache(maxsize=1)
def grid_ids() -> Array:
    """Return the grid id of every pixel, the inverse of ``pixels``.

    Returns:
        Grid ids, shape ``(40, 40)``, axes row and column; 0 where there is no PMT.

    Example:
        >>> int(grid_ids()[38, 18]), int((grid_ids() > 0).sum())
        (9, 1193)
    """
    found = np.zeros((SIZE, SIZE), dtype=np.int64)
    known = pixels()[:, 0] >= 0
    column, row = pixels()[known].T
    found[row, column] = np.flatnonzero(known)
    found.flags.writeable = False
    return found


def detector_mask(dead: Iterable[int] = ()) -> Array:
    """Return which pixels show a PMT that works.

    Args:
        dead: Grid ids of channels that do not.

    Returns:
        Booleans, shape ``(40, 40)``.

    Raises:
        UsageError: A grid id does not exist.

    Example:
        >>> int(detector_mask().sum()), int(detector_mask(dead=[9, 10]).sum())
        (1193, 1191)
    """
    return np.asarray((grid_ids() > 0) & ~np.isin(grid_ids(), checked_ids(dead)))


def checked_ids(ids: Iterable[int]) -> Array:
    """Return grid ids as an array.

    Raises:
        UsageError: One does not exist.
    """
    numbers = np.asarray(list(ids), dtype=np.int64)
    wrong = numbers[(numbers < 1) | (numbers > IDS)]
    if len(wrong):
        raise UsageError(f"there is no grid id {wrong[0]}", hint=f"allowed: 1 to {IDS}")
    return numbers
