"""Changes of maps that take one kind of information away, to ask a network which kind it uses.

=====================  ===============================  ==================================
function               takes away                       leaves, exactly
=====================  ===============================  ==================================
``smooth``             small scales                     the mean (of a periodic map)
``filter_band``        a band of wavenumbers, or all    all other Fourier modes, the mean
                       others
``flatten_spectrum``   the power spectrum               phases, mean, variance
``shuffle_phases``     the phases                       the power of every mode, the mean
``equalise``           the histogram                    the order of the pixels, ties
``remove_mean``        the mean of each map             all differences between its pixels
=====================  ===============================  ==================================

A network whose error does not move did not need what was removed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
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


def flatten_spectrum(maps: NDArray[Any], *, each_mode: bool = False) -> NDArray[Any]:
    """Give maps a flat (white) power spectrum and leave phases, mean and variance as they are.

    Every Fourier mode is divided by the root of the mean power in its ring of wavenumbers (one fundamental
    mode wide), so the isotropic spectrum tells nothing any more; what remains is in the phases. Rings without
    power stay empty.

    Args:
        maps: Real values, shape ``(..., H, W)``, in any unit.
        each_mode: Divide every mode by its own amplitude, which takes away anisotropy and the scatter of the
            modes in a ring as well (Bustard & Wu 2024, arXiv:2402.03518).

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
    ring = np.arange(H * W) if each_mode else np.rint(distance).astype(np.int64).ravel()
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


def shuffle_phases(maps: NDArray[Any], *, seed: int, shared: bool = False) -> NDArray[Any]:
    r"""Turn the phase of every Fourier mode by a random angle: the power spectrum is all that is left.

    .. math:: \tilde m_{\mathbf k} \to \tilde m_{\mathbf k} \, e^{i \theta_{\mathbf k}}, \qquad
              \theta_{-\mathbf k} = -\theta_{\mathbf k}, \quad \theta_0 = 0

    The angles are those of white noise, hence uniform, and 0 or π where a mode is its own mirror image: the
    result is real and keeps the power of every single mode, not only of a ring; it is nearly Gaussian. Edges
    of a map that is not periodic count as steps, whose power is kept and spread over the map.

    Args:
        maps: Real values, shape ``(..., H, W)``, in any unit.
        seed: Source of the angles.
        shared: Whether the maps along the third axis from the end (the channels) are turned by the same
            angles, which keeps the cross spectra between them too.

    Returns:
        The shuffled maps, same shape and unit, at least single precision.

    Raises:
        DataError, ShapeError: The maps hold NaN, or are no maps; ``shared`` needs a third axis.

    Example:
        >>> maps = np.random.default_rng(0).lognormal(size=(16, 16))
        >>> power = [np.abs(np.fft.fft2(m)) for m in (maps, shuffle_phases(maps, seed=1))]
        >>> bool(np.allclose(*power)), bool(np.allclose(maps, shuffle_phases(maps, seed=1)))
        (True, False)
    """
    values = checked(maps, "shuffle_phases", batched=False)
    if shared and values.ndim < 3:
        raise ShapeError(
            f"shuffle_phases was given an array of shape {values.shape}, allowed: (..., C, H, W)"
        )
    H, W = values.shape[-2:]
    lead = (*values.shape[:-3], 1) if shared else values.shape[:-2]
    noise = scipy.fft.rfft2(np.random.default_rng(seed).standard_normal((*lead, H, W)))
    turn = noise / np.abs(noise)
    turn[..., 0, 0] = 1.0
    mean = values.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
    shuffled = scipy.fft.irfft2(scipy.fft.rfft2(values - mean) * turn, s=(H, W))
    return np.asarray(shuffled + mean, dtype=values.dtype)


