"""Writing a field set in the layout of the CAMELS Multifield Dataset, so that its own tools read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, nearest
from skyloom.fields import fields as fields_of
from skyloom.formats.camels.names import FIELDS, HUBBLE, MAPS, SLICES, Name
from skyloom.formats.camels.tables import PARAMETERS
from skyloom.runs import atomic_path, write_text

if TYPE_CHECKING:
    import xarray as xr


def write(ds: xr.Dataset, folder: Path, *, suite: str, set: str, h: float = HUBBLE) -> list[Path]:
    """Write maps as ``Maps_*.npy`` with their tables of parameters and seeds.

    Args:
        ds: Maps of CMD's fields, fifteen a simulation in CMD's order, with its six parameters; lazy ones
            are written simulation by simulation.
        folder: Where the files go.
        suite: Suite for the names.
        set: Set for the names.
        h: Hubble constant that values are converted back with.

    Returns:
        The files written.

    Raises:
        FormatError: The set holds other fields, parameters, an other order, or several redshifts.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import Label, build
        >>> ds = build({"HI": (np.ones((15, 8, 8)), "Msun / Mpc2", "")}, ids=[str(i) for i in range(15)],
        ...            groups=["a"] * 15, seeds=[7] * 15, box_size=37.25, suite="demo", realism="toy",
        ...            axes=["x"] * 5 + ["y"] * 5 + ["z"] * 5, redshifts=[0.0] * 15,
        ...            labels={s: Label([p.low] * 15, "parameter", "", "", p.low, p.high)
        ...                    for s, p in PARAMETERS.items()})
        >>> [path.name for path in write(ds, Path(tempfile.mkdtemp()), suite="Demo", set="LH")]
        ['Maps_HI_Demo_LH_z=0.00.npy', 'params_LH_Demo.txt', 'CosmoAstroSeed_Demo_LH.txt']
    """
    _check(ds)
    redshift = f"{float(ds['redshift'].values[0]):.2f}"
    written = []
    for field in fields_of(ds):
        path = folder / Name(suite, set, redshift, None, field).file
        _write_field(ds[field], path, h ** FIELDS[field].powers[0])
        written.append(path)
    table = np.stack([ds[symbol].values[::MAPS] for symbol in PARAMETERS], axis=1)
    rows = [" ".join(f"{value:.5f}" for value in row) for row in table.tolist()]
    written.append(write_text(folder / f"params_{set}_{suite}.txt", "\n".join(rows) + "\n"))
    lines = ["#Name " + " ".join(PARAMETERS) + " seed"]
    lines += [
        f"{set}_{i} {row} {seed}"
        for i, (row, seed) in enumerate(zip(rows, ds["seed"].values[::MAPS].tolist(), strict=True))
    ]
    written.append(write_text(folder / f"CosmoAstroSeed_{suite}_{set}.txt", "\n".join(lines) + "\n"))
    return written


def _check(ds: xr.Dataset) -> None:
    for field in fields_of(ds):
        if field not in FIELDS or ds[field].dims != ("sample", "y", "x"):
            raise FormatError(f"{field!r} is no map of CMD", hint=nearest(field, FIELDS))
    missing = [symbol for symbol in PARAMETERS if symbol not in ds.coords]
    if missing:
        raise FormatError(f"the set has no parameter {', '.join(missing)}", hint="CMD has these six")
    n = ds.sizes["sample"]
    axes = np.resize(np.repeat(list("xyz"), SLICES), n)
    groups = ds["group"].values.astype(str)
    whole = n % MAPS == 0 and np.array_equal(axes, ds["axis"].values.astype(str))
    if not whole or (groups.reshape(-1, MAPS) != groups[::MAPS, None]).any():
        raise FormatError(
            "the maps are not fifteen a simulation, five along each of x, y and z in turn",
            hint="cut them so: axes=['x', 'y', 'z'], count=5",
        )
    if len(np.unique(ds["redshift"].values)) != 1:
        raise FormatError("the set has several redshifts", hint="write one at a time")


def _write_field(field: xr.DataArray, path: Path, factor: float) -> None:
    with atomic_path(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=field.shape)
        for start in range(0, len(array), MAPS):
            block = field[start : start + MAPS].values
            maps: NDArray[np.float32] = block.astype(np.float32) / np.float32(factor)
            turned = np.r_[0:SLICES, 2 * SLICES : MAPS]
            maps[turned] = maps[turned].swapaxes(1, 2)
            array[start : start + MAPS] = maps
        array.flush()
