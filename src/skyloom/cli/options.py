"""Arguments and options that several verbs share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skyloom.errors import UsageError, nearest

if TYPE_CHECKING:
    from skyloom.recipe import Recipe

RUNS = Path("runs")

RecipeArgument = Annotated[
    str,
    typer.Argument(help="A YAML file, a template's name, or the folder of a run.", show_default=False),
]
RunArgument = Annotated[
    str,
    typer.Argument(help="The folder of a run, or its name inside runs/.", show_default=False),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one place: method.net.width=64, explain.0.steps=8. Repeatable.",
    ),
]
ArgumentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="An argument; 'skyloom describe' lists them. Repeatable."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="The run's folder.", show_default="runs/NAME")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a run that is there already.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def read_recipe(source: str, changes: list[str] | None, out: Path | None) -> tuple[Recipe, Path]:
    """Load a recipe and tell where its run goes.

    Args:
        source: A YAML file, a template's name, or the folder of a run.
        changes: What ``--set`` gave.
        out: What ``--out`` gave.

    Returns:
        The recipe and the run's folder.

    Raises:
        RecipeError: The recipe is wrong.
    """
    from skyloom import recipe

    folder = Path(source)
    if (folder / "recipe.yaml").is_file():
        return recipe.load(folder / "recipe.yaml", changes or ()), out or folder
    loaded = recipe.load(source, changes or ())
    return loaded, out or RUNS / loaded.name


def find_run(name: str) -> Path:
    """Return the folder of a run.

    Args:
        name: Its path, or its name inside ``runs/``.

    Raises:
        UsageError: There is no such folder; the hint has the nearest name.
    """
    for folder in (Path(name), RUNS / name):
        if (folder / "recipe.yaml").is_file():
            return folder
    if Path(name).is_dir():
        raise UsageError(
            f"{name!r} is no run: it holds no recipe.yaml", hint="name the folder that 'skyloom run' made"
        )
    known = [folder.parent.name for folder in RUNS.glob("*/recipe.yaml")]
    raise UsageError(
        f"no run is called {name!r}", hint=nearest(name, known) if known else "make one: skyloom run RECIPE"
    )


def read_arguments(settings: list[str] | None) -> dict[str, Any]:
    """Read ``--set KEY=VALUE`` as the arguments of one component.

    Args:
        settings: What ``--set`` gave; keys may be dotted.

    Raises:
        RecipeError: One is not of the form KEY=VALUE.
    """
    from skyloom.recipe import overrides

    value: dict[str, Any] = {}
    for setting in settings or ():
        dotted, new = overrides.parse(setting)
        value = overrides.apply(value, dotted, new)
    return value


def resume_or_force(resume: bool, force: bool) -> None:
    """Refuse two options that contradict each other.

    Raises:
        UsageError: Both were given.
    """
    if resume and force:
        raise UsageError("--resume goes on with a run and --force replaces it", hint="give one of the two")


def progress_style(quiet: bool) -> str | None:
    """Return the style of progress that the API is asked for; None suits the terminal."""
    return "quiet" if quiet else None
