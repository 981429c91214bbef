"""The page of a scorecard: from its numbers and curves to sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.artefacts import Score
from skyloom.report.figures.generated import Mark, curve_beside, ladder
from skyloom.report.figures.statistics import Band, sides_compared
from skyloom.report.page import Gallery, Missing, Row, Section, Table, Text, number, parameter, with_interval
from skyloom.report.style import PAGE, Plate, symbol, unit_text

NAMES = {
    "gaussian": "Gaussian, real P(k)",
    "shuffled": "pixels shuffled",
    "constant": "constant image",
    "per_pixel": "per-pixel regression",
}
_RANGE = 30.0
_VERDICT = {
    True: Markup('<span class="verdict good">as real</span>'),
    False: Markup('<span class="verdict bad">differs</span>'),
    None: Markup('<span class="verdict unknown">open</span>'),
}


def sections(card: Mapping[str, Any], curves: xr.Dataset) -> list[Section]:
    """Return the sections of the page of a scorecard.

    Args:
        card: ``scorecard.json``.
        curves: ``curves.nc``.
    """
    if card["kind"] == "pairs":
        return [_pairs(card, curves)]
    made = [
        _table_section(card, "marginals", "Marginals", _MARGINALS),
        _table_section(card, "dependence", "Dependence", _DEPENDENCE),
        _table_section(card, "conditionals", "Under the conditions", _CONDITIONALS),
        _statistics(card, curves),
        _table_section(card, "difference", "Coherence of fields", _COHERENCE),
        _table_section(card, "response", "Response to parameters", _RESPONSE),
        _table_section(card, "variance", "Variance at one parameter point", _VARIANCE),
        _table_section(card, "distances", "Whole ensembles", _DISTANCES),
        _judge(card),
        _diversity(card),
        _copies(card),
    ]
    return [section for section in made if section is not None]


_MARGINALS = "Largest difference of the two cumulative distributions of every number, from 0 to 1."
_DEPENDENCE = "Differences of Spearman's rank correlations, of all pairs of numbers and with the conditions."
_CONDITIONALS = (
    "Errors of mean and width of every number in ranges of a condition that hold equal numbers of real "
    "samples, averaged over the ranges: of the mean in units of the real width there, of the width as ln."
)
_RESPONSE = (
    "How much a statistic moves with one parameter while all others are held: the difference of the real "
    "and the generated slope, for a change of one sd of the parameter, in units of the sample variance's "
    "root; the median over all bins of all statistics."
)
_COHERENCE = (
    "Absolute difference of the mean coherence of each pair of fields from the real one, the median over "
    "bins and parameter points."
)
_VARIANCE = (
    "Spread of each statistic between generated maps over that between real ones, all at one parameter "
    "point, the median over bins: below 1 the universes drawn are too much alike."
)
_DISTANCES = (
    "Distances between the sets as a whole, in fixed features: spectra, moments, correlations and "
    "scattering. The classifier tries to tell real from generated maps of groups that it has not seen; 0.5 "
    "is a coin."
)


def _statistics(card: Mapping[str, Any], curves: xr.Dataset) -> Section:
    rows = [row for row in card["rows"] if row["section"] == "statistics"]
    sigma = [row for row in rows if row["unit"] == "σ"]
    percent = {row["key"].removesuffix(".percent"): row for row in rows if row["unit"] == "%"}
    plates = []
    if sigma:
        marks = [_mark(row) for row in sigma]
        height = 1.2 + 0.24 * len(marks)
        plates.append(
            Plate(
                "ladder",
                partial(_ladder, marks),
                "Error of each statistic in units of the sample variance: "
                + "; ".join(f"{mark.label} {number(mark.value)}" for mark in marks),
                "Error of the mean of each statistic in units of the sample variance's root, the median "
                "over bins and parameter points, beside real against real (bar) and the baselines.",
                size=(PAGE, height),
            )
        )
    table = Table(
        "Errors of summary statistics",
        [
            "statistic",
            "of",
            "error [σ]",
            "real halves [σ]",
            "error [%]",
            "real halves [%]",
            *_heads(sigma),
            "verdict",
        ],
        [_statistic_row(row, percent.get(row["key"].removesuffix(".sigma"))) for row in sigma],
    )
    lead = Markup(
        "Each statistic is averaged within simulations, then over them, at each of {} parameter points. "
        "σ is the spread between real simulations. Real halves are two halves of the real set against each "
        "other, over {} splits: their mean and the end of the range that holds 95 %."
    ).format(card["points"], card["splits"])
    blocks: list[Any] = [Gallery(plates), table] if plates else [table]
    blocks.append(Gallery(_curve_plates(curves)))
    for name, reason in card.get("skipped", {}).items():
        blocks.append(Text(f"{name} was left out: {reason}"))
    return Section("statistics", "Summary statistics", lead, blocks)


def _statistic_row(row: Mapping[str, Any], percent: Mapping[str, Any] | None) -> Row:
    cells = [row["label"], _of(row), _value(row["generated"]), _floor(row)]
    cells += [_value(percent["generated"], 1), _floor(percent, 1)] if percent else ["n/a", "n/a"]
    return Row([*cells, *_others(row), _VERDICT[row["real"]]])


def _table_section(card: Mapping[str, Any], key: str, title: str, lead: str) -> Section | None:
    rows = [row for row in card["rows"] if row["section"] == key]
    if not rows:
        return None
    fields = any(row["of"] for row in rows)
    table = Table(
        title,
        ["", *(["of"] if fields else []), "generated", "real halves", *_heads(rows), "verdict"],
        [
            Row(
                [
                    parameter(row["label"]) if key == "response" else row["label"],
                    *([_of(row)] if fields else []),
                    _value(row["generated"]),
                    _floor(row),
                    *_others(row),
                    _VERDICT[row["real"]],
                ]
            )
            for row in rows
        ],
    )
    return Section(key, title, lead, [table])


def _judge(card: Mapping[str, Any]) -> Section | None:
    told = card["judge"]
    if told is None:
        if not card["parameters"]:
            return None
        missing = Missing("No judge network was trained.", "skyloom scorecard REAL GENERATED")
        return Section("judge", "Judge network", "Are the parameters in the maps?", [missing])
    rows = []
    for name, scores in told["real"].items():
        unit = f" [{scores['unit']}]" if scores["unit"] else ""
        for label, source in (("real, not seen", told["real"]), ("generated", told["generated"])):
            values = [
                with_interval(Score.read(source[name].get(key))) for key in ("r2", "rmse", "bias", "chi2")
            ]
            rows.append(Row([parameter(name) + unit, label, *values]))
    lead = (
        f"A moment network, trained on {told['trained']} real maps, reads the parameters off maps that it "
        "has not seen. The truth of a generated map is what it was asked to show. A set that is like the "
        "real one is read as well."
    )
    table = Table("Parameters read by the judge", ["parameter", "maps", "R²", "RMSE", "bias", "χ²"], rows)
    return Section("judge", "Judge network", lead, [table])


def _diversity(card: Mapping[str, Any]) -> Section | None:
    section = _table_section(
        card,
        "diversity",
        "Diversity",
        "Spread of the features between samples at one parameter point, over that of real ones: well below"
        " 1 for a generator that has collapsed. Duplicates are maps with a twin in their own set, up to a "
        "shift, flip or turn.",
    )
    told = card["duplicates"]
    if section is None or told is None:
        return section
    table = Table(
        "Duplicates",
        ["set", "share of maps with a twin"],
        [Row([name, f"{100 * told[name]:.1f} %"]) for name in ("real", "generated")],
    )
    return Section(section.key, section.title, section.lead, [*section.blocks, table])


def _copies(card: Mapping[str, Any]) -> Section:
    told = card["memorisation"]
    title = "Memorisation"
    if told is None:
        blocks: list[Any] = [
            Missing("The training set was not given.", "skyloom scorecard REAL GENERATED --train TRAIN")
        ]
    else:
        copied = Markup('<span class="verdict bad">copies</span>')
        verdict = copied if told["memorised"] else Markup('<span class="verdict good">no copies</span>')
        rows = [
            ("verdict", verdict),
            ("maps more like a training map than any held-out one", f"{told['copies']} of {told['samples']}"),
            ("chance of so many", number(told["chance"])),
            (
                "probability to be nearer to training than a held-out map",
                with_interval(Score.read(told["closer"])),
            ),
            ("median likeness to the nearest training map, generated", number(told["generated"])),
            ("the same of held-out real maps", number(told["held_out"])),
        ]
        blocks = [
            Table("Generated maps beside the training set", ["", ""], [Row(row) for row in rows], facts=True)
        ]
        pairs = [Row([p["generated"], p["train"], number(p["likeness"])]) for p in told["nearest"]]
        blocks.append(Table("Most alike pairs", ["generated", "training", "likeness"], pairs))
    if card["twin"] is not None:
        blocks += _twin(card["twin"])
    lead = (
        "Likeness is the largest correlation over all shifts, flips and turns. Held-out real maps say how "
        "alike maps are that have nothing to do with each other; a probability clearly above 0.5 says that "
        "something was learned by heart."
    )
    return Section("memorisation", title, lead, blocks)


def _twin(told: Mapping[str, Any]) -> list[Any]:
    rows = [
        Row([row["label"], _value(row["generated"]), _floor(row), _VERDICT[row["real"]]])
        for row in told["rows"]
    ]
    table = Table(
        "Two models, two halves of the training set",
        ["", "model against model", "real halves", "verdict"],
        rows,
    )
    if told["correlation"] is None:
        return [table]
    words = (
        f"From equal latent vectors ({told['paired']} pairs) the two models draw maps with a median "
        f"correlation of {number(told['correlation'])}."
    )
    return [table, Text(words)]


def _pairs(card: Mapping[str, Any], curves: xr.Dataset) -> Section:
    rows = [
        Row(
            [
                row["label"] + (f" [{row['unit']}]" if row["unit"] else ""),
                _of(row),
                _value(row["generated"]),
                *(_value(score) for score in row["baselines"].values()),
            ]
        )
        for row in card["rows"]
    ]
    table = Table("Scores of the translated maps", ["", "of", "translated", *_heads(card["rows"])], rows)
    lead = (
        "Each translated map beside the true map of the same sample. Intervals are 95 % over simulations. A"
        " blur scores well pixel by pixel and loses power; noise does the opposite."
    )
    if card["constant_from"] == "truth":
        lead += " The constant image is the mean of these very maps, which flatters it."
    return Section("pairs", "Pair by pair", lead, [table, Gallery(_curve_plates(curves))])


def _curve_plates(curves: xr.Dataset) -> list[Plate]:
    plates = []
    for key, variable in curves.data_vars.items():
        name = str(key)
        if f"{name}.spread" not in curves or variable.ndim != 2 or variable.sizes[variable.dims[1]] < 2:
            continue
        spread = curves[f"{name}.spread"]
        axis = curves[str(variable.dims[1])]
        bands = {
            NAMES.get(str(who), str(who)): Band(variable.values[row], spread.values[row])
            for row, who in enumerate(curves["ensemble"].values)
        }
        first = variable.values[0]
        positive = first[first > 0]
        steep = bool(positive.size and (first >= 0).all() and positive.max() / positive.min() > _RANGE)
        log = (str(axis.name).endswith(".k"), steep)
        labels = _label(axis), _label(variable)
        long_name = str(variable.attrs.get("long_name", name))
        caption = Markup("{} of {}: mean and spread over simulations.").format(
            long_name[:1].upper() + long_name[1:], _of(variable.attrs) or "events"
        )
        beside = "real" in bands
        if beside:
            caption += " Below, the difference from the real mean in units of its spread."
        draw = partial(_fill, axis.values, bands, labels, log, beside)
        alt = f"{long_name} of {variable.attrs.get('of', '')} for {', '.join(bands)}."
        plates.append(Plate(f"curve-{name}", draw, alt, caption, size=(PAGE / 2, 3.6 if beside else 2.9)))
    return plates


def _fill(
    x: np.ndarray,
    bands: dict[str, Band],
    labels: tuple[str, str],
    log: tuple[bool, bool],
    beside: bool,
    figure: Figure,
) -> None:
    if not beside:
        sides_compared(x, bands, figure.add_subplot(), x_label=labels[0], y_label=labels[1], log=log)
        return
    upper, lower = figure.subplots(2, height_ratios=(2.6, 1.0))
    curve_beside(x, bands, upper, lower, x_label=labels[0], y_label=labels[1], log=log)


def _ladder(marks: Sequence[Mark], figure: Figure) -> None:
    ladder(marks, figure.add_subplot(), x_label="error in units of the sample variance's root, σ")


def _mark(row: Mapping[str, Any]) -> Mark:
    told = {key: _number(row["generated"].get(key)) for key in ("value", "low", "high")}
    floor = _number(row["floor"]["low"]), _number(row["floor"]["high"])
    baselines = {name: _number(score["value"]) for name, score in row["baselines"].items()}
    of = " × ".join(symbol(name) for name in row["of"].split(" × ") if name)
    return Mark(f"{row['label']}, {of}".rstrip(", "), floor=floor, baselines=baselines, **told)


def _label(values: xr.DataArray) -> str:
    name = str(values.attrs.get("long_name", str(values.name).rsplit(".", 1)[-1]))
    unit = str(values.attrs.get("units", ""))
    return name + (f"  [{unit_text(unit)}]" if unit else "")


def _of(row: Mapping[str, Any]) -> Markup:
    names = [parameter(name) for name in row["of"].split(" × ") if name]
    return Markup(" × ").join(names)


def _value(node: Mapping[str, Any] | None, digits: int | None = None) -> Markup:
    score = Score.read(node)
    if score is None or digits is None:
        return with_interval(score)
    bounds = f" [{number(score.low, digits)}, {number(score.high, digits)}]" if score.bounded else ""
    return Markup('<b>{}</b><span class="interval">{}</span>').format(number(score.value, digits), bounds)


def _floor(row: Mapping[str, Any], digits: int | None = None) -> str:
    floor = {key: _number(value) for key, value in row["floor"].items()}
    if not np.isfinite(floor["value"]):
        return "n/a"
    value, low, high = (number(floor[key], digits) for key in ("value", "low", "high"))
    ends = {"less": f"≤ {high}", "more": f"≥ {low}", "both": f"{low} to {high}"}
    return f"{value} ({ends[row['better']]})"


def _heads(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [NAMES.get(name, name) for name in (rows[0]["baselines"] if rows else ())]


def _others(row: Mapping[str, Any]) -> list[str]:
    return [number(_number(score["value"])) for score in row["baselines"].values()]


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
