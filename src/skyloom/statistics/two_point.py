"""Two-point statistics of maps and cubes: power spectrum, cross spectrum and coherence.

Conventions: ``delta_k = sum_x delta(x) exp(-i k x)`` without a factor, so the power is ``V / N_pix²
|delta_k|²`` with the unit of the field squared times a volume, and white noise of variance σ² has the power
``σ² V / N_pix`` at every ``k``; Pylians normalises so too. The mode ``k = 0`` is never counted. Single
precision is transformed as such; ``with scipy.fft.set_workers(2)`` lets maps go side by side.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics.arrays import checked, product_unit, spatial_dims
from skyloom.statistics.component import MapStatistic, PairStatistic
from skyloom.statistics.fourier import ring_means, rings

Array = NDArray[Any]


class Spectrum(NamedTuple):
    """An isotropic power or cross spectrum; a bin that holds no mode has the power NaN."""

    k: Array
    """Mean wavenumber of the modes in each bin [1/l], shape ``(bins,)``; the centre of an empty bin."""
    power: Array
    """Power [u² l^d], shape ``(..., bins)``."""
    modes: Array
    """Fourier modes in each bin, shape ``(bins,)``; as the field is real, half of them are independent."""


class Coherence(NamedTuple):
    """How far two fields go together at each scale; NaN where a bin holds no mode, or a field no power."""

    k: Array
    """Mean wavenumber of the modes in each bin [1/l], shape ``(bins,)``; the centre of an empty bin."""
    r: Array
    """Correlation of the modes, between -1 and 1, shape ``(..., bins)``."""
    modes: Array
    """Fourier modes in each bin, shape ``(bins,)``; as the fields are real, half of them are independent."""


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
    delta = _checked(field, dims, "power_spectrum", box, bins)
    means = _means([delta], [(0, 0)], dims, bins, periodic)[0]
    k, modes = _axis(delta.shape[-1], dims, bins, box)
    return Spectrum(k, means * _volume(delta, dims, box), modes)


def cross_spectrum(
    first: Array, second: Array, box: float, *, periodic: bool = True, bins: int = 24, dims: int = 2
) -> Spectrum:
    r"""Isotropic cross spectrum of two fields on the same pixels.

    .. math:: P_{xy}(k) = \frac{V}{N_\mathrm{pix}^{2}} \, \big\langle \mathrm{Re}\, \tilde x_{\mathbf k}
              \tilde y_{\mathbf k}^* \big\rangle_{|\mathbf k| \in \text{bin}}

    It is negative where the fields oppose each other. The imaginary part of a ring is zero: a mode and its
    mirror image, both of one ring, bring opposite ones.

    Args:
        first: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        second: Real values of the same shape, in any unit ``w``.
        box: Side length of the box in any length unit ``l``.
        periodic: Whether opposite faces touch; if not, a Hann window is applied as in ``power_spectrum``.
        bins: Equal-width bins between the fundamental mode and Nyquist.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Spectrum(k [1/l], power [u w l^dims], modes)``, shapes ``(bins,)``, ``(..., bins)``, ``(bins,)``.

    Raises:
        ShapeError: The fields are not square, or not of one shape.
        DataError, UsageError: As ``power_spectrum``.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((32, 32))
        >>> P_xy, P_xx = cross_spectrum(x, -3 * x, box=1.0).power, power_spectrum(x, box=1.0).power
        >>> bool(np.allclose(P_xy, -3 * P_xx, equal_nan=True))
        True
    """
    x, y = _both(first, second, dims, "cross_spectrum", box, bins)
    means = _means([x, y], [(0, 1)], dims, bins, periodic)[0]
    k, modes = _axis(x.shape[-1], dims, bins, box)
    return Spectrum(k, means * _volume(x, dims, box), modes)


def coherence(
    first: Array, second: Array, box: float, *, periodic: bool = True, bins: int = 24, dims: int = 2
) -> Coherence:
    r"""Correlation of the modes of two fields at each scale, also called cross-correlation coefficient.

    .. math:: r(k) = \frac{P_{xy}(k)}{\sqrt{P_{xx}(k) \, P_{yy}(k)}}

    It does not depend on the units of the fields. Independent fields scatter about 0 with the variance
    ``1 / modes``.

    Args:
        first: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit.
        second: Real values of the same shape, in any unit.
        box: Side length of the box in any length unit ``l``.
        periodic: Whether opposite faces touch; if not, a Hann window is applied as in ``power_spectrum``.
        bins: Equal-width bins between the fundamental mode and Nyquist.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Coherence(k [1/l], r, modes)``, shapes ``(bins,)``, ``(..., bins)``, ``(bins,)``.

    Raises:
        ShapeError: The fields are not square, or not of one shape.
        DataError, UsageError: As ``power_spectrum``.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((32, 32))
        >>> coherence(x, 5 - 3 * x, box=1.0, bins=2).r.round(6).tolist()
        [-1.0, -1.0]
    """
    x, y = _both(first, second, dims, "coherence", box, bins)
    P_xy, P_xx, P_yy = _means([x, y], [(0, 1), (0, 0), (1, 1)], dims, bins, periodic)
    k, modes = _axis(x.shape[-1], dims, bins, box)
    # Two roots: the product of two powers in small units would not fit.
    scale = np.sqrt(P_xx) * np.sqrt(P_yy)
    return Coherence(k, np.divide(P_xy, scale, out=np.full_like(P_xy, np.nan), where=scale > 0), modes)


def _checked(field: Array, dims: int, what: str, box: float, bins: int) -> Array:
    values = checked(field, dims, what)
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"{what}: box is {box!r}, allowed: a positive length")
    if bins < 1:
        raise UsageError(f"{what}: bins is {bins!r}, allowed: 1 or more")
    return values


def _both(first: Array, second: Array, dims: int, what: str, box: float, bins: int) -> tuple[Array, Array]:
    x, y = _checked(first, dims, what, box, bins), _checked(second, dims, what, box, bins)
    if x.shape != y.shape:
        raise ShapeError(
            f"{what} was given fields of shapes {x.shape} and {y.shape}, allowed: two of one shape",
            hint="both must lie on the same pixels",
        )
    return x, y


def _means(
    fields: list[Array], pairs: list[tuple[int, int]], dims: int, bins: int, periodic: bool
) -> list[Array]:
    """Ring means of every pair, each of shape ``(..., bins)``."""
    leading, spatial = fields[0].shape[:-dims], fields[0].shape[-dims:]
    batches = [field.reshape(-1, *spatial) for field in fields]
    means = ring_means(batches, pairs, bins=bins, periodic=periodic)
    return [mean.reshape(*leading, bins) for mean in means]


def _axis(N: int, dims: int, bins: int, box: float) -> tuple[Array, Array]:
    """Wavenumber and number of modes of every bin."""
    kept = rings(N, dims, bins)
    return kept.n * 2 * np.pi / box, kept.modes.copy()


def _volume(field: Array, dims: int, box: float) -> float:
    """Return ``V / N_pix²``."""
    return float(box**dims / field.shape[-1] ** (2 * dims))


class _Binned:
    """A statistic in equal-width bins of wavenumber.

    Args:
        bins: Equal-width bins between the fundamental mode and Nyquist.
        reach: Largest wavenumber of a bin that is kept, as a share of Nyquist.
    """

    def __init__(self, *, bins: int = 24, reach: float = 1.0) -> None:
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        if not 0 < reach <= 1:
            raise UsageError(f"reach is {reach!r}, allowed: a share of Nyquist, more than 0 and at most 1")
        self.bins, self.reach = bins, reach

    def largest(self, maps: Array, box: float) -> float:
        """Return the largest wavenumber that is kept, in units of one over that of ``box``."""
        return float(self.reach * math.pi * maps.shape[-1] / box)


class PowerSpectrum(_Binned, MapStatistic):
    """The isotropic power spectrum of every map or cube, or of its logarithm.

    The power of a field that spans decades is that of its few brightest pixels; its logarithm tells of all.

    Args:
        bins: Equal-width bins between the fundamental mode and Nyquist.
        reach: Largest wavenumber of a bin that is kept, as a share of Nyquist.
        log: Whether the decimal logarithm is taken first, of fields that are positive everywhere.

    Raises:
        UsageError: ``bins`` is less than 1, or ``reach`` is no share.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((2, 16, 16))
        >>> PowerSpectrum(bins=4).compute(maps, 16.0, True, "mK", box_unit="Mpc")["k"].attrs["units"]
        '1 / Mpc'
        >>> list(PowerSpectrum(bins=4, log=True).compute(10**maps, 16.0, True, "mK").data_vars)
        ['log_power', 'modes']
    """

    def __init__(self, *, bins: int = 24, reach: float = 1.0, log: bool = False) -> None:
        super().__init__(bins=bins, reach=reach)
        self.log = log

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the spectra of maps or cubes.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``power``, or of the logarithm ``log_power``, ``(sample, k)``, and ``modes (k)``, coordinate
            ``k``; bins without a mode are left out.

        Raises:
            DataError: The logarithm is asked for and no map is positive everywhere; one that is not has NaN.
        """
        dims, known = spatial_dims(maps), np.ones(len(maps), bool)
        if self.log:
            (maps, known), units = _logarithm(maps, "power_spectrum"), ""
        spectrum = power_spectrum(maps, box, periodic=periodic, bins=self.bins, dims=dims)
        spectrum.power[~known] = np.nan
        unit = product_unit([units, units], box_unit, dims)
        of = ("log_power", "power spectrum of the logarithm") if self.log else ("power", "power spectrum")
        return _labelled(of[0], spectrum.power, spectrum, unit, of[1], box_unit, self.largest(maps, box))


