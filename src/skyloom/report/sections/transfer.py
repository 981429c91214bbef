"""The section on other suites: what each run of the page is worth where it was not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts, Score
from skyloom.report.figures.transfer import score_matrix
from skyloom.report.page import (
    Block,
    Gallery,
    Missing,
    Row,
    Section,
    Table,
    Text,
    number,
    parameter,
    percent,
    with_interval,
)
from skyloom.report.style import PAGE, Plate, symbol
from skyloom.report.words import score_label, score_title
from skyloom.runs.transfers import Tested, suites, with_variants

_SELF = "this run"
_LEAD = (
    "A network that has learnt one code and not the sky fails on the next. Framed: the suite that it was "
    "trained on, judged on its test side; all other squares hold whole suites that it has never seen."
)


def other_suites(run: Artefacts) -> Section | None:
    """Training suites in rows, test suites in columns; None for a recipe that names no other suite.

    Args:
        run: The artefacts.
    """
    if not run.recipe.get("transfer"):
        return None
    members = with_variants(run.run, _SELF)
    columns = suites(members)
    blocks = matrices(members, columns)
    untested = [name for name in run.recipe["transfer"] if name not in columns]
    if untested or not blocks:
        what = f"Not tested yet on {', '.join(untested or columns)}."
        blocks.append(Missing(what, f"skyloom transfer {run.path}"))
    return Section("other-suites", "On other suites", _LEAD, blocks)


def of_several(runs: Mapping[str, Artefacts]) -> Section | None:
    """The same for several runs and their variants; None where none was tested on another suite.

    Args:
        runs: Name of each run and its artefacts.
    """
    members = [
        member if member.label == name else replace(member, label=f"{name}: {member.label}")
        for name, run in runs.items()
        for member in with_variants(run.run, name)
    ]
    blocks = matrices(members, suites(members))
    return Section("other-suites", "On other suites", _LEAD, blocks) if blocks else None


def matrices(members: Sequence[Tested], columns: Sequence[str]) -> list[Block]:
    """A figure and a table of each answer, and what the flags say; empty without another suite.

    Args:
        members: The runs.
        columns: The suites, in the order in which they are shown.
    """
    if not any(len(member.cards) > 1 for member in members):
        return []
    blocks: list[Block] = []
    cards = [card for member in members for card in member.cards.values()]
    for name in dict.fromkeys(name for card in cards for name in card["parameters"]):
        blocks += [Gallery([_plate(name, members, columns)]), _table(name, members, columns)]
    return [*blocks, *(Text(sentence) for sentence in _notes(members))]


def _plate(name: str, members: Sequence[Tested], columns: Sequence[str]) -> Plate:
    labels = [_label(member) for member in members]
    own = [columns.index(member.suite) for member in members]
    score = _headline(members)
    grid, bias = (_grid(members, columns, name, key) for key in (score, "pull"))
    signed = bool(np.isfinite(bias).any())

    def fill(figure: Figure) -> None:
        axes = figure.subplots(1, 1 + signed, sharey=True, squeeze=False)[0]
        draw = partial(score_matrix, rows=labels, columns=columns, own=own)
        draw(grid, ax=axes[0], title=f"{score_label(score)} of {symbol(name)}")
        axes[0].set_ylabel("run")
        if signed:
            draw(bias, ax=axes[1], title="bias / predicted error", signed=True)

    said = "; ".join(
        f"{label} on {suite} {number(float(grid[r, c]))}"
        for r, label in enumerate(labels)
        for c, suite in enumerate(columns)
        if np.isfinite(grid[r, c])
    )
    beside = " (left) and bias in units of the predicted error (right)" if signed else ""
    caption = Markup("{}: {}{}.").format(parameter(name), score_title(score), beside)
    alt = f"{score_title(score)} of {name}: {said}"
    return Plate(f"transfer-{name}", fill, alt, caption, (PAGE, 1.3 + 0.32 * len(members)))


def _headline(members: Sequence[Tested]) -> str:
    """The score to look at first."""
    return next(str(card.get("headline", "r2")) for member in members for card in member.cards.values())


def _grid(members: Sequence[Tested], columns: Sequence[str], name: str, key: str) -> np.ndarray:
    found = [[_score(member.cards.get(suite), name, key) for suite in columns] for member in members]
    return np.array([[np.nan if score is None else score.value for score in row] for row in found])


def _table(name: str, members: Sequence[Tested], columns: Sequence[str]) -> Table:
    rows = []
    for member in members:
        cells = [_cell(member.cards.get(suite), name) for suite in columns]
        mark = "leaky" if member.leaky else "run" if member.label == _SELF else ""
        rows.append(Row([_label(member), member.suite, *cells], mark))
    caption = Markup(
        "{}: {} with its 95 % interval over simulations; where they are known, bias over predicted error and "
        "shares inside the 68 % and 95 % intervals; maps flagged as unlike the training maps (5 % by chance)."
    )
    heads = ["run", "trained on", *(f"tested on {suite}" for suite in columns)]
    return Table(caption.format(parameter(name), score_title(_headline(members))), heads, rows)


def _cell(card: Mapping[str, Any] | None, name: str) -> Markup:
    main = None if card is None else _score(card, name, str(card.get("headline", "r2")))
    if card is None or main is None:
        return with_interval(None)
    lines = [with_interval(main)]
    if pull := _score(card, name, "pull"):
        lines.append(Markup("bias/σ {}").format(number(pull.value, 2)))
    inside = [score for key in ("coverage_68", "coverage_95") if (score := _score(card, name, key))]
    if inside:
        lines.append(Markup("inside {}").format(" / ".join(percent(score.value) for score in inside)))
    if shift := card.get("shift"):
        told = {True: "unlike", None: "unlike, too few to tell"}.get(shift["unlike"], "unlike, as by chance")
        lines.append(Markup("{} {}").format(percent(shift["share"]["value"]), told))
    return Markup("<br>").join(lines)


def _notes(members: Sequence[Tested]) -> list[str]:
    """What the flags say, and pixel scales that differ."""
    said = []
    for member in members:
        for suite, card in member.cards.items():
            words = [card.get("note"), (card.get("shift") or {}).get("words")]
            told = "; ".join(filter(None, words))
            if told and suite != member.suite:
                said.append(f"{member.label.capitalize()} on {suite}: {told}.")
    return said


def _label(member: Tested) -> str:
    return member.label + (" (leaky)" if member.leaky else "")


def _score(card: Mapping[str, Any] | None, name: str, key: str) -> Score | None:
    found = (card or {}).get("parameters", {}).get(name, {}).get("scores", {})
    return Score.read(found.get(key))
