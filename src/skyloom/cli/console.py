"""What the verbs print: tables and results on the standard output, everything else on the standard error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from rich.console import Console


# A file or a pipe has no width of its own.
PIPE_WIDTH = 120


def out() -> Console:
    """Return a console on the standard output as it is now: tests and pipes replace it."""
    return _console(stderr=False)


def err() -> Console:
    """Return a console on the standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def complain(error: SkyloomError) -> None:
    """Print an error and its next step on the standard error.

    Args:
        error: What was raised; each line of its message is one fault.
    """
    from rich.text import Text

    console = err()
    lines = error.message.splitlines()
    told = error.message if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
    console.print(Text.assemble(("error: ", "bold red"), told), soft_wrap=True)
    if error.hint:
        hint(error.hint)


def hint(text: str) -> None:
    """Print a next step on the standard error.

    Args:
        text: One sentence or command.
    """
    from rich.text import Text

    err().print(Text.assemble(("  → ", "bold"), text), soft_wrap=True)


def say(text: str) -> None:
    """Print a result on the standard output as it is, never folded.

    Args:
        text: Plain text; brackets are brackets.
    """
    out().print(text, markup=False, soft_wrap=True)


def page(text: str) -> None:
    """Print a page of the data doctor as it is, the levels of its findings in colour.

    Args:
        text: Plain text, folded already.
    """
    from rich.text import Text

    shown = Text(text)
    for level, style in (
        ("error", "bold red"),
        ("warning", "bold yellow"),
        ("note", "cyan"),
        ("ok", "green"),
    ):
        shown.highlight_regex(rf"(?m)^  {level} +", style)
    out().print(shown, soft_wrap=True)


def path(label: str, where: Path) -> None:
    """Print where a result is.

    Args:
        label: What it is.
        where: Its path, printed so that it can be copied whole.
    """
    from rich.text import Text

    out().print(Text.assemble((f"{label}  ", "dim"), (str(where), "bold")), soft_wrap=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers stand to the right.

    Args:
        header: Names of the columns.
        rows: Cells as text, as many in each row as there are columns.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(header):
        cells = [row[number] for row in rows]
        numeric = bool(cells) and all(_numeric(cell) for cell in cells)
        shown.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    out().print(shown)


def scores(metrics: Mapping[str, Any]) -> None:
    """Print the scores of an evaluation with their intervals, and the baselines below each parameter.

    Args:
        metrics: As ``evaluate/<side>/metrics.json`` holds them.
    """
    parameters: Mapping[str, Any] = metrics["parameters"]
    leaky = "  LEAKY split: these numbers flatter" if metrics.get("leaky") else ""
    if metrics.get("answers") == "ensembles":
        say(f"{metrics['side']} side: {metrics['generated']} generated, {metrics['samples']} real{leaky}")
        from skyloom.api.rating import ensemble_rows

        header, *cells = ensemble_rows(metrics)
        table(header, cells)
        return
    say(f"{metrics['side']} side: {metrics['samples']} samples of {metrics['groups']} groups{leaky}")
    if any("classes" in told for told in parameters.values()):
        for target, told in parameters.items():
            _class_scores(target, told)
        return
    if metrics.get("answers") == "fields":
        for field, told in parameters.items():
            _field_scores(field, told)
        return
    names = list(dict.fromkeys(score for told in parameters.values() for score in told["scores"]))
    rows = []
    for parameter, told in parameters.items():
        rows.append([parameter, "network", *(number(told["scores"].get(score)) for score in names)])
        worth = [(told["scores"].get(score) or {}).get("effective") for score in names]
        if any(worth):
            rows.append(["", "worth independent maps", *("–" if n is None else f"{n:.0f}" for n in worth)])
        for baseline, values in told.get("baselines", {}).items():
            rows.append(["", baseline, *(number(values.get(score)) for score in names)])
    table(["parameter", "by", *names], rows)


def _field_scores(field: str, told: Mapping[str, Any]) -> None:
    """Print the scores of a translated field, one a row: they are too many for columns."""
    rivals: Mapping[str, Any] = told.get("baselines", {})
    rows = [
        [name, number(score), *(number(scores.get(name)) for scores in rivals.values())]
        for name, score in told["scores"].items()
    ]
    table([field, "network", *rivals], rows)


def _class_scores(target: str, told: Mapping[str, Any]) -> None:
    """Print the scores of classes, one a row, and below them those of each class."""
    rivals: Mapping[str, Any] = told.get("baselines", {})
    rows = []
    for name, score in told["scores"].items():
        worth = score.get("effective")
        others = [number((scores.get(name) or {}).get("value")) for scores in rivals.values()]
        rows.append([name, number(score), "–" if worth is None else f"{worth:.0f}", *others])
    table([target, "network", "worth independent maps", *rivals], rows)
    say("")
    names = list(dict.fromkeys(name for entry in told["classes"].values() for name in entry["scores"]))
    rows = [
        [name, str(entry["samples"]), str(entry["groups"]), *(number(entry["scores"][key]) for key in names)]
        for name, entry in told["classes"].items()
    ]
    table(["class", "maps", "simulations", *names], rows)


def number(value: Any) -> str:
    """Return a score as text, with its interval where it has one.

    Args:
        value: A number, a mapping with ``value``, ``low`` and ``high``, or None.

    Example:
        >>> number(0.98123), number({"value": 0.98123, "low": 0.97, "high": 0.99}), number(None)
        ('0.981', '0.981 [0.970, 0.990]', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        middle, low, high = (value.get(key) for key in ("value", "low", "high"))
        return number(middle) + (f" [{number(low)}, {number(high)}]" if None not in (low, high) else "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def _numeric(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "–-+" or cell[0] == "."