class CrossSpectrum(_Binned, PairStatistic):
    """The isotropic cross spectrum of two fields of every sample.

    Args:
        bins: Equal-width bins between the fundamental mode and Nyquist.
        reach: Largest wavenumber of a bin that is kept, as a share of Nyquist.

    Raises:
        UsageError: ``bins`` is less than 1, or ``reach`` is no share.

    Example:
        >>> x, y = np.random.default_rng(0).standard_normal((2, 3, 16, 16))
        >>> CrossSpectrum(bins=4).compute(x, y, 16.0, True, ("mK", ""))["power"].attrs["units"]
        'Mpc2 mK'
    """

    def compute(
        self,
        first: Array,
        second: Array,
        box: float,
        periodic: bool,
        units: tuple[str, str],
        box_unit: str = "Mpc",
    ) -> xr.Dataset:
        """Compute the cross spectra of two fields.

        Arguments as ``PairStatistic.compute``.

        Returns:
            ``power (sample, k)`` and ``modes (k)``, coordinate ``k``; bins without a mode are left out.
        """
        dims = spatial_dims(first)
        spectrum = cross_spectrum(first, second, box, periodic=periodic, bins=self.bins, dims=dims)
        unit = product_unit(units, box_unit, dims)
        return _labelled(
            "power", spectrum.power, spectrum, unit, "cross spectrum", box_unit, self.largest(first, box)
        )


