"""Which reionisation simulations to run: parameters, seeds and redshifts, the same for both engines.

Parameters fill a Latin hypercube. Each simulation has a seed of its own, so the simulation is at once the
group and the initial condition. Redshifts are chosen so that the neutral fractions cover zero to one:
the mean neutral fraction is predicted from the collapsed fraction and one redshift is taken in each
stratum of it, from a grid of half steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from skyloom.errors import UsageError, nearest
from skyloom.simulate.cosmology import Cosmology

#: Prior ranges, units and meaning of the astrophysical parameters (21cmFAST's names).
PARAMETERS: dict[str, tuple[float, float, str, str]] = {
    "HII_EFF_FACTOR": (10.0, 50.0, "", "ionising efficiency zeta"),
    "ION_Tvir_MIN": (4.3, 5.2, "dex(K)", "minimum virial temperature of haloes that shine"),
    "R_BUBBLE_MAX": (10.0, 35.0, "Mpc", "largest ionised bubble, the mean free path of ionising photons"),
}
REDSHIFT_GRID = np.arange(5.0, 14.01, 0.5)


@dataclass(frozen=True)
class Point:
    """One simulation to run: its number, seed, parameters and redshifts (highest first)."""

    index: int
    seed: int
    parameters: dict[str, float]
    redshifts: tuple[float, ...]

    @property
    def group(self) -> str:
        """The name of the simulation, the unit of independence."""
        return f"sim{self.index:05d}"


def neutral_fraction(parameters: dict[str, float], z: float, cosmology: Cosmology) -> float:
    """Return the predicted volume mean of the neutral fraction, not below zero.

    That is ``1 - v zeta f_coll(> T_vir, z)``: haloes sit in dense cells, so the ionised volume is smaller
    than the ionised mass by ``v = 0.757 - 0.25 (log10 T_vir - 4.4)``, a line through 21cmFAST at nine points
    (zeta = 30, log10 T_vir 4.4 to 5.1, z 8 to 10). It only serves to place the redshifts.

    Example:
        >>> point = {"HII_EFF_FACTOR": 30.0, "ION_Tvir_MIN": 4.7}
        >>> early, late = (neutral_fraction(point, z, Cosmology()) for z in (10.0, 7.0))
        >>> early > 0.8 > 0.5 > late
        True
    """
    log_T = parameters["ION_Tvir_MIN"]
    collapsed = cosmology.collapsed_fraction(cosmology.virial_mass(10**log_T, z), z)
    volume = 0.757 - 0.25 * (log_T - 4.4)
    return max(0.0, 1 - volume * parameters["HII_EFF_FACTOR"] * collapsed)


def prior_ranges(ranges: dict[str, list[float]] | None = None) -> dict[str, tuple[float, float]]:
    """Return the prior range of each parameter, the default ones where ``ranges`` names none.

    Raises:
        UsageError: A parameter is unknown, or a range is empty.

    Example:
        >>> prior_ranges({"R_BUBBLE_MAX": [5, 20]})["R_BUBBLE_MAX"]
        (5.0, 20.0)
    """
    limits = {name: (low, high) for name, (low, high, _, _) in PARAMETERS.items()}
    for name, pair in (ranges or {}).items():
        if name not in limits:
            raise UsageError(f"range of unknown parameter {name!r}", hint=nearest(name, limits))
        if len(pair) != 2 or not pair[0] < pair[1]:
            raise UsageError(f"range of {name} is {pair}", hint="give [low, high] with low < high")
        limits[name] = (float(pair[0]), float(pair[1]))
    return limits


def latin_hypercube(
    simulations: int,
    *,
    redshifts: int = 3,
    seed: int = 0,
    ranges: dict[str, list[float]] | None = None,
    cosmology: Cosmology | None = None,
) -> list[Point]:
    """Return the simulations of a Latin hypercube over the astrophysical parameters.

    Args:
        simulations: How many.
        redshifts: How many redshifts each, one per stratum of the predicted neutral fraction.
        seed: Seed of the design; simulation ``i`` gets the seed ``1_000_003 * (seed + 1) + i``.
        ranges: Prior ranges that replace the default ones, by parameter.
        cosmology: Background; Planck 2018 if not given.

    Returns:
        One :class:`Point` per simulation.

    Raises:
        UsageError: A parameter in ``ranges`` is unknown, or a range is empty.

    Example:
        >>> [point.seed for point in latin_hypercube(2)]
        [1000003, 1000004]
    """
    limits = prior_ranges(ranges)
    cosmology = cosmology or Cosmology()
    unit = qmc.LatinHypercube(d=len(limits), rng=np.random.default_rng(seed)).random(simulations)
    values = qmc.scale(unit, *np.array(list(limits.values())).T)
    strata = np.random.default_rng([seed, 1]).random((simulations, redshifts))
    points = []
    for index, row in enumerate(values):
        parameters = {name: float(value) for name, value in zip(limits, row, strict=True)}
        points.append(
            Point(
                index=index,
                seed=1_000_003 * (seed + 1) + index,
                parameters=parameters,
                redshifts=_spread(parameters, strata[index], cosmology),
            )
        )
    return points


def _spread(parameters: dict[str, float], uniform: np.ndarray, cosmology: Cosmology) -> tuple[float, ...]:
    """Choose one grid redshift per stratum of the predicted neutral fraction, all different."""
    predicted = np.array([neutral_fraction(parameters, z, cosmology) for z in REDSHIFT_GRID])
    targets = 0.04 + 0.92 * (np.arange(len(uniform)) + uniform) / len(uniform)
    chosen: list[float] = []
    for target in targets:
        order = np.argsort(np.abs(predicted - target), kind="stable")
        free = [REDSHIFT_GRID[i] for i in order if REDSHIFT_GRID[i] not in chosen]
        chosen.append(float(free[0]))
    return tuple(sorted(chosen, reverse=True))
