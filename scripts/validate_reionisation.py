"""How far the engine ``excursion`` is from 21cmFAST, as two Markdown tables.

    python scripts/validate_reionisation.py                      # against the set in the package, minutes
    python scripts/validate_reionisation.py --same-density 4     # cell by cell, needs skyloom[21cmfast]

The first runs every simulation of the shipped 21cmFAST set again, with its parameters and redshifts but
other initial conditions, twice: what two runs of one engine differ by is sample variance, and the residual
between the engines is to be held against it. The second gives both engines the same initial density, which
leaves the physics.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from skyloom.formats.shipped import Shipped
from skyloom.simulate.cosmology import Cosmology
from skyloom.simulate.reionisation import excursion, fast21
from skyloom.simulate.reionisation.design import PARAMETERS, Point, latin_hypercube
from skyloom.simulate.reionisation.engine import Box
from skyloom.statistics import power_spectrum

SET = "reionisation-21cmfast"
STAGES = ((0.1, 0.35), (0.35, 0.65), (0.65, 0.9))  # of x_HI: around 0.2, 0.5 and 0.8
K_BINS = 6
Statistic = Callable[[np.ndarray], np.ndarray]
DRAWS = 1000  # bootstrap draws of simulations


@dataclass(frozen=True)
class Pair:
    """One box by 21cmFAST and its two counterparts by ``excursion``."""

    group: str
    x_HI: tuple[float, float, float]  # 21cmFAST, ours, ours again
    power: np.ndarray  # of T_b, shape (3, K_BINS) [mK^2 Mpc^2]
    k: np.ndarray  # [1/Mpc]


def pairs(truth: xr.Dataset, simulations: int | None) -> Iterator[Pair]:
    """Run the simulations of ``truth`` again with our engine, box by box."""
    box_size, size = float(truth.attrs["box_size"]), truth.sizes["x"]
    groups = list(dict.fromkeys(truth["group"].values.tolist()))[:simulations]
    for number, group in enumerate(groups):
        rows = truth.isel(sample=np.flatnonzero(truth["group"].values == group)).load()
        redshifts = np.unique(rows["redshift"].values)[::-1]
        point = Point(
            index=number,
            seed=number,
            parameters={name: float(rows[name][0]) for name in PARAMETERS},
            redshifts=tuple(float(z) for z in redshifts),
        )
        again = replace(point, seed=10_000 + number)
        runs = [excursion.run(p, size=size, box_size=box_size) for p in (point, again)]
        for z, one, two in zip(redshifts, *runs, strict=True):
            theirs = rows.isel(sample=np.flatnonzero(rows["redshift"].values == z))
            maps = [theirs["T_b"].values, one.T_b, two.T_b]
            spectra = [power_spectrum(m, box_size, bins=K_BINS) for m in maps]
            ours = [float(box.neutral_fraction.mean(dtype=float)) for box in (one, two)]
            power = np.stack([s.power.mean(0) for s in spectra])
            yield Pair(group, (float(theirs["x_HI"][0]), ours[0], ours[1]), power, spectra[0].k)


def neutral_table(found: list[Pair]) -> Iterator[str]:
    """Rows of the residual of x_HI, by the mean x_HI of the engines."""
    x = np.array([pair.x_HI for pair in found])
    groups = np.array([pair.group for pair in found])
    middle = 0.5 * x[:, 0] + 0.25 * (x[:, 1] + x[:, 2])
    yield "| x_HI | boxes | mean of ours - 21cmFAST | rms | rms of ours - ours |"
    yield "|---|---|---|---|---|"
    for low, high in ((0.0, 1.0), (0.0, 0.1), *STAGES, (0.9, 1.0)):
        inside = (middle >= low) & (middle <= high)
        if not inside.any():
            continue
        residual = (x[inside, 1:] - x[inside, :1]).mean(1)
        single, sample = x[inside, 1] - x[inside, 0], x[inside, 1] - x[inside, 2]
        error = bootstrap(residual, groups[inside], lambda values: values.mean(0))
        yield (
            f"| {low:g} to {high:g} | {inside.sum()} | {residual.mean():+.4f} ± {error:.4f} "
            f"| {rms(single):.4f} | {rms(sample):.4f} |"
        )


def power_table(found: list[Pair]) -> Iterator[str]:
    """Rows of the ratio of the power of T_b, ours over 21cmFAST, by k and stage."""
    groups = np.array([pair.group for pair in found])
    middle = np.array([0.5 * pair.x_HI[0] + 0.25 * sum(pair.x_HI[1:]) for pair in found])
    power = np.stack([pair.power for pair in found])
    yield "| x_HI | boxes | " + " | ".join(f"k = {k:.2f}" for k in found[0].k) + " |"
    yield "|---" * (2 + K_BINS) + "|"
    for low, high in STAGES:
        inside = (middle >= low) & (middle <= high)
        if not inside.any():
            continue
        chosen = power[inside]
        ratio = excess(chosen)
        error = bootstrap(chosen, groups[inside], excess)
        cells = " | ".join(f"{r:.3f} ± {e:.3f}" for r, e in zip(ratio, error, strict=True))
        yield f"| {low:g} to {high:g} | {inside.sum()} | {cells} |"


def excess(power: np.ndarray) -> np.ndarray:
    """Return the mean power of ours over that of 21cmFAST, shape ``(K_BINS,)``."""
    return np.asarray(power[:, 1:].mean((0, 1)) / power[:, 0].mean(0))


def bootstrap(values: np.ndarray, groups: np.ndarray, statistic: Statistic) -> np.ndarray:
    """Return the standard error of a statistic, drawing whole simulations."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    draws = [
        statistic(values[np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])])
        for _ in range(DRAWS)
    ]
    return np.asarray(np.std(draws, axis=0))


