"""Fast reading of batches from a stored field set, in any process.

Contiguous maps are copied straight from the file's pages into their place in the batch: no HDF5 call, nothing
copied twice. The kernel is told first, in the order of the file, which pages are wanted, so that a cold disk
reads them together. Compressed maps go through HDF5, a chunk a map, in the order of the file. Files are
opened in the process that reads them, so that a reader may cross a fork or be pickled.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import StoreError, UsageError, nearest
from skyloom.fields.store.manifest import Manifest, Shard, check_shards

_Targets = Sequence[NDArray[np.float32]] | NDArray[np.float32]
_MOST_OPEN = 256  # shards, two descriptors each; systems allow a process 1024


class _OpenShard:
    """A shard opened in this process: its pages for plain arrays, an HDF5 file for compressed ones."""

    # _new: for each field the rows that the kernel was not told of yet, until there are none.

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self._pages: mmap.mmap | None = None
        self._arrays: dict[str, np.ndarray] = {}
        self._new: dict[str, NDArray[np.bool_]] = {}
        self._file: Any = None

    def array(self, field: str, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return a field of the shard as an array whose memory is the file."""
        if os.fstat(self.descriptor).st_size < self.size:  # a page beyond the end would kill the process
            raise EOFError(f"the file has shrunk below {self.size} bytes")
        if field not in self._arrays:
            if self._pages is None:
                self._pages = mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)
            self._arrays[field] = np.ndarray(shape, dtype, buffer=self._pages, offset=offset)
            self._new[field] = np.ones(shape[0], np.bool_)
        return self._arrays[field]

    def announce(self, field: str, offset: int, rows: NDArray[np.int64], *, again: bool) -> None:
        """Tell the kernel which rows will be read, so that it fetches them while the first are copied."""
        new = self._new.get(field)
        fetched = new is None or not new[rows].any()
        if (fetched and not again) or not hasattr(os, "posix_fadvise"):
            return
        size = self._arrays[field][:1].nbytes
        for first, last in _runs(rows.tolist()):
            start, length = offset + int(rows[first]) * size, (last - first) * size
            os.posix_fadvise(self.descriptor, start, length, os.POSIX_FADV_WILLNEED)
        if new is not None:
            new[rows] = False
            if not new.any():
                self._new.pop(field, None)

    def dataset(self, field: str) -> Any:
        """Return a field of the shard as an HDF5 dataset."""
        if self._file is None:
            self._file = _open_hdf5(self.path)
        return self._file[field]

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class Reader:
    """Reads maps of a stored field set by row, as float32.

    Args:
        folder: Of the stored field set.

    Raises:
        StoreError: The folder, its manifest or a shard is missing, truncated or no HDF5 file. (Damage inside
            a shard of the right size is found by ``verify``, which reads everything.)

    Attributes:
        ids: Sample ids, text of shape ``(n,)``.
        table: The field set without its fields: what is known of every sample.
        attrs: Attributes of the field set.
        fields: Names of the fields.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example, store
        >>> folder = tempfile.mkdtemp()
        >>> store.write(example(), folder)
        >>> reader = Reader(folder)
        >>> reader.read("T_b", np.array([7, 0, 7])).shape
        (3, 16, 16)
        >>> reader.close()
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        self._manifest = Manifest.load(self.folder)
        check_shards(self.folder, self._manifest.shards)
        self._starts = np.cumsum([0, *(shard.samples for shard in self._manifest.shards)])
        self.attrs: dict[str, Any] = dict(self._manifest.settings["attrs"])
        self.fields: list[str] = list(self._manifest.settings["fields"])
        columns: dict[str, list[np.ndarray]] = {name: [] for name in self._manifest.settings["coordinates"]}
        self._offsets: dict[str, list[int | None]] = {name: [] for name in self.fields}
        for shard in self._manifest.shards:
            self._survey(shard, columns)
        self.table = self._table(columns)
        self.ids: NDArray[np.str_] = self.table["sample"].values
        # What was read once stays in memory, unless there is too much of it.
        self._exceeds_memory = sum(shard.bytes for shard in self.shards) > _memory() / 2
        self._begin_process()

    def _survey(self, shard: Shard, columns: dict[str, list[np.ndarray]]) -> None:
        """Read the coordinates of a shard and find where its fields lie."""
        path = self.folder / shard.file
        try:
            with _open_hdf5(path) as file:
                for name, parts in columns.items():
                    column = file[name]
                    parts.append(np.asarray(column.asstr()[...] if column.dtype.kind == "O" else column[...]))
                for name, offsets in self._offsets.items():
                    dataset = file[name]
                    wanted = (shard.samples, *self.shape(name))
                    if dataset.shape != wanted:
                        raise StoreError(
                            f"{path}: the field {name!r} has shape {dataset.shape}, not {wanted}"
                        )
                    offsets.append(dataset.id.get_offset())  # None: chunked
        except KeyError as error:
            raise StoreError(f"{path} lacks {error}", hint="write the field set again") from error

    def _table(self, columns: dict[str, list[np.ndarray]]) -> xr.Dataset:
        described = self._manifest.settings["coordinates"]
        coordinates = {}
        for name, parts in columns.items():
            values = np.concatenate(parts)
            values = values.astype(str) if described[name]["kind"] == "U" else values
            coordinates[name] = ("sample", values, described[name]["attrs"])
        return xr.Dataset(coords=coordinates, attrs=self.attrs)

    def __len__(self) -> int:
        return self._manifest.samples

    @property
    def ids_digest(self) -> str:
        """The sha256 of the sample ids, from the manifest."""
        return self._manifest.ids_digest

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards, in the order of the samples."""
        return self._manifest.shards

    def field_attrs(self, field: str) -> dict[str, Any]:
        """Return the attributes of a field: ``units``, ``long_name``, ``rank``, ``component``."""
        return dict(self._described(field)["attrs"])

    def dims(self, field: str) -> tuple[str, ...]:
        """Return the dimensions of a field, ``sample`` first."""
        return tuple(self._described(field)["dims"])

    def shape(self, field: str) -> tuple[int, ...]:
        """Return the shape of one sample of a field, ``(H, W)`` for maps."""
        return tuple(self._described(field)["shape"])

    def _described(self, field: str) -> dict[str, Any]:
        described: dict[str, dict[str, Any]] = self._manifest.settings["fields"]
        if field not in described:
            raise UsageError(f"no field {field!r} in {self.folder}", hint=nearest(field, described))
        return described[field]

    def read(self, field: str, rows: ArrayLike) -> NDArray[np.float32]:
        """Read samples of a field, in the order asked for; on disk they are read in the order of the file.

        Args:
            field: Name of the field.
            rows: Integers, shape ``(B,)``, from 0 to ``len(reader) - 1``; repeats are allowed. Ascending rows
                are read fastest.

        Returns:
            Values in the field's unit, shape ``(B, H, W)`` for maps, float32, a new array.

        Raises:
            UsageError: The field is unknown or a row is out of range.
            StoreError: A shard was removed, cut or damaged after the reader was made.
        """
        wanted = self._rows(rows)
        if self._process != os.getpid():
            self._begin_process()
        # A new array is no waste: the system gives it huge pages, and writing to it is several times faster
        # than to one that was kept.
        out = np.empty((len(wanted), *self.shape(field)), np.float32)
        places: NDArray[np.int64] | None = None
        if (wanted[1:] < wanted[:-1]).any():
            places = np.argsort(wanted, kind="stable")
            wanted = wanted[places]
        bounds = np.searchsorted(wanted, self._starts)
        for index in np.flatnonzero(bounds[1:] > bounds[:-1]).tolist():
            part = slice(bounds[index], bounds[index + 1])
            targets = (
                out[part] if places is None else [out[place : place + 1] for place in places[part].tolist()]
            )
            self._read_shard(index, field, wanted[part] - self._starts[index], targets)
        return out

    def _rows(self, rows: ArrayLike) -> NDArray[np.int64]:
        wanted = np.asarray(rows)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise UsageError(
                f"rows are {wanted.dtype} of shape {wanted.shape}", hint="allowed: integers of shape (B,)"
            )
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise UsageError(
                f"rows go from {wanted.min()} to {wanted.max()}", hint=f"allowed: 0 to {len(self) - 1}"
            )
        return wanted.astype(np.int64, copy=False)

    def _read_shard(self, index: int, field: str, rows: NDArray[np.int64], targets: _Targets) -> None:
        """Put ascending rows of one shard into their places."""
        shard = self._opened(index)
        offset = self._offsets[field][index]
        try:
            if offset is None:
                _read_chunked(shard.dataset(field), rows, targets)
                return
            described = self._described(field)
            shape = (self.shards[index].samples, *described["shape"])
            source = shard.array(field, offset, shape, np.dtype(described["dtype"]))
            shard.announce(field, offset, rows, again=self._exceeds_memory)
            _copy(source, rows, targets)
        except (OSError, EOFError) as error:
            raise StoreError(
                f"{shard.path}: the field {field!r} cannot be read: {error}",
                hint="store.verify names the damaged shards; copy them again or write the field set again",
            ) from error

    def _opened(self, index: int) -> _OpenShard:
        shard = self._open.get(index)
        if shard is None:
            with self._lock:
                entry = self.shards[index]
                try:
                    shard = _OpenShard(self.folder / entry.file, entry.bytes)
                except OSError as error:
                    raise StoreError(f"a shard cannot be opened: {error}", hint="was it removed?") from error
                if len(self._open) >= _MOST_OPEN:
                    # A thread that still reads from it holds it open until it is done.
                    del self._open[next(iter(self._open))]
                self._open[index] = shard
        return shard

    def _begin_process(self) -> None:
        self._open: dict[int, _OpenShard] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def close(self) -> None:
        """Close the files that this process has open; a later read opens them again."""
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in {"_open", "_lock", "_process"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin_process()


def _memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _open_hdf5(path: Path) -> Any:
    import h5py
    import hdf5plugin  # noqa: F401 (its import makes the blosc filter known to HDF5)

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened as HDF5: {error}", hint="copy it again, or write the field set again"
        ) from error


