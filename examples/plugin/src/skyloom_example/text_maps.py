"""A format: maps as text, one file a map, with their parameters in the first line.

A file ``run3_z07.txt`` begins with ``# name=value name=value ...``; the rows of the map follow. What stands
before the first underscore of its name is the simulation.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import xarray as xr

from skyloom.errors import FormatError
from skyloom.fields import Label, build
from skyloom.runs import input_file


class TextMaps:
    """Maps in text files of one folder.

    Args:
        path: The folder.
        field: Name of the field.
        units: Its unit.
        box_size: Side of a map [Mpc].
    """

    def __init__(self, *, path: str, field: str = "map", units: str = "", box_size: float = 100.0) -> None:
        self.path, self.field, self.units, self.box_size = Path(path), field, units, box_size

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a folder of such files; never raises."""
        files = sorted(path.glob("*_*.txt")) if path.is_dir() else []
        try:
            return bool(files) and files[0].read_text(encoding="utf-8")[:2] == "# "
        except (OSError, UnicodeDecodeError):
            return False

    def read(self) -> xr.Dataset:
        """Return the maps as a field set.

        Raises:
            FormatError: There is no file, or one is no map or has other parameters than the first.
        """
        files = sorted(self.path.glob("*_*.txt"))
        if not files:
            raise FormatError(f"{self.path}: holds no map", hint="looked for SIMULATION_NAME.txt")
        maps, rows = zip(*(self._one(file) for file in files), strict=True)
        for file, values, row in zip(files, maps, rows, strict=True):
            if values.shape != maps[0].shape or row.keys() != rows[0].keys():
                raise FormatError(
                    f"{file}: has shape {values.shape} and the parameters {', '.join(row)}, but {files[0]}"
                    f" {maps[0].shape} and {', '.join(rows[0])}",
                    hint="all maps of a folder have one shape and the same parameters",
                )
        groups = [file.stem.split("_")[0] for file in files]
        return build(
            {self.field: (np.stack(maps), self.units, self.field)},
            ids=[file.stem for file in files],
            groups=groups,
            seeds=[zlib.crc32(group.encode()) for group in groups],
            box_size=self.box_size,
            suite="text",
            realism="simulation",
            labels={
                name: Label(
                    [row[name] for row in rows], "parameter", "", name,
                    min(row[name] for row in rows), max(row[name] for row in rows),
                )
                for name in rows[0]
            },
            provenance={"inputs": [input_file(file) for file in files], "steps": [{"step": "read"}]},
        )  # fmt: skip

    def _one(self, file: Path) -> tuple[np.ndarray, dict[str, float]]:
        """Return the map of a file and its parameters."""
        with file.open(encoding="utf-8") as text:
            header = text.readline().lstrip("# ").split()
            try:
                row = {name: float(value) for name, value in (word.split("=") for word in header)}
                return np.loadtxt(text, dtype=np.float32, ndmin=2), row
            except ValueError as error:
                raise FormatError(
                    f"{file}: is no map ({error})", hint="the first line is '# name=value ...', then rows"
                ) from error
