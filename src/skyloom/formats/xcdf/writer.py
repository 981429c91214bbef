"""XCDF files to write, so that the reference library reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import FormatError, nearest
from skyloom.formats.xcdf.blocks import encode
from skyloom.formats.xcdf.frames import BLOCK_DATA, BLOCK_HEADER, FILE_HEADER, FILE_TRAILER, frame_bytes
from skyloom.formats.xcdf.records import (
    DTYPE,
    KINDS,
    Alias,
    Field,
    Header,
    Range,
    Trailer,
    block_header_bytes,
    header_bytes,
    pun,
    trailer_bytes,
)
from skyloom.runs import atomic_write

Array = NDArray[Any]


def write(
    path: Path | str,
    fields: Iterable[Field],
    data: Mapping[str, ArrayLike | tuple[ArrayLike, ...]],
    *,
    aliases: Sequence[Alias] = (),
    comments: Sequence[str] = (),
    version: Literal[2, 3] = 3,
    block_events: int = 1000,
) -> Path:
    """Write events as an XCDF file; values are rounded to the resolution of their field.

    What ``File.read`` returns of a whole file is written back to the same bits where ``block_events`` is that
    of the file; in other blocks, the last bit of a double may differ.

    Args:
        path: The file; it is replaced when the new one is whole.
        fields: The fields. They are sorted by type, as the format asks.
        data: Name -> values, as ``File.read`` returns them: an array of one number an event, or
            ``(values, counts)``, or ``(values, counts, inner_counts)``.
        aliases: Names for expressions; version 3 only.
        comments: Texts for the trailer.
        version: 2 (never deflated) or 3 (every frame but the first is deflated).
        block_events: Events of a block.

    Returns:
        The path.

    Raises:
        FormatError: Fields and data do not fit each other, or version 2 is asked to hold aliases.

    Example:
        >>> import tempfile
        >>> from skyloom.formats.xcdf import File
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write(f"{folder}/a.xcd", [Field("theta", "float", 0.001)], {"theta": [0.5, 1.0004]})
        ...     File(path).read()["theta"].tolist()
        [0.5, 1.0]
    """
    path = Path(path)
    if version not in (2, 3) or block_events < 1 or (version == 2 and aliases):
        raise FormatError(
            f"version {version}, {len(aliases)} aliases, {block_events} events a block, cannot be written",
            hint="version 3, or 2 without aliases; blocks of 1 event or more",
        )
    ordered = sorted(fields, key=lambda field: KINDS.index(field.kind))
    columns, events = _checked(ordered, data)
    header = Header(version, 0, tuple(ordered), tuple(aliases))
    deflate = version > 2
    edges = _edges(ordered, columns, events, block_events)
    blocks: list[tuple[int, int]] = []
    ranges = [_Extent() for _ in ordered]
    with atomic_write(path) as file:
        file.write(frame_bytes(FILE_HEADER, header_bytes(header), deflate=False))
        for i, first in enumerate(range(0, events, block_events)):
            values = {name: columns[name][edge[i] : edge[i + 1]] for name, edge in edges.items()}
            count = min(block_events, events - first)
            block, packed, bits = encode(values, count, ordered)
            blocks.append((first, file.tell()))
            file.write(frame_bytes(BLOCK_HEADER, block_header_bytes(block), deflate=deflate))
            file.write(frame_bytes(BLOCK_DATA, packed, deflate=deflate))
            for extent, field, low, size in zip(ranges, ordered, block.lows, bits, strict=True):
                extent.add(values[field.name], pun(field.kind, low), size)
        told = tuple(extent.range() for extent in ranges)
        trailer, at = Trailer(events, tuple(blocks), tuple(comments), told, ()), file.tell()
        file.write(frame_bytes(FILE_TRAILER, trailer_bytes(trailer, header), deflate=deflate))
        file.seek(0)
        whole = Header(version, at, header.fields, header.aliases)
        file.write(frame_bytes(FILE_HEADER, header_bytes(whole), deflate=False))
    return path


class _Extent:
    """Smallest and largest value of a field, and the bits that it took."""

    def __init__(self) -> None:
        self.low: float | None = None
        self.high: float | None = None
        self.bits = 0

    def add(self, values: Array, low: float, bits: int) -> None:
        self.bits += bits
        if not len(values):
            return
        high = values.max().item()
        lost = [end for end in (low, high, self.low, self.high) if end is not None and math.isnan(end)]
        if lost:
            self.low = self.high = lost[0]
            return
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def range(self) -> Range:
        return Range(self.low, self.high, self.bits // 8)


def _checked(fields: Sequence[Field], data: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
    """Return the values of every field in its type, and the number of events."""
    names = [field.name for field in fields]
    for name in data:
        if name not in names:
            raise FormatError(f"data are given for {name!r}, which is no field", hint=nearest(name, names))
    if len(set(names)) != len(names) or not all(names):
        raise FormatError(f"the fields are {names}, allowed: names that differ and are not empty")
    columns: dict[str, Array] = {}
    before: dict[str, Field] = {}
    events: int | None = None
    for field in fields:
        if field.name not in data:
            raise FormatError(f"no data for the field {field.name!r}", hint=f"given: {', '.join(data)}")
        _check_field(field, before)
        given = data[field.name]
        levels = given if isinstance(given, tuple) else (given,)
        values = _typed(levels[0], field)
        if not field.parent:
            events = len(values) if events is None else events
        parent = field.parent
        above: list[Array] = []
        while parent:
            above.insert(0, columns[parent])
            parent = before[parent].parent
        wanted = int(above[-1].sum()) if above else events
        if len(levels) - 1 != len(above) or len(values) != wanted:
            shape = "(values, counts" + ", inner_counts" * (len(above) - 1) + ")" if above else "one array"
            raise FormatError(
                f"the field {field.name!r} has {len(levels)} arrays and {len(values)} values,"
                f" allowed: {shape} with {wanted} values"
            )
        for counts, told in zip(levels[1:], above, strict=True):
            if not np.array_equal(counts, told):
                raise FormatError(f"the counts of {field.name!r} differ from the values of its parent")
        columns[field.name], before[field.name] = values, field
    return columns, events or 0


def _check_field(field: Field, before: Mapping[str, Field]) -> None:
    if field.kind not in KINDS or "\0" in field.name:
        raise FormatError(f"{field} cannot be written", hint=f"kinds: {', '.join(KINDS)}; no NUL in the name")
    if field.kind != "float" and (field.resolution < 1 or field.resolution != int(field.resolution)):
        raise FormatError(f"{field} has resolution {field.resolution}, allowed: whole numbers from 1 on")
    if not field.parent:
        return
    parent = before.get(field.parent)
    if parent is None or parent.kind != "uint" or parent.resolution != 1:
        raise FormatError(
            f"the parent of {field.name!r} is {field.parent!r}, allowed: an unsigned field of resolution 1"
            " that stands before it"
        )


def _typed(values: Any, field: Field) -> Array:
    """Return values in the type of a field, without changing any."""
    given = np.asarray(values)
    allowed = {"uint": "uib", "int": "uib", "float": "fiub"}[field.kind]
    typed = given.astype(DTYPE[field.kind]) if given.dtype.kind in allowed or not given.size else given
    kept = given.ndim == 1 and (given.dtype.kind in allowed or not given.size)
    if kept and field.kind == "uint" and given.dtype.kind == "i":
        kept = bool((given >= 0).all())
    if kept and field.kind == "int" and given.dtype.kind == "u":
        kept = bool((given <= np.iinfo(np.int64).max).all())
    if not kept:
        raise FormatError(
            f"the field {field.name!r} is given {given.dtype} of shape {given.shape},"
            f" allowed: numbers of one dimension that fit {DTYPE[field.kind]}"
        )
    return np.ascontiguousarray(typed)


def _edges(
    fields: Sequence[Field], columns: Mapping[str, Array], events: int, block_events: int
) -> dict[str, list[int]]:
    """Return where the values of every block begin, and their end."""
    edges: dict[str, list[int]] = {}
    for field in fields:
        if not field.parent:
            edges[field.name] = [*range(0, events, block_events), events]
            continue
        ends = np.concatenate([[0], np.cumsum(columns[field.parent])])
        edges[field.name] = [int(ends[at]) for at in edges[field.parent]]
    return edges
