"""Sections of the page that compares runs; the first run is what the others are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts, Judged, Score
from skyloom.report.figures.comparison import Row as Dot
from skyloom.report.figures.comparison import scores_in_rows
from skyloom.report.figures.training import Curve, learning_curve
from skyloom.report.page import (
    Block,
    Gallery,
    Missing,
    Row,
    Section,
    Strip,
    Table,
    Text,
    counted,
    digits_of,
    interval,
    number,
    parameter,
    percent,
    with_interval,
)
from skyloom.report.sections.results import compact, truth_plate, widened
from skyloom.report.sections.training import scores_by_side
from skyloom.report.style import COLUMN, Plate, symbol
from skyloom.report.words import score_label, score_title

Named = Mapping[str, Artefacts]
_BOUNDED = ("r2", "correlation")  #: scores whose best value is 1 and whose worst that matters is 0


@dataclass(frozen=True)
class Difference:
    """Paired differences of one run's scores to those of the first.

    Args:
        name: The run.
        shared: Maps that both were judged on.
        sizes: Maps of the first run and of this one.
        groups: Simulations of the shared maps.
        reason: Why nothing is compared, empty where something is.
        scores: Parameter to score to its difference.
    """

    name: str
    shared: int
    sizes: tuple[int, int]
    groups: int
    reason: str
    scores: Mapping[str, Mapping[str, Score]]


def scores(runs: Named) -> Section:
    """What each run was, and all scores with intervals.

    Args:
        runs: Name of each run and its artefacts.
    """
    blocks: list[Block] = [_runs(runs)]
    absent = [(name, run) for name, run in runs.items() if run.side is None]
    blocks += [
        Missing(Markup("The run <b>{}</b> has no scores.").format(name), f"skyloom evaluate {run.path}")
        for name, run in absent
    ]
    judged = {name: {entry.name: entry for entry in run.judged(run.side)} for name, run in runs.items()}
    parameters = list(dict.fromkeys(name for entries in judged.values() for name in entries))
    plates = [plate for name in parameters if (plate := _chart(name, runs, judged))]
    if plates:
        blocks.append(Gallery(widened(plates)))
    blocks += [_scores_of(name, runs, judged) for name in parameters]
    lead = "Each run judged on its own test side; whether these hold the same maps is said below."
    return Section("scores", "Scores", lead, blocks)


def differences(runs: Named, found: Sequence[Difference]) -> Section:
    """Differences on the same maps, where there are any.

    Args:
        runs: Name of each run and its artefacts.
        found: Differences to the first.
    """
    keys = list(dict.fromkeys(key for one in found for values in one.scores.values() for key in values))
    rows = [
        Row(
            [
                _tagged(one.name, runs[one.name]),
                parameter(name),
                *(_change(values.get(key)) for key in keys),
            ],
            "leaky" if runs[one.name].leaky else "",
        )
        for one in found
        for name, values in one.scores.items()
    ]
    blocks: list[Block] = []
    if rows:
        caption = Markup(
            "Score of the run minus that of <b>{}</b> on the maps that both were judged on, with its 95 % "
            "interval over simulations; bold where zero lies outside."
        ).format(next(iter(runs)))
        heads = ["run", "parameter", *map(_title, keys)]
        blocks.append(Table(caption, heads, rows))
    blocks += [Text(_shared(one)) for one in found]
    lead = "Runs judged on the same maps err on the same hard ones, so their difference is known better."
    return Section("differences", "Differences on the same maps", lead, blocks)


def recipes(runs: Named) -> Section:
    """The keys of the recipes that differ, and only these.

    Args:
        runs: Name of each run and its artefacts.
    """
    flat = {name: flattened(run.recipe) for name, run in runs.items()}
    keys = sorted({key for recipe in flat.values() for key in recipe})
    rows = []
    for key in keys:
        values = [recipe.get(key) for recipe in flat.values()]
        if any(value != values[0] for value in values):
            rows.append(Row([Markup("<code>{}</code>").format(key), *map(_shown, values)]))
    blocks: list[Block] = [Text("The recipes are the same.")]
    if rows:
        blocks = [
            Table(f"{counted(len(rows), 'key')} of {len(keys)} differ.", ["key", *runs], rows, facts=True)
        ]
    return Section("recipes", "What differs", "Every default is written out in a run's recipe.", blocks)


def training(runs: Named) -> Section | None:
    """Curves of the validation side of all runs; None without any.

    Args:
        runs: Name of each run and its artefacts.
    """
    curves: dict[str, dict[str, Curve]] = {}
    for name, run in runs.items():
        for score, sides in scores_by_side(run.log or {}).items() if run.log else ():
            curve = sides.get("validation") or sides.get("lr")
            if curve is not None:
                curves.setdefault(score, {})[name] = curve
    if not curves:
        return None
    plates = [
        Plate(
            f"training-{score}",
            partial(_fill_curves, shown, _title(score)),
            f"{_title(score)} by epoch of " + ", ".join(shown),
            f"By epoch: {_title(score)}{'' if score == 'lr' else ' of the validation side'}.",
            size=(COLUMN, 2.6),
        )
        for score, shown in curves.items()
    ]
    lead = "Losses of different methods do not compare; scores do."
    return Section("training", "Training", lead, [Gallery(plates)])


def predictions(runs: Named) -> Section | None:
    """Truth against prediction of every run; None without any.

    Args:
        runs: Name of each run and its artefacts.
    """
    plates = []
    for name, run in runs.items():
        data = run.prediction(run.side)
        if data is None or "mean" not in data:
            continue
        for answer in map(str, data["parameter"].values):
            plate = truth_plate(data, answer, run.judged(run.side))
            caption = Markup("<b>{}</b>{}, {}: {}").format(
                name, " (leaky split)" if run.leaky else "", parameter(answer), plate.caption
            )
            plates.append((answer, replace(plate, name=f"truth-{answer}-{name}", caption=caption)))
    if not plates:
        return None
    order = list(dict.fromkeys(answer for answer, _ in plates))
    plates.sort(key=lambda pair: order.index(pair[0]))
    lead = "The same figure for every run, parameter by parameter."
    return Section("predictions", "Truth against prediction", lead, [Gallery([plate for _, plate in plates])])


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested recipe as dotted keys; lists stay whole, its name and its variants are left out.

    Example:
        >>> flattened({"name": "a", "method": {"net": {"width": 8}}, "explain": [1], "variants": {}})
        {'method.net.width': 8, 'explain': [1]}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if not prefix and key in ("name", "variants"):
            continue
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _runs(runs: Named) -> Table:
    rows = []
    for name, run in runs.items():
        recipe, card = run.recipe, run.metrics(run.side) or {}
        source = dict(recipe.get("data", {}).get("source") or {})
        data = " ".join(str(source[key]) for key in ("name", "set", "path", "engine") if source.get(key))
        size = f"{card['groups']:,} / {card['samples']:,}" if card else "–"
        looks = str((run.looks or {}).get(run.side or "", "–"))
        split = str((run.split or {}).get("by", "–"))
        cells = [_tagged(name, run), recipe.get("task", {}).get("name", "–"), data or "–", split, size]
        rows.append(Row([*map(_text, cells), run.side or "–", looks], "leaky" if run.leaky else ""))
    heads = ["run", "task", "data", "split by", "simulations / maps", "side", "looks"]
    return Table("The runs, and the side that each was judged on.", heads, rows)


def _scores_of(name: str, runs: Named, judged: Mapping[str, Mapping[str, Judged]]) -> Table:
    entries = {run: entries[name] for run, entries in judged.items() if name in entries}
    keys = list(dict.fromkeys(key for entry in entries.values() for key in entry.scores))
    head = next(iter(entries.values())).headline
    drawn = [entry.scores[head] for entry in entries.values() if head in entry.scores]
    ends = _ends(head, drawn)
    rows = []
    for run, entry in entries.items():
        strip = Strip(entry.scores[head], *ends, "run") if head in entry.scores else ""
        rows.append(
            _row(_tagged(run, runs[run]), strip, keys, entry.scores, "leaky" if runs[run].leaky else "")
        )
        for floor, values in entry.floors.items():
            strip = Strip(values[head], *ends, "ceiling") if head in values else ""
            rows.append(_row(f"limit: {floor.replace('_', ' ')}", strip, keys, values, "ceiling"))
    unit = next((entry.unit for entry in entries.values() if entry.unit), "")
    caption = Markup("Scores of {}{} with 95 % intervals over simulations.").format(
        parameter(name), f" [{unit}]" if unit else ""
    )
    return Table(caption, ["run", "", *map(_title, keys)], rows)


def _row(
    label: str | Markup, strip: Strip | str, keys: Sequence[str], values: Mapping[str, Score], mark: str
) -> Row:
    cells = []
    for key in keys:
        score = values.get(key)
        covered = score is not None and key.startswith("coverage")
        cells.append(percent(score.value) if covered and score else with_interval(score))
    return Row([label, strip, *cells], mark)


def _ends(key: str, drawn: Sequence[Score]) -> tuple[float, float]:
    """Ends of the strips of a score."""
    lows = [score.low if score.bounded else score.value for score in drawn]
    highs = [score.high if score.bounded else score.value for score in drawn]
    if key in _BOUNDED or not drawn:
        return max(min(0.0, *lows, 0.0), -0.5) if drawn else 0.0, 1.0
    margin = 0.1 * (max(highs) - min(lows)) or 1.0
    return min(lows) - margin, max(highs) + margin


def _chart(name: str, runs: Named, judged: Mapping[str, Mapping[str, Judged]]) -> Plate | None:
    entries = {run: found[name] for run, found in judged.items() if name in found and found[name].own}
    if not entries:
        return None
    key = next(iter(entries.values())).headline
    first = next(iter(runs))
    dots = [
        Dot(run, s.value, s.low, s.high, "run" if run == first else "variant", leaky=runs[run].leaky)
        for run, entry in entries.items()
        if (s := entry.scores.get(key)) is not None
    ]

    def fill(figure: Figure) -> None:
        scores_in_rows(dots, figure.add_subplot(), score=f"{score_label(key)} of {symbol(name)}")

    alt = f"{_title(key)} of {name}: " + "; ".join(f"{dot.label} {number(dot.value)}" for dot in dots)
    caption = Markup("{} of {} with 95 % intervals over simulations; shaded: that of {}.").format(
        _title(key), parameter(name), first
    )
    return Plate(f"scores-{name}", fill, alt, caption, size=(COLUMN, 1.0 + 0.3 * len(dots)))


def _fill_curves(curves: Mapping[str, Curve], title: str, figure: Figure) -> None:
    learning_curve(curves, figure.add_subplot(), score=title)


def _tagged(name: str, run: Artefacts) -> Markup:
    return escape(name) + (Markup(' <em class="tag leaky">leaky</em>') if run.leaky else "")


def _shared(one: Difference) -> Markup:
    """On how many maps a difference rests, or why there is none."""
    if one.reason:
        return Markup("<b>{}</b> is not compared: {}.").format(one.name, one.reason)
    what = "<b>{}</b>: {} of {} in both, of {:,} and {:,} that the runs were judged on."
    maps, simulations = counted(one.shared, "map"), counted(one.groups, "simulation")
    return Markup(what).format(one.name, maps, simulations, *one.sizes)


def _change(score: Score | None) -> Markup:
    """A difference, in bold where its interval leaves zero out."""
    if score is None or score.holds(0.0) is False:
        return with_interval(score)
    return Markup('{} <span class="interval">{}</span>').format(
        number(score.value, digits_of(score)), interval(score)
    )


def _title(key: str) -> str:
    return "learning rate" if key == "lr" else score_title(key)


def _text(value: Any) -> str | Markup:
    return value if isinstance(value, str) else str(value)


def _shown(value: Any) -> Markup:
    return Markup("<code>{}</code>").format("–" if value is None else compact(value))
