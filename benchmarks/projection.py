"""Particles per second of the projection against py-sphviewer2 and swiftsimio's subsampled backend.

The cloud is a Plummer sphere of 200,000 particles on 512² pixels, each as wide as the distance to its 32nd
neighbour: 3 to 80 pixels. The error of every map is its root mean square difference from a projection on
2048² pixels by ``exact``, added up, over the root mean square of that map, at equal mass. Ours draws the
peer's kernel, and both are held against it: Epanechnikov's for py-sphviewer2 (found from its map of one
particle) and Wendland's C2 for swiftsimio.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from common import HERE, Row, ask, interpreter, median_ratio, peer_process, row

from skyloom.fields.particles import deposit, neighbour_radius

N, PARTICLES = 512, 200_000
TURNS = {"sphviewer2": 9, "swiftsimio": 2}
GOALS = {"sphviewer2": 1.5, "swiftsimio": 20.0}
KERNELS = {"sphviewer2": "epanechnikov", "swiftsimio": "wendland"}
PACKAGES = {"sphviewer2": "py-sphviewer2", "swiftsimio": "swiftsimio"}


def cloud() -> dict[str, np.ndarray]:
    """Return a Plummer sphere of scale 0.1 in a map of side 1, cut at the map's edge."""
    rng = np.random.default_rng(1)
    r = 0.1 / np.sqrt((0.97 * rng.random(PARTICLES)) ** (-2 / 3) - 1)
    direction = rng.standard_normal((PARTICLES, 3))
    places = direction / np.linalg.norm(direction, axis=1)[:, None] * r[:, None]
    places = places[(np.abs(places) < 0.4).all(axis=1)]
    support = neighbour_radius(places, neighbours=32)
    mass = np.ones(len(places))
    return {"x": places[:, 0] + 0.5, "y": places[:, 1] + 0.5, "support": support, "mass": mass, "pixels": N}


def ours(what: dict[str, np.ndarray], way: str, kernel: str, pixels: int = N) -> np.ndarray:
    """Return the map on one thread."""
    places = np.stack([what["x"], what["y"]], axis=1) * pixels
    return deposit(
        places, what["support"] * pixels, what["mass"],
        pixels=pixels, kernel=kernel, way=way, threads=1,
    )  # fmt: skip


def error(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the relative root mean square difference, at equal mass."""
    image = image * truth.sum() / image.sum()
    return float(np.sqrt(((image - truth) ** 2).sum() / (truth**2).sum()))


def timed(what: dict[str, np.ndarray], way: str, kernel: str) -> float:
    """Return the CPU seconds of one map."""
    began = time.process_time()
    ours(what, way, kernel)
    return time.process_time() - began


def run() -> list[Row]:
    """Compare both ways with both peers, on one thread each."""
    what = cloud()
    n, rows = len(what["x"]), []
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "cloud.npz", Path(folder) / "map.npy"
        np.savez(file, **what)
        for peer_name, goal in GOALS.items():
            python, kernel = interpreter(peer_name), KERNELS[peer_name]
            truth = ours(what, "exact", kernel, 4 * N).reshape(N, 4, N, 4).sum(axis=(1, 3))
            errors = {way: error(ours(what, way, kernel), truth) for way in ("exact", "nested")}
            if python is None:
                note = f"not measured: .venv-bench/bin/pip install {PACKAGES[peer_name]}"
                rows.append(
                    row(
                        f"projection v {peer_name}",
                        n / timed(what, "nested", kernel),
                        None,
                        None,
                        "/s",
                        note=note,
                    )
                )
                continue
            script = HERE / "peers" / "projection.py"
            with peer_process(python, script, peer_name, str(file), str(out), "1") as (peer, _):
                theirs = error(np.load(out), truth)
                turns = [
                    (timed(what, "nested", kernel), timed(what, "exact", kernel), ask(peer)[1])
                    for _ in range(TURNS[peer_name])
                ]
            for which, way, aim in ((0, "nested", goal), (1, "exact", None)):
                mine, peers = [turn[which] for turn in turns], [turn[2] for turn in turns]
                rows.append(
                    row(
                        f"projection, {way}, v {PACKAGES[peer_name]}",
                        n / statistics.median(mine),
                        n / statistics.median(peers),
                        aim,
                        "particles/s",
                        ratio=median_ratio(mine, peers),
                        note=f"CPU, 1 thread; rms error {errors[way]:.1e}, peer's {theirs:.1e}",
                    )
                )
    return rows


if __name__ == "__main__":
    from common import table

    print(table(run()))
