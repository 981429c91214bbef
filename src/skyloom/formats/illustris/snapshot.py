"""Snapshots: particles of a halo, a subhalo, a sphere or a box, read when they are asked for.

Opening reads headers only. A sphere or a box reads the coordinates file by file and then the named fields of
the rows that lie inside; a halo reads its own rows. Positions come out unwrapped: a halo that crosses the
edge of the periodic box is whole, around its centre.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.formats.illustris import chunks
from skyloom.formats.illustris.native import TYPES, Header, converted, located, read_header

Array = NDArray[Any]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an HDF5 file; a damaged one is named.

    Args:
        path: The file.

    Raises:
        FormatError: It cannot be opened.
    """
    try:
        file = h5py.File(path)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error}", hint="fetch or copy it again") from error
    with file:
        yield file


@dataclass
class Snapshot:
    """A snapshot of the Illustris family in one file or many, or a cutout.

    Args:
        path: A file, its folder, or the folder ``output`` of a simulation.
        number: Number of the snapshot, needed where ``path`` holds several.
        comoving: Whether lengths and densities are comoving (kpc and Msun/kpc³ without h) or physical.
        allow_missing: Whether to go on without files that are not there; ``missing`` numbers them.
        aliases: TNG's name of a field -> names of it in these files, beside the known ones of EAGLE.

    Raises:
        FormatError: Files are missing, damaged or not of one snapshot.
    """

    path: Path
    number: int | None = None
    comoving: bool = False
    allow_missing: bool = False
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.number
        folders = [] if n is None else [f"snapdir_{n:03d}", f"snapshots/{n:03d}", f"snapshot_{n:03d}"]
        self.files = chunks.find(Path(self.path), folders=folders, what="snapshot")
        first = self.files[min(self.files)]
        with opened(first) as file:
            self.header: Header = read_header(first, file)
        self.missing = chunks.missing(
            self.files, self.header.files, allow=self.allow_missing, what="snapshot"
        )
        self._counts: dict[str, dict[int, int]] = {}

    @property
    def box(self) -> float | None:
        """Side of the periodic box [kpc]; None where the header does not tell, or a cutout left it."""
        if self.header.box is None:
            return None
        return self.header.box * self.header.factor("length", comoving=self.comoving)

    def counts(self, kind: str) -> dict[int, int]:
        """Return how many particles of a kind each file that is there holds.

        Args:
            kind: ``gas``, ``dark_matter``, ``stars`` or ``black_holes``.

        Raises:
            UsageError: The kind is unknown.
        """
        if kind not in TYPES:
            raise UsageError(f"the particles {kind!r} are unknown", hint=nearest(kind, TYPES))
        if kind not in self._counts:
            found = {}
            for number, path in sorted(self.files.items()):
                with opened(path) as file:
                    group = file.get(f"PartType{TYPES[kind]}")
                    found[number] = 0 if group is None else len(group["Coordinates"])
            self._counts[kind] = found
        return self._counts[kind]

    def has(self, kind: str, name: str) -> bool:
        """Return whether particles of a kind carry a field.

        Args:
            kind: As in ``counts``.
            name: TNG's name of the field.
        """
        for number, count in self.counts(kind).items():
            if count:
                with opened(self.files[number]) as file:
                    return located(file[f"PartType{TYPES[kind]}"], name, self.aliases) is not None
        return False

    def rows(self, kind: str, start: int, length: int, names: Sequence[str]) -> dict[str, Array]:
        """Read a range of particles, counted over all files, as halos are stored.

        Args:
            kind: As in ``counts``.
            start: First particle.
            length: How many.
            names: TNG's names of fields.

        Returns:
            Name -> values, shape ``(n, ...)``, in kpc, Msun, km/s, gauss; others as they are.

        Raises:
            FormatError: A field is missing, or the range cannot be placed because files are.
        """
        parts = []
        for number, first, count in self._placed(kind, start + length):
            low, high = max(start - first, 0), min(start + length - first, count)
            if low < high:
                parts.append(self._read(number, kind, slice(low, high), names))
        return _joined(parts, names)

    def sphere(self, kind: str, centre: ArrayLike, radius: float, names: Sequence[str]) -> dict[str, Array]:
        """Read the particles within a radius of a point.

        Args:
            kind: As in ``counts``.
            centre: ``(x, y, z)`` [kpc].
            radius: [kpc].
            names: TNG's names of fields; ``Coordinates`` is always there, unwrapped around the centre.

        Returns:
            As ``rows``.
        """
        return self._where(kind, centre, lambda d: (d**2).sum(axis=1) <= radius**2, names)

    def cube(self, kind: str, centre: ArrayLike, side: float, names: Sequence[str]) -> dict[str, Array]:
        """Read the particles within a cube around a point; arguments and answer as of ``sphere``.

        Args:
            kind: As in ``counts``.
            centre: ``(x, y, z)`` [kpc].
            side: [kpc].
            names: TNG's names of fields.
        """
        return self._where(kind, centre, lambda d: (np.abs(d) <= side / 2).all(axis=1), names)

    def unwrapped(self, positions: Array, centre: ArrayLike) -> Array:
        """Return positions [kpc] at the periodic image nearest to a point.

        Args:
            positions: Shape ``(n, 3)`` [kpc].
            centre: ``(x, y, z)`` [kpc].
        """
        if self.box is None:
            return positions
        turns = np.round((positions - np.asarray(centre)) / self.box)
        return np.asarray(positions - self.box * turns)

    def _where(self, kind: str, centre: ArrayLike, inside: Any, names: Sequence[str]) -> dict[str, Array]:
        others = [name for name in names if name != "Coordinates"]
        parts = []
        for number, count in self.counts(kind).items():
            if not count:
                continue
            at = self.unwrapped(self._read(number, kind, slice(None), ["Coordinates"])["Coordinates"], centre)
            chosen = np.flatnonzero(inside(at - np.asarray(centre)))
            if not len(chosen):
                continue
            span = slice(int(chosen[0]), int(chosen[-1]) + 1)
            found = self._read(number, kind, span, others)
            part = {name: values[chosen - span.start] for name, values in found.items()}
            parts.append({"Coordinates": at[chosen], **part})
        return _joined(parts, ["Coordinates", *others])

    def _placed(self, kind: str, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield number, first particle and count of the files that are there, up to a particle."""
        found, first = self.counts(kind), 0
        total = self.header.totals[TYPES[kind]]
        for number in range(self.header.files):
            if first >= end:
                return
            if number in found:
                yield number, first, found[number]
                first += found[number]
            elif len(self.missing) == 1:
                first += total - sum(found.values())
            else:
                raise FormatError(
                    f"{self.files[min(self.files)].parent}: file {number} is missing, and with"
                    f" {len(self.missing)} missing nothing tells where the particles after it begin",
                    hint="fetch it, or read spheres and boxes",
                )

    def _read(self, number: int, kind: str, rows: slice, names: Sequence[str]) -> dict[str, Array]:
        path, values = self.files[number], {}
        with opened(path) as file:
            group = file[f"PartType{TYPES[kind]}"]
            for name in names:
                at = located(group, name, self.aliases)
                if at is None and name == "Masses" and self.header.mass_table[TYPES[kind]] > 0:
                    count = len(range(*rows.indices(len(group["Coordinates"]))))
                    one = self.header.mass_table[TYPES[kind]] * self.header.factor("mass")
                    values[name] = np.full(count, one)
                elif at is None:
                    raise FormatError(
                        f"{path}: PartType{TYPES[kind]} has no field {name}", hint=nearest(name, group)
                    )
                else:
                    data = group[at]
                    values[name] = converted(
                        data[rows], name, data, self.header, comoving=self.comoving
                    )  # fmt: skip
        return values


def _joined(parts: list[dict[str, Array]], names: Sequence[str]) -> dict[str, Array]:
    if not parts:
        return {name: np.zeros((0, 3) if name == "Coordinates" else 0) for name in names}
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
