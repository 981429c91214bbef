r"""How the simulator ``turbulence`` compares with Athena++, regime by regime, as a table and a figure.

    skyloom make turbulence --out T32 --set simulations=20 --set 'times=[0.8,1.2]'
    skyloom make turbulence --out T64 --set size=64 --set simulations=2 --set 'regimes=[mhd,diff]' \
        --set 'times=[0.5,1.0]' --set vectors=true
    python scripts/validate_turbulence.py T32 --cells 32
    python scripts/validate_turbulence.py T64 --athena ../shared/data/turbulence/athena
    python scripts/validate_turbulence.py T32 T64 --athena ../shared/data/turbulence/athena --figure out.png
    python scripts/validate_turbulence.py --cost 32
    python scripts/validate_turbulence.py --mach 16
    python scripts/validate_turbulence.py --light 16

The shipped set ``cosmic-rays-athena`` (48³) is always there, the snapshots of a folder of ``.athdf`` files
with ``--athena``. ``--cells`` first brings every set to so many cells a side, by averages over the new ones.
A row is the mean over the last snapshot of every run of a regime, and the standard deviation over runs.
``P`` is the share of the power of the density in shells of wavenumber (waves a box); the slope is that of the
shell-summed power between k = 3 and max(6, N/8); ``k of 0.1 %`` has a thousandth of the power above it;
``last/before`` is the power in the last tenth of shells over the tenth before it, above one where noise
alternates from cell to cell. The figure has the snapshots and the set of their size above; below are the
smallest set and the shipped one, brought to its cells.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from PIL import Image

from skyloom.fields import class_names, store
from skyloom.fields.regrid import regrid
from skyloom.formats.athena import Athena
from skyloom.formats.shipped import Shipped
from skyloom.report.style import PAGE, edition
from skyloom.runs.atomic import atomic_path
from skyloom.simulate.turbulence import REGIMES, Turbulence
from skyloom.simulate.turbulence.evolve import evolve
from skyloom.statistics import power_spectrum

BANDS = ((1, 3), (3, 6), (6, 12), (12, 24))  # waves a box
#: Every class by a pattern of run names, in the order of the codes; the snapshots hold two of them.
CLASSES = {"mhd": "MHD", "advect": "CR_Advect", "crdiff": "CR_Diff_Fiducial", "diff100": "CR_Diff100",
           "stream": "CR_withStreaming"}  # fmt: skip
FIELDS = ("density", "E_c", "magnetic_energy")
HEAD = (
    "std of density", "std of ln density", "skewness of ln", "std of E_c", "mean B²/2",
    *(f"P {low}-{high}" for low, high in BANDS), "slope", "k of 0.1 %", "last/before",
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """The last snapshot of every run of a set."""

    name: str
    ds: xr.Dataset

    @property
    def size(self) -> int:
        """Cells along one side."""
        return int(self.ds.sizes["x"])

    def regimes(self) -> Iterator[tuple[str, xr.Dataset]]:
        """Yield the name of each regime and its runs, in the order of the classes."""
        words = class_names(self.ds, "transport")
        for code in np.unique(self.ds["transport"].values):
            rows = np.flatnonzero(self.ds["transport"].values == code)
            yield words[int(code)], self.ds.isel(sample=rows)


def suites(sets: list[Path], athena: Path | None, cells: int | None) -> list[Suite]:
    """Return what is to be compared, Athena++ first."""
    found = [("Athena++", Shipped(set="cosmic-rays-athena").read())]
    if athena is not None:
        found.append(("Athena++, snapshots", snapshots(athena)))
    found += [("Skyloom", store.open(folder)) for folder in sets]
    chosen = []
    for name, ds in found:
        late = ds.isel(sample=np.flatnonzero(ds["time"].values == ds["time"].values.max())).load()
        chosen.append(Suite(name, late if cells is None else regrid(late, cells)))
    return chosen


def snapshots(folder: Path) -> xr.Dataset:
    """Return the snapshots of a folder that hold velocities, ``E_c`` zero where there are no cosmic rays."""
    parts = []
    for path in sorted(folder.glob("*.prim.*.athdf")):
        part = Athena(path=str(path), classes=CLASSES).read()
        vectors = Athena(path=str(path), fields=[f"velocity_{axis}" for axis in "xyz"]).read()
        part = part.merge(vectors, compat="override", combine_attrs="override")
        parts.append(part if "E_c" in part else part.assign(E_c=xr.zeros_like(part["density"])))
    return xr.concat(parts, "sample", combine_attrs="override")


def shells(cube: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return wavenumbers [waves a box] and the power of cubes ``(..., N, N, N)`` summed over each shell."""
    spectrum = power_spectrum(np.asarray(cube, np.float64), 1.0, bins=cube.shape[-1] // 2 - 1, dims=3)
    return spectrum.k / (2 * np.pi), spectrum.power * spectrum.modes


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


def table(found: list[Suite]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| set, regime | runs | t | {' | '.join(HEAD)} |"
    yield f"|{'---|' * (len(HEAD) + 3)}"
    for suite in found:
        for word, runs in suite.regimes():
            values = np.array(
                [
                    row(*(runs[name].values[i].astype(np.float64) for name in FIELDS))
                    for i in range(runs.sizes["sample"])
                ]
            )
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(HEAD), np.nan)
            cells = [
                f"{mean:.3g}" + ("" if np.isnan(sd) else f" ± {sd:.1g}")
                for mean, sd in zip(values.mean(axis=0), spread, strict=True)
            ]
            title = f"{suite.name} {suite.size}³, {word} | {len(values)} | {runs['time'].values[0]:.2g}"
            yield f"| {title} | {' | '.join(cells)} |"


# --- the figure


def draw_pdf(pairs: list[tuple[Suite, str]], colours: dict[str, str], *, ax: Any) -> Any:
    """Draw the density PDF of every regime, one line style a suite."""
    edges = np.linspace(-2.0, 1.6, 55)
    for suite, style in pairs:
        for word, runs in suite.regimes():
            counts, _ = np.histogram(np.log(runs["density"].values.astype(np.float64)), edges, density=True)
            middle = 0.5 * (edges[1:] + edges[:-1])
            ax.plot(middle, np.where(counts > 0, counts, np.nan), style, color=colours[word])
    ax.set(yscale="log", ylim=(2e-3, 4), xlabel=r"$\ln\rho/\langle\rho\rangle$", ylabel="PDF")
    return ax


def draw_spectra(pairs: list[tuple[Suite, str]], colours: dict[str, str], field: str, *, ax: Any) -> Any:
    """Draw the shell-summed power of a scalar, or of the three components of a vector."""
    for suite, style in pairs:
        for word, runs in suite.regimes():
            names = [field] if field in runs else [f"{field}_{axis}" for axis in "xyz"]
            k, power = shells(np.stack([runs[name].values for name in names]))
            ax.plot(k, power.sum(axis=0).mean(axis=0), style, color=colours[word])
    ax.set(xscale="log", yscale="log", xlabel="k [waves a box]", ylabel=f"power of {field} per unit of k")
    ax.set_xticks([2, 5, 10, 20], ["2", "5", "10", "20"])
    ax.xaxis.set_minor_formatter("")
    return ax


def draw_order(pairs: list[tuple[Suite, str]], colours: dict[str, str], *, ax: Any) -> Any:
    """Draw the width of the density PDF of every run, regimes side by side."""
    for (suite, style), shift in zip(pairs, (-0.15, 0.15), strict=True):
        for word, runs in suite.regimes():
            widths = np.log(runs["density"].values.astype(np.float64)).std(axis=(1, 2, 3))
            face = colours[word] if style == "-" else "none"
            place = list(colours).index(word) + shift
            ax.plot([place] * len(widths), widths, "o", color=colours[word], mfc=face, ms=4)
    ax.set(ylabel=r"std of $\ln\rho$", xticks=range(len(colours)), ylim=(0, None))
    ax.set_xticklabels([word.removeprefix("CR_") for word in colours], rotation=30, ha="right")
    return ax


def figure(found: list[Suite], path: Path) -> None:
    """Write the figure; Athena++ is solid and filled, Skyloom dashed and open."""
    shipped, snapshots = found[0], next(suite for suite in found if suite.name.endswith("snapshots"))
    ours = {suite.size: suite for suite in found if suite.name == "Skyloom"}
    fine, coarse = ours[snapshots.size], ours[min(ours)]
    above = [(snapshots, "-"), (fine, "--")]
    below = [(Suite(shipped.name, regrid(shipped.ds, coarse.size)), "-"), (coarse, "--")]
    with edition("light"), mpl.rc_context({"lines.linewidth": 1.1}):
        import matplotlib.pyplot as plt

        colours = {word: f"C{i}" for i, word in enumerate(CLASSES.values())}
        drawn, axes = plt.subplots(2, 3, figsize=(PAGE, 4.9), dpi=150, layout="constrained")
        draw_pdf(above, colours, ax=axes[0, 0])
        draw_spectra(above, colours, "density", ax=axes[0, 1])
        draw_spectra(above, colours, "velocity", ax=axes[0, 2])
        draw_pdf(below, colours, ax=axes[1, 0])
        draw_spectra(below, colours, "density", ax=axes[1, 1])
        draw_order(below, colours, ax=axes[1, 2])
        axes[0, 0].set_title(f"{fine.size}³, t = {float(fine.ds['time'][0]):g}", loc="left")
        axes[1, 0].set_title(f"{coarse.size}³, t = {float(coarse.ds['time'][0]):g}", loc="left")
        lines = [axes[0, 0].plot([], [], style, color="0.4", label=name)[0]
                 for style, name in (("-", "Athena++"), ("--", "Skyloom"))]  # fmt: skip
        lines += [axes[0, 0].plot([], [], color=colour, label=word)[0] for word, colour in colours.items()]
        drawn.legend(handles=lines, loc="outside upper center", ncols=4)
        with atomic_path(path) as part:
            # Few colours make a file of a third of the size.
            drawn.canvas.draw()
            image = Image.fromarray(np.asarray(drawn.canvas.buffer_rgba())[..., :3])
            image.quantize(64, dither=Image.Dither.NONE).save(part, format="PNG", optimize=True)


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


def mach(size: int, seeds: int = 6) -> Iterator[str]:
    """Yield the Mach number that gas without cosmic rays has, for that which was asked for."""
    yield "| `mach` | Mach at t = 1 | at t = 1.5 | at t = 2 |"
    yield "|---|---|---|---|"
    for aim in (0.5, 0.8, 1.2):
        simulator = Turbulence(simulations=seeds, regimes=["mhd"], size=size, times=[1.0, 1.5, 2.0], mach=aim)
        found = np.array(
            [
                [np.sqrt((one.velocity**2).sum(0).mean()) for one in evolve(point, **simulator.run)]
                for point in simulator.design()
            ]
        )
        cells = [
            f"{mean:.2f} ± {sd:.2f}" for mean, sd in zip(found.mean(0), found.std(0, ddof=1), strict=True)
        ]
        yield f"| {aim:g} | {' | '.join(cells)} |"


def light(size: int, seeds: int = 3) -> Iterator[str]:
    """Yield the widths of cosmic-ray energy and of ln density at t = 1.2, for several reduced speeds."""
    speeds = (12.0, 20.0, 40.0)
    heads = [f"{name}, {speed:g}" for speed in speeds for name in ("std of E_c", "std of ln density")]
    yield f"| regime | {' | '.join(heads)} |"
    yield f"|{'---|' * (len(heads) + 1)}"
    for regime in ("diff", "diff100", "stream"):
        cells = []
        for speed in speeds:
            simulator = Turbulence(
                simulations=seeds, regimes=[regime], size=size, times=[1.2], light_speed=speed
            )
            runs = [next(evolve(point, **simulator.run)) for point in simulator.design()]
            for widths in ([run.energy.std() for run in runs], [np.log(run.density).std() for run in runs]):
                cells.append(f"{np.mean(widths):.3f} ± {np.std(widths, ddof=1):.3f}")
        yield f"| {regime} | {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path, help="folders that 'skyloom make turbulence' wrote")
    parser.add_argument("--athena", type=Path, help="folder of .athdf snapshots")
    parser.add_argument("--cells", type=int, metavar="N", help="bring every set to N³ cells first")
    parser.add_argument("--figure", type=Path, help="write the figure there instead of the table")
    parser.add_argument("--cost", type=int, metavar="N", help="time runs of N³ cells instead")
    parser.add_argument(
        "--mach", type=int, metavar="N", help="Mach numbers reached by runs of N³ cells instead"
    )
    parser.add_argument(
        "--light", type=int, metavar="N", help="vary the speed of light in runs of N³ instead"
    )
    arguments = parser.parse_args()
    if arguments.figure:
        figure(suites(arguments.sets, arguments.athena, arguments.cells), arguments.figure)
        sys.exit()
    if arguments.cost:
        lines = cost(arguments.cost)
    elif arguments.mach:
        lines = mach(arguments.mach)
    elif arguments.light:
        lines = light(arguments.light)
    else:
        lines = table(suites(arguments.sets, arguments.athena, arguments.cells))
    for text in lines:
        sys.stdout.write(text + "\n")
