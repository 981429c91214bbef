"""Output folders of SimFast21 (Santos et al. 2010; Hassan et al. 2016), read and written.

Boxes are little-endian float32 without a header, C order, the fastest index along the line of sight; the
file name carries redshift, cells and side (``deltaTb_z8.000_N32_L40.0.dat``). The code opens its text
tables in append mode, so a repeated run repeats their rows: the last row of a redshift counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import FormatError
from skyloom.fields import Label, build
from skyloom.runs import atomic_write, input_file

if TYPE_CHECKING:
    import xarray as xr

#: Folder, name of the file, Skyloom's field, unit, meaning, factor from the file's unit.
BOXES: tuple[tuple[str, str, str, str, str, float], ...] = (
    ("deltaTb", "deltaTb", "T_b", "mK", "21-cm brightness temperature", 1e3),
    ("Ionization", "xHII", "neutral_fraction", "", "neutral fraction of hydrogen", 1.0),
    ("delta", "deltanl", "delta", "", "matter density contrast", 1.0),
)
NAME = re.compile(r"(?P<field>[A-Za-z]+)_z(?P<z>\d+\.\d+)_N(?P<N>\d+)_L(?P<L>\d+\.\d+)\.dat$")
TABLES = "Output_text_files"
HALO = np.dtype([("mass", "<f4"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4")])


class SimFast21:
    """The output folder of one SimFast21 simulation.

    Args:
        path: The folder that holds ``deltaTb/`` and ``Ionization/``.
        seed: Seed of the simulation; it stands in ``simfast21.ini``, not in the output.
        group: Name of the simulation, the unit of independence; the folder's name if not given.
    """

    def __init__(self, *, path: str, seed: int = 0, group: str = "") -> None:
        self.folder, self.seed = Path(path), seed
        self.group = group or self.folder.resolve().name

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a folder with boxes under SimFast21's names."""
        return path.is_dir() and any(
            NAME.search(file.name) for folder, *_ in BOXES for file in (path / folder).glob("*_z*.dat")
        )

    def read(self) -> xr.Dataset:
        """Return the boxes of all redshifts as cubes, highest redshift first.

        Raises:
            FormatError: A box has the wrong length, or the redshifts of the fields differ.
        """
        found = {spec[2]: self._files(*spec[:2]) for spec in BOXES}
        found = {field: files for field, files in found.items() if files}
        if not found:
            raise FormatError(
                f"{self.folder}: holds no SimFast21 box", hint="expected deltaTb/deltaTb_z*.dat"
            )
        keys = {field: sorted(files, reverse=True) for field, files in found.items()}
        first_field, first = next(iter(keys.items()))
        for field, boxes in keys.items():
            if boxes != first:
                raise FormatError(
                    f"{self.folder}: {field} has the boxes (z, N, L) {boxes}, {first_field} has {first}",
                    hint="remove the incomplete redshift, or finish the run",
                )
        if len({key[1:] for key in first}) > 1:
            raise FormatError(
                f"{self.folder}: boxes of several sizes (N, L): {sorted({key[1:] for key in first})}",
                hint="put each simulation into a folder of its own",
            )
        _, N, L = first[0]
        cubes: dict[str, tuple[Any, str, str]] = {}
        for _, _, field, unit, meaning, factor in BOXES:
            if field in found:
                stack = np.stack([_box(found[field][key], N) for key in first])
                stack = 1 - stack if field == "neutral_fraction" else stack * np.float32(factor)
                cubes[field] = (stack, unit, meaning)
        redshifts = [key[0] for key in first]
        files = [path for files in found.values() for path in files.values()]
        return build(
            cubes,
            ids=[f"{self.group}-z{z:.3f}" for z in redshifts],
            groups=[self.group] * len(first),
            seeds=[self.seed] * len(first),
            box_size=L,
            suite="SimFast21",
            realism="semi-numerical",
            redshifts=redshifts,
            labels=_labels(cubes),
            provenance={
                "inputs": [input_file(path) for path in sorted(files)],
                "seeds": [self.seed],
                "steps": [{"step": "read", "format": "simfast21"}],
            },
        )

    def _files(self, folder: str, field: str) -> dict[tuple[float, int, float], Path]:
        files = {}
        for path in (self.folder / folder).glob(f"{field}_z*.dat"):
            if match := NAME.search(path.name):
                files[float(match["z"]), int(match["N"]), float(match["L"])] = path
        return files

    def table(self, name: str, columns: int) -> np.ndarray:
        """Return a text table without the rows that a repeated run appended again.

        Args:
            name: File name without its ending, e.g. ``t21_av`` (redshift, mean T_b in kelvin).
            columns: Numbers in a row; with one, rows follow ``zsim.txt``.

        Returns:
            Rows ``(redshift, ...)``, shape ``(redshifts, max(columns, 2))``, highest redshift first.

        Raises:
            FormatError: The table is absent or its rows cannot be matched to redshifts.
        """
        pattern = f"{name}_N*_L*.dat"
        paths = sorted((self.folder / TABLES).glob(pattern))
        if not paths:
            raise FormatError(f"{self.folder / TABLES}: no {pattern}")
        rows = _numbers(paths[0], columns)
        if columns == 1:
            z = _numbers(self.folder / TABLES / "zsim.txt", 1)
            if len(z) != len(rows):
                raise FormatError(f"{paths[0]}: {len(rows)} rows, but zsim.txt has {len(z)}")
            rows = np.column_stack([z, rows])
        last = {round(float(row[0]), 6): row for row in rows}
        return np.array([last[z] for z in sorted(last, reverse=True)])

    def haloes(self, z: float, *, evolved: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return masses [Msun] ``(n,)`` and positions [Mpc] ``(n, 3)`` of haloes, wrapped into the box.

        Args:
            z: Redshift, to three digits as in the file's name.
            evolved: Whether haloes were moved to where they are at ``z`` (``halonl``) or not (``halo``).

        Raises:
            FormatError: The catalogue is absent or shorter than its own count.
        """
        name = "halonl" if evolved else "halo"
        paths = sorted((self.folder / "Halos").glob(f"{name}_z{z:.3f}_N*_L*.dat.catalog"))
        if not paths:
            raise FormatError(f"{self.folder / 'Halos'}: no {name} catalogue at z = {z:.3f}")
        match = re.search(r"_N(\d+)_L(\d+\.\d+)", paths[0].name)
        raw = paths[0].read_bytes()
        count = int(np.frombuffer(raw[:8], "<i8")[0]) if len(raw) >= 8 else -1
        if match is None or count < 0 or len(raw) != 8 + count * HALO.itemsize:
            raise FormatError(
                f"{paths[0]}: {len(raw)} bytes do not hold the {count} haloes that it announces",
                hint="the file is cut off or not a SimFast21 catalogue",
            )
        haloes = np.frombuffer(raw, HALO, offset=8)
        cell = float(match[2]) / int(match[1])
        positions = np.stack([haloes[axis] for axis in "xyz"], axis=1).astype(float) * cell
        return haloes["mass"].copy(), positions % float(match[2])


def write(ds: xr.Dataset, folder: Path) -> list[Path]:
    """Write cubes of one simulation in SimFast21's layout.

    Args:
        ds: Field set of cubes, one sample a redshift.
        folder: Where ``deltaTb/``, ``Ionization/`` and ``delta/`` go.

    Returns:
        The files written.

    Raises:
        FormatError: The set holds maps, or two samples share a redshift.
    """
    if "z" not in ds.dims:
        raise FormatError("SimFast21 files hold cubes; this field set holds maps")
    redshifts = ds["redshift"].values
    if len(set(redshifts.round(3))) != len(redshifts):
        raise FormatError(f"two samples share a redshift: {sorted(redshifts)}", hint="write one simulation")
    written = []
    for subfolder, name, field, _, _, factor in BOXES:
        if field not in ds:
            continue
        for i, z in enumerate(redshifts):
            cube = np.asarray(ds[field][i].values, dtype=np.float32)
            cube = 1 - cube if field == "neutral_fraction" else cube / np.float32(factor)
            path = folder / subfolder / f"{name}_z{z:.3f}_N{cube.shape[0]}_L{ds.attrs['box_size']:.1f}.dat"
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(np.ascontiguousarray(cube.transpose(2, 1, 0), dtype="<f4").tobytes())
            written.append(path)
    return written


def _box(path: Path, N: int) -> np.ndarray:
    """Return one box as (z, y, x), z the line of sight."""
    size = path.stat().st_size
    if size != 4 * N**3:
        raise FormatError(
            f"{path}: {size} bytes, but N = {N} in its name asks for {4 * N**3}",
            hint="the file is cut off; run the simulation again",
        )
    return np.ascontiguousarray(np.fromfile(path, "<f4").reshape(N, N, N).transpose(2, 1, 0), np.float32)


def _numbers(path: Path, columns: int) -> np.ndarray:
    try:
        values = np.array(path.read_text().split(), dtype=float)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read as a table of numbers: {error}") from error
    if values.size % columns:
        raise FormatError(f"{path}: {values.size} numbers do not fill rows of {columns}")
    return values.reshape(-1, columns) if columns > 1 else values


def _labels(cubes: dict[str, tuple[Any, str, str]]) -> dict[str, Label]:
    if "neutral_fraction" not in cubes:
        return {}
    means = cubes["neutral_fraction"][0].mean(axis=(1, 2, 3), dtype=np.float64)
    return {"x_HI": Label(means, "label", "", "neutral fraction of the box", 0.0, 1.0)}
