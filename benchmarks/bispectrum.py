"""The bispectrum of a 128³ cube at ten angles against Pylians, which has to give the same numbers.

Both count triangles anew: what ours keeps between calls is thrown away before each, and shown as a second row
with it kept, as it is when many cubes are measured. What makes ours fast: the shells' fields stand on the
smallest grid on which no triangle closes across the edge, and equal shells are transformed once.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from common import HERE, Row, ask, interpreter, median_ratio, peer_process, row

from skyloom.statistics import isosceles, three_point
from skyloom.statistics.three_point import bispectrum

N, BOX, K, ANGLES, TURNS = 128, 1000.0, 0.15, 10, 5
INSTALL = ".venv-bench/bin/pip install cython numpy Pylians"
TRIANGLES = isosceles(K, np.pi * (np.arange(ANGLES) + 0.5) / ANGLES)


def timed(cube: np.ndarray, kept: bool) -> float:
    """Return the CPU seconds of one call."""
    if not kept:
        three_point._counts.cache_clear()
    began = time.process_time()
    bispectrum(cube, BOX, TRIANGLES, dims=3)
    return time.process_time() - began


def run() -> list[Row]:
    """Compare with Pylians, on one thread each."""
    cube = np.random.default_rng(0).standard_normal((N, N, N)).astype(np.float32)
    title, note = f"bispectrum, {N}³, {ANGLES} angles, float32, v Pylians", "CPU seconds, 1 thread"
    python = interpreter("Pk_library")
    if python is None:
        alone = statistics.median(timed(cube, kept=False) for _ in range(TURNS))
        note += f"; not measured against Pylians: {INSTALL}"
        return [row(title, 1e3 * alone, None, None, "ms", note=note)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cube.npy"
        np.save(file, cube)
        with peer_process(python, HERE / "peers" / "fields.py", "bispectrum", str(file), "1") as (peer, B):
            ours = bispectrum(cube, BOX, TRIANGLES, dims=3).B
            np.testing.assert_allclose(B, ours, atol=1e-3 * np.abs(ours).max())
            turns = [(timed(cube, False), timed(cube, True), ask(peer)[1]) for _ in range(TURNS)]
    rows = []
    for which, what in ((0, ""), (1, ", triangles counted before")):
        seconds = [turn[which] for turn in turns], [turn[2] for turn in turns]
        rows.append(
            row(
                title + what,
                1e3 * statistics.median(seconds[0]),
                1e3 * statistics.median(seconds[1]),
                1.0,
                "ms",
                ratio=median_ratio(*seconds),
                note=f"median of {TURNS} turns, {note}",
            )
        )
    return rows


if __name__ == "__main__":
    from common import table

    print(table(run()))
