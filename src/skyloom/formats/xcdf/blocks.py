"""A block of events of an XCDF file: from its two frames to values, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.formats.xcdf.frames import BLOCK_DATA, BLOCK_HEADER, KINDS, Cursor, Source, frame_at, payload
from skyloom.formats.xcdf.kernels import ENDS, MOST_DATA, Layout, kernels
from skyloom.formats.xcdf.records import BlockHeader, Field, parse_block_header, raw

Array = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Where a block stands.

    Args:
        first: Number of its first event, counted over the whole file.
        events: How many it holds.
        offset: Byte at which its header begins.
    """

    first: int
    events: int
    offset: int


def read_header(source: Source, offset: int, fields: int) -> tuple[BlockHeader, int]:
    """Read the header of the block at a byte; return it and the byte of its data.

    Raises:
        FormatError: There is none, or it is damaged.
    """
    frame = frame_at(source, offset)
    if frame.kind != BLOCK_HEADER:
        source.fail(KINDS[frame.kind], offset, "a block header is expected here")
    return parse_block_header(Cursor(source, frame, payload(source, frame)), fields), frame.end


@dataclass(frozen=True)
class Packed:
    """The data of a block, checked and inflated.

    Args:
        words: Its bits, uint64, two words longer than they are.
        events: Events.
        layout: How they are packed.
        totals: Data of every field, shape ``(fields,)``.
    """

    words: Array
    events: int
    layout: Layout
    totals: Array

    def unpack(self, place: Array, out: Array) -> None:
        """Write the values of fields.

        Args:
            place: Where the values of each field go in ``out``, negative for fields that are not wanted.
            out: Memory for uint64, int64 and float64, seen as uint64.
        """
        kernels().unpack(self.words, self.events, self.layout, place, out, out.view(np.float64))


def load(source: Source, block: Block, fields: Sequence[Field]) -> Packed:
    """Read a block and find how many data each field has.

    Args:
        source: The file.
        block: The block.
        fields: All fields, in the order of the file header.

    Raises:
        FormatError: The block is damaged.
    """
    header, start = read_header(source, block.offset, len(fields))
    if header.events != block.events:
        source.fail(
            "block header", block.offset, f"{header.events} events, the trailer tells of {block.events}"
        )
    frame = frame_at(source, start)
    if frame.kind != BLOCK_DATA:
        source.fail(KINDS[frame.kind], start, "block data are expected here")
    packed = payload(source, frame)
    words = np.empty(len(packed) // 8 + 2, dtype="<u8")
    words[-2:] = 0
    words.view(np.uint8)[: len(packed)] = np.frombuffer(packed, np.uint8)
    layout = layout_of(fields, header)
    totals = np.zeros(len(fields), dtype=np.int64)
    if fields:
        fault, event, f, bit = kernels().measure(
            words, 8 * len(packed), header.events, layout, MOST_DATA, totals
        )
        if fault:
            what = "the data end too soon" if fault == ENDS else f"more than {MOST_DATA} data in a block"
            where = f"event {block.first + event}, field {fields[f].name!r}, bit {bit} of the payload"
            source.fail("block data", start, f"{what} ({where})")
        if 8 * len(packed) - bit >= 64:
            source.fail("block data", start, f"{8 * len(packed) - bit} bits are left over")
    return Packed(words, header.events, layout, totals)


def layout_of(fields: Sequence[Field], header: BlockHeader) -> Layout:
    """Return what the kernels need to know of the fields.

    A double is ``low + resolution * datum`` in this order, so that every bit is that of the reference.
    """
    order = {field.name: i for i, field in enumerate(fields)}
    parents = {field.parent for field in fields}
    floats = np.array([field.kind == "float" for field in fields], dtype=np.bool_)
    size, low = np.array(header.sizes, dtype=np.int64), np.array(header.lows, dtype=np.uint64)
    step = np.array([raw(field.kind, field.resolution) for field in fields], dtype=np.uint64)
    return Layout(
        parent=np.array([order[field.parent] if field.parent else -1 for field in fields], dtype=np.int64),
        counts=np.array([field.name in parents for field in fields], dtype=np.bool_),
        size=size,
        scaled=floats & (size < 64),
        low=np.where(floats, np.uint64(0), low),
        step=np.where(floats, np.uint64(1), step),
        low_float=low.view(np.float64),
        step_float=step.view(np.float64),
    )


def encode(
    values: Mapping[str, Array], events: int, fields: Sequence[Field]
) -> tuple[BlockHeader, bytes, list[int]]:
    """Pack the events of one block.

    Args:
        values: Name -> values of all events in a row, shape ``(data,)``, of the field's type.
        events: How many events.
        fields: All fields, in the order of the file header.

    Returns:
        The header, the payload of the data frame, and the bits that each field takes.
    """
    scaled = [_scaled(values[field.name], field) for field in fields]
    header = BlockHeader(events, tuple(low for low, _, _ in scaled), tuple(size for _, size, _ in scaled))
    bits = [size * len(datum) for _, size, datum in scaled]
    words = np.zeros(sum(bits) // 64 + 2, dtype="<u8")
    if fields:
        data = np.concatenate([datum for _, _, datum in scaled])
        lengths = np.array([len(datum) for _, _, datum in scaled], dtype=np.int64)
        place = np.cumsum(lengths) - lengths
        kernels().pack(data, place, events, layout_of(fields, header), words)
    return header, words.tobytes()[: -(-sum(bits) // 8)], bits


def _scaled(values: Array, field: Field) -> tuple[int, int, Array]:
    """Return the smallest value (raw), the bits of a datum, and the data, as the reference does."""
    if field.kind == "float":
        return _scaled_floats(values, field.resolution)
    step = int(field.resolution)
    if not len(values):
        return 0, 0, np.zeros(0, dtype=np.uint64)
    least, most = int(values.min()), int(values.max())
    low = least // step * step
    low_raw = low % 2**64
    datum = (values.view(np.uint64) - np.uint64(low_raw)) // np.uint64(step)
    return low_raw, ((most - low) // step).bit_length(), datum


def _scaled_floats(values: Array, step: float) -> tuple[int, int, Array]:
    least = most = 0.0
    if len(values):
        lost = np.isnan(values)
        least, most = float(values.min()), float(values.max())
        if lost.any():
            least = most = float(values[lost][-1])
    whole = np.ascontiguousarray(values).view(np.uint64)
    if step > 0 and abs(interval := least / step + 0.5) <= 1e10:  # not of NaN and infinity
        least = step * math.floor(interval)
    if not step > 0 or not math.isfinite(least) or not math.isfinite(most):
        return raw("float", least), 64, whole
    interval = (most - least) / step + 0.5
    size = 64 if interval > 1e16 else int(interval).bit_length()
    if size > 52:
        return raw("float", least), 64, whole
    return raw("float", least), size, ((values - least) / step + 0.5).astype(np.uint64)
