"""Model galaxies: a small stand-in for IllustrisTNG, from native files to maps.

Every galaxy is built of closed forms with drawn properties (``docs/explanation/galaxy-simulator.md``),
sampled by particles and written in TNG's own layout; the maps are then made by the same reader and projection
as those of TNG. The set is ``painted``: what a network learns from it says nothing of galaxy formation.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import UsageError, nearest
from skyloom.fields import Label, build
from skyloom.fields.store import ShardWriter
from skyloom.simulate.galaxies.design import LOG_M_HALO, Galaxy, design
from skyloom.simulate.running import Progress, run_all, run_missing

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Galaxies"]

DOMAINS = ("Mgas", "HI", "T_b", "Mcdm", "Mstar", "T", "B", "Z", "v_los")
"""Domains of a set where none are named; ``H2`` and ``SFR`` can be had, too."""
_PROPERTIES = {
    "M_star": ("Msun", "stellar mass"),
    "M_gas": ("Msun", "gas mass of the disc"),
    "M_corona": ("Msun", "gas mass of the corona"),
    "R_virial": ("kpc", "virial radius"),
    "R_stars": ("kpc", "scale length of the stellar disc"),
    "R_gas": ("kpc", "scale length of the gas disc"),
    "dispersion": ("km / s", "dispersion of the disc's gas"),
    "arms": ("", "number of arms"),
    "contrast": ("", "amplitude of the arms"),
    "lopsided": ("", "amplitude of the lopsidedness"),
    "clump_gas": ("", "share of the disc's gas in clumps"),
}


class Galaxies:
    """Model galaxies, each seen from several directions; one shard, one group and one native file a galaxy.

    Args:
        galaxies: How many.
        domains: Maps of each galaxy: any of ``Mgas``, ``HI``, ``H2``, ``T_b``, ``Mcdm``, ``Mstar``, ``T``,
            ``B``, ``Z``, ``SFR``, ``v_los``; left out, all but ``H2`` and ``SFR``.
        width: Side of all maps [kpc].
        pixels: Side of all maps in pixels.
        rotations: Directions from which each galaxy is seen, uniform on the sphere; 0 for one, face on.
        rim: Share of the selection's radius over which it falls to nothing.
        molecules: Model of H2: ``blitz_rosolowsky`` or ``none``.
        channel: Width of the channel of ``T_b`` [km/s]; it has to hold the whole line.
        gas: Cells of gas in each galaxy.
        stars: Particles of stars in each galaxy.
        dark_particle: Mass of a particle of dark matter [Msun].
        seed: Seed of the galaxies and of the directions.

    Raises:
        UsageError: A setting cannot work.

    Example:
        >>> [galaxy.index for galaxy in Galaxies(galaxies=2).design()]
        [0, 1]
    """

    def __init__(
        self,
        *,
        galaxies: int = 120,
        domains: list[str] | None = None,
        width: float = 60.0,
        pixels: int = 64,
        rotations: int = 4,
        rim: float = 0.2,
        molecules: Literal["none", "blitz_rosolowsky"] = "blitz_rosolowsky",
        channel: float = 1000.0,
        gas: int = 6000,
        stars: int = 3000,
        dark_particle: float = 1e8,
        seed: int = 0,
    ) -> None:
        from skyloom.formats.illustris.domains import DOMAINS as KNOWN

        for name in domains or ():
            if name not in KNOWN:
                raise UsageError(f"the domain {name!r} is unknown", hint=nearest(name, KNOWN))
        if min(gas, stars) < 200 or width <= 0 or pixels < 4 or rotations < 0:
            raise UsageError(
                f"gas={gas}, stars={stars}, width={width}, pixels={pixels}, rotations={rotations}",
                hint="need 200 cells and stars or more, a width above 0, 4 pixels, no negative rotations",
            )
        self.domains = list(DOMAINS if domains is None else domains)
        self.views, self.dark_particle = max(rotations, 1), dark_particle
        self.gas, self.stars = gas, stars
        self.look: dict[str, Any] = {
            "domains": self.domains, "width": width, "pixels": pixels, "rotations": rotations, "rim": rim,
            "molecules": molecules, "channel": channel, "seed": seed,
        }  # fmt: skip
        self._design = design(galaxies, dark_particle=dark_particle, seed=seed)
        self.settings = {
            "galaxies": galaxies, **self.look, "gas": gas, "stars": stars, "dark_particle": dark_particle,
        }  # fmt: skip

    def design(self) -> list[Galaxy]:
        """Return the galaxies and their properties."""
        return list(self._design)

    def simulate(self, folder: Path, *, workers: int = 1, progress: Progress | None = None) -> Path:
        """Make what is not in ``folder`` yet: native files first, from them a stored field set.

        Args:
            folder: Where the shards go; the native files lie in ``native`` below it. What is whole is kept.
            workers: Processes, one thread each. The result does not depend on their number.
            progress: Called with (files and shards done, all).

        Returns:
            ``folder``, which ``skyloom.open`` reads.
        """
        folder, galaxies = Path(folder), self.design()
        count, report = len(galaxies), progress or (lambda done, total: None)
        writer = ShardWriter(
            folder,
            self._field_set(galaxies[0], np.zeros((self.views, len(self.domains), *self._shape), np.float32)),
            identity=json.dumps([self.settings, version("skyloom")], sort_keys=True),
        )
        self.write(folder / "native", workers=workers, progress=lambda done, _: report(done, 2 * count))
        work = {galaxy.index: (galaxy, folder / "native") for galaxy in galaxies}
        run_missing(
            writer, work, self.one, workers=workers, progress=lambda done, _: report(count + done, 2 * count)
        )
        return folder

    def write(self, folder: Path, *, workers: int = 1, progress: Progress | None = None) -> Path:
        """Write the galaxies as a simulation of IllustrisTNG is written; files that are there are kept.

        Args:
            folder: Of the simulation; snapshot and catalogue go to ``output`` below it.
            workers: Processes, one thread each.
            progress: Called with (galaxies written, all).

        Returns:
            The folder ``output``, which the format ``illustris`` reads.
        """
        from skyloom.simulate.galaxies import native

        folder, report = Path(folder), progress or (lambda done, total: None)
        lengths = self.lengths()
        todo = {
            galaxy.index: (galaxy, folder, lengths)
            for galaxy in self._design
            if not all(path.exists() for path in native.files(folder, galaxy.index))
        }
        done = len(self._design) - len(todo)
        report(done, len(self._design))
        for _ in run_all(todo, self.write_one, workers=workers):
            done += 1
            report(done, len(self._design))
        if not native.offsets_file(folder).exists():
            native.write_offsets(folder, lengths)
        return folder / "output"

    def write_one(self, galaxy: Galaxy, folder: Path, lengths: list[list[int]]) -> None:
        """Make the particles of one galaxy and write its files.

        Args:
            galaxy: Its properties.
            folder: Of the simulation.
            lengths: Particles of each of the six types of every galaxy.
        """
        from skyloom.simulate.galaxies import native, particles

        made = particles.make(galaxy, self.counts(galaxy))
        native.write_galaxy(folder, galaxy, made, lengths, self.dark_particle)

    def lengths(self) -> list[list[int]]:
        """Return how many particles of each of the six types every galaxy has."""
        dark = [self.counts(galaxy)["dark"] for galaxy in self._design]
        return [[self.gas, number, 0, 0, self.stars, 0] for number in dark]

    def counts(self, galaxy: Galaxy) -> dict[str, int]:
        """Return how many particles each part of a galaxy has.

        Args:
            galaxy: Its properties.
        """
        from skyloom.simulate.galaxies.particles import counts

        return counts(galaxy, gas=self.gas, stars=self.stars, dark_particle=self.dark_particle)

    def one(self, galaxy: Galaxy, folder: Path) -> xr.Dataset:
        """Return the maps of one galaxy as a field set, read from the native files and projected.

        Args:
            galaxy: Its properties.
            folder: Of the simulation, whole.
        """
        read = _read(folder, len(self._design), json.dumps(self.look, sort_keys=True))
        rows = slice(galaxy.index * self.views, (galaxy.index + 1) * self.views)
        maps = read[self.domains].isel(sample=rows).to_dataarray("domain").transpose("sample", "domain", ...)
        return self._field_set(galaxy, maps.values)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.look["pixels"], self.look["pixels"]

    def _field_set(self, galaxy: Galaxy, maps: Any) -> xr.Dataset:
        """Return the field set of one galaxy; maps have the shape ``(views, domains, N, N)``."""
        from skyloom.formats.illustris.domains import DOMAINS as KNOWN

        group, views = f"galaxy{galaxy.index:05d}", self.views
        pixel = self.look["width"] / self.look["pixels"]
        labels = {
            "log_M_total": Label(
                [np.log10(galaxy.M_total)] * views, "parameter", "",
                "log10 of all mass inside the virial radius / Msun", *LOG_M_HALO,
            ),
            "log_M_dark": Label(
                [np.log10(galaxy.M_dark)] * views, "label", "", "log10 of the dark matter's mass / Msun"
            ),
            **{
                name: Label([getattr(galaxy, name)] * views, "label", unit, text)
                for name, (unit, text) in _PROPERTIES.items()
            },
        }  # fmt: skip
        if "HI" in self.domains:
            seen = maps[:, self.domains.index("HI")].sum(axis=(1, 2), dtype=float) * pixel**2
            labels["M_HI"] = Label(seen, "label", "Msun", "atomic hydrogen mass in the field of view")
        return build(
            {
                name: (maps[:, d], KNOWN[name].unit, KNOWN[name].long_name)
                for d, name in enumerate(self.domains)
            },
            ids=[f"{group}-r{r:02d}" for r in range(views)],
            groups=[group] * views,
            parents=[group] * views,
            seeds=[galaxy.seed] * views,
            box_size=self.look["width"],
            box_size_unit="kpc",
            periodic=False,
            suite="skyloom-galaxies",
            realism="painted",
            redshifts=[0.0] * views,
            labels=labels,
            provenance={
                "code": {name: version(name) for name in ("skyloom", "numpy", "scipy", "numba")},
                "seeds": [galaxy.seed],
                "steps": [{"step": "simulate", "simulator": "galaxies", **self.settings}],
            },
        )


@lru_cache(maxsize=1)
def _read(folder: Path, galaxies: int, look: str) -> xr.Dataset:
    """Return the lazy maps of all galaxies of a folder; headers and catalogue are read once a process."""
    from skyloom.formats.illustris import Illustris
    from skyloom.simulate.galaxies import native

    return Illustris(
        path=str(folder / "output"),
        snapshot=native.SNAPSHOT,
        offsets=str(native.offsets_file(folder)),
        ids=list(range(galaxies)),
        two_phase=False,  # cells carry the neutral share of their own phase
        **json.loads(look),
    ).read()
