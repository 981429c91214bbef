"""Snapshots of Athena++: HDF5 (``.athdf``) and legacy VTK, one file or a folder of runs.

A file is ``problem.output.number.athdf`` (VTK of several blocks: ``problem.blockN.output.number.vtk``). A run
is told by its folder and problem name and is the group, the unit of independence: its snapshots are one
simulation at several times. The cubes are lazy, axes ``z, y, x``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.fields import Label, build
from skyloom.formats.athena import athdf, vtk
from skyloom.formats.athena.history import history
from skyloom.formats.athena.names import AXES, ENERGY, Variable, variable
from skyloom.runs import input_file

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Athena", "history"]

DEFAULT_FIELDS = ("density", "E_c", "magnetic_energy")
_NAME = re.compile(
    r"^(?P<problem>.+?)(?:\.block\d+)?\.(?P<output>[^.]+)\.(?P<number>\d+)\.(?P<kind>athdf|vtk)$"
)


@dataclass
class Snapshot:
    """One snapshot, whatever its files.

    Args:
        run: Folder and problem name, which tell the simulation.
        output: Name of the output block that wrote it, such as ``out1`` or ``prim``.
        number: Its number.
        paths: Its files: one, or one a block.
    """

    run: str
    output: str
    number: int
    paths: list[Path] = field(default_factory=list)

    def open(self, level: int | None, across: athdf.Axis | None) -> Opened:
        """Read the headers of its files; the cubes will have the level, and slabs across the axis."""
        if self.paths[0].suffix == ".athdf":
            mesh = athdf.read_mesh(self.paths[0])
            depth = mesh.finest if level is None else level
            cells = tuple(n << depth for n in mesh.root)
            sides = mesh.edges[:, 1] - mesh.edges[:, 0]
            return Opened(
                self,
                mesh.time,
                sides,
                cells,
                list(mesh.variables),
                lambda name: athdf.cube(mesh, name, level=depth, across=across),
            )
        blocks = [vtk.read_block(path) for path in self.paths]
        sides, cells = vtk.box(blocks)
        return Opened(
            self,
            blocks[0].time,
            sides,
            cells,
            list(blocks[0].variables),
            lambda name: vtk.cube(blocks, name),
        )


@dataclass
class Opened:
    """A snapshot whose headers were read: time, sides and cells of the box, and what it can give."""

    snapshot: Snapshot
    time: float
    sides: np.ndarray
    cells: tuple[int, ...]
    native: list[str]
    read: Callable[[str], Any]

    @property
    def fields(self) -> dict[str, tuple[Variable, list[str]]]:
        """Skyloom's name to the variable and the native ones that it is made of."""
        found = {variable(name).name: (variable(name), [name]) for name in self.native}
        parts = [f"Bcc{i}" for i in (1, 2, 3)]
        if all(part in self.native for part in parts):
            found[ENERGY.name] = (ENERGY, parts)
        return found

    def cube(self, name: str) -> Any:
        """Return a field as a lazy cube ``(z, y, x)``."""
        _, natives = self.fields[name]
        if len(natives) == 1:
            return self.read(natives[0])
        return sum(self.read(native) ** 2 for native in natives) / 2


