"""21cmFAST's own files: coeval boxes and light cones of versions 3 and 4, and boxes in ``.npz``.

21cmFAST stores cubes as (x, y, line of sight); Skyloom as (z, y, x) with z the line of sight. A coeval file
gives one cube; a light cone gives its slices, each with the redshift of its comoving distance and the global
neutral fraction there. Layouts are told apart by their groups, not by the version string.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from skyloom.errors import FormatError
from skyloom.fields import Label, build
from skyloom.runs import input_file

if TYPE_CHECKING:
    import xarray as xr

#: 21cmFAST's names (versions 3 and 4) of what becomes a field: Skyloom's name, unit, meaning.
FIELDS: dict[str, tuple[str, str, str]] = {
    "brightness_temp": ("T_b", "mK", "21-cm brightness temperature"),
    "xH_box": ("neutral_fraction", "", "neutral fraction of hydrogen"),
    "neutral_fraction": ("neutral_fraction", "", "neutral fraction of hydrogen"),
    "density": ("delta", "", "matter density contrast"),
}
#: Parameters kept: unit, meaning, and the range that 21CMMC explores, since a file does not tell its prior.
PARAMETERS: dict[str, tuple[str, str, float, float]] = {
    "HII_EFF_FACTOR": ("", "ionising efficiency zeta", 5.0, 250.0),
    "ION_Tvir_MIN": ("dex(K)", "minimum virial temperature of haloes that shine", 4.0, 6.0),
    "R_BUBBLE_MAX": ("Mpc", "largest ionised bubble", 5.0, 50.0),
}


@dataclass
class _Content:
    """What one file holds, arrays still as 21cmFAST stores them."""

    cubes: dict[str, np.ndarray]
    redshift: float
    seed: int
    box_size: float
    parameters: dict[str, float]
    cosmology: dict[str, float]
    version: str
    distances: np.ndarray | None = None
    node_redshifts: np.ndarray = field(default_factory=lambda: np.empty(0))
    global_x_HI: np.ndarray = field(default_factory=lambda: np.empty(0))


class Fast21:
    """A file written by 21cmFAST.

    Args:
        path: ``.h5`` of a coeval box or a light cone (versions 3 and 4), or ``.npz`` of bare boxes.
        also: Further files of the same box whose fields belong to it, e.g. its neutral fraction.
        redshift: Redshift, for ``.npz``, which does not say it.
        box_size: Comoving side [Mpc], for ``.npz``, which does not say it.
        seed: Seed, for ``.npz``, which does not say it.
    """

    def __init__(
        self,
        *,
        path: str,
        also: list[str] | None = None,
        redshift: float | None = None,
        box_size: float | None = None,
        seed: int | None = None,
    ) -> None:
        self.paths = [Path(path), *map(Path, also or [])]
        self.told = {"redshift": redshift, "box_size": box_size, "seed": seed}

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is HDF5 or npz with 21cmFAST's groups or names."""
        try:
            if path.suffix == ".npz":
                with np.load(path) as file:
                    return bool(set(file.files) & set(FIELDS))
            if not path.is_file() or not h5py.is_hdf5(path):
                return False
            with h5py.File(path) as file:
                return bool({"lightcones", "IonizedBox", "BrightnessTemp", "PerturbedField"} & set(file))
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return False

    def read(self) -> xr.Dataset:
        """Return a cube (coeval) or the slices of a light cone as a field set.

        Raises:
            FormatError: A file is damaged, holds no known field, or does not belong to the others.
        """
        contents = [self._content(path) for path in self.paths]
        first = contents[0]
        for path, other in zip(self.paths[1:], contents[1:], strict=True):
            same = (first.redshift, first.seed, first.box_size) == (
                other.redshift,
                other.seed,
                other.box_size,
            )
            if not same or _shape(first) != _shape(other):
                raise FormatError(
                    f"{path}: is not the same box as {self.paths[0]}",
                    hint=f"redshift, seed, size, shape: {_identity(first)} and {_identity(other)}",
                )
            first.cubes.update(other.cubes)
        inputs = [input_file(path) for path in self.paths]
        code = {"21cmfast": first.version} if first.version else {}
        provenance = {"inputs": inputs, "code": code, "seeds": [first.seed]}
        provenance["steps"] = [{"step": "read", "format": "21cmfast"}]
        if first.distances is None:
            return _coeval(first, self.paths[0].stem, provenance)
        return _light_cone(first, self.paths[0].stem, provenance)

    def _content(self, path: Path) -> _Content:
        if not path.is_file():
            raise FormatError(f"{path}: no such file", hint="check the path")
        try:
            content = self._npz(path) if path.suffix == ".npz" else _hdf5(path)
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise FormatError(
                f"{path}: cannot be read as 21cmFAST output: {error}", hint="is the file whole?"
            ) from error
        if not content.cubes:
            raise FormatError(f"{path}: holds none of the fields {', '.join(FIELDS)}")
        return content

    def _npz(self, path: Path) -> _Content:
        missing = [name for name, value in self.told.items() if value is None]
        if missing:
            raise FormatError(
                f"{path}: an npz file does not say its {', '.join(missing)}",
                hint="skyloom import FILE --out FOLDER --set redshift=10 --set box_size=50 --set seed=42",
            )
        with np.load(path) as file:
            cubes = {name: file[name] for name in file.files if name in FIELDS}
        return _Content(
            cubes=cubes,
            redshift=float(self.told["redshift"] or 0),
            seed=int(self.told["seed"] or 0),
            box_size=float(self.told["box_size"] or 0),
            parameters={},
            cosmology={},
            version="",
        )


