"""The bispectrum of maps and cubes: how three modes that close a triangle go together.

A Gaussian field has none. The estimator is that of Scoccimarro (2000, arXiv:astro-ph/9909230): the modes of a
shell of wavenumber are kept, and transformed back to a field ``D_i``; the mean of the product of three such
fields sums over all closed triangles with one side in each shell. The same with every mode set to 1 counts
them. Triangles that close only across the edge of the Fourier grid are no triangles: the fields ``D_i`` stand
on a grid on which the three shells cannot reach it, which is often smaller than that of the data.

Conventions as in ``two_point``; the angle of a triangle is that between the vectors ``k1`` and ``k2``, and a
shell two fundamental modes wide, as in Pylians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.statistics.arrays import checked, product_unit, spatial_dims
from skyloom.statistics.component import MapStatistic
from skyloom.statistics.fourier import hann, transformed

Array = NDArray[Any]

_CHUNK = 2**19  # cells of a shell's field at once


class Bispectrum(NamedTuple):
    """Bispectra of ``T`` triangles; NaN where the shells hold no closed triangle."""

    k: Array
    """Mean wavenumber of the modes of each side's shell [1/l], shape ``(T, 3)``; NaN of an empty shell."""
    B: Array
    """Bispectrum [u³ l^(2d)], shape ``(..., T)``."""
    Q: Array
    """Reduced bispectrum [1/u], ``B`` over ``P1 P2 + P2 P3 + P3 P1`` of the shells, shape ``(..., T)``."""
    triangles: Array
    """Closed triangles, every order of a shell's modes counted, shape ``(T,)``."""


def equilateral(k: ArrayLike) -> Array:
    """Return triangles with three equal sides.

    Args:
        k: Sides [1/l], shape ``(T,)``.

    Returns:
        Sides of each triangle [1/l], shape ``(T, 3)``.

    Example:
        >>> equilateral([0.5, 1.0]).tolist()
        [[0.5, 0.5, 0.5], [1.0, 1.0, 1.0]]
    """
    return np.stack([np.asarray(k, dtype=np.float64)] * 3, axis=-1)


def isosceles(k: float, theta: ArrayLike) -> Array:
    """Return triangles with two fixed sides, at several angles.

    Args:
        k: Length of the first two sides [1/l].
        theta: Angle between the vectors ``k1`` and ``k2`` [rad], shape ``(T,)``; the third side is
            ``2 k cos(theta / 2)``.

    Returns:
        Sides of each triangle [1/l], shape ``(T, 3)``.

    Example:
        >>> isosceles(1.0, [2 * np.pi / 3]).round(12).tolist()
        [[1.0, 1.0, 1.0]]
    """
    third = 2 * k * np.cos(0.5 * np.asarray(theta, dtype=np.float64))
    return np.stack([np.full_like(third, k), np.full_like(third, k), third], axis=-1)


def squeezed(k_long: float, k: ArrayLike) -> Array:
    """Return triangles of two equal sides and one long wave.

    Args:
        k_long: Wavenumber of the long wave [1/l].
        k: The two equal sides [1/l], shape ``(T,)``.

    Returns:
        Sides of each triangle [1/l], shape ``(T, 3)``.

    Example:
        >>> squeezed(0.1, [1.0, 2.0]).tolist()
        [[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]
    """
    sides = np.asarray(k, dtype=np.float64)
    return np.stack([sides, sides, np.full_like(sides, k_long)], axis=-1)


