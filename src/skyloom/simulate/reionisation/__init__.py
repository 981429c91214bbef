"""Reionisation simulations as field sets, by one of two engines under one name.

``21cmfast`` runs the real 21cmFAST (an extra that compiles); ``excursion`` is Skyloom's own excursion-set
code, which needs no compiler. Both run the same design and write the same fields: ``T_b`` [mK],
``neutral_fraction`` and ``delta``, with the neutral fraction of the box (``x_HI``) and of each slice
(``x_HI_slice``) as labels.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import UsageError
from skyloom.fields import Label, build
from skyloom.fields.project import cut
from skyloom.fields.store import ShardWriter
from skyloom.simulate.reionisation.design import PARAMETERS, Point, latin_hypercube, prior_ranges
from skyloom.simulate.reionisation.engine import Box
from skyloom.simulate.running import Progress, run_missing

if TYPE_CHECKING:
    import xarray as xr

Engine = Literal["excursion", "21cmfast"]

ENGINES = {
    "excursion": "skyloom.simulate.reionisation.excursion",
    "21cmfast": "skyloom.simulate.reionisation.fast21",
}
SUITES = {"excursion": "skyloom-excursion", "21cmfast": "21cmFAST"}
LINE_OF_SIGHT = "z"
TASKS_PER_PROCESS = 16


class Reionisation:
    """Semi-numerical simulations of reionisation, one shard a simulation.

    Args:
        engine: ``excursion`` (built in) or ``21cmfast`` (extra ``skyloom[21cmfast]``).
        simulations: Points of the Latin hypercube, each with a seed of its own.
        redshifts: Redshifts of each, spread over the history of reionisation.
        size: Cells along one side.
        box_size: Comoving side length [Mpc].
        slices: Slices kept of each box, evenly spaced across the line of sight; 0 keeps the cubes.
        seed: Seed of the design.
        ranges: Prior ranges ``{parameter: [low, high]}`` in place of the default ones.

    Example:
        >>> Reionisation(simulations=2, size=16).design()[0].group
        'sim00000'
    """

    def __init__(
        self,
        *,
        engine: Engine = "excursion",
        simulations: int = 200,
        redshifts: int = 3,
        size: int = 64,
        box_size: float = 128.0,
        slices: int = 8,
        seed: int = 0,
        ranges: dict[str, list[float]] | None = None,
    ) -> None:
        if engine not in ENGINES:
            raise UsageError(f"engine {engine!r} is unknown", hint=f"allowed: {', '.join(ENGINES)}")
        if simulations < 1 or redshifts < 1 or size < 8 or not 0 <= slices <= size:
            raise UsageError(
                f"simulations={simulations}, redshifts={redshifts}, size={size}, slices={slices}",
                hint="need simulations >= 1, redshifts >= 1, size >= 8 and 0 <= slices <= size",
            )
        self.engine, self.size, self.box_size, self.slices = engine, size, box_size, slices
        self.simulations, self.redshifts, self.seed, self.ranges = simulations, redshifts, seed, ranges
        self.settings = {
            "engine": engine,
            "simulations": simulations,
            "redshifts": redshifts,
            "size": size,
            "box_size": box_size,
            "slices": slices,
            "seed": seed,
            "ranges": prior_ranges(ranges),
        }

    def design(self) -> list[Point]:
        """Return the simulations to run: parameters, seeds and redshifts."""
        return latin_hypercube(self.simulations, redshifts=self.redshifts, seed=self.seed, ranges=self.ranges)

    def simulate(self, folder: Path, *, workers: int = 1, progress: Progress | None = None) -> Path:
        """Run what is not in ``folder`` yet, and write it there as a stored field set.

        Args:
            folder: Where the shards go; those already whole are kept.
            workers: Processes, one thread each. The result does not depend on their number.
            progress: Called with (simulations done, all).

        Returns:
            ``folder``, which ``skyloom.open`` reads.

        Raises:
            MissingDependencyError: The engine is not installed.
        """
        code = {"skyloom": version("skyloom"), **import_module(ENGINES[self.engine]).versions()}
        design = self.design()
        writer = ShardWriter(
            folder,
            self._template(design[0], code),
            identity=json.dumps([self.settings, code], sort_keys=True),
        )
        run_missing(
            writer,
            {point.index: (point, code) for point in design},
            self.one,
            workers=workers,
            progress=progress,
            # 21cmFAST 4.1 keeps some 70 MB of every simulation; a fresh process gives it back.
            fresh_after=TASKS_PER_PROCESS if self.engine == "21cmfast" else None,
        )
        return folder

    def one(self, point: Point, code: dict[str, str]) -> xr.Dataset:
        """Run one simulation and return its maps (or cubes) as a field set."""
        boxes = import_module(ENGINES[self.engine]).run(point, size=self.size, box_size=self.box_size)
        return self._maps(point, boxes, code)

    def _template(self, point: Point, code: dict[str, str]) -> xr.Dataset:
        """Return a field set with the structure of every simulation; its values say nothing."""
        empty = np.zeros((self.size,) * 3, np.float32)
        return self._maps(point, [Box(z, empty, empty, empty) for z in point.redshifts], code)

    def _maps(self, point: Point, boxes: list[Box], code: dict[str, str]) -> xr.Dataset:
        cubes = as_field_set(
            point,
            boxes,
            box_size=self.box_size,
            limits=prior_ranges(self.ranges),
            provenance={"code": code, "steps": [{"step": "simulate", **self.settings}]},
            suite=SUITES[self.engine],
        )
        if self.slices == 0:
            return cubes
        return cut(cubes, kind="slice", axes=[LINE_OF_SIGHT], count=self.slices)


def as_field_set(
    point: Point,
    boxes: list[Box],
    *,
    box_size: float,
    suite: str,
    limits: dict[str, tuple[float, float]],
    provenance: dict[str, Any],
) -> xr.Dataset:
    """Return the boxes of one simulation as a field set of cubes.

    Args:
        point: The simulation.
        boxes: Its boxes, one a redshift.
        box_size: Comoving side length [Mpc].
        suite: Which code ran.
        limits: Prior range of each parameter.
        provenance: Code versions and settings; the seed of each sample is a coordinate.

    Returns:
        A field set of ``len(boxes)`` cubes ``(sample, z, y, x)``.
    """
    labels = {
        "x_HI": Label(
            [float(box.neutral_fraction.mean(dtype=np.float64)) for box in boxes],
            "label", "", "neutral fraction of the box", 0.0, 1.0,
        )
    }  # fmt: skip
    for name, (_, _, unit, meaning) in PARAMETERS.items():
        values = [point.parameters[name]] * len(boxes)
        labels[name] = Label(values, "parameter", unit, meaning, *limits[name])
    return build(
        {
            "T_b": (np.stack([box.T_b for box in boxes]), "mK", "21-cm brightness temperature"),
            "neutral_fraction": (
                np.stack([box.neutral_fraction for box in boxes]), "", "neutral fraction of hydrogen",
            ),
            "delta": (np.stack([box.delta for box in boxes]), "", "matter density contrast"),
        },
        ids=[f"{point.group}-z{box.redshift:.2f}" for box in boxes],
        groups=[point.group] * len(boxes),
        seeds=[point.seed] * len(boxes),
        box_size=box_size,
        suite=suite,
        realism="semi-numerical",
        redshifts=[box.redshift for box in boxes],
        labels=labels,
        provenance=provenance,
    )  # fmt: skip