def _hdf5(path: Path) -> _Content:
    with h5py.File(path) as file:
        if "lightcones" in file:
            return _hdf5_light_cone(file)
        groups = [file[name] for name in file if isinstance(file[name], h5py.Group)]
        cubes: dict[str, np.ndarray] = {}
        for group in groups:
            arrays = group.get("OutputFields", group)
            cubes.update({name: arrays[name][()] for name in arrays if name in FIELDS})
        # Version 4 keeps redshift and inputs with each struct, version 3 at the root.
        home = next((group for group in groups if "InputParameters" in group), file)
        settings = home.get("InputParameters", file)
        return _Content(cubes=cubes, redshift=float(home.attrs["redshift"]), **_settings(file, settings))


def _hdf5_light_cone(file: h5py.File) -> _Content:
    settings = file.get("InputParameters", file)
    common = _settings(file, settings)
    cones = {name: array[()] for name, array in file["lightcones"].items() if name in FIELDS}
    distances = file["lightcone_distances" if "lightcone_distances" in file else "distances"][()]
    nodes = (settings if "node_redshifts" in settings else file)["node_redshifts"][()]
    averages = file["global_quantities"]
    name = next((name for name in ("xH_box", "neutral_fraction") if name in averages), None)
    x_HI = np.asarray(averages[name][()], dtype=float) if name else np.empty(0)
    order = np.argsort(nodes)
    return _Content(
        cubes=cones,
        redshift=float(nodes.min()),
        distances=np.asarray(distances, dtype=float),
        node_redshifts=nodes[order],
        global_x_HI=x_HI[order] if len(x_HI) else x_HI,
        **common,
    )


def _settings(file: h5py.File, settings: h5py.Group) -> dict[str, Any]:
    """Return seed, box, parameters and cosmology, wherever the version keeps them."""
    user = settings["simulation_options" if "simulation_options" in settings else "user_params"].attrs
    astro = settings["astro_params"].attrs
    attributes: Mapping[str, Any] = settings.attrs if "random_seed" in settings.attrs else file.attrs
    names = ("21cmFAST-version", "version", "__version__")
    version = next((str(file.attrs[name]) for name in names if name in file.attrs), "")
    cosmology = settings["cosmo_params"].attrs
    return {
        "seed": int(attributes["random_seed"]),
        "box_size": float(user["BOX_LEN"]),
        "parameters": {name: float(astro[name]) for name in PARAMETERS if _number(astro.get(name))},
        "cosmology": {name: float(value) for name, value in cosmology.items() if _number(value)},
        "version": version,
    }


