"""Writing galaxies as a simulation of IllustrisTNG is written: snapshot, group catalogue and offsets.

Below ``output`` lie ``snapdir_099/snap_099.I.hdf5`` and ``groups_099/fof_subhalo_tab_099.I.hdf5``, a file of
each for every galaxy, and beside it ``postprocessing/offsets/offsets_099.hdf5``, in the code's units: ckpc/h,
10¹⁰ Msun/h, km/s. A galaxy is one halo and its one subhalo. Halos stand on a lattice in a periodic box, apart
enough not to touch; those at its faces lie across them. Their order is that of the design, not that of mass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from skyloom.formats.illustris.native import KM_S, KPC, MSUN, TYPES, Header
from skyloom.runs import atomic_path
from skyloom.simulate.galaxies.design import HUBBLE, OMEGA_L, OMEGA_M, Galaxy

Array = NDArray[Any]
SNAPSHOT = 99  #: number of TNG's last snapshot, at z = 0
SPACING = 1000.0  #: between halos [kpc/h]; the largest is 500 kpc/h across
_LENGTHS = ("Coordinates", "SubfindHsml", "StellarHsml")


def lattice(galaxies: int) -> int:
    """Return how many halos stand along a side of the box."""
    return int(np.ceil(np.cbrt(galaxies) - 1e-9))


def box(galaxies: int) -> float:
    """Return the side of the box [kpc/h]."""
    return SPACING * lattice(galaxies)


def place(index: int, galaxies: int) -> Array:
    """Return where a halo stands [kpc/h], shape ``(3,)``; the first ones lie across the faces of the box."""
    side = lattice(galaxies)
    return np.array([index % side, index // side % side, index // side**2], dtype=float) * SPACING


def files(folder: Path, index: int) -> tuple[Path, Path]:
    """Return the files of a galaxy: of the snapshot and of the catalogue.

    Args:
        folder: The simulation's.
        index: Number of the galaxy.
    """
    output, n = Path(folder) / "output", f"{SNAPSHOT:03d}"
    return (
        output / f"snapdir_{n}" / f"snap_{n}.{index}.hdf5",
        output / f"groups_{n}" / f"fof_subhalo_tab_{n}.{index}.hdf5",
    )


def offsets_file(folder: Path) -> Path:
    """Return the file of offsets of a simulation's folder."""
    return Path(folder) / "postprocessing" / "offsets" / f"offsets_{SNAPSHOT:03d}.hdf5"


def write_galaxy(
    folder: Path,
    galaxy: Galaxy,
    particles: Mapping[str, Mapping[str, Array]],
    lengths: Sequence[Sequence[int]],
    dark_particle: float,
) -> None:
    """Write the files of one galaxy, each whole or not at all.

    Args:
        folder: The simulation's.
        galaxy: Its properties.
        particles: As ``particles.make`` gives them.
        lengths: Particles of each of the six types of every galaxy of the set.
        dark_particle: Mass of a particle of dark matter [Msun].
    """
    snapshot, catalogue = files(folder, galaxy.index)
    centre, side = place(galaxy.index, len(lengths)), box(len(lengths))
    header = _header(np.asarray(lengths), galaxy.index, dark_particle)
    for path in (snapshot, catalogue):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(catalogue) as whole, h5py.File(whole, "w") as file:
        file.create_group("Header").attrs.update(
            {
                **{name: header[name] for name in _SHARED},
                "NumFiles": len(lengths),
                **{f"N{kind}_ThisFile": 1 for kind in ("groups", "subgroups")},
                **{f"N{kind}_Total": len(lengths) for kind in ("groups", "subgroups")},
            }
        )
        for name, value in _halo(galaxy, particles, lengths[galaxy.index], centre, dark_particle).items():
            file[name] = np.asarray([value])
    with atomic_path(snapshot) as whole, h5py.File(whole, "w") as file:
        file.create_group("Header").attrs.update(header)
        for kind, fields in particles.items():
            group = file.create_group(f"PartType{TYPES[kind]}")
            for name, values in fields.items():
                group[name] = _native(name, values, centre, side)
            count = len(fields["Coordinates"])
            first = (galaxy.index << 32) + (TYPES[kind] << 28)
            group["ParticleIDs"] = np.arange(first, first + count, dtype=np.uint64)


