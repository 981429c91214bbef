"""Stacks of maps in files of any kind, lazily: npy, npz, HDF5 and netCDF.

A stack is an array ``(n, H, W)`` of maps or ``(n, D, H, W)`` of cubes; one map ``(H, W)`` is a stack of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from skyloom.errors import FormatError, nearest

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".nc")
CHUNK_BYTES = 64 << 20
_DAMAGED = "copy it again, or leave it out"


@dataclass(frozen=True)
class Stack:
    """An array in a file that is not read yet.

    Args:
        path: The file.
        name: Its name in the file; empty in a file that holds but one.
        shape: Its shape.
        dtype: Its type.
        open: Opens the file, to be sliced.
        whole: Whether opening reads all of it, as for compressed files.
        unit: Its unit, where the file says it.
        long_name: What it is, where the file says it.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], Any]
    whole: bool = False
    unit: str = ""
    long_name: str = ""

    def lazy(self, ndim: int) -> Any:
        """Return a Dask array of ``ndim`` + 1 dimensions, the first one the sample's."""
        import dask.array as da

        source = _Slices(self)
        single = len(self.shape) == ndim
        one = source.dtype.itemsize * int(np.prod(self.shape[-ndim:]))
        rows = 1 if single else max(1, min(self.shape[0], CHUNK_BYTES // max(one, 1)))
        chunks = self.shape if single or self.whole else (rows, *self.shape[1:])
        array = da.from_array(source, chunks=chunks, asarray=True, fancy=False, name=False, meta=source.meta)
        return array[None] if single else array


class _Slices:
    """What Dask needs to know of an array; the file is opened for each part, so it can go to any process."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.shape, self.ndim = stack, stack.shape, len(stack.shape)
        # Integers and odd byte orders become numbers that a network takes.
        self.dtype = stack.dtype.newbyteorder("=") if stack.dtype.kind == "f" else np.dtype(np.float32)

    @property
    def meta(self) -> np.ndarray:
        """An empty array of the type."""
        return np.empty((0,) * self.ndim, self.dtype)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        return np.asarray(self.stack.open()[key], dtype=self.dtype)


def stacks(path: Path) -> dict[str, Stack]:
    """Return the arrays of two dimensions and more in a file, by name.

    Args:
        path: A file of one of the `SUFFIXES`.

    Raises:
        FormatError: The file is of another kind, damaged, or holds no such array.
    """
    if path.suffix not in SUFFIXES:
        raise FormatError(
            f"{path}: a file of this kind holds no maps that can be read",
            hint=f"allowed: {', '.join(SUFFIXES)}, and FITS by the format 'fits'",
        )
    try:
        found = _READERS[path.suffix](path)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise FormatError(f"{path}: cannot be read ({error})", hint=_DAMAGED) from error
    if not found:
        raise FormatError(f"{path}: holds no array of two dimensions or more", hint="maps are (n, H, W)")
    return found


def _npy(path: Path) -> dict[str, Stack]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    stack = Stack(
        path, "", array.shape, array.dtype, lambda: np.load(path, mmap_mode="r", allow_pickle=False)
    )
    return {path.stem: stack} if array.ndim >= 2 else {}


def _npz(path: Path) -> dict[str, Stack]:
    def opener(name: str) -> Callable[[], Any]:
        def read() -> Any:
            with np.load(path, allow_pickle=False) as file:
                return file[name]

        return read

    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return {
        name: Stack(path, name, array.shape, array.dtype, opener(name), whole=True)
        for name, array in arrays.items()
        if array.ndim >= 2
    }


def _hdf5(path: Path) -> dict[str, Stack]:
    found: dict[str, Stack] = {}

    def opener(name: str) -> Callable[[], Any]:
        return lambda: _Hdf5(path, name)

    def look(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.ndim >= 2 and thing.dtype.kind in "fiu":
            unit, long_name = (_text(thing.attrs.get(key, "")) for key in ("units", "long_name"))
            found[name] = Stack(
                path, name, thing.shape, thing.dtype, opener(name), unit=unit, long_name=long_name
            )

    with h5py.File(path) as file:
        file.visititems(look)
    return found


@dataclass(frozen=True)
class _Hdf5:
    """A dataset that is open only while it is read."""

    path: Path
    name: str

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        with h5py.File(self.path) as file:
            return file[self.name][key]


def _netcdf(path: Path) -> dict[str, Stack]:
    if h5py.is_hdf5(path):
        return _hdf5(path)
    from scipy.io import netcdf_file

    def opener(name: str) -> Callable[[], Any]:
        def read() -> Any:
            with netcdf_file(path, "r", mmap=False) as file:
                return file.variables[name].data

        return read

    found = {}
    with netcdf_file(path, "r", mmap=False) as file:
        for name, variable in file.variables.items():
            if len(variable.shape) >= 2:
                unit, long_name = (_text(getattr(variable, key, "")) for key in ("units", "long_name"))
                found[name] = Stack(
                    path, name, variable.shape, variable.data.dtype, opener(name), whole=True,
                    unit=unit, long_name=long_name,
                )  # fmt: skip
    return found


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


_READERS: dict[str, Callable[[Path], dict[str, Stack]]] = {
    ".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".nc": _netcdf,
}  # fmt: skip


def pick(path: Path, wanted: dict[str, str] | None) -> dict[str, Stack]:
    """Return the stacks of a file or folder by the name of the field that they become.

    Args:
        path: A file, or the folder that ``wanted`` counts from.
        wanted: Field to ``FILE``, ``FILE:ARRAY`` or, in a file, ``ARRAY``; None takes every array of a file,
            and of a folder every file that holds but one.

    Raises:
        FormatError: A file or an array is not there, or a file holds several and none is named.
    """
    if wanted is None:
        if path.is_file():
            return {name.replace("/", "_"): stack for name, stack in stacks(path).items()}
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise FormatError(f"{path}: holds no file of maps", hint=f"looked for {', '.join(SUFFIXES)}")
        wanted = {file.stem: file.name for file in files}
    found = {}
    for field, place in wanted.items():
        if path.is_file():
            file, name = path, place
        else:
            told, _, name = place.partition(":")
            file = path / told
        if not file.exists():
            there = [other.name for other in path.iterdir()] if path.is_dir() else []
            raise FormatError(f"{file}: no such file", hint=nearest(file.name, there))
        inside = stacks(file)
        if not name and len(inside) > 1:
            raise FormatError(
                f"{file}: holds the arrays {', '.join(inside)}",
                hint=f"say which: fields: {{{field}: '{file.name}:{next(iter(inside))}'}}",
            )
        name = name or next(iter(inside))
        if name not in inside:
            raise FormatError(f"{file}: has no array {name!r}", hint=nearest(name, inside))
        found[field] = inside[name]
    return found
