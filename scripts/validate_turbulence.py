r"""How the simulator ``turbulence`` compares with Athena++ and with itself at other resolutions, as tables.

    skyloom make turbulence --out T32 --set simulations=10 --set 'times=[0.8,1.2]'
    skyloom make turbulence --out T64 --set size=64 --set simulations=2 --set 'regimes=[mhd,diff]' \
        --set 'times=[0.5,1.0]'
    python scripts/validate_turbulence.py T32 T64 --athena ../shared/data/turbulence/athena
    python scripts/validate_turbulence.py --cost 32

The shipped set ``cosmic-rays-athena`` is always a row of its own; ``--athena`` adds the snapshots of a folder
of ``.athdf`` files that hold more than the density. Every row is the mean over the last snapshot of every
run of a regime. ``P`` is the share of the power of the density in shells of wavenumber (waves a box); the
slope is that of the shell-summed power between k = 3 and k = N/8; ``last/before`` is the power in the last
tenth of shells over the tenth before it, above one where noise alternates from cell to cell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from skyloom.fields import store
from skyloom.formats.athena import Athena
from skyloom.formats.shipped import Shipped
from skyloom.simulate.turbulence import REGIMES, Turbulence
from skyloom.simulate.turbulence.evolve import evolve
from skyloom.statistics import power_spectrum

BANDS = ((1, 3), (3, 6), (6, 12), (12, 24))  # waves a box


def shells(cube: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return wavenumbers [waves a box] and the power summed over each shell of unit width."""
    N = cube.shape[-1]
    spectrum = power_spectrum(cube, 1.0, bins=N // 2 - 1, dims=3)
    k = spectrum.k / (2 * np.pi)
    return k, spectrum.power * k**2


def row(density: np.ndarray, energy: np.ndarray, magnetic: np.ndarray) -> list[float]:
    """Return the numbers of one snapshot."""
    k, power = shells(density)
    N = density.shape[-1]
    total = power.sum()
    bands = [float(power[(k >= low) & (k < high)].sum() / total) for low, high in BANDS]
    fit = (k >= 3) & (k <= max(N / 8, 6))
    slope = float(np.polyfit(np.log(k[fit]), np.log(power[fit]), 1)[0])
    # Where a tenth of a per cent of the power is left above: the scale on which the scheme dissipates.
    above = power[::-1].cumsum()[::-1] / total
    scale = float(np.interp(-1e-3, -above, k))
    tenth = max(1, N // 20)
    noise = float((power / k**2)[-tenth:].mean() / (power / k**2)[-2 * tenth : -tenth].mean())
    logs = np.log(density)
    return [
        float(density.std()), float(logs.std()), float(((logs - logs.mean()) ** 3).mean() / logs.std() ** 3),
        float(energy.std()), float(magnetic.mean()), *bands, slope, scale, noise,
    ]  # fmt: skip


HEAD = (
    "std of density", "std of ln density", "skewness of ln", "std of E_c", "mean B²/2",
    *(f"P {low}-{high}" for low, high in BANDS), "slope", "k of 0.1 %", "last/before",
)  # fmt: skip


def rows(ds: xr.Dataset, name: str) -> Iterator[str]:
    """Yield a line of the table for each regime of a set."""
    words = json.loads(ds["transport"].attrs["classes"])
    late = ds["time"].values == ds["time"].values.max()
    for code in np.unique(ds["transport"].values):
        chosen = ds.isel(sample=np.flatnonzero(late & (ds["transport"].values == code))).load()
        values = [
            row(
                *(np.asarray(chosen[field][i], np.float64) for field in ("density", "E_c", "magnetic_energy"))
            )
            for i in range(chosen.sizes["sample"])
        ]
        yield line(
            f"{name}, {words[str(int(code))]}", chosen.sizes["sample"], chosen["time"].values[0], values
        )


def line(name: str, runs: int, time: float, values: list[list[float]]) -> str:
    """Return one line of the table."""
    numbers = " | ".join(f"{value:.3g}" for value in np.mean(values, axis=0))
    return f"| {name} | {runs} | {time:.2g} | {numbers} |"


def table(sets: list[Path], athena: Path | None) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| set, regime | runs | t | {' | '.join(HEAD)} |"
    yield f"|{'---|' * (len(HEAD) + 3)}"
    yield from rows(Shipped(set="cosmic-rays-athena").read(), "Athena++ 48³")
    for path in sorted(athena.glob("*.prim.*.athdf")) if athena else []:
        ds = Athena(path=path).read().load()
        density = np.asarray(ds["density"][0], np.float64)
        energy = np.asarray(ds["E_c"][0], np.float64) if "E_c" in ds else np.zeros_like(density)
        values = row(density, energy, np.asarray(ds["magnetic_energy"][0], np.float64))
        yield line(f"Athena++ {len(density)}³, {path.name}", 1, float(ds["time"][0]), [values])
    for folder in sets:
        ds = store.open(folder)
        yield from rows(ds, f"skyloom {ds.sizes['x']}³")


def cost(size: int, until: float = 0.2) -> Iterator[str]:
    """Yield the zone-cycles of every regime per second of CPU, one thread, compilation left out."""
    simulator = Turbulence(simulations=len(REGIMES), size=size, times=[until])
    for point in simulator.design():
        for _ in evolve(point, **{**simulator.run, "size": 8, "times": [0.01]}):
            pass
        start = time.process_time()
        steps = next(evolve(point, **simulator.run)).steps
        seconds = time.process_time() - start
        rate = steps * size**3 / seconds
        yield f"{point.regime}: {steps} steps in {seconds:.1f} s, {rate:.2g} zone-cycles/s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path, help="folders that 'skyloom make turbulence' wrote")
    parser.add_argument("--athena", type=Path, help="folder of .athdf snapshots")
    parser.add_argument("--cost", type=int, metavar="N", help="time runs of N³ cells instead")
    arguments = parser.parse_args()
    for text in cost(arguments.cost) if arguments.cost else table(arguments.sets, arguments.athena):
        sys.stdout.write(text + "\n")
