"""The CAMELS Multifield Dataset: maps and grids of thousands of simulations in four numbers and a file each.

Map ``n`` of a file is slab ``n % 5`` along axis ``n // 5 % 3`` of simulation ``n // 15``, 5 Mpc/h of a
periodic box of 25 Mpc/h. Lengths and densities are converted with h = 0.6711: the box is 37.25 Mpc, log10 of
a map of mass density lies 0.173 below that of the file. Where CMD's units are per comoving or proper length
matters only for grids at z > 0, of which its documentation does not say it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.fields import Label, build
from skyloom.formats.camels.lazy import lazy_grids, lazy_maps, opened
from skyloom.formats.camels.names import FIELDS, HUBBLE, MAPS, SIDE, SLICES, Name, parse
from skyloom.formats.camels.tables import parameters, seeds
from skyloom.formats.camels.writing import write
from skyloom.runs import input_file, sampled_file

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Camels", "write"]

WHOLE = 64_000_000  #: bytes up to which a file is read whole for its digest
PAINTED = "CosmicWeb"  #: suite of our own simulator, whose files have this layout too


class Camels:
    """Maps or grids of one suite and set of the CAMELS Multifield Dataset.

    Tables of parameters and seeds are looked for beside the files and in the folder above. A file larger
    than 64 MB is known by its size, time of change and a digest of its header and 64 blocks, not of all.

    Args:
        path: A file, or a folder of them.
        fields: Fields to read, by CMD's prefixes (``Mgas``, ``HI``, ``B``, ...); null for all that are there.
        suite: Suite, where the folder holds several (``IllustrisTNG``, ``SIMBA``, ``Nbody_SIMBA``, ...).
        set: Set, where it holds several (``LH``, ``CV``, ``1P``, ``EX``, ``BE``, ...).
        redshift: Redshift, where it holds several.
        grid: Cells of the grids, where it holds maps or several kinds of grids; 0 for maps.
        size: Pixels along a side of the maps, by means over blocks of pixels; null keeps all.
        h: Hubble constant / (100 km/s/Mpc) that lengths are converted with; null for 0.6711. The
            simulations of SB28 each have their own, which is then a parameter, and h must be given.

    Raises:
        UsageError: ``h`` or ``size`` is not positive.
    """

    def __init__(
        self,
        *,
        path: str,
        fields: list[str] | None = None,
        suite: str | None = None,
        set: str | None = None,
        redshift: float | None = None,
        grid: int | None = None,
        size: int | None = None,
        h: float | None = None,
    ) -> None:
        if (h is not None and not h > 0) or (size is not None and size < 1):
            raise UsageError(f"h={h}, size={size}", hint="both are more than 0")
        self.path, self.wanted, self.size, self.h = Path(path), fields, size, h
        self.suite, self.set, self.redshift, self.grid = suite, set, redshift, grid

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a file under CMD's names, or a folder that holds some."""
        return bool(_files(path))

    def read(self) -> xr.Dataset:
        """Return the maps or grids as a lazy field set, in the order of the files.

        Raises:
            FormatError: A file is damaged, fields do not belong together, or a table is missing or wrong.
        """
        files = self._chosen()
        name = next(iter(files))
        shapes = {one.field: opened(path).shape for one, path in files.items()}
        each = MAPS if name.cells is None else 1
        first = shapes[name.field]
        for field, shape in shapes.items():
            if shape != first:
                raise FormatError(
                    f"{files[name.of(field)]}: shape {shape}, but {name.field} has {first}",
                    hint="fields are paired by index: take the files of one release",
                )
        if first[0] % each:
            raise FormatError(f"{files[name]}: {first[0]} maps, allowed: a multiple of {MAPS}")
        return self._built(files, name, first[0] // each)

    def _built(self, files: dict[Name, Path], name: Name, simulations: int) -> xr.Dataset:
        """Return the field set of files that belong together."""
        folders = list(dict.fromkeys(folder for path in files.values() for folder in _near(path)))
        table = _table(folders, name)
        found = parameters(table, name)
        rows = len(found["Omega_m"][0])
        if rows != simulations:
            raise FormatError(
                f"{table}: {rows} simulations, but {files[name]} has {simulations}",
                hint="take the table and the maps of one release",
            )
        wanted = np.stack([found["Omega_m"][0], found["sigma_8"][0]], axis=1)
        numbers, seed_table = seeds(folders, name, simulations, wanted)
        h = self._hubble(found, table)
        inputs = [_input(path) for path in files.values()]
        _check_copies(inputs)
        tables = [input_file(path) for path in (table, seed_table) if path is not None]
        data = {
            one.field: self._field(one, path, entry["sha256"], h)
            for (one, path), entry in zip(files.items(), inputs, strict=True)
        }
        of = np.repeat(np.arange(simulations), MAPS if name.cells is None else 1)
        labels = {
            symbol: Label(values[of], "parameter", "", limit.long_name, limit.low, limit.high)
            for symbol, (values, limit) in found.items()
        }
        step = {"step": "read", "format": "camels", "h": h, "size": self.size}
        step["seeds"] = "table" if seed_table else "rule of the official tables"
        painted = name.suite == PAINTED
        return build(
            data,
            **_places(name, simulations, SIDE / h),
            seeds=numbers[of],
            box_size=SIDE / h,
            suite="skyloom-cosmic-web" if painted else f"CAMELS-{name.suite}",
            realism="painted" if painted else "simulation",
            redshifts=np.full(len(of), float(name.redshift)),
            labels=labels,
            provenance={
                "inputs": [*inputs, *tables],
                "seeds": sorted(set(numbers.tolist())),
                "steps": [step],
            },
        )

    def _field(self, name: Name, path: Path, identity: str, h: float) -> tuple[Any, str, str]:
        """Return the lazy values, unit and meaning of a field."""
        field, kind = FIELDS[name.field], 0 if name.cells is None else 1
        factor = h ** field.powers[kind]
        values = (
            lazy_maps(path, factor=factor, size=self.size, identity=identity)
            if kind == 0
            else lazy_grids(path, factor=factor, identity=identity)
        )
        return values, field.units[kind], field.long_name

    def _hubble(self, found: dict[str, Any], table: Path) -> float:
        if self.h is None and "h" in found:
            raise FormatError(
                f"{table}: every simulation has a Hubble constant of its own, so no box has the same size",
                hint=f"give h={HUBBLE}: lengths are then 1/h Mpc of that h, and the true h is a parameter",
            )
        return HUBBLE if self.h is None else self.h

    def _chosen(self) -> dict[Name, Path]:
        """Return the files to read, one a field, in the order of CMD's table."""
        files = _files(self.path)
        if not files:
            raise FormatError(
                f"{self.path}: holds no map of CMD", hint="looked for Maps_{field}_{suite}_{set}_z={z}.npy"
            )
        kept = {name: path for name, path in files.items() if self._wants(name)}
        kinds = sorted({str(name) for name in (kept or files)})
        if not kept or len(kinds) != 1:
            what = "holds" if kept else "none of these is asked for:"
            raise FormatError(
                f"{self.path}: {what} {'; '.join(kinds)}",
                hint="choose with suite, set, redshift and grid",
            )
        here = {name.field: name for name in kept}
        for field in self.wanted or here:
            if field not in here:
                raise FormatError(f"{self.path}: no field {field!r}", hint=nearest(field, here))
        order = self.wanted or [field for field in FIELDS if field in here]
        return {here[field]: kept[here[field]] for field in order}

    def _wants(self, name: Name) -> bool:
        """Tell whether a file is one of those asked for."""
        cells = None if not self.grid else self.grid
        return (
            (self.suite is None or name.suite == self.suite)
            and (self.set is None or name.set == self.set)
            and (self.redshift is None or float(name.redshift) == self.redshift)
            and (self.grid is None or name.cells == cells)
        )


def _places(name: Name, simulations: int, side: float) -> dict[str, Any]:
    """Return the names of all samples, and where in which box they were cut."""
    groups = [f"{name.suite}-{name.set}_{i}" for i in range(simulations)]
    boxes = [f"{group}-z{name.redshift}" for group in groups]
    if name.cells is not None:
        return {"ids": boxes, "groups": groups}
    return {
        "ids": [f"{box}-{axis}{i}" for box in boxes for axis in "xyz" for i in range(SLICES)],
        "groups": np.repeat(groups, MAPS).tolist(),
        "parents": np.repeat(boxes, MAPS).tolist(),
        "axes": np.tile(np.repeat(list("xyz"), SLICES), simulations).tolist(),
        "positions": np.tile(np.arange(MAPS) % SLICES, simulations) * side / SLICES,
        "thicknesses": np.full(MAPS * simulations, side / SLICES),
    }


def _files(path: Path) -> dict[Name, Path]:
    """Return the files of CMD at a path, by what their names say."""
    paths: Iterable[Path] = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    named = ((parse(file), file) for file in paths)
    return {name: file for name, file in named if name is not None and name.field in FIELDS}


def _near(path: Path) -> tuple[Path, Path]:
    """Return the folders where the tables of a file may lie."""
    folder = path.parent.resolve()
    return path.parent, folder.parent


def _table(folders: list[Path], name: Name) -> Path:
    """Return the table of parameters."""
    names = dict.fromkeys([name.parameters, f"params_{name.set}_{name.family}.txt"])
    if name.set == "LH":  # as the first release called them
        names |= dict.fromkeys([f"params_{name.suite}.txt", f"params_{name.family}.txt"])
    for folder in folders:
        for file in names:
            if (folder / file).is_file():
                return folder / file
    raise FormatError(
        f"no table of parameters for {name}: looked for {', '.join(names)} in {', '.join(map(str, folders))}",
        hint=f"put {name.parameters} beside the maps; 'skyloom fetch camels' brings it",
    )


def _input(path: Path) -> dict[str, Any]:
    return input_file(path) if path.stat().st_size <= WHOLE else sampled_file(path)


def _check_copies(inputs: list[dict[str, Any]]) -> None:
    """Refuse two fields that are one file under two names; large files are not read for it."""
    seen: dict[str, str] = {}
    for entry in inputs:
        if entry["sha256"] in seen:
            raise FormatError(
                f"{entry['path']} and {seen[entry['sha256']]} hold the same values",
                hint="one of them is a copy under a wrong name",
            )
        if not entry["sha256"].startswith("sampled:"):
            seen[entry["sha256"]] = entry["path"]
