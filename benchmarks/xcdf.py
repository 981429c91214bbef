"""Events a second out of an XCDF file: against a decoder in plain Python, and against the reference library.

The file is synthetic, of the make of HAWC's: 20,000 events, 15 scalar fields, three vector fields of 90 hits
on average, blocks of 1000 events; once as version 3, deflated, and once as version 2, which never is. Noise
hardly deflates, so zlib, which both sides call, is more than half of our time in version 3. Ours reads all
fields; the plain decoder does the same with integers and lists, with nothing in its loop that could stand
outside of it; it is given the first block only, and has to find the same values. The reference library's own
binding is asked for every event, in an interpreter that has it.
"""

from __future__ import annotations

import os
import statistics
import struct
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from common import HERE, Row, ask, interpreter, is_busy, peer_process, row

from skyloom.formats.xcdf import Field, File, write
from skyloom.formats.xcdf.records import pun

EVENTS, BLOCK, HITS, SCALARS, TURNS = 20_000, 1000, 90, 14, 5
VERSIONS: tuple[Literal[2, 3], ...] = (3, 2)
INSTALL = (
    "build github.com/jimbraun/XCDF with its Python binding and name the interpreter in SKYLOOM_BENCH_PYTHON"
)


def make(path: Path, version: Literal[2, 3]) -> None:
    """Write the file."""
    rng = np.random.default_rng(0)
    n = rng.poisson(HITS, EVENTS)
    total = int(n.sum())
    fields = [Field("nHit", "uint"), Field("gridId", "uint", parent="nHit")]
    fields += [Field(f"rec.{i}", "float", 1e-4) for i in range(SCALARS)]
    fields += [Field("charge", "float", 0.01, "nHit"), Field("time", "float", 0.1, "nHit")]
    scalars = {f"rec.{i}": rng.normal(i, 1, EVENTS) for i in range(SCALARS)}
    vectors = {
        "gridId": (rng.integers(1, 1201, total), n),
        "charge": (rng.lognormal(1, 1.5, total), n),
        "time": (rng.normal(0, 100, total), n),
    }
    write(path, fields, {"nHit": n, **scalars, **vectors}, version=version)


def plain(path: Path, fields: list[Field]) -> dict[str, list[float]]:
    """Decode the first block of a file without NumPy."""
    raw, at = path.read_bytes(), 0
    out: dict[str, list[float]] = {field.name: [] for field in fields}
    kind, data, head = 0, b"", b""
    while kind != 0x37DF239D:
        head = data
        kind, size, _ = struct.unpack_from("<III", raw, at)
        start, deflated = at + 12, kind == 0x7E4A26B7
        if deflated:
            kind, start = struct.unpack_from("<I", raw, at + 12)[0], at + 16
        data, at = raw[start : start + size], start + size
        data = zlib.decompress(data) if deflated else data
    (count,) = struct.unpack_from("<I", head)
    layout = [struct.unpack_from("<QB", head, 8 + 9 * i) for i in range(len(fields))]
    lows = [
        low if f.kind == "uint" else pun("float", low) for f, (low, _) in zip(fields, layout, strict=True)
    ]
    packed = [(f, out[f.name], low, bits) for f, low, (_, bits) in zip(fields, lows, layout, strict=True)]
    data, bit = data + bytes(16), 0
    for _ in range(count):
        hits = 1
        for field, values, low, bits in packed:
            mask, step = (1 << bits) - 1, field.resolution
            for _ in range(hits if field.parent else 1):
                word = int.from_bytes(data[bit >> 3 : (bit >> 3) + 9], "little")
                values.append(low + step * ((word >> (bit & 7)) & mask))
                bit += bits
            if field.name == "nHit":
                hits = int(values[-1])
    return out


def timed(do: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the median seconds of a few calls."""
    seconds = []
    for _ in range(TURNS):
        began = clock()
        do()
        seconds.append(clock() - began)
    return statistics.median(seconds)


def run() -> list[Row]:
    """Compare with both."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for version in VERSIONS:
            path = Path(folder) / f"events{version}.xcd"
            make(path, version)
            file = File(path)
            fields = list(file.fields.values())
            ours, theirs = file.read(stop=BLOCK), plain(path, fields)  # compiles the kernels
            for name, values in ours.items():
                np.testing.assert_array_equal(
                    values[0] if isinstance(values, tuple) else values, theirs[name]
                )
            slow = BLOCK / timed(partial(plain, path, fields), time.process_time)
            rate = EVENTS / timed(partial(file.read, threads=1), time.process_time)
            title = f"XCDF version {version}, {path.stat().st_size / 1e6:.0f} MB, all fields"
            note = f"{EVENTS:,} events, CPU seconds, 1 thread, median of {TURNS}"
            rows.append(row(f"{title}, v plain Python", rate, slow, 100, "events/s", note=note))
            if (threads := os.cpu_count() or 1) > 1 and not is_busy():
                rate = EVENTS / timed(file.read, time.perf_counter)
                note = f"{EVENTS:,} events, wall clock, {threads} threads, median of {TURNS}"
                rows.append(row(f"{title}, {threads} threads", rate, None, None, "events/s", note=note))
        rows.append(against_library(path))
    return rows


def against_library(path: Path) -> Row:
    """Compare with the reference library where there is an interpreter that has it."""
    file = File(path)
    rate = EVENTS / timed(partial(file.read, threads=1), time.process_time)
    title, note = (
        "XCDF version 2, all fields, v reference library",
        f"{EVENTS:,} events, CPU seconds, 1 thread",
    )
    python = interpreter("xcdf")
    if python is None:
        return row(title, rate, None, None, "events/s", note=f"{note}; not measured: {INSTALL}")
    with peer_process(python, HERE / "peers" / "xcdf_library.py", str(path)) as (peer, first):
        np.testing.assert_equal(first, [float(EVENTS), float(np.sum(file.read(["nHit"])["nHit"]))])
        library = EVENTS / statistics.median(ask(peer)[1] for _ in range(TURNS))
    return row(title, rate, library, None, "events/s", note=note)


if __name__ == "__main__":
    from common import table

    print(table(run()))
