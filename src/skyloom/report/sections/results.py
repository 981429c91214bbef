"""Sections on how well: variants side by side, truth against prediction, baselines, training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from skyloom.report.answers import best_baseline, floor_name, population
from skyloom.report.artefacts import Artefacts, Judged, Score
from skyloom.report.figures.comparison import Row as Dot
from skyloom.report.figures.comparison import scores_in_rows, seeds
from skyloom.report.figures.inference import residuals, residuals_by_redshift, truth_against_prediction
from skyloom.report.page import (
    Block,
    Gallery,
    Missing,
    Row,
    Section,
    Table,
    Text,
    counted,
    number,
    parameter,
    percent,
    with_interval,
)
from skyloom.report.style import COLUMN, PAGE, Plate, symbol
from skyloom.report.words import score_label, score_title


def side_by_side(run: Artefacts) -> Section | None:
    """This run beside its variants; None for a recipe without any.

    Args:
        run: The artefacts.

    Returns:
        A table and a chart of the first score of each parameter, leaky variants marked.
    """
    planned: dict[str, Any] = run.recipe.get("variants") or {}
    if not planned and not run.variants:
        return None
    runs = {"this run": run, **run.variants}
    scored = {
        name: {entry.name: entry for entry in member.judged(member.side)} for name, member in runs.items()
    }
    columns = list(dict.fromkeys(name for entries in scored.values() for name in entries))
    rows = []
    for name, member in runs.items():
        card = member.metrics(member.side)
        if not card:
            continue
        label = escape(name) + (Markup(' <em class="tag leaky">leaky</em>') if member.leaky else "")
        size = f"{card['groups']:,} / {card['samples']:,}"
        scores = [with_interval(scored[name][p].own if p in scored[name] else None) for p in columns]
        changed = _changes(planned.get(name, {}), run.recipe) if name != "this run" else Markup("")
        mark = "leaky" if member.leaky else "run" if name == "this run" else ""
        rows.append(Row([label, changed, size, *scores], mark))
    heads = [
        "run",
        "what differs",
        "simulations / maps",
        *(Markup("{} of {}").format(_first_title(p, scored), parameter(p)) for p in columns),
    ]
    caption = "Scores with 95 % intervals over simulations; each row judged on its own test side."
    blocks: list[Block] = [Table(caption, heads, rows)] if rows else []
    plates = [plate for p in columns if (plate := _variant_plate(p, runs, scored))]
    blocks += [Gallery(widened(plates))] if plates else []
    absent = [name for name in planned if name not in run.variants or not run.variants[name].side]
    blocks += [
        Missing(Markup("The variant <b>{}</b> has no scores yet.").format(name), f"skyloom run {run.name}")
        for name in absent
    ]
    lead = (
        "The same recipe with one thing changed. A leaky row shows what a careless split would have claimed."
    )
    return Section("side-by-side", "Side by side", lead, blocks)


def predictions(run: Artefacts) -> Section | None:
    """Truth against prediction, residuals by redshift and all scores; None for classes and fields.

    Args:
        run: The artefacts.
    """
    if run.translates:
        return None
    data, judged = run.prediction(run.side), run.judged(run.side)
    if any(entry.classes for entry in judged):
        return None
    blocks: list[Block] = []
    if data is None:
        blocks.append(Missing("There are no predictions to draw.", f"skyloom evaluate {run.path}"))
    else:
        names = [str(name) for name in data["parameter"].values]
        plates = [truth_plate(data, name, judged) for name in names]
        if "redshift" in data.coords and len(np.unique(data["redshift"])) > 1:
            # An odd one stands beside a figure of truth against prediction, and is as tall.
            height = 4.4 if len(names) % 2 else 2.6
            plates += [_redshift_plate(data, name, height) for name in names]
        blocks.append(Gallery(plates))
    if judged:
        blocks.append(_all_scores(judged))
        blocks += seed_blocks(judged)
    lead = Markup("Every point is a map; maps of one simulation are not independent.")
    judged_on = population(run)
    lead += Markup(" {}.").format(judged_on) if judged_on else ""
    return Section("predictions", "Truth against prediction", lead, blocks)


def baselines(run: Artefacts) -> Section:
    """The network beside simpler methods and beside the best that can be reached.

    Args:
        run: The artefacts.
    """
    judged = [entry for entry in run.judged(run.side) if entry.own is not None]
    blocks: list[Block] = []
    compared = [entry for entry in judged if entry.baselines or entry.floors]
    if compared:
        blocks.append(Gallery(widened([_baseline_plate(entry) for entry in compared])))
        sentences = [sentence for entry in compared for sentence in (_gain(entry), _above(entry)) if sentence]
        blocks += [Text(sentence) for sentence in sentences]
        blocks.append(_baseline_table(compared))
    else:
        what = "No baseline was evaluated. Name some in the recipe (evaluate.baselines: [mean, spectrum])."
        blocks.append(Missing(what, f"skyloom evaluate {run.path}"))
    lead = "What simple numbers of a map already tell, and what the noise of the labels allows at best."
    return Section("baselines", "Beside simpler methods", lead, blocks)


def widened(plates: Sequence[Plate]) -> list[Plate]:
    """Charts of rows side by side; a lone one takes the width of the page.

    Args:
        plates: Charts of half the page's width.

    Example:
        >>> [plate.size for plate in widened([Plate("a", print, "", "", (3.6, 2.0))])]
        [(7.2, 2.0)]
    """
    return [replace(plates[0], size=(PAGE, plates[0].size[1]))] if len(plates) == 1 else list(plates)


def _variant_plate(
    name: str, runs: Mapping[str, Artefacts], scored: Mapping[str, Mapping[str, Judged]]
) -> Plate | None:
    dots = []
    key = next(entries[name].headline for entries in scored.values() if name in entries)
    for label, entries in scored.items():
        score = entries[name].own if name in entries else None
        if score is not None:
            role = "run" if label == "this run" else "variant"
            dots.append(Dot(label, score.value, score.low, score.high, role, leaky=runs[label].leaky))
    if len(dots) < 2:
        return None

    def fill(figure: Figure) -> None:
        scores_in_rows(dots, figure.add_subplot(), score=f"{score_label(key)} of {symbol(name)}")

    alt = f"{score_title(key)} of {name}: " + "; ".join(_spoken(dot) for dot in dots)
    caption = (
        f"{_upper(score_title(key))} of this run (blue, its interval shaded) and of the variants."
        " Hollow orange: the split leaks."
    )
    return Plate(f"variants-{name}", fill, alt, caption, size=(COLUMN, 1.0 + 0.3 * len(dots)))


def _first_title(name: str, scored: Mapping[str, Mapping[str, Judged]]) -> str:
    """Title of the score to look at first, of a parameter in any run that has it."""
    return score_title(next(entries[name].headline for entries in scored.values() if name in entries))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def truth_plate(data: xr.Dataset, name: str, judged: list[Judged]) -> Plate:
    """Prediction over truth of one parameter, the residuals below.

    Args:
        data: A prediction.
        name: The parameter.
        judged: Scores of the side, for the words of the alternative.
    """
    part = data.sel(parameter=name)
    truth, mean = part["truth"].values, part["mean"].values
    unit = str(part["unit"].values) if "unit" in part.coords else ""
    redshift = data["redshift"].values if "redshift" in data.coords else None
    bounds = None
    if "lower" in part:
        inner = part.isel(level=int(np.abs(part["level"].values - 0.68).argmin()))
        bounds = (inner["lower"].values, inner["upper"].values)

    def fill(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        truth_against_prediction(truth, mean, upper, name=name, unit=unit, bounds=bounds, redshift=redshift)
        residuals(truth, mean, lower, name=name, unit=unit, redshift=redshift)
        upper.set_xlabel("")
        figure.align_ylabels([upper, lower])

    score = next((entry.scores.get("r2") for entry in judged if entry.name == name), None)
    reached = f", R² {number(score.value)}" if score else ""
    alt = f"Predicted over true {name} of {counted(len(truth), 'map')}{reached}; below, the residuals."
    bars = " Bars: 68 % interval of a few dozen maps." if bounds else ""
    below = "Below: residuals, running median and 68 % range."
    caption = f"Prediction over truth of {counted(len(truth), 'map')}.{bars} {below}"
    return Plate(f"truth-{name}", fill, alt, caption, size=(COLUMN, 4.4))


def _redshift_plate(data: xr.Dataset, name: str, height: float) -> Plate:
    part = data.sel(parameter=name)
    left = (part["mean"] - part["truth"]).values
    unit = str(part["unit"].values) if "unit" in part.coords else ""

    def fill(figure: Figure) -> None:
        residuals_by_redshift(data["redshift"].values, left, figure.add_subplot(), name=name, unit=unit)

    alt = f"Residuals of {name} by redshift; overall bias {number(float(left.mean()))}."
    caption = "Residuals by redshift: median, 68 % and 95 % of maps."
    return Plate(f"redshift-{name}", fill, alt, caption, size=(COLUMN, height))


def _all_scores(judged: Sequence[Judged]) -> Table:
    names = list(dict.fromkeys(name for entry in judged for name in entry.scores))
    rows = []
    for entry in judged:
        cells = [_shown(name, entry.scores.get(name)) for name in names]
        head = parameter(entry.name) + (
            Markup(' <span class="unit">[{}]</span>').format(entry.unit) if entry.unit else ""
        )
        rows.append(Row([head, *cells]))
        alike = [_worth(entry.scores.get(name)) for name in names]
        if any(alike):
            rows.append(Row([Markup("worth independent maps"), *alike], "ceiling"))
    caption = (
        "All scores with 95 % intervals over simulations. RMSE and bias in the unit of the parameter. Maps "
        "of one simulation repeat each other: the second line says how many independent ones err as little."
    )
    return Table(caption, ["parameter", *(score_title(name) for name in names)], rows)


def _worth(score: Score | None) -> str:
    return f"{score.effective:,.0f}" if score is not None and np.isfinite(score.effective) else ""


def _shown(name: str, score: Score | None) -> Markup:
    if score is None or not name.startswith("coverage"):
        return with_interval(score)
    bounds = Markup(' <span class="interval">[{:.1f}, {:.1f}]</span>').format(
        100 * score.low, 100 * score.high
    )
    return Markup("<b>{}</b>").format(percent(score.value)) + (bounds if score.bounded else "")


def seed_blocks(judged: Sequence[Judged]) -> list[Block]:
    """The first score of each training seed; nothing for one seed.

    Args:
        judged: The scores of the parameters.
    """
    repeated = [(entry, entry.own) for entry in judged if entry.own is not None and len(entry.own.seeds) > 1]
    if not repeated:
        return []
    rows = []
    for entry, score in repeated:
        sd = float(np.std(score.seeds, ddof=1))
        rows.append(
            Row([parameter(entry.name), *map(number, score.seeds), number(score.value), number(sd, 4)])
        )
    count = len(repeated[0][1].seeds)
    heads = ["parameter", *(f"training {i + 1}" for i in range(count)), "mean", "sd"]
    caption = (
        f"{_upper(score_title(repeated[0][0].headline))} of {count} trainings that differ only in their seed."
        " All scores on this page are their mean."
    )
    return [
        Gallery(widened([_seed_plate(entry, score) for entry, score in repeated])),
        Table(caption, heads, rows),
    ]


def _seed_plate(entry: Judged, score: Score) -> Plate:
    def fill(figure: Figure) -> None:
        label = f"{score_label(entry.headline)} of {symbol(entry.name)}"
        seeds(np.array(score.seeds), figure.add_subplot(), label=label, interval=(score.low, score.high))

    title = score_title(entry.headline)
    alt = f"{title} of {entry.name} by training seed: " + ", ".join(number(value) for value in score.seeds)
    caption = f"{_upper(title)} of each training seed."
    return Plate(f"seeds-{entry.name}", fill, alt, caption, size=(COLUMN, 2.3))


def _baseline_plate(entry: Judged) -> Plate:
    own = entry.scores[entry.headline]
    dots = [Dot("this network", own.value, own.low, own.high, "run")]
    for name, score in entry.rivals("floors").items():
        dots.append(Dot(f"ceiling: {floor_name(name)}", score.value, score.low, score.high, "ceiling"))
    for name, score in sorted(entry.rivals("baselines").items(), key=lambda pair: -pair[1].value):
        dots.append(Dot(name.replace("_", " "), score.value, score.low, score.high))
    title = score_title(entry.headline)
    alt = f"{title} of {entry.name}: " + "; ".join(_spoken(dot) for dot in dots)
    what = "{} of {} with 95 % intervals over simulations; shaded: that of the network."
    caption = Markup(what).format(_upper(title), parameter(entry.name))
    draw = partial(_fill_rows, dots, f"{score_label(entry.headline)} of {symbol(entry.name)}")
    return Plate(f"baselines-{entry.name}", draw, alt, caption, size=(COLUMN, 1.0 + 0.3 * len(dots)))


def _fill_rows(dots: list[Dot], label: str, figure: Figure) -> None:
    scores_in_rows(dots, figure.add_subplot(), score=label)


def _baseline_table(compared: list[Judged]) -> Table:
    names = list(dict.fromkeys(name for entry in compared for name in (*entry.floors, *entry.baselines)))
    rows = [Row(["this network", *(with_interval(entry.own) for entry in compared)], "run")]
    for name in names:
        found = [(entry.rivals("floors") | entry.rivals("baselines")).get(name) for entry in compared]
        ceiling = any(name in entry.floors for entry in compared)
        label = f"ceiling: {floor_name(name)}" if ceiling else name.replace("_", " ")
        rows.append(Row([label, *map(with_interval, found)], "ceiling" if ceiling else ""))
    heads = [
        "method",
        *(
            Markup("{} of {}").format(score_title(entry.headline), parameter(entry.name))
            for entry in compared
        ),
    ]
    return Table("The same numbers as a table.", heads, rows)


def _gain(entry: Judged) -> Markup | None:
    best = best_baseline(entry)
    if best is None:
        return None
    name, score = best
    own = entry.scores[entry.headline]
    part = 1.0 - (1.0 - own.value) / (1.0 - score.value) if score.value < 1.0 else 0.0
    verb = "removes" if part >= 0 else "adds"
    what = "variance that it leaves" if entry.headline == "r2" else "errors that it makes"
    sentence = "For {} the best baseline is {} ({} {}); the network {} {:.0f} % of the {}."
    return Markup(sentence).format(
        parameter(entry.name),
        name.replace("_", " "),
        score_title(entry.headline),
        number(score.value),
        verb,
        100 * abs(part),
        what,
    )


def _above(entry: Judged) -> Markup | None:
    """What it means where the network does better than the ceiling of the label noise."""
    ceiling = entry.rivals("floors").get("label_noise")
    if ceiling is None or entry.scores[entry.headline].value <= ceiling.value:
        return None
    sentence = (
        "For {} the network stands above the label-noise ceiling. That limits who knows the map's own "
        "value and nothing else; what lies above it was read from the shapes in the map."
    )
    return Markup(sentence).format(parameter(entry.name))


def _changes(overrides: Mapping[str, Any], recipe: Mapping[str, Any]) -> Markup:
    lines = []
    for key, value in overrides.items():
        base: Any = recipe
        for part in key.split("."):
            base = base.get(part) if isinstance(base, Mapping) else None
        changed = value
        if isinstance(value, Mapping) and isinstance(base, Mapping):
            changed = {name: item for name, item in value.items() if item != base.get(name)} or value
        lines.append(Markup("<code>{}: {}</code>").format(key, compact(changed)))
    return Markup("<br>").join(lines)


def compact(value: Any) -> str:
    """A value of a recipe in few characters.

    Example:
        >>> compact([{"name": "smooth", "widths": [1, 2]}, True])
        '[smooth, widths [1, 2], true]'
    """
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} {compact(item)}" if key not in ("name", "by") else str(item)
            for key, item in value.items()
        )
    if isinstance(value, list):
        return "[" + ", ".join(compact(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _spoken(dot: Dot) -> str:
    bounds = f" ({number(dot.low)} to {number(dot.high)})" if np.isfinite(dot.low) else ""
    return f"{dot.label} {number(dot.value)}{bounds}{', leaky' if dot.leaky else ''}"