class CoherenceSpectrum(_Binned, PairStatistic):
    """The correlation of the modes of two fields of every sample, or of their logarithms, at each scale.

    Args:
        bins: Equal-width bins between the fundamental mode and Nyquist.
        reach: Largest wavenumber of a bin that is kept, as a share of Nyquist.
        log: Whether decimal logarithms are taken first, of fields that are positive everywhere.

    Raises:
        UsageError: ``bins`` is less than 1, or ``reach`` is no share.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((3, 16, 16))
        >>> CoherenceSpectrum(bins=1).compute(x, 2 * x, 16.0, True, ("mK", ""))["r"].values.round(6).tolist()
        [[1.0], [1.0], [1.0]]
        >>> log = CoherenceSpectrum(bins=1, log=True).compute(10**x, 10 ** (-3 * x), 16.0, True, ("mK", ""))
        >>> log["log_r"].values.round(6).tolist()
        [[-1.0], [-1.0], [-1.0]]
    """

    def __init__(self, *, bins: int = 24, reach: float = 1.0, log: bool = False) -> None:
        super().__init__(bins=bins, reach=reach)
        self.log = log

    def compute(
        self,
        first: Array,
        second: Array,
        box: float,
        periodic: bool,
        units: tuple[str, str],
        box_unit: str = "Mpc",
    ) -> xr.Dataset:
        """Compute the coherence of two fields.

        Arguments as ``PairStatistic.compute``.

        Returns:
            ``r``, or of the logarithms ``log_r``, ``(sample, k)``, and ``modes (k)``, coordinate ``k``; bins
            without a mode are left out.

        Raises:
            DataError: Logarithms are asked for and no map is positive everywhere; one that is not has NaN.
        """
        dims, known = spatial_dims(first), np.ones(len(first), bool)
        if self.log:
            (first, one), (second, other) = (_logarithm(maps, "coherence") for maps in (first, second))
            known = one & other
        result = coherence(first, second, box, periodic=periodic, bins=self.bins, dims=dims)
        result.r[~known] = np.nan
        of = ("log_r", "coherence of the logarithms") if self.log else ("r", "coherence")
        return _labelled(of[0], result.r, result, "", of[1], box_unit, self.largest(first, box))


def _logarithm(maps: Array, what: str) -> tuple[Array, Array]:
    """Return decimal logarithms, and which maps have one: those that are positive everywhere.

    Raises:
        DataError: None has.
    """
    known = np.asarray((maps > 0).all(axis=tuple(range(1, maps.ndim))))
    if not known.any():
        raise DataError(
            f"{what}: the logarithm is asked for and no map is positive everywhere",
            hint="leave out log, or give another field",
        )
    return np.log10(maps, out=np.zeros_like(maps), where=known.reshape(-1, *[1] * (maps.ndim - 1))), known


def _labelled(
    name: str,
    values: Array,
    of: Spectrum | Coherence,
    units: str,
    long_name: str,
    box_unit: str,
    largest: float,
) -> xr.Dataset:
    """Name the axes and units of a binned statistic; leave out bins without a mode and beyond its reach."""
    # Rounding of the box must not take a bin away.
    filled = (of.modes > 0) & (of.k <= largest * (1 + 1e-9))
    return xr.Dataset(
        {
            name: (("sample", "k"), values[:, filled], {"units": units, "long_name": long_name}),
            "modes": ("k", of.modes[filled], {"units": "", "long_name": "Fourier modes in the bin"}),
        },
        coords={
            "k": (
                "k",
                of.k[filled],
                {"units": product_unit([], box_unit, -1), "long_name": "wavenumber"},
            )
        },
    )