class Athena:
    """Snapshots of Athena++ (HDF5 or legacy VTK) as cubes in code units.

    Args:
        path: A file, or a folder that is searched with its subfolders.
        fields: Fields to read, by Skyloom's names (``density``, ``E_c``, ``magnetic_energy``, ``velocity_x``,
            ``B_x``, ...) or, for what has none, Athena++'s; null for those of the first three that all
            snapshots have.
        output: Which output of each run, where a run has several (``out1``, ``prim``); null takes the one
            that holds the most of these fields, then the one with the most snapshots.
        level: Refinement level whose cells the cubes have, 0 for root cells; null for the finest of a file.
        across: Axis along which the maps will be cut: the cubes are then lazy in slabs across it, and cutting
            along this axis is several times as fast; null for one chunk a meshblock, good for any axis. VTK
            files do not need it.
        mean_field: Axis of the mean magnetic field, kept as the attribute ``mean_field``.
        periodic: Whether opposite faces of the box touch.
        seeds: Run to seed of its driving or initial conditions; runs that are not named get one made of their
            name, because Athena++ does not write it.
        classes: Pattern of run names (``*`` and ``?``) to the class of these runs, such as ``{"MHD*": MHD}``:
            the parameter ``transport``, whose codes count the classes in this order, from 0.

    Raises:
        UsageError: The level is negative, or there is one class alone.
    """

    def __init__(
        self,
        *,
        path: str,
        fields: list[str] | None = None,
        output: str | None = None,
        level: int | None = None,
        across: athdf.Axis | None = None,
        mean_field: Literal["x", "y", "z"] | None = None,
        periodic: bool = True,
        seeds: dict[str, int] | None = None,
        classes: dict[str, str] | None = None,
    ) -> None:
        if level is not None and level < 0:
            raise UsageError(f"level is {level}, allowed: 0 (root cells) or more", hint="null for the finest")
        self.path, self.wanted, self.output, self.level = Path(path), fields, output, level
        if classes is not None and len(set(classes.values())) < 2:
            raise UsageError(
                f"classes names {', '.join(classes.values()) or 'no class'}, allowed: two or more",
                hint="give a pattern of run names for each class: {'MHD*': MHD, 'CR_Diff*': diffusing}",
            )
        self.across = across
        self.mean_field, self.periodic, self.seeds = mean_field, periodic, dict(seeds or {})
        self.classes = classes

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a snapshot, or a folder that holds some."""
        if path.is_dir():
            return any(True for pattern in ("**/*.athdf", "**/*.vtk") for _ in path.glob(pattern))
        return _NAME.match(path.name) is not None and (athdf.is_athdf(path) or vtk.is_vtk(path))

    def read(self) -> xr.Dataset:
        """Return the snapshots as lazy cubes, by run and time.

        Raises:
            FormatError: A file is damaged or no cube, a field is missing, or nothing is there.
        """
        chosen = self._chosen([snapshot.open(self.level, self.across) for snapshot in find(self.path)])
        names = self._fields(chosen)
        side = _box(chosen)
        runs = [one.snapshot.run for one in chosen]
        unknown = sorted(set(self.seeds) - set(runs))
        if unknown:
            hint = nearest(unknown[0], sorted(set(runs)))
            raise FormatError(f"seeds names the run {unknown[0]!r}", hint=hint)
        ranks = {
            name: (1, kind.component)
            for name, (kind, _) in chosen[0].fields.items()
            if name in names and kind.component
        }
        ds = build(
            {name: _stacked(chosen, name) for name in names},
            ids=[f"{one.snapshot.run}.{one.snapshot.number:05d}" for one in chosen],
            groups=runs,
            seeds=[self.seeds.get(run, zlib.crc32(run.encode())) for run in runs],
            box_size=side,
            box_size_unit="",
            suite="Athena++",
            realism="simulation",
            periodic=self.periodic,
            labels={
                "time": Label([one.time for one in chosen], "label", "", "time, code units"),
                **({} if self.classes is None else {"transport": self._transport(runs, self.classes)}),
            },
            ranks=ranks,
            provenance={
                "inputs": [input_file(path) for one in chosen for path in one.snapshot.paths],
                "steps": [{"step": "read", "format": "athena", "level": self.level}],
            },
        )
        return ds if self.mean_field is None else ds.assign_attrs(mean_field=self.mean_field)

    @staticmethod
    def _transport(runs: list[str], classes: Mapping[str, str]) -> Label:
        """Return the class of each snapshot, by the one pattern that fits the name of its run."""
        names = list(dict.fromkeys(classes.values()))
        codes = {}
        for run in dict.fromkeys(runs):
            fitting = {name for pattern, name in classes.items() if fnmatchcase(run, pattern)}
            if len(fitting) != 1:
                told = f"is of {' and of '.join(sorted(fitting))}" if fitting else "fits none of them"
                raise FormatError(
                    f"the run {run!r} {told}, by the patterns {', '.join(classes)}",
                    hint="give every run the pattern of one class, or read fewer runs",
                )
            codes[run] = names.index(fitting.pop())
        values = [codes[run] for run in runs]
        return Label(values, "parameter", "", "cosmic-ray transport", classes=dict(enumerate(names)))

    def _chosen(self, found: list[Opened]) -> list[Opened]:
        """Return the snapshots of one output of each run, by run and time."""
        wanted = self.wanted or DEFAULT_FIELDS
        runs: dict[str, dict[str, list[Opened]]] = {}
        for one in found:
            runs.setdefault(one.snapshot.run, {}).setdefault(one.snapshot.output, []).append(one)
        chosen: list[Opened] = []
        for run, outputs in sorted(runs.items()):
            if self.output is not None and self.output not in outputs:
                raise FormatError(
                    f"the run {run!r} has no output {self.output!r}", hint=nearest(self.output, outputs)
                )
            best = self.output or max(
                sorted(outputs),
                key=lambda name, outputs=outputs: (  # type: ignore[misc]
                    sum(field in outputs[name][0].fields for field in wanted),
                    len(outputs[name]),
                ),
            )
            chosen += sorted(outputs[best], key=lambda one: (one.time, one.snapshot.number))
        return chosen

    def _fields(self, chosen: Iterable[Opened]) -> list[str]:
        """Return the fields that every snapshot gives."""
        given: list[Mapping[str, Any]] = [one.fields for one in chosen]
        if self.wanted is None:
            if names := [name for name in DEFAULT_FIELDS if all(name in fields for fields in given)]:
                return names
            raise FormatError(
                f"{self.path}: no snapshot-wide field among {', '.join(DEFAULT_FIELDS)}",
                hint=f"name some with fields: [...]; the first snapshot has {', '.join(given[0])}",
            )
        for one, fields in zip(chosen, given, strict=True):
            for name in self.wanted:
                if name not in fields:
                    raise FormatError(
                        f"{one.snapshot.paths[0]}: has no field {name!r}", hint=nearest(name, fields)
                    )
        return list(self.wanted)


def find(path: Path) -> list[Snapshot]:
    """Return the snapshots at a path.

    Args:
        path: A file, or a folder that is searched with its subfolders.

    Raises:
        FormatError: There is none.
    """
    files = [path] if path.is_file() else sorted([*path.glob("**/*.athdf"), *path.glob("**/*.vtk")])
    found: dict[tuple[str, str, int], Snapshot] = {}
    for file in files:
        if (parts := _NAME.match(file.name)) is None:
            continue
        folder = "" if path.is_file() else file.parent.relative_to(path).as_posix()
        run = parts["problem"] if folder in ("", ".") else f"{folder}/{parts['problem']}"
        key = (run, parts["output"], int(parts["number"]))
        found.setdefault(key, Snapshot(*key)).paths.append(file)
    if not found:
        raise FormatError(
            f"{path}: holds no snapshot of Athena++",
            hint="looked for problem.output.number.athdf and .vtk, in subfolders too",
        )
    return list(found.values())


def _box(chosen: list[Opened]) -> float:
    """Return the side of the box, the same for all and a cube."""
    first = chosen[0]
    for one in chosen:
        where = one.snapshot.paths[0]
        if len(set(one.cells)) > 1 or not np.allclose(one.sides, one.sides[0], rtol=1e-6):
            sides = " × ".join(f"{side:g}" for side in one.sides)
            cells = " × ".join(map(str, one.cells))
            raise FormatError(
                f"{where}: its box is {sides} with {cells} cells along {', '.join(AXES)}, allowed: cubes",
                hint="cut a cube from it before, or read its maps as arrays",
            )
        if one.cells != first.cells or not np.isclose(one.sides[0], first.sides[0], rtol=1e-6):
            raise FormatError(
                f"{where}: has {one.cells[0]}³ cells and side {one.sides[0]:g}, but"
                f" {first.snapshot.paths[0]} {first.cells[0]}³ and {first.sides[0]:g}",
                hint="give the level that all have, or read the runs apart",
            )
    return float(first.sides[0])


def _stacked(chosen: list[Opened], name: str) -> tuple[Any, str, str]:
    """Return a field of all snapshots, lazily: values, unit, meaning."""
    import dask.array as da

    kind, _ = chosen[0].fields[name]
    return da.stack([one.cube(name) for one in chosen]), "", kind.long_name
