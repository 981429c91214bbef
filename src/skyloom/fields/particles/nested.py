"""Deposits at one cost a particle, whatever its radius, and nearly exact.

A particle is added, as a stamp made once, to the first of a nest of grids (each twice as coarse as the one
before) on which its radius is below ``2 SMALLEST`` cells. Stamps hold pixel integrals and exactly one mass;
their radius is within 2 % of the particle's, their place within a sixteenth of a cell, both without bias.
From the coarsest on, each grid is refined and added to the next: cells are halved along each axis by the
conservative polynomial of fourth degree (Harten 1995) whose slope is limited so that no cell changes sign.
Mass is therefore kept, but for what a cell at the edge of an open map gives to the outside, and a map that
is a multiple of another stays so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.fields.particles.kernels import KERNELS, tables

Array = NDArray[Any]
SMALLEST = 2.5
"""Radius of the smallest stamps [cells]; smaller particles are integrated one by one."""
RADII, OFFSETS = 24, 8
HALF = 5
"""Cells of a stamp on each side of the one that holds the particle's centre."""
SIDE = 2 * HALF + 1
PAD = 8
"""Cells of every grid beyond each edge of the map: a stamp's half and the reach of the refinement."""


class Nest(NamedTuple):
    """Grids in one array, finest first."""

    starts: Array
    """First cell of each grid, shape ``(levels,)``."""
    sides: Array
    """Cells along the side of each grid, its pads included, shape ``(levels,)``."""

    @property
    def cells(self) -> int:
        """All cells of all grids."""
        return int(self.starts[-1] + self.sides[-1] ** 2)


def nest(pixels: int, largest: float, periodic: bool) -> Nest:
    """Return the grids on which particles up to a radius find their place.

    Args:
        pixels: Side of the map.
        largest: Largest radius [pixels].
        periodic: Whether opposite edges touch; grids then stop where cells no longer divide the map.

    Example:
        >>> nest(64, 12.0, periodic=False).sides.tolist()
        [80, 48, 32]
    """
    wanted = max(int(np.floor(np.log2(max(largest, SMALLEST) / SMALLEST))), 0)
    counts = [pixels]
    while len(counts) <= wanted and counts[-1] >= 2 * PAD and not (periodic and counts[-1] % 2):
        counts.append(-(-counts[-1] // 2))
    sides = np.array(counts) + 2 * PAD
    return Nest(np.concatenate([[0], np.cumsum(sides[:-1] ** 2)]), sides)


@lru_cache(maxsize=len(KERNELS))
def stamps(kernel: str) -> Array:
    """Return the stamps of a kernel, shape ``(RADII, OFFSETS, OFFSETS, SIDE, SIDE)``.

    Args:
        kernel: One of ``KERNELS``.

    Example:
        >>> masses = stamps("spline").sum(axis=(-2, -1))
        >>> bool(abs(masses - 1).max() < 1e-12)
        True
    """
    from skyloom.fields.particles.compiled import cut_stamps

    radii = SMALLEST * (1 + (np.arange(RADII) + 0.5) / RADII)
    offsets = (np.arange(OFFSETS) + 0.5) / OFFSETS
    cut = np.zeros((RADII, OFFSETS, OFFSETS, SIDE, SIDE))
    cut_stamps(tables(kernel).corner, radii, offsets, cut)
    return np.asarray(cut / cut.sum(axis=(-2, -1), keepdims=True))


def collapse(grids: Array, nest: Nest, pixels: int, periodic: bool) -> Array:
    """Refine all grids to the finest and add them up.

    Args:
        grids: Mass in every cell, shape ``(Q, cells)``.
        nest: Where the grids are.
        pixels: Side of the map.
        periodic: Whether what lies in the pads belongs to the other side.

    Returns:
        Mass in every pixel, shape ``(Q, pixels, pixels)``.
    """
    total: Array | None = None
    for start, side in zip(nest.starts[::-1], nest.sides[::-1], strict=True):
        grid = grids[:, start : start + side**2].reshape(-1, side, side)
        if periodic:
            grid = _folded(grid)
        if total is not None:
            finer = _halved(_halved(total, 1), 2)
            edge = PAD  # the coarse pad is twice as wide
            grid = grid + finer[:, edge : edge + side, edge : edge + side]
        total = grid
    return np.zeros((len(grids), pixels, pixels)) if total is None else total[:, PAD:-PAD, PAD:-PAD]


def _folded(grid: Array) -> Array:
    """Add the pads to the cells that they repeat, and fill them with those."""
    for axis in (1, 2):
        lines = np.moveaxis(grid, axis, 0)
        inner = lines[PAD:-PAD].copy()
        places = np.arange(-PAD, len(inner) + PAD) % len(inner)
        for ends in (slice(0, PAD), slice(-PAD, None)):
            np.add.at(inner, places[ends], lines[ends])
        grid = np.moveaxis(inner[places], 0, axis)
    return grid


def _halved(cells: Array, axis: int) -> Array:
    """Cut every cell in two along an axis, each half with its own mass."""
    u = np.moveaxis(cells, axis, 0)
    step = np.zeros_like(u)
    step[2:-2] = (22 * (u[3:-1] - u[1:-3]) - 3 * (u[4:] - u[:-4])) / 128
    bound = np.abs(u)
    step = np.clip(step, -bound, bound)
    halves = np.empty((2 * len(u), *u.shape[1:]))
    halves[0::2], halves[1::2] = (u - step) / 2, (u + step) / 2
    return np.moveaxis(halves, 0, axis)
