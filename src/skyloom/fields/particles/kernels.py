r"""The shape of a particle seen in projection.

A kernel :math:`W(q)` has the support :math:`q \le 1` (in units of the particle's radius) and holds one mass.
Seen along a line of sight its column density is :math:`F(s) = 2\int W(\sqrt{s^2+z^2})\,dz`, and the mass
inside the cylinder of radius :math:`r` is :math:`m(r) = 1 - 4\pi\int_0^{\sqrt{1-r^2}} W(\sqrt{r^2+z^2})
\,z^2\,dz`. From :math:`m` follows the mass over a rectangle with one corner in the centre,

.. math:: H(x, y) = \frac{1}{2\pi}\Big[\int_0^{\arctan(y/x)} m(x/\cos\theta)\,d\theta
          + \int_0^{\arctan(x/y)} m(y/\cos\theta)\,d\theta\Big], \qquad m(r \ge 1) = 1,

and the mass in any pixel is a sum of four values of :math:`H`, so that pixels that cover the particle hold
its whole mass whatever their size. ``sphere`` is the uniform ball, as a Voronoi cell is drawn; ``spline`` is
the cubic spline of Monaghan & Lattanzio (1985) in the convention where the support is the radius;
``wendland`` is Wendland's C2, as in SWIFT, and ``epanechnikov`` falls as ``1 - q²``, as in py-sphviewer2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError, nearest

Array = NDArray[Any]
KERNELS = ("sphere", "spline", "wendland", "epanechnikov")
CELLS = 256
"""Intervals of the table of ``H`` along each axis."""
STEPS = 4096
"""Intervals of the table of the column density, equal in the square of the radius."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


class Tables(NamedTuple):
    """A projected kernel, tabulated; lengths in units of the particle's radius."""

    corner: Array
    """``H(x, y)`` at ``x, y = 0 ... 1``, shape ``(CELLS + 1, CELLS + 1)``."""
    column: Array
    """Column density and its Laplacian at equal steps of ``s²`` from 0 to 1, shape ``(STEPS + 2, 2)``."""


def weight(q: Array, kernel: str) -> Array:
    """Return the density of a particle of unit mass and radius at the distance ``q`` from its centre.

    Args:
        q: Distance over radius, any shape.
        kernel: One of ``KERNELS``.

    Returns:
        Density [1 / radius³], the shape of ``q``; zero beyond 1.

    Raises:
        UsageError: The kernel is unknown.

    Example:
        >>> q = (np.arange(1000) + 0.5) / 1000
        >>> [round(float((4 * np.pi * q**2 * weight(q, k)).mean()), 4) for k in KERNELS]
        [1.0, 1.0, 1.0, 1.0]
    """
    if kernel == "sphere":
        return np.asarray(np.where(q <= 1, 3 / (4 * np.pi), 0.0))
    if kernel == "spline":
        inner = 1 - 6 * q**2 * (1 - q)
        return np.asarray(8 / np.pi * np.where(q < 0.5, inner, 2 * np.maximum(1 - q, 0) ** 3))
    if kernel == "wendland":
        return np.asarray(21 / (2 * np.pi) * np.maximum(1 - q, 0) ** 4 * (1 + 4 * q))
    if kernel == "epanechnikov":
        return np.asarray(15 / (8 * np.pi) * np.maximum(1 - q**2, 0))
    raise UsageError(f"the kernel {kernel!r} is unknown", hint=nearest(kernel, KERNELS))


def _along(s: Array, kernel: str, power: int) -> Array:
    """Return the integral of ``W z^power`` over ``z > 0`` at the distance ``s`` from the axis."""
    s = np.asarray(s, dtype=np.float64)[..., None]
    total = np.zeros(s.shape[:-1])
    # The spline changes its form at one half: each part is integrated by itself.
    middle, end = (np.sqrt(np.maximum(edge**2 - s**2, 0)) for edge in (0.5, 1.0))
    for low, high in ((np.zeros_like(s), middle), (middle, end)):
        z = low + (high - low) * (_NODES + 1) / 2
        q = np.sqrt(s**2 + z**2)
        inside = np.minimum(q, 1 - 1e-15)
        total += ((high - low) / 2 * _WEIGHTS * weight(inside, kernel) * z**power).sum(axis=-1)
    return total


