"""An XCDF file to read: what it holds, and the values of its events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.formats.xcdf import expressions
from skyloom.formats.xcdf.blocks import Block, load, read_header
from skyloom.formats.xcdf.frames import (
    BLOCK_DATA,
    FILE_HEADER,
    FILE_TRAILER,
    KINDS,
    Cursor,
    Frame,
    Source,
    frame_at,
    payload,
)
from skyloom.formats.xcdf.records import (
    DTYPE,
    Alias,
    Field,
    Header,
    Range,
    Trailer,
    parse_header,
    parse_trailer,
)

Array = NDArray[Any]
Column = Array | tuple[Array, ...]
"""Values of a field: an array of one number an event, or values and counts of a vector."""


class File:
    """An XCDF file of version 1, 2 or 3, or several joined by ``cat``.

    Blocks are found by the trailers, or frame by frame where there is none. Reading opens the file anew.

    Args:
        path: The file.

    Attributes:
        fields: Name -> ``Field(name, kind, resolution, parent)``, in the order of the file.
        aliases: Name -> ``Alias(name, expression, kind)``.
        comments: Texts that the trailers hold.
        ranges: Name -> ``Range(low, high, bytes)`` as the trailers tell; empty where they do not.
        version: Version of the format.

    Raises:
        FormatError: It is no XCDF file, or damaged; the message names file, frame and byte.

    Example:
        >>> import tempfile
        >>> from skyloom.formats.xcdf import Field, File, write
        >>> fields = [Field("n", "uint"), Field("q", "float", 0.01, parent="n")]
        >>> n = np.array([2, 0, 1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write(f"{folder}/a.xcd", fields, {"n": n, "q": (np.array([0.5, 1.25, 3.0]), n)})
        ...     file = File(f"{folder}/a.xcd")
        ...     values, counts = file.read(["q"], start=1)["q"]
        >>> len(file), list(file.fields), values.tolist(), counts.tolist()
        (3, ['n', 'q'], [3.0], [0, 1])
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.comments: list[str] = []
        self.aliases: dict[str, Alias] = {}
        self._ambiguous: set[str] = set()
        self._blocks: list[Block] = []
        self._events = 0
        ranges: list[Mapping[str, Range]] = []
        try:
            with self.path.open("rb") as file:
                source = Source(self.path, file)
                header, at = self._part(source, 0, ranges)
                self.version = header.version
                self.fields: dict[str, Field] = {field.name: field for field in header.fields}
                while at < source.size:
                    other, following = self._part(source, at, ranges)
                    if (other.version, other.fields) != (header.version, header.fields):
                        source.fail(
                            "file header", at, "version or fields differ from those of the first part"
                        )
                    at = following
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read: {error}", hint="check the path") from error
        self.ranges = {
            name: _joined(parts[name] for parts in ranges) for name in (ranges and ranges[0]) or ()
        }

    def __len__(self) -> int:
        """Return the number of events."""
        return self._events

    def read(
        self,
        names: Iterable[str] | None = None,
        start: int = 0,
        stop: int | None = None,
        *,
        threads: int | None = None,
    ) -> dict[str, Column]:
        """Read fields and aliases of a range of events; blocks outside of it are not touched.

        Args:
            names: Fields and aliases; left out, all fields.
            start: First event.
            stop: The event after the last one; left out, the end.
            threads: Blocks decoded at once; left out, one a processor.

        Returns:
            Name -> values: ``(events,)`` for a scalar; ``(values, counts)`` for a vector, of shapes
            ``(data,)`` and ``(events,)``; ``(values, counts, inner_counts)`` for a vector in a vector, where
            ``counts`` are the entries of an event and ``inner_counts`` the values of each entry. Unsigned
            fields are uint64, signed ones int64, others float64; counts are uint64. An alias over a vector
            has ``(values, counts)``.

        Raises:
            UsageError: There is no such field or range, or no thread is allowed.
            FormatError: The file is damaged, or an alias cannot be evaluated.
        """
        stop = self._events if stop is None else stop
        if not 0 <= start <= stop <= self._events:
            raise UsageError(
                f"{self.path}: events {start} to {stop} are asked, allowed: 0 to {self._events}, ascending"
            )
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}, allowed: 1 or more")
        wanted = list(self.fields) if names is None else list(names)
        if isinstance(names, str):
            raise UsageError(f"names is {names!r}", hint=f"give a list: [{names!r}]")
        for name in wanted:
            if name not in self.fields and name not in self.aliases:
                raise UsageError(
                    f"{self.path}: no field {name!r}", hint=nearest(name, [*self.fields, *self.aliases])
                )
        parsed: dict[str, expressions.Node] = {}
        needed = self._needed(wanted, parsed, ())
        columns = self._columns(needed, start, stop, threads)
        values = {name: _value(columns[name]) for name in columns} if parsed else {}
        for name, node in parsed.items():  # an alias stands after those that it names
            found = expressions.evaluate(node, values, start, stop - start)
            data = np.broadcast_to(found.data, stop - start) if found.data.ndim == 0 else found.data
            values[name] = expressions.Value(expressions.cast(data, self.aliases[name].kind), found.counts)
        return {name: columns[name] if name in columns else _column(values[name]) for name in wanted}

    def _part(self, source: Source, at: int, ranges: list[Mapping[str, Range]]) -> tuple[Header, int]:
        """Look at the file or joined part that begins at a byte; return its header and its end."""
        frame = frame_at(source, at)
        if frame.kind != FILE_HEADER or frame.deflated:
            source.fail(KINDS[frame.kind], at, "a file header is expected here", "no XCDF file from here")
        header = parse_header(Cursor(source, frame, payload(source, frame)))
        trailer = None
        if header.trailer:
            last = frame_at(source, at + header.trailer)
            if last.kind != FILE_TRAILER or last.offset < frame.end:
                source.fail(KINDS[last.kind], last.offset, "the file header tells of a trailer here")
            trailer = parse_trailer(Cursor(source, last, payload(source, last)), header)
            self._from_trailer(source, trailer, at, frame.end, last.offset)
            end = last.end
        else:
            trailer, end = self._from_frames(source, header, frame.end)
        for alias in (*header.aliases, *(trailer.aliases if trailer else ())):
            if self.aliases.setdefault(alias.name, alias) != alias:
                self._ambiguous.add(alias.name)
        if trailer:
            self.comments += trailer.comments
        told = trailer.ranges if trailer else ()
        ranges.append({field.name: one for field, one in zip(header.fields, told, strict=False)})
        return header, end

    def _from_trailer(self, source: Source, trailer: Trailer, part: int, low: int, high: int) -> None:
        """Take the blocks that a trailer tells of, which stand between two bytes."""
        firsts = [first for first, _ in trailer.blocks] + [trailer.events]
        before = low - 1
        for i, (first, pointer) in enumerate(trailer.blocks):
            events, offset = firsts[i + 1] - first, part + pointer
            if events < 0 or events >= 2**32 or not before < offset < high or (i == 0 and first):
                source.fail(
                    "file trailer", high, f"block {i}: first event {first} of {trailer.events}, byte {offset}"
                )
            before = offset
            self._blocks.append(Block(self._events + first, events, offset))
        if trailer.events and not trailer.blocks:
            source.fail("file trailer", high, f"{trailer.events} events without a block")
        self._events += trailer.events

    def _from_frames(self, source: Source, header: Header, at: int) -> tuple[Trailer | None, int]:
        """Take the blocks frame by frame, to the trailer, the next part or the end of the file."""
        while at < source.size:
            frame: Frame = frame_at(source, at)
            if frame.kind == FILE_HEADER:
                break
            if frame.kind == FILE_TRAILER:
                return parse_trailer(Cursor(source, frame, payload(source, frame)), header), frame.end
            block, data = read_header(source, at, len(header.fields))
            following = frame_at(source, data)
            if following.kind != BLOCK_DATA:
                source.fail(KINDS[following.kind], data, "block data are expected here")
            self._blocks.append(Block(self._events, block.events, at))
            self._events += block.events
            at = following.end
        return None, at

    def _needed(
        self, names: Iterable[str], parsed: dict[str, expressions.Node], above: tuple[str, ...]
    ) -> set[str]:
        """Return the fields to decode for names: themselves, their parents, and what aliases name."""
        needed: set[str] = set()
        for name in names:
            if name in self.fields:
                needed |= {name, *self._above(name)}
                continue
            if name in above or len(above) > 50:
                raise FormatError(f"{self.path}: the alias {name!r} names itself: {' → '.join(above)}")
            if name in self._ambiguous:
                raise FormatError(
                    f"{self.path}: the alias {name!r} differs between the joined parts",
                    hint="read them apart",
                )
            if name in parsed:
                needed |= self._needed(expressions.names_in(parsed[name]), parsed, (*above, name))
                continue
            try:
                node = expressions.parse(self.aliases[name].expression, [*self.fields, *self.aliases])
            except FormatError as error:
                raise FormatError(f"{self.path}: alias {name!r}: {error.message}", hint=error.hint) from error
            needed |= self._needed(sorted(expressions.names_in(node)), parsed, (*above, name))
            parsed[name] = node
        return needed

    def _above(self, name: str) -> list[str]:
        """Return the parents of a field, the outermost first."""
        above: list[str] = []
        while name := self.fields[name].parent:
            above.append(name)
        return above[::-1]

    def _columns(self, needed: set[str], start: int, stop: int, threads: int | None) -> dict[str, Column]:
        """Decode the blocks of a range of events and cut what lies outside."""
        blocks = [b for b in self._blocks if b.first < stop and b.first + b.events > start]
        fields = list(self.fields.values())
        workers = min(threads or os.cpu_count() or 1, len(blocks))
        with ExitStack() as stack:
            source = Source(self.path, stack.enter_context(self.path.open("rb")))
            each: Callable[..., Iterable[Any]] = map
            if workers > 1:
                each = stack.enter_context(ThreadPoolExecutor(workers)).map
            packed = list(each(lambda block: load(source, block, fields), blocks))
            chosen = np.array([name in needed for name in self.fields])
            totals = np.array([one.totals * chosen for one in packed], dtype=np.int64).reshape(
                -1, len(fields)
            )
            # the values of a field stand together, block after block
            place = (np.cumsum(totals.T.ravel()) - totals.T.ravel()).reshape(totals.T.shape).T
            out = np.empty(int(totals.sum()), dtype=np.uint64)
            list(each(lambda one, to: one.unpack(np.where(chosen, to, -1), out), packed, place))
        edges = np.concatenate([[0], np.cumsum(totals.sum(axis=0))])
        whole = {
            field.name: out[edges[i] : edges[i + 1]].view(DTYPE[field.kind])
            for i, field in enumerate(fields)
            if chosen[i]
        }
        first = blocks[0].first if blocks else start
        return {name: self._cut(name, whole, start - first, stop - first) for name in needed}

    def _cut(self, name: str, whole: Mapping[str, Array], start: int, stop: int) -> Column:
        """Return the values of a range of events, with the counts of all levels above."""
        levels = []
        for level in (*self._above(name), name):
            values = whole[level]
            levels.append(values[start:stop])
            start, stop = (int(values[:edge].sum()) for edge in (start, stop)) if level != name else (0, 0)
        return levels[0] if len(levels) == 1 else (levels[-1], *levels[:-1])


def _value(column: Column) -> expressions.Value:
    """Return a column as expressions take it: with the number of values of each event."""
    if not isinstance(column, tuple):
        return expressions.Value(column)
    data, counts, *inner = column
    for level in inner:
        ends = np.concatenate([[0], np.cumsum(level)]).astype(np.int64)
        edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        counts = np.diff(ends[edges])
    return expressions.Value(data, counts.astype(np.int64))


def _column(value: expressions.Value) -> Column:
    return value.data if value.counts is None else (value.data, value.counts.astype(np.uint64))


def _joined(parts: Iterable[Range]) -> Range:
    """Return the range of a field over the parts of a file."""
    told = list(parts)
    lows = [one.low for one in told if one.low is not None]
    highs = [one.high for one in told if one.high is not None]
    return Range(min(lows, default=None), max(highs, default=None), sum(one.bytes for one in told))
