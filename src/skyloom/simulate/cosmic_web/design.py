"""Which simulations a set holds: a Latin hypercube, a fixed cosmology, or one parameter at a time.

The three are laid out as those of CAMELS (Villaescusa-Navarro et al. 2021, table 1), with its priors and
fiducial values. Seeds are apart from those of CAMELS, whose simulations these are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import qmc

from skyloom.errors import UsageError
from skyloom.formats.camels.tables import COSMOLOGY, PARAMETERS

Set = Literal["LH", "CV", "1P"]

FIDUCIAL = {"Omega_m": 0.3, "sigma_8": 0.8, "A_SN1": 1.0, "A_AGN1": 1.0, "A_SN2": 1.0, "A_AGN2": 1.0}
SIMULATIONS = {"LH": 200, "CV": 27, "1P": 66}  #: of each set where no number is asked for
STEPS_1P = 11  #: values of each parameter in 1P
_FIRST = {"LH": 0, "CV": 400_000, "1P": 800_000}  # so that no two sets share a seed


@dataclass(frozen=True)
class Point:
    """One simulation to run: its number, seed and the six parameters."""

    index: int
    seed: int
    parameters: dict[str, float]


def design(set: Set, *, simulations: int | None = None, seed: int = 0) -> list[Point]:
    """Return the simulations of a set.

    Args:
        set: ``LH`` (all six parameters and the seed vary; feedback parameters are spread evenly in their
            logarithm), ``CV`` (only the seed varies) or ``1P`` (one parameter at a time, one seed).
        simulations: How many; left out, 200 of LH, 27 of CV. 1P always has 66.
        seed: Another seed, other simulations.

    Raises:
        UsageError: The set is unknown, or its number of simulations cannot be.

    Example:
        >>> low, high = design("1P")[0], design("1P")[10]
        >>> low.parameters["Omega_m"], high.parameters["Omega_m"], low.seed == high.seed
        (0.1, 0.5, True)
    """
    if set not in SIMULATIONS:
        raise UsageError(f"set {set!r} is unknown", hint=f"allowed: {', '.join(SIMULATIONS)}")
    count = SIMULATIONS[set] if simulations is None else simulations
    if count < 1 or (set == "1P" and count != SIMULATIONS[set]):
        raise UsageError(
            f"simulations is {count} of {set}", hint="1 or more; 1P has 66, leave the number out"
        )
    first = 1_000_003 * (seed + 1) + _FIRST[set]
    if set == "CV":
        return [Point(i, first + i, dict(FIDUCIAL)) for i in range(count)]
    if set == "1P":
        steps = np.linspace(0, 1, STEPS_1P).tolist()
        varied = [{**FIDUCIAL, name: _at(name, u)} for name in PARAMETERS for u in steps]
        return [Point(i, first, parameters) for i, parameters in enumerate(varied)]
    unit = qmc.LatinHypercube(d=len(PARAMETERS), rng=np.random.default_rng(seed)).random(count)
    return [
        Point(i, first + i, {name: _at(name, float(u)) for name, u in zip(PARAMETERS, row, strict=True)})
        for i, row in enumerate(unit)
    ]


def _at(name: str, u: float) -> float:
    """Return the value of a parameter at a fraction ``u`` of its prior range, as tables write it."""
    low, high = PARAMETERS[name].low, PARAMETERS[name].high
    return round(low + (high - low) * u if name in COSMOLOGY else low * (high / low) ** u, 5)
