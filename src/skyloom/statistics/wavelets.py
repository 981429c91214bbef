r"""Wavelet scattering of maps: what Gaussian statistics miss, in a hundred stable numbers.

A map is filtered by Morlet wavelets of ``scales`` dyadic sizes and ``angles`` directions, the modulus is
taken and averaged over the map (first order); the modulus is filtered again by coarser wavelets and averaged
(second order). Unlike the bispectrum, the coefficients are of first degree in the field, so one bright pixel
does not rule them.

Wavelets (Bruna & Mallat 2013; the numbers are kymatio's), in Fourier space, with the wavevector ``k`` in
radians a pixel, ``σ_j = 0.8 · 2^j`` and ``ξ_j = (3π/4) / 2^j``: a Gaussian around ``ξ_j`` in the direction
``θ_l = π l / L``, of width ``1/σ_j`` along it and ``(4/L) / σ_j`` across, less a Gaussian around 0 that makes
the mean zero. All are divided by one constant, so that the Littlewood–Paley sum
``A(k) = Σ_jl (|ψ_jl(k)|² + |ψ_jl(-k)|²) / 2`` is at most 1: filtered maps never hold more than the variance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.statistics.arrays import checked
from skyloom.statistics.component import MapStatistic

Array = NDArray[Any]

_CHUNK = 2**18  # cells of the maps filtered at once: each takes `angles` complex numbers more
WAVELENGTH = 8 / 3  # 2π / ξ_0, in pixels: the wavelength at which the finest wavelet is centred


class Scattering(NamedTuple):
    """Scattering coefficients of maps, in the unit of the maps."""

    mean: Array
    """Order 0: the mean [u], shape ``(...,)``."""
    first: Array
    """``<|x ⋆ ψ_jl|>`` [u], shape ``(..., J, L)``."""
    second: Array
    """``<||x ⋆ ψ_jl| ⋆ ψ_j'l'|>`` [u] at ``[..., j, j', l, l']``, shape ``(..., J, J, L, L)``; NaN where
    ``j' <= j``, which holds nothing, and everywhere if only the first order was asked for."""


class IsotropicScattering(NamedTuple):
    """Scattering coefficients averaged over the direction, of maps that have no preferred one."""

    mean: Array
    """Order 0: the mean [u], shape ``(...,)``."""
    first: Array
    """First order [u], shape ``(..., J)``."""
    second: Array
    """Second order [u] at ``[..., j, j', a]``, shape ``(..., J, J, L // 2 + 1)``: ``a`` steps of ``π / L``
    lie between the two directions, either way round; NaN where ``j' <= j``."""


