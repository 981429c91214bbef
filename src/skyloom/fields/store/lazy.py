"""A stored field set as a lazy ``xarray.Dataset``, and its export to Zarr."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import MissingDependencyError, StoreError
from skyloom.fields.store.reader import Reader

_BLOCK_BYTES = 32_000_000


class _LazyField:
    """What Dask needs to know of an array: its shape and type, and how to read a block of it."""

    dtype = np.dtype(np.float32)

    def __init__(self, reader: Reader, field: str) -> None:
        self.reader, self.field = reader, field
        self.shape = (len(reader), *reader.shape(field))
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        samples, *rest = key if isinstance(key, tuple) else (key,)
        rows = np.arange(self.shape[0])[samples]
        values = self.reader.read(self.field, np.atleast_1d(rows))
        return values[(slice(None) if np.ndim(rows) else 0, *rest)]


def open(folder: str | os.PathLike[str]) -> xr.Dataset:
    """Open a stored field set; maps are read when they are computed.

    Args:
        folder: Of the stored field set.

    Returns:
        The field set: fields as Dask arrays of float32 (whatever the type on disk), coordinates in memory.

    Raises:
        StoreError: As ``Reader``.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example, store
        >>> folder = tempfile.mkdtemp()
        >>> store.write(example(), folder)
        >>> ds = open(folder)
        >>> bool((ds["T_b"] == example()["T_b"]).all())
        True
    """
    import dask.array as da

    reader = Reader(folder)
    ds = reader.table
    for field in reader.fields:
        lazy = _LazyField(reader, field)
        blocks = _blocks(reader, 4 * int(np.prod(lazy.shape[1:])))
        array = da.from_array(
            lazy,
            chunks=(blocks, *((n,) for n in lazy.shape[1:])),
            name=f"{field}-{_token(reader)}",
            asarray=True,
            fancy=False,
            meta=np.empty((0,) * lazy.ndim, np.float32),
        )
        ds[field] = (reader.dims(field), array, reader.field_attrs(field))
    return ds


def _blocks(reader: Reader, sample_bytes: int) -> tuple[int, ...]:
    """Return the number of samples of each Dask block; none straddles two shards."""
    most = max(1, _BLOCK_BYTES // sample_bytes)
    sizes: list[int] = []
    for shard in reader.shards:
        whole, rest = divmod(shard.samples, most)
        sizes += [most] * whole + ([rest] if rest else [])
    return tuple(sizes)


def _token(reader: Reader) -> str:
    from dask.base import tokenize

    return str(tokenize(str(reader.folder), [shard.sha256 for shard in reader.shards]))


def export_zarr(folder: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Write a stored field set as one Zarr group (format 2, which every Zarr library reads).

    Args:
        folder: Of the stored field set.
        target: The Zarr group to make, a folder; nothing may stand there.

    Raises:
        MissingDependencyError: The extra ``zarr`` is not installed.
        StoreError: The target exists, the disk is full, or the field set cannot be read.
    """
    try:
        import zarr  # noqa: F401 (asked for here, to name the extra rather than a module)
    except ImportError as error:
        raise MissingDependencyError(
            "the export to Zarr needs the package zarr", hint="pip install 'skyloom[zarr]'"
        ) from error
    place = Path(target)
    if place.exists():
        raise StoreError(f"{place} exists already", hint="choose another target, or remove it")
    ds = open(folder)
    unfinished = place.with_name(f".{place.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        ds.to_zarr(unfinished, mode="w", zarr_format=2, consolidated=True)
        unfinished.rename(place)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written: {error}", hint="free some space and run again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
