"""The first screen: what was asked, how well it was answered, beside what, and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from skyloom.report.artefacts import Artefacts, Judged, Score
from skyloom.report.page import (
    Missing,
    Strip,
    counted,
    digits_of,
    interval,
    listed,
    number,
    parameter,
    percent,
    with_interval,
)
from skyloom.report.scorecards import verdict
from skyloom.report.words import score_title
from skyloom.runs.unseen import unseen

COVERAGE = "coverage_"


@dataclass(frozen=True)
class Line:
    """One method in the comparison of a parameter: its name, its score and where it stands."""

    label: str
    strip: Strip

    @property
    def text(self) -> Markup:
        """The score with its interval."""
        return with_interval(self.strip.score)


@dataclass(frozen=True)
class Result:
    """How well one parameter was answered."""

    name: Markup
    title: str
    score: Score
    lines: Sequence[Line]

    @property
    def value(self) -> str:
        """The score, in as many digits as its interval."""
        return number(self.score.value, digits_of(self.score))

    @property
    def interval(self) -> str:
        """Its interval."""
        return interval(self.score)


@dataclass(frozen=True)
class Held:
    """Whether an interval holds its share: the nominal level, the share observed, and a verdict."""

    name: Markup
    nominal: str
    observed: str
    bounds: str
    verdict: str
    good: bool | None


@dataclass(frozen=True)
class Opening:
    """Everything on the first screen."""

    question: Markup
    population: Markup
    verdict: Markup
    results: Sequence[Result]
    coverage: Sequence[Held]
    coverage_title: str
    split: Markup
    split_good: bool | None
    looks: Markup
    likeness: str
    alike: bool | None
    missing: Sequence[Missing]


def opening(run: Artefacts) -> Opening:
    """Write the first screen from the artefacts of a run.

    Args:
        run: The artefacts.

    Returns:
        The answers; what is missing is said in words, with the command that makes it.
    """
    judged = run.judged(run.side)
    missing = []
    card = run.metrics(run.side) or {}
    if not judged and not card:
        missing.append(
            Missing("The run was not evaluated, so there is no score.", f"skyloom evaluate {run.path}")
        )
    held = [line for entry in judged for line in _held(entry)]
    sets = any(entry.classes for entry in judged)
    if judged and not held and not run.translates:
        what = "The method predicts no error bars, and none were fitted on the validation side."
        missing.append(Missing(what, f"skyloom evaluate {run.path}"))
    split, good = _split(run)
    likeness, alike = _likeness(run)
    return Opening(
        question=question(run.recipe),
        population=population(run),
        verdict=verdict(card["scorecard"]) if "scorecard" in card else Markup(""),
        results=[result(entry) for entry in judged if entry.own is not None],
        coverage=held,
        coverage_title=f"Do the {'prediction sets' if sets else 'error bars'} hold?",
        split=split,
        split_good=good,
        looks=looks(run),
        likeness=likeness,
        alike=alike,
        missing=missing,
    )


def question(recipe: Mapping[str, Any]) -> Markup:
    """What was asked, in one sentence.

    Args:
        recipe: The resolved recipe.

    Example:
        >>> recipe = {"task": {"name": "infer", "parameters": ["x_HI"]}, "data": {"fields": {"T_b": []}}}
        >>> str(question(recipe)).replace("<i>", "").replace("</i>", "")
        'What is x<sub>HI</sub>, given a map of T<sub>b</sub>?'
    """
    task, fields = recipe.get("task", {}), recipe.get("data", {}).get("fields", {})
    asked = [task["label"]] if "label" in task else task.get("parameters", [])
    if task.get("targets"):
        given, wanted = (listed([parameter(name) for name in task[key]]) for key in ("inputs", "targets"))
        return Markup("Which map of {1} belongs to a map of {0}?").format(given, wanted)
    seen = listed([parameter(name) for name in fields]) or Markup("the field")
    if task.get("name") == "emulate":
        names = [*task.get("parameters", []), *([task["label"]] if task.get("label") else [])]
        at = Markup(" at given {}").format(listed([parameter(name) for name in names])) if names else ""
        return Markup("What would another map of {}{} look like?").format(seen, at)
    wanted = listed([parameter(name) for name in asked]) or escape(task.get("name", "?"))
    verb = "are" if len(asked) > 1 else "is"
    removed = any(_name(step) == "remove_mean" for steps in fields.values() for step in steps or [])
    without = ", its mean removed" if removed else ""
    start = "Which class of {1} is it" if "label" in task else "What {0} {1}"
    return Markup(start + ", given a map of {2}{3}?").format(verb, wanted, seen, without)


def population(run: Artefacts) -> Markup:
    """How many maps of how many simulations the scores rest on.

    Args:
        run: The artefacts.

    Returns:
        A phrase, empty if nothing was evaluated.
    """
    card = run.metrics(run.side)
    if not card:
        return Markup("")
    kind = unseen(run.split or {}) if not run.leaky else "simulations, of which other maps were trained on"
    groups = int(card.get("groups", 0))
    if groups == 1:
        kind = kind.replace("simulations", "simulation", 1)
    maps = counted(int(card.get("samples", 0)), "map")
    return Markup("{} of <b>{:,} {}</b> ({} side)").format(maps, groups, kind, run.side)


def result(entry: Judged) -> Result:
    """The first score of one parameter beside its baselines and ceilings, on one scale.

    Args:
        entry: The scores of the parameter, the one to look at first among them.

    Returns:
        The network first, then the ceiling, then the baselines from best to worst.
    """
    own = entry.scores[entry.headline]
    rows = [("network", own, "run")]
    rows += [
        (f"ceiling: {floor_name(name)}", score, "ceiling") for name, score in entry.rivals("floors").items()
    ]
    others = [(name, score, "baseline") for name, score in entry.rivals("baselines").items()]
    rows += sorted(others, key=lambda row: -row[1].value)
    low = max(min(0.0, *(score.value for _, score, _ in rows)), -0.5)
    lines = [Line(label.replace("_", " "), Strip(score, low, 1.0, role)) for label, score, role in rows]
    return Result(parameter(entry.name), score_title(entry.headline), own, lines)


def floor_name(name: str) -> str:
    """A floor's name in words: ``label_noise`` becomes ``label noise``."""
    return name.replace("_", " ")


