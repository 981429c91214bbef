"""The verb that judges what was generated or translated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from skyloom.cli import console
from skyloom.cli.options import QuietOption, progress_style
from skyloom.errors import UsageError

_SHORT = {"gaussian": "Gaussian", "shuffled": "shuffled", "constant": "constant", "per_pixel": "per pixel"}
_VERDICT = {True: "as real", False: "differs", None: "open"}
Folder = Path | None


def scorecard(
    real: Annotated[
        Path, typer.Argument(help="Real samples not trained on (--paired: the truth).", show_default=False)
    ],
    generated: Annotated[
        Path, typer.Argument(help="Generated or translated samples, a field set.", show_default=False)
    ],
    train: Annotated[
        Folder, typer.Option("--train", metavar="SET", help="What the generator was trained on.")
    ] = None,
    twin: Annotated[
        Folder, typer.Option("--twin", metavar="SET", help="Samples of a model trained on another half.")
    ] = None,
    one_parameter: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--one-parameter",
            metavar="REAL GENERATED",
            help="Sets in which one parameter is varied at a time.",
        ),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="A translation: samples of equal id belong together.")
    ] = False,
    inputs: Annotated[
        Folder, typer.Option("--inputs", metavar="SET", help="Paired: what was translated.")
    ] = None,
    train_inputs: Annotated[
        Folder, typer.Option("--train-inputs", metavar="SET", help="Paired: inputs of the training side.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where numbers, curves and page go.")
    ] = Path("scorecard"),
    fields: Annotated[
        list[str] | None,
        typer.Option("--fields", metavar="NAME", help="A field to compare; repeatable.", show_default="all"),
    ] = None,
    statistics: Annotated[
        list[str] | None,
        typer.Option(
            "--statistics", metavar="NAME", help="A statistic; repeatable.", show_default="the usual ones"
        ),
    ] = None,
    no_judge: Annotated[bool, typer.Option("--no-judge", help="Train no judge network.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds-per-sample", min=0, help="For the record.", show_default=False),
    ] = None,
    maximum: Annotated[
        int, typer.Option("--maximum", min=8, help="Samples of each set that are looked at.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Everything drawn follows from it.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """Judge a generated or translated set beside the real one, with floors and baselines."""
    for path in (real, generated, train, twin, inputs, train_inputs, *(one_parameter or ())):
        if path is not None and not path.exists():
            raise UsageError(
                f"there is no {str(path)!r}", hint="name a field set: 'skyloom inspect' shows one"
            )
    from skyloom import api

    card = api.scorecard(
        real,
        generated,
        out,
        paired=paired,
        train=train,
        train_inputs=train_inputs,
        inputs=inputs,
        twin=twin,
        one_parameter=one_parameter,
        fields=fields or None,
        statistics=statistics or None,
        network=not no_judge,
        seconds_per_sample=seconds,
        maximum=maximum,
        seed=seed,
        progress=progress_style(quiet),
    )
    _show(card.numbers)
    console.path("page", out / "scorecard.html")


def _show(card: Mapping[str, Any]) -> None:
    """Print a row for each score; per cents stand on the page."""
    rows = [row for row in card["rows"] if row["unit"] != "%"]
    others, ensemble = list(rows[0]["baselines"]), card["kind"] == "ensemble"
    header = ["score", "of", "generated" if ensemble else "translated"]
    header += ["real halves"] if ensemble else []
    header += [_SHORT.get(name, name) for name in others] + (["verdict"] if ensemble else [])
    table = []
    for row in rows:
        label = ("response to " if row["section"] == "response" else "") + row["label"]
        cells = [
            label + (f" [{row['unit']}]" if row["unit"] else ""),
            row["of"],
            console.number(row["generated"]),
        ]
        cells += [_floor(row)] if ensemble else []
        cells += [console.number(row["baselines"][name]["value"]) for name in others]
        table.append(cells + ([_VERDICT[row["real"]]] if ensemble else []))
    console.table(header, table)
    for line in _lines(card):
        console.say(line)


def _floor(row: Mapping[str, Any]) -> str:
    """Mean of real against real, and the end of its range."""
    low, high = (console.number(row["floor"][end]) for end in ("low", "high"))
    ends = {"less": f"≤ {high}", "more": f"≥ {low}", "both": f"{low}–{high}"}
    return f"{console.number(row['floor']['value'])} ({ends[row['better']]})"


def _lines(card: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, told in (card.get("judge") or {}).get("generated", {}).items():
        real = card["judge"]["real"][name]
        found = f"{console.number(told['r2'])} generated, {console.number(real['r2'])} real"
        lines.append(f"judge network, R² of {name}: {found}")
    if card.get("duplicates"):
        shares = {name: f"{100 * share:.1f} %" for name, share in card["duplicates"].items()}
        lines.append(f"duplicates: {shares['generated']} generated, {shares['real']} real")
    if court := card.get("memorisation"):
        found = "copies of training maps" if court["memorised"] else "no copies"
        closer = console.number(court["closer"])
        told = f"{court['copies']} of {court['samples']}"
        lines.append(
            f"memorisation: {found} ({told} more alike than any held-out map,"
            f" chance {console.number(court['chance'])}; nearer to training with probability {closer})"
        )
    return lines