def _copy(source: np.ndarray, rows: NDArray[np.int64], targets: _Targets) -> None:
    """Put rows of an array into their places without a copy in between."""
    if not isinstance(targets, np.ndarray):
        for row, target in zip(rows.tolist(), targets, strict=True):
            target[0] = source[row]
    elif source.dtype == targets.dtype:
        source.take(rows, 0, targets, "clip")  # "raise" would copy twice
    else:
        targets[...] = source[rows]


def _read_chunked(dataset: Any, rows: NDArray[np.int64], targets: _Targets) -> None:
    """Put rows of a chunked dataset into their places; h5py's slicing costs more than unpacking a map."""
    import h5py

    shape = (1, *dataset.shape[1:])
    on_disk, in_memory = dataset.id.get_space(), h5py.h5s.create_simple(shape)
    raw = None if dataset.dtype == np.float32 else np.empty(shape, dataset.dtype)
    rest = (0,) * (dataset.ndim - 1)
    for place, row in enumerate(rows.tolist()):
        target = targets[place : place + 1] if isinstance(targets, np.ndarray) else targets[place]
        on_disk.select_hyperslab((row, *rest), shape)
        dataset.id.read(in_memory, on_disk, target if raw is None else raw)
        if raw is not None:  # HDF5 converts float16 slowly, numpy fast
            target[...] = raw


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a sorted list in which each is one more than the last."""
    first = 0
    for here in range(1, len(rows) + 1):
        if here == len(rows) or rows[here] != rows[here - 1] + 1:
            yield first, here
            first = here
