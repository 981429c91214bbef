r"""Minkowski functionals of excursion sets: how much of a field lies above a threshold, and in what shape.

An excursion set has a volume, a boundary, the integral of the mean curvature over it, and an Euler
characteristic (components less tunnels plus cavities); by Hadwiger's theorem these are all additive measures
that no motion changes. They are given per area or volume of the map, so that boxes compare.

Estimators: every block of 2^d neighbouring pixels is one of 2^2^d patterns, and all functionals but the
volume are sums over their counts. The boundary is Crofton's formula over the 4 (maps) or 13 (cubes)
directions of a block, each with the share of the sphere nearest to it; the curvature is the Euler
characteristic of planes of these 13 orientations (Ohser & Mücklich 2000; Legland et al. 2007). Both are
without bias where all orientations occur; of a flat edge along an axis they miss 5 % (maps) or 7 % (cubes).
The Euler characteristic is the mean of the two ways to join pixels that touch in a corner only, so a field
and its negative are treated alike; it is an integer where no two pixels touch so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.statistics.arrays import checked, product_unit, spatial_dims
from skyloom.statistics.component import MapStatistic

Array = NDArray[Any]


class Minkowski(NamedTuple):
    """Densities of the Minkowski functionals of the sets where a field is at least a threshold."""

    threshold: Array
    """Thresholds [u], or in standard deviations from the mean, shape ``(T,)``."""
    volume: Array
    """Share of the area (maps) or volume (cubes), shape ``(..., T)``."""
    boundary: Array
    """Length of the boundary per area, or its surface per volume [1/l], shape ``(..., T)``."""
    curvature: Array
    """Integral over the boundary of its mean curvature ``(κ₁ + κ₂) / 2`` per volume [1/l²], positive of a
    ball; of a map, the integral of its curvature per area: 2π times ``euler``. Shape ``(..., T)``."""
    euler: Array
    """Euler characteristic per area or volume [1/l^d], shape ``(..., T)``; 1 of a disc or ball."""


def minkowski_functionals(
    field: Array,
    box: float,
    *,
    thresholds: Sequence[float],
    relative: bool = True,
    periodic: bool = True,
    dims: int = 2,
) -> Minkowski:
    r"""Minkowski functionals of the excursion sets ``K = {x >= ν}`` of each field, as densities.

    .. math:: \frac{|K|}{V}, \quad \frac{|\partial K|}{V}, \quad
              \frac{1}{V}\int_{\partial K} \frac{\kappa_1 + \kappa_2}{2}\, dA, \quad \frac{\chi(K)}{V}

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        thresholds: Rising values ``ν``.
        relative: Whether thresholds count standard deviations of each field from its mean, or are values [u].
        periodic: Whether opposite faces touch. If not, only blocks of pixels inside the box count.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Minkowski(threshold, volume, boundary [1/l], curvature, euler [1/l^dims])``; the curvature is in
        ``1/l^2``. Schmalzing's ``v_1`` is ``boundary / 4`` for maps and ``boundary / 6`` for cubes, and his
        ``v_2`` of cubes ``curvature / (3 π)``.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` is not positive, ``thresholds`` are none or do not rise, or ``dims`` is neither 2
            nor 3.

    Example:
        >>> y, x = np.mgrid[:64, :64] - 31.5
        >>> disc = minkowski_functionals(-np.hypot(x, y), 64.0, thresholds=[-20.0], relative=False)
        >>> float(round(disc.boundary[0] * 64**2 / (2 * np.pi * 20), 2)), float(disc.euler[0] * 64**2)
        (1.0, 1.0)
    """
    values = checked(field, dims, "minkowski_functionals")
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"minkowski_functionals: box is {box!r}, allowed: a positive length")
    nu = _rising(thresholds)
    N, lead = values.shape[-1], values.shape[:-dims]
    batch = values.reshape(-1, *(N,) * dims)
    table = _patterns(dims) * (N / box) ** np.arange(1, dims + 1)[:, None]
    found = np.empty((len(batch), len(nu), dims + 1))
    for i, one in enumerate(batch):
        levels = _standardised(one) if relative else one
        for t, threshold in enumerate(nu):
            inside = levels >= threshold
            found[i, t, 0] = inside.mean()
            counts = _count_patterns(inside, periodic)
            found[i, t, 1:] = table @ counts / counts.sum()
    volume, boundary, *middle, euler = np.moveaxis(found.reshape(*lead, len(nu), dims + 1), -1, 0)
    return Minkowski(nu, volume, boundary, middle[0] if middle else 2 * np.pi * euler, euler)


def gaussian_minkowski(nu: Array, gradient: float, *, dims: int = 2) -> Minkowski:
    r"""Minkowski functionals that a Gaussian field has on average (Tomita 1986).

    .. math:: \tfrac12 \mathrm{erfc}\frac{\nu}{\sqrt 2}; \quad
              \tfrac12 g\, e^{-\nu^2/2}, \; \frac{g^2 \nu\, e^{-\nu^2/2}}{(2\pi)^{3/2}} \; (d = 2); \quad
              \tfrac{2}{\pi} g\, e^{-\nu^2/2}, \; \frac{g^2 \nu\, e^{-\nu^2/2}}{\sqrt{2\pi}}, \;
              \frac{g^3 (\nu^2 - 1)\, e^{-\nu^2/2}}{(2\pi)^2} \; (d = 3)

    Args:
        nu: Thresholds in standard deviations from the mean, shape ``(T,)``.
        gradient: Standard deviation of one component of the gradient over that of the field, ``g`` [1/l]:
            ``g² = Σ k² P / (d Σ P)`` over all modes.
        dims: 2 for maps, 3 for cubes.

    Returns:
        ``Minkowski`` as of ``minkowski_functionals``, each of shape ``(T,)``.

    Raises:
        UsageError: ``dims`` is neither 2 nor 3.

    Example:
        >>> g = gaussian_minkowski(np.array([0.0]), 2.0)
        >>> float(g.volume[0]), float(g.boundary[0]), float(g.euler[0])
        (0.5, 1.0, 0.0)
    """
    from scipy.special import erfc

    if dims not in (2, 3):
        raise UsageError(f"gaussian_minkowski: dims is {dims!r}, allowed: 2 (maps) or 3 (cubes)")
    nu = np.asarray(nu, dtype=np.float64)
    bell, volume = np.exp(-0.5 * nu**2), 0.5 * erfc(nu / np.sqrt(2))
    section = gradient**2 * nu * bell / (2 * np.pi) ** 1.5
    if dims == 2:
        return Minkowski(nu, volume, 0.5 * gradient * bell, 2 * np.pi * section, section)
    euler = gradient**3 * (nu**2 - 1) * bell / (2 * np.pi) ** 2
    return Minkowski(nu, volume, 2 / np.pi * gradient * bell, 2 * np.pi * section, euler)


def _rising(thresholds: Sequence[float]) -> Array:
    nu = np.asarray(thresholds, dtype=np.float64)
    if nu.ndim != 1 or not nu.size or not np.isfinite(nu).all() or (np.diff(nu) <= 0).any():
        raise UsageError(f"minkowski: thresholds are {thresholds!r}, allowed: one or more rising numbers")
    return nu


def _standardised(field: Array) -> Array:
    """Return deviations from the mean in standard deviations; 0 of a constant field."""
    deviation = field - field.mean(dtype=np.float64)
    sd = np.sqrt(np.square(deviation).mean())
    constant = sd <= np.finfo(field.dtype).eps * np.abs(field).max()
    return np.zeros_like(deviation) if constant else deviation / sd


def _count_patterns(inside: Array, periodic: bool) -> Array:
    """Count the patterns of all blocks of 2^d pixels; bit ``c`` is the corner of that binary number."""
    if periodic:
        inside = np.pad(inside, (0, 1), mode="wrap")
    code = inside.view(np.uint8)
    for axis in reversed(range(inside.ndim)):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(inside.ndim))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(inside.ndim))
        code = code[low] | (code[high] << 2 ** (inside.ndim - 1 - axis))
    return np.bincount(code.ravel(), minlength=2**2**inside.ndim).astype(np.float64)


@lru_cache(maxsize=2)
def _patterns(dims: int) -> Array:
    """Contribution of every pattern to boundary, curvature (cubes) and Euler, pixels of side 1."""
    corners = np.array(list(itertools.product((0, 1), repeat=dims)))
    bits = (np.arange(2**2**dims)[:, None] >> np.arange(2**dims)) & 1
    euler = 0.5 * (_euler(bits, corners) + (-1) ** (dims + 1) * _euler(1 - bits, corners))
    directions, weights = _directions(dims)
    crossings = np.zeros(len(bits))
    sections = np.zeros(len(bits))
    for direction, weight in zip(directions, weights, strict=True):
        pairs = [
            (a, b)
            for a, b in itertools.permutations(range(2**dims), 2)
            if (corners[b] - corners[a] == direction).all()
        ]
        change = np.mean([bits[:, a] != bits[:, b] for a, b in pairs], axis=0)
        crossings += weight * change / np.linalg.norm(direction)
        if dims == 3:
            sections += weight * _section(bits, corners, direction)
    if dims == 2:
        return np.stack([np.pi / 2 * crossings, euler])
    return np.stack([2 * crossings, 2 * np.pi * sections, euler])


def _euler(bits: Array, corners: Array) -> Array:
    """Vertices - edges + faces - ... of the pixel centres in the set, shared with neighbouring blocks."""
    total = np.zeros(len(bits))
    dims = corners.shape[1]
    for free in itertools.product((0, 1), repeat=dims):  # axes along which a cell extends
        for fixed in itertools.product(*[(0,) if f else (0, 1) for f in free]):
            cell = [
                i for i, c in enumerate(corners) if all(f or c[a] == fixed[a] for a, f in enumerate(free))
            ]
            total += (-1) ** sum(free) * bits[:, cell].all(axis=1) / 2 ** (dims - sum(free))
    return total


@lru_cache(maxsize=2)
def _directions(dims: int) -> tuple[Array, Array]:
    """Directions between corners of a block, one of each opposite two, and their shares of the sphere."""
    from scipy.spatial import SphericalVoronoi

    steps = np.array([d for d in itertools.product((0, 1, -1), repeat=dims) if d > (0,) * dims])
    if dims == 2:
        return steps, np.full(4, 0.25)
    unit = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    areas = SphericalVoronoi(np.concatenate([unit, -unit])).calculate_areas()
    return steps, areas[: len(steps)] / (2 * np.pi)


def _section(bits: Array, corners: Array, normal: Array) -> Array:
    """Euler characteristic per area of planes across ``normal``, of pixel centres, for every pattern."""
    height = corners @ normal
    total = np.zeros(len(bits))
    if np.abs(normal).sum() == 3:  # triangles, two a block; no way of joining corners is in doubt
        for level in (height.min() + 1, height.min() + 2):
            tri = bits[:, height == level]
            edges = sum(tri[:, a] & tri[:, b] for a, b in ((0, 1), (1, 2), (0, 2)))
            total += tri.sum(axis=1) / 6 - edges / 2 + tri.all(axis=1)
        return total / math.sqrt(3)
    # Squares (axis) or rectangles of 1 × √2 (face diagonal), of which a block holds two or one.
    planes = [level for level in np.unique(height) if (height == level).sum() == 4]
    for level in planes:
        number = bits[:, height == level].sum(axis=1)
        total += ((number == 1).astype(float) - (number == 3)) / 4
    return total / len(planes) / np.linalg.norm(normal)


class MinkowskiFunctionals(MapStatistic):
    """The Minkowski functionals of every map or cube over a range of thresholds.

    Args:
        low: Lowest threshold.
        high: Highest threshold.
        thresholds: How many, equally spaced.
        relative: Whether thresholds count standard deviations of each map from its mean, or are in its unit.

    Raises:
        UsageError: ``thresholds`` is less than 2, or ``low`` is not below ``high``.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((2, 16, 16))
        >>> ds = MinkowskiFunctionals(thresholds=5).compute(maps, 16.0, True, "mK", box_unit="Mpc")
        >>> ds["threshold"].values.tolist(), ds["euler"].attrs["units"]
        ([-2.0, -1.0, 0.0, 1.0, 2.0], '1 / Mpc2')
    """

    def __init__(
        self, *, low: float = -2.0, high: float = 2.0, thresholds: int = 17, relative: bool = True
    ) -> None:
        if thresholds < 2:
            raise UsageError(f"thresholds is {thresholds!r}, allowed: 2 or more")
        if not low < high:
            raise UsageError(f"low is {low!r} and high is {high!r}, allowed: low < high")
        self.low, self.high, self.thresholds, self.relative = low, high, thresholds, relative

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the functionals of maps or cubes.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``volume``, ``boundary``, ``curvature`` (cubes) and ``euler``, each ``(sample, threshold)``, per
            area or volume.
        """
        dims = spatial_dims(maps)
        m = minkowski_functionals(
            maps,
            box,
            thresholds=np.linspace(self.low, self.high, self.thresholds).tolist(),
            relative=self.relative,
            periodic=periodic,
            dims=dims,
        )
        said = {
            "volume": ("share of the area" if dims == 2 else "share of the volume", 0),
            "boundary": ("boundary per area" if dims == 2 else "surface per volume", -1),
            "curvature": ("integrated mean curvature per volume", -2),
            "euler": (f"Euler characteristic per {'area' if dims == 2 else 'volume'}", -dims),
        }
        variables = {
            name: (
                ("sample", "threshold"),
                getattr(m, name),
                {"units": product_unit([], box_unit, power), "long_name": text},
            )
            for name, (text, power) in said.items()
            if name != "curvature" or dims == 3
        }
        coordinate = {"units": "" if self.relative else units, "long_name": "threshold"}
        if self.relative:
            coordinate["long_name"] = "threshold in standard deviations"
        return xr.Dataset(variables, coords={"threshold": ("threshold", m.threshold, coordinate)})
