r"""Fingerprints that know a map again after it was rolled, flipped, turned or rescaled.

Each pixel gets a 64-bit label from its value; for shifts :math:`s = 1, 2, 4, \ldots` below the size, it is
mixed with the sum of the labels on the 3×3 stencil of spacing :math:`s` on the torus. The sum has no order,
so it knows neither up nor left, and after the last shift a pixel's label depends on the whole map around it
(Weisfeiler and Lehman's test of isomorphism, on the torus). The sum over pixels of the labels and of their
squares is the fingerprint. It is exact integer arithmetic, so twins agree to the last bit.

Three labellings make three parts, and maps that agree in any part are twins. The first part takes the
values themselves (float32). The others take only whether a pixel is below, at or above the lower quartile
(and, mirrored, the upper quartile), which no monotonic rescaling changes: another unit, min-max, logarithm,
standardisation, and, since the two swap, a change of sign.

It cannot know again: crops, smoothed or noisy copies, copies stored in half precision, non-monotonic
rescaling, and a roll of a map that was not stored whole. Maps that hold too little to be told apart from
one another (constant, or hardly more) have an empty part instead, which agrees with nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import DataError, ShapeError

PLAIN = "-"
"""A part of a fingerprint for a map with too little in it to be told apart from another."""

_FEW_VALUES = 16
_FEW_PIXELS = 0.02
_CHUNK = 2**16
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93], dtype=np.uint64)


def fingerprint(maps: ArrayLike) -> NDArray[np.str_]:
    """Return a text for each map that rolls, flips, quarter turns and rescaling leave alone, part by part.

    Args:
        maps: Finite values, shape ``(n, H, W)``, any unit.

    Returns:
        Shape ``(n,)``: ``value:lower:upper``, each part 32 hexadecimal digits or ``-``. Two maps are twins
        when one part that is not ``-`` is the same in both; see ``twin_parts``.

    Raises:
        ShapeError: Another shape.
        DataError: A map holds NaN or infinity.

    Example:
        >>> image = np.random.default_rng(0).normal(size=(16, 16))
        >>> twin = np.rot90(np.roll(image, (3, 5), (0, 1)))[::-1]
        >>> a, b, c, d = fingerprint([image, twin, np.exp(image), np.zeros((16, 16))])
        >>> a == b, a.split(":")[1:] == c.split(":")[1:], str(d)
        (True, True, '-:-:-')
    """
    values = np.asarray(maps, dtype=np.float32)
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ShapeError(f"maps of shape {values.shape}", hint="give (n, H, W)")
    lost = ~np.isfinite(values).all(axis=(1, 2))
    if lost.any():
        raise DataError(f"{lost.sum()} maps hold NaN or infinity, the first is {np.flatnonzero(lost)[0]}")
    chunk = max(1, _CHUNK // (values.shape[1] * values.shape[2]))
    parts = [_texts(values[row : row + chunk]) for row in range(0, len(values), chunk)]
    return np.concatenate(parts) if parts else np.array([], dtype=str)


def twin_parts(text: str) -> list[str]:
    """Return the parts of a fingerprint that may prove a twin.

    Args:
        text: A fingerprint.

    Returns:
        The parts that are not ``-``. The rescaled parts are named alike, since a change of sign swaps them.

    Example:
        >>> twin_parts("0f:-:a1")
        ['value 0f', 'shape a1']
    """
    value, *shapes = text.split(":")
    named = [f"value {value}", *(f"shape {shape}" for shape in shapes)]
    return [part for part in named if not part.endswith(PLAIN)]


def _texts(values: NDArray[np.float32]) -> NDArray[np.str_]:
    n, pixels = len(values), values.shape[1] * values.shape[2]
    ordered = np.sort(values.reshape(n, pixels), axis=1)
    new = np.diff(ordered, axis=1) != 0
    distinct = new.sum(axis=1) + 1
    low = (pixels - 1) // 4
    lower = np.sign(values - ordered[:, low, None, None])
    upper = np.sign(ordered[:, pixels - 1 - low, None, None] - values)
    poor = _most_common(new) > (1 - _FEW_PIXELS) * pixels
    few = distinct < _FEW_VALUES
    # Adding zero turns -0.0 into 0.0, which are one value with two bit patterns.
    exact = _hash((values + np.float32(0)).view(np.uint32))
    hidden = (few & poor, few | poor, few | poor)
    labelled = (
        exact,
        _hash(lower.astype(np.int8).view(np.uint8)),
        _hash(upper.astype(np.int8).view(np.uint8)),
    )
    columns = [np.where(hide, PLAIN, text) for hide, text in zip(hidden, labelled, strict=True)]
    return np.array([":".join(row) for row in zip(*columns, strict=True)], dtype=str)


def _most_common(new: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Length of the longest run of equal values in each sorted row, from where the value changes."""
    n = len(new)
    edges = np.pad(new, ((0, 0), (1, 1)), constant_values=True)
    rows, places = np.nonzero(edges)
    runs = np.where(np.diff(rows) == 0, np.diff(places), 0)
    longest = np.zeros(n, dtype=np.int64)
    np.maximum.at(longest, rows[:-1], runs)
    return longest


def _hash(labels: NDArray[np.unsignedinteger]) -> NDArray[np.str_]:
    height, width = labels.shape[1:]
    h = _mix(labels.astype(np.uint64) + _ODD[0])
    shift = 1
    while shift < max(height, width):
        total = h
        for axis in (1, 2):
            total = total + np.roll(total, shift, axis) + np.roll(total, -shift, axis)
        h = _mix(h * _ODD[1] + total)
        shift *= 2
    shape = np.uint64(min(height, width) * 2**32 + max(height, width))
    first, second = _mix(h.sum(axis=(1, 2)) + shape), _mix((h * h).sum(axis=(1, 2)) + shape)
    return np.array(
        [f"{a:016x}{b:016x}" for a, b in zip(first.tolist(), second.tolist(), strict=True)], dtype=str
    )


def _mix(h: NDArray[np.uint64]) -> NDArray[np.uint64]:
    h = h ^ (h >> np.uint64(32))
    h *= _ODD[2]
    h ^= h >> np.uint64(29)
    return h
