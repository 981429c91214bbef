"""The rates of this machine, and what a thousand 512³ snapshots and the CAMELS maps cost at them.

python scripts/measure_scale.py [--cores 64] [--disk 2.0]

CPU seconds of one thread, so that other work on the machine does not count; what a disk and a network take is
not measured but asked for (``--disk``, GB/s that all cores share). Everything is in the page cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import torch

from skyloom import fields, registry
from skyloom.fields import store
from skyloom.fields.project import cut
from skyloom.formats.athena import Athena

GB = 1e9
N, BLOCK = 256, 64  # of the snapshot that is cut
SIDE = 256  # of the maps of everything else, pixels
MAPS = 64
CAMELS = {"suites": 3, "fields": 13, "maps": 15_000, "side": 256}  # Latin hypercubes at redshift 0
SNAPSHOTS = {"number": 1000, "fields": 3, "side": 512, "maps": 64}  # slices kept of each cube
EPOCHS, FIELDS = 100, 3


def seconds(doing: Callable[[], object], turns: int = 3) -> float:
    """Return the CPU seconds of the quickest of some turns, after one that warms up."""
    doing()
    found = []
    for _ in range(turns):
        began = time.process_time()
        doing()
        found.append(time.process_time() - began)
    return min(found)


def snapshot(path: Path) -> None:
    """Write an Athena++ snapshot of noise, one variable."""
    side = N // BLOCK
    places = [(x, y, z) for z in range(side) for y in range(side) for x in range(side)]
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("prim", (1, len(places), BLOCK, BLOCK, BLOCK), np.float32)
        for block in range(len(places)):
            data[0, block] = rng.random((BLOCK,) * 3, dtype=np.float32) + 0.5
        file["Levels"] = np.zeros(len(places), ">i4")
        file["LogicalLocations"] = np.array(places, ">i8")
        file.attrs.update(
            Coordinates=np.bytes_(b"cartesian"),
            DatasetNames=np.array(["prim"], dtype="S21"),
            VariableNames=np.array(["rho"], dtype="S21"),
            NumVariables=np.array([1], dtype=">i4"),
            MaxLevel=np.int32(0),
            MeshBlockSize=np.array([BLOCK] * 3, dtype=">i4"),
            NumMeshBlocks=np.int32(len(places)),
            RootGridSize=np.array([N] * 3, dtype=">i4"),
            Time=np.float32(0),
        )
        for axis in (1, 2, 3):
            file.attrs[f"RootGridX{axis}"] = np.array([0.0, 1.0, 1.0], dtype=np.float32)


def import_rates(folder: Path) -> dict[str, float]:
    """Return GB/s of cutting every slice of a cube, and of writing maps with their digests."""
    snapshot(folder / "turb.out1.00000.athdf")
    ds = Athena(path=str(folder / "turb.out1.00000.athdf"), across="z").read()
    maps = cut(ds, kind="slice", axes=["z"], count=N)

    def cutting() -> None:
        for first in range(0, N, BLOCK):
            maps["density"][first : first + BLOCK].compute(scheduler="synchronous")

    rng = np.random.default_rng(1)
    waves = rng.normal(size=(4 * MAPS, SIDE, SIDE)).astype(np.float32).cumsum(axis=1, dtype=np.float32)
    names = [f"s{i}" for i in range(len(waves))]
    about = {"ids": names, "groups": names, "seeds": np.arange(len(waves)), "box_size": 1.0}
    ds = fields.build({"d": (waves, "", "noise")}, suite="noise", realism="toy", **about)
    rates = {"cut": 4 * N**3 / GB / seconds(cutting)}
    for name in ("none", "blosc"):
        count = iter(range(9))  # a new folder each time

        def writing(name: str = name, count: Iterator[int] = count) -> None:
            store.write(ds, folder / f"{name}-{next(count)}", compression=name)

        rates[f"write {name}"] = waves.nbytes / GB / seconds(writing, turns=2)
    reader, rows = store.Reader(folder / "none-0"), np.sort(rng.choice(len(waves), MAPS, replace=False))
    rates["read"] = 4 * MAPS * SIDE**2 / GB / seconds(lambda: reader.read("d", rows), turns=9)
    return rates


def step_cost(method_name: str, net: dict[str, object]) -> float:
    """Return the CPU seconds that a map of 256² with three fields takes in a training step."""
    method = registry.build({"name": method_name, "net": net}, "method", data=(FIELDS, 3, SIDE))
    maps = torch.randn(4, FIELDS, SIDE, SIDE)
    targets = torch.randn(4, 3, SIDE, SIDE) if method_name == "regression" else torch.randn(4, 3)
    optimiser = torch.optim.AdamW(method.parameters())

    def step() -> None:
        optimiser.zero_grad()
        method.losses(maps, targets)[0].backward()
        optimiser.step()

    return seconds(step, turns=2) / len(maps)


def step_costs() -> dict[str, float]:
    """Return the cost of a map in training, for the networks of three tasks."""
    return {
        "ResNet": step_cost("moments", {"name": "resnet", "width": 16, "blocks": [1, 1, 1]}),
        "U-Net": step_cost("regression", {"name": "unet", "width": 16, "depth": 4}),
        "flow matching": step_cost(
            "flow_matching", {"name": "unet", "width": 24, "multiples": [1, 2, 3], "patch": 2}
        ),
    }


def report(rates: dict[str, float], costs: dict[str, float], cores: int, disk: float) -> None:
    """Print rates, and the bill."""
    sys.stdout.write("| rate, one core | |\n|---|---:|\n")
    for name, rate in rates.items():
        sys.stdout.write(f"| {name} | {rate:.2f} GB/s |\n")
    for name, cost in costs.items():
        sys.stdout.write(f"| training, {name}, a map of {SIDE}² | {cost:.3f} s |\n")
    cubes = SNAPSHOTS["number"] * SNAPSHOTS["fields"] * SNAPSHOTS["side"] ** 3 * 4 / GB
    slices = SNAPSHOTS["number"] * SNAPSHOTS["maps"]
    kept = slices * SNAPSHOTS["fields"] * SNAPSHOTS["side"] ** 2 * 4 / GB
    per_suite = CAMELS["fields"] * CAMELS["maps"] * CAMELS["side"] ** 2 * 4 / GB
    bill = [
        ("a thousand 512³ snapshots", cubes, kept, slices, (SNAPSHOTS["side"] / SIDE) ** 2),
        ("CAMELS, one suite", per_suite, per_suite, CAMELS["maps"], 1.0),
        ("CAMELS, three suites", 3 * per_suite, 3 * per_suite, 3 * CAMELS["maps"], 1.0),
    ]
    sys.stdout.write(
        "\n| | in [GB] | kept [GB] | import [core h] | by the disk [h] | all cores [h] |"
        + "".join(f" {name}, {EPOCHS} epochs [core h] |" for name in costs)
        + "\n|---|---:|---:|---:|---:|---:|"
        + "---:|" * len(costs)
        + "\n"
    )
    for name, read, kept_here, maps, pixels in bill:
        work = (read / rates["cut"] + kept_here / rates["write none"]) / 3600
        flow = (read + kept_here) / disk / 3600
        trained = [maps * pixels * EPOCHS * cost / 3600 for cost in costs.values()]
        cells = [f"{read:.0f}", f"{kept_here:.0f}", f"{work:.1f}", f"{flow:.2f}"]
        cells += [f"{max(work / cores, flow):.2f}", *(f"{hours:,.0f}" for hours in trained)]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=64)
    parser.add_argument("--disk", type=float, default=2.0, help="GB/s that all cores share")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rates = import_rates(Path(folder))
    report(rates, step_costs(), given.cores, given.disk)


if __name__ == "__main__":
    main()
