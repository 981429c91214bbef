"""Writing a field set: shard by shard, in any order, by many processes, to be continued after a stop."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import DataError, StoreError, UsageError
from skyloom.fields.convention import check
from skyloom.fields.store.manifest import MANIFEST, UNFINISHED, Manifest, Shard
from skyloom.fields.store.shard import check_same, encode, settings
from skyloom.fields.transforms import ids_digest
from skyloom.runs import atomic_write, read_json, remove_leftovers, write_json

SHARD_BYTES = 128_000_000
"""Size of a shard where none is asked for; writing one takes about three times this in memory."""

_SETTINGS = "settings.json"
_GO_ON = "the shards that are finished are kept; free some space and run again: it goes on where it stopped"


class ShardWriter:
    """Writes shards of one field set, each whole or not at all; it can be pickled and used by many processes.

    Until ``finish`` the folder holds notes of the shards that are done, and no manifest: nobody reads half a
    set.

    Args:
        folder: Where the shards go; made if need be.
        template: A field set that has the structure of every shard (fields, shape of a map, coordinates,
            attributes); its values and the number of its samples do not count. Its attributes become those of
            the whole set.
        compression: ``none`` (contiguous, fastest to read), ``blosc`` (zstd with bit-shuffle) or ``deflate``
            (readable by any HDF5 library).
        dtype: Type of the fields on disk: ``float16``, ``float32`` or ``float64``; left out, their own.
        allow_nan: Whether maps may hold NaN.
        identity: Text that must be equal for an unfinished import to be continued, such as a digest of the
            inputs.

    Raises:
        FieldSetError: The template breaks the convention.
        StoreError: The folder holds another field set, or begins another one.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example
        >>> ds, folder = example(groups=2, per_group=4), tempfile.mkdtemp()
        >>> writer = ShardWriter(folder, ds)
        >>> for index in {0, 1} - writer.done():
        ...     writer.write(index, ds.isel(sample=slice(4 * index, 4 * index + 4)))
        >>> writer.finish(shards=2)
        >>> sorted(path.name for path in Path(folder).iterdir())
        ['manifest.json', 'shard-00000.nc', 'shard-00001.nc']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        template: xr.Dataset,
        *,
        compression: str = "none",
        dtype: str | None = None,
        allow_nan: bool = False,
        identity: str = "",
    ) -> None:
        check(template)
        self.folder = Path(folder)
        self.allow_nan = allow_nan
        self.settings = settings(template, compression=compression, dtype=dtype, identity=identity)
        self._dtype = dtype
        self._notes = self.folder / UNFINISHED
        if (self.folder / MANIFEST).exists():
            check_same(Manifest.load(self.folder).settings, self.settings, "the field set")
        elif (self._notes / _SETTINGS).exists():
            check_same(read_json(self._notes / _SETTINGS), self.settings, "the field set")
        else:
            with _keeping():
                write_json(self._notes / _SETTINGS, self.settings)

    @property
    def finished(self) -> bool:
        """Whether the manifest has been written."""
        return (self.folder / MANIFEST).exists()

    def done(self) -> set[int]:
        """Return the indices of the shards that need not be written again."""
        if self.finished:
            return set(range(len(Manifest.load(self.folder).shards)))
        return set(self._finished_notes())

    def write(self, index: int, ds: xr.Dataset) -> None:
        """Write one shard; a lazy field set is computed here.

        Args:
            index: Place of the shard in the order of the samples, from 0.
            ds: Its samples, with the structure of the template.

        Raises:
            UsageError: The index is negative or the set is finished.
            FieldSetError: The shard breaks the convention.
            StoreError: It differs from the template, a map holds NaN or infinity, or the disk is full.
        """
        if index < 0 or self.finished:
            raise UsageError(
                f"shard {index} of {self.folder} cannot be written: "
                + ("the set is finished" if self.finished else "an index is 0 or more"),
                hint="choose another folder to write another set",
            )
        check(ds)
        ds = ds.compute()
        found = settings(ds, compression=self.settings["compression"], dtype=self._dtype)
        check_same(_shared(self.settings), _shared(found), f"shard {index}")
        content = encode(ds, self.settings, allow_nan=self.allow_nan)
        shard = Shard(_name(index), hashlib.sha256(content).hexdigest(), ds.sizes["sample"], len(content))
        note = {**vars(shard), "ids": ds["sample"].values.tolist()}
        with _keeping():
            with atomic_write(self.folder / shard.file) as file:
                file.write(content)
            write_json(self._notes / f"{shard.file}.json", note)

    def finish(self, shards: int | None = None) -> None:
        """Write the manifest; from here on the folder is a stored field set.

        Args:
            shards: How many there must be; left out, those that are done must have no gap.

        Raises:
            StoreError: A shard is missing, none was written, or two samples have the same id.
        """
        if self.finished:
            return
        notes = self._finished_notes()
        missing = sorted(set(range(max([-1, *notes]) + 1 if shards is None else shards)) - set(notes))
        if missing or not notes:
            raise StoreError(
                f"{self.folder} is not complete: "
                + (f"shards {_listed(missing)} are missing" if missing else "no shard was written"),
                hint="write them and finish again",
            )
        ordered = [notes[index] for index in sorted(notes)]
        ids = [name for note in ordered for name in note["ids"]]
        twice = next((name for name, times in Counter(ids).items() if times > 1), None)
        if twice is not None:
            raise StoreError(
                f"two samples of {self.folder} have the id {twice!r}", hint="ids must be unique in the set"
            )
        remove_leftovers(self.folder)
        entries = tuple(Shard(**{k: v for k, v in note.items() if k != "ids"}) for note in ordered)
        with _keeping():
            Manifest(entries, self.settings, ids_digest(ids)).save(self.folder)
        for path in self._notes.iterdir():
            path.unlink()
        self._notes.rmdir()

    def _finished_notes(self) -> dict[int, dict[str, Any]]:
        """Return index -> note of every shard that stands whole in the folder."""
        notes = {}
        for path in self._notes.glob("shard-*.nc.json"):
            note = read_json(path)
            file = self.folder / note["file"]
            if file.exists() and file.stat().st_size == note["bytes"]:
                notes[int(path.name.split(".")[0].split("-")[1])] = note
        return notes


