"""Statistics of fields by Pylians and powerbox, one step for each line read, where these are installed.

``python fields.py powerbox|pylians|bispectrum FILE THREADS``: the spectra of the maps of a ``.npy`` file, or
the bispectrum of a cube at the angles of ``bispectrum.py``. Once warm it prints the result of the first map,
or of all angles; then, for every line on its input, the wall-clock and CPU seconds of one step.
"""

from __future__ import annotations

import contextlib
import io
import math
import sys
import time
import warnings

import numpy as np

BOX, K, ANGLES = 1000.0, 0.15, 10


def spectra(maps, threads):
    """Return the power of the first map by Pylians, in its bins."""
    import Pk_library

    powers = [Pk_library.Pk_plane(m, BOX, "None", threads, verbose=False).Pk for m in maps]
    return powers[0]


def boxed(maps, threads):
    """Return the power of the first map by powerbox, in rings one fundamental mode wide."""
    from powerbox import get_power

    # A hair lower, so that rounding puts no mode of an edge below it.
    edges = 2 * math.pi / BOX * np.arange(1, maps.shape[-1] // 2 + 1) * (1 - 1e-9)
    powers = [get_power(m, BOX, bins=edges, bins_upto_boxlen=True).power for m in maps]
    return powers[0]


def bispectra(cube, threads):
    """Return the bispectrum of a cube by Pylians."""
    import Pk_library

    theta = math.pi * (np.arange(ANGLES) + 0.5) / ANGLES
    with contextlib.redirect_stdout(io.StringIO()):
        return Pk_library.Bk(cube, BOX, K, K, theta, "None", threads).B


def main(what: str, file: str, threads: int) -> None:
    """Answer every line of the input with one timed step."""
    do = {"powerbox": boxed, "pylians": spectra, "bispectrum": bispectra}[what]
    values = np.load(file)
    warnings.simplefilter("ignore")
    print(*do(values, threads), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        do(values, threads)
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
