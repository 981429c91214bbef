"""Real CMD map 0 beside maps that an emulator draws: gas, neutral hydrogen, magnetic field.

python scripts/draw_beside_camels.py RUN ../shared/data/camels beside.png

The real maps are known by their logarithm scaled to [0, 1] alone: so every map is scaled, by its own range.
They are averaged to the pixels of the run, as logarithms. The samples stand at the parameters of map 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import skyloom

FIELDS = {"Mgas": "gas", "HI": "neutral hydrogen", "B": "magnetic field"}
PARAMETERS = ("Omega_m", "sigma_8", "A_SN1", "A_AGN1", "A_SN2", "A_AGN2")
SAMPLES = 3


def scaled(values: np.ndarray) -> np.ndarray:
    """Return a map scaled to [0, 1] by its own range."""
    return (values - values.min()) / np.ptp(values)


def real(folder: Path, field: str, size: int) -> np.ndarray:
    """Return the real map at so many pixels along a side."""
    values = np.load(folder / f"CMD_IllustrisTNG_LH_map0_{field}_log10_minmax_8bit.npy").astype(float)
    step = len(values) // size
    return scaled(values.reshape(size, step, size, step).mean(axis=(1, 3)))


def main(run: Path, folder: Path, target: Path) -> None:
    """Draw the figure."""
    emulator = skyloom.load_run(run)
    first = np.loadtxt(folder / "params_LH_IllustrisTNG.txt", max_rows=1)
    point = dict(zip(PARAMETERS, first[:6].tolist(), strict=True))
    drawn = emulator.sample({name: point[name] for name in emulator.task.names}, SAMPLES, seed=0)
    size = drawn.sizes["x"]
    figure = Figure(figsize=(2 * (SAMPLES + 1), 6.4), layout="constrained")
    for row, (field, title) in zip(figure.subplots(len(FIELDS), SAMPLES + 1), FIELDS.items(), strict=True):
        maps = [real(folder, field, size), *map(scaled, np.log10(drawn[field].values))]
        for place, (ax, values) in enumerate(zip(row, maps, strict=True)):
            ax.imshow(values, cmap="inferno", origin="lower")
            ax.set(xticks=[], yticks=[])
            if field == "Mgas":
                ax.set_title("CMD map 0" if place == 0 else f"sample {place}")
        row[0].set_ylabel(f"log {title}, scaled")
    figure.savefig(target, dpi=120)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
