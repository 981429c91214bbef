"""Event lists in FITS: the reconstructed events of an observatory as a table of numbers.

Such a list is a binary table ``EVENTS`` (data formats of gamma-ray astronomy, GADF: Deil et al. 2017,
arXiv:1610.01884), a row an event. HAWC's public lists keep the numbers of the reconstruction in it, under the
names that its XCDF files use, so that what learned one reads the other.

**Group.** Events of one run of the data taking share the state of the detector: the run is the group.

**Failed fits.** A row whose fit of angle or core says so (a status that is not 0), whose zenith angle is
within 0.01 rad of π, or with a number that is not finite, is left out; the provenance tells how many.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, UnitError, nearest
from skyloom.fields import Label, build
from skyloom.formats.event_table import Described, table_fields
from skyloom.formats.fits import fits_files, is_event_list
from skyloom.formats.xcdf.quantities import MEASURED
from skyloom.formats.xcdf.reading import FAILED
from skyloom.runs import input_file
from skyloom.units import parse

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

STATUS = ("angleFitStatus", "coreFitStatus")
"""Columns that are 0 where a fit has worked."""


class Column(NamedTuple):
    """What is known of a column: Skyloom's name, its unit where the file gives none, and its meaning."""

    name: str
    unit: str
    long_name: str


KNOWN: Mapping[str, Column] = {
    **{q.native.removeprefix("rec."): Column(q.name, q.unit, q.long_name) for q in MEASURED},
    "PINC": Column("PINC", "", "PINC, unevenness of the charge about the core"),
    "LDFChi2": Column("LDFChi2", "", "reduced χ² of the lateral distribution"),
}
"""Fields of HAWC's lists."""
LABELS: Mapping[str, Column] = {
    "ENERGY": Column("energy", "GeV", "estimated energy"),
    "RA": Column("ra", "deg", "right ascension"),
    "DEC": Column("dec", "deg", "declination"),
}
"""Labels of event lists, in the unit to which they are converted."""