def write(
    ds: xr.Dataset,
    folder: str | os.PathLike[str],
    *,
    shard_size: int | None = None,
    compression: str = "none",
    dtype: str | None = None,
    allow_nan: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a field set, shard by shard; a lazy one is never in memory as a whole.

    What is done already in an unfinished folder is kept, provided that it was begun with the same samples,
    provenance and settings. Dask's own scheduler runs the shards: with a ``distributed.Client`` they go to
    the cluster.

    Args:
        ds: A field set, in memory or lazy.
        folder: Where it goes; made if need be.
        shard_size: Samples a shard; left out, shards of about 128 MB.
        compression: As ``ShardWriter``.
        dtype: As ``ShardWriter``.
        allow_nan: As ``ShardWriter``.
        workers: Shards made at once, which is also how many are in memory; left out, one.
        progress: Called with the number of shards done and to do.

    Raises:
        FieldSetError: The set breaks the convention.
        StoreError: The folder holds another set, a map holds NaN or infinity, or the disk is full.
        UsageError: ``shard_size`` or ``workers`` is not positive.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example, store
        >>> folder = tempfile.mkdtemp()
        >>> write(example(), folder, compression="blosc", dtype="float16")
        >>> store.open(folder).sizes["sample"]
        24
    """
    import dask

    check(ds)
    size = _samples_a_shard(ds) if shard_size is None else shard_size
    at_once = 1 if workers is None else workers
    for name, value in (("shard_size", size), ("workers", at_once)):
        if value < 1:
            raise UsageError(f"{name} is {value}", hint="allowed: 1 or more")
    writer = ShardWriter(
        folder, ds, compression=compression, dtype=dtype, allow_nan=allow_nan, identity=_identity(ds, size)
    )
    starts = range(0, ds.sizes["sample"], size)
    done = writer.done()
    todo = [index for index in range(len(starts)) if index not in done]
    put = dask.delayed(writer.write, pure=False)
    for group in _batched(todo, at_once):
        parts = (ds.isel(sample=slice(starts[index], starts[index] + size)) for index in group)
        dask.compute(*[put(index, part) for index, part in zip(group, parts, strict=True)])
        done.update(group)
        if progress is not None:
            progress(len(done), len(starts))
    writer.finish(shards=len(starts))


def _batched(items: list[int], size: int) -> list[list[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _samples_a_shard(ds: xr.Dataset) -> int:
    a_sample = sum(field.dtype.itemsize * math.prod(field.shape[1:]) for field in ds.data_vars.values())
    return max(1, SHARD_BYTES // max(1, a_sample))


def _identity(ds: xr.Dataset, size: int) -> str:
    """Return a digest of the samples in their order, where they come from, and how they are shared out."""
    ids = np.asarray(ds["sample"].values).tolist()
    return hashlib.sha256(json.dumps([ids, ds.attrs.get("provenance"), size]).encode()).hexdigest()


def _shared(common: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a shard has in common with the set: it may come from other inputs and seeds."""
    attrs = {key: value for key, value in common["attrs"].items() if key != "provenance"}
    return {**common, "attrs": attrs, "identity": ""}


@contextmanager
def _keeping() -> Iterator[None]:
    """Say, when the disk is full, that what is finished is kept."""
    try:
        yield
    except DataError as error:
        raise StoreError(error.message, hint=_GO_ON) from error


def _name(index: int) -> str:
    return f"shard-{index:05d}.nc"


def _listed(indices: list[int]) -> str:
    shown = ", ".join(str(index) for index in indices[:5])
    return f"{shown} and {len(indices) - 5} more" if len(indices) > 5 else shown
