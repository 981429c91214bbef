"""Writing a sample of a field set as a piece of the radio sky, for the tools and simulators of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from skyloom import formats
from skyloom.api.drawing import one_sample
from skyloom.errors import UsageError

IMAGES = (".fits", ".fit", ".fts")
TABLES = (".txt", ".osm", ".sky")


class Exported(NamedTuple):
    """What was written: the files, and numbers to print, name to text."""

    files: list[Path]
    told: dict[str, str]


def export_sky(
    path: Path,
    out: Path,
    *,
    sample: str | None = None,
    beam: float | None = None,
    keep: float | None = None,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    **sky: Any,
) -> Exported:
    """Write one sample as FITS with world coordinates, or as tables of point sources.

    Args:
        path: A field set, or a native file.
        out: What to write: ``.fits`` is an image, ``.txt``, ``.osm`` or ``.sky`` a table of sources as OSKAR
            reads it, of several channels one each.
        sample: Its id, or its place from 0; the first if not given.
        beam: Full width at half maximum of the beam of an image [arcsec]; left out, it is in Jy/pixel.
        keep: Share of the absolute flux that the sources of a table have to hold, 0.9999 if not given.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.
        sky: Field, redshift, distance, centre, channels: see `skyloom.formats.sky.on_the_sky`.

    Returns:
        The files, and the numbers of what is in them.

    Raises:
        UsageError: ``out`` has another ending, or the options do not go together.
        DataError: There is no such sample or field, or the file cannot be read.
    """
    from skyloom.formats.sky import on_the_sky, write_image, write_sources

    image = out.suffix in IMAGES
    if not image and out.suffix not in TABLES:
        raise UsageError(
            f"--out {out}: the ending says what to write", hint=f"one of {', '.join((*IMAGES, *TABLES))}"
        )
    if (keep if image else beam) is not None:
        raise UsageError(
            f"--out {out}: {'an image keeps all pixels' if image else 'point sources have no beam'}",
            hint=f"leave {'--keep' if image else '--beam'} out",
        )
    ds = one_sample(formats.read(path, format=format, **(options or {})), sample)
    seen = on_the_sky(ds, **sky)
    there = seen.sky
    if image:
        files = [write_image(there, out, beam=beam)]
    else:
        files = write_sources(there, out, **({} if keep is None else {"keep": keep}))
    told = {
        "sample": there.name,
        "field": seen.field,
        "pixel": f"{there.pixel * 3600:.4g} arcsec",
        "channels": f"{len(there.flux)} of {there.width:.4g} km/s ({there.bandwidth / 1e3:.4g} kHz)",
        "flux of the line": f"{there.total:.6g} Jy km/s",
        "share within the channels": f"{seen.kept:.4%}",
    }
    if not ds[seen.field].attrs["units"].endswith("K"):
        told["mass of H I"] = f"{there.mass:.6g} Msun"
    return Exported(files, told)
