"""The check that every statistic makes of its input: real, finite, square maps or cubes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import DataError, ShapeError, UsageError


def checked(field: Any, dims: int, what: str) -> NDArray[np.floating[Any]]:
    """Return a field as floating-point numbers, every one finite.

    Args:
        field: Real values, shape ``(..., N, N)`` for ``dims=2``, ``(..., N, N, N)`` for ``dims=3``.
        dims: Number of spatial axes, 2 or 3.
        what: The statistic, for the message.

    Returns:
        The same values; no copy if they are floating-point numbers already.

    Raises:
        UsageError: ``dims`` is neither 2 nor 3.
        ShapeError: The field is not square, or has too few axes.
        DataError: A value is NaN or infinite, or not a real number.

    Example:
        >>> checked([[1, 2], [3, 4]], 2, "demo").dtype
        dtype('float64')
    """
    if dims not in (2, 3):
        raise UsageError(f"{what}: dims is {dims!r}, allowed: 2 (maps) or 3 (cubes)")
    array = np.asarray(field)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what} was given values of type {array.dtype}", hint="fields hold real numbers")
    if array.ndim < dims or len(set(array.shape[-dims:])) != 1 or array.shape[-1] < 2:
        allowed = "(..., N, N)" if dims == 2 else "(..., N, N, N)"
        raise ShapeError(
            f"{what} was given an array of shape {array.shape}, allowed: {allowed} with N of 2 or more"
        )
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = ~np.isfinite(array).all(axis=tuple(range(-dims, 0)))
        raise DataError(
            f"{what} was given NaN or infinity in {int(bad.sum())} of {bad.size} fields",
            hint="fields.check_values names the samples of a field set that hold them",
        )
    return array
