"""IllustrisTNG, Illustris, CAMELS and EAGLE-like snapshots and cutouts: maps of their galaxies.

``Illustris`` is the reader of recipes: halos × rotations in any number of domains, lazily, one task a halo.
``Snapshot`` and ``Catalogue`` give the particles and halos themselves. The layout of the files:
https://www.tng-project.org/data/docs/specifications.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import FormatError, UsageError
from skyloom.fields import Label, build
from skyloom.formats.illustris.catalogue import Catalogue
from skyloom.formats.illustris.domains import Look, maps
from skyloom.formats.illustris.following import follow
from skyloom.formats.illustris.native import TYPES
from skyloom.formats.illustris.snapshot import Snapshot
from skyloom.formats.illustris.views import directions, lazy_fields
from skyloom.runs import sampled_file

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Catalogue", "Illustris", "Snapshot"]


@dataclass(frozen=True)
class Galaxy:
    """One object of a set.

    Args:
        name: Its name.
        group: What it is independent as: its halo.
        centre: ``(x, y, z)`` [kpc]; None to find it where the particles are densest.
        rows: Kind of particles -> first and number; None for all inside the selection's sphere.
        snapshot: The snapshot that it is in.
    """

    name: str
    group: str
    centre: tuple[float, float, float] | None
    rows: dict[str, tuple[int, int]] | None
    snapshot: Snapshot


class Illustris:
    """Galaxies of IllustrisTNG, Illustris, CAMELS and EAGLE-like snapshots, as maps in many domains.

    Args:
        path: Folder ``output`` of a simulation, a snapshot's folder or file, a cutout or a folder of them.
        snapshot: Number of the snapshot, where ``path`` holds several.
        followed: Numbers of further snapshots in which the same halos are looked at, by their dark matter.
        groups: Folder or file of the group catalogue; null looks for it in ``path``.
        offsets: File of offsets; null adds them up from the catalogue.
        objects: ``halos`` (friends of friends, with all their particles), ``subhalos``, ``regions`` (spheres
            around ``centres``) or ``cutouts`` (a file each).
        ids: Numbers of halos or subhalos; null for the ``count`` most massive.
        count: How many of the most massive.
        centres: Centres of regions [kpc, physical].
        domains: Maps of each galaxy: ``Mgas``, ``HI``, ``H2``, ``T_b``, ``Mcdm``, ``Mstar``, ``T``, ``B``,
            ``Z``, ``SFR``, ``v_los``.
        width: Side of all maps [kpc, physical].
        pixels: Side of all maps in pixels.
        rotations: Directions from which each galaxy is seen, uniform on the sphere; 0 for one, along z.
        seed: Seed of the directions.
        radius: Radius of the selection [kpc]; null for the map's half diagonal, so that it fills the map.
        rim: Share of the radius over which the selection falls to nothing.
        selection: ``sphere``; or ``cube``, whose corners a network finds in the maps: for comparison alone.
        molecules: Model of H2: ``none``, ``blitz_rosolowsky`` or ``gnedin_kravtsov``.
        two_phase: Whether star-forming gas takes the neutral share of its cold clouds.
        channel: Width of the channel of ``T_b`` [km/s]; it has to hold the whole line.
        weight: What weighs the magnetic field: ``volume`` or ``mass``.
        way: ``exact``, or ``nested`` for many large particles.
        allow_missing: Whether to go on without files that are not there.
        aliases: TNG's name of a field -> names of it in these files.

    Raises:
        UsageError: Arguments do not go together.
    """

    def __init__(
        self,
        *,
        path: str,
        snapshot: int | None = None,
        followed: list[int] | None = None,
        groups: str | None = None,
        offsets: str | None = None,
        objects: Literal["halos", "subhalos", "regions", "cutouts"] = "halos",
        ids: list[int] | None = None,
        count: int = 10,
        centres: list[list[float]] | None = None,
        domains: list[str] | None = None,
        width: float = 100.0,
        pixels: int = 64,
        rotations: int = 4,
        seed: int = 0,
        radius: float | None = None,
        rim: float = 0.2,
        selection: Literal["sphere", "cube"] = "sphere",
        molecules: Literal["none", "blitz_rosolowsky", "gnedin_kravtsov"] = "none",
        two_phase: bool = True,
        channel: float = 500.0,
        weight: Literal["volume", "mass"] = "volume",
        way: Literal["exact", "nested"] = "exact",
        allow_missing: bool = False,
        aliases: dict[str, list[str]] | None = None,
    ) -> None:
        if (objects == "regions") != (centres is not None):
            raise UsageError(
                f"objects is {objects!r} and centres {'are' if centres else 'are not'} given",
                hint="regions need centres, and nothing else takes them",
            )
        if followed and (objects != "halos" or snapshot is None or groups or offsets):
            raise UsageError(
                "halos are followed from the numbered snapshot of a simulation's folder to others",
                hint="give snapshot, and leave objects, groups and offsets out",
            )
        if rotations < 0 or count < 1:
            raise UsageError(f"rotations is {rotations} and count {count}, allowed: 0 or more, 1 or more")
        self.followed = list(followed or [])
        self.path, self.number, self.objects, self.ids, self.count = Path(path), snapshot, objects, ids, count
        self.groups = None if groups is None else Path(groups)
        self.offsets = None if offsets is None else Path(offsets)
        self.centres, self.rotations, self.seed = centres or [], rotations, seed
        self.allow_missing, self.aliases = allow_missing, dict(aliases or {})
        if selection == "cube" and radius is not None:
            raise UsageError("a cube has no radius", hint="leave radius out: its side is the maps' width")
        half_diagonal = width * np.sqrt(3 if selection == "cube" else 2) / 2
        self.look = Look(
            tuple(domains or ["Mgas", "HI"]), width, pixels, radius or half_diagonal, rim,
            molecules, two_phase, channel, weight, way, selection,
        )  # fmt: skip

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a snapshot of the Gadget family, or a folder that holds one."""
        import h5py

        places = [path]
        if path.is_dir():
            places = [*path.glob("*.hdf5"), *path.glob("snapdir_*/*.hdf5"), *path.glob("snapshots/*/*.hdf5")]
        try:
            if not places or places[0].is_dir() or not h5py.is_hdf5(places[0]):
                return False
            with h5py.File(places[0]) as file:
                # A file without one particle has only the header.
                return "Header" in file and (
                    "NumPart_Total" in file["Header"].attrs
                    or any(name.startswith("PartType") for name in file)
                )
        except OSError:
            return False

    def read(self) -> xr.Dataset:
        """Return the maps as a lazy field set, galaxy by galaxy; all directions of one are one group.

        Raises:
            FormatError: Files or fields are missing or damaged; the message names file and field.
        """
        galaxies, labels = self._galaxies()
        if not galaxies:
            raise FormatError(f"{self.path}: no {self.objects} were asked for", hint="give ids or centres")
        views = max(self.rotations, 1)
        groups = [galaxy.group for galaxy in galaxies for _ in range(views)]
        headers = [galaxy.snapshot.header for galaxy in galaxies for _ in range(views)]
        files = {path for galaxy in galaxies for path in galaxy.snapshot.files.values()}
        return build(
            lazy_fields(self._maps, galaxies, views, self.look),
            ids=[f"{galaxy.name}-r{r:02d}" for galaxy in galaxies for r in range(views)],
            groups=groups,
            parents=[galaxy.name for galaxy in galaxies for _ in range(views)],
            # Halos of one box share its initial conditions; what is independent is the halo.
            seeds=[zlib.crc32(group.encode()) for group in groups],
            box_size=self.look.width,
            box_size_unit="kpc",
            periodic=False,
            suite="Illustris",
            realism="simulation",
            redshifts=[header.redshift for header in headers],
            labels={
                name: Label(np.repeat(values, views), "label", unit, text)
                for name, (values, unit, text) in labels.items()
            },
            provenance={
                "inputs": [sampled_file(path) for path in sorted(files)],
                "seeds": [self.seed],
                "steps": [
                    {
                        "step": "read", "format": "illustris", "objects": self.objects,
                        "snapshots": [self.number, *self.followed],
                        "width": self.look.width, "radius": self.look.radius, "rim": self.look.rim,
                        "selection": self.look.selection,
                        "molecules": self.look.molecules, "two_phase": self.look.two_phase,
                        "channel": self.look.channel, "rotations": self.rotations, "seed": self.seed,
                    }
                ],
            },
        )  # fmt: skip

    def _snapshot(self, path: Path, number: int | None) -> Snapshot:
        return Snapshot(path, number, allow_missing=self.allow_missing, aliases=self.aliases)

    def _catalogue(self, number: int | None) -> Catalogue:
        return Catalogue(
            self.groups or self.path, number, allow_missing=self.allow_missing, offsets=self.offsets
        )

    def _galaxies(self) -> tuple[list[Galaxy], dict[str, tuple[Any, str, str]]]:
        """Return the objects, and what the catalogue says of them."""
        if self.objects == "cutouts":
            files = sorted(self.path.glob("*.hdf5")) if self.path.is_dir() else [self.path]
            if not files:
                raise FormatError(f"{self.path}: holds no cutout", hint="looked for .hdf5 files")
            return [
                Galaxy(file.stem, file.stem, None, None, self._snapshot(file, None)) for file in files
            ], {}
        snapshot = self._snapshot(self.path, self.number)
        if self.objects == "regions":
            return [
                Galaxy(f"region{i:05d}", f"region{i:05d}", _point(centre), None, snapshot)
                for i, centre in enumerate(self.centres)
            ], {}
        kind = "Group" if self.objects == "halos" else "Subhalo"
        catalogue = self._catalogue(self.number)
        ids = catalogue.largest(kind, self.count) if self.ids is None else self.ids
        halo = catalogue.read("Subhalo", "SubhaloGrNr") if kind == "Subhalo" else None
        # Subhalos of one halo are neighbours, and not independent.
        groups = {i: f"halo{i if halo is None else halo[i]:07d}" for i in ids}
        found, masses = _listed(kind, {i: i for i in ids}, groups, snapshot, catalogue, "")
        for number in self.followed:
            other = self._snapshot(self.path, number), self._catalogue(number)
            links = follow(ids, (snapshot, catalogue), other)
            more, further = _listed(kind, links, groups, *other, f"-s{number:03d}")
            found += more
            masses = np.concatenate([masses, further])
        labels = {
            f"M_{name}": (masses[:, type_], "Msun", f"mass of {name.replace('_', ' ')} in the {kind.lower()}")
            for name, type_ in TYPES.items()
            if name != "black_holes"
        }
        return found, labels

    def _maps(self, galaxy: Galaxy) -> Any:
        """Return the maps of one galaxy, shape ``(R, D, N, N)``."""
        particles = {kind: self._particles(galaxy, kind) for kind in self.look.kinds}
        centre = galaxy.centre
        if centre is None:
            everything = np.concatenate([values["Coordinates"] for values in particles.values()])
            centre = densest(everything)
        rotations = directions(self.seed, galaxy.name, self.rotations)
        return maps(particles, centre, rotations, self.look, galaxy.snapshot.header)

    def _particles(self, galaxy: Galaxy, kind: str) -> dict[str, Any]:
        snapshot = galaxy.snapshot
        needed, useful = self.look.fields(kind)
        if snapshot.has(kind, "Temperature") and not {"HI", "H2", "T_b"} & set(self.look.domains):
            needed = tuple(name for name in needed if name not in ("InternalEnergy", "ElectronAbundance"))
        names = [*needed, *(name for name in useful if name not in needed and snapshot.has(kind, name))]
        if galaxy.rows is not None and galaxy.centre is not None:
            values = snapshot.rows(kind, *galaxy.rows[kind], names)
        elif galaxy.centre is not None:
            return snapshot.sphere(kind, galaxy.centre, self.look.radius, names)
        else:
            values = snapshot.rows(kind, 0, sum(snapshot.counts(kind).values()), names)
        if len(values["Coordinates"]):
            around = galaxy.centre or values["Coordinates"][0]
            values["Coordinates"] = snapshot.unwrapped(values["Coordinates"], around)
        return values


