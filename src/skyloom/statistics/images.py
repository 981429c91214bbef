r"""How alike two maps are, pixel by pixel: for a map that was translated beside the map that it should be.

They ask for the same structures in the same places, so they suit a translation with one right answer; a map
drawn from a distribution is judged by distances between ensembles instead. Peak and constants are taken from
the **truth** alone, so a translation cannot move its own yardstick.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.statistics.arrays import checked

Array = NDArray[Any]


def psnr(truth: Array, other: Array, *, span: float | None = None) -> Array:
    r"""Peak signal-to-noise ratio.

    .. math:: \mathrm{PSNR} = 20 \log_{10} R - 10 \log_{10} \langle (t - o)^2 \rangle

    Args:
        truth: Maps, shape ``(..., N, N)``, in any unit ``u``.
        other: Maps [u], same shape.
        span: ``R`` [u]; left out, largest minus smallest value of all true maps together.

    Returns:
        In decibel, shape ``(...,)``; infinite for equal maps.

    Raises:
        ShapeError: The shapes differ.
        DataError: A value is NaN or infinite.
        UsageError: ``span`` is not positive, or is left out and the true maps are constant.

    Example:
        >>> truth = np.array([[0.0, 1.0], [1.0, 0.0]])
        >>> round(float(psnr(truth, truth + 0.1)), 6)
        20.0
    """
    t, o = _pair(truth, other, "psnr")
    error = np.square(t - o).mean(axis=(-2, -1))
    with np.errstate(divide="ignore"):
        return np.asarray(20 * np.log10(_span(t, span, "psnr")) - 10 * np.log10(error))


def ssim(
    truth: Array, other: Array, *, span: float | None = None, width: float = 1.5, periodic: bool = True
) -> Array:
    r"""Structural similarity (Wang et al. 2004), averaged over a map.

    .. math:: \mathrm{SSIM} = \Big\langle \frac{(2 \mu_t \mu_o + c_1)(2 \sigma_{to} + c_2)}
              {(\mu_t^2 + \mu_o^2 + c_1)(\sigma_t^2 + \sigma_o^2 + c_2)} \Big\rangle, \quad
              c_1 = (0.01 R)^2, \; c_2 = (0.03 R)^2

    Local means, variances and the covariance are those under a Gaussian window, cut off at 3.5 widths as in
    that paper's code; the variances are those of the pixels themselves, without the factor n / (n - 1).

    Args:
        truth: Maps, shape ``(..., N, N)``, in any unit ``u``.
        other: Maps [u], same shape.
        span: ``R`` [u]; left out, largest minus smallest value of all true maps together.
        width: Standard deviation of the window [pixels].
        periodic: Whether opposite edges touch; if not, maps are mirrored at their edges.

    Returns:
        -1 to 1, shape ``(...,)``; 1 for equal maps.

    Raises:
        ShapeError: The shapes differ.
        DataError: A value is NaN or infinite.
        UsageError: ``span`` or ``width`` is not positive, or ``span`` is left out and the true maps are
            constant.

    Example:
        >>> truth = np.random.default_rng(0).random((16, 16))
        >>> round(float(ssim(truth, truth)), 6), float(ssim(truth, 1 - truth)) < 0
        (1.0, True)
    """
    t, o = _pair(truth, other, "ssim")
    if not width > 0:
        raise UsageError(f"ssim: width is {width!r}, allowed: more than 0")
    R = _span(t, span, "ssim")
    c1, c2 = (0.01 * R) ** 2, (0.03 * R) ** 2
    widths, mode = (0.0,) * (t.ndim - 2) + (width,) * 2, "wrap" if periodic else "reflect"

    def local(values: Array) -> Array:
        return np.asarray(scipy.ndimage.gaussian_filter(values, widths, mode=mode, truncate=3.5))

    mean_t, mean_o = local(t), local(o)
    var_t, var_o = local(t * t) - mean_t**2, local(o * o) - mean_o**2
    covariance = local(t * o) - mean_t * mean_o
    same = (2 * mean_t * mean_o + c1) * (2 * covariance + c2)
    return np.asarray((same / ((mean_t**2 + mean_o**2 + c1) * (var_t + var_o + c2))).mean(axis=(-2, -1)))


def correlation(truth: Array, other: Array) -> Array:
    """Pearson correlation of the pixels of each pair of maps.

    Args:
        truth: Maps, shape ``(..., N, N)``, in any unit.
        other: Maps, same shape, in any unit.

    Returns:
        -1 to 1, shape ``(...,)``; NaN where one of the two is constant.

    Raises:
        ShapeError: The shapes differ.
        DataError: A value is NaN or infinite.

    Example:
        >>> truth = np.array([[0.0, 1.0], [2.0, 3.0]])
        >>> float(correlation(truth, 5 - 2 * truth))
        -1.0
    """
    t, o = _pair(truth, other, "correlation")
    t, o = (values - values.mean(axis=(-2, -1), keepdims=True) for values in (t, o))
    norm = np.sqrt(np.square(t).sum(axis=(-2, -1)) * np.square(o).sum(axis=(-2, -1)))
    product = (t * o).sum(axis=(-2, -1))
    return np.asarray(np.divide(product, norm, out=np.full(np.shape(norm), np.nan), where=norm > 0))


def _pair(truth: Array, other: Array, what: str) -> tuple[Array, Array]:
    t, o = (np.asarray(checked(values, 2, what), np.float64) for values in (truth, other))
    if t.shape != o.shape:
        raise ShapeError(f"{what}: maps of shape {o.shape} stand beside true ones of shape {t.shape}")
    return t, o


def _span(truth: Array, span: float | None, what: str) -> float:
    value = float(np.ptp(truth)) if span is None else span
    if not value > 0:
        raise UsageError(f"{what}: the span of values is {value!r}, allowed: more than 0", hint="give span")
    return value
