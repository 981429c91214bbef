"""Maps of matter, gas, neutral hydrogen, temperature and magnetic field: a small stand-in for CAMELS.

Dark matter comes from a particle mesh, everything else is painted on it by stated relations in which
feedback has an effect (``docs/explanation/cosmic-web.md``). Boxes, priors, sets and the order of the maps are
those of the CAMELS Multifield Dataset, and ``formats.camels.write`` writes its files. The set is ``painted``:
what a network learns from it says nothing of galaxy formation.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError, nearest
from skyloom.fields import Label, build
from skyloom.fields.store import ShardWriter
from skyloom.formats.camels.names import FIELDS, HUBBLE, MAPS, SIDE, SLICES
from skyloom.formats.camels.tables import PARAMETERS
from skyloom.simulate.cosmic_web.design import FIDUCIAL, Point, Set, design
from skyloom.simulate.cosmology import Cosmology
from skyloom.simulate.lagrangian import linear_field
from skyloom.simulate.running import Progress, run_missing

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.simulate.cosmic_web.painting import Painted

__all__ = ["CosmicWeb"]

Array = NDArray[Any]

BOX = SIDE / HUBBLE  #: side of the box [Mpc]
PAINTED = ("Mgas", "T", "HI", "B", "Mtot")
AXES = {"x": 2, "y": 1, "z": 0}


class CosmicWeb:
    """Painted simulations of a box of 25 Mpc/h at z = 0, fifteen maps and one shard each.

    Args:
        set: ``LH`` (a Latin hypercube of six parameters, each simulation with its own seed), ``CV`` (only
            the seed varies) or ``1P`` (one parameter at a time, one seed).
        simulations: How many; left out, 200 of LH and 27 of CV. 1P always has 66.
        fields: Fields kept; left out, Mgas, T, HI, B and Mtot.
        size: Pixels along a side of the maps; divides ``cells``.
        cells: Cells, and particles, along a side of the box. Another number is another universe.
        steps: Steps of the particle mesh.
        seed: Seed of the design.

    Raises:
        UsageError: A setting cannot work.

    Example:
        >>> CosmicWeb(set="CV").design()[1].parameters["sigma_8"]
        0.8
    """

    def __init__(
        self,
        *,
        set: Set = "LH",
        simulations: int | None = None,
        fields: list[str] | None = None,
        size: int = 64,
        cells: int = 64,
        steps: int = 12,
        seed: int = 0,
    ) -> None:
        if cells < 8 or steps < 1 or size < 1 or cells % size:
            raise UsageError(
                f"cells={cells}, size={size}, steps={steps}",
                hint="need cells >= 8, steps >= 1, and a size that divides cells",
            )
        for name in fields or ():
            if name not in PAINTED:
                raise UsageError(f"field {name!r} is not painted", hint=nearest(name, PAINTED))
        self.set, self.seed, self.size, self.cells, self.steps = set, seed, size, cells, steps
        self.fields = list(PAINTED if fields is None else fields)
        self._design = design(set, simulations=simulations, seed=seed)
        self.settings = {
            "set": set,
            "simulations": len(self._design),
            "fields": self.fields,
            "size": size,
            "cells": cells,
            "steps": steps,
            "seed": seed,
        }

    def design(self) -> list[Point]:
        """Return the simulations to run: parameters and seeds."""
        return list(self._design)

    def simulate(self, folder: Path, *, workers: int = 1, progress: Progress | None = None) -> Path:
        """Run what is not in ``folder`` yet, and write it there as a stored field set.

        Args:
            folder: Where the shards go; those already whole are kept.
            workers: Processes, one thread each. The result does not depend on their number.
            progress: Called with (simulations done, all).

        Returns:
            ``folder``, which ``skyloom.open`` reads.
        """
        code = {name: version(name) for name in ("skyloom", "numpy", "scipy", "numba")}
        empty = {name: np.zeros((MAPS, self.size, self.size), np.float32) for name in self.fields}
        writer = ShardWriter(
            folder,
            self._field_set(self._design[0], empty, code),
            identity=json.dumps([self.settings, code], sort_keys=True),
        )
        work = {point.index: (point, code) for point in self._design}
        run_missing(writer, work, self.one, workers=workers, progress=progress)
        return folder

    def one(self, point: Point, code: dict[str, str] | None = None) -> xr.Dataset:
        """Run one simulation and return its fifteen maps.

        Args:
            point: The simulation.
            code: Versions for the provenance.
        """
        from skyloom.simulate.cosmic_web.mesh import evolve, moments  # compiles
        from skyloom.simulate.cosmic_web.painting import paint

        universe = cosmology(point.parameters)
        linear = linear_field(self.cells, BOX, np.random.default_rng(point.seed), universe)
        particles = evolve(linear, universe, box_size=BOX, steps=self.steps)
        feedback = {name: value for name, value in point.parameters.items() if name.startswith("A_")}
        Delta, sigma = moments(particles)
        cubes = paint(Delta, sigma, universe, cell=BOX / self.cells, **feedback)
        return self._field_set(point, project(cubes, self.fields, self.size), code or {})

    def _field_set(self, point: Point, maps: dict[str, Array], code: dict[str, str]) -> xr.Dataset:
        group = f"CosmicWeb-{self.set}_{point.index}"
        return build(
            {name: (values, FIELDS[name].units[0], FIELDS[name].long_name) for name, values in maps.items()},
            ids=[f"{group}-z0.00-{axis}{i}" for axis in AXES for i in range(SLICES)],
            groups=[group] * MAPS,
            seeds=[point.seed] * MAPS,
            box_size=BOX,
            suite="skyloom-cosmic-web",
            realism="painted",
            parents=[f"{group}-z0.00"] * MAPS,
            axes=[axis for axis in AXES for _ in range(SLICES)],
            positions=np.tile(np.arange(SLICES) * BOX / SLICES, len(AXES)),
            thicknesses=[BOX / SLICES] * MAPS,
            redshifts=[0.0] * MAPS,
            labels={
                name: Label([value] * MAPS, "parameter", "", limit.long_name, limit.low, limit.high)
                for (name, value), limit in zip(point.parameters.items(), PARAMETERS.values(), strict=True)
            },
            provenance={
                "code": code,
                "seeds": [point.seed],
                "steps": [{"step": "simulate", "simulator": "cosmic_web", **self.settings}],
            },
        )


def cosmology(parameters: dict[str, float] = FIDUCIAL) -> Cosmology:
    """Return the background of a simulation: CAMELS's, with its Omega_m and sigma_8."""
    return Cosmology(
        Omega_m=parameters["Omega_m"], Omega_b=0.049, h=HUBBLE, sigma_8=parameters["sigma_8"], n_s=0.9624
    )


