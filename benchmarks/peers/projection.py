"""Projections by py-sphviewer2 and swiftsimio, one for each line read, where these are installed.

``python projection.py sphviewer2|swiftsimio FILE OUT THREADS``: the cloud of an ``.npz`` file, whose ``x, y``
and ``support`` are in units of the map. Once warm it writes the map, mass per pixel, to ``OUT`` and prints a
zero; then, for every line on its input, the wall-clock and CPU seconds of one projection.
"""

from __future__ import annotations

import sys
import time

import numpy as np


def sphviewer2(cloud, threads):
    """Return a step that gives the map."""
    import sphviewer2

    x, y = cloud["x"], cloud["y"]
    levels = int(np.log2(cloud["pixels"]))

    def step():
        image, _ = sphviewer2.render(
            x, y, np.full(len(x), 0.5), cloud["support"], cloud["mass"], Lbox=1.0, periodic=False,
            r_max=levels, num_threads=threads,
        )  # fmt: skip
        return image

    return step


def swiftsimio(cloud, threads):
    """Return a step that gives the map by the backend ``subsampled``."""
    from swiftsimio.visualisation.projection_backends.kernels import kernel_gamma
    from swiftsimio.visualisation.projection_backends.subsampled import scatter

    hsml, N = cloud["support"] / kernel_gamma, int(cloud["pixels"])
    x, y, mass = cloud["x"], cloud["y"], cloud["mass"].astype(np.float32)

    def step():
        return scatter(x, y, mass, hsml.astype(np.float32), N).T / N**2

    return step


def main(which: str, file: str, out: str, threads: int) -> None:
    """Answer every line of the input with one timed projection."""
    cloud = dict(np.load(file))
    step = {"sphviewer2": sphviewer2, "swiftsimio": swiftsimio}[which](cloud, threads)
    step()
    np.save(out, step())
    print(0, flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
