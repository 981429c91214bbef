"""The packed bits of an XCDF block: compiled loops that measure, unpack and pack them.

A block is one stream of bits, lowest first: of each event, of each field in the order of the file header, one
datum, or as many as the parent's values of this event add up to. Where a datum begins depends on all counts
before it, so a block is walked from its start; blocks are independent, and the loops hold no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_DATA = 2**25
"""Data that one block may unpack to (256 MiB); the reference library ends a block at 100 MB."""
ENDS, TOO_MANY = 1, 2


class Layout(NamedTuple):
    """How the fields of a block are packed, one entry a field."""

    parent: Array
    """Position of the parent, -1 for one datum an event, int64."""
    counts: Array
    """Whether the field is the parent of another, booleans."""
    size: Array
    """Bits of a datum, int64."""
    scaled: Array
    """Whether values are doubles counted in steps; others are integers, or doubles as they are, booleans."""
    low: Array
    """Value of the datum 0 as an integer (0 where the datum is the value), uint64."""
    step: Array
    """Resolution as an integer (1 where the datum is the value), uint64."""
    low_float: Array
    """Value of the datum 0 of a scaled field, float64."""
    step_float: Array
    """Resolution of a scaled field, float64."""


class Kernels(NamedTuple):
    """The compiled loops."""

    measure: Callable[..., tuple[int, int, int, int]]
    unpack: Callable[..., None]
    pack: Callable[..., int]


@lru_cache(maxsize=1)
def kernels() -> Kernels:
    """Return the loops, compiled when they are first used.

    Returns:
        ``measure(words, bits, events, layout, most, totals) -> (fault, event, field, bit)`` counts the data
        of each field into ``totals`` and finds a block that ends too soon (``ENDS``) or holds more than
        ``most`` data (``TOO_MANY``); ``unpack(words, events, layout, place, whole, floats)`` writes the
        values of every field from ``place`` on (not where it is negative) into the same memory seen as
        uint64 and as float64; ``pack(data, place, events, layout, words)`` packs data into words of zeros
        and returns the bits.

    Example:
        >>> unsigned = [(-1, "i8"), (0, "?"), (3, "i8"), (0, "?"), (0, "u8"), (1, "u8"), (0, "f8"), (0, "f8")]
        >>> one, words = Layout(*(np.array([n], kind) for n, kind in unsigned)), np.zeros(2, "u8")
        >>> kernels().pack(np.array([5, 2, 7], "u8"), np.array([0]), 3, one, words), bin(words[0])
        (9, '0b111010101')
    """
    import numba

    compiled = numba.njit(cache=True, nogil=True)
    return Kernels(compiled(_measure), compiled(_unpack), compiled(_pack))


def _measure(
    words: Array, bits: int, events: int, layout: Layout, most: int, totals: Array
) -> tuple[int, int, int, int]:  # pragma: no cover - compiled
    fields = len(layout.parent)
    sums = np.zeros(fields, dtype=np.int64)
    bit, data = 0, 0
    for event in range(events):
        for f in range(fields):
            n = 1 if layout.parent[f] < 0 else sums[layout.parent[f]]
            size = layout.size[f]
            if size > 0 and n > (bits - bit) // size:
                return 1, event, f, bit
            data += n
            if data > most:
                return 2, event, f, bit
            totals[f] += n
            if not layout.counts[f]:
                bit += n * size
                continue
            total = np.int64(0)
            mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - size if size > 0 else 0)
            for _ in range(n):
                datum = np.uint64(0)
                if size > 0:
                    w, s = bit >> 6, bit & 63
                    datum = words[w] >> np.uint64(s)
                    if s + size > 64:
                        datum |= words[w + 1] << np.uint64(64 - s)
                    datum &= mask
                    bit += size
                value = layout.low[f] + layout.step[f] * datum
                if value > np.uint64(most):
                    return 2, event, f, bit
                total += np.int64(value)
                if total > most:
                    return 2, event, f, bit
            sums[f] = total
    return 0, events, 0, bit


def _unpack(
    words: Array, events: int, layout: Layout, place: Array, whole: Array, floats: Array
) -> None:  # pragma: no cover - compiled
    fields = len(layout.parent)
    sums = np.zeros(fields, dtype=np.int64)
    at = place.copy()
    bit = 0
    for _ in range(events):
        for f in range(fields):
            n = 1 if layout.parent[f] < 0 else sums[layout.parent[f]]
            size = layout.size[f]
            if place[f] < 0 and not layout.counts[f]:
                bit += n * size
                continue
            mask = np.uint64(0)
            if size > 0:
                mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - size)
            # unsigned positions: an index that cannot be negative needs no look at its sign
            here, width, to = np.uint64(bit), np.uint64(size), np.uint64(max(at[f], 0))
            if layout.scaled[f]:
                low_float, step_float = layout.low_float[f], layout.step_float[f]
                for _ in range(n):
                    w, s = here >> np.uint64(6), here & np.uint64(63)
                    upper = (words[w + np.uint64(1)] << (np.uint64(63) - s)) << np.uint64(1)
                    datum = ((words[w] >> s) | upper) & mask
                    floats[to] = low_float + step_float * np.float64(np.int64(datum))
                    to += np.uint64(1)
                    here += width
            else:
                low, step, total = layout.low[f], layout.step[f], np.uint64(0)
                for _ in range(n):
                    w, s = here >> np.uint64(6), here & np.uint64(63)
                    upper = (words[w + np.uint64(1)] << (np.uint64(63) - s)) << np.uint64(1)
                    value = low + step * (((words[w] >> s) | upper) & mask)
                    total += value
                    if place[f] >= 0:
                        whole[to] = value
                        to += np.uint64(1)
                    here += width
                sums[f] = np.int64(total)
            bit += n * size
            at[f] += n if place[f] >= 0 else 0


def _pack(
    data: Array, place: Array, events: int, layout: Layout, words: Array
) -> int:  # pragma: no cover - compiled
    fields = len(layout.parent)
    sums = np.zeros(fields, dtype=np.int64)
    at = place.copy()
    bit = 0
    for _ in range(events):
        for f in range(fields):
            n = 1 if layout.parent[f] < 0 else sums[layout.parent[f]]
            size = layout.size[f]
            total = np.uint64(0)
            for _ in range(n):
                datum = data[at[f]]
                at[f] += 1
                total += layout.low[f] + layout.step[f] * datum
                if size > 0:
                    w, s = bit >> 6, bit & 63
                    words[w] |= datum << np.uint64(s)
                    if s + size > 64:
                        words[w + 1] |= datum >> np.uint64(64 - s)
                    bit += size
            if layout.counts[f]:
                sums[f] = np.int64(total)
    return bit
