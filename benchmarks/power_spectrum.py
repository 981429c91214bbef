"""The power spectrum of 256² maps in single precision, batched, against Pylians and powerbox.

All three first have to agree on the same maps, in the rings one fundamental mode wide. What makes ours fast:
one real transform in single precision, a few maps at a time so that they stay in the processor's cache; rings
sorted once; a product with a sparse matrix sums all of them; on a quiet machine, maps side by side on two
processors. The peers take one map at a time; Pylians' transform is given as many threads as ours.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import scipy.fft
from common import HERE, Row, ask, described, interpreter, is_busy, median_ratio, peer_process, row

from skyloom.statistics import power_spectrum

MAPS, N, BOX, TURNS = 64, 256, 1000.0, 9
PEERS = (
    ("Pylians", "pylians", "Pk_library", "pip install cython numpy Pylians", 4.0),
    ("powerbox", "powerbox", "powerbox", "pip install powerbox", 100.0),
)


def timed(maps: np.ndarray, threads: int) -> tuple[float, float]:
    """Measure our spectra once; return wall-clock and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    with scipy.fft.set_workers(threads):
        power_spectrum(maps, BOX, bins=N // 2 - 1)
    return time.perf_counter() - wall, time.process_time() - cpu


def in_turns_with(peer: object, ours: partial, threads: int) -> tuple[list[float], list[float]]:
    """Return the seconds of every turn, ours and the peer's; the first turn only warms."""
    clock = 1 if threads == 1 else 0
    pairs = [(ours()[clock], ask(peer)[clock]) for _ in range(TURNS + 1)][1:]
    return [a for a, _ in pairs], [b for _, b in pairs]


def compare(maps: np.ndarray, file: Path, threads: int, peer: tuple[str, str, str, str, float]) -> Row:
    """Take turns with one peer, or measure ours alone and say how to get it."""
    name, what, module, install, goal = peer
    title, per_map = f"P(k), {N}² maps, batch {MAPS}, float32, v {name}", 1e3 / MAPS
    ours = partial(timed, maps, threads)
    python = interpreter(module)
    if python is None:
        ours()
        alone = statistics.median(ours()[threads == 1] for _ in range(TURNS))
        note = f"{described(threads)}; not measured against {name}: .venv-bench/bin/{install}"
        return row(title, alone * per_map, None, None, "ms", note=note)
    with peer_process(python, HERE / "peers" / "fields.py", what, str(file), str(threads)) as (
        process,
        first,
    ):
        rings = N // 2 - 2  # ours counts Nyquist in the last ring
        expected = power_spectrum(maps[0], BOX, bins=N // 2 - 1).power[:rings]
        np.testing.assert_allclose(first[:rings], expected, rtol=1e-4)
        seconds = in_turns_with(process, ours, threads)
    return row(
        title,
        statistics.median(seconds[0]) * per_map,
        statistics.median(seconds[1]) * per_map,
        goal,
        "ms",
        ratio=median_ratio(*seconds),
        note=f"a map, median of {TURNS} turns, {described(threads)}",
    )


def run() -> list[Row]:
    """Compare with each peer."""
    threads = 1 if is_busy() else 2
    maps = np.random.default_rng(0).standard_normal((MAPS, N, N)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npy"
        np.save(file, maps)
        rows = []
        for peer in PEERS:
            print(f"  {peer[0]}", file=sys.stderr, flush=True)
            rows.append(compare(maps, file, threads, peer))
        return rows


if __name__ == "__main__":
    from common import table

    print(table(run()))
