"""The reader's batches against a raw read of the same contiguous bytes, and the augmentation of a batch.

The raw read knows nothing of shards: one flat file of the same bytes is mapped, and maps of it are copied
into a new array, as users of ``numpy.memmap`` do; the second peer reads by ``os.preadv``. All take sorted
batches of a shuffled epoch in turns, as training does, with the page cache warm; the median of the ratios
within a turn is given, in CPU time, so that other work on the machine does not count. At 64² a batch is one
megabyte and takes a tenth of a millisecond: there the calls are what is measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from common import Row, in_turns, median_ratio, row

from skyloom import fields
from skyloom.fields import store
from skyloom.loading import Augment, Channel

BATCH = 64
REPEATS = 51
GOAL = 0.9


def make(samples: int, size: int) -> tuple[np.ndarray, object]:
    """Return noise maps with long waves, and the field set of them."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(samples, size, size)).astype(np.float32).cumsum(axis=1, dtype=np.float32)
    names = [f"s{i:06d}" for i in range(samples)]
    ds = fields.build(
        {"T_b": (maps, "mK", "brightness temperature")},
        ids=names,
        groups=names,
        seeds=np.arange(samples),
        box_size=1.0,
        suite="noise",
        realism="toy",
    )
    return maps, ds


def reading(folder: Path, samples: int, size: int) -> list[Row]:
    """Return a row for each way in which maps are stored, and each raw read."""
    maps, ds = make(samples, size)
    flat = folder / "flat.bin"
    maps.tofile(flat)
    readers = {}
    for compression in ("none", "blosc"):
        store.write(ds, folder / compression, compression=compression)
        readers[compression] = store.Reader(folder / compression)
    del maps, ds
    mapped = np.memmap(flat, np.float32, "r", shape=(samples, size, size)).view(np.ndarray)
    descriptor = os.open(flat, os.O_RDONLY)
    rng = np.random.default_rng(1)
    step = 4 * size * size
    order = iter(())

    def rows() -> np.ndarray:
        """Return rows of a shuffled epoch; every doing of a turn takes the same number."""
        nonlocal order
        batch = next(order, None)
        if batch is None:
            shuffled = rng.permutation(samples)[: samples // BATCH * BATCH]
            order = iter(np.sort(shuffled.reshape(-1, BATCH), axis=1))
            batch = next(order)
        return batch

    def by_preadv() -> None:
        out = np.empty((BATCH, size, size), np.float32)
        target = memoryview(out.reshape(-1)).cast("B")
        for place, here in enumerate(rows().tolist()):
            os.preadv(descriptor, [target[place * step : (place + 1) * step]], here * step)

    doings = [
        lambda: readers["none"].read("T_b", rows()),
        lambda: readers["blosc"].read("T_b", rows()),
        lambda: mapped[rows()],
        by_preadv,
    ]
    everything = np.arange(samples)
    for reader in readers.values():  # all pages mapped, as after the first epoch
        reader.read("T_b", everything)
    mapped.max()
    contiguous, packed, raw, pread = in_turns(doings, REPEATS, time.process_time)
    os.close(descriptor)

    def speed(seconds: list[float]) -> float:
        return BATCH * step / statistics.median(seconds) / 1e6

    note = f"{BATCH} random maps of {size}² from {samples}, median of {REPEATS} turns, CPU time"
    return [
        row(f"read {size}², contiguous, against a memory map", speed(contiguous), speed(raw), GOAL, "MB/s",
            ratio=median_ratio(contiguous, raw), note=note),
        row(f"read {size}², contiguous, against preadv", speed(contiguous), speed(pread), GOAL, "MB/s",
            ratio=median_ratio(contiguous, pread), note=note),
        row(f"read {size}², blosc, against a memory map", speed(packed), speed(raw), None, "MB/s",
            ratio=median_ratio(packed, raw), note=note),
    ]  # fmt: skip


def augmenting() -> Row:
    """Return the time to roll, flip and turn a batch; the peer is one copy of it."""
    maps = np.random.default_rng(0).normal(size=(BATCH, 1, 64, 64)).astype(np.float32)
    augment = Augment([Channel("T_b")], (64, 64), True, kinds=["roll", "flip", "turn"])
    numbers = np.arange(BATCH)
    ours, copy = in_turns([lambda: augment(maps, numbers, 0), maps.copy], REPEATS, time.process_time)
    return row(
        "roll, flip and turn 64 × 1 × 64², against a copy",
        1e3 * statistics.median(ours),
        1e3 * statistics.median(copy),
        None,
        "ms",
        note=f"median of {REPEATS} turns, CPU time",
    )


def run() -> list[Row]:
    """Return the rows of this benchmark."""
    rows = []
    for samples, size in ((4000, 64), (600, 256)):
        with tempfile.TemporaryDirectory() as folder:
            rows += reading(Path(folder), samples, size)
    return [*rows, augmenting()]


if __name__ == "__main__":
    for line in run():
        print(line)
