"""Making and importing field sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from skyloom import formats, registry
from skyloom.api.progress import counting
from skyloom.fields import store
from skyloom.fields.packing import pack
from skyloom.formats.inspect import Summary, summarise


def make(
    source: dict[str, Any],
    folder: Path,
    *,
    workers: int | None = None,
    compression: str = "none",
    dtype: str | None = None,
    keep: dict[str, int | None] | None = None,
    progress: str | None = None,
) -> Path:
    """Run a simulator and write its field set.

    Args:
        source: Name and arguments of the simulator, as in a recipe.
        folder: Where the set goes; simulations that lie there already are kept.
        workers: Processes; one per core if not given.
        compression: ``none``, ``blosc`` or ``deflate``. With this, ``dtype`` or ``keep``, the simulations go
            to ``<folder>.simulations`` and are packed into one shard in ``folder``.
        dtype: ``float16`` or ``float32``; the simulator's own if not given.
        keep: Fields to keep, each with its number of mantissa bits (``None``: all); every field if not given.
        progress: ``quiet`` for no bar.

    Returns:
        ``folder``.
    """
    simulator = registry.build(source, "simulator")
    packed = compression != "none" or dtype is not None or keep is not None
    made = folder.with_name(folder.name + ".simulations") if packed else folder
    with counting("simulations", progress) as count:
        simulator.simulate(made, workers=workers or os.cpu_count() or 1, progress=count)
    if packed:
        ds = store.open(made)
        if keep is not None:
            ds = pack(ds, keep, dtype=dtype or "float32")
        store.write(ds, folder, shard_size=ds.sizes["sample"], compression=compression, dtype=dtype)
    return folder


def import_(
    path: Path,
    folder: Path,
    *,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    progress: str | None = None,
) -> Path:
    """Read a native file and write it as a field set.

    Args:
        path: File or folder.
        folder: Where the set goes; an interrupted import goes on.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.
        progress: ``quiet`` for no bar.

    Returns:
        ``folder``.
    """
    with counting("shards", progress) as count:
        store.write(formats.read(path, format=format, **(options or {})), folder, progress=count)
    return folder


def inspect(path: Path, *, format: str | None = None) -> Summary:
    """Return what a file or field set holds; ``text()`` is the page."""
    return summarise(formats.read(path, format=format))