def _listed(
    kind: str,
    links: dict[int, int],
    groups: dict[int, str],
    snapshot: Snapshot,
    catalogue: Catalogue,
    suffix: str,
) -> tuple[list[Galaxy], Any]:
    """Return the objects (number in the name -> in the catalogue), and their masses by type [Msun]."""
    centres, masses = catalogue.read(kind, f"{kind}Pos"), catalogue.read(kind, f"{kind}MassType")
    found = []
    for i, place in links.items():
        starts, lengths = catalogue.where(kind, place)
        rows = {name: (int(starts[type_]), int(lengths[type_])) for name, type_ in TYPES.items()}
        name = f"{kind.lower()}{i:07d}{suffix}"
        found.append(Galaxy(name, groups[i], _point(centres[place]), rows, snapshot))
    return found, masses[list(links.values())]


def _point(centre: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in centre)
    return x, y, z


def densest(positions: Any, *, shrink: float = 0.8, least: int = 50) -> tuple[float, float, float]:
    """Return where particles are densest, by a sphere that shrinks around their mean (Power et al. 2003).

    Args:
        positions: Shape ``(n, 3)``, unwrapped, any length unit ``l``.
        shrink: Factor of the radius in each step.
        least: Particles at which it stops.

    Returns:
        ``(x, y, z)`` [l].

    Raises:
        FormatError: There is no particle.
    """
    if not len(positions):
        raise FormatError("there is no particle to find a centre among", hint="choose domains that it has")
    inside = np.asarray(positions, dtype=np.float64)
    centre = inside.mean(axis=0)
    radius = float(np.linalg.norm(inside - centre, axis=1).max())
    while len(inside) > least:
        radius *= shrink
        chosen = inside[np.linalg.norm(inside - centre, axis=1) < radius]
        if len(chosen) < least:
            break
        inside, centre = chosen, chosen.mean(axis=0)
    return _point(centre)
