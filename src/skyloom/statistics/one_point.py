"""One-point statistics: the distribution of the values of a field, and its moments.

They know nothing of where a value lies: shuffling the pixels changes none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.statistics.arrays import checked
from skyloom.statistics.component import MapStatistic

Array = NDArray[Any]


class Density(NamedTuple):
    """A distribution of values."""

    value: Array
    """Centres of the bins [u], shape ``(bins,)``."""
    density: Array
    """Fraction of the pixels in each bin over its width [1/u], shape ``(..., bins)``."""


class Moments(NamedTuple):
    """Moments of the values of fields, each of shape ``(...,)``."""

    mean: Array
    """Mean [u]."""
    variance: Array
    """Mean square deviation [u²]."""
    skewness: Array
    """Third standardised moment; 0 of a constant field."""
    kurtosis: Array
    """Fourth standardised moment minus 3, 0 for a Gaussian; 0 of a constant field."""


class Quantile(NamedTuple):
    """Quantile of the values of fields."""

    fraction: Array
    """Fraction of the pixels below the value, shape ``(q,)``."""
    value: Array
    """Value [u], shape ``(..., q)``."""


def moments(field: Array, *, dims: int = 2) -> Moments:
    r"""Mean, variance, skewness and excess kurtosis of the values of each field.

    .. math:: \mu = \langle x \rangle, \quad \sigma^2 = \langle (x-\mu)^2 \rangle, \quad
              \gamma_1 = \langle (x-\mu)^3 \rangle / \sigma^3, \quad
              \gamma_2 = \langle (x-\mu)^4 \rangle / \sigma^4 - 3

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Moments(mean [u], variance [u^2], skewness, kurtosis)``, each of shape ``(...,)``.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``dims`` is neither 2 nor 3.

    Example:
        >>> m = moments(np.array([[0.0, 2.0], [2.0, 0.0]]))
        >>> float(m.mean), float(m.variance), float(m.skewness), float(m.kurtosis)
        (1.0, 1.0, 0.0, -2.0)
    """
    values = checked(field, dims, "moments")
    axes = tuple(range(-dims, 0))
    mean = values.mean(axis=axes, dtype=np.float64, keepdims=True)
    deviation = values - mean
    variance = np.square(deviation).mean(axis=axes)
    # A constant field leaves a deviation of rounding only; its shape would be noise.
    constant = variance <= np.square(np.finfo(values.dtype).eps * mean.reshape(variance.shape))
    safe = np.where(constant, 1.0, variance)
    skewness = np.where(constant, 0.0, (deviation**3).mean(axis=axes) / safe**1.5)
    kurtosis = np.where(constant, 0.0, (deviation**4).mean(axis=axes) / safe**2 - 3.0)
    return Moments(mean.reshape(variance.shape), variance, skewness, kurtosis)


def pdf(
    field: Array, *, bins: int = 50, low: float | None = None, high: float | None = None, dims: int = 2
) -> Density:
    """Distribution of the values of each field, in the same bins for all of them.

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        bins: Equal-width bins between ``low`` and ``high``.
        low: Lower end [u]; left out, the smallest value of all fields.
        high: Upper end [u], itself in the last bin; left out, the largest value.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Density(value [u], density [1/u])``, shapes ``(bins,)``, ``(..., bins)``. The sum of ``density``
        times the width of a bin is the fraction of pixels between ``low`` and ``high``.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``low`` is not below ``high``, ``bins`` is less than 1, ``dims`` is neither 2 nor 3, or
            the ends are left out and the fields are constant or none.

    Example:
        >>> p = pdf(np.array([[0.0, 1.0], [1.0, 4.0]]), bins=2)
        >>> p.value.tolist(), p.density.tolist()
        ([1.0, 3.0], [0.375, 0.125])
    """
    values = checked(field, dims, "pdf")
    if bins < 1:
        raise UsageError(f"pdf: bins is {bins!r}, allowed: 1 or more")
    if values.size == 0 and (low is None or high is None):
        raise UsageError("pdf: there is no field to take the range of values from", hint="give low and high")
    bottom = float(values.min()) if low is None else low
    top = float(values.max()) if high is None else high
    if not bottom < top:
        raise UsageError(f"pdf: values run from {bottom!r} to {top!r}, allowed: low < high", hint="give both")
    edges = np.linspace(bottom, top, bins + 1)
    pixels = values.shape[-1] ** dims
    flat = values.reshape(-1, pixels)
    counts = np.array([np.histogram(row, edges)[0] for row in flat], dtype=np.float64).reshape(-1, bins)
    density = counts / (pixels * np.diff(edges))
    return Density(0.5 * (edges[1:] + edges[:-1]), density.reshape(*values.shape[:-dims], bins))


def quantiles(
    field: Array, *, fractions: Sequence[float] = (0.05, 0.16, 0.5, 0.84, 0.95), dims: int = 2
) -> Quantile:
    r"""Values below which given fractions of the pixels of each field lie.

    .. math:: q_f = x_{(i)} + (h - i)\,(x_{(i+1)} - x_{(i)}), \quad
              h = f\,(N^d - 1), \quad i = \lfloor h \rfloor

    with :math:`x_{(0)} \le x_{(1)} \le \ldots` the sorted values (definition 7 of Hyndman and Fan 1996,
    The American Statistician 50, 361).

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        fractions: Numbers from 0 to 1, ascending.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Quantile(fraction, value [u])``, shapes ``(q,)``, ``(..., q)``.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: The fractions are none, not ascending or out of range, or ``dims`` is neither 2 nor 3.

    Example:
        >>> quantiles(np.array([[0.0, 1.0], [2.0, 3.0]]), fractions=[0.0, 0.5]).value.tolist()
        [0.0, 1.5]
    """
    values = checked(field, dims, "quantiles")
    wanted = _fractions(fractions)
    flat = values.reshape(*values.shape[:-dims], -1)
    return Quantile(wanted, np.moveaxis(np.quantile(flat, wanted, axis=-1), 0, -1))


def _fractions(fractions: Sequence[float]) -> Array:
    found = np.asarray(fractions, dtype=np.float64)
    if (
        found.ndim != 1
        or not found.size
        or not ((found >= 0) & (found <= 1)).all()
        or (np.diff(found) <= 0).any()
    ):
        raise UsageError(
            f"quantiles: fractions are {list(fractions)!r}, allowed: ascending numbers from 0 to 1"
        )
    return found


class PDF(MapStatistic):
    """The distribution of the pixel values of every map.

    Args:
        bins: Equal-width bins between ``low`` and ``high``.
        low: Lower end in the unit of the maps; left out, the smallest value of all maps.
        high: Upper end in the unit of the maps; left out, the largest value.

    Raises:
        UsageError: ``bins`` is less than 1, or ``low`` is not below ``high``.

    Example:
        >>> PDF(bins=2, low=0.0, high=4.0).compute(np.ones((1, 2, 2)), 8.0, True, "mK")["pdf"].values.tolist()
        [[0.5, 0.0]]
    """

    def __init__(self, *, bins: int = 50, low: float | None = None, high: float | None = None) -> None:
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        if low is not None and high is not None and not low < high:
            raise UsageError(f"low is {low!r} and high is {high!r}, allowed: low < high")
        self.bins, self.low, self.high = bins, low, high

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the distributions of the values of maps.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``pdf (sample, value)``, coordinate ``value``.
        """
        from skyloom.units import parse

        density = pdf(maps, bins=self.bins, low=self.low, high=self.high)
        unit = parse(units)
        # Of a logarithm, such as dex(electron), the density is per dex.
        inverse = (getattr(unit, "function_unit", unit) ** -1).to_string()
        attributes = {"units": inverse, "long_name": "distribution of pixel values"}
        return xr.Dataset(
            {"pdf": (("sample", "value"), density.density, attributes)},
            coords={"value": ("value", density.value, {"units": units, "long_name": "pixel value"})},
        )


class Quantiles(MapStatistic):
    """Quantile of the pixel values of every map.

    Args:
        fractions: Fractions of the pixels below the value, ascending, from 0 to 1.

    Raises:
        UsageError: The fractions are none, not ascending or out of range.

    Example:
        >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
        >>> ds = Quantiles(fractions=(0.5,)).compute(maps, 1.0, True, "mK")
        >>> ds["quantile"].values.tolist()
        [[1.5]]
    """

    def __init__(self, *, fractions: tuple[float, ...] = (0.05, 0.16, 0.5, 0.84, 0.95)) -> None:
        _fractions(fractions)
        self.fractions = fractions

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the quantiles of maps or cubes.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``quantile (sample, fraction)``, coordinate ``fraction``.
        """
        found = quantiles(maps, fractions=self.fractions, dims=max(np.ndim(maps) - 1, 2))
        return xr.Dataset(
            {
                "quantile": (
                    ("sample", "fraction"),
                    found.value,
                    {"units": units, "long_name": "value below which a fraction of the pixels lies"},
                )
            },
            coords={
                "fraction": ("fraction", found.fraction, {"units": "", "long_name": "fraction of pixels"})
            },
        )
