"""One run from rest to its last snapshot: gas, cosmic rays and stirring, step by step.

Units: box side, mean density and sound speed are one. Gas and cosmic rays take turns in leading a step, which
is second order over two of them; the stirring follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from skyloom.errors import DivergedError
from skyloom.simulate.turbulence.cosmic_rays import CosmicRays
from skyloom.simulate.turbulence.design import REGIMES, Point
from skyloom.simulate.turbulence.driving import CADENCE, Driving
from skyloom.simulate.turbulence.grid import Array, Grid
from skyloom.simulate.turbulence.mhd import Gas

MARGIN = 1.5  #: least ratio of the speed of free flux, V / sqrt(3), to the fastest wave of the gas


@dataclass(frozen=True)
class Snapshot:
    """The box at one time, cubes ``(Z, Y, X)`` and vectors ``(3, Z, Y, X)``.

    Args:
        time: Box sides over sound speed.
        density: In means.
        velocity: In sound speeds.
        field: In units in which ``B²/2`` is a pressure.
        energy: Of cosmic rays; zero without them.
        fastest: Speed of the fastest wave of the gas in any cell so far, flow and all.
        steps: Steps of the gas so far.
    """

    time: float
    density: Array
    velocity: Array
    field: Array
    energy: Array
    fastest: float
    steps: int


def evolve(
    point: Point,
    *,
    size: int,
    times: Sequence[float],
    pressure_ratio: float,
    light_speed: float,
    solenoidal: float,
    correlation_time: float,
) -> Iterator[Snapshot]:
    """Run one simulation and give its snapshots as it reaches them.

    Args:
        point: Regime, parameters and seed.
        size: Cells along one side.
        times: Of the snapshots, rising, box sides over sound speed.
        pressure_ratio: Of cosmic rays to gas at the start.
        light_speed: The reduced one, in sound speeds.
        solenoidal: Weight of the stirring without divergence.
        correlation_time: Of the stirring, box sides over sound speed.

    Raises:
        DivergedError: A density or energy is not positive, or the reduced speed of light is too slow.
    """
    grid, regime = Grid((size, size, size), 1 / size), REGIMES[point.regime]
    one = np.ones(grid.shape)
    field = np.zeros((3, *grid.shape))
    field[0] = math.sqrt(2 / point.parameters["beta"])
    gas = Gas(grid, one, np.zeros_like(field), field)
    driving = Driving(
        grid,
        point.seed,
        power=point.parameters["energy_input"],
        solenoidal=solenoidal,
        correlation_time=correlation_time,
    )
    rays = None
    if regime.rays:
        rays = CosmicRays(
            grid,
            3 * pressure_ratio * one,
            light_speed=light_speed,
            kappa=point.kappa,
            streaming=regime.streaming,
        )
    time, steps, fastest = 0.0, 0, 0.0
    for until in times:
        while time < until - 1e-12:
            fastest = max(fastest, gas.fastest())
            least = MARGIN * math.sqrt(3) * fastest
            if rays is not None and light_speed < least:
                raise DivergedError(
                    f"{point.group}: the reduced speed of light is {light_speed:g} sound speeds, the fastest "
                    f"wave {fastest:.2f} at t = {time:.2f}, allowed: {least:.1f} and more",
                    hint="raise light_speed, or drive the gas less (energy_input or mach)",
                )
            dt = min(gas.longest_step(), CADENCE, until - time)
            if rays is not None and steps % 2:
                rays.step(dt, gas)
            gas.step(dt)
            if rays is not None and not steps % 2:
                rays.step(dt, gas)
            time, steps = time + dt, steps + 1
            driving.apply(gas, time, dt)
        energy = np.zeros_like(one) if rays is None else rays.energy.copy()
        yield Snapshot(
            until, gas.density.copy(), gas.velocity.copy(), gas.field.copy(), energy, fastest, steps
        )
