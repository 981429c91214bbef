"""Sections on classes: which are taken for which, every score, and whether the probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from skyloom.report.answers import population
from skyloom.report.artefacts import Artefacts, Judged, Score
from skyloom.report.figures.classes import confusion_matrix, reliability_diagram
from skyloom.report.page import Block, Gallery, Row, Section, Table, Text, number, parameter, with_interval
from skyloom.report.sections.results import seed_blocks
from skyloom.report.style import COLUMN, PAGE, Plate
from skyloom.report.words import score_title

_PER_CLASS = ("recall", "precision", "f1", "one_vs_rest")


def classes(run: Artefacts) -> Section | None:
    """Which class is taken for which, and the scores of all and of each; None where there are no classes.

    Args:
        run: The artefacts.
    """
    judged = [entry for entry in run.judged(run.side) if entry.classes]
    if not judged:
        return None
    blocks: list[Block] = [Gallery([_confusion_plate(entry) for entry in judged])]
    blocks += [_class_table(entry) for entry in judged]
    blocks += [_score_table(entry) for entry in judged]
    blocks += seed_blocks(judged)
    lead = Markup("Rows are what the maps are, columns what they were taken for.")
    judged_on = population(run)
    lead += Markup(" {}.").format(judged_on) if judged_on else ""
    return Section("classes", "Which is taken for which", lead, blocks)


def probabilities(run: Artefacts) -> Section | None:
    """Do the probabilities hold? None where there are no classes.

    Args:
        run: The artefacts.
    """
    judged = [entry for entry in run.judged(run.side) if entry.classes.get("reliability")]
    if not judged:
        return None
    tests: Mapping[str, Any] = (run.metrics(run.side) or {}).get("calibration") or {}
    blocks: list[Block] = [Gallery([_reliability_plate(entry) for entry in judged])]
    for entry in judged:
        found = entry.classes["reliability"]
        if found.get("noise") is not None:
            sentence = (
                "The expected calibration error of {} is {}; a classifier whose probabilities are right "
                "would show about {} with as many maps of these simulations."
            )
            blocks.append(
                Text(
                    Markup(sentence).format(
                        parameter(entry.name), number(found["ece"]), number(found["noise"])
                    )
                )
            )
        raw = (tests.get("raw") or {}).get(entry.name)
        if raw:
            blocks.append(_repair_table(entry, raw, tests.get("temperature")))
    lead = "Of the maps that it is 80 % sure of, it should be right about 80 %: on the diagonal it is."
    return Section("probabilities", "Do the probabilities hold?", lead, blocks)


def _confusion_plate(entry: Judged) -> Plate:
    found = entry.classes["confusion"]
    counts, names = np.array(found["counts"], float), [str(name) for name in found["names"]]

    def fill(figure: Figure) -> None:
        confusion_matrix(counts, names, figure.add_subplot())

    total = max(counts.sum(), 1.0)
    alt = f"Confusion of the classes of {entry.name}: {np.trace(counts):.0f} of {total:.0f} maps are right."
    caption = Markup("Classes of {}: share of each row and number of maps.").format(parameter(entry.name))
    side = min(PAGE, max(COLUMN, 0.7 * len(names) + 1.2))
    return Plate(f"confusion-{entry.name}", fill, alt, caption, size=(side, 0.85 * side))


def _reliability_plate(entry: Judged) -> Plate:
    found = entry.classes["reliability"]
    columns = {
        key: np.array([np.nan if value is None else value for value in found[key]], float)
        for key in ("confidence", "right", "low", "high")
    }

    def fill(figure: Figure) -> None:
        chance = 1 / len(entry.classes["classes"])
        reliability_diagram(**columns, ax=figure.add_subplot(), chance=chance)

    pairs = zip(columns["confidence"], columns["right"], strict=True)
    said = "; ".join(f"sure of {100 * sure:.0f} %, right in {100 * right:.0f} %" for sure, right in pairs)
    what = (
        "Right answers over the probability of the likeliest class of {}, in bins of equal numbers of maps."
    )
    caption = Markup(what + " Bars: 95 % over simulations.").format(parameter(entry.name))
    return Plate(
        f"reliability-{entry.name}", fill, f"Reliability: {said}", caption, size=(COLUMN, 0.85 * COLUMN)
    )


def _class_table(entry: Judged) -> Table:
    rows = []
    for name, told in entry.classes["classes"].items():
        scores = [with_interval(Score.read(told["scores"].get(key))) for key in _PER_CLASS]
        size = f"{told['groups']:,} / {told['samples']:,}"
        rows.append(Row([escape(name.replace("_", " ")), size, *scores]))
    heads = ["class", "simulations / maps", *(score_title(key) for key in _PER_CLASS)]
    caption = (
        "Each class with 95 % intervals over simulations. One-versus-rest accuracy counts every map of "
        "another class that is not taken for this one as a success: it is high even where recall is not."
    )
    return Table(caption, heads, rows)


def _score_table(entry: Judged) -> Table:
    rows = []
    for name, score in entry.scores.items():
        worth = f"{score.effective:,.0f}" if np.isfinite(score.effective) else ""
        others = [with_interval(scores.get(name)) for scores in entry.baselines.values()]
        rows.append(Row([score_title(name), with_interval(score), worth, *others]))
    heads = ["score", "this network", "worth independent maps"]
    heads += [name.replace("_", " ") for name in entry.baselines]
    caption = (
        "All scores with 95 % intervals over simulations. Maps of one simulation repeat each other: the "
        "third column says how many independent ones err as little."
    )
    return Table(caption, heads, rows)


def _repair_table(entry: Judged, raw: Mapping[str, Any], temperature: float | None) -> Table:
    rows = [
        Row([score_title(key), with_interval(Score.read(raw[key])), with_interval(entry.scores.get(key))])
        for key in ("ece", "log_loss", "brier")
        if key in raw
    ]
    told = f" at temperature {number(float(temperature))}" if temperature is not None else ""
    sure = ""
    if temperature is not None:
        sure = (
            " The network was too sure by itself."
            if temperature > 1
            else " It was not sure enough by itself."
        )
    caption = f"Before and after the repair{told}, fitted on the validation simulations.{sure}"
    return Table(caption, ["score", "before", "after"], rows)
