"""Pack the Athena++ cubes of five cosmic-ray regimes into the shipped set ``cosmic-rays-athena``.

Usage: ``python scripts/pack_cosmic_rays.py FOLDER OUT``, where FOLDER holds ``<regime>_<run>.npz`` with
``density, time`` and ``Ec, B2, time_fields`` (float16, axes z, y, x), ``regime, run, seed``. Snapshots that
have all three fields are packed; without cosmic rays their energy is zero.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from skyloom import fields
from skyloom.fields import Label, store
from skyloom.runs import input_file

#: Regime, as the files name it: code and the class of Bustard & Wu (2024, arXiv:2402.03518).
REGIMES = {
    "mhd": (0, "MHD"),
    "advect": (1, "CR_Advect"),
    "diff": (2, "CR_Diff_Fiducial"),
    "diff100": (3, "CR_Diff100"),
    "stream": (4, "CR_withStreaming"),
}
MEANING = {
    "density": "gas density",
    "magnetic_energy": "magnetic energy density, B²/2",
    "E_c": "cosmic-ray energy density",
}


def main(folder: Path, out: Path) -> None:
    """Read every run and write one shard."""
    paths = sorted(folder.glob("*.npz"))
    rows: list[tuple[str, int, int, float]] = []
    cubes: dict[str, list[np.ndarray]] = {name: [] for name in MEANING}
    for path in paths:
        with np.load(path) as run:
            regime, name = str(run["regime"]), f"{run['regime']}-{int(run['run'])}"
            for place, time in enumerate(run["time_fields"]):
                density = run["density"][np.abs(run["time"] - time).argmin()]
                cubes["density"].append(density)
                cubes["magnetic_energy"].append((run["B2"][place].astype(np.float32) / 2).astype(np.float16))
                cubes["E_c"].append(run["Ec"][place] if "Ec" in run else np.zeros_like(density))
                rows.append((name, REGIMES[regime][0], int(run["seed"]), float(time)))
    runs, codes, seeds, times = zip(*rows, strict=True)
    ds = fields.build(
        {name: (np.stack(values), "", MEANING[name]) for name, values in cubes.items()},
        ids=[f"{run}-t{time:.1f}" for run, time in zip(runs, times, strict=True)],
        groups=runs,
        seeds=seeds,
        box_size=1.0,
        box_size_unit="",
        suite="Athena++",
        realism="simulation",
        labels={
            "transport": Label(
                codes, "parameter", "", "cosmic-ray transport", classes=dict(REGIMES.values())
            ),
            "time": Label(times, "label", "", "time, box side over sound speed"),
        },
        provenance={
            "inputs": [{**input_file(path), "path": path.name} for path in paths],
            "code": {"Athena++": "cosmic-ray fork, two-moment transport"},
            "seeds": sorted(set(seeds)),
        },
    ).assign_attrs(mean_field="x")
    store.write(ds, out, shard_size=ds.sizes["sample"], compression="blosc", dtype="float16")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
