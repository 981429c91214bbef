r"""Rings about a centre: how much of each pixel lies in each of them.

In maps the share is exact: a pixel is a square, a ring lies between two circles, and the area that they have
in common is a closed form. With :math:`G(x, y)` the area that the disc of radius :math:`R` has in common with
the rectangle from its centre to :math:`(x, y)`, counted negative for one negative side, it is a sum of four.
In cubes a cell belongs to the shell that its centre lies in.

Lengths here are in pixels, and the centre of pixel ``i`` is at ``i``. On a torus distances are the shortest
ones; up to the radius ``(N - 1) / 2`` no pixel meets a ring twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[Any]

_CORNER = np.sqrt(0.5)  # distance of a pixel's corner from its centre


def disc_overlap(y: Array, x: Array, radius: float) -> Array:
    """Area that unit squares share with a disc.

    Args:
        y: First coordinate of the squares' centres from the disc's [pixels], any shape.
        x: Second coordinate, the same shape.
        radius: Of the disc [pixels].

    Returns:
        Area [pixels²], from 0 to 1, the same shape.

    Example:
        >>> round(float(disc_overlap(np.array(0.5), np.array(0.5), 1.0)) / (np.pi / 4), 12)
        1.0
    """
    low_y, high_y, low_x, high_x = y - 0.5, y + 0.5, x - 0.5, x + 0.5
    area = (
        _from_centre(high_y, high_x, radius)
        - _from_centre(low_y, high_x, radius)
        - _from_centre(high_y, low_x, radius)
        + _from_centre(low_y, low_x, radius)
    )
    return np.asarray(np.clip(area, 0.0, 1.0))


def _from_centre(y: Array, x: Array, radius: float) -> Array:
    sign = np.sign(x) * np.sign(y)
    x, y = np.minimum(np.abs(x), radius), np.minimum(np.abs(y), radius)
    meets = np.sqrt(radius**2 - y**2)  # where the side at height y leaves the disc
    beyond = y * meets + _under_arc(x, radius) - _under_arc(meets, radius)
    return sign * np.where(x <= meets, x * y, beyond)


def _under_arc(x: Array, radius: float) -> Array:
    if radius == 0:
        return np.zeros_like(x)
    return 0.5 * (x * np.sqrt(radius**2 - x**2) + radius**2 * np.arcsin(x / radius))


def offsets(N: int, centre: Array, *, periodic: bool) -> list[Array]:
    """Distance of the pixels' centres from a point along each axis, with its sign.

    Args:
        N: Pixels along a side.
        centre: Index of the point along each axis, fractions allowed.
        periodic: Whether opposite sides touch; distances are then from -N / 2 up to N / 2.

    Returns:
        Distances [pixels], shape ``(N,)`` for each axis.

    Example:
        >>> offsets(4, np.array([0.5]), periodic=True)[0].tolist()
        [-0.5, 0.5, 1.5, -1.5]
    """
    axes = [np.arange(N) - c for c in centre]
    return [(axis + N / 2) % N - N / 2 for axis in axes] if periodic else axes


def ring_shares(N: int, centre: Array, edges: Array, *, periodic: bool) -> csr_array:
    """Share of every pixel in every ring.

    Args:
        N: Pixels along a side.
        centre: Indices of the centre, fractions allowed, shape ``(2,)`` for maps, ``(3,)`` for cubes.
        edges: Ascending radii [pixels], shape ``(rings + 1,)``.
        periodic: Whether opposite sides touch.

    Returns:
        Sparse matrix of shape ``(rings, N**dims)``; its product with a flat map sums the map over the rings.

    Example:
        >>> shares = ring_shares(8, np.array([3.5, 3.5]), np.array([0.0, 2.0, 3.5]), periodic=True)
        >>> np.allclose(shares.sum(axis=1), [np.pi * 4, np.pi * (3.5**2 - 4)])
        True
    """
    dims = len(centre)
    axes = offsets(N, centre, periodic=periodic)
    away = [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]
    r = np.sqrt(sum(np.square(axis) for axis in away))
    order = np.argsort(r, kind="stable")
    reach = _CORNER if dims == 2 else 0.0
    near = np.searchsorted(r[order], edges - reach)  # pixels before this lie within the edge
    far = np.searchsorted(r[order], edges + reach)  # pixels from here on lie outside
    within = []
    for j, edge in enumerate(edges):
        pixels = order[near[j] : far[j]]
        within.append(disc_overlap(away[0][pixels], away[1][pixels], edge) if dims == 2 else np.empty(0))
    shares, indices, starts = [], [], [0]
    for j in range(len(edges) - 1):
        first, last = near[j], max(far[j + 1], far[j])
        share = np.zeros(last - first)
        share[: near[j + 1] - first] = 1.0
        share[near[j + 1] - first : far[j + 1] - first] = within[j + 1]
        share[: far[j] - first] -= within[j]
        shares.append(share)
        indices.append(order[first:last])
        starts.append(starts[-1] + last - first)
    data = np.concatenate(shares) if shares else np.empty(0)
    columns = np.concatenate(indices) if indices else np.empty(0, dtype=int)
    return csr_array((data, columns, starts), shape=(len(edges) - 1, N**dims))


def mass_centre(values: Array, *, periodic: bool, dims: int = 2) -> Array:
    r"""Centre of mass of each map, as an index.

    On a torus a mean of positions means nothing; there it is the phase of the fundamental mode along each
    axis, :math:`\arg \sum_i x_i e^{2\pi i\, i/N}`, the mean direction of the mass on a circle (Bai and Breen
    2008, J. Graphics, GPU and Game Tools 13, 53).

    Args:
        values: Finite maps or cubes, shape ``(n, N, N)`` or ``(n, N, N, N)``.
        periodic: Whether opposite sides touch.
        dims: 2 or 3.

    Returns:
        Indices along each axis, shape ``(n, dims)``; on a torus from 0 up to ``N``; otherwise NaN where the
        sum is not positive.

    Example:
        >>> values = np.zeros((1, 8, 8))
        >>> values[0, 1, 7], values[0, 1, 0] = 1.0, 1.0
        >>> mass_centre(values, periodic=True).round(9).tolist()
        [[1.0, 7.5]]
    """
    N = values.shape[-1]
    index = np.arange(N)
    centres = np.empty((len(values), dims))
    for axis in range(dims):
        others = tuple(other + 1 for other in range(dims) if other != axis)
        along = values.sum(axis=others, dtype=np.float64)
        if periodic:
            phase = np.angle(along @ np.exp(2j * np.pi * index / N))
            centres[:, axis] = phase / (2 * np.pi) * N % N % N  # a phase just below 0 gives N first
        else:
            total = along.sum(axis=1)
            safe = np.where(total > 0, total, 1.0)
            centres[:, axis] = np.where(total > 0, along @ index / safe, np.nan)
    return centres
