"""The section on translated fields: maps beside the truth, scores beside baselines, spectra and pixels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.answers import population
from skyloom.report.artefacts import Artefacts, Judged
from skyloom.report.figures.shapes import DEEP
from skyloom.report.figures.translation import (
    Triplet,
    against_ideal,
    pixel_values,
    spread_and_error,
    triplets,
)
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
from skyloom.report.sections.shapes import domain_blocks, shape_blocks
from skyloom.report.style import COLUMN, PAGE, Plate, labelled
from skyloom.report.words import score_title

WHO = {"generated": "network", "per_pixel": "per-pixel regression"}  #: curves that are drawn, in this order
COLLAPSED = 0.1  #: of the spread that explains the error: less is no spread at all
SHOWN = 3  #: samples drawn as maps
_TRANSFORMED = (
    "Its transforms take something out of each map of {}, so no translation can be brought back to the unit: "
    "maps and scores are of the transformed field, and do not compare with scores in the unit."
)


def translation(run: Artefacts) -> Section | None:
    """Translated maps and how they were judged; None for other tasks.

    Args:
        run: The artefacts.
    """
    if not run.translates:
        return None
    judged, curves, examples = run.judged(run.side), run.curves(run.side), run.examples(run.side)
    if not judged or curves is None or examples is None:
        what = "No translated maps were judged."
        return Section("translation", "Translated maps", "", [Missing(what, f"skyloom evaluate {run.path}")])
    blocks: list[Block] = domain_blocks(examples)
    spaces = (run.metrics(run.side) or {})["parameters"]
    for entry in judged:
        blocks.append(Text(_verdict(entry)))
        if spaces[entry.name].get("space") == "transformed":
            blocks.append(Text(Markup(_TRANSFORMED).format(parameter(entry.name))))
        blocks += _draws(entry)
        objects = f"{entry.name}.profile" in curves
        blocks.append(
            Gallery([_maps(examples, entry.name, name, objects=objects) for name in _inputs(examples)])
        )
        blocks.append(_scores(entry))
        blocks.append(Gallery(_curves(curves, entry.name)))
        blocks += shape_blocks(curves, entry.name)
    lead = Markup(
        "Each map beside the true map of the same sample{}. The samples shown were chosen before they were "
        "judged. What the input leaves open a regression answers with its mean: smooth, of too little power."
    ).format(Markup(": {}").format(population(run)) if population(run) else "")
    return Section("translation", "Translated maps", lead, blocks)


def _inputs(examples: xr.Dataset) -> list[str]:
    return [str(name).removeprefix("input.") for name in examples if str(name).startswith("input.")]


def _verdict(entry: Judged) -> Markup:
    """Say whether there is skill, by the intervals alone."""
    r2, skill = entry.scores.get("r2"), entry.scores.get("skill")
    name = parameter(entry.name)
    if r2 is None or skill is None or not (r2.bounded and skill.bounded):
        return Markup("Whether {} is told at all cannot be said: there are no intervals.").format(name)
    if r2.low > 0 and skill.low > 0:
        what = "<b>Skill is shown</b> for {}: the error is {} less than that of the regression pixel by pixel"
        text = Markup(what).format(name, percent(skill.value))
    elif r2.low > 0:
        what = "{} is told better than by a constant image, but <b>not better than pixel by pixel</b>"
        text = Markup(what).format(name)
    else:
        text = Markup("<b>No skill is shown</b> for {}: a constant image does as well").format(name)
    groups = Markup(" (R² {}, gain over the per-pixel regression {}).").format(
        with_interval(r2), with_interval(skill)
    )
    return text + groups


def _draws(entry: Judged) -> list[Block]:
    """Say whether draws differ as they should; nothing where there are none."""
    spread = entry.scores.get("spread_error")
    if spread is None or not np.isfinite(spread.value):
        return []
    if spread.value < COLLAPSED:
        text = "The draws of {} have <b>collapsed</b>: they differ by {} of what explains their error."
    else:
        text = "The draws of {} differ by {} of what explains their error; less than 1 is too sure."
    return [Text(Markup(text).format(parameter(entry.name), with_interval(spread)))]


def _maps(examples: xr.Dataset, field: str, given: str, *, objects: bool) -> Plate:
    few = examples.isel(sample=slice(0, SHOWN))
    chosen = [few[name] for name in (f"input.{given}", f"truth.{field}", f"translated.{field}")]
    rows = [
        Triplet(str(group), *(maps.values[row] for maps in chosen))
        for row, group in enumerate(few["group"].values)
    ]
    names = [
        labelled(name, str(maps.attrs.get("units", "")))
        for name, maps in zip((given, field), chosen, strict=False)
    ]
    draw = partial(_fill_maps, rows, names[0], names[1], objects)
    left = [float(np.corrcoef(row.truth.ravel(), row.translated.ravel())[0, 1]) for row in rows]
    alt = f"Maps of {given}, {field}, its translation and the difference; correlation " + ", ".join(
        f"{row.label} {number(value, 2)}" for row, value in zip(rows, left, strict=True)
    )
    caption = Markup("{} from {}: {} of {}.").format(
        parameter(field),
        parameter(given),
        counted(len(rows), "sample"),
        counted(len({row.label for row in rows}), "simulation"),
    )
    return Plate(f"maps-{field}-{given}", draw, alt, caption, size=(PAGE, 0.9 + 1.75 * len(rows)))


def _fill_maps(rows: list[Triplet], given: str, wanted: str, objects: bool, figure: Figure) -> None:
    if not objects or min(row.given.min() for row in rows) < 0:
        triplets(rows, figure, given=given, wanted=wanted)
        return
    # Objects span decades: an exponential disc on a linear scale is a dot.
    bottoms = [DEEP * max(getattr(row, role).max() for row in rows) for role in ("given", "truth")]
    logged = [
        Triplet(
            row.label,
            *(
                np.log10(np.maximum(maps, bottom))
                for maps, bottom in zip(
                    (row.given, row.truth, row.translated), (bottoms[0], bottoms[1], bottoms[1]), strict=True
                )
            ),
        )
        for row in rows
    ]
    triplets(logged, figure, given=f"log10 {given}", wanted=f"log10 {wanted}", reach=1.0)


def _scores(entry: Judged) -> Table:
    rivals = list(entry.baselines)
    rows = [
        Row(
            [
                score_title(name),
                with_interval(score),
                *(with_interval(entry.baselines[rival].get(name)) for rival in rivals),
            ]
        )
        for name, score in entry.scores.items()
    ]
    heads = ["", "network", *(WHO.get(rival, "constant image") for rival in rivals)]
    caption = Markup("Scores of {}, with 95 % intervals over simulations.").format(parameter(entry.name))
    return Table(caption, heads, rows)


def _curves(curves: xr.Dataset, field: str) -> list[Plate]:
    k = curves[f"{field}.k"]
    x_label = labelled("k", str(k.attrs.get("units", "")))
    plates = []
    for key, label, words, log in (
        ("ratio", "P(k) translated / true", "Power of the translated over the true maps", True),
        ("r", "coherence r(k)", "Coherence of the translated with the true maps", False),
    ):
        mean, spread = curves[f"{field}.{key}"], curves[f"{field}.{key}.spread"]
        known = [who for who in WHO if who in mean["ensemble"].values]
        told = {WHO[who]: (mean.sel(ensemble=who).values, spread.sel(ensemble=who).values) for who in known}
        alt = f"{words}, {field}: " + "; ".join(
            f"{who} {number(float(y[0]), 2)} at the largest scale, {number(float(y[-1]), 2)} at the smallest"
            for who, (y, _) in told.items()
        )
        caption = Markup("{} of {}; the band is the sd between maps.").format(words, parameter(field))
        draw = partial(_fill_curve, k.values, told, x_label, label, log)
        plates.append(Plate(f"{key}-{field}", draw, alt, caption, size=(COLUMN, 2.7)))
    density = curves[f"{field}.pdf"]
    value = curves[f"{field}.value"]
    told_pdf = {str(who): density.sel(who=who).values for who in density["who"].values}
    widths = {who: _sd(value.values, pdf) for who, pdf in told_pdf.items()}
    alt = f"Distribution of the pixels of {field}: " + "; ".join(
        f"{who} with sd {number(sd, 3)}" for who, sd in widths.items()
    )
    caption = Markup("How often each value of {} is found in the pixels of all maps.").format(
        parameter(field)
    )
    draw = partial(_fill_pdf, value.values, told_pdf, labelled(field, str(value.attrs.get("units", ""))))
    plates.append(Plate(f"pdf-{field}", draw, alt, caption, size=(COLUMN, 2.7)))
    if f"{field}.spread" in curves:
        plates.append(_spread(curves, field))
    return plates


def _spread(curves: xr.Dataset, field: str) -> Plate:
    spread, error = curves[f"{field}.spread"], curves[f"{field}.error"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = spread.values / error.values
    alt = f"Error of {field} over the spread of the draws; spread over error {number(float(ratio[0]), 2)} "
    alt += f"where they differ least, {number(float(ratio[-1]), 2)} where most"
    caption = Markup("Error of {} in pixels where the draws differ by so much.").format(parameter(field))
    draw = partial(_fill_spread, spread.values, error.values, str(spread.attrs["units"]))
    return Plate(f"spread-{field}", draw, alt, caption, size=(COLUMN, 2.7))


def _sd(value: np.ndarray, density: np.ndarray) -> float:
    weight = density / max(float(density.sum()), 1e-300)
    mean = float((weight * value).sum())
    return float(np.sqrt((weight * (value - mean) ** 2).sum()))


def _fill_curve(
    k: np.ndarray,
    told: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x_label: str,
    label: str,
    log: bool,
    figure: Figure,
) -> None:
    against_ideal(k, told, figure.add_subplot(), x_label=x_label, y_label=label, log=log)


def _fill_spread(spread: np.ndarray, error: np.ndarray, unit: str, figure: Figure) -> None:
    spread_and_error(spread, error, figure.add_subplot(), unit=unit)


def _fill_pdf(value: np.ndarray, told: Mapping[str, np.ndarray], x_label: str, figure: Figure) -> None:
    pixel_values(value, told, figure.add_subplot(), x_label=x_label)
