"""Two-point statistics: the isotropic power spectrum of maps and cubes.

Conventions: ``delta_k = sum_x delta(x) exp(-i k x)`` without a factor, so the power is ``V / N_pix²
|delta_k|²`` with the unit of the field squared times a volume, and white noise of variance σ² has the power
``σ² V / N_pix`` at every ``k``. The mode ``k = 0`` is never counted.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.statistics.arrays import checked

Array = NDArray[Any]

_CHUNK = 2**22  # cells transformed at once: 64 MB of complex numbers


class Spectrum(NamedTuple):
    """An isotropic power spectrum; a bin that holds no mode has the power NaN."""

    k: Array
    """Mean wavenumber of the modes in each bin [1/l], shape ``(bins,)``; the centre of an empty bin."""
    power: Array
    """Power [u² l^d], shape ``(..., bins)``."""
    modes: Array
    """Fourier modes in each bin, shape ``(bins,)``; as the field is real, half of them are independent."""


def power_spectrum(
    field: Array, box: float, *, periodic: bool = True, bins: int = 24, dims: int = 2
) -> Spectrum:
    r"""Isotropic power spectrum of scalar maps or cubes.

    .. math:: P(k) = \frac{V}{N_\mathrm{pix}^{2}} \,
              \big\langle |\tilde\delta_{\mathbf k}|^2 \big\rangle_{|\mathbf k| \in \text{bin}}

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        periodic: Whether opposite faces touch. If not, a Hann window is applied and its power divided out;
            the mean that is subtracted then takes a part of the first bin with it.
        bins: Equal-width bins between the fundamental mode ``2π / box`` and Nyquist, ``π N / box``.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Spectrum(k [1/l], power [u^2 l^dims], modes)``, shapes ``(bins,)``, ``(..., bins)``, ``(bins,)``. In
        a small map narrow bins may hold no mode: their power is NaN and ``modes`` is 0.

    Raises:
        ShapeError: The map is not square; the message gives the shape found.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` is not positive, ``bins`` is less than 1, or ``dims`` is neither 2 nor 3.

    Example:
        >>> wave = np.cos(2 * np.pi * 4 * np.arange(64) / 64)[:, None] * np.ones(64)
        >>> s = power_spectrum(wave, box=64.0)
        >>> bool(abs(s.k[s.power.argmax()] - 2 * np.pi * 4 / 64) < s.k[1] - s.k[0])
        True
    """
    delta = checked(field, dims, "power_spectrum")
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"power_spectrum: box is {box!r}, allowed: a positive length")
    if bins < 1:
        raise UsageError(f"power_spectrum: bins is {bins!r}, allowed: 1 or more")
    N = delta.shape[-1]
    rings = _rings(N, dims, bins)
    window = np.ones((N,) * dims) if periodic else _hann(N, dims)
    batch = delta.reshape(-1, *(N,) * dims)
    power = np.full((len(batch), bins), np.nan)
    step = max(1, _CHUNK // N**dims)
    for start in range(0, len(batch), step):
        power[start : start + step, rings.filled] = _ring_means(batch[start : start + step], window, rings)
    # N^dims of the mean square of the window, not of the window alone: its power is divided out.
    power *= box**dims / (N**dims * np.square(window).sum())
    return Spectrum(rings.n * 2 * np.pi / box, power.reshape(*delta.shape[:-dims], bins), rings.modes)


class _Rings(NamedTuple):
    """Modes of ``rfftn`` sorted by bin; wavenumbers in units of the fundamental mode."""

    order: Array  # places of the modes in the flat transform, bin by bin
    starts: Array  # where each filled bin begins in `order`
    weights: Array  # 1 or 2 of each mode of `order`: rfftn leaves out the mirror images
    filled: Array  # bins that hold a mode
    modes: Array
    n: Array


@lru_cache(maxsize=16)
def _rings(N: int, dims: int, bins: int) -> _Rings:
    # Integers keep the bin of a mode independent of the unit of the box.
    full, half = np.fft.fftfreq(N, 1 / N), np.arange(N // 2 + 1)
    square = sum(
        np.square(axis) for axis in np.meshgrid(*[full] * (dims - 1), half, indexing="ij", sparse=True)
    )
    n = np.sqrt(np.broadcast_to(square, (N,) * (dims - 1) + (N // 2 + 1,)).ravel())
    weights = np.full(n.shape, 2.0).reshape(-1, N // 2 + 1)
    weights[:, 0] = 1.0
    if N % 2 == 0:
        weights[:, -1] = 1.0
    edges = np.linspace(1.0, max(N / 2, 1.5), bins + 1)
    place = np.searchsorted(edges, n, side="right") - 1
    place[n == edges[-1]] = bins - 1  # Nyquist belongs to the last bin
    order = np.argsort(place, kind="stable")
    order = order[(place[order] >= 0) & (place[order] < bins)]
    filled, starts = np.unique(place[order], return_index=True)
    weights = weights.ravel()[order]
    modes, mean = np.zeros(bins), 0.5 * (edges[1:] + edges[:-1])
    modes[filled] = np.add.reduceat(weights, starts)
    mean[filled] = np.add.reduceat(weights * n[order], starts) / modes[filled]
    return _Rings(order, starts, weights, filled, modes.astype(np.int64), mean)


def _ring_means(delta: Array, window: Array, rings: _Rings) -> Array:
    """Return the mean ``|delta_k|²`` of every filled bin, shape ``(n, filled)``."""
    axes = tuple(range(1, delta.ndim))
    delta = delta.astype(np.float64)
    # The mean has no power of its own, but would leak through the window, and eats digits.
    delta -= (delta * window).sum(axis=axes, keepdims=True) / window.sum()
    modes = scipy.fft.rfftn(delta * window, axes=axes).reshape(len(delta), -1)[:, rings.order]
    square = np.square(modes.real) + np.square(modes.imag)
    return np.asarray(
        np.add.reduceat(square * rings.weights, rings.starts, axis=1) / rings.modes[rings.filled]
    )


def _hann(N: int, dims: int) -> Array:
    """Return a Hann window centred on the box, so that a flipped map has the same spectrum."""
    edge = np.square(np.sin(np.pi * (np.arange(N) + 0.5) / N))
    window = edge
    for _ in range(dims - 1):
        window = window[..., None] * edge
    return window


class PowerSpectrum:
    """The isotropic power spectrum of every map.

    Args:
        bins: Equal-width bins between the fundamental mode and Nyquist.

    Raises:
        UsageError: ``bins`` is less than 1.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((2, 16, 16))
        >>> PowerSpectrum(bins=4).compute(maps, 16.0, True, "mK", box_unit="Mpc")["k"].attrs["units"]
        '1 / Mpc'
    """

    def __init__(self, *, bins: int = 24) -> None:
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        self.bins = bins

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the spectra of maps.

        Args:
            maps: Real values, shape ``(n, N, N)``, in ``units``.
            box: Side of a map [box_unit].
            periodic: Whether opposite edges touch.
            units: Unit of the values.
            box_unit: Unit of the box.

        Returns:
            ``power (sample, k)`` and ``modes (k)``, coordinate ``k``; bins without a mode are left out.

        Raises:
            As ``power_spectrum``; UnitError if a unit cannot be parsed.
        """
        from skyloom.units import parse

        spectrum = power_spectrum(maps, box, periodic=periodic, bins=self.bins)
        filled = spectrum.modes > 0
        power_unit, k_unit = (parse(units) * parse(box_unit)) ** 2, parse(box_unit) ** -1
        return xr.Dataset(
            {
                "power": (
                    ("sample", "k"),
                    spectrum.power[:, filled],
                    {"units": power_unit.to_string(), "long_name": "power spectrum"},
                ),
                "modes": (
                    "k",
                    spectrum.modes[filled],
                    {"units": "", "long_name": "Fourier modes in the bin"},
                ),
            },
            coords={"k": ("k", spectrum.k[filled], {"units": k_unit.to_string(), "long_name": "wavenumber"})},
        )
