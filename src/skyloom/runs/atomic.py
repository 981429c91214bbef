"""The one way in which Skyloom puts a file on disk: whole, or not at all.

A file is written under a temporary name in its own folder (``.<name>.<token>.part``), flushed, synchronised,
and moved over the old one; then the folder is synchronised too, so that a power cut keeps the old file or
the new one, never half of either. Where the write fails, the temporary file is removed, the old file stays
as it was, and a full disk becomes a ``DataError`` that names the file. A process that is killed outright can
leave a ``.part`` file behind: ``remove_leftovers`` takes those away.

JSON is strict: it has no NaN and no infinity, so both are written as ``null``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, overload

import numpy as np

from skyloom.errors import DataError, UsageError

_LEFTOVER = ".*.part"
_FULL = (
    "the old file, if any, is intact: free some space, or choose another folder, and run the command again"
)
_TOO_LARGE = (
    "the old file, if any, is intact: raise the limit (ulimit -f) or use a smaller size, and run again"
)
_FORBIDDEN = "check who owns the folder and whether it can be written, or choose another folder"
_NOT_A_PLACE = "choose another path, or move away what stands there"
_FAILURES = {
    errno.ENOSPC: ("no space is left on the disk", _FULL),
    errno.EDQUOT: ("the disk quota is used up", _FULL),
    errno.EFBIG: ("it is larger than the system allows a file to be", _TOO_LARGE),
    errno.EROFS: ("the disk can only be read", _FORBIDDEN),
    errno.EACCES: ("permission was denied", _FORBIDDEN),
    errno.EPERM: ("permission was denied", _FORBIDDEN),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", _NOT_A_PLACE),
    errno.EEXIST: ("a part of its path is a file, not a folder", _NOT_A_PLACE),
    errno.EISDIR: ("a folder stands in its place", _NOT_A_PLACE),
}
# HDF5 and safetensors report the system's error in words only.
_IN_WORDS = {
    code: (f"errno = {code},", f"os error {code})", os.strerror(code))
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to ``path`` when the block ends well.

    For libraries that open the file themselves (h5py, netCDF, safetensors). Missing folders are made.

    Args:
        path: Where the file shall stand at the end.

    Yields:
        A path in the same folder; nothing stands there yet. It ends in ``.part``, so a library that tells
        the format from the suffix must be told the format.

    Raises:
        DataError: The disk is full, the file too large or the folder cannot be written; the message names
            the file and the old file is intact.
        UsageError: The block wrote no file.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a" / "b.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if not temporary.exists():
            raise UsageError(
                f"nothing was written for {target}", hint="write to the path that atomic_path gives"
            )
        _synchronise(temporary)
        temporary.replace(target)
        _synchronise(target.parent)
    except Exception as error:
        failure = _failure(error, {temporary, target, *target.parents})
        if failure is None:
            raise
        raise DataError(f"cannot write {target}: {failure[0]}", hint=failure[1]) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@overload
def atomic_write(
    path: str | os.PathLike[str], mode: Literal["wb"] = "wb"
) -> contextlib.AbstractContextManager[IO[bytes]]: ...
@overload
def atomic_write(
    path: str | os.PathLike[str], mode: Literal["w"]
) -> contextlib.AbstractContextManager[IO[str]]: ...


def atomic_write(
    path: str | os.PathLike[str], mode: str = "wb"
) -> contextlib.AbstractContextManager[IO[Any]]:
    """Open a file that appears under its name only when it has been written whole.

    Args:
        path: Where the file shall stand at the end; missing folders are made.
        mode: ``"wb"`` for bytes or ``"w"`` for text (UTF-8).

    Returns:
        A context manager that gives the open file.

    Raises:
        DataError: As ``atomic_path``.
        UsageError: Another mode.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "log.csv"
        >>> with atomic_write(target, "w") as file:
        ...     _ = file.write("step,loss")
        >>> target.read_text()
        'step,loss'
    """
    if mode not in {"wb", "w"}:
        raise UsageError(f"mode {mode!r} of atomic_write", hint="allowed: 'wb' (bytes), 'w' (text)")
    return _opened(path, mode)


@contextmanager
def _opened(path: str | os.PathLike[str], mode: str) -> Iterator[IO[Any]]:
    text = {"encoding": "utf-8", "newline": ""} if mode == "w" else {}
    with atomic_path(path) as temporary, temporary.open(mode, **text) as file:  # type: ignore[call-overload]
        yield file


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write bytes atomically.

    Args:
        path: The file.
        content: What it shall hold.

    Returns:
        The path.

    Raises:
        DataError: As ``atomic_path``.

    Example:
        >>> import tempfile
        >>> write_bytes(Path(tempfile.mkdtemp()) / "a.bin", b"sky").read_bytes()
        b'sky'
    """
    with atomic_write(path, "wb") as file:
        file.write(content)
    return Path(path)


