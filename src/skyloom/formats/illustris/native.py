"""What a snapshot calls its fields, and how its numbers become kpc, solar masses, km/s and gauss.

Native numbers carry powers of the Hubble constant and of the scale factor: a length is ``a/h``, a mass
``1/h``, a density ``h²/a³``, a velocity ``sqrt(a)`` and a magnetic field ``h/a²`` times its code unit. EAGLE
and TNG write these powers beside each field and they are used; where they are missing the table here is.
A catalogue's velocities are the exception: ``SubhaloVel`` is in km/s, ``GroupVel`` in km/s/a.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyloom.errors import FormatError

KPC, MSUN, KM_S = 3.085678e21, 1.989e33, 1e5  #: [cm, g, cm/s], as the codes define them
TYPES = {"gas": 0, "dark_matter": 1, "stars": 4, "black_holes": 5}

# Field -> kind; a kind is a unit and the powers of length, mass, velocity, scale factor and h.
KINDS: dict[str, tuple[str, int, int, int, float, int]] = {
    "length": ("kpc", 1, 0, 0, 1.0, -1),
    "mass": ("Msun", 0, 1, 0, 0.0, -1),
    "density": ("Msun / kpc3", -3, 1, 0, -3.0, 2),
    "velocity": ("km / s", 0, 0, 1, 0.5, 0),
    "energy": ("km2 / s2", 0, 0, 2, 0.0, 0),
}
FIELDS: dict[str, str] = {
    "Coordinates": "length",
    "CenterOfMass": "length",
    "Masses": "mass",
    "GFM_InitialMass": "mass",
    "Density": "density",
    "SubfindDensity": "density",
    "SubfindDMDensity": "density",
    "Velocities": "velocity",
    "InternalEnergy": "energy",
    "SubfindHsml": "length",
    "StellarHsml": "length",
    "SmoothingLength": "length",
}
ALIASES: dict[str, tuple[str, ...]] = {
    "Masses": ("Mass",),
    "Velocities": ("Velocity",),
    "GFM_Metallicity": ("SmoothedMetallicity", "Metallicity"),
    "GFM_StellarFormationTime": ("StellarFormationTime",),
    "GFM_InitialMass": ("InitialMass",),
    "HydrogenFraction": ("SmoothedElementAbundance/Hydrogen", "ElementAbundance/Hydrogen"),
}
"""TNG's name -> names of the same field in EAGLE-like files."""


@dataclass(frozen=True)
class Header:
    """What the header of a file says; lengths in the code's unit.

    Args:
        path: The file.
        a: Scale factor.
        h: Hubble constant / (100 km/s/Mpc).
        Omega_m: Matter density today over critical.
        Omega_L: Dark energy density today over critical.
        box: Side of the periodic box [code length]; None where the file does not tell.
        mass_table: Mass of the particles of each type that have no field ``Masses`` [code mass].
        totals: Particles of each type in all files.
        files: Files of the snapshot.
        units: Code units of length, mass and velocity [cm, g, cm/s].
    """

    path: Path
    a: float
    h: float
    Omega_m: float
    Omega_L: float
    box: float | None
    mass_table: tuple[float, ...]
    totals: tuple[int, ...]
    files: int
    units: tuple[float, float, float]

    @property
    def redshift(self) -> float:
        """Redshift; that of today is exactly zero."""
        z = 1 / self.a - 1
        return 0.0 if abs(z) < 1e-9 else z

    def hubble(self) -> float:
        """Return the Hubble rate then [km/s/Mpc]; what densities lack to one is curvature."""
        curvature = 1 - self.Omega_m - self.Omega_L
        return float(100 * self.h * np.sqrt(self.Omega_m / self.a**3 + curvature / self.a**2 + self.Omega_L))

    def factor(self, kind: str, *, comoving: bool = False) -> float:
        """Return what turns a native number of a kind into its unit.

        Args:
            kind: One of ``KINDS``.
            comoving: Whether lengths and densities stay comoving; h is divided out either way.
        """
        _, length, mass, velocity, a_power, h_power = KINDS[kind]
        L, M, V = self.units
        power = 0.0 if comoving and kind in ("length", "density") else a_power
        code = (L / KPC) ** length * (M / MSUN) ** mass * (V / KM_S) ** velocity
        return float(code * self.a**power * self.h**h_power)

    def gauss(self) -> float:
        """Return what turns a native magnetic field into gauss: ``h/a² sqrt(M/L) V/L`` in code units."""
        L, M, V = self.units
        return float(self.h / self.a**2 * np.sqrt(M / L) * V / L)


