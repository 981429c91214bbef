"""The application: its verbs, and how an error becomes a message and an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from skyloom.cli import data, drawing, exploring, looking, runs, scoring
from skyloom.cli.console import complain, hint
from skyloom.cli.export import export
from skyloom.errors import Interrupted, SkyloomError

RESUMABLE = {"run", "train"}
REPEATABLE = {"make", "fetch", "import", "sample", "sweep", "curve"}


class Verbs(TyperGroup):
    """Turns errors raised on purpose into messages; all others keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb.

        Raises:
            typer.Exit: With the exit code of the error.
        """
        try:
            return super().invoke(ctx)
        except Interrupted as error:
            complain(error)
            _tell_how_to_go_on(ctx)
            raise typer.Exit(error.exit_code) from None
        except SkyloomError as error:
            complain(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            complain(Interrupted("interrupted"))
            _tell_how_to_go_on(ctx)
            raise typer.Exit(Interrupted.exit_code) from None


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  skyloom run reionisation",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"skyloom {version('skyloom')}")
        raise typer.Exit


@app.callback()
def skyloom(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learns from simulated skies, with numbers that survive a referee."""
    # What follows the program's name, as typed: an interrupted command is shown again with --resume.
    ctx.obj = sys.argv[1:] if ctx.obj is None else ctx.obj


ALL, STEPS, DATA, LOOK = "All in one", "Step by step", "Data", "Look around"
for _verb, _name, _panel in (
    (runs.run, "run", ALL),
    (runs.split, "split", STEPS),
    (runs.train, "train", STEPS),
    (runs.evaluate, "evaluate", STEPS),
    (runs.transfer, "transfer", STEPS),
    (runs.explain, "explain", STEPS),
    (runs.report, "report", STEPS),
    (runs.predict, "predict", STEPS),
    (drawing.sample, "sample", STEPS),
    (runs.compare, "compare", STEPS),
    (runs.share, "share", STEPS),
    (scoring.scorecard, "scorecard", STEPS),
    (exploring.curve, "curve", STEPS),
    (exploring.sweep, "sweep", STEPS),
    (data.make, "make", DATA),
    (data.fetch, "fetch", DATA),
    (data.import_, "import", DATA),
    (data.import_weights, "import-weights", DATA),
    (data.inspect, "inspect", DATA),
    (drawing.draw, "draw", DATA),
    (looking.list_, "list", LOOK),
    (looking.describe, "describe", LOOK),
    (looking.init, "init", LOOK),
    (looking.doctor, "doctor", LOOK),
):
    app.command(_name, rich_help_panel=_panel)(_verb)
app.add_typer(export, name="export", rich_help_panel=STEPS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; None takes it from the process.

    Returns:
        The exit code.

    Example:
        >>> main(["--version"])
        skyloom ...
        0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=words, prog_name="skyloom", obj=words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def _tell_how_to_go_on(ctx: Any) -> None:
    verb, words = ctx.invoked_subcommand, list(ctx.obj or [])
    if verb in RESUMABLE:
        words = [word for word in words if word != "--force"]
        again = words if "--resume" in words else [*words, "--resume"]
        hint(f"go on with: skyloom {shlex.join(again)}")
    elif verb in REPEATABLE:
        hint(f"go on with the same command: skyloom {shlex.join(words)}")
