r"""How spectral slope and dissipation scale of ``simulate.turbulence`` change from 32³ to 128³, as a table.

    python scripts/resolve_turbulence.py runs/resolution --run 32 64 --seeds 1 2 3 4
    python scripts/resolve_turbulence.py runs/resolution --run 64 128 --seeds 1 --refined 0.6
    python scripts/resolve_turbulence.py runs/resolution

Gas without cosmic rays, beta 10, energy input 1, stirring half without divergence, alike at every size for a
seed. With ``--refined T`` a run begins at T from that of half its size, every cell cut into eight, so 128³
need not pay for its way from rest; 64³ so begun, beside 64³ from rest, tells what that changes. Every run
keeps its state each 0.1 box sides over sound speed and goes on from there. The table holds what the folder
has: means over the states from ``--since`` to ``--until``, and over seeds their standard deviation.

Spectra are sums over shells of unit width, k in waves a box. A slope is that of a straight line in the
logarithms. ``k of 0.1 %`` has a thousandth of the power above it; ``k of half`` is where a run has half the
power of the finest one with its seed, at the same times.
"""

from __future__ import annotations

import argparse
import math
import sys
import time as clock
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skyloom.runs.atomic import atomic_path
from skyloom.simulate.turbulence.driving import CADENCE, Driving
from skyloom.simulate.turbulence.grid import Grid
from skyloom.simulate.turbulence.mhd import Gas
from skyloom.statistics import power_spectrum

EVERY, LAST = 0.1, 1.2  # box sides over sound speed
FITS = ((4, 8), (4, 16))  # waves a box; shown where they end at half the Nyquist wavenumber or below


def start(size: int) -> Gas:
    """Return gas at rest in a mean field of beta 10 along x."""
    grid = Grid((size,) * 3, 1 / size)
    field = np.zeros((3, *grid.shape))
    field[0] = math.sqrt(0.2)
    return Gas(grid, np.ones(grid.shape), np.zeros_like(field), field)


def save(path: Path, gas: Gas, steps: int, seconds: float) -> None:
    """Write the whole state."""
    inside = gas.grid.inside
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, conserved=inside(gas.conserved), faces=inside(gas.faces), steps=steps, seconds=seconds)


def load(path: Path) -> tuple[Gas, int, float]:
    """Return the state, the steps and the CPU seconds that led to it."""
    with np.load(path) as kept:
        gas = start(kept["faces"].shape[-1])
        gas.grid.inside(gas.conserved)[:] = kept["conserved"]
        gas.grid.inside(gas.faces)[:] = kept["faces"]
        gas.refresh()
        return gas, int(kept["steps"]), float(kept["seconds"])


def refine(coarse: Gas) -> Gas:
    """Return the same state with cells of half the width; mass, momentum, flux and div B = 0 are kept.

    Every cell and face is cut into equal parts of its value; a new face in a cell has the mean of the two old
    ones beside it.
    """
    gas = start(2 * coarse.grid.shape[0])
    inside = gas.grid.inside
    inside(gas.conserved)[:] = coarse.grid.inside(coarse.conserved).repeat(2, 1).repeat(2, 2).repeat(2, 3)
    for d, field in enumerate(coarse.grid.inside(coarse.faces)):
        axis = 2 - d
        pair = np.stack([field, 0.5 * (field + np.roll(field, -1, axis))], axis + 1)
        fine = pair.reshape([n * (1 + (i == axis)) for i, n in enumerate(field.shape)])
        for other in {0, 1, 2} - {axis}:
            fine = fine.repeat(2, other)
        inside(gas.faces)[d] = fine
    gas.refresh()
    return gas


