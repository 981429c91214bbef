"""Group catalogues: friends-of-friends halos and their subhalos, and where their particles are stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, nearest
from skyloom.formats.illustris import chunks
from skyloom.formats.illustris.native import Header, read_header
from skyloom.formats.illustris.snapshot import opened

Array = NDArray[Any]
_LENGTHS = ("Pos", "CM", "HalfmassRad", "_R_", "VmaxRad", "PhotometricsRad")
_MASSES = ("Mass", "_M_", "BHMass")


@dataclass
class Catalogue:
    """The halos (``Group``) and subhalos (``Subhalo``) of a snapshot.

    Args:
        path: A file, its folder, or the folder ``output`` of a simulation.
        number: Number of the snapshot, needed where ``path`` holds several.
        comoving: Whether lengths are comoving or physical.
        allow_missing: Whether to go on without files that are not there; rows then count those read.
        offsets: File ``offsets_NNN.hdf5``; without one, offsets are added up from the lengths.

    Raises:
        FormatError: Files are missing or damaged.
    """

    path: Path
    number: int | None = None
    comoving: bool = False
    allow_missing: bool = False
    offsets: Path | None = None

    def __post_init__(self) -> None:
        n = self.number
        folders = [] if n is None else [f"groups_{n:03d}", f"groupcats/{n:03d}"]
        self.files = chunks.find(Path(self.path), folders=folders, what="group catalogue")
        first = self.files[min(self.files)]
        with opened(first) as file:
            self.header: Header = read_header(first, file)
            wanted = int(file["Header"].attrs.get("NumFiles", 1))
        self.missing = chunks.missing(self.files, wanted, allow=self.allow_missing, what="group catalogue")

    def read(self, kind: str, name: str) -> Array:
        """Read a field of all halos or subhalos that the files hold.

        Args:
            kind: ``Group`` or ``Subhalo``.
            name: The field, such as ``GroupPos`` or ``SubhaloMassType``.

        Returns:
            Shape ``(n, ...)``, lengths in kpc, masses in Msun, velocities in km/s, others as they are.

        Raises:
            FormatError: No file has the field.
        """
        parts, known = [], set()
        for _, path in sorted(self.files.items()):
            with opened(path) as file:
                group = file.get(kind)
                if group is None or not len(group):
                    continue  # a file without one halo has an empty group
                known |= set(group)
                if name in group:
                    parts.append(group[name][()])
        if not parts:
            raise FormatError(
                f"{self.files[min(self.files)]}: {kind} has no {name}", hint=nearest(name, known)
            )
        values = np.concatenate(parts)
        return values if values.dtype.kind in "iu" else values.astype(np.float64) * self._factor(name)

    def _factor(self, name: str) -> float:
        if name == "GroupVel":
            return 1 / self.header.a
        if any(part in name for part in _LENGTHS):
            return self.header.factor("length", comoving=self.comoving)
        if any(part in name for part in _MASSES) and "Metal" not in name:
            return self.header.factor("mass")
        return 1.0

    def count(self, kind: str) -> int:
        """Return how many halos or subhalos the files hold.

        Args:
            kind: ``Group`` or ``Subhalo``.
        """
        return len(self.read(kind, f"{kind}LenType"))

    def where(self, kind: str, index: int) -> tuple[Array, Array]:
        """Return where the particles of a halo or subhalo are stored.

        Args:
            kind: ``Group`` or ``Subhalo``.
            index: Its number.

        Returns:
            First particle and number of particles of each type, shapes ``(6,)``.

        Raises:
            FormatError: There is no such halo, or files are missing so that offsets cannot be added up.
        """
        lengths = self._lengths[kind]
        if not 0 <= index < len(lengths):
            raise FormatError(
                f"{self.path}: {kind} {index} is not in the catalogue",
                hint=f"allowed: 0 to {len(lengths) - 1}",
            )
        return self._starts[kind][index], lengths[index]

    def bounds(self, kind: str, particles: int) -> tuple[Array, Array]:
        """Return the first particle and the number of particles of every halo, shapes ``(n,)``.

        Args:
            kind: ``Group`` or ``Subhalo``.
            particles: Type of the particles, as in the files.
        """
        return self._starts[kind][:, particles], self._lengths[kind][:, particles]

    @cached_property
    def _lengths(self) -> dict[str, Array]:
        return {kind: self.read(kind, f"{kind}LenType").astype(np.int64) for kind in ("Group", "Subhalo")}

    @cached_property
    def _starts(self) -> dict[str, Array]:
        if self.offsets is not None:
            with opened(self.offsets) as file:
                if any(f"{kind}/SnapByType" not in file for kind in ("Group", "Subhalo")):
                    raise FormatError(f"{self.offsets}: has no SnapByType of Group and Subhalo")
                return {kind: file[kind]["SnapByType"][()].astype(np.int64) for kind in ("Group", "Subhalo")}
        if self.missing:
            raise FormatError(
                f"{self.files[min(self.files)].parent}: {len(self.missing)} files of the catalogue are"
                " missing, so where the particles of a halo begin cannot be added up",
                hint="give the file of offsets",
            )
        groups = _before(self._lengths["Group"])
        halo = self.read("Subhalo", "SubhaloGrNr")
        # Particles are sorted by halo, and in a halo by subhalo; what is bound to none comes last.
        running = _before(self._lengths["Subhalo"])
        first = np.searchsorted(halo, np.arange(len(groups)))
        return {"Group": groups, "Subhalo": groups[halo] + running - running[first[halo]]}

    def largest(self, kind: str, count: int) -> list[int]:
        """Return the numbers of the halos or subhalos with the most mass.

        Args:
            kind: ``Group`` or ``Subhalo``.
            count: How many.
        """
        mass = self.read(kind, f"{kind}Mass")
        return [int(i) for i in np.argsort(-mass, kind="stable")[:count]]


def _before(lengths: Array) -> Array:
    """Return the sum of all rows before each."""
    return np.concatenate([np.zeros((1, lengths.shape[1]), dtype=np.int64), np.cumsum(lengths, axis=0)[:-1]])
