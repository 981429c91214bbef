"""Driven, magnetised, isothermal turbulence with cosmic rays in five regimes of transport, as field sets.

The embedded stand-in for the Athena++ runs of Bustard & Wu (2024, MLST; arXiv:2402.03518): cubes of
``density``, ``magnetic_energy`` and ``E_c``, with the regime as the parameter ``transport``, in the shape of
the shipped set ``cosmic-rays-athena``. What it computes and leaves out, and how it compares with Athena++, is
told in ``docs/explanation/turbulence-simulator.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import UsageError, nearest
from skyloom.fields import Label, build
from skyloom.fields.store import ShardWriter
from skyloom.simulate.running import Progress, run_missing
from skyloom.simulate.turbulence.design import PARAMETERS, REGIMES, Point, design, prior_ranges

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.simulate.turbulence.evolve import Snapshot

#: Energy input over cubed Mach number; runs scatter by a tenth, and end a tenth above (the page has a table).
POWER_OF_MACH = 1.5

FIELDS = {
    "density": "gas density",
    "magnetic_energy": "magnetic energy density, B²/2",
    "E_c": "cosmic-ray energy density",
}
#: Meaning and component of the vectors that are kept on request.
COMPONENTS = {f"velocity_{axis}": (f"velocity along {axis}", axis) for axis in "xyz"} | {
    f"B_{axis}": (f"magnetic field along {axis}", axis) for axis in "xyz"
}


class Turbulence:
    """Isothermal turbulence with cosmic rays, one shard a run.

    Lengths are in box sides, speeds in sound speeds, densities in means. The mean field is along x.

    Args:
        simulations: Runs in all; the regimes are dealt out to them in turn, each run with a seed of its own.
        regimes: Which of ``mhd``, ``advect``, ``diff``, ``diff100`` and ``stream``; all if not given.
        size: Cells along one side.
        times: Times of the snapshots; a turnover takes about half a unit at Mach 1.
        energy_input: Energy put in per mass and time; 1 gives a Mach number of about 0.9.
        mach: The Mach number to aim at, in place of ``energy_input``; that reached is a label.
        beta: Gas pressure over the pressure of the mean field.
        pressure_ratio: Pressure of cosmic rays over that of gas at the start.
        kappa: Diffusion coefficient of cosmic-ray energy along the field in ``diff`` and ``stream``, a
            hundredth of that in ``diff100``.
        light_speed: Reduced speed of light; a run in which it comes near the fastest wave is refused.
        solenoidal: Weight of the stirring without divergence, 0 to 1.
        correlation_time: Of the stirring.
        vectors: Whether to keep the components of velocity and magnetic field, too.
        seed: Seed of the design.
        ranges: ``{parameter: [low, high]}`` for ``energy_input``, ``beta`` or ``kappa``, drawn evenly in the
            logarithm.

    Example:
        >>> [point.group for point in Turbulence(simulations=2).design()]
        ['mhd-00000', 'advect-00001']
    """

    def __init__(
        self,
        *,
        simulations: int = 10,
        regimes: list[str] | None = None,
        size: int = 32,
        times: list[float] | None = None,
        energy_input: float = 1.0,
        mach: float | None = None,
        beta: float = 10.0,
        pressure_ratio: float = 1.0,
        kappa: float = 1 / 30,
        light_speed: float = 20.0,
        solenoidal: float = 0.5,
        correlation_time: float = 0.5,
        vectors: bool = False,
        seed: int = 0,
        ranges: dict[str, list[float]] | None = None,
    ) -> None:
        times = [1.0, 1.5] if times is None else times
        regimes = list(REGIMES) if regimes is None else regimes
        for regime in regimes:
            if regime not in REGIMES:
                raise UsageError(f"regime {regime!r} is unknown", hint=nearest(regime, REGIMES))
        rising = all(low < high for low, high in zip([0.0, *times], times, strict=False))
        if simulations < 1 or size < 8 or not regimes or not times or not rising:
            raise UsageError(
                f"simulations={simulations}, regimes={regimes}, size={size}, times={times}",
                hint="need simulations >= 1, at least one regime, size >= 8 and rising times above 0",
            )
        if not 0 <= solenoidal <= 1 or min(pressure_ratio, light_speed, correlation_time) <= 0:
            raise UsageError(
                f"solenoidal={solenoidal}, pressure_ratio={pressure_ratio}, light_speed={light_speed}, "
                f"correlation_time={correlation_time}",
                hint="need 0 <= solenoidal <= 1, and the others above 0",
            )
        power = energy_input if mach is None else POWER_OF_MACH * mach**3
        self.limits = prior_ranges({"energy_input": power, "beta": beta, "kappa": kappa}, ranges)
        self.simulations, self.regimes, self.seed, self.vectors = simulations, regimes, seed, vectors
        self.run: dict[str, Any] = {
            "size": size,
            "times": times,
            "pressure_ratio": pressure_ratio,
            "light_speed": light_speed,
            "solenoidal": solenoidal,
            "correlation_time": correlation_time,
        }
        self.settings = {
            **self.run,
            "simulations": simulations,
            "regimes": regimes,
            "ranges": self.limits,
            "vectors": vectors,
            "seed": seed,
        }

    def design(self) -> list[Point]:
        """Return the runs: regimes, parameters and seeds."""
        return design(self.simulations, self.regimes, self.limits, self.seed)

    def simulate(self, folder: Path, *, workers: int = 1, progress: Progress | None = None) -> Path:
        """Run what is not in ``folder`` yet, and write it there as a stored field set.

        Args:
            folder: Where the shards go; runs already whole are kept.
            workers: Processes, one thread each. The result does not depend on their number.
            progress: Called with (runs done, all).

        Returns:
            ``folder``, which ``skyloom.open`` reads.

        Raises:
            DivergedError: A run left what the scheme can follow; the message says what to change.
        """
        points = self.design()
        writer = ShardWriter(
            folder, self._template(points[0]), identity=json.dumps([self.settings, version("skyloom")])
        )
        work = {point.index: (point,) for point in points}
        run_missing(writer, work, self.one, workers=workers, progress=progress)
        return folder

    def one(self, point: Point) -> xr.Dataset:
        """Run one simulation and return its snapshots as a field set of cubes."""
        from skyloom.simulate.turbulence.evolve import evolve

        return self._field_set(point, evolve(point, **self.run))

    def _template(self, point: Point) -> xr.Dataset:
        """Return a field set with the structure of every run; its values say nothing."""
        from skyloom.simulate.turbulence.evolve import Snapshot

        cube = np.ones((self.run["size"],) * 3)
        vector = np.stack([cube] * 3)
        return self._field_set(
            point, [Snapshot(time, cube, vector, vector, cube, 1.0, 0) for time in self.run["times"]]
        )

    def _field_set(self, point: Point, snapshots: Iterable[Snapshot]) -> xr.Dataset:
        cubes: dict[str, list[np.ndarray]] = {name: [] for name in FIELDS}
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in COMPONENTS} if self.vectors else {}
        times, machs, fastest = [], [], []
        for snapshot in snapshots:
            cubes["density"].append(snapshot.density.astype(np.float32))
            cubes["magnetic_energy"].append((0.5 * (snapshot.field**2).sum(0)).astype(np.float32))
            cubes["E_c"].append(snapshot.energy.astype(np.float32))
            for name, cube in zip(vectors, [*snapshot.velocity, *snapshot.field], strict=False):
                vectors[name].append(cube.astype(np.float32))
            times.append(snapshot.time)
            machs.append(float(np.sqrt((snapshot.velocity**2).sum(0).mean())))
            fastest.append(snapshot.fastest)
        count, code = len(times), REGIMES[point.regime].code
        parameters = {**point.parameters, "kappa": point.kappa}
        limits = {**self.limits, "kappa": (0.0, 100 * self.limits["kappa"][1])}
        labels = {
            "transport": Label(
                [code] * count, "parameter", "", "cosmic-ray transport",
                classes={regime.code: regime.name for regime in REGIMES.values()},
            ),
            "time": Label(times, "label", "", "time, box side over sound speed"),
            "mach": Label(machs, "label", "", "sonic Mach number, rms over the volume"),
            "fastest_wave": Label(fastest, "label", "", "fastest wave up to then, in sound speeds"),
        }  # fmt: skip
        for name, (unit, meaning) in PARAMETERS.items():
            low, high = limits[name]
            varied = (low, high) if low < high else ()  # a number that all runs share has no prior
            role: Literal["parameter", "label"] = "parameter" if varied else "label"
            labels[name] = Label([parameters[name]] * count, role, unit, meaning, *varied)
        return build(
            {
                **{name: (np.stack(cubes[name]), "", meaning) for name, meaning in FIELDS.items()},
                **{name: (np.stack(values), "", COMPONENTS[name][0]) for name, values in vectors.items()},
            },
            ids=[f"{point.group}-t{time:g}" for time in times],
            groups=[point.group] * count,
            seeds=[point.seed] * count,
            box_size=1.0,
            box_size_unit="",
            suite="skyloom-turbulence",
            realism="simulation",
            labels=labels,
            ranks={name: (1, COMPONENTS[name][1]) for name in vectors},
            provenance={
                "code": {"skyloom": version("skyloom"), "numba": version("numba")},
                "seeds": [point.seed],
                "steps": [{"step": "simulate", **self.settings}],
            },
        ).assign_attrs(mean_field="x")
