"""Which turbulent boxes to run: regime of the cosmic rays, parameters, and a seed of its own for every run.

Regimes are dealt out in turn, so that all have as many runs. Parameters that are given a range fill a Latin
hypercube, evenly in their logarithm; the others keep one value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from skyloom.errors import UsageError, nearest


@dataclass(frozen=True)
class Regime:
    """How cosmic rays move: the class of Bustard & Wu (2024), and what of the transport is on."""

    code: int
    name: str
    rays: bool = True
    kappa: float = 0.0  #: in units of the parameter ``kappa``
    streaming: bool = False


#: By the names of the shipped set's runs; codes and class names are that set's.
REGIMES = {
    "mhd": Regime(0, "MHD", rays=False),
    "advect": Regime(1, "CR_Advect"),
    "diff": Regime(2, "CR_Diff_Fiducial", kappa=1.0),
    "diff100": Regime(3, "CR_Diff100", kappa=100.0),
    "stream": Regime(4, "CR_withStreaming", kappa=1.0, streaming=True),
}

#: Unit and meaning of what may have a range.
PARAMETERS = {
    "energy_input": ("", "energy input, per mass, cubed sound speed over box side"),
    "beta": ("", "plasma beta of the mean field"),
    "kappa": ("", "diffusion coefficient along the field, box side times sound speed"),
}


@dataclass(frozen=True)
class Point:
    """One run: its number, seed, regime (a key of ``REGIMES``) and parameters."""

    index: int
    seed: int
    regime: str
    parameters: dict[str, float]

    @property
    def group(self) -> str:
        """The name of the run, the unit of independence."""
        return f"{self.regime}-{self.index:05d}"

    @property
    def kappa(self) -> float:
        """Diffusion coefficient along the field in this regime, box side times sound speed."""
        return REGIMES[self.regime].kappa * self.parameters["kappa"]


def prior_ranges(
    values: Mapping[str, float], ranges: Mapping[str, Sequence[float]] | None = None
) -> dict[str, tuple[float, float]]:
    """Return the range of every parameter, both ends its value where ``ranges`` names none.

    Raises:
        UsageError: A parameter is unknown, not positive, or its range empty.

    Example:
        >>> prior_ranges({"energy_input": 1.0, "beta": 10.0, "kappa": 0.1}, {"beta": [1, 100]})["beta"]
        (1.0, 100.0)
    """
    limits = {name: (float(value), float(value)) for name, value in values.items()}
    for name, pair in (ranges or {}).items():
        if name not in limits:
            raise UsageError(f"range of unknown parameter {name!r}", hint=nearest(name, limits))
        if len(pair) != 2 or not pair[0] < pair[1]:
            raise UsageError(f"range of {name} is {list(pair)}", hint="give [low, high] with low < high")
        limits[name] = (float(pair[0]), float(pair[1]))
    for name, (low, _) in limits.items():
        if not low > 0:
            raise UsageError(f"{name} is {low:g}", hint="allowed: more than 0")
    return limits


def design(
    simulations: int, regimes: Sequence[str], limits: Mapping[str, tuple[float, float]], seed: int
) -> list[Point]:
    """Return the runs.

    Args:
        simulations: How many in all.
        regimes: Keys of ``REGIMES``, dealt out in turn.
        limits: Range of every parameter.
        seed: Of the design; run ``i`` gets the seed ``1_000_003 * (seed + 1) + i``.

    Example:
        >>> limits = {"energy_input": (1.0, 1.0), "beta": (1.0, 100.0), "kappa": (0.03, 0.03)}
        >>> [point.group for point in design(3, ["mhd", "diff"], limits, seed=0)]
        ['mhd-00000', 'diff-00001', 'mhd-00002']
    """
    unit = qmc.LatinHypercube(d=len(limits), rng=np.random.default_rng(seed)).random(simulations)
    return [
        Point(
            index=index,
            seed=1_000_003 * (seed + 1) + index,
            regime=regimes[index % len(regimes)],
            parameters={
                name: float(low * (high / low) ** share)
                for (name, (low, high)), share in zip(limits.items(), row, strict=True)
            },
        )
        for index, row in enumerate(unit)
    ]
