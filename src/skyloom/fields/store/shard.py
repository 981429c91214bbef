"""One shard: checked against what all shards have in common, and encoded as netCDF-4 in memory.

The file is made in memory and written by the one atomic writer, so that a full disk never meets the HDF5
library (which cannot close a file that it could not write), and the digest is of exactly the bytes on disk.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import StoreError, UsageError, nearest

COMPRESSIONS = ("none", "blosc", "deflate")
DTYPES = ("float16", "float32", "float64")
_ALIGNMENT = 4096  # bytes; arrays begin on a page


def settings(
    template: xr.Dataset, *, compression: str = "none", dtype: str | None = None, identity: str = ""
) -> dict[str, Any]:
    """Return what every shard must have in common with a template, as JSON values.

    Args:
        template: A field set; only its structure counts.
        compression: One of ``COMPRESSIONS``.
        dtype: Type of the fields on disk; left out, their own.
        identity: Anything that must be equal for an unfinished import to be continued.

    Returns:
        ``attrs``, ``fields``, ``coordinates``, ``compression`` and ``identity``.

    Raises:
        UsageError: The compression or the type is unknown.
        StoreError: An attribute is no text or finite number.
    """
    if compression not in COMPRESSIONS:
        raise UsageError(f"compression {compression!r} is unknown", hint=nearest(compression, COMPRESSIONS))
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"type {dtype!r} cannot be stored", hint=nearest(str(dtype), DTYPES))
    return {
        "attrs": _plain("the field set", template.attrs),
        "fields": {str(name): _field(str(name), field, dtype) for name, field in template.data_vars.items()},
        "coordinates": {
            str(name): {"kind": column.dtype.kind.replace("O", "U"), "attrs": _plain(str(name), column.attrs)}
            for name, column in template.coords.items()
        },
        "compression": compression,
        "identity": identity,
    }


def _field(name: str, field: xr.DataArray, dtype: str | None) -> dict[str, Any]:
    if field.dtype.kind != "f" and dtype is None:
        raise StoreError(
            f"the field {name!r} has type {field.dtype}, allowed: {', '.join(DTYPES)}", hint="give a dtype"
        )
    return {
        "dims": [str(dim) for dim in field.dims],
        "shape": list(field.shape[1:]),
        "dtype": dtype or str(field.dtype),
        "attrs": _plain(name, field.attrs),
    }


def _plain(what: str, attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as the JSON values that are equal to them."""
    plain = {}
    for key, value in attrs.items():
        bare = value.item() if isinstance(value, np.generic) else value
        if isinstance(bare, bool) or not isinstance(bare, str | int | float):
            kind = type(value).__name__
        elif isinstance(bare, float) and not math.isfinite(bare):
            kind = str(bare)
        else:
            plain[str(key)] = bare
            continue
        raise StoreError(
            f"the attribute {key!r} of {what} is {kind}, allowed: text, finite numbers",
            hint="leave it out, or write it as text",
        )
    return plain


def check_same(expected: Mapping[str, Any], found: Mapping[str, Any], what: str) -> None:
    """Raise unless two settings agree, naming the first difference.

    Args:
        expected: Settings of the folder.
        found: Settings of what shall be written.
        what: Its name in the message.

    Raises:
        StoreError: They differ.
    """
    difference = next(_differences(expected, found, ""), None)
    if difference:
        where, wanted, value = difference
        raise StoreError(
            f"{what} does not belong to this folder: {where} is {value!r}, the folder has {wanted!r}",
            hint="choose another folder, or remove this one and begin again",
        )


def _differences(expected: Any, found: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in [*expected, *(key for key in found if key not in expected)]:
            yield from _differences(expected.get(key), found.get(key), f"{where}.{key}".lstrip("."))
    elif expected != found:
        yield where, expected, found


def encode(ds: xr.Dataset, common: Mapping[str, Any], *, allow_nan: bool = False) -> memoryview:
    """Return the bytes of a netCDF-4 file.

    Args:
        ds: The samples of the shard, in memory.
        common: What ``settings`` gave.
        allow_nan: Whether maps may hold NaN.

    Returns:
        The file.

    Raises:
        StoreError: A map holds NaN, infinity, or a value too large for the type on disk; the message names
            the field and the sample.
    """
    import h5netcdf
    import h5py

    target = io.BytesIO()
    with (
        h5py.File(target, "w", alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT) as plain,
        h5netcdf.File(plain, "w") as file,
    ):
        sizes = {str(dim): size for dim, size in ds.sizes.items()}
        file.dimensions = sizes
        for name in common["coordinates"]:
            _write_column(file, name, ds[name])
        auxiliary = " ".join(name for name in common["coordinates"] if name not in sizes)
        for name, field in common["fields"].items():
            values = _checked(ds, name, np.dtype(field["dtype"]), allow_nan)
            options = _filters(common["compression"], values)
            variable = file.create_variable(name, field["dims"], values.dtype, data=values, **options)
            variable.attrs.update(field["attrs"])
            if auxiliary:
                variable.attrs["coordinates"] = auxiliary
        file.attrs.update(ds.attrs)
    return target.getbuffer()


def _write_column(file: Any, name: str, column: xr.DataArray) -> None:
    import h5py

    values = column.values
    if values.dtype.kind in "UO":
        variable = file.create_variable(name, column.dims, h5py.string_dtype(), data=values.astype(object))
    else:
        variable = file.create_variable(name, column.dims, values.dtype, data=values)
    variable.attrs.update(column.attrs)


def _filters(compression: str, values: np.ndarray) -> dict[str, Any]:
    if compression == "none" or values.ndim == 1:  # numbers: too small to gain
        return {}
    chunks = {"chunks": (1, *values.shape[1:])}
    if compression == "deflate":
        return chunks | {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    import hdf5plugin

    return chunks | dict(hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.BITSHUFFLE))


def _checked(ds: xr.Dataset, name: str, dtype: np.dtype, allow_nan: bool) -> np.ndarray:
    """Return the values of a field in the type on disk, if they can be stored."""
    values = ds[name].values
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=dtype)
    bad = ~np.isfinite(stored)
    if allow_nan:
        bad &= ~np.isnan(values)
    if not bad.any():
        return stored
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
    value = values[bad][0]
    what = f"{value:.6g}, too large for {dtype}" if np.isfinite(value) else str(value)
    more = f" (and {len(rows) - 1} more samples)" if len(rows) > 1 else ""
    raise StoreError(
        f"the field {name!r} of the sample {str(ds['sample'].values[rows[0]])!r} holds {what}{more}",
        hint="store it as float32" if np.isfinite(value) else "repair the map or drop the sample",
    )
