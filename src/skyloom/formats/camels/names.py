"""Names and units of the CAMELS Multifield Dataset (Villaescusa-Navarro et al. 2022, arXiv:2109.10915).

A file is ``Maps_{field}_{suite}_{set}_z={z}.npy`` or ``Grids_{field}_{suite}_{set}_{cells}_z={z}.npy``; the
suite of a gravity-only twin is ``Nbody_`` and that of its hydrodynamic run. Units are those of the data set's
documentation; for ``ne`` and ``P`` they differ from table 1 of the paper, which its authors corrected. Powers
of the Hubble constant h are applied on reading, since a field set knows no ``Mpc/h``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

HUBBLE = 0.6711  #: h of every set but SB28, whose simulations each have their own
SIDE = 25.0  #: side of the box [Mpc/h]
AXES, SLICES = 3, 5  #: maps of a simulation: five slabs along each of three axes
MAPS = AXES * SLICES
NBODY = "Nbody_"


@dataclass(frozen=True)
class Field:
    """A field of the data set.

    Args:
        long_name: What it is.
        units: Unit of a map and of a grid once h is applied.
        powers: Power of h to multiply a map and a grid by.
    """

    long_name: str
    units: tuple[str, str]
    powers: tuple[int, int]


_DENSITY = (("Msun / Mpc2", "Msun / Mpc3"), (1, 2))


def _same(unit: str, power: int = 0) -> tuple[tuple[str, str], tuple[int, int]]:
    return (unit, unit), (power, power)


FIELDS: dict[str, Field] = {
    "Mgas": Field("gas mass density", *_DENSITY),
    "Vgas": Field("gas speed", *_same("km / s")),
    "T": Field("gas temperature", *_same("K")),
    "P": Field("gas pressure", *_same("Msun km2 / (s2 kpc3)", 2)),
    "Z": Field("gas metallicity", *_same("")),
    "HI": Field("neutral hydrogen mass density", *_DENSITY),
    "ne": Field("electron number density", ("Mpc / cm3", "1 / cm3"), (1, 2)),
    "B": Field("magnetic field strength", *_same("G")),
    "MgFe": Field("magnesium over iron", *_same("")),
    "Mcdm": Field("dark matter mass density", *_DENSITY),
    "Vcdm": Field("dark matter speed", *_same("km / s")),
    "Mstar": Field("stellar mass density", *_DENSITY),
    "Mtot": Field("total matter mass density", *_DENSITY),
}
"""The thirteen fields, by their prefix in file names."""

_NAME = re.compile(
    r"^(?P<kind>Maps|Grids)_(?P<field>[A-Za-z]+)_(?P<suite>(?:Nbody_)?[A-Za-z][A-Za-z0-9-]*)"
    r"_(?P<set>[A-Z0-9]+)(?:_(?P<cells>\d+))?_z=(?P<redshift>\d+(?:\.\d+)?)\.npy$"
)


@dataclass(frozen=True, order=True)
class Name:
    """What the name of a file says.

    Args:
        suite: ``IllustrisTNG``, ``SIMBA``, ``Astrid``, ``Nbody_IllustrisTNG``, ...
        set: ``LH``, ``CV``, ``1P``, ``EX``, ``BE``, ``SB28``, ...
        redshift: As written.
        cells: Cells along a side of a grid; None for maps.
        field: Prefix of the field.
    """

    suite: str
    set: str
    redshift: str
    cells: int | None
    field: str

    @property
    def family(self) -> str:
        """The hydrodynamic suite whose seeds these simulations share."""
        return self.suite.removeprefix(NBODY)

    @property
    def file(self) -> str:
        """The name of the file."""
        kind, cells = ("Maps", "") if self.cells is None else ("Grids", f"_{self.cells}")
        return f"{kind}_{self.field}_{self.suite}_{self.set}{cells}_z={self.redshift}.npy"

    @property
    def parameters(self) -> str:
        """The name of the table of parameters."""
        return f"params_{self.set}_{self.suite}.txt"

    def of(self, field: str) -> Name:
        """Return the name of another field of the same simulations."""
        return replace(self, field=field)

    def __str__(self) -> str:
        what = "maps" if self.cells is None else f"{self.cells}³ grids"
        return f"{what} of {self.suite} {self.set} at z = {self.redshift}"


def parse(path: Path) -> Name | None:
    """Return what the name of a file says, or None where it is no file of the data set.

    Args:
        path: The file; it is not opened.

    Example:
        >>> name = parse(Path("Maps_HI_Nbody_SIMBA_LH_z=0.00.npy"))
        >>> name.field, name.suite, name.family, name.set, name.redshift
        ('HI', 'Nbody_SIMBA', 'SIMBA', 'LH', '0.00')
    """
    match = _NAME.match(path.name)
    if match is None or (match["kind"] == "Maps") != (match["cells"] is None):
        return None
    cells = None if match["cells"] is None else int(match["cells"])
    return Name(match["suite"], match["set"], match["redshift"], cells, match["field"])
