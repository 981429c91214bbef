"""Checks of files: damaged ones by name, chunks that cut across maps, number types."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.fields import store
from skyloom.fields.store.manifest import MANIFEST, Manifest
from skyloom.formats import simfast21
from skyloom.formats.doctor.findings import Finding, named, or_ok

if TYPE_CHECKING:
    import xarray as xr

LARGE = 64_000_000  #: bytes of a data set from which a bad layout costs more than a moment

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FILES = 64  # of a folder, looked into
_WASTE = 2.0  # times the bytes of a map that reading it may cost


def damaged(path: Path) -> list[str]:
    """Return what is wrong with the files at a path, one text a file; a stored field set is read whole.

    Args:
        path: File or folder.

    Returns:
        ``name: fault`` of every file that is truncated or cannot be opened.

    Raises:
        StoreError: It is a stored field set, and a shard is not as it was written; the message lists them.

    Example:
        >>> damaged(Path("no such file"))
        []
    """
    if (path / MANIFEST).is_file():
        store.verify(path)
        return []
    return [f"{file.name}: {fault}" for file in _files(path) if (fault := _fault(file))]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    inside = (*path.glob("*"), *path.glob("*/*"))  # no deeper: it may be anybody's home
    return sorted(file for file in inside if file.is_file())


def _fault(file: Path) -> str:
    match = simfast21.NAME.search(file.name)
    size = file.stat().st_size
    if match:
        wanted = 4 * int(match["N"]) ** 3
        return f"{size} bytes, its name asks for {wanted}" if size != wanted else ""
    with file.open("rb") as opened:
        head = opened.read(8)
    if head == _HDF5:
        import h5py

        try:
            with h5py.File(file):
                return ""
        except OSError as error:
            return f"truncated or damaged HDF5: {error}"
    if file.suffix == ".npz":
        try:
            with zipfile.ZipFile(file) as archive:
                bad = archive.testzip()
            return f"its array {bad} is damaged" if bad else ""
        except (OSError, zipfile.BadZipFile) as error:
            return f"truncated or damaged: {error}"
    return ""


def layout(path: Path) -> list[Finding]:
    """Find HDF5 and netCDF data sets whose chunks cut across maps.

    A map is one index of the first axis. What reading it costs is the bytes of the chunks that it touches.

    Args:
        path: File or folder; a stored field set is laid out well by construction.
    """
    found, seen = [], 0
    if (path / MANIFEST).is_file():
        return or_ok("layout", [])
    for file in _files(path)[:_FILES]:
        with file.open("rb") as opened:
            if opened.read(8) != _HDF5:
                continue
        for name, shape, chunks, itemsize in _data_sets(file):
            seen += 1
            cost = waste(shape, chunks)
            if cost <= _WASTE:
                continue
            large = itemsize * math.prod(shape) >= LARGE
            message = (
                f"{file.name}: {name} {shape} is stored in chunks of {chunks}; reading one map along the "
                f"first axis reads {cost:.0f} times its bytes"
            )
            step = f"write it again, whole maps one after the other: skyloom import {path} --out FOLDER"
            found.append(Finding("warning" if large else "note", "layout", message, step))
    return or_ok("layout", found) if seen else []


def waste(shape: tuple[int, ...], chunks: tuple[int, ...] | None) -> float:
    """How many times its own bytes reading one map costs.

    Args:
        shape: Of the data set, maps along the first axis.
        chunks: Of the data set; None where it is contiguous.

    Example:
        >>> waste((100, 64, 64), (10, 32, 32)), waste((100, 64, 64), (1, 64, 64)), waste((9, 4, 4), None)
        (10.0, 1.0, 1.0)
    """
    if chunks is None:
        return 1.0
    touched = [-(-length // chunk) * chunk for length, chunk in zip(shape[1:], chunks[1:], strict=True)]
    return min(chunks[0], shape[0]) * math.prod(touched) / math.prod(shape[1:])


def _data_sets(file: Path) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...] | None, int]]:
    """Yield name, shape, chunks and bytes a value of every data set of three axes or more."""
    import h5py

    told: list[tuple[str, tuple[int, ...], tuple[int, ...] | None, int]] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 3 and item.size:
            told.append((name, item.shape, item.chunks, item.dtype.itemsize))

    with h5py.File(file) as opened:
        opened.visititems(look)
    yield from told


def stored_types(path: Path, ds: xr.Dataset) -> dict[str, str]:
    """Return the number type of each field on disk.

    Args:
        path: Where the set was read from.
        ds: The set.
    """
    types = {str(name): str(field.dtype) for name, field in ds.data_vars.items()}
    if (path / MANIFEST).is_file():
        described = Manifest.load(path).settings["fields"]
        types |= {name: str(field["dtype"]) for name, field in described.items()}
    return types


def types(stored: dict[str, str], path: Path) -> list[Finding]:
    """Find number types that waste room or cannot be stored.

    Args:
        stored: What ``stored_types`` returned.
        path: Where the set was read from, for the command.
    """
    wide = [name for name, kind in stored.items() if kind == "float64"]
    whole = [name for name, kind in stored.items() if np.dtype(kind).kind != "f"]
    command = f"skyloom import {path} --out FOLDER --dtype float32"
    found = []
    if wide:
        message = (
            f"{named(wide)}: float64 takes twice the room of float32, in which training reads all fields"
        )
        found.append(Finding("note", "dtype", message, command))
    if whole:
        kinds = named(dict.fromkeys(stored[name] for name in whole))
        message = f"{named(whole)}: {kinds} is no floating-point number, and a field set stores no other"
        found.append(Finding("note", "dtype", message, command))
    return or_ok("dtype", found)