def bispectrum(
    field: Array, box: float, triangles: Array, *, periodic: bool = True, width: float = 2.0, dims: int = 2
) -> Bispectrum:
    r"""Bispectrum of scalar maps or cubes, of triangles given by their sides.

    .. math:: B(k_1, k_2, k_3) = \frac{V^2}{N_\mathrm{pix}^3} \, \big\langle \mathrm{Re}\,
              \tilde\delta_{\mathbf k_1} \tilde\delta_{\mathbf k_2} \tilde\delta_{\mathbf k_3}
              \big\rangle_{\mathbf k_1 + \mathbf k_2 + \mathbf k_3 = 0}, \quad
              Q = \frac{B}{P_1 P_2 + P_2 P_3 + P_3 P_1}

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        triangles: Sides [1/l], shape ``(T, 3)``: see ``equilateral``, ``isosceles``, ``squeezed``.
        periodic: Whether opposite faces touch. If not, a Hann window is applied, and the mean of its cube is
            divided out.
        width: Width of the shell about each side, in fundamental modes ``2π / box``.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Bispectrum(k [1/l], B [u^3 l^(2 dims)], Q [1/u], triangles)``, shapes ``(T, 3)``, ``(..., T)``,
        ``(..., T)``, ``(T,)``.

    Raises:
        ShapeError: The field is not square, or ``triangles`` has not the shape ``(T, 3)``.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` or ``width`` is not positive, a side is negative, a shell passes Nyquist, or
            ``dims`` is neither 2 nor 3.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((32, 32))
        >>> b = bispectrum(x, 32.0, equilateral([0.8, 1.2]))
        >>> bool(np.allclose(bispectrum(-x, 32.0, equilateral([0.8, 1.2])).B, -b.B))
        True
    """
    values = checked(field, dims, "bispectrum")
    N = values.shape[-1]
    shells, index, edge = _shells(triangles, box, N, width)
    M = max(math.ceil((edge[index].sum(axis=1)).max(initial=1)), 2 * math.ceil(edge.max(initial=1)))
    M = scipy.fft.next_fast_len(M, real=True)
    h = math.ceil(edge.max(initial=1)) - 1
    use = (tuple(shells), tuple(map(tuple, index)), width)
    counts, n, modes = _counts(dims, h, M, use)
    window = None if periodic else hann(N)
    batch = values.reshape(-1, *values.shape[-dims:])
    sums, power = np.empty((len(batch), len(index))), np.empty((len(batch), len(shells)))
    step = max(1, _CHUNK // M**dims)
    for start in range(0, len(batch), step):
        part = batch[start : start + step]
        core = _cropped(transformed(part, window), h)
        if not np.isfinite(core).all():  # a sum of N_pix large values can be too large for single precision
            core = _cropped(transformed(part.astype(np.float64), window), h)
        # Of order 1, so that a product of three fits single precision in any unit.
        size = np.abs(core).max(axis=tuple(range(1, dims + 1)), keepdims=True).astype(np.float64)
        size[size == 0] = 1.0
        core /= size
        flat = size.reshape(-1, 1)
        sums[start : start + step] = _triple_sums(core, M, use) * flat**3
        power[start : start + step] = _shell_sums(
            np.square(np.abs(core)), range(len(shells)), use
        ) * np.square(flat)
    weights = [1.0, 1.0] if window is None else [np.square(window).mean() ** dims, (window**3).mean() ** dims]
    V, N_pix = box**dims, N**dims
    B = sums / np.where(counts > 0, counts, np.nan) * (V**2 / N_pix**3 / weights[1])
    P = (power / np.where(modes > 0, modes, np.nan) * (V / N_pix**2 / weights[0]))[:, index]
    reduced = P[..., 0] * P[..., 1] + P[..., 1] * P[..., 2] + P[..., 2] * P[..., 0]
    Q = np.divide(B, reduced, out=np.full_like(B, np.nan), where=reduced > 0)
    shape = (*values.shape[:-dims], len(index))
    return Bispectrum(n[index] * (2 * np.pi / box), B.reshape(shape), Q.reshape(shape), counts.copy())


_Use = tuple[tuple[float, ...], tuple[tuple[int, ...], ...], float]  # shells, three of them a triangle, width


def _shells(triangles: Array, box: float, N: int, width: float) -> tuple[Array, Array, Array]:
    """Centres of the different shells in fundamental modes, three a triangle, and their upper edges."""
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"bispectrum: box is {box!r}, allowed: a positive length")
    if not (math.isfinite(width) and width > 0):
        raise UsageError(f"bispectrum: width is {width!r}, allowed: a positive number of fundamental modes")
    sides = np.asarray(triangles, dtype=np.float64)
    if sides.ndim != 2 or sides.shape[1] != 3:
        raise ShapeError(f"bispectrum: triangles have the shape {sides.shape}, allowed: (T, 3)")
    k_F = 2 * np.pi / box
    largest = (N / 2 - width / 2) * k_F
    wrong = ~((sides >= 0) & (sides <= largest * (1 + 1e-9)))
    if wrong.any():
        raise UsageError(
            f"bispectrum: a side is {sides[wrong][0]:.6g}, allowed: 0 to {largest:.6g}",
            hint=f"a shell {width:g} fundamental modes wide must end at Nyquist, {N / 2 * k_F:.6g}",
        )
    # Rounded, so that a side is in the same shell whatever the unit of the box.
    shells, index = np.unique(np.round(sides / k_F, 9), return_inverse=True)
    return shells, index.reshape(-1, 3), np.minimum(shells + width / 2, N / 2)


