"""Applying a trained run to new maps, observed ones included, and telling what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.api.data import write_dataset
from skyloom.api.trained import load_run
from skyloom.errors import DataError
from skyloom.evaluate.shift import LEVEL, in_words
from skyloom.fields import store
from skyloom.tasks import classes, translate
from skyloom.tasks import prediction as numbers

if TYPE_CHECKING:
    import xarray as xr

OBSERVED = ("fits", "arrays")  #: formats of maps that need not be as those of a training
SLICES = 8  #: maps cut from each cube that is predicted for
_SUMMARIES = {
    "parameters": numbers.summary_rows,
    "classes": classes.summary_rows,
    "fields": translate.summary_rows,
}


def predict(
    path: Path,
    field_set: Path,
    output: Path,
    *,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    mask: Path | None = None,
    beam: float | None = None,
) -> Path:
    """Predict for the maps of a stored field set or native file, and write netCDF.

    An observed map (a FITS image or plain arrays, or whatever has a mask or a beam) is first brought to the
    pixels and the size of the training; see `skyloom.fields.observed`.

    Args:
        path: The run's folder.
        field_set: What to read; cubes are cut into ``SLICES`` slices across the line of sight.
        output: The netCDF file to write. Translated fields go into a field set, in the folder of that name,
            unless it ends in ``.nc``.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.
        mask: A map of the same shape, 0 where a pixel was not observed.
        beam: Full width at half maximum of the beam, in the unit of the box.

    Returns:
        ``output``.

    Raises:
        DataError: A field is missing or not finite, or an observed map does not fit what the run has seen.
    """
    from skyloom import formats
    from skyloom.fields.observed import windows
    from skyloom.fields.project import cut

    name = format or formats.recognise(Path(field_set))
    ds = formats.read(field_set, format=name, **(options or {}))
    if "z" in ds.dims:
        ds = cut(ds, kind="slice", axes=["z"], count=min(SLICES, ds.sizes["z"]))
    run, target = load_run(path), Path(output)
    told: list[str] = []
    if name in OBSERVED or mask is not None or beam is not None:
        inputs = [field for field in run.recipe.inputs if field in ds]
        if len(inputs) < len(run.recipe.inputs) and len(run.recipe.inputs) == 1 and len(ds.data_vars) == 1:
            # A file with one image needs no name for it.
            ds = ds.rename({str(next(iter(ds.data_vars))): run.recipe.inputs[0]})
        seen = None if mask is None else _mask(mask)
        ds, told = windows(ds, run.trained_on, mask=seen, beam=beam)
    found = run.predict(ds)
    found.attrs["note"] = "; ".join(filter(None, [found.attrs.get("note", ""), *told]))
    if run.task.answers == "fields" and target.suffix != ".nc":
        store.write(found, target)
    else:
        write_dataset(target, found)
    return target


def _mask(path: Path) -> np.ndarray:
    """Return where a mask is not 0, shape ``(y, x)``."""
    from skyloom import formats

    ds = formats.read(path)
    (field, *others) = ds.data_vars.values()
    values = np.asarray(field.values).squeeze()
    if others or values.ndim != 2:
        raise DataError(
            f"{path}: holds more than one map", hint="a mask is one map, 0 where nothing was seen"
        )
    seen: np.ndarray = np.isfinite(values) & (values != 0)
    return seen


def predicted(output: Path) -> list[tuple[str, ...]]:
    """Return what a file of predictions says on average, by simulation and redshift, header first.

    Args:
        output: What :func:`predict` wrote.

    Returns:
        Rows of text: simulation, redshift, maps, what ``summary_rows`` of the prediction says of them, and
        how many are flagged as unlike the training maps.
    """
    with _opened(output) as ds:
        summed = _SUMMARIES[str(ds.attrs.get("answers", "parameters"))]
        header, _ = summed(ds)
        rows: list[tuple[str, ...]] = [("simulation", "redshift", "maps", *header, "unlike")]
        # A set without redshifts has NaN, which equals nothing: text tells them apart.
        groups, z = ds["group"].values, np.array([f"{value:.2f}" for value in ds["redshift"].values])
        for group, redshift in sorted(set(zip(groups.tolist(), z.tolist(), strict=True))):
            here = np.flatnonzero((groups == group) & (z == redshift))
            one = ds.isel(sample=here)
            unlike = str(int((one["shift_p"] <= LEVEL).sum())) if "shift_p" in one else "-"
            rows += [(group, redshift, str(len(here)), *row, unlike) for row in summed(one)[1]]
    return rows


def doubts(output: Path) -> str:
    """Return what a file of predictions says against itself; empty where there is nothing.

    Args:
        output: What :func:`predict` wrote.
    """
    with _opened(output) as ds:
        said = [str(ds.attrs.get("note", ""))]
        card = json.loads(ds.attrs.get("shift", "null"))
    if card is not None and card["unlike"] is not False:
        said.append(in_words(card))
    return "; ".join(filter(None, said))


def _opened(output: Path) -> xr.Dataset:
    """Open what ``predict`` wrote: netCDF, or a stored field set."""
    import xarray as xr

    return store.open(output) if Path(output).is_dir() else xr.open_dataset(output, engine="h5netcdf")
