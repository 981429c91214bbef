"""Verbs that draw: new maps from a trained emulator, a picture of any file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli import console
from skyloom.cli.data import FormatOption
from skyloom.cli.options import (
    ArgumentsOption,
    QuietOption,
    RunArgument,
    find_run,
    progress_style,
    read_arguments,
)


def sample(
    run: RunArgument,
    parameters: Annotated[
        str,
        typer.Option(
            "--parameters",
            metavar="NAME=VALUE,... or FILE",
            help="Where to draw: conditions, or a table with a point a line.",
            show_default="none",
        ),
    ] = "",
    n: Annotated[int, typer.Option("-n", min=1, help="Maps at each point.")] = 64,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The field set to write.")] = Path(
        "samples"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Everything drawn follows from it.")] = 0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of the sampler.", show_default="the recipe's")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Draw maps at given parameters into a field set; the same command goes on where it was stopped."""
    folder = find_run(run)
    from skyloom import api
    from skyloom.api.progress import counting

    table = bool(parameters) and "=" not in parameters
    points = api.read_table(Path(parameters)) if table else api.read_points(parameters) or None
    with counting("samples", progress_style(quiet)) as count:
        done = api.sample(folder, points, n, out, seed=seed, steps=steps, progress=count)
    console.path("samples", done)


def draw(
    path: Annotated[Path, typer.Argument(help="A native file, or a field-set folder.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A .png, .pdf or .fits to write.", show_default="NAME.png"
        ),
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--field", help="A field; repeatable.", show_default="all")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", help="Its id, or its place from 0.", show_default="the first"),
    ] = None,
    format_name: FormatOption = None,
    settings: ArgumentsOption = None,
) -> None:
    """Draw the maps of one sample with their units, or write them as FITS; of a cube, the middle slice."""
    options = read_arguments(settings)
    target = out or Path(f"{path.resolve().stem}.png")
    from skyloom import api

    done = api.draw(path, target, fields=fields, sample=sample, format=format_name, options=options)
    console.path("FITS file" if done.suffix.startswith(".fi") else "picture", done)
