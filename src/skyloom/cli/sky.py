"""The verb that puts maps on the radio sky: ``skyloom export sky``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli import console
from skyloom.cli.data import FormatOption
from skyloom.cli.options import ArgumentsOption, read_arguments
from skyloom.errors import UsageError


def sky(
    path: Annotated[Path, typer.Argument(help="A field-set folder, or a native file.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="A .fits image, or a .txt table of point sources (OSKAR, Karabo).",
            show_default=False,
        ),
    ],
    field: Annotated[
        str | None,
        typer.Option("--field", help="H I by mass, or a temperature.", show_default="HI, or else T_b"),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", help="Its id, or its place from 0.", show_default="the first"),
    ] = None,
    redshift: Annotated[
        float | None, typer.Option("--redshift", min=0, help="Of the source.", show_default="the sample's")
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option("--distance", help="Luminosity distance, in Mpc.", show_default="that of the redshift"),
    ] = None,
    centre: Annotated[
        str, typer.Option("--centre", metavar="RA,DEC", help="Of the field, in degrees, ICRS.")
    ] = "0,-30",
    channels: Annotated[
        int, typer.Option("--channels", min=1, help="Channels of a map; more than 1 need the field v_los.")
    ] = 1,
    band: Annotated[float, typer.Option("--band", help="Width of all channels of a map, in km/s.")] = 1000.0,
    dispersion: Annotated[
        float, typer.Option("--dispersion", help="Of the line of a pixel about v_los, in km/s.")
    ] = 10.0,
    comoving: Annotated[bool, typer.Option("--comoving", help="The set's lengths are comoving.")] = False,
    beam: Annotated[
        float | None,
        typer.Option(
            "--beam", help="Full width of a round beam, in arcsec, for an image.", show_default="Jy/pixel"
        ),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option("--keep", help="Share of the flux that sources have to hold.", show_default="0.9999"),
    ] = None,
    format_name: FormatOption = None,
    settings: ArgumentsOption = None,
) -> None:
    """Write H I maps and cubes as FITS with world coordinates and flux units, or as point sources."""
    options = read_arguments(settings)
    place = _place(centre)
    from skyloom import api

    done = api.export_sky(
        path, out, sample=sample, beam=beam, keep=keep, format=format_name, options=options, field=field,
        redshift=redshift, distance=distance, centre=place, count=channels, band=band, dispersion=dispersion,
        comoving=comoving,
    )  # fmt: skip
    for name, value in done.told.items():
        console.say(f"{name}: {value}")
    for file in done.files:
        console.path("image" if file.suffix.startswith(".f") else "sources", file)


def _place(text: str) -> tuple[float, float]:
    """Read two numbers with a comma between them."""
    try:
        ra, dec = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--centre {text}: no place", hint="write --centre 150.1,2.2, in degrees") from None
    return ra, dec
