"""Looking at one sample of any file: as a picture, or as FITS for the tools of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import formats
from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields import fields as fields_of
from skyloom.runs import atomic_write

if TYPE_CHECKING:
    import xarray as xr

PICTURES = (".png", ".pdf")
IMAGES = (".fits", ".fit", ".fts")


def draw(
    path: Path,
    out: Path,
    *,
    fields: list[str] | None = None,
    sample: str | None = None,
    format: str | None = None,
    options: dict[str, Any] | None = None,
) -> Path:
    """Draw one sample of a file or field set, or write it as FITS.

    Args:
        path: A native file, or a field set.
        out: What to write: ``.png`` and ``.pdf`` are pictures, ``.fits`` holds every field as an image with
            world coordinates.
        fields: Fields to show; all if not given.
        sample: Its id, or its place from 0; the first if not given.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.

    Returns:
        ``out``.

    Raises:
        UsageError: ``out`` has another ending.
        DataError: There is no such sample or field, or the file cannot be read.
    """
    if out.suffix not in (*PICTURES, *IMAGES):
        raise UsageError(
            f"--out {out}: the ending says what to write", hint=f"one of {', '.join((*PICTURES, *IMAGES))}"
        )
    ds = one_sample(formats.read(path, format=format, **(options or {})), sample, fields)
    if out.suffix in IMAGES:
        from skyloom.formats.fits import write

        write(ds, out)
        return out
    from skyloom.report.style import drawn_alone

    title = str(ds["sample"].values[0])
    shown = [(_flat(ds[name]), name, dict(ds[name].attrs)) for name in fields_of(ds)]
    side = (float(ds.attrs["box_size"]), str(ds.attrs["box_size_unit"]))
    from skyloom.report.figures.maps import panels

    content = drawn_alone(
        lambda figure: panels(figure, shown, side=side, title=title),
        size=(3.4 * min(len(shown), 3), 2.65 * -(-len(shown) // 3) + 0.3),
        kind=out.suffix[1:],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as file:
        file.write(content)
    return out


def one_sample(ds: xr.Dataset, sample: str | None, fields: list[str] | None = None) -> xr.Dataset:
    """Return one sample in memory, and of it the fields that are wanted.

    Args:
        ds: A field set.
        sample: Its id, or its place from 0; None for the first.
        fields: Names of fields; None for all that are maps or cubes.

    Raises:
        DataError: There is no such sample or field.
    """
    there = [name for name in fields_of(ds) if ds[name].ndim > 1]
    for name in fields or []:
        if name not in there:
            raise DataError(f"there is no field {name!r} to draw", hint=nearest(name, there))
    if not there:
        raise DataError("there is no map to draw, only numbers", hint="skyloom inspect says what there is")
    ids = ds["sample"].values.astype(str).tolist()
    if sample is None:
        row = 0
    elif sample in ids:
        row = ids.index(sample)
    elif sample.isdecimal() and int(sample) < len(ids):
        row = int(sample)
    else:
        raise DataError(
            f"there is no sample {sample!r}",
            hint=f"a place from 0 to {len(ids) - 1}, or an id such as {ids[0]}",
        )
    others = [name for name in ds.data_vars if name not in (fields or there)]
    return ds.drop_vars(others).isel(sample=[row]).compute()


def _flat(field: xr.DataArray) -> np.ndarray:
    """Return the map of a field; of a cube, its middle slice."""
    values = np.asarray(field.values[0])
    return values if values.ndim == 2 else values[len(values) // 2]