def equalise(maps: NDArray[Any]) -> NDArray[Any]:
    """Give all maps one histogram: the average one. What remains is where the higher and lower pixels are.

    The pixel of rank ``r`` takes the mean, over the maps, of their values of rank ``r``. Equal pixels stay
    equal, at the mean value of their ranks: the size of a plateau (ionised gas is exactly 0 mK) is left.

    Args:
        maps: Real values, shape ``(n, ..., H, W)``, in any unit; the average is taken over the first axis.

    Returns:
        The equalised maps, same shape and unit, at least single precision.

    Raises:
        DataError: The maps hold NaN.
        ShapeError: The array has fewer than three axes.

    Example:
        >>> maps = np.array([[[1.0, 2.0], [3.0, 4.0]], [[30.0, 20.0], [0.0, 10.0]]])
        >>> equalise(maps)[1].tolist()
        [[17.0, 11.5], [0.5, 6.0]]
    """
    values = checked(maps, "equalise", batched=False)
    if values.ndim < 3:
        raise ShapeError(f"equalise was given an array of shape {values.shape}, allowed: (n, ..., H, W)")
    flat = values.reshape(*values.shape[:-2], -1)
    common = np.sort(flat, axis=-1).mean(axis=0, dtype=np.float64)
    equal = np.empty_like(flat)
    for place in np.ndindex(*flat.shape[:-1]):
        _, rank, size = np.unique(flat[place], return_inverse=True, return_counts=True)
        ends = np.cumsum(size)
        levels = np.add.reduceat(common[place[1:]], ends - size) / size
        equal[place] = levels[rank]
    return equal.reshape(values.shape)


def remove_mean(maps: NDArray[Any]) -> NDArray[Any]:
    """Shift every map to the mean of all maps, so that its own mean tells nothing.

    The common level keeps the maps where a network has seen some; its own `RemoveMean` is a transform.

    Args:
        maps: Real values, shape ``(n, ..., H, W)``, in any unit; the level is a mean over the first axis.

    Returns:
        The shifted maps, same shape and unit, at least single precision.

    Raises:
        DataError: The maps hold NaN.
        ShapeError: The array has fewer than three axes.

    Example:
        >>> remove_mean(np.array([[[0.0, 2.0]], [[4.0, 6.0]]])).tolist()
        [[[2.0, 4.0]], [[2.0, 4.0]]]
    """
    values = checked(maps, "remove_mean", batched=False)
    if values.ndim < 3:
        raise ShapeError(f"remove_mean was given an array of shape {values.shape}, allowed: (n, ..., H, W)")
    own = values.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
    return np.asarray(values + (own.mean(axis=0) - own), dtype=values.dtype)


def filter_band(
    maps: NDArray[Any], low: float, high: float, *, keep: bool = True, periodic: bool = True
) -> NDArray[Any]:
    """Keep, or take away, the Fourier modes of a band of wavenumbers; the mean of each map stays.

    Wavenumbers ``n = k L / 2π`` count waves along the longer side ``L`` of the map; modes with ``low <= n <
    high`` belong to the band. A map that is not periodic is mirrored at its edges (a cosine transform, half
    waves fit into it), so that no step at the edge spreads over all wavenumbers.

    Args:
        maps: Real values, shape ``(..., H, W)``, in any unit.
        low: First wavenumber of the band [waves along the side], 0 or more.
        high: End of the band, not included; ``inf`` for all that follow.
        keep: Keep only the band; otherwise take only the band away.
        periodic: Whether opposite edges touch.

    Returns:
        The filtered maps, same shape and unit, at least single precision.

    Raises:
        UsageError: The band is empty or negative.
        DataError, ShapeError: The maps hold NaN, or are no maps.

    Example:
        >>> x = 2 * np.pi * np.arange(16) / 16
        >>> maps = 1 + np.cos(2 * x) + np.cos(5 * x) + np.zeros((16, 1))
        >>> bool(np.allclose(filter_band(maps, 4, 8), 1 + np.cos(5 * x)))
        True
    """
    if not 0 <= low < high:
        raise UsageError(f"the band is {low!r} to {high!r}, allowed: 0 <= low < high")
    values = checked(maps, "filter_band", batched=False)
    H, W = values.shape[-2:]
    side = max(H, W)
    if periodic:
        rows, columns = scipy.fft.fftfreq(H) * side, scipy.fft.rfftfreq(W) * side
    else:
        rows, columns = np.arange(H) * side / (2 * H), np.arange(W) * side / (2 * W)
    n = np.hypot(rows[:, None], columns[None, :])
    passed = ((n >= low) & (n < high)) == keep
    passed[0, 0] = True
    if periodic:
        filtered = scipy.fft.irfft2(scipy.fft.rfft2(values) * passed, s=(H, W))
    else:
        filtered = scipy.fft.idctn(scipy.fft.dctn(values, axes=(-2, -1)) * passed, axes=(-2, -1))
    return np.asarray(filtered, dtype=values.dtype)
