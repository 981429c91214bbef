"""Native files to field sets, one module a format.

A format is a class of the registry kind ``format``: its keyword-only arguments are what a recipe may say of
it, ``sniff(path)`` tells whether it knows a file or folder, ``read()`` returns the field set. The reader
that fits is found by asking each; the error names those that were asked. A reader whose class says
``general = True`` takes any arrays, and is chosen only where no reader of one code's files knows them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from skyloom import registry
from skyloom.errors import FormatError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Format", "read", "recognise"]


@runtime_checkable
class Format(Protocol):
    """What every reader offers."""

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether the file or folder at ``path`` looks like this format; never raises."""
        ...

    def read(self) -> xr.Dataset:
        """Return the content as a field set that passes ``skyloom.fields.check``."""
        ...


def recognise(path: Path) -> str:
    """Return the name of the format of a file or folder.

    Args:
        path: What to look at.

    Raises:
        FormatError: Nothing is there, no reader knows it, or several do.
    """
    if not path.exists():
        raise FormatError(f"{path}: no such file or folder", hint="check the path")
    asked: list[str] = []
    known: list[str] = []
    general: list[str] = []
    for entry in registry.entries("format"):
        try:
            reader: type[Format] = entry.load()
        except Exception as error:  # a broken plugin must not hide the others
            asked.append(f"{entry.name} (not loaded: {error})")
            continue
        asked.append(entry.name)
        if reader.sniff(path):
            (general if getattr(reader, "general", False) else known).append(entry.name)
    known = known or general
    if len(known) == 1:
        return known[0]
    if known:
        raise FormatError(
            f"{path}: fits several formats: {', '.join(known)}", hint="say which, with --format"
        )
    raise FormatError(
        f"{path}: no reader knows it", hint=f"asked: {', '.join(asked)}; name one with --format"
    )


def read(path: Path | str, *, format: str | None = None, **options: Any) -> xr.Dataset:
    """Read a native file or folder as a field set.

    Args:
        path: File or folder.
        format: Name of the reader; found by looking at the file if not given.
        **options: Arguments of the reader, as ``skyloom describe format NAME`` lists them.

    Returns:
        A field set, lazy where the format allows it.

    Raises:
        FormatError: No reader knows the file, or it is damaged; the message names file and fault.
    """
    path = Path(path)
    name = format or recognise(path)
    reader: Format = registry.build({"name": name, "path": str(path), **options}, "format")
    return reader.read()