def _cropped(modes: Array, h: int) -> Array:
    """Return the modes of ``rfftn`` with no component beyond ``h``, shape ``(n, 2 h + 1, ..., h + 1)``."""
    low = modes[..., : h + 1]
    for axis in range(1, modes.ndim - 1):
        low = np.take(low, np.arange(-h, h + 1), axis=axis, mode="wrap")
    return np.array(low)


def _wavenumbers(dims: int, h: int) -> Array:
    """Return the wavenumber of each mode of ``_cropped``."""
    full, half = np.arange(-h, h + 1), np.arange(h + 1)
    square = sum(np.square(a) for a in np.meshgrid(*[full] * (dims - 1), half, indexing="ij", sparse=True))
    return np.sqrt(square)


def _inside(n: Array, centre: float, width: float) -> Array:
    return np.asarray((n >= centre - width / 2) & (n < centre + width / 2) & (n > 0))


def _triple_sums(core: Array, M: int, use: _Use) -> Array:
    """Sum the product of three modes over the closed triangles, shape ``(n, T)``."""
    _, index, _ = use
    sharing: dict[tuple[int, ...], list[int]] = {}
    for t, sides in enumerate(index):
        sharing.setdefault(sides[:2], []).append(t)
    last = {shell: pair for pair, some in sharing.items() for t in some for shell in index[t]}
    axes = tuple(range(1, core.ndim))
    fields: dict[int, Array] = {}
    sums = np.empty((len(core), len(index)))
    for pair, some in sharing.items():
        thirds = [index[t][2] for t in some]
        for shell in {*pair, *(thirds if len(some) == 1 else [])} - fields.keys():
            fields[shell] = _shell_field(core, M, shell, use)
        product = fields[pair[0]] * fields[pair[1]]
        if len(some) == 1:
            product *= fields[thirds[0]]
            sums[:, some[0]] = product.mean(axis=axes, dtype=np.float64)
        else:  # the mean of a product of fields is a sum over modes, of any third shell
            modes = _cropped(scipy.fft.rfftn(product, axes=axes, norm="forward"), core.shape[-1] - 1)
            sums[:, some] = _shell_sums((core * modes.conj()).real, thirds, use)
        fields = {shell: kept for shell, kept in fields.items() if last[shell] != pair}
    return sums