class FitsEvents:
    """Reconstructed events of a FITS event list, or of those in a folder, as a table.

    The fields have one pixel each, as the format ``xcdf`` gives its ``table``. Labels are estimated energy
    [GeV] with its logarithm and the direction in the sky [deg], where the list has them; the truth of real
    events nobody knows.

    Args:
        path: A file, or a folder of event lists.
        columns: Column of the list to the name of a field; null takes the numbers of HAWC's reconstruction
            that it has.
        group: Column whose values are the groups, such as the run; null makes every event its own.
        suite: Where the events come from; empty takes what the file says.
        realism: How close to nature they are.
    """

    def __init__(
        self,
        *,
        path: str,
        columns: dict[str, str] | None = None,
        group: str | None = "runID",
        suite: str = "",
        realism: Literal["toy", "painted", "semi-numerical", "simulation"] = "simulation",
    ) -> None:
        self.path, self.columns, self.group = Path(path), columns, group
        self.suite, self.realism = suite, realism

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a FITS event list, or a folder of them."""
        files = fits_files(path)
        return bool(files) and is_event_list(files[0])

    def read(self) -> xr.Dataset:
        """Return the events.

        Raises:
            FormatError: A file is no event list, is damaged, or lacks a column; or no event is left.
        """
        paths = fits_files(self.path)
        if not paths:
            raise FormatError(f"{self.path}: no FITS file", hint="give an event list or a folder of them")
        tables = [_Table(path) for path in paths]
        wanted = self._wanted(tables[0])
        lost: Counter[str] = Counter()
        ids: list[str] = []
        groups: list[str] = []
        parts: dict[str, list[Array]] = {name: [] for name in wanted}
        for table in tables:
            numbers = {name: table.column(name) for name in wanted}
            kept = _kept(table, numbers, wanted, lost)
            own = [f"{table.stem}-{row:07d}" for row in kept]
            ids += own
            groups += own if self.group is None else [f"run-{v}" for v in table.raw(self.group)[kept]]
            for name, values in numbers.items():
                parts[name].append(values[kept])
        if not ids:
            raise FormatError(f"{self.path}: no event is left of {lost['events']}: {dict(lost)}")
        described = {
            name: (np.concatenate(parts[name]), self._unit(tables[0], name, about), about.long_name)
            for name, about in wanted.items()
        }
        return self._build(described, wanted, ids, groups, tables, lost)

    def _wanted(self, table: _Table) -> dict[str, Column]:
        """Return the columns that become fields or labels."""
        if self.columns is None:
            fields = {name: about for name, about in KNOWN.items() if name in table.names}
        else:
            fields = {
                native: Column(name, *KNOWN.get(native, Column(name, "", native))[1:])
                for native, name in self.columns.items()
            }
        if not fields:
            raise FormatError(
                f"{table.path}: has none of the columns of a HAWC reconstruction",
                hint=f"name some yourself (columns), of {', '.join(table.names)}",
            )
        return {**fields, **{name: about for name, about in LABELS.items() if name in table.names}}

    def _unit(self, table: _Table, name: str, about: Column) -> str:
        return about.unit if name in LABELS or about.unit else table.units.get(name, "")

    def _build(
        self,
        described: Mapping[str, Described],
        wanted: Mapping[str, Column],
        ids: list[str],
        groups: list[str],
        tables: list[_Table],
        lost: Counter[str],
    ) -> xr.Dataset:
        step = {"step": "read", "format": "fits_events", "counts": dict(lost)}
        labels = {
            wanted[name].name: Label(column[0], "label", column[1], column[2])
            for name, column in described.items()
            if name in LABELS
        }
        if "energy" in labels and (np.asarray(labels["energy"].values) > 0).all():
            meaning = "logarithm of the estimated energy"
            labels["log_energy"] = Label(np.log10(labels["energy"].values), "label", "dex(GeV)", meaning)
        return build(
            table_fields({wanted[n].name: column for n, column in described.items() if n not in LABELS}),
            ids=ids,
            groups=groups,
            seeds=[zlib.crc32(group.encode()) for group in groups],
            box_size=1.0,
            box_size_unit="",
            periodic=False,
            suite=self.suite or tables[0].telescope or "FITS",
            realism=self.realism,
            labels=labels,
            provenance={"inputs": [input_file(table.path) for table in tables], "steps": [step]},
        )


class _Table:
    """The table of events of one file."""

    def __init__(self, path: Path) -> None:
        from astropy.io import fits

        if not is_event_list(path):
            raise FormatError(f"{path}: has no table EVENTS", hint="images are the format 'fits'")
        self.path = path
        self.stem = path.name.split(".fits")[0]
        try:
            with fits.open(path, memmap=False) as file:
                table = file["EVENTS"]
                self.telescope = str(table.header.get("TELESCOP", "")).strip()
                self.units = {column.name: column.unit or "" for column in table.columns}
                self._data = {name: np.array(table.data[name]) for name in self.units}
        except (OSError, ValueError, TypeError, EOFError, KeyError, zlib.error) as error:
            raise FormatError(f"{path}: cannot be read ({error})", hint="copy it again") from error

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.units)

    def raw(self, name: str) -> Array:
        """Return a column as it stands in the file."""
        if name not in self._data:
            raise FormatError(f"{self.path}: has no column {name!r}", hint=nearest(name, self.names))
        return self._data[name]

    def column(self, name: str) -> Array:
        """Return a column of numbers; a label in Skyloom's unit."""
        values = self.raw(name)
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise FormatError(f"{self.path}: column {name!r} is no column of numbers")
        values = values.astype(np.float64)
        if name not in LABELS or not self.units[name]:
            return values
        try:
            return np.asarray((values * parse(self.units[name])).to_value(parse(LABELS[name].unit)))
        except (UnitError, ValueError) as error:
            raise FormatError(f"{self.path}: column {name!r} is in {self.units[name]!r}: {error}") from error


def _kept(
    table: _Table, numbers: Mapping[str, Array], wanted: Mapping[str, Column], lost: Counter[str]
) -> Array:
    """Return the rows whose fits have worked, and count the others."""
    n = len(next(iter(numbers.values())))
    failed = np.zeros(n, dtype=bool)
    for name in STATUS:
        if name in table.names:
            failed |= table.raw(name) != 0
    for name, values in numbers.items():
        if wanted[name].name == "zenith":
            failed |= np.abs(values - np.pi) <= FAILED
    finite = np.isfinite(np.stack(list(numbers.values()))).all(axis=0)
    lost["events"] += n
    lost["failed fits"] += int(failed.sum())
    lost["not finite"] += int((~failed & ~finite).sum())
    return np.flatnonzero(~failed & finite)
