"""Frames of an XCDF file: what tells them apart, their checksums, and the numbers inside them.

A file is a row of frames, each ``type, size, checksum [, inner type]`` (32-bit little-endian numbers) and a
payload. The checksum is the Adler-32 of the payload as stored. A deflated frame names the type that is
inside. Sizes and counts are held against what the file can hold before anything is read or made, so a damaged
file ends in an error that names file, frame and byte.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from skyloom.errors import FormatError

FILE_HEADER, BLOCK_HEADER, BLOCK_DATA, FILE_TRAILER = 0x436FC8A4, 0x160E17E4, 0x37DF239D, 0xBD340AF6
DEFLATED = 0x7E4A26B7
KINDS = {
    FILE_HEADER: "file header",
    BLOCK_HEADER: "block header",
    BLOCK_DATA: "block data",
    FILE_TRAILER: "file trailer",
}
LARGEST = 2**28
"""Bytes that the inflated payload of one frame may have; the reference library ends a block at 100 MB."""


@dataclass(frozen=True)
class Frame:
    """Where a frame stands and what it holds.

    Args:
        kind: Its type, that inside where it is deflated.
        offset: Byte of the file at which it begins.
        start: Byte at which its payload begins.
        size: Bytes of the payload as stored.
        checksum: Adler-32 of the payload as stored.
        deflated: Whether the payload is a zlib stream.
    """

    kind: int
    offset: int
    start: int
    size: int
    checksum: int
    deflated: bool

    @property
    def end(self) -> int:
        """The byte after the frame."""
        return self.start + self.size


class Source:
    """The bytes of a file, for several threads at once.

    Args:
        path: The file.
        file: The file, open for reading.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self._lock = threading.Lock()
        self.size = os.fstat(file.fileno()).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes, fewer at the end of the file."""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def fail(self, frame: str, byte: int, fault: str, hint: str = "") -> NoReturn:
        """Raise the error that names file, frame and byte.

        Raises:
            FormatError: Always.
        """
        raise FormatError(f"{self.path}: {frame} at byte {byte}: {fault}", hint=hint)


def frame_at(source: Source, offset: int) -> Frame:
    """Read the head of the frame at a byte.

    Args:
        source: The file.
        offset: Where the frame begins.

    Raises:
        FormatError: There is no frame, or it goes on after the end of the file.
    """
    head = source.read(offset, 16) if 0 <= offset < source.size else b""
    if len(head) < 12:
        source.fail("frame", offset, f"the file ends at byte {source.size}", "the file is cut off")
    kind, size, checksum = struct.unpack_from("<III", head)
    start, deflated = offset + 12, kind == DEFLATED
    if deflated:
        if len(head) < 16:
            source.fail("frame", offset, f"the file ends at byte {source.size}", "the file is cut off")
        kind, start = struct.unpack_from("<I", head, 12)[0], offset + 16
    if kind not in KINDS:
        allowed = ", ".join(f"{known:#010x} ({name})" for known, name in KINDS.items())
        source.fail(
            "frame", offset, f"unknown type {kind:#010x}, allowed: {allowed}", "no XCDF file from here"
        )
    if start + size > source.size:
        source.fail(
            KINDS[kind],
            offset,
            f"{size} bytes are announced, but the file ends at byte {source.size}",
            "the file is cut off",
        )
    return Frame(kind, offset, start, size, checksum, deflated)


def payload(source: Source, frame: Frame) -> bytes:
    """Return the payload of a frame, checked and inflated.

    Args:
        source: The file.
        frame: The frame.

    Raises:
        FormatError: The checksum differs, or the payload is no zlib stream of at most ``LARGEST`` bytes.
    """
    name, stored = KINDS[frame.kind], source.read(frame.start, frame.size)
    found = zlib.adler32(stored)
    if found != frame.checksum:
        source.fail(
            name,
            frame.offset,
            f"the checksum is {found:#010x}, the file says {frame.checksum:#010x}",
            "the file was damaged; copy it again",
        )
    if not frame.deflated or not stored:
        return stored
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(stored, LARGEST)
    except zlib.error as error:
        source.fail(name, frame.offset, f"cannot be inflated: {error}")
    if not stream.eof or stream.unused_data:
        fault = (
            f"inflates to more than {LARGEST} bytes" if stream.unconsumed_tail else "is no whole zlib stream"
        )
        source.fail(name, frame.offset, fault)
    return data


def frame_bytes(kind: int, data: bytes, *, deflate: bool) -> bytes:
    """Return a frame as it stands in a file.

    Args:
        kind: Its type.
        data: Its payload.
        deflate: Whether to deflate it.

    Example:
        >>> frame_bytes(BLOCK_DATA, b"", deflate=False).hex()
        '9d23df370000000001000000'
    """
    if not deflate:
        return struct.pack("<III", kind, len(data), zlib.adler32(data)) + data
    stored = zlib.compress(data) if data else b""
    return struct.pack("<IIII", DEFLATED, len(stored), zlib.adler32(stored), kind) + stored


class Cursor:
    """Reads numbers and texts of a payload, one after the other.

    Args:
        source: The file, for errors.
        frame: The frame that the payload is of.
        data: The payload.
    """

    def __init__(self, source: Source, frame: Frame, data: bytes) -> None:
        self.source, self.frame, self.data, self.at = source, frame, data, 0

    def fail(self, fault: str) -> NoReturn:
        """Raise the error that names file, frame and byte of the payload.

        Raises:
            FormatError: Always.
        """
        self.source.fail(KINDS[self.frame.kind], self.frame.offset, f"byte {self.at} of its payload: {fault}")

    def take(self, layout: str) -> tuple[int, ...]:
        """Return numbers in the layout of the module ``struct``, little-endian."""
        size = struct.calcsize(f"<{layout}")
        if self.at + size > len(self.data):
            self.fail(f"{size} more bytes are wanted, {len(self.data) - self.at} are left")
        numbers = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += size
        return numbers

    def count(self, smallest: int) -> int:
        """Return how many records follow, each of ``smallest`` bytes at least."""
        (number,) = self.take("I")
        if number * smallest > len(self.data) - self.at:
            self.fail(f"{number} records are announced, {len(self.data) - self.at} bytes are left")
        return number

    def text(self) -> str:
        """Return a text; bytes that are no UTF-8 are kept as surrogates."""
        (length,) = self.take("I")
        raw = self.data[self.at : self.at + length]
        if length < 1 or len(raw) < length or raw[-1] != 0 or 0 in raw[:-1]:
            self.fail(f"a text of {length} bytes that does not end there with a NUL")
        self.at += length
        return raw[:-1].decode("utf-8", "surrogateescape")

    def end(self) -> None:
        """Raise if bytes are left."""
        if self.at != len(self.data):
            self.fail(f"{len(self.data) - self.at} bytes are left over")


def text_bytes(text: str) -> bytes:
    r"""Return a text as it stands in a payload.

    Example:
        >>> text_bytes("n")
        b'\x02\x00\x00\x00n\x00'
    """
    raw = text.encode("utf-8", "surrogateescape") + b"\0"
    return struct.pack("<I", len(raw)) + raw
