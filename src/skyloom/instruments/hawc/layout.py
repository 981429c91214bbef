"""Where the PMTs of HAWC stand.

The default is rebuilt, not surveyed. Published (Abeysekara et al. 2017, ApJ 843, 39, arXiv:1701.01778): 300
tanks of four PMTs, one in the middle and three about it at 1.8 m, tanks 7.3 m across, 22,000 m² in all.
The rows, and the place of each tank in its row, are those of the 40 × 40 map; the first two tanks, which it
leaves out, close its first row. Rows stand in pairs, close-packed within a pair, with an aisle between pairs;
a road crosses all rows at one place in the row, and a gap runs along the lattice. Pitch, widths and
orientation are round numbers, chosen so that tanks stand within 0.25 m of where the observatory's public
survey has them, those beside the counting house within 1 m. Two things are simplified: all PMTs are at one
height (the survey: 0.3 to 0.8 m), and which outer PMT has which id, which differs from tank to tank, is
the same in all of a row. Use ``read_survey`` or the layout in a file where that counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, ShapeError
from skyloom.instruments.hawc.grid import IDS, checked_ids, tanks

Array = NDArray[Any]

PITCH = 7.9
"""Distance of neighbouring tanks of a row, and of the two rows of a pair [m]."""
AISLE = 9.9
"""Distance of neighbouring rows of two pairs [m]."""
ORIENTATION = np.radians(105.5)
"""Direction of a row, from x (east) towards y (north) [rad]."""
CORNER = (100.6 + 9 * PITCH, -180.2)
"""Where the first tank stands, along the rows and across them [m]."""
ROAD, NARROW, GAP = 7.8, 5.3, 1.8
"""Widths that the road adds between the upper and between the lower rows, and that of the gap [m]."""
RADIUS = 1.85
"""Distance of the outer PMTs from the middle one [m]."""
HEIGHT = 0.5
"""Height of all PMTs [m]."""


@dataclass(frozen=True)
class Layout:
    """Positions of PMTs.

    Args:
        grid_id: Grid ids, ascending, shape ``(n,)``.
        position: x (east), y (north), z (up) [m], shape ``(n, 3)``.

    Raises:
        ShapeError: The arrays do not fit each other.
    """

    grid_id: Array
    position: Array

    def __post_init__(self) -> None:
        if self.grid_id.ndim != 1 or self.position.shape != (len(self.grid_id), 3):
            raise ShapeError(
                f"a layout of grid ids {self.grid_id.shape} and positions {self.position.shape},"
                " allowed: (n,) and (n, 3)"
            )
        checked_ids(self.grid_id.tolist())

    def __len__(self) -> int:
        """Return the number of PMTs."""
        return len(self.grid_id)

    def table(self) -> Array:
        """Return the positions [m] by grid id, shape ``(1201, 3)``; NaN where there is no PMT."""
        found = np.full((IDS + 1, 3), np.nan)
        found[self.grid_id] = self.position
        return found

    def without(self, dead: Iterable[int]) -> Layout:
        """Return the layout without dead channels.

        Args:
            dead: Their grid ids.

        Raises:
            UsageError: A grid id does not exist.

        Example:
            >>> len(default_layout().without([1, 2, 1200]))
            1197
        """
        keep = ~np.isin(self.grid_id, checked_ids(dead))
        return Layout(self.grid_id[keep], self.position[keep])


def default_layout() -> Layout:
    """Return the rebuilt layout of all 1200 PMTs.

    Example:
        >>> layout = default_layout()
        >>> len(layout), layout.position.mean(axis=0).round().astype(int).tolist()
        (1200, [36, 246, 0])
    """
    middle, rows = np.empty((IDS // 4, 2)), np.empty(IDS // 4)
    for (row, number), first in _first_ids().items():
        middle[first // 4], rows[first // 4] = _tank(row=row, number=number), row
    along = np.array([np.cos(ORIENTATION), np.sin(ORIENTATION)])
    centres = middle @ np.stack([along, [-along[1], along[0]]])
    # tanks of every second row are turned by 60°; the third PMT stands in the middle
    angles = np.radians([75.5, -44.5, 0.0, 195.5] + 60.0 * (rows[:, None] % 2))
    radii = RADIUS * np.array([1, 1, 0, 1])
    outer = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=2)
    xy = (centres[:, None, :] + outer).reshape(IDS, 2)
    return Layout(np.arange(1, IDS + 1), np.column_stack([xy, np.full(IDS, HEIGHT)]))


def _first_ids() -> dict[tuple[int, int], int]:
    """Return row (from 0) and number of every tank -> its first grid id."""
    return {(19 - row, 20 - column): first for column, row, first in [(11, 19, 1), (10, 19, 5), *tanks()]}


def _tank(*, row: int, number: int) -> tuple[float, float]:
    """Return where a tank stands along and across the rows [m]; rows from 0, numbers as HAWC counts them."""
    along = CORNER[0] + PITCH * (number - 9) + PITCH / 2 * row
    if number > 10:
        along += ROAD if row < 8 else NARROW
    if number + row > 18:
        along += GAP
    across = CORNER[1] + row // 2 * (AISLE + PITCH * np.sqrt(3) / 2) + row % 2 * PITCH * np.sqrt(3) / 2
    return float(along), float(across)


def layout_of_hits(grid_id: Array, position: Array) -> Layout:
    """Return the layout that hits tell of, each with the position of its PMT.

    Files keep 0 for PMTs whose position was never set; these are left out.

    Args:
        grid_id: Grid ids of hits, shape ``(n,)``; those out of range are left out.
        position: x, y, z [m], shape ``(n, 3)``.

    Raises:
        FormatError: A PMT has two positions.

    Example:
        >>> hits = np.array([7, 9, 7, 11]), np.array([[1, 2, 0], [3, 4, 0], [1, 2, 0], [0, 0, 0]])
        >>> layout_of_hits(*hits).grid_id.tolist()
        [7, 9]
    """
    ids, position = np.asarray(grid_id).astype(np.int64), np.asarray(position, dtype=np.float64)
    known = (ids >= 1) & (ids <= IDS) & (position[:, 0] != 0) & np.isfinite(position).all(axis=1)
    ids, position = ids[known], position[known]
    found, first = np.unique(ids, return_index=True)
    layout = Layout(found, position[first])
    apart = np.abs(layout.table()[ids] - position).max(axis=1, initial=0.0) > 0
    if apart.any():
        raise FormatError(
            f"the PMT with grid id {ids[apart][0]} has two positions in one file",
            hint="its layout changed; read the parts of the file apart",
        )
    return layout


def read_survey(path: Path | str) -> Layout:
    """Read a survey of PMTs: lines ``name tank kind channel x y z`` [cm], tanks named as ``E9``.

    Args:
        path: The text file.

    Raises:
        FormatError: It is no such file.
    """
    path, ids = Path(path), _first_ids()
    try:
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read: {error}", hint="check the path") from error
    found: dict[int, list[float]] = {}
    for line, row in enumerate(rows, start=1):
        try:
            _, tank, _, channel, *words = row
            first = ids[ord(tank[0]) - ord("E"), int(tank[1:])]
            position, k = [0.01 * float(word) for word in words], int(channel) - 1
        except (IndexError, KeyError, TypeError, ValueError):
            k, first, position = -1, 0, []
        if not 0 <= k < 4 or len(position) != 3 or not np.isfinite(position).all() or first + k in found:
            raise FormatError(
                f"{path}, line {line}: {' '.join(row)[:80]!r}, allowed: name tank kind channel x y z",
                hint="tanks of HAWC (E9 to X14), channels 1 to 4, each once, centimetres",
            )
        found[first + k] = position
    if not found:
        raise FormatError(f"{path}: holds no PMT")
    return Layout(np.array(sorted(found)), np.array([found[k] for k in sorted(found)]))
