"""What every statistic asks of its input: real, finite, square maps or cubes, and units that multiply."""

from __future__ import annotations

from collections.abc import Sequence
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


def spatial_dims(fields: Any) -> int:
    """Return the number of spatial axes of a batch of fields, all axes but the first.

    Args:
        fields: Values, shape ``(n, N, N)`` or ``(n, N, N, N)``.

    Returns:
        2 or 3.

    Raises:
        ShapeError: The array has neither three nor four axes.

    Example:
        >>> spatial_dims(np.zeros((5, 8, 8)))
        2
    """
    shape = np.shape(fields)
    if len(shape) not in (3, 4):
        raise ShapeError(f"fields of shape {shape}, allowed: (n, N, N) for maps, (n, N, N, N) for cubes")
    return len(shape) - 1


def product_unit(units: Sequence[str], box_unit: str, lengths: int, *, power: int = 1) -> str:
    """Return the unit of a product of fields times a power of the length of the box.

    Args:
        units: Unit of each factor; of a logarithmic one, such as ``dex(K)``, the unit ``dex`` is left.
        box_unit: Unit of the box.
        lengths: Power of the length.
        power: Power of each factor.

    Returns:
        A unit as text.

    Raises:
        UnitError: A unit cannot be parsed.

    Example:
        >>> product_unit(["mK", "mK"], "Mpc", 3), product_unit(["dex(K)"], "kpc", 2)
        ('Mpc3 mK2', 'kpc2 dex')
    """
    from skyloom.units import parse

    product = parse(box_unit) ** lengths
    for unit in map(parse, units):
        product = product * getattr(unit, "function_unit", unit) ** power
    return str(product.to_string())
