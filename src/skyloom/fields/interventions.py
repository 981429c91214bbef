"""Changes of maps that take one kind of information away, to ask a network which kind it uses.

``smooth`` takes small scales away; ``flatten_spectrum`` takes the power spectrum away and leaves the phases.
A network whose error does not move did not need what was removed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.fields.maps import checked


def smooth(maps: NDArray[Any], width_pixels: float, periodic: bool = True) -> NDArray[Any]:
    r"""Smooth maps with a Gaussian.

    .. math:: \tilde m_{\mathbf f} \to \tilde m_{\mathbf f} \, e^{-2 \pi^2 \sigma^2 |\mathbf f|^2}

    with ``f`` in cycles a pixel and σ = ``width_pixels``. The mean of a periodic map is kept.

    Args:
        maps: Real values, shape ``(..., H, W)``, in any unit.
        width_pixels: Standard deviation of the Gaussian [pixels]; 0 gives a copy.
        periodic: Whether opposite edges touch; if not, maps are mirrored at their edges.

    Returns:
        The smoothed maps, same shape and unit, at least single precision.

    Raises:
        UsageError: The width is negative.
        DataError, ShapeError: The maps hold NaN, or are no maps.

    Example:
        >>> point = np.zeros((16, 16)); point[8, 8] = 1.0
        >>> bool(np.isclose(smooth(point, 2.0)[8, 8], 1 / (2 * np.pi * 2.0**2), rtol=1e-3))
        True
    """
    if not width_pixels >= 0:
        raise UsageError(f"width_pixels is {width_pixels!r}, allowed: 0 or more")
    values = checked(maps, "smooth", batched=False)
    if width_pixels == 0:
        return values.copy()
    if not periodic:
        width = (0.0,) * (values.ndim - 2) + (float(width_pixels),) * 2
        return np.asarray(scipy.ndimage.gaussian_filter(values, width, mode="reflect"))
    H, W = values.shape[-2:]
    square = scipy.fft.fftfreq(H)[:, None] ** 2 + scipy.fft.rfftfreq(W)[None, :] ** 2
    gain = np.exp(-2 * np.pi**2 * width_pixels**2 * square).astype(values.dtype)
    return np.asarray(scipy.fft.irfft2(scipy.fft.rfft2(values) * gain, s=(H, W)))


def flatten_spectrum(maps: NDArray[Any]) -> NDArray[Any]:
    """Give maps a flat (white) power spectrum and leave phases, mean and variance as they are.

    Every Fourier mode is divided by the root of the mean power in its ring of wavenumbers (one fundamental
    mode wide), so the isotropic spectrum tells nothing any more; what remains is in the phases. Rings without
    power stay empty.

    Args:
        maps: Real values, shape ``(..., H, W)``, in any unit.

    Returns:
        The whitened maps, same shape and unit, at least single precision.

    Raises:
        DataError, ShapeError: The maps hold NaN, or are no maps.

    Example:
        >>> from skyloom.statistics import power_spectrum
        >>> smooth_map = smooth(np.random.default_rng(0).standard_normal((64, 64)), 1.0)
        >>> P_k = power_spectrum(flatten_spectrum(smooth_map), box=64.0, bins=8).power
        >>> bool(P_k.max() / P_k.min() < 1.2)
        True
    """
    values = checked(maps, "flatten_spectrum", batched=False)
    H, W = values.shape[-2:]
    mean = values.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
    modes = scipy.fft.fft2(values - mean)
    side = max(H, W)
    distance = np.hypot(scipy.fft.fftfreq(H)[:, None] * side, scipy.fft.fftfreq(W)[None, :] * side)
    ring = np.rint(distance).astype(np.int64).ravel()
    power = np.square(np.abs(modes)).reshape(-1, H * W)
    in_ring = np.stack([np.bincount(ring, weights=row) for row in power]) / np.bincount(ring)
    # Below rounding of the strongest ring there is no signal to bring up, only noise of the transform.
    floor = (100 * np.finfo(values.dtype).eps) ** 2 * in_ring.max(axis=1, keepdims=True)
    gain = np.where(in_ring > floor, 1 / np.sqrt(np.maximum(in_ring, np.finfo(np.float64).tiny)), 0.0)
    white = scipy.fft.ifft2(modes * gain[:, ring].reshape(modes.shape)).real
    before, after = (
        values.std(axis=(-2, -1), keepdims=True, dtype=np.float64),
        white.std((-2, -1), keepdims=True),
    )
    scale = np.divide(before, after, out=np.zeros_like(before), where=after > 0)
    return np.asarray(white * scale + mean, dtype=values.dtype)