def rms(values: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def same_density(points: list[Point], size: int, box_size: float) -> Iterator[str]:
    """Rows that compare both engines on the initial density that 21cmFAST drew."""
    cosmology = Cosmology()
    yield (
        "| simulation | z | x_HI 21cmFAST | ours - theirs | cells alike | r of delta | r of T_b "
        "| P ratio, low k | mid k | high k |"
    )
    yield "|---" * 10 + "|"
    for point in points:
        linear, boxes = both(point, size, box_size)
        for theirs, ours in zip(
            boxes, excursion.evolve(linear, point, cosmology, size, box_size), strict=True
        ):
            spectra = [power_spectrum(box.T_b, box_size, bins=3, dims=3).power for box in (ours, theirs)]
            mean = [float(box.neutral_fraction.mean(dtype=float)) for box in (ours, theirs)]
            alike = np.mean((ours.neutral_fraction > 0) == (theirs.neutral_fraction > 0))
            yield (
                f"| {point.group} | {theirs.redshift:g} | {mean[1]:.4f} | {mean[0] - mean[1]:+.4f} "
                f"| {alike:.4f} | {correlation(ours.delta, theirs.delta):.4f} "
                f"| {correlation(ours.T_b, theirs.T_b):.4f} | "
                + " | ".join(f"{r:.3f}" for r in spectra[0] / spectra[1])
                + " |"
            )


def both(point: Point, size: int, box_size: float) -> tuple[np.ndarray, list[Box]]:
    """Run 21cmFAST and return the linear density it drew, and its boxes."""
    p21 = fast21.load()
    logging.getLogger("py21cmfast").setLevel(logging.ERROR)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # reminders of the template's own choices
        inputs = p21.InputParameters.from_template(
            "const-zeta",
            random_seed=point.seed,
            HII_DIM=size,
            DIM=fast21.REFINEMENT * size,
            BOX_LEN=box_size,
            N_THREADS=1,
        )
        initial = p21.compute_initial_conditions(
            inputs=inputs, cache=p21.OutputCache(folder), write=False, regenerate=True
        )
        linear = np.asarray(initial.get("hires_density"), dtype=np.float32)
    return linear.transpose(2, 1, 0), fast21.run(point, size=size, box_size=box_size)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two cubes, cell by cell."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--simulations", type=int, default=None, help="how many of the set (all)")
    parser.add_argument(
        "--same-density", type=int, default=0, metavar="N", help="compare N simulations cell by cell"
    )
    chosen = parser.parse_args()
    if chosen.same_density:
        show(same_density(latin_hypercube(chosen.same_density, seed=1), 64, 128.0))
        return
    report(Shipped(set=SET).read(), chosen.simulations)


def report(truth: xr.Dataset, simulations: int | None) -> None:
    """Print what the shipped set says."""
    found = list(pairs(truth, simulations))
    show(neutral_table(found))
    show(["", "Power of T_b, ours over 21cmFAST, k in 1/Mpc:", ""])
    show(power_table(found))


def show(lines: Iterable[str]) -> None:
    """Write the lines as they come."""
    for line in lines:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