def _shell_field(core: Array, M: int, shell: int, use: _Use) -> Array:
    """Return the field of the modes of one shell alone, on ``M`` pixels an axis."""
    shells, _, width = use
    dims, h = core.ndim - 1, core.shape[-1] - 1
    modes = np.zeros((len(core), *(M,) * (dims - 1), M // 2 + 1), dtype=core.dtype)
    place: Any = (slice(None), *np.ix_(*[np.arange(-h, h + 1)] * (dims - 1), np.arange(h + 1)))
    modes[place] = core * _inside(_wavenumbers(dims, h), shells[shell], width)
    axes = tuple(range(1, dims + 1))
    return np.asarray(scipy.fft.irfftn(modes, s=(M,) * dims, axes=axes, norm="forward", overwrite_x=True))


def _shell_sums(values: Array, which: Sequence[int], use: _Use) -> Array:
    """Sum values of modes over some shells, mirror images too, shape ``(n, len(which))``."""
    shells, _, width = use
    dims, h = values.ndim - 1, values.shape[-1] - 1
    n, twice = _wavenumbers(dims, h), np.where(np.arange(h + 1) == 0, 1.0, 2.0)
    weighted = values * twice  # in double precision
    sums = np.empty((len(values), len(which)))
    for place, shell in enumerate(which):
        inside = _inside(n, shells[shell], width)
        sums[:, place] = weighted[:, inside].sum(axis=1)
    return sums


@lru_cache(maxsize=16)
def _counts(dims: int, h: int, M: int, use: _Use) -> tuple[Array, Array, Array]:
    """Closed triangles of each three shells; mean wavenumber and number of modes of each shell."""
    n = _wavenumbers(dims, h)[None]
    every = range(len(use[0]))
    modes = np.rint(_shell_sums(np.ones_like(n), every, use)[0])
    mean = _shell_sums(n, every, use)[0] / np.where(modes > 0, modes, np.nan)
    counts = np.rint(_triple_sums(np.ones_like(n, dtype=np.complex128), M, use)[0])
    return counts.astype(np.int64), mean, modes


class TriangleBispectrum(MapStatistic):
    """The bispectrum of every map or cube, of triangles of one shape and growing size or angle.

    Args:
        shape: ``equilateral``: three equal sides; ``isosceles``: two sides of half the largest wavenumber at
            several angles; ``squeezed``: two equal sides and the longest wave.
        bins: Number of sides, or of angles.
        width: Width of the shell about each side, in fundamental modes.

    Raises:
        UsageError: ``shape`` is none of these, ``bins`` is less than 1, or ``width`` is not positive.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((2, 16, 16))
        >>> ds = TriangleBispectrum(bins=3).compute(maps, 16.0, True, "mK", box_unit="Mpc")
        >>> ds["B"].attrs["units"], ds["Q"].attrs["units"], ds["k"].attrs["units"]
        ('Mpc4 mK3', '1 / mK', '1 / Mpc')
    """

    def __init__(
        self,
        *,
        shape: Literal["equilateral", "isosceles", "squeezed"] = "equilateral",
        bins: int = 8,
        width: float = 2.0,
    ) -> None:
        if shape not in ("equilateral", "isosceles", "squeezed"):
            raise UsageError(f"shape is {shape!r}, allowed: equilateral, isosceles, squeezed")
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        if not (math.isfinite(width) and width > 0):
            raise UsageError(f"width is {width!r}, allowed: a positive number of fundamental modes")
        self.shape, self.bins, self.width = shape, bins, width

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the bispectra of maps or cubes.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``B (sample, axis)``, ``Q (sample, axis)`` and ``triangles (axis)``; the axis is ``theta`` [rad]
            for isosceles triangles, else ``k``. Bins without a triangle are left out.
        """
        dims = spatial_dims(maps)
        axis, coordinate, sides = self._triangles(np.shape(maps)[-1], box)
        result = bispectrum(maps, box, sides, periodic=periodic, width=self.width, dims=dims)
        filled = result.triangles > 0
        inverse = product_unit([], box_unit, -1)
        attributes = {
            "k": {"units": inverse, "long_name": "wavenumber"},
            "theta": {"units": "rad", "long_name": "angle between k1 and k2"},
        }[axis]
        B = {"units": product_unit([units] * 3, box_unit, 2 * dims), "long_name": f"{self.shape} bispectrum"}
        Q = {
            "units": product_unit([units], box_unit, 0, power=-1),
            "long_name": f"reduced {self.shape} bispectrum",
        }
        counted = {"units": "", "long_name": "closed triangles in the bin"}
        return xr.Dataset(
            {
                "B": (("sample", axis), result.B[:, filled], B),
                "Q": (("sample", axis), result.Q[:, filled], Q),
                "triangles": (axis, result.triangles[filled], counted),
            },
            coords={axis: (axis, coordinate[filled], attributes)},
        )

    def _triangles(self, N: int, box: float) -> tuple[str, Array, Array]:
        """Name of the axis, its values, and the sides of the triangles."""
        k_F = 2 * np.pi / box
        first, last = 1 + self.width / 2, N / 2 - self.width / 2
        if last < first:
            raise ShapeError(
                f"bispectrum: maps of {N} pixels a side, allowed: {math.ceil(2 * (1 + self.width))} or more",
                hint="narrower shells (width) fit smaller maps",
            )
        k = k_F * np.linspace(first, last, self.bins)
        if self.shape == "equilateral":
            return "k", k, equilateral(k)
        if self.shape == "squeezed":
            return "k", k, squeezed(k_F * first, k)
        theta = np.pi * (np.arange(self.bins) + 0.5) / self.bins
        return "theta", theta, isosceles(0.5 * k_F * last, theta)
