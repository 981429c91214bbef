"""Anyone's maps: arrays in npy, npz, HDF5 or netCDF files, beside a table with a row for each map.

What only their owner knows has to be said: which maps share a simulation. Maps of one simulation resemble
each other, and dealt to both sides of a split they make any score look good.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.fields import build
from skyloom.formats.arrays.files import Stack, pick, stacks
from skyloom.formats.arrays.tables import labels, read_table
from skyloom.runs import input_file

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Arrays"]


class Arrays:
    """Maps or cubes in npy, npz, HDF5 or netCDF files, with a table of parameters.

    Args:
        path: A file of maps ``(n, H, W)`` or cubes ``(n, D, H, W)``, or a folder of such files.
        fields: Field to where its maps are: ``FILE``, ``FILE:ARRAY``, or ``ARRAY`` where path is a file; null
            takes all that is there under its own name.
        units: Field or column to its unit, where the file does not say it.
        table: File with a row for each map, in their order: CSV, blank-separated text with names in the first
            line, or Parquet; counted from the folder of the maps where it does not begin with ``/``. Columns
            of numbers are parameters, columns of words are classes.
        group: Column of the table that tells the simulation of each map.
        independent: Every map is of a simulation of its own; to be said where there is no group.
        labels: Columns that were measured from the simulation, which are no parameters of it.
        redshift: Column of the redshift.
        box_size: Side of a map [box_size_unit]; null counts pixels.
        box_size_unit: A length, or empty for code units.
        periodic: Whether opposite edges touch.
        suite: Where the maps come from.
        realism: How close to nature they are.

    Raises:
        UsageError: Maps are said to be independent and to have a group.
    """

    general: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: str,
        fields: dict[str, str] | None = None,
        units: dict[str, str] | None = None,
        table: str | None = None,
        group: str | None = None,
        independent: bool = False,
        labels: list[str] | None = None,
        redshift: str | None = None,
        box_size: float | None = None,
        box_size_unit: str = "",
        periodic: bool = False,
        suite: str = "arrays",
        realism: Literal["toy", "painted", "semi-numerical", "simulation"] = "simulation",
    ) -> None:
        if group is not None and independent:
            raise UsageError(
                f"format 'arrays': group is {group!r} and independent is true",
                hint="leave one out: maps of one group are not independent",
            )
        self.path, self.fields, self.units = Path(path), fields, dict(units or {})
        self.table, self.group, self.independent = table, group, independent
        self.labels, self.redshift = list(labels or []), redshift
        self.box_size, self.box_size_unit, self.periodic = box_size, box_size_unit, periodic
        self.suite, self.realism = suite, realism

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is an npy or npz file with maps."""
        if not path.is_file() or path.suffix not in (".npy", ".npz"):
            return False
        try:
            return bool(stacks(path))
        except FormatError:
            return False

    def read(self) -> xr.Dataset:
        """Return the maps as a lazy field set, in the order of the files.

        Raises:
            FormatError: A file is damaged, arrays and table do not belong together, or nothing says which
                maps share a simulation.
        """
        if not self.path.exists():
            raise FormatError(f"{self.path}: no such file or folder", hint="check the path")
        found = pick(self.path, self.fields)
        n, ndim = self._sizes(found)
        place, table = self._table(n)
        groups = self._groups(table, n)
        width = max(4, len(str(n - 1)))
        used = [column for column in (self.group, self.redshift) if column is not None]
        size = next(iter(found.values())).shape[-1]
        return build(
            {
                name: (stack.lazy(ndim), self.units.get(name, stack.unit), stack.long_name or name)
                for name, stack in found.items()
            },
            ids=[f"map{row:0{width}d}" for row in range(n)],
            groups=groups,
            seeds=[zlib.crc32(group.encode()) for group in groups],
            box_size=float(size) if self.box_size is None else self.box_size,
            box_size_unit=self.box_size_unit,
            suite=self.suite,
            realism=self.realism,
            periodic=self.periodic,
            redshifts=None
            if table is None or self.redshift is None
            else table[self.redshift].to_numpy(float),
            labels=None if table is None else labels(table.drop(columns=used), self.labels, self.units),
            provenance={
                "inputs": [
                    input_file(path)
                    for path in [*dict.fromkeys(stack.path for stack in found.values()), *place]
                ],
                "steps": [{"step": "read", "format": "arrays", "independent": self.independent}],
            },
        )

    def _sizes(self, found: dict[str, Stack]) -> tuple[int, int]:
        """Return how many maps or cubes there are, and how many axes one has."""
        (first, stack), *others = found.items()
        for name, other in others:
            if other.shape != stack.shape:
                raise FormatError(
                    f"{other.path}: {name!r} has shape {other.shape}, but {first!r} {stack.shape}",
                    hint="name fields of one shape, or read the others apart",
                )
        axes = len(stack.shape)
        if axes > 4 or len(set(stack.shape[-2:])) > 1 or (axes == 4 and len(set(stack.shape[-3:])) > 1):
            raise FormatError(
                f"{stack.path}: {first!r} has shape {stack.shape}",
                hint="allowed: (n, N, N) maps, (n, N, N, N) cubes, or one map (N, N)",
            )
        return (1, 2) if axes == 2 else (stack.shape[0], axes - 1)

    def _table(self, n: int) -> tuple[list[Path], pd.DataFrame | None]:
        if self.table is None:
            if self.labels or self.redshift or self.group:
                raise FormatError("columns are named, but no table", hint="say where it is: table: file.csv")
            return [], None
        path = (self.path if self.path.is_dir() else self.path.parent) / self.table
        if not path.exists():
            raise FormatError(f"{path}: no such table", hint="a table is looked for beside the maps")
        table = read_table(path)
        if len(table) != n:
            raise FormatError(
                f"{path}: has {len(table)} rows for {n} maps", hint="one row a map, in the order of the maps"
            )
        for column in (self.group, self.redshift):
            if column is not None and column not in table:
                raise FormatError(
                    f"{path}: has no column {column!r}", hint=nearest(column, map(str, table.columns))
                )
        return [path], table

    def _groups(self, table: pd.DataFrame | None, n: int) -> list[str]:
        if self.group is not None and table is not None:
            return [str(value) for value in table[self.group]]
        if self.independent or n == 1:
            return [f"simulation{row:04d}" for row in range(n)]
        columns = [] if table is None else [str(column) for column in table.columns]
        raise FormatError(
            f"{self.path}: nothing says which of the {n} maps share a simulation",
            hint="say group: COLUMN, a column of the table"
            + (f" ({', '.join(columns)})" if columns else "")
            + ", or independent: true where each is of its own",
        )