def write_text(path: str | os.PathLike[str], content: str) -> Path:
    """Write text atomically, as UTF-8.

    Args:
        path: The file.
        content: What it shall hold.

    Returns:
        The path.

    Raises:
        DataError: As ``atomic_path``.

    Example:
        >>> import tempfile
        >>> write_text(Path(tempfile.mkdtemp()) / "a.txt", "x_HI").read_text()
        'x_HI'
    """
    return write_bytes(path, content.encode("utf-8"))


def write_json(path: str | os.PathLike[str], content: Any) -> Path:
    """Write JSON atomically; NaN and the infinities become ``null``.

    Args:
        path: The file.
        content: Mappings, sequences, NumPy scalars and arrays, paths, strings, numbers, booleans, None.

    Returns:
        The path.

    Raises:
        DataError: As ``atomic_path``, or a value has no place in JSON; the message names its key.

    Example:
        >>> import tempfile
        >>> path = write_json(Path(tempfile.mkdtemp()) / "a.json", {"r2": np.float32(0.5), "low": np.nan})
        >>> read_json(path)
        {'r2': 0.5, 'low': None}
    """
    return write_text(
        path, json.dumps(jsonable(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        What it holds; a NaN that was written is None.

    Raises:
        DataError: The file is absent, cannot be read or is no JSON.

    Example:
        >>> import tempfile
        >>> read_json(write_json(Path(tempfile.mkdtemp()) / "a.json", [1, 2]))
        [1, 2]
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"there is no file {path}", hint="check the path, or run the step that writes it"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    except ValueError as error:
        raise DataError(
            f"{path} is damaged: no JSON ({error})", hint="run the step that writes it again"
        ) from error


def jsonable(value: Any, where: str = "") -> Any:
    """Return plain JSON values: NumPy unpacked, tuples as lists, NaN and infinities as None.

    Args:
        value: What ``write_json`` accepts.
        where: Name of the value in an error.

    Returns:
        Dictionaries, lists, strings, numbers, booleans and None.

    Raises:
        DataError: A value or a key has no place in JSON.

    Example:
        >>> jsonable({"a": np.array([1.0, np.inf]), 2: ("b",)})
        {'a': [1.0, None], '2': ['b']}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise DataError(f"{where or 'JSON'} has the key {key!r}", hint="a key in JSON is a string")
        return {str(key): jsonable(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise DataError(
        f"{where or 'the value'} is a {type(value).__name__}, which has no place in JSON",
        hint="give mappings, lists, strings, numbers, booleans or None",
    )


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files that killed processes left anywhere in a folder.

    Call it only where no other process writes in the folder.

    Args:
        folder: Where to look, at every depth.

    Returns:
        The paths removed, sorted.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".a.json.0f.part").write_text("half")
        >>> [path.name for path in remove_leftovers(folder)]
        ['.a.json.0f.part']
    """
    found = sorted(path for path in Path(folder).rglob(_LEFTOVER) if path.is_file())
    for path in found:
        path.unlink(missing_ok=True)
    return found


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot synchronise a folder; the rename stands all the same.
        if not (path.is_dir() and error.errno in {errno.EINVAL, errno.ENOTSUP}):
            raise
    finally:
        os.close(handle)


def _failure(error: Exception, ours: set[Path]) -> tuple[str, str] | None:
    if isinstance(error, OSError) and error.errno in _FAILURES:
        # The block may have failed on another file, which must not be blamed on this one.
        foreign = isinstance(error.filename, str | os.PathLike) and Path(error.filename) not in ours
        return None if foreign else _FAILURES[error.errno]
    for known, words in _IN_WORDS.items():
        if any(word in str(error) for word in words):
            return _FAILURES[known]
    return None