def scattering(
    field: Array, *, scales: int = 4, angles: int = 4, order: int = 2, periodic: bool = True
) -> Scattering:
    r"""Scattering coefficients of each map, averaged over it.

    .. math:: S_1(j, l) = \langle |x \star \psi_{jl}| \rangle, \quad
              S_2(j, j', l, l') = \big\langle \big| |x \star \psi_{jl}| \star \psi_{j'l'} \big| \big\rangle,
              \quad j' > j

    Args:
        field: Real values, shape ``(..., N, N)``, in any unit ``u``; single precision stays so.
        scales: Dyadic sizes ``J``; the wavelet ``j`` is centred at a wavelength of ``8/3 · 2^j`` pixels, and
            ``2^J`` may not exceed ``N``.
        angles: Directions ``L`` over half a turn, from the last axis (x) towards the one before it (y).
        order: 1 or 2.
        periodic: Whether opposite edges touch. If not, a map is continued by its mirror image for ``2^J``
            pixels, and averages are taken over the map alone.

    Returns:
        ``Scattering(mean [u], first [u], second [u])``, shapes ``(...,)``, ``(..., J, L)``,
        ``(..., J, J, L, L)``.

    Raises:
        ShapeError: The map is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``scales`` does not fit the map, ``angles`` is less than 1, or ``order`` is not 1 or 2.

    Example:
        >>> wave = np.cos(2 * np.pi * 12 * np.arange(64) / 64) * np.ones((64, 1))
        >>> s = scattering(wave, scales=3, angles=4)
        >>> j, l = np.unravel_index(s.first.argmax(), s.first.shape)
        >>> int(j), int(l)  # a wavelength of 64 / 12 = 8/3 · 2 pixels, along x
        (1, 0)
    """
    values = checked(field, 2, "scattering")
    _check(scales, angles, order)
    N, lead = values.shape[-1], values.shape[:-2]
    if 2**scales > N:
        raise UsageError(
            f"scattering: scales is {scales} for maps of {N} pixels, allowed: 1 to {int(np.log2(N))}",
            hint="2**scales may not exceed the side of the map",
        )
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    maps = values.reshape(-1, N, N)
    margin = 0 if periodic else 2**scales
    bank = filter_bank(N + 2 * margin, scales, angles).astype(values.dtype)
    first = np.empty((len(maps), scales, angles))
    second = np.full((len(maps), scales, scales, angles, angles), np.nan)
    step = max(1, _CHUNK // N**2)
    for start in range(0, len(maps), step):
        part = slice(start, start + step)
        padded = np.pad(maps[part], ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
        _scatter(padded, bank, margin, first[part], second[part] if order == 2 else None)
    mean = maps.mean(axis=(1, 2), dtype=np.float64)
    return Scattering(
        mean.reshape(lead), first.reshape(*lead, *first.shape[1:]), second.reshape(*lead, *second.shape[1:])
    )


def isotropic(coefficients: Scattering) -> IsotropicScattering:
    """Average scattering coefficients over the direction.

    Args:
        coefficients: What ``scattering`` gives, ``L`` directions of ``J`` scales.

    Returns:
        ``IsotropicScattering(mean [u], first [u], second [u])``, shapes ``(...,)``, ``(..., J)``,
        ``(..., J, J, L // 2 + 1)``. A flip leaves them as they are; a quarter turn too, if ``L`` is even.

    Example:
        >>> s = isotropic(scattering(np.random.default_rng(0).standard_normal((32, 32)), scales=2, angles=4))
        >>> s.first.shape, s.second.shape
        ((2,), (2, 2, 3))
    """
    L = coefficients.first.shape[-1]
    l1 = np.arange(L)
    turned = [coefficients.second[..., l1, (l1 + a) % L].mean(axis=-1) for a in range(L)]
    folded = np.stack([0.5 * (turned[a] + turned[-a % L]) for a in range(L // 2 + 1)], axis=-1)
    return IsotropicScattering(coefficients.mean, coefficients.first.mean(axis=-1), folded)


def scattering_features(
    field: Array, *, scales: int = 4, angles: int = 4, order: int = 2, periodic: bool = True
) -> Array:
    """Isotropic scattering coefficients as one flat vector a map, for a regression or a classifier.

    Args:
        field: Real values, shape ``(..., N, N)``, in any unit ``u``.
        scales: As for ``scattering``.
        angles: As for ``scattering``.
        order: As for ``scattering``.
        periodic: As for ``scattering``.

    Returns:
        Shape ``(..., F)`` [u]: the mean, ``J`` of first order, and for ``order=2`` those of second order,
        ``J (J - 1) / 2`` pairs of scales (the finer slowest) times ``L // 2 + 1`` relative angles. None but
        the mean is negative.

    Raises:
        As ``scattering``.

    Example:
        >>> scattering_features(np.eye(16)[None], scales=3, angles=4).shape  # 1 + 3 + 3 * 3
        (1, 13)
    """
    s = isotropic(scattering(field, scales=scales, angles=angles, order=order, periodic=periodic))
    parts = [s.mean[..., None], s.first]
    if order == 2:
        j1, j2 = np.triu_indices(scales, 1)
        parts.append(s.second[..., j1, j2, :].reshape(*s.mean.shape, -1))
    return np.concatenate(parts, axis=-1)


@lru_cache(maxsize=8)
def filter_bank(N: int, scales: int, angles: int) -> Array:
    """Morlet wavelets in Fourier space, normalised together so that their Littlewood–Paley sum peaks at 1.

    Args:
        N: Side of the map in pixels.
        scales: Dyadic sizes ``J``.
        angles: Directions ``L`` over half a turn.

    Returns:
        Real values, shape ``(J, L, N, N)``, at the wavevectors of ``numpy.fft.fftfreq``; read only.

    Example:
        >>> bank = filter_bank(32, 3, 4)
        >>> square = np.square(bank).sum(axis=(0, 1))
        >>> round(float((square + np.roll(square[::-1, ::-1], 1, axis=(0, 1))).max() / 2), 12)
        1.0
    """
    k = 2 * np.pi * np.fft.fftfreq(N)
    # A wavelet sampled on pixels has the sum over all aliases of its wavevector.
    copies = (k[None, :] + 2 * np.pi * np.arange(-2, 3)[:, None])[:, None, :, None]
    ky, kx = copies, copies.transpose(1, 0, 3, 2)
    bank = np.empty((scales, angles, N, N))
    for j, direction in np.ndindex(scales, angles):
        sigma, xi, theta = 0.8 * 2**j, 0.75 * np.pi / 2**j, np.pi * direction / angles
        along = kx * np.cos(theta) + ky * np.sin(theta)
        across = (ky * np.cos(theta) - kx * np.sin(theta)) * angles / 4
        envelope = np.exp(-0.5 * sigma**2 * (along**2 + across**2)).sum(axis=(0, 1))
        gabor = np.exp(-0.5 * sigma**2 * ((along - xi) ** 2 + across**2)).sum(axis=(0, 1))
        bank[j, direction] = gabor - gabor[0, 0] / envelope[0, 0] * envelope
    square = np.square(bank).sum(axis=(0, 1))
    bank /= np.sqrt(0.5 * (square + np.roll(square[::-1, ::-1], 1, axis=(0, 1))).max())
    bank.flags.writeable = False
    return bank


def _scatter(maps: Array, bank: Array, margin: int, first: Array, second: Array | None) -> None:
    """Write the coefficients of maps (n, M, M) to ``first`` (n, J, L) and ``second`` (n, J, J, L, L)."""
    inside = slice(margin, maps.shape[-1] - margin)
    spectrum = scipy.fft.fft2(maps)[:, None]
    for j, wavelets in enumerate(bank):
        modulus = np.abs(scipy.fft.ifft2(spectrum * wavelets, overwrite_x=True))
        first[:, j] = modulus[..., inside, inside].mean(axis=(-2, -1), dtype=np.float64)
        if second is None or j + 1 == len(bank):
            continue
        for direction in range(bank.shape[1]):
            again = scipy.fft.fft2(modulus[:, direction])[:, None]
            for j2 in range(j + 1, len(bank)):
                twice = np.abs(scipy.fft.ifft2(again * bank[j2], overwrite_x=True))
                second[:, j, j2, direction] = twice[..., inside, inside].mean(axis=(-2, -1), dtype=np.float64)


def _check(scales: int, angles: int, order: int) -> None:
    if scales < 1:
        raise UsageError(f"scattering: scales is {scales!r}, allowed: 1 or more")
    if angles < 1:
        raise UsageError(f"scattering: angles is {angles!r}, allowed: 1 or more")
    if order not in (1, 2):
        raise UsageError(f"scattering: order is {order!r}, allowed: 1 or 2")


class WaveletScattering(MapStatistic):
    """The isotropic scattering coefficients of every map.

    Args:
        scales: Dyadic sizes; ``2**scales`` may not exceed the side of a map in pixels.
        angles: Directions over half a turn; an even number leaves quarter turns without effect.

    Raises:
        UsageError: ``scales`` is less than 2, or ``angles`` less than 1.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((2, 16, 16))
        >>> ds = WaveletScattering(scales=3).compute(maps, 32.0, True, "mK")
        >>> ds["wavelength"].values.round(3).tolist(), ds["second"].dims
        ([5.333, 10.667, 21.333], ('sample', 'pair', 'angle'))
    """

    def __init__(self, *, scales: int = 4, angles: int = 4) -> None:
        _check(scales, angles, 2)
        if scales < 2:
            raise UsageError(f"scales is {scales!r}, allowed: 2 or more (the second order needs two)")
        self.scales, self.angles = scales, angles

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the coefficients of maps.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``mean (sample)``, ``first (sample, wavelength)`` and ``second (sample, pair, angle)``; the
            coordinates ``finer`` and ``coarser`` on ``pair`` are the wavelengths of its two wavelets.
        """
        if np.ndim(maps) != 3:
            raise ShapeError(
                f"scattering was given an array of shape {np.shape(maps)}, allowed: (n, N, N)",
                hint="cut cubes into maps",
            )
        s = isotropic(scattering(maps, scales=self.scales, angles=self.angles, periodic=periodic))
        j1, j2 = np.triu_indices(self.scales, 1)
        length = WAVELENGTH * 2.0 ** np.arange(self.scales) * box / maps.shape[-1]
        degrees = np.arange(self.angles // 2 + 1) * 180.0 / self.angles

        def said(name: str, unit: str) -> dict[str, str]:
            return {"units": unit, "long_name": name}

        return xr.Dataset(
            {
                "mean": ("sample", s.mean, said("mean", units)),
                "first": (("sample", "wavelength"), s.first, said("scattering of first order", units)),
                "second": (
                    ("sample", "pair", "angle"),
                    s.second[:, j1, j2],
                    said("scattering of second order", units),
                ),
            },
            coords={
                "wavelength": ("wavelength", length, said("central wavelength", box_unit)),
                "pair": ("pair", np.arange(len(j1)), said("pair of scales", "")),
                "finer": ("pair", length[j1], said("wavelength of the finer wavelet", box_unit)),
                "coarser": ("pair", length[j2], said("wavelength of the coarser wavelet", box_unit)),
                "angle": ("angle", degrees, said("angle between the wavelets", "deg")),
            },
        )
