"""Verbs that train one recipe many times: over its settings, or over the number of simulations."""

from __future__ import annotations

from typing import Annotated

import typer

from skyloom.cli import console
from skyloom.cli.options import OutOption, QuietOption, RecipeArgument, SetOption, progress_style, read_recipe
from skyloom.errors import UsageError


def sweep(
    recipe: RecipeArgument,
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over",
            metavar="KEY=SPEC",
            help="What to search: KEY=1e-4..1e-2:log, KEY=1..4 or KEY=8,16,32; repeatable.",
            show_default=False,
        ),
    ] = None,
    changes: SetOption = None,
    out: OutOption = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Trainings in all.")] = 20,
    storage: Annotated[
        str | None,
        typer.Option("--storage", metavar="URL", help="A database.", show_default="SQLite in the folder"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what is tried.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """Search settings for the smallest validation loss; run it several times to work in parallel.

    The same command goes on where it was stopped.
    """
    loaded, folder = read_recipe(recipe, changes, None)
    target = out or folder.with_name(f"{folder.name}-sweep")
    from skyloom import api

    space = api.read_space(over or [])
    done = api.sweep(
        loaded, target, space, trials=trials, storage=storage, seed=seed, progress=progress_style(quiet)
    )
    header, *rows = api.ranking(done)
    console.table(header, rows)
    console.path("best recipe", done / "best.yaml")
    console.hint(f"skyloom run {done / 'best.yaml'} scores it on the test side, which no trial has seen")


def curve(
    recipe: RecipeArgument,
    changes: SetOption = None,
    out: OutOption = None,
    points: Annotated[int, typer.Option("--points", min=2, help="Numbers of simulations.")] = 4,
    simulations: Annotated[
        str | None,
        typer.Option(
            "--simulations", metavar="N,N,...", help="Or these numbers.", show_default="halves of all"
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Score a recipe against the number of training simulations; the same command goes on."""
    loaded, folder = read_recipe(recipe, changes, None)
    target = out or folder.with_name(f"{folder.name}-curve")
    counts = None
    if simulations is not None:
        parts = simulations.split(",")
        if not all(part.strip().isdigit() for part in parts):
            raise UsageError(f"--simulations {simulations}", hint="whole numbers with commas: 10,20,40")
        counts = [int(part) for part in parts]
    from skyloom import api

    done = api.curve(loaded, target, points=points, counts=counts, progress=progress_style(quiet))
    header, *rows = api.curve_rows(done)
    console.table(header, rows)
    console.path("curve", done / "curve.png")