def _number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _coeval(content: _Content, name: str, provenance: dict[str, Any]) -> xr.Dataset:
    cubes = {key: np.ascontiguousarray(cube.transpose(2, 1, 0))[None] for key, cube in content.cubes.items()}
    labels = _parameter_labels(content, 1)
    for key, cube in cubes.items():
        if FIELDS[key][0] == "neutral_fraction":
            mean = float(cube.mean(dtype=np.float64))
            labels["x_HI"] = Label([mean], "label", "", "neutral fraction of the box", 0.0, 1.0)
    return build(
        {FIELDS[key][0]: (cube, *FIELDS[key][1:]) for key, cube in cubes.items()},
        ids=[f"{name}-z{content.redshift:.2f}"],
        groups=[f"seed{content.seed}"],
        seeds=[content.seed],
        box_size=content.box_size,
        suite="21cmFAST",
        realism="semi-numerical",
        redshifts=[content.redshift],
        labels=labels,
        provenance=provenance,
    )


def _light_cone(content: _Content, name: str, provenance: dict[str, Any]) -> xr.Dataset:
    distances = content.distances
    assert distances is not None
    n = len(distances)
    redshifts = _redshifts(distances, content.cosmology)
    labels = _parameter_labels(content, n)
    if len(content.global_x_HI):
        x_HI = np.interp(redshifts, content.node_redshifts, content.global_x_HI)
        labels["x_HI"] = Label(x_HI, "label", "", "global neutral fraction at the redshift", 0.0, 1.0)
    maps = {key: np.ascontiguousarray(cone.transpose(2, 1, 0)) for key, cone in content.cubes.items()}
    for key, values in maps.items():
        if FIELDS[key][0] == "neutral_fraction":
            own = values.mean(axis=(1, 2), dtype=np.float64)
            labels["x_HI_slice"] = Label(own, "label", "", "neutral fraction of the slice", 0.0, 1.0)
    step = float(np.median(np.diff(distances)))
    return build(
        {FIELDS[key][0]: (values.astype(np.float32), *FIELDS[key][1:]) for key, values in maps.items()},
        ids=[f"{name}-s{i:05d}" for i in range(n)],
        groups=[f"seed{content.seed}"] * n,
        seeds=[content.seed] * n,
        parents=[name] * n,
        axes=["z"] * n,
        # The cone repeats one box along the line of sight, so a slice lies where it falls in that box.
        positions=(distances - distances[0]) % content.box_size,
        thicknesses=[step] * n,
        box_size=content.box_size,
        suite="21cmFAST",
        realism="semi-numerical",
        redshifts=redshifts,
        labels=labels,
        provenance=provenance,
    )


def _redshifts(distances: np.ndarray, cosmology: Mapping[str, float]) -> np.ndarray:
    """Return the redshifts of comoving distances [Mpc] in the file's own cosmology."""
    from astropy.cosmology import FlatLambdaCDM

    model = FlatLambdaCDM(H0=100 * cosmology["hlittle"], Om0=cosmology["OMm"])
    z = np.linspace(0, 40, 8001)
    return np.asarray(np.interp(distances, model.comoving_distance(z).value, z))


def _parameter_labels(content: _Content, n: int) -> dict[str, Label]:
    return {
        name: Label([value] * n, "parameter", *PARAMETERS[name]) for name, value in content.parameters.items()
    }


def _shape(content: _Content) -> tuple[int, ...]:
    return next(iter(content.cubes.values())).shape


def _identity(content: _Content) -> tuple[Any, ...]:
    return content.redshift, content.seed, content.box_size, _shape(content)
