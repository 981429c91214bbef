"""Gas of the M31 analogs of Illustris-1: one ``gas_ID.npz`` a galaxy, turned to its spin axis, at redshift 0.

The files hold positions and velocities relative to the galaxy, masses, the neutral share of hydrogen, star
formation rate and metallicity, but neither density nor temperature. Cells are therefore spread by a spline to
their 32nd neighbour, and the neutral share is taken as it stands. Positions and masses are taken to be in the
code's units (kpc/h and 10¹⁰ Msun/h), as the masses of the cells agree with the simulation's target mass then.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.fields import build
from skyloom.formats.illustris.domains import Look, maps
from skyloom.formats.illustris.native import KM_S, KPC, MSUN, Header
from skyloom.formats.illustris.views import directions, lazy_fields
from skyloom.runs import sampled_file

if TYPE_CHECKING:
    import xarray as xr

GIVEN = ("Mgas", "HI", "T_b", "Z", "SFR", "v_los")
"""Domains that the files hold enough for."""
_KEYS = ("x", "y", "z", "vx", "vy", "vz", "mass", "neutral_hydrogen_abundance", "sfr", "metallicity")


class M31Analogs:
    """The gas of M31 analogs of Illustris-1 as maps; the directions of a galaxy are one group.

    Args:
        path: A file ``gas_ID.npz``, or a folder of them.
        domains: Maps of each galaxy, any of ``Mgas``, ``HI``, ``T_b``, ``Z``, ``SFR``, ``v_los``.
        width: Side of all maps [kpc].
        pixels: Side of all maps in pixels.
        rotations: Directions from which each galaxy is seen, uniform on the sphere; 0 for the file's own.
        seed: Seed of the directions.
        radius: Radius of the selection [kpc]; null for the map's half diagonal.
        rim: Share of the radius over which the selection falls to nothing.
        channel: Width of the channel of ``T_b`` [km/s]; it has to hold the whole line.
        h: Hubble constant / (100 km/s/Mpc) by which lengths and masses are divided.

    Raises:
        UsageError: A domain is not in the files, or a number is out of range.
    """

    def __init__(
        self,
        *,
        path: str,
        domains: list[str] | None = None,
        width: float = 100.0,
        pixels: int = 64,
        rotations: int = 4,
        seed: int = 0,
        radius: float | None = None,
        rim: float = 0.2,
        channel: float = 1000.0,
        h: float = 0.704,
    ) -> None:
        chosen = tuple(domains or ["Mgas", "HI"])
        for name in chosen:
            if name not in GIVEN:
                raise UsageError(f"the files hold no {name!r}", hint=nearest(name, GIVEN))
        if rotations < 0:
            raise UsageError(f"rotations is {rotations}, allowed: 0 or more")
        self.path, self.rotations, self.seed, self.h = Path(path), rotations, seed, h
        self.look = Look(
            chosen, width, pixels, radius or width / np.sqrt(2), rim, two_phase=False, channel=channel
        )  # fmt: skip

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is an ``.npz`` file with the names of these, or a folder of such files."""
        files = sorted(path.glob("gas_*.npz"))[:1] if path.is_dir() else [path]
        if not files or files[0].suffix != ".npz" or not files[0].is_file():
            return False
        try:
            with np.load(files[0]) as file:
                return set(_KEYS) <= set(file.files)
        except (OSError, ValueError, zipfile.BadZipFile):
            return False

    def read(self) -> xr.Dataset:
        """Return the maps as a lazy field set, galaxy by galaxy.

        Raises:
            FormatError: There is no such file, or one is damaged or lacks an array.
        """
        files = sorted(self.path.glob("gas_*.npz")) if self.path.is_dir() else [self.path]
        if not files:
            raise FormatError(f"{self.path}: holds no galaxy", hint="looked for gas_ID.npz")
        views = max(self.rotations, 1)
        names = [file.stem.removeprefix("gas_") for file in files for _ in range(views)]
        return build(
            lazy_fields(self._maps, files, views, self.look),
            ids=[f"{file.stem.removeprefix('gas_')}-r{r:02d}" for file in files for r in range(views)],
            groups=names,
            parents=names,
            seeds=[zlib.crc32(name.encode()) for name in names],
            box_size=self.look.width,
            box_size_unit="kpc",
            periodic=False,
            suite="Illustris-1",
            realism="simulation",
            redshifts=np.zeros(len(names)),
            provenance={
                "inputs": [sampled_file(file) for file in files],
                "seeds": [self.seed],
                "steps": [
                    {
                        "step": "read", "format": "m31_analogs", "width": self.look.width, "h": self.h,
                        "radius": self.look.radius, "rim": self.look.rim, "rotations": self.rotations,
                        "seed": self.seed,
                    }
                ],
            },
        )  # fmt: skip

    def _maps(self, file: Path) -> Any:
        gas = self._gas(file)
        rotations = directions(self.seed, file.stem, self.rotations)
        header = Header(
            path=file, a=1.0, h=self.h, Omega_m=0.2726, Omega_L=0.7274, box=None,
            mass_table=(0.0,) * 6, totals=(0,) * 6, files=1, units=(KPC, 1e10 * MSUN, KM_S),
        )  # fmt: skip
        return maps({"gas": gas}, (0.0, 0.0, 0.0), rotations, self.look, header)

    def _gas(self, file: Path) -> dict[str, Any]:
        """Return a file's cells by TNG's names, in kpc, Msun and km/s."""
        try:
            with np.load(file) as data:
                if lacking := [key for key in _KEYS if key not in data.files]:
                    raise FormatError(
                        f"{file}: has no array {lacking[0]}", hint=nearest(lacking[0], data.files)
                    )
                got = {key: data[key].astype(np.float64) for key in _KEYS}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise FormatError(f"{file}: cannot be read: {error}", hint="copy it again") from error
        return {
            "Coordinates": np.stack([got[axis] for axis in "xyz"], axis=1) / self.h,
            "Velocities": np.stack([got[f"v{axis}"] for axis in "xyz"], axis=1),
            "Masses": got["mass"] * 1e10 / self.h,
            "NeutralHydrogenAbundance": got["neutral_hydrogen_abundance"],
            "StarFormationRate": got["sfr"],
            "GFM_Metallicity": got["metallicity"],
        }
