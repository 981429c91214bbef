"""Simulated showers beside published means of HAWC's simulation and beside real events about the Crab.

python scripts/compare_showers.py [FOLDER with EventList_Crab_fHitbin*.fits.gz] [EVENTS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

from skyloom.formats.fits_events import FitsEvents
from skyloom.simulate.showers import Showers

#: Means and spreads of the training table of HAWC Deep Learning (2018), simulated photons that triggered.
PUBLISHED = {
    "logNPE": (2.64471, 0.561915),
    "ln nHit": (4.68038, 0.801478),
    "nTankHit": (78.0924, 61.4525),
    "zenith": (0.416938, 0.209185),
    "azimuth": (-0.0089, 1.80562),
    "core_x": (65.918, 94.1272),
    "core_y": (253.669, 94.0184),
    "ln (CxPE40 + 0.01)": (2.32639, 0.998794),
    "ln energy": (7.72753, 1.70954),
    "theta": (23.9125, 11.5505),
}
#: Bins of the share of PMTs hit: lower and upper edge, ψ68 [deg] of Abeysekara et al. 2017, table 2.
BINS = {
    1: (0.067, 0.105, 1.03), 2: (0.105, 0.162, 0.69), 3: (0.162, 0.247, 0.50), 4: (0.247, 0.356, 0.39),
    5: (0.356, 0.485, 0.30), 6: (0.485, 0.618, 0.28), 7: (0.618, 0.740, 0.22), 8: (0.740, 0.840, 0.20),
    9: (0.840, 1.0, 0.17),
}  # fmt: skip
PMTS = 1200


def column(ds: xr.Dataset, name: str) -> np.ndarray:
    """Return a number of each event, shape ``(n,)``."""
    return np.asarray(ds[name].values, float).ravel()


def moments(ds: xr.Dataset) -> None:
    """Print means and spreads beside the published ones."""
    sys.stdout.write("| | published | simulated |\n|---|---|---|\n")
    for name, (mean, spread) in PUBLISHED.items():
        values = column(ds, name.split()[-1].strip("()") if " + " not in name else "CxPE40")
        if name.startswith("ln"):
            values = np.log(values + (0.01 if "0.01" in name else 0.0))
        told = f"{values.mean():.3g} ± {values.std():.3g}"
        sys.stdout.write(f"| {name} | {mean:.3g} ± {spread:.3g} | {told} |\n")


def by_size(simulated: dict[str, xr.Dataset], folder: Path | None) -> None:
    """Print resolution, energy and charges (real ones where there are any) by the share of PMTs hit."""
    sys.stdout.write(
        "| bin | ψ68 [deg] | ψ68 published | energy [TeV] | logNPE γ / p / real | CxPE40 γ / p / real |"
        " events γ / p / real |\n|---|---|---|---|---|---|---|\n"
    )
    for number, (low, high, published) in BINS.items():
        inside = {}
        for name, ds in simulated.items():
            share = column(ds, "fHit")
            inside[name] = ds.isel(sample=np.flatnonzero((share >= low) & (share < high)))
        cells: dict[str, list[str]] = {"logNPE": [], "CxPE40": []}
        counts = [str(ds.sizes["sample"]) for ds in inside.values()]
        for ds in inside.values():
            for name, told in cells.items():
                told.append(f"{np.median(column(ds, name)):.3g}" if ds.sizes["sample"] else "–")
        real = real_bin(folder, number)
        for name, told in cells.items():
            told.append("–" if real is None else f"{real[name]:.3g}")
        counts.append("–" if real is None else f"{real['events']:.0f}")
        photons = inside["gamma"]
        missed = np.degrees(np.hypot(column(photons, "du_x"), column(photons, "du_y")))
        sys.stdout.write(
            f"| {number} | {np.percentile(missed, 68):.2f} | {published:.2f} |"
            f" {np.median(column(photons, 'energy')) / 1000:.2g} | {' / '.join(cells['logNPE'])} |"
            f" {' / '.join(cells['CxPE40'])} | {' / '.join(counts)} |\n"
        )


def real_bin(folder: Path | None, number: int) -> dict[str, float] | None:
    """Return medians of the real events of a bin; its charges as 1200 PMTs would have summed them."""
    path = folder / f"EventList_Crab_fHitbin{number}NN.fits.gz" if folder else None
    if path is None or not path.is_file():
        return None
    ds = FitsEvents(path=str(path)).read()
    available = FitsEvents(path=str(path), columns={"nChAvail": "available"}).read()
    scale = np.log10(PMTS / np.median(column(available, "available")))
    return {
        "logNPE": float(np.median(column(ds, "logNPE")) + scale),
        "CxPE40": float(np.median(column(ds, "CxPE40"))),
        "events": ds.sizes["sample"],
    }


def main(folder: Path | None, events: int) -> None:
    """Simulate and print both tables."""
    whole = Showers(events=events, species=["gamma"], product="table", per_shard=events)
    moments(whole.one(whole.design()[0]))
    simulated = {}
    for name in ("gamma", "proton"):
        showers = Showers(
            events=events, species=[name], product="table", per_shard=events, core_radius=75.0,
            zenith_max=45.0, energies=[300.0, 100_000.0], seed=1,
        )  # fmt: skip
        simulated[name] = showers.one(showers.design()[0])
    by_size(simulated, folder)
    photons = simulated["gamma"]
    missed = column(photons, "energy_proxy") - column(photons, "log_energy")
    known = np.column_stack(
        [np.ones(len(missed)), column(photons, "energy_proxy"), 1 / np.cos(column(photons, "zenith")) - 1]
    )
    fit = np.linalg.lstsq(known, column(photons, "log_energy"), rcond=None)[0]
    sys.stdout.write(
        f"energy proxy: bias {missed.mean():.3f}, spread {missed.std():.3f} dex;"
        f" a new fit on it and sec θ - 1 gives {fit.round(3)}\n"
    )


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    main(given, int(sys.argv[2]) if len(sys.argv) > 2 else 4000)
