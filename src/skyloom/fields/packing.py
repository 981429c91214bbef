"""Making a field set small: fewer fields, and fewer significant bits, which then compress well."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import UsageError, nearest
from skyloom.fields.convention import add_step

MANTISSA = {2: (np.uint16, 10), 4: (np.uint32, 23)}  #: bytes of a float: its integer type, mantissa bits


def round_bits(values: NDArray[np.floating], bits: int) -> NDArray[np.floating]:
    """Round to a number of mantissa bits, to nearest and ties to even (Klöwer et al. 2021).

    The relative error is at most ``2**-(bits + 1)``; zeros stay zeros.

    Args:
        values: float16 or float32, any shape, finite.
        bits: Mantissa bits that are kept, from 1 to all that the type has.

    Returns:
        Rounded values, same shape and type.

    Raises:
        UsageError: The type or the number of bits is not possible.

    Example:
        >>> round_bits(np.array([1.0, 1.26, 3.9], np.float32), 2).tolist()
        [1.0, 1.25, 4.0]
    """
    values = np.asarray(values)
    if values.dtype.kind != "f" or values.dtype.itemsize not in MANTISSA:
        raise UsageError(f"values of type {values.dtype} cannot be rounded", hint="give float16 or float32")
    integer, mantissa = MANTISSA[values.dtype.itemsize]
    if not 1 <= bits <= mantissa:
        raise UsageError(f"{bits} mantissa bits of {values.dtype}", hint=f"allowed: 1 to {mantissa}")
    drop = mantissa - bits
    if drop == 0:
        return values.copy()
    raw = values.view(integer).astype(np.uint64)
    half = np.uint64((1 << (drop - 1)) - 1)
    raw = (raw + half + ((raw >> np.uint64(drop)) & np.uint64(1))) >> np.uint64(drop) << np.uint64(drop)
    return raw.astype(integer).view(values.dtype)


def pack(ds: xr.Dataset, keep: Mapping[str, int | None], *, dtype: str = "float16") -> xr.Dataset:
    """Return a field set with some of its fields, each rounded to its own number of bits.

    Args:
        ds: Field set.
        keep: Field to mantissa bits; ``None`` keeps all bits of ``dtype``.
        dtype: ``float16`` or ``float32``.

    Returns:
        A field set that remembers what was done to it.

    Raises:
        UsageError: There is no such field, or its values do not fit the type.

    Example:
        >>> from skyloom.fields import example
        >>> small = pack(example(), {"T_b": 7})
        >>> list(small.data_vars), small["T_b"].dtype.name
        (['T_b'], 'float16')
    """
    for name in keep:
        if name not in ds:
            raise UsageError(f"no field {name!r} to keep", hint=nearest(name, map(str, ds.data_vars)))
    small = ds[list(keep)]
    for name, bits in keep.items():
        values = ds[name].values.astype(dtype)
        rounded = values if bits is None else round_bits(values, bits)
        if not np.isfinite(rounded).all():
            raise UsageError(
                f"field {name!r} has values beyond {dtype}: up to {np.abs(ds[name].values).max():.3g}",
                hint="keep it in float32, or transform it first",
            )
        small[name] = (ds[name].dims, rounded, ds[name].attrs)
    return add_step(small, {"step": "pack", "mantissa_bits": dict(keep), "dtype": dtype})