def project(cubes: Painted, fields: list[str], size: int) -> dict[str, Array]:
    """Project cubes to fifteen maps: five slabs along each of x, y and z.

    Densities are summed along the line of sight, T and B are means weighted by gas mass. A cell that two
    slabs share goes to both by its parts, so the five maps of an axis hold the mass of the box.

    Args:
        cubes: What was painted, axes z, y, x.
        fields: Fields wanted.
        size: Pixels along a side.

    Returns:
        Field -> maps, shape ``(15, size, size)``, float32.
    """
    N = len(cubes.Mtot)
    edges, cell = np.linspace(0, N, SLICES + 1), np.arange(N)
    share = np.clip(np.minimum(edges[1:, None], cell + 1) - np.maximum(edges[:-1, None], cell), 0, 1)

    def summed(cube: Array) -> Array:
        maps = np.concatenate([np.tensordot(share, cube, (1, axis)) for axis in AXES.values()])
        step = N // size
        pixels: Array = maps.reshape(MAPS, size, step, size, step).mean(axis=(2, 4)) * (BOX / N)
        return pixels

    gas = summed(cubes.Mgas)
    made = {}
    for name in fields:
        cube = getattr(cubes, name)
        values = summed(cube * cubes.Mgas) / gas if name in ("T", "B") else summed(cube)
        made[name] = values.astype(np.float32)
    return made
