"""Cutting a 512³ Athena++ snapshot into slices: its time against a plain read, and the memory it adds.

The script writes a synthetic snapshot of that size (512 meshblocks of 64³, one variable, 537 MB). The peer
reads the same dataset once, 64 blocks at a time into new arrays, which is all that HDF5 has to do. Ours gives
every slice along z, first only computed, then written as a field set, the digest of the input included. Each
side runs in a process of its own, whose peak memory is compared with that before the work; CPU seconds are
taken, and all runs find the page cache warm.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from common import Row, row

N, BLOCK = 512, 64
TURNS = 3

_COMMON = """
import json, resource, sys, time
import h5py, numpy as np
from pathlib import Path
from skyloom.fields import store
from skyloom.fields.project import cut
from skyloom.formats.athena import Athena
import dask.array
def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dask.array.zeros(1).compute(scheduler="synchronous")  # what is imported once is no part of the work
before, began = peak(), time.process_time()
"""
_DOINGS = {
    "plain": """
with h5py.File(sys.argv[1]) as file:
    data = file["prim"]
    for first in range(0, data.shape[1], {block}):
        data[0, first : first + {block}]
""",
    "cut": """
ds = Athena(path=sys.argv[1], across="z").read()
began = time.process_time()
maps = cut(ds, kind="slice", axes=["z"], count={n})
for first in range(0, {n}, {block}):
    maps["density"][first : first + {block}].compute(scheduler="synchronous")
""",
    "written": """
maps = cut(Athena(path=sys.argv[1], across="z").read(), kind="slice", axes=["z"], count={n})
store.write(maps, Path(sys.argv[2]), shard_size={block})
""",
}


def write_snapshot(path: Path) -> None:
    """Write a snapshot of noise, block by block."""
    side = N // BLOCK
    places = [(x, y, z) for z in range(side) for y in range(side) for x in range(side)]
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("prim", (1, len(places), BLOCK, BLOCK, BLOCK), np.float32)
        for block in range(len(places)):
            data[0, block] = rng.random((BLOCK,) * 3, dtype=np.float32)
        file["Levels"] = np.zeros(len(places), ">i4")
        file["LogicalLocations"] = np.array(places, ">i8")
        file.attrs.update(
            Coordinates=np.bytes_(b"cartesian"), DatasetNames=np.array([b"prim"]),
            VariableNames=np.array([b"rho"]), NumVariables=np.array([1], ">i4"), MaxLevel=np.int32(0),
            MeshBlockSize=np.array([BLOCK] * 3, ">i4"), RootGridSize=np.array([N] * 3, ">i4"),
            Time=np.float32(0),
        )  # fmt: skip
        for axis in (1, 2, 3):
            file.attrs[f"RootGridX{axis}"] = np.array([0, 1, 1], np.float32)


def measure(doing: str, *arguments: str) -> tuple[float, float]:
    """Return seconds and bytes of peak memory added, in a process of its own."""
    code = _COMMON + _DOINGS[doing].format(n=N, block=BLOCK)
    code += "print(json.dumps([time.process_time() - began, peak() - before]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    seconds, added = json.loads(done.stdout.splitlines()[-1])
    return seconds, added


def run() -> list[Row]:
    """Return the rows of this benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder) / "turb.out1.00000.athdf"
        write_snapshot(snapshot)
        found: dict[str, list[tuple[float, float]]] = {doing: [] for doing in _DOINGS}
        for turn in range(TURNS):
            for doing, measured in found.items():
                measured.append(measure(doing, str(snapshot), str(Path(folder) / f"set{turn}")))
    seconds = {doing: float(np.median([s for s, _ in measured])) for doing, measured in found.items()}
    added = {doing: max(bytes_ for _, bytes_ in measured) / 2**30 for doing, measured in found.items()}
    note = f"{{:.2f}} GiB of memory added (goal ≤ 1), CPU seconds, median of {TURNS} turns"
    return [
        row(f"Athena++ {N}³ into slices, against a plain read", seconds["cut"], seconds["plain"], 1 / 1.5,
            "s", note=note.format(added["cut"])),
        row("the same, with digest and writing", seconds["written"], seconds["plain"], None,
            "s", note=note.format(added["written"])),
    ]  # fmt: skip
