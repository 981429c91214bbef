"""The verb that draws maps from a trained emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli import console
from skyloom.cli.options import QuietOption, RunArgument, find_run, progress_style


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
