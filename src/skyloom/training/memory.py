"""Keeping memory between steps: a CPU training step of a large network without its page faults.

The C library hands large freed blocks back to the system and asks for them anew. Every step of a network with
large activations or gradients then waits for the system to clear gigabytes of pages: for the tutorial's VGG
(167 million weights, 200 × 200 maps) a quarter of the step. While `kept_memory` is entered, freed blocks stay
with the process and the next step finds them warm. Only glibc is asked; elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Options of glibc's mallopt(3) and their defaults.
TRIM_THRESHOLD, DEFAULT_TRIM = -1, 128 * 1024
MMAP_MAX, DEFAULT_MMAP_MAX = -4, 65536
NEVER = -1


@contextmanager
def kept_memory() -> Iterator[bool]:
    """Keep freed memory in the process until the end of the block, then give it back.

    Yields:
        Whether the C library can be asked.

    Example:
        >>> with kept_memory() as kept:
        ...     type(kept).__name__
        'bool'
    """
    library = _glibc()
    if library is None:
        yield False
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield True
    finally:
        library.mallopt(MMAP_MAX, DEFAULT_MMAP_MAX)
        library.mallopt(TRIM_THRESHOLD, DEFAULT_TRIM)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library of this process where it is glibc."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
