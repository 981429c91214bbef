"""How particles are looked at: one field of view, one pixel grid and one direction for all of a galaxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import ShapeError, UsageError

Array = NDArray[Any]


@dataclass(frozen=True)
class View:
    """A square field of view, seen along ``z`` after a rotation about its centre.

    Args:
        centre: The point in the middle of the map, ``(x, y, z)`` in any length unit ``l``.
        width: Side of the map [l].
        pixels: Side of the map in pixels. The centre lies on the corner of four pixels if it is even.
        rotation: Matrix that turns positions before they are projected, as rows; none to leave them.

    Raises:
        UsageError: Width or pixels are not positive, or the matrix does not rotate.

    Example:
        >>> view = View(centre=(1.0, 1.0, 1.0), width=4.0, pixels=8)
        >>> view.turned([[2.0, 1.0, 0.0]]).tolist(), view.pixel
        ([[1.0, 0.0, -1.0]], 0.5)
    """

    centre: tuple[float, float, float]
    width: float
    pixels: int
    rotation: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        if not self.width > 0 or self.pixels < 1:
            raise UsageError(f"a view has the width {self.width} and {self.pixels} pixels, allowed: above 0")
        if self.rotation is not None:
            R = np.asarray(self.rotation)
            if R.shape != (3, 3) or not np.allclose(R @ R.T, np.eye(3), atol=1e-6) or np.linalg.det(R) < 0:
                raise UsageError(
                    f"{R.tolist()} is no rotation", hint="give an orthogonal 3 × 3 matrix, det 1"
                )

    @property
    def pixel(self) -> float:
        """Side of a pixel, in the unit of the width."""
        return self.width / self.pixels

    def turned(self, positions: ArrayLike, box: float | None = None) -> Array:
        """Return positions relative to the centre, turned; the last component is along the line of sight.

        Args:
            positions: Shape ``(n, 3)`` [l].
            box: Side of a periodic box [l]: every particle is taken at its image nearest to the centre.

        Returns:
            Shape ``(n, 3)`` [l].
        """
        d = np.asarray(positions, dtype=np.float64) - np.asarray(self.centre)
        if d.ndim != 2 or d.shape[1] != 3:
            raise ShapeError(f"positions have the shape {d.shape}, allowed: (n, 3)")
        return self.directed(d if box is None else d - box * np.round(d / box))

    def directed(self, vectors: ArrayLike) -> Array:
        """Return vectors, such as velocities, turned as the positions are.

        Args:
            vectors: Shape ``(n, 3)``, any unit.
        """
        v = np.asarray(vectors, dtype=np.float64)
        return v if self.rotation is None else v @ np.asarray(self.rotation).T


def random_rotation(seed: int) -> tuple[tuple[float, ...], ...]:
    """Draw a rotation, every orientation alike (uniform on SO(3); Shoemake 1992).

    Args:
        seed: Every seed has its own rotation.

    Returns:
        The matrix, as rows.

    Example:
        >>> R = np.array(random_rotation(3))
        >>> bool(abs(R @ R.T - np.eye(3)).max() < 1e-12), bool(np.linalg.det(R) > 0)
        (True, True)
    """
    # A Gaussian vector in four dimensions has no preferred direction: its direction is a uniform quaternion.
    w, x, y, z = (q := np.random.default_rng(seed).standard_normal(4)) / np.linalg.norm(q)
    matrix = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return tuple(tuple(float(value) for value in row) for row in matrix)


def taper(distances: ArrayLike, radius: float, *, share: float = 0.1) -> Array:
    """Return the weight of particles inside a sphere whose rim falls smoothly to nothing.

    A selection by a cube leaves its corners in a map, and a network finds them. A sphere looks the same from
    everywhere; its rim is a half period of a cosine, over the outer ``share`` of the radius.

    Args:
        distances: Distance from the centre, any length unit ``l``.
        radius: Where the weight reaches 0 [l].
        share: Part of the radius over which it falls; 0 is a sharp sphere.

    Returns:
        Weights from 0 to 1, the shape of ``distances``.

    Raises:
        UsageError: The share is not between 0 and 1, or the radius not positive.

    Example:
        >>> taper([0.0, 9.0, 9.5, 10.0, 11.0], 10.0).round(12).tolist()
        [1.0, 1.0, 0.5, 0.0, 0.0]
    """
    if not (0 <= share <= 1 and radius > 0):
        raise UsageError(f"a taper has the radius {radius} and share {share}, allowed: above 0, and 0 to 1")
    d = np.asarray(distances, dtype=np.float64)
    if share == 0:
        return (d < radius).astype(np.float64)
    depth = np.clip((radius - d) / (share * radius), 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * depth))