def write_offsets(folder: Path, lengths: Sequence[Sequence[int]]) -> None:
    """Write where the particles of every galaxy begin.

    Args:
        folder: The simulation's.
        lengths: Particles of each of the six types of every galaxy.
    """
    starts = np.cumsum(lengths, axis=0) - np.asarray(lengths)
    path = offsets_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as whole, h5py.File(whole, "w") as file:
        for kind in ("Group", "Subhalo"):
            file[f"{kind}/SnapByType"] = starts
            file[f"FileOffsets/{kind}"] = np.arange(len(lengths))
        file["FileOffsets/SnapByType"] = starts


_SHARED = ("BoxSize", "HubbleParam", "Omega0", "OmegaLambda", "Redshift", "Time")


def _header(lengths: Array, index: int, dark_particle: float) -> dict[str, Any]:
    masses = np.zeros(6)
    masses[TYPES["dark_matter"]] = dark_particle * HUBBLE / 1e10
    totals = lengths.sum(axis=0)
    return {
        "BoxSize": box(len(lengths)), "HubbleParam": HUBBLE, "Omega0": OMEGA_M, "OmegaLambda": OMEGA_L,
        "Redshift": 0.0, "Time": 1.0, "MassTable": masses, "NumFilesPerSnapshot": len(lengths),
        "NumPart_ThisFile": lengths[index].astype(np.int32),
        "NumPart_Total": (totals & 0xFFFFFFFF).astype(np.uint32),
        "NumPart_Total_HighWord": (totals >> 32).astype(np.uint32),
        "UnitLength_in_cm": KPC, "UnitMass_in_g": 1e10 * MSUN, "UnitVelocity_in_cm_per_s": KM_S,
        "Flag_Cooling": 0, "Flag_Sfr": 1, "Flag_Feedback": 0, "Flag_StellarAge": 0, "Flag_Metals": 1,
        "Flag_DoublePrecision": 0,
    }  # fmt: skip


def _native(name: str, values: Array, centre: Array, side: float) -> Array:
    """Return physical numbers, at z = 0, in the code's units."""
    if name == "Coordinates":
        return np.asarray((values * HUBBLE + centre) % side)  # double, as positions of TNG are
    if name in _LENGTHS:
        values = values * HUBBLE
    elif name == "Masses":
        values = values * HUBBLE / 1e10
    elif name == "Density":
        values = values / HUBBLE**2 / 1e10
    elif name == "MagneticField":
        values = values * 1e-6 / _HEADER.gauss()
    return values.astype(np.float32)


_HEADER = Header(
    path=Path(), a=1.0, h=HUBBLE, Omega_m=OMEGA_M, Omega_L=OMEGA_L, box=None, mass_table=(0.0,) * 6,
    totals=(0,) * 6, files=1, units=(KPC, 1e10 * MSUN, KM_S),
)  # fmt: skip


def _halo(
    galaxy: Galaxy,
    particles: Mapping[str, Mapping[str, Array]],
    lengths: Sequence[int],
    centre: Array,
    dark_particle: float,
) -> dict[str, Any]:
    """Return what the catalogue says of a galaxy, as halo and as subhalo."""
    masses, half = np.zeros(6), np.zeros(6)
    for kind, fields in particles.items():
        each = fields.get("Masses", np.full(len(fields["Coordinates"]), dark_particle))
        masses[TYPES[kind]] = each.sum() * HUBBLE / 1e10
        r = np.linalg.norm(fields["Coordinates"], axis=1)
        order = np.argsort(r)
        inside = np.cumsum(each[order])
        half[TYPES[kind]] = r[order][np.searchsorted(inside, inside[-1] / 2)] * HUBBLE
    row = np.asarray(lengths, dtype=np.int32)
    rate = float(particles["gas"]["StarFormationRate"].sum())
    shared = {
        "Pos": centre.astype(np.float32),
        "Vel": np.zeros(3, np.float32),
        "Len": np.int32(row.sum()),
        "LenType": row,
        "Mass": np.float32(masses.sum()),
        "MassType": masses.astype(np.float32),
        "SFR": np.float32(rate),
    }
    return {
        **{f"Group/Group{name}": value for name, value in shared.items()},
        "Group/GroupFirstSub": np.int32(galaxy.index),
        "Group/GroupNsubs": np.int32(1),
        "Group/Group_M_Crit200": np.float32(masses.sum()),
        "Group/Group_R_Crit200": np.float32(galaxy.R_virial * HUBBLE),
        **{f"Subhalo/Subhalo{name}": value for name, value in shared.items()},
        "Subhalo/SubhaloGrNr": np.int32(galaxy.index),
        "Subhalo/SubhaloHalfmassRadType": half.astype(np.float32),
    }
