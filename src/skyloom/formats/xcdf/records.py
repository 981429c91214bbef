"""What headers and trailer of an XCDF file say: fields, aliases, ranges, comments, where blocks are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skyloom.formats.xcdf.frames import Cursor, text_bytes

Kind = Literal["uint", "int", "float"]
KINDS: tuple[Kind, ...] = ("uint", "int", "float")
"""Types of a field by their code in the file: 64-bit unsigned and signed integers, doubles."""
LAYOUT = {"uint": "Q", "int": "q", "float": "d"}
DTYPE = {"uint": "<u8", "int": "<i8", "float": "<f8"}
NEWEST = 3


@dataclass(frozen=True)
class Field:
    """A field of the events.

    Args:
        name: Its name, such as ``event.hit.charge``.
        kind: ``uint``, ``int`` or ``float``.
        resolution: Step to which values are rounded, in the field's unit; 0 keeps doubles as they are.
        parent: The unsigned field that tells how many values an event has; empty for one value an event.

    Example:
        >>> Field("event.hit.charge", "float", 0.01, "event.nHit").parent
        'event.nHit'
    """

    name: str
    kind: Kind
    resolution: float = 1
    parent: str = ""


@dataclass(frozen=True)
class Alias:
    """A name for an expression over fields, evaluated when it is read.

    Args:
        name: Its name.
        expression: The expression, as the page on XCDF describes.
        kind: Type of the result.
    """

    name: str
    expression: str
    kind: Kind = "float"


@dataclass(frozen=True)
class Range:
    """What the trailer tells of a field.

    Args:
        low: Smallest value; None where the field has no value.
        high: Largest value.
        bytes: Bytes that its values take before they are deflated.
    """

    low: float | None
    high: float | None
    bytes: int


@dataclass(frozen=True)
class Header:
    """The file header: version, byte of the trailer (0 where it is not known), fields, aliases."""

    version: int
    trailer: int
    fields: tuple[Field, ...]
    aliases: tuple[Alias, ...]


@dataclass(frozen=True)
class Trailer:
    """The trailer: events, first event and byte of each block, comments, ranges by field, aliases."""

    events: int
    blocks: tuple[tuple[int, int], ...]
    comments: tuple[str, ...]
    ranges: tuple[Range, ...]
    aliases: tuple[Alias, ...]


@dataclass(frozen=True)
class BlockHeader:
    """The header of a block: events, and of each field the smallest value (raw) and the bits of a datum."""

    events: int
    lows: tuple[int, ...]
    sizes: tuple[int, ...]


def pun(kind: Kind, raw: int) -> float:
    """Return the number whose 64 bits are given.

    Example:
        >>> pun("int", 2**64 - 1), pun("float", 0x3FF0000000000000)
        (-1, 1.0)
    """
    return struct.unpack(f"<{LAYOUT[kind]}", struct.pack("<Q", raw))[0]  # type: ignore[no-any-return]


def raw(kind: Kind, value: float) -> int:
    """Return the 64 bits of a number, the inverse of ``pun``."""
    number = float(value) if kind == "float" else int(value)
    return struct.unpack("<Q", struct.pack(f"<{LAYOUT[kind]}", number))[0]  # type: ignore[no-any-return]


def parse_header(cursor: Cursor) -> Header:
    """Read a file header.

    Raises:
        FormatError: It is damaged, or the version is unknown.
    """
    version, trailer = cursor.take("IQ")
    if not 1 <= version <= NEWEST:
        cursor.fail(f"version {version}, allowed: 1 to {NEWEST}")
    fields: dict[str, Field] = {}
    for _ in range(cursor.count(18)):
        name, kind = cursor.text(), _kind(cursor)
        (resolution,) = cursor.take("Q")
        parent = cursor.text()
        if name in fields:
            cursor.fail(f"the field {name!r} stands there twice")
        if parent and (parent not in fields or fields[parent].kind != "uint"):
            cursor.fail(f"the parent {parent!r} of {name!r} is no unsigned field that stands before it")
        fields[name] = Field(name, kind, pun(kind, resolution), parent)
    aliases = _aliases(cursor) if version > 2 else ()
    cursor.end()
    return Header(version, trailer, tuple(fields.values()), aliases)


def header_bytes(header: Header) -> bytes:
    """Return a file header as it stands in a payload."""
    parts = [struct.pack("<IQI", header.version, header.trailer, len(header.fields))]
    for field in header.fields:
        code = struct.pack("<BQ", KINDS.index(field.kind), raw(field.kind, field.resolution))
        parts += [text_bytes(field.name), code, text_bytes(field.parent)]
    if header.version > 2:
        parts.append(_alias_bytes(header.aliases))
    return b"".join(parts)


def parse_block_header(cursor: Cursor, fields: int) -> BlockHeader:
    """Read the header of a block.

    Raises:
        FormatError: It is damaged, or holds another number of fields than the file header.
    """
    events, count = cursor.take("II")
    if count != fields:
        cursor.fail(f"{count} fields, the file header has {fields}")
    numbers = cursor.take("QB" * fields)
    cursor.end()
    lows, sizes = numbers[::2], numbers[1::2]
    if sizes and max(sizes) > 64:
        cursor.fail(f"a datum of {max(sizes)} bits, allowed: 0 to 64")
    return BlockHeader(events, lows, sizes)


def block_header_bytes(block: BlockHeader) -> bytes:
    """Return the header of a block as it stands in a payload."""
    numbers = [number for pair in zip(block.lows, block.sizes, strict=True) for number in pair]
    return struct.pack("<II" + "QB" * len(block.lows), block.events, len(block.lows), *numbers)


def parse_trailer(cursor: Cursor, header: Header) -> Trailer:
    """Read a trailer.

    Raises:
        FormatError: It is damaged.
    """
    (events,) = cursor.take("Q")
    blocks = tuple(zip(*[iter(cursor.take("QQ" * cursor.count(16)))] * 2, strict=True))
    comments = tuple(cursor.text() for _ in range(cursor.count(5)))
    ranges: list[Range] = []
    aliases: tuple[Alias, ...] = ()
    if header.version > 2:
        count = cursor.count(25)
        if count != len(header.fields):
            cursor.fail(f"ranges of {count} fields, the file header has {len(header.fields)}")
        for field in header.fields:
            high, low, size, known = cursor.take("QQQB")
            told = Range(pun(field.kind, low), pun(field.kind, high), size)
            ranges.append(told if known else Range(None, None, size))
        aliases = _aliases(cursor)
    cursor.end()
    return Trailer(events, blocks, comments, tuple(ranges), aliases)


def trailer_bytes(trailer: Trailer, header: Header) -> bytes:
    """Return a trailer as it stands in a payload."""
    parts = [struct.pack("<QI", trailer.events, len(trailer.blocks))]
    parts += [struct.pack("<QQ", *block) for block in trailer.blocks]
    parts.append(struct.pack("<I", len(trailer.comments)))
    parts += [text_bytes(comment) for comment in trailer.comments]
    if header.version > 2:
        parts.append(struct.pack("<I", len(trailer.ranges)))
        for field, told in zip(header.fields, trailer.ranges, strict=True):
            known = told.low is not None and told.high is not None
            ends = (raw(field.kind, told.high or 0), raw(field.kind, told.low or 0)) if known else (0, 0)
            parts.append(struct.pack("<QQQB", *ends, told.bytes, known))
        parts.append(_alias_bytes(trailer.aliases))
    return b"".join(parts)


def _kind(cursor: Cursor) -> Kind:
    (code,) = cursor.take("B")
    if code >= len(KINDS):
        cursor.fail(f"the type {code}, allowed: 0 (unsigned), 1 (signed), 2 (double)")
    return KINDS[code]


def _aliases(cursor: Cursor) -> tuple[Alias, ...]:
    return tuple(Alias(cursor.text(), cursor.text(), _kind(cursor)) for _ in range(cursor.count(11)))


def _alias_bytes(aliases: Sequence[Alias]) -> bytes:
    parts = [struct.pack("<I", len(aliases))]
    for alias in aliases:
        parts += [text_bytes(alias.name), text_bytes(alias.expression)]
        parts.append(struct.pack("<B", KINDS.index(alias.kind)))
    return b"".join(parts)