def read_header(path: Path, file: Any) -> Header:
    """Read the header of an open snapshot.

    Args:
        path: Its path, for messages.
        file: The open ``h5py.File``.

    Raises:
        FormatError: There is no header, or it does not give scale factor, h and matter density.
    """
    if "Header" not in file:
        raise FormatError(f"{path}: has no group Header", hint="this is no snapshot of the Gadget family")
    attributes = {key: np.ravel(value) for key, value in file["Header"].attrs.items()}
    needed = {"Time": "ExpansionFactor", "HubbleParam": "HubbleParam", "Omega0": "Omega0"}
    found = {key: attributes.get(key, attributes.get(other)) for key, other in needed.items()}
    if missing := [key for key, value in found.items() if value is None or not len(value)]:
        raise FormatError(
            f"{path}: the header has no {', '.join(missing)}",
            hint=f"it has {', '.join(sorted(attributes)) or 'nothing'}",
        )
    a, h, Omega_m = (float(value[0]) for value in found.values() if value is not None)

    def number(key: str, default: Any) -> Any:
        return attributes[key][0] if key in attributes else default

    box = number("BoxSize", None)
    counts = attributes.get("NumPart_Total", np.zeros(6))
    high = attributes.get("NumPart_Total_HighWord", np.zeros_like(counts))
    return Header(
        path=path, a=a, h=h, Omega_m=Omega_m,
        Omega_L=float(number("OmegaLambda", 1 - Omega_m)),
        box=None if box is None else float(box),
        mass_table=tuple(float(m) for m in attributes.get("MassTable", np.zeros(6))),
        totals=tuple(int(n) + (int(top) << 32) for n, top in zip(counts, high, strict=True)),
        files=int(number("NumFilesPerSnapshot", 1)),
        units=(
            float(number("UnitLength_in_cm", _coordinate_unit(file))),
            float(number("UnitMass_in_g", 1e10 * MSUN)),
            float(number("UnitVelocity_in_cm_per_s", KM_S)),
        ),
    )  # fmt: skip


def _coordinate_unit(file: Any) -> float:
    """Return the unit of length [cm] that the coordinates carry, or a kiloparsec."""
    for name in file:
        if name.startswith("PartType") and "Coordinates" in file[name]:
            return scaling(file[name]["Coordinates"].attrs, (KPC, 0, 0))[0]
    return KPC


def scaling(attributes: Mapping[str, Any], default: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the cgs factor and the powers of scale factor and h that stand beside a field.

    Args:
        attributes: Attributes of the data set.
        default: What holds where there are none, or where their factor is 0.
    """
    for keys in (
        ("to_cgs", "a_scaling", "h_scaling"),
        ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent"),
    ):
        if all(key in attributes for key in keys):
            factor, a_power, h_power = (float(np.ravel(attributes[key])[0]) for key in keys)
            if factor > 0:
                return factor, a_power, h_power
    return default


def converted(values: Any, name: str, dataset: Any, header: Header, *, comoving: bool) -> Any:
    """Return native numbers in kpc, Msun, km/s and gauss, lengths physical or comoving; integers as they are.

    Args:
        values: What was read.
        name: TNG's name of the field.
        dataset: The data set, whose attributes may tell its units.
        header: Header of the file.
        comoving: Whether lengths and densities stay comoving.
    """
    if values.dtype.kind in "iu":
        return values
    if name == "MagneticField":
        return np.asarray(values, dtype=np.float64) * header.gauss()
    if name not in FIELDS:
        return np.asarray(values, dtype=np.float64)
    kind = FIELDS[name]
    _, length, mass, velocity, a_power, h_power = KINDS[kind]
    L, M, V = header.units
    cgs, a_found, h_found = scaling(
        dataset.attrs, (L**length * M**mass * V**velocity, a_power, h_power)
    )  # fmt: skip
    power = 0.0 if comoving and kind in ("length", "density") else a_found
    unit = KPC**length * MSUN**mass * KM_S**velocity
    return np.asarray(values, dtype=np.float64) * (cgs / unit * header.a**power * header.h**h_found)


def located(group: Any, name: str, aliases: Mapping[str, Iterable[str]]) -> str | None:
    """Return the name under which a group holds a field, or None.

    Args:
        group: An open HDF5 group.
        name: TNG's name of the field.
        aliases: Further names, tried before the known ones.
    """
    for candidate in (name, *aliases.get(name, ()), *ALIASES.get(name, ())):
        if candidate in group:
            return candidate
    return None