def run(folder: Path, size: int, seed: int, begin: float) -> None:
    """Run from ``begin`` to the last time, or from where an earlier run was stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    count = round(LAST / EVERY)
    first = round(begin / EVERY)
    done = [i for i in range(first, count + 1) if (folder / f"{i:02d}.npz").exists()]
    if done:
        gas, steps, seconds = load(folder / f"{done[-1]:02d}.npz")
    elif first:
        coarse, steps, seconds = load(folder.parent / f"{size // 2}-{seed}" / f"{first:02d}.npz")
        gas = refine(coarse)
    else:
        gas, steps, seconds = start(size), 0, 0.0
    driving = Driving(gas.grid, seed, power=1.0)
    now = done[-1] if done else first
    time = now * EVERY
    driving.advance(time)
    for i in range(now + 1, count + 1):
        clocked = clock.process_time()
        until = i * EVERY
        while time < until - 1e-12:
            dt = min(gas.longest_step(), CADENCE, until - time)
            gas.step(dt)
            time, steps = time + dt, steps + 1
            driving.apply(gas, time, dt)
        seconds += clock.process_time() - clocked
        save(folder / f"{i:02d}.npz", gas, steps, seconds)
        sys.stderr.write(f"{folder.name}: t = {until:.1f}, {steps} steps, {seconds:.0f} s of CPU\n")


def shells(cubes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return wavenumbers [waves a box] and the power of ``(n, N, N, N)`` in each shell, summed over ``n``."""
    spectrum = power_spectrum(cubes, 1.0, bins=cubes.shape[-1] // 2 - 1, dims=3)
    return spectrum.k / (2 * np.pi), (spectrum.power * spectrum.modes).sum(0)


def spectra(gas: Gas) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return wavenumbers and power of velocity, density and field."""
    cubes = {"v": gas.velocity, "density": gas.density[None], "B": gas.field}
    return {name: shells(cube) for name, cube in cubes.items()}


def halves(coarse: list[Path], fine: list[Path]) -> dict[str, float]:
    """Return where a run has half the power of a finer one: the last k with more, over their common times."""
    common = sorted({path.name for path in coarse} & {path.name for path in fine})
    here, there = (
        [spectra(load(states[0].parent / name)[0]) for name in common] for states in (coarse, fine)
    )
    found = {}
    for name, (k, _) in here[0].items():
        power, reference = (np.mean([one[name][1] for one in states], axis=0) for states in (here, there))
        ratio = power / reference[: len(k)]
        last = int(np.flatnonzero(ratio >= 0.5)[-1])
        ends = slice(last, last + 2)
        found[f"{name}: k of half"] = float(np.interp(-0.5, -ratio[ends], k[ends]))
    return found


def numbers(path: Path) -> dict[str, float]:
    """Return the row of one state."""
    gas, _, seconds = load(path)
    size = gas.grid.shape[0]
    found = {
        "Mach": float(np.sqrt((gas.velocity**2).sum(0).mean())),
        "std of density": float(gas.density.std()),
        "mean B²/2": float(0.5 * (gas.field**2).sum(0).mean()),
    }
    for name, (k, power) in spectra(gas).items():
        for low, high in FITS:
            fit = (k >= low) & (k <= high)
            slope = float(np.polyfit(np.log(k[fit]), np.log(power[fit]), 1)[0])
            found[f"slope of {name}, {low}-{high}"] = slope if high <= size / 4 else math.nan
        above = power[::-1].cumsum()[::-1] / power.sum()
        found[f"{name}: k of 0.1 %"] = float(np.exp(np.interp(math.log(1e3), -np.log(above), np.log(k))))
    found["CPU seconds"] = seconds
    return found


def table(folder: Path, since: float, until: float) -> Iterator[str]:
    """Yield the lines of the table, one quantity a row and one kind of run a column."""
    kinds: dict[str, dict[str, list[Path]]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        times = {path: int(path.stem) * EVERY for path in sorted(place.glob("*.npz"))}
        states = [path for path, time in times.items() if since - 1e-9 <= time <= until + 1e-9]
        if states:
            size, seed, *begin = place.name.split("-")
            kind = f"{size}³" + "".join(f", refined at {text}" for text in begin)
            kinds.setdefault(kind, {})[seed] = states
    order = sorted(kinds, key=lambda kind: (int(kind.split("³")[0]), kind))
    finest = kinds[order[-1]]
    rows: dict[str, list[list[dict[str, float]]]] = {}
    for kind in order:
        found = {seed: [numbers(path) for path in states] for seed, states in kinds[kind].items()}
        coarser = kind.split("³")[0] != order[-1].split("³")[0]
        for seed in found.keys() & finest.keys() if coarser else ():
            lost = halves(kinds[kind][seed], finest[seed])
            found[seed] = [row | lost for row in found[seed]]
        rows[kind] = list(found.values())
    yield f"| | {' | '.join(order)} |"
    yield f"|{'---|' * (len(order) + 1)}"
    yield f"| runs | {' | '.join(str(len(rows[kind])) for kind in order)} |"
    names = dict.fromkeys(name for kind in order for states in rows[kind] for name in states[0])
    for name in sorted(names, key=lambda name: name == "CPU seconds"):
        yield f"| {name} | {' | '.join(cell(name, rows[kind]) for kind in order)} |"


def cell(name: str, runs: list[list[dict[str, float]]]) -> str:
    """Return the mean over runs of their means over states, and the standard deviation of the former."""
    over = max if name == "CPU seconds" else np.mean
    values = np.array([over([state[name] for state in states]) for states in runs if name in states[0]])
    if len(values) == 0 or np.isnan(values).any():
        return "–"
    spread = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
    return f"{values.mean():.3g}{spread}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where states are kept")
    parser.add_argument("--run", nargs="*", type=int, default=[], metavar="N", help="cells a side")
    parser.add_argument("--seeds", nargs="*", type=int, default=[1])
    parser.add_argument(
        "--refined", type=float, default=0.0, metavar="T", help="begin at T from half the size"
    )
    parser.add_argument("--since", type=float, default=1.0, metavar="T", help="first state of the table")
    parser.add_argument("--until", type=float, default=LAST, metavar="T", help="last state of the table")
    options = parser.parse_args()
    for size in options.run:
        for seed in options.seeds:
            name = f"{size}-{seed}" + (f"-{options.refined:g}" if options.refined else "")
            run(options.folder / name, size, seed, options.refined)
    if not options.run:
        for text in table(options.folder, options.since, options.until):
            sys.stdout.write(text + "\n")