def looks(run: Artefacts) -> Markup:
    """How often the test side was looked at, and what that means."""
    if run.looks is None:
        return Markup("It was not counted how often the test side was looked at.")
    times = run.looks.get("test", 0)
    if times == 0:
        return Markup("The test side was <b>never looked at</b>.")
    if times == 1:
        return Markup("The test side was looked at <b>once</b>.")
    warning = " Choices made in between are fitted to it." if times > 3 else ""
    return Markup("The test side was looked at <b>{} times</b>.{}").format(times, warning)


def _held(entry: Judged) -> list[Held]:
    lines = []
    for key, score in entry.scores.items():
        if not key.startswith(COVERAGE):
            continue
        nominal = float(key.removeprefix(COVERAGE)) / 100
        good = score.holds(nominal)
        verdict = (
            "holds"
            if good
            else "no interval"
            if good is None
            else _fault(score.value, nominal, classes=bool(entry.classes))
        )
        bounds = f"[{percent(score.low)}, {percent(score.high)}]" if score.bounded else ""
        shown = f"{100 * nominal:g} %"
        lines.append(
            Held(
                parameter(entry.name), shown, percent(score.value), bounds.replace(" %,", ","), verdict, good
            )
        )
    return lines


def _fault(observed: float, nominal: float, *, classes: bool) -> str:
    if classes:
        return "sets too small" if observed < nominal else "sets too large"
    return "bars too narrow" if observed < nominal else "bars too wide"


def _split(run: Artefacts) -> tuple[Markup, bool | None]:
    split = run.split
    if split is None:
        what = "No split is on record, so nothing shows that the sides are apart; skyloom train makes one."
        return Markup(what), None
    sides = split.get("sides", {})
    sizes = " / ".join(f"{len(sides.get(side, ())):,}" for side in ("train", "validation", "test"))
    parts = Markup("Split by {}: {} maps to train, validate and test.").format(split.get("by", "?"), sizes)
    if run.leaky:
        return Markup("Maps of one simulation stand on several sides. ") + parts, False
    if run.audit is None:
        return Markup("The split claims to be clean, but there is no audit of it. ") + parts, None
    return Markup("The audit found nothing that stands on two sides. ") + parts, True


def _likeness(run: Artefacts) -> tuple[str, bool | None]:
    """Whether the maps that were judged look like the training maps, in words; empty where not known."""
    found = (run.metrics(run.side) or {}).get("shift")
    if not found:
        return "", None
    words = str(found["words"])
    return words[:1].upper() + words[1:] + ".", None if found["unlike"] is None else not found["unlike"]


def _name(step: Any) -> str:
    return str(step.get("name", "")) if isinstance(step, Mapping) else str(step)


def best_baseline(entry: Judged) -> tuple[str, Score] | None:
    """The baseline that is best by the first score, and that score; None without baselines.

    Example:
        >>> best_baseline(Judged("x", "", {}, {"a": {"r2": Score(0.1)}, "b": {"r2": Score(0.7)}}, {}))[0]
        'b'
    """
    scored = list(entry.rivals("baselines").items())
    return max(scored, key=lambda pair: np.nan_to_num(pair[1].value, nan=-np.inf)) if scored else None
