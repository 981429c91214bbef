"""Finding the files of a snapshot or a catalogue, and naming those that are not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from skyloom.errors import FormatError

_CHUNK = re.compile(r"^(?P<stem>.+?)\.(?P<number>\d+)\.hdf5$")


def find(path: Path, *, folders: Sequence[str], what: str) -> dict[int, Path]:
    """Return the files of one set by their number.

    Args:
        path: A file (then its numbered siblings belong to it), or a folder that holds the files of one set,
            or one that holds one of ``folders``.
        folders: Names of subfolders to look into, in this order, such as ``snapdir_099``.
        what: What is looked for, for messages.

    Raises:
        FormatError: Nothing is there, or the files of several sets are.
    """
    if path.is_file():
        parts = _CHUNK.match(path.name)
        if parts is None:
            return {0: path}
        return _numbered(path.parent)[parts["stem"]]
    if not path.is_dir():
        raise FormatError(f"{path}: no such file or folder", hint=f"give the {what} or its folder")
    places = [path, *(path / name for name in folders)]
    for place in places:
        if not place.is_dir():
            continue
        sets = _numbered(place)
        if len(sets) > 1:
            raise FormatError(
                f"{place}: holds the files of {', '.join(sorted(sets)[:4])}",
                hint=f"give one file of the {what} that you want",
            )
        if sets:
            return next(iter(sets.values()))
    looked = ", ".join(str(place) for place in places)
    raise FormatError(f"{path}: holds no {what}", hint=f"looked for .hdf5 files in {looked}")


def _numbered(folder: Path) -> dict[str, dict[int, Path]]:
    """Return the sets of a folder: stem -> number -> file."""
    sets: dict[str, dict[int, Path]] = {}
    for file in sorted(folder.glob("*.hdf5")):
        parts = _CHUNK.match(file.name)
        stem, number = (parts["stem"], int(parts["number"])) if parts else (file.stem, 0)
        sets.setdefault(stem, {})[number] = file
    return sets


def missing(found: dict[int, Path], wanted: int, *, allow: bool, what: str) -> list[int]:
    """Return the numbers of the files that are not there.

    Args:
        found: Number -> file.
        wanted: How many the header speaks of.
        allow: Whether to go on without them.
        what: What they are files of.

    Raises:
        FormatError: Some are missing and that was not allowed; the message numbers them.
    """
    absent = sorted(set(range(wanted)) - set(found))
    if absent and not allow:
        folder = next(iter(found.values())).parent
        listed = ", ".join(map(str, absent[:12])) + (" ..." if len(absent) > 12 else "")
        raise FormatError(
            f"{folder}: {len(absent)} of {wanted} files of the {what} are missing: {listed}",
            hint="fetch them, or say allow_missing: true to go on without what they hold",
        )
    return absent
