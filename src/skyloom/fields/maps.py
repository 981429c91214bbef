"""Checks that everything which computes on a batch of maps shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import DataError, ShapeError


def checked(maps: Any, what: str, *, batched: bool = True) -> NDArray[Any]:
    """Return maps as a floating-point array, at least single precision, every value finite.

    Args:
        maps: Real values, shape ``(n, H, W)``, or ``(..., H, W)`` if not ``batched``, in any unit.
        what: Who asks, for the message.
        batched: Whether exactly one leading axis is needed.

    Returns:
        The same values; no copy if they are float32 or float64 already.

    Raises:
        ShapeError: The array has other axes, or no pixel.
        DataError: A value is NaN or infinite, or not a real number.

    Example:
        >>> checked([[[1, 2], [3, 4]]], "demo").dtype
        dtype('float64')
    """
    array = np.asarray(maps)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what} was given values of type {array.dtype}", hint="maps hold real numbers")
    wanted = array.ndim == 3 if batched else array.ndim >= 2
    if not wanted or 0 in array.shape[-2:]:
        allowed = "(n, H, W)" if batched else "(..., H, W)"
        raise ShapeError(f"{what} was given an array of shape {array.shape}, allowed: {allowed}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    # Minimum and maximum carry NaN and infinity along, and need no array of flags.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = ~np.isfinite(array).all(axis=(-2, -1))
        first = np.argwhere(bad)[0].tolist()
        raise DataError(
            f"{what} was given NaN or infinity in {int(bad.sum())} of {bad.size} maps, the first at {first}",
            hint="fields.check_values names the samples of a field set that hold them",
        )
    return array
