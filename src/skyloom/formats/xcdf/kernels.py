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
    size: Array
    """Bits of a datum, int64."""
    low: Array
    """Smallest value, raw, uint64."""
    step: Array
    """Resolution of unsigned fields, uint64."""
    counts: Array
    """Whether the field is the parent of another, booleans."""


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
        ``most`` data (``TOO_MANY``); ``unpack(words, events, layout, place, out)`` writes the data of every
        field from ``place`` on (not where it is negative); ``pack(data, place, events, layout, words)``
        is its inverse, into words of zeros, and returns the bits.

    Example:
        >>> one = Layout(*(np.array([n], t) for n, t in zip((-1, 3, 0, 1, 0), ("i8", "i8", "u8", "u8", "?"))))
        >>> words = np.zeros(2, "u8")
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
    words: Array, events: int, layout: Layout, place: Array, out: Array
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
            total = np.uint64(0)
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
                total += layout.low[f] + layout.step[f] * datum
                if place[f] >= 0:
                    out[at[f]] = datum
                    at[f] += 1
            sums[f] = np.int64(total)


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
