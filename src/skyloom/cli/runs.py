"""Verbs that make a run or work on one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from skyloom.cli import console
from skyloom.cli.data import FormatOption
from skyloom.cli.options import (
    ArgumentsOption,
    ForceOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    ResumeOption,
    RunArgument,
    SetOption,
    find_run,
    progress_style,
    read_arguments,
    read_recipe,
    resume_or_force,
)
from skyloom.errors import UsageError, nearest

SIDES = ("train", "validation", "test")


def run(
    recipe: RecipeArgument,
    changes: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do all that a recipe says: data, split, training, evaluation, explanation, report."""
    resume_or_force(resume, force)
    loaded, folder = read_recipe(recipe, changes, out)
    from skyloom import api

    done = api.run(loaded, folder, resume=resume, force=force, progress=progress_style(quiet))
    header, *rows = api.headline(done)
    console.table(header, rows)
    console.path("report", done / "report.html")


def split(recipe: RecipeArgument, changes: SetOption = None, quiet: QuietOption = False) -> None:
    """Split the data, audit the split and print the audit; nothing is trained."""
    loaded, _ = read_recipe(recipe, changes, None)
    from skyloom import api
    from skyloom.api.progress import counting

    with counting("data", progress_style(quiet)) as count:
        audited = api.split(loaded, progress=count)
    console.say(audited.text())


def train(
    recipe: RecipeArgument,
    changes: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train only; evaluate, explain and report are verbs of their own."""
    resume_or_force(resume, force)
    loaded, folder = read_recipe(recipe, changes, out)
    from skyloom import api
    from skyloom.api.progress import counting

    style = progress_style(quiet)
    with counting("data", style) as count:
        done = api.train(loaded, folder, resume=resume, force=force, progress=style, making=count)
    console.path("run", done)


def evaluate(
    run: RunArgument,
    side: Annotated[
        str, typer.Option("--side", help="train, validation or test; looks at test are counted.")
    ] = "test",
) -> None:
    """Score a run against truth and baselines, with error bars over groups."""
    if side not in SIDES:
        raise UsageError(f"there is no side {side!r}", hint=nearest(side, SIDES))
    folder = find_run(run)
    from skyloom import api

    console.scores(api.evaluate(folder, side=side))


def transfer(run: RunArgument, quiet: QuietOption = False) -> None:
    """Test a run on the other suites that its recipe's 'transfer' lists."""
    folder = find_run(run)
    from skyloom import api
    from skyloom.api.progress import counting

    with counting("simulations", progress_style(quiet)) as count:
        tested = api.transfer(folder, progress=count)
    for name, metrics in tested.items():
        console.scores(metrics)
        console.path("scores", folder / "transfer" / name / "metrics.json")
    if not tested:
        console.hint(
            "its recipe names no other suite: add one under 'transfer', as docs/explanation/transfer.md does"
        )


def explain(run: RunArgument) -> None:
    """Ask the trained network what the recipe's 'explain' lists."""
    folder = find_run(run)
    from skyloom import api

    for written in api.explain(folder):
        console.path("explanation", written)


def predict(
    run: RunArgument,
    field_set: Annotated[
        Path,
        typer.Argument(help="A native file or a field-set folder.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="The netCDF file to write.",
            show_default="FIELD_SET.predictions.nc",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask", metavar="FILE", help="A map, 0 where nothing was observed.", show_default="none"
        ),
    ] = None,
    beam: Annotated[
        float | None,
        typer.Option("--beam", help="Full width of the beam, unit of the box.", show_default="the file's"),
    ] = None,
    format_name: FormatOption = None,
    settings: ArgumentsOption = None,
) -> None:
    """Apply a run to new maps, an observed one included: answers in physical units, with errors."""
    folder = find_run(run)
    target = output or Path(f"{field_set.resolve().name}.predictions.nc")
    options = read_arguments(settings)
    from skyloom import api

    done = api.predict(folder, field_set, target, format=format_name, options=options, mask=mask, beam=beam)
    header, *rows = api.predicted(done)
    console.table(header, rows)
    if doubts := api.doubts(done):
        console.hint(f"beware: {doubts}")
    console.path("predictions", done)


def report(run: RunArgument) -> None:
    """Write the page of a run anew from what its folder holds."""
    folder = find_run(run)
    from skyloom import api

    console.path("report", api.report(folder))


def share(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="A folder to fill.", show_default=False)
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option("--hub", metavar="OWNER/NAME", help="A repository of the Hugging Face Hub."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is yours alone.")] = False,
) -> None:
    """Give a trained run to others, with its model card: as a folder, or on the Hugging Face Hub."""
    if (out is None) == (hub is None):
        raise UsageError("where to?", hint="give one of --out FOLDER and --hub OWNER/NAME")
    folder = find_run(run)
    from skyloom import api

    if out is not None:
        console.path("shared run", api.package(folder, out))
    else:
        console.say(api.push_to_hub(folder, str(hub), private=private))
    console.hint(f"skyloom.from_pretrained({str(out or hub)!r}) opens it")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Runs: folders, or names in runs/.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write a page too, with differences on the same maps.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the scores of runs side by side, and what each is worth on suites that it was not trained on."""
    if out is not None and len(runs) < 2:
        raise UsageError("one run fills no page of a comparison", hint="name two runs or more")
    folders = [find_run(name) for name in runs]
    from skyloom import api

    rows: list[dict[str, Any]] = api.compare(folders)
    # Runs are few and scores many: a run a column fits the screen.
    names = dict.fromkeys(key for row in rows for key in row if key != "run")
    table = [[name, *(console.number(row.get(name)) for row in rows)] for name in names]
    console.table(["", *(str(row["run"]) for row in rows)], table)
    for parameter, (head, *cells) in api.transfer_tables(folders).items():
        console.say(f"\n{parameter}: training suites in rows, test suites in columns")
        console.table(head, cells)
    if out is not None:
        console.path("comparison", api.comparison(folders, out))