def column_density(s: Array, kernel: str) -> Array:
    """Return the column density of a particle of unit mass and radius at the distance ``s`` from its centre.

    Args:
        s: Projected distance over radius, any shape.
        kernel: One of ``KERNELS``.

    Returns:
        Column density [1 / radius²], the shape of ``s``; zero beyond 1.

    Example:
        >>> round(float(column_density(np.array(0.6), "sphere") * 2 * np.pi / 3), 12)  # sqrt(1 - s²)
        0.8
    """
    return np.asarray(2 * _along(s, kernel, 0))


def enclosed(r: Array, kernel: str) -> Array:
    """Return the mass of a particle of unit mass and radius in a cylinder of radius ``r`` around its axis.

    Args:
        r: Radius of the cylinder over the particle's, any shape.
        kernel: One of ``KERNELS``.

    Returns:
        Mass from 0 to 1, the shape of ``r``.

    Example:
        >>> round(float(enclosed(np.array(0.6), "sphere")), 12)  # 1 - (1 - r²)^(3/2)
        0.488
    """
    return np.asarray(1 - 4 * np.pi * _along(np.minimum(r, 1.0), kernel, 2))


@lru_cache(maxsize=len(KERNELS))
def tables(kernel: str) -> Tables:
    """Return the tables from which particles are deposited.

    Args:
        kernel: One of ``KERNELS``.

    Returns:
        ``Tables(corner, column)``; a quarter of the mass lies over the whole quadrant.

    Example:
        >>> round(float(tables("spline").corner[-1, -1]), 12)
        0.25
    """
    places = np.linspace(0.0, 1.0, CELLS + 1)
    x, y = np.meshgrid(places, places, indexing="xy")
    wedge = _wedge(x, y, kernel)
    corner = wedge + wedge.T
    corner[0, :] = corner[:, 0] = 0.0
    u = np.arange(STEPS + 2) / STEPS
    F = column_density(np.sqrt(u), kernel)
    # In two dimensions the Laplacian is 4 d/du (u dF/du), u being the square of the radius.
    flux = (u[1:] + u[:-1]) / 2 * np.diff(F) * STEPS
    laplacian = np.zeros_like(F)
    laplacian[1:-1] = 4 * np.diff(flux) * STEPS
    laplacian[0] = 4 * (F[1] - F[0]) * STEPS
    F[STEPS:] = laplacian[STEPS:] = 0.0  # nothing beyond the rim, not even rounding
    return Tables(corner, np.stack([F, laplacian], axis=1))


def _wedge(d: Array, other: Array, kernel: str) -> Array:
    """Return the mass over the triangle between the axis, the line at the distance ``d`` and the diagonal.

    With ``t = d tan θ`` along that line the integrand is ``m(r) / r²``, which is smooth down to ``r = 0``.
    """
    fine = np.linspace(0.0, 1.0, 4097)
    r = np.sin(fine * np.pi / 2)
    density = np.append(np.pi * column_density(r[:1], kernel), enclosed(r[1:], kernel) / r[1:] ** 2)
    end = np.minimum(other, np.sqrt(1 - d**2))
    t = end[..., None] * (_NODES + 1) / 2
    r = np.minimum(np.sqrt(d[..., None] ** 2 + t**2), 1.0)
    inside = (_interpolated(np.arcsin(r) * 2 / np.pi, density) * _WEIGHTS).sum(axis=-1) * d * end / 2
    beyond = np.arctan2(other, d) - np.arctan2(end, d)
    return np.asarray((inside + beyond) / (2 * np.pi))


def _interpolated(place: Array, values: Array) -> Array:
    from scipy.interpolate import CubicSpline

    return np.asarray(CubicSpline(np.linspace(0.0, 1.0, len(values)), values)(place))
