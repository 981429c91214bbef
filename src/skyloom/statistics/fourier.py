"""Means over rings of wavenumber: what the statistics in Fourier space are made of.

Conventions: ``delta_k = sum_x delta(x) exp(-i k x)`` without a factor, and ``k`` in fundamental modes,
``2π / box``. The mode ``k = 0`` is in no ring.

Single precision stays single in the transform: what it loses there is what was lost when the field was
written in single precision. Squares and sums are double, so fields in any unit fit. The work is cut into
chunks that fit a processor's cache, and the spectrum into slabs, so that a cube needs no second copy of its
modes. Chunks run side by side under ``scipy.fft.set_workers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]

# Larger blocks of memory go back to the system after each chunk, and their pages are paid for anew.
_CHUNK = 2**16  # cells transformed at once
_SLAB = 2**17  # modes of each field that are squared and summed at once


class Rings(NamedTuple):
    """The bins of the modes of ``rfftn``; wavenumbers in fundamental modes."""

    place: Array
    """Bin of each mode in the flat transform; ``bins`` for a mode in none."""
    modes: Array
    """Modes in each bin, mirror images counted, shape ``(bins,)``."""
    n: Array
    """Mean wavenumber of the modes in each bin, shape ``(bins,)``; the centre of an empty bin."""


def squared_wavenumbers(N: int, dims: int) -> Array:
    """Return the squared wavenumber of every mode of ``rfftn``, whole numbers, in fundamental modes.

    Args:
        N: Pixels along each axis.
        dims: Number of spatial axes.

    Returns:
        Shape ``(N, ..., N // 2 + 1)``.

    Example:
        >>> squared_wavenumbers(4, 2).tolist()
        [[0, 1, 4], [1, 2, 5], [4, 5, 8], [1, 2, 5]]
    """
    full, half = np.fft.fftfreq(N, 1 / N).astype(np.int32), np.arange(N // 2 + 1, dtype=np.int32)
    square = np.square(half)
    for _ in range(dims - 1):
        square = np.square(full).reshape(-1, *[1] * square.ndim) + square
    return square


def multiplicity(N: int) -> Array:
    """Return how often a mode of ``rfftn`` stands in the full transform, by its place on the last axis.

    Args:
        N: Pixels along each axis.

    Returns:
        2 where ``rfftn`` leaves out the mirror image, else 1, shape ``(N // 2 + 1,)``.

    Example:
        >>> multiplicity(4).tolist(), multiplicity(5).tolist()
        ([1.0, 2.0, 1.0], [1.0, 2.0, 2.0])
    """
    weights = np.full(N // 2 + 1, 2.0)
    weights[0] = 1.0
    if N % 2 == 0:
        weights[-1] = 1.0
    return weights


@lru_cache(maxsize=8)
def rings(N: int, dims: int, bins: int) -> Rings:
    """Sort the modes of ``rfftn`` into equal-width bins from the fundamental mode to Nyquist.

    Args:
        N: Pixels along each axis.
        dims: Number of spatial axes.
        bins: Number of bins.

    Returns:
        The rings; they are kept, and are not to be written to.

    Example:
        >>> rings(8, 2, 3).modes.tolist()
        [8, 16, 22]
    """
    # Whole numbers keep the bin of a mode independent of the unit of the box.
    square = squared_wavenumbers(N, dims)
    counts = 2 * np.bincount(square.ravel())
    own = multiplicity(N) == 1
    counts -= np.bincount(square[..., own].ravel(), minlength=len(counts))
    n = np.sqrt(np.arange(len(counts)))
    edges = np.linspace(1.0, max(N / 2, 1.5), bins + 1)
    place = np.searchsorted(edges, n, side="right") - 1
    place[n == edges[-1]] = bins - 1  # Nyquist belongs to the last bin
    place[place < 0] = bins
    modes = np.bincount(place, counts, bins + 1)[:bins]
    sums, centres = np.bincount(place, counts * n, bins + 1)[:bins], 0.5 * (edges[1:] + edges[:-1])
    mean = np.where(modes > 0, sums / np.maximum(modes, 1), centres)
    small = np.int16 if bins < np.iinfo(np.int16).max else np.int32
    return Rings(place.astype(small)[square].ravel(), modes.astype(np.int64), mean)


def ring_means(
    fields: Sequence[Array], pairs: Sequence[tuple[int, int]], *, bins: int, periodic: bool
) -> Array:
    r"""Mean product of two fields' modes in every ring, per field and divided by the window's mean square.

    .. math:: \big\langle \mathrm{Re}\, \tilde a_{\mathbf k} \tilde b_{\mathbf k}^* \big\rangle \,
              \Big/ \, \langle w^2 \rangle

    Args:
        fields: Batches of finite values, all of shape ``(n, N, N)`` or all ``(n, N, N, N)``.
        pairs: Which two fields are multiplied, by their places in ``fields``.
        bins: Equal-width bins from the fundamental mode to Nyquist.
        periodic: Whether opposite faces touch; if not, a Hann window ``w`` is applied.

    Returns:
        Means in double precision, shape ``(len(pairs), n, bins)``; NaN where a ring holds no mode.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((5, 16, 16))
        >>> ring_means([maps], [(0, 0)], bins=4, periodic=True).shape
        (1, 5, 4)
    """
    n, N, dims = len(fields[0]), fields[0].shape[-1], fields[0].ndim - 1
    counts = rings(N, dims, bins).modes
    window = None if periodic else hann(N)
    sums = np.empty((len(pairs), n, bins))
    step = max(1, _CHUNK // N**dims)

    def chunk(start: int) -> None:
        some = [field[start : start + step] for field in fields]
        with np.errstate(over="ignore", invalid="ignore"):
            part = _ring_sums([transformed(field, window) for field in some], pairs, N, bins)
        if not np.isfinite(part).all():  # a sum of N_pix large values can be too large for single precision
            double = [transformed(field.astype(np.float64), window) for field in some]
            part = _ring_sums(double, pairs, N, bins)
        sums[:, start : start + step] = part

    starts, workers = range(0, n, step), scipy.fft.get_workers()
    if workers > 1 and len(starts) > 1:
        with ThreadPoolExecutor(min(workers, len(starts))) as pool:
            list(pool.map(chunk, starts))
    else:
        for start in starts:
            chunk(start)
    power_of_window = 1.0 if window is None else np.square(window).mean() ** dims
    sums /= np.where(counts > 0, counts, np.nan) * power_of_window
    return sums


def transformed(field: Array, window: Array | None) -> Array:
    """Return the modes of the deviations of fields from their mean.

    Args:
        field: Values, shape ``(n, N, N)`` or ``(n, N, N, N)``.
        window: Weight along each axis, shape ``(N,)``; None for a periodic field.

    Returns:
        ``rfftn`` of the weighted deviations, in the precision of ``field``, single at least.

    Example:
        >>> float(abs(transformed(np.full((1, 4, 4), 3.0), None)).max())
        0.0
    """
    precision = np.float32 if field.dtype.itemsize <= 4 else np.float64
    axes = tuple(range(1, field.ndim))
    # The mean has no power of its own, but eats digits, and would leak through the window.
    delta = field - field.mean(axis=axes, dtype=precision, keepdims=True)
    if window is not None:
        mean = delta
        for _ in axes:
            mean = mean @ (window / window.sum())
        delta -= mean.reshape(-1, *[1] * len(axes)).astype(precision)
        for axis in axes:
            delta *= window.reshape(-1, *[1] * (len(axes) - axis)).astype(precision)
    return np.asarray(scipy.fft.rfftn(delta, axes=axes))


def hann(N: int) -> Array:
    """Return a Hann window centred on the box, so that a flipped map has the same spectrum.

    Args:
        N: Pixels along each axis.

    Returns:
        Weights between 0 and 1, shape ``(N,)``; those of a pixel are the product over its axes.

    Example:
        >>> hann(4).round(3).tolist()
        [0.146, 0.854, 0.854, 0.146]
    """
    return np.asarray(np.square(np.sin(np.pi * (np.arange(N) + 0.5) / N)))


def _ring_sums(modes: Sequence[Array], pairs: Sequence[tuple[int, int]], N: int, bins: int) -> Array:
    """Sum products of modes over every ring, shape ``(len(pairs), n, bins)``."""
    n, dims, row = len(modes[0]), modes[0].ndim - 1, modes[0][0, 0].size
    step = min(N, max(1, _SLAB // row))  # a slab holds whole rows of the first axis
    sums = np.zeros((len(pairs), n, bins))
    double = np.empty((len(modes), step * row), dtype=np.complex128)
    product, second = np.empty((2, step * row))
    for start in range(0, N, step):
        size = min(step, N - start) * row
        matrix = _summing(N, dims, bins, start * row, size)
        p, q = product[:size], second[:size]
        for i in range(n):
            for field, slab in zip(modes, double, strict=True):
                slab[:size] = field[i, start : start + step].ravel()
            for pair, (a, b) in enumerate(pairs):
                np.multiply(double[a, :size].real, double[b, :size].real, out=p)
                np.multiply(double[a, :size].imag, double[b, :size].imag, out=q)
                p += q
                sums[pair, i] += (matrix @ p)[:bins]
    return sums


@lru_cache(maxsize=4)
def _summing(N: int, dims: int, bins: int, start: int, size: int) -> Any:
    """Return the matrix that sums the flat modes of a slab into rings, and the rest into one last row."""
    place = rings(N, dims, bins).place[start : start + size].astype(np.int32)
    weights = np.tile(multiplicity(N), size // (N // 2 + 1))
    columns = sparse.csc_matrix((weights, place, np.arange(size + 1, dtype=np.int32)), (bins + 1, size))
    # Sorted by ring it is applied twice as fast; that pays where it is kept for other maps.
    return columns.tocsr() if size == len(rings(N, dims, bins).place) else columns
