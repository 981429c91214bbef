"""A periodic grid of cubic cells with ghost zones, kept in flat rows so that one kernel serves every axis.

A field is one row of ``cells`` numbers; its view ``(Z, Y, X)`` has ``GHOSTS`` layers more on every face than
the box. The neighbour of cell ``c`` below it along axis ``d`` is ``c - strides[d]``. Axes and the components
of vectors count ``x, y, z = 0, 1, 2``; a value on the face between ``c - strides[d]`` and ``c`` is stored at
``c``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Three = tuple[int, int, int]

GHOSTS = 2  #: layers that a second-order reconstruction at the outermost faces reads


@dataclass(frozen=True)
class Grid:
    """Shape and cell size of a periodic box.

    Args:
        shape: Cells along z, y and x, at least two each.
        width: Side of a cell, in any length unit.

    Example:
        >>> Grid((4, 4, 8), 1 / 8).strides
        (1, 12, 96)
    """

    shape: Three
    width: float

    @cached_property
    def padded(self) -> Three:
        """Cells along z, y and x with ghost zones."""
        z, y, x = (n + 2 * GHOSTS for n in self.shape)
        return z, y, x

    @cached_property
    def strides(self) -> Three:
        """Steps in a row from a cell to the next along x, y and z."""
        _, y, x = self.padded
        return 1, x, x * y

    @cached_property
    def cells(self) -> int:
        """Length of a row."""
        z, y, x = self.padded
        return z * y * x

    def rows(self, count: int) -> Array:
        """Return ``count`` rows of zeros, shape ``(count, cells)``."""
        return np.zeros((count, self.cells))

    def inside(self, rows: Array) -> Array:
        """Return the box without its ghost zones, a view of shape ``(count, Z, Y, X)``."""
        inner = slice(GHOSTS, -GHOSTS)
        return rows.reshape(len(rows), *self.padded)[:, inner, inner, inner]

    def wrap(self, rows: Array) -> None:
        """Fill the ghost zones of ``rows`` from the opposite side of the box."""
        box = rows.reshape(len(rows), *self.padded)
        for axis in (1, 2, 3):
            view = np.moveaxis(box, axis, 0)
            view[:GHOSTS] = view[-2 * GHOSTS : -GHOSTS]
            view[-GHOSTS:] = view[GHOSTS : 2 * GHOSTS]

    def centres(self) -> tuple[Array, Array, Array]:
        """Return x, y and z of the cell centres, shaped to broadcast over ``(Z, Y, X)``."""
        z, y, x = (np.asarray((np.arange(n) + 0.5) * self.width, np.float64) for n in self.shape)
        return x[None, None, :], y[None, :, None], z[:, None, None]
