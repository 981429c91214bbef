"""The size of a particle, from its volume or from its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import UsageError

Array = NDArray[Any]


def volume_radius(volumes: ArrayLike) -> Array:
    """Return the radius of the sphere with the volume of a Voronoi cell, ``(3 V / 4π)^(1/3)``.

    Args:
        volumes: Mass over density of each cell, shape ``(n,)`` [l³].

    Returns:
        Radii, shape ``(n,)`` [l].

    Example:
        >>> volume_radius([4 * np.pi / 3]).tolist()
        [1.0]
    """
    return np.asarray(np.cbrt(3 * np.asarray(volumes, dtype=np.float64) / (4 * np.pi)))


def neighbour_radius(positions: ArrayLike, *, neighbours: int = 32, box: float | None = None) -> Array:
    """Return the distance to the ``neighbours``-th nearest particle, the smoothing length of SPH.

    Args:
        positions: Shape ``(n, 3)`` [l].
        neighbours: How many other particles lie inside the radius; all others where there are fewer.
        box: Side of the periodic box [l]; none for an open set.

    Returns:
        Radii, shape ``(n,)`` [l]; 0 for a lone particle.

    Raises:
        UsageError: ``neighbours`` is below 1.

    Example:
        >>> neighbour_radius([[0, 0, 0], [1, 0, 0], [3, 0, 0]], neighbours=1).tolist()
        [1.0, 1.0, 2.0]
    """
    from scipy.spatial import cKDTree

    if neighbours < 1:
        raise UsageError(f"neighbours is {neighbours}, allowed: 1 or more")
    places = np.asarray(positions, dtype=np.float64)
    if len(places) < 2:
        return np.zeros(len(places))
    if box is not None:
        places = places % box
    tree = cKDTree(places, boxsize=box)
    distances, _ = tree.query(places, k=[min(neighbours, len(places) - 1) + 1], workers=-1)
    return np.asarray(distances[:, 0])
