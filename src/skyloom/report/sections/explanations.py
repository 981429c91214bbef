"""The section on what the network looks at: attributions, changed maps, randomised weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts, summary
from skyloom.report.figures.interventions import (
    Rescored,
    own_and_changed,
    score_against_width,
    twin_correlations,
)
from skyloom.report.figures.maps import attribution_map, field_map, shared_limits
from skyloom.report.page import Block, Gallery, Missing, Section, counted, number, parameter, percent
from skyloom.report.style import COLUMN, PAGE, Plate, symbol

_SHOWN = 5
_SUSPICIOUS = 0.5
_SCORES = {"r2": "$R^2$"}


def explanations(run: Artefacts) -> Section:
    """Example maps with attributions, score against smoothing, flattened spectrum, untrained twins.

    Args:
        run: The artefacts.
    """
    found: dict[str, list[xr.Dataset]] = {}
    for name, data in run.explanations.items():
        found.setdefault(str(data.attrs.get("explanation", name)), []).append(data)
    attributions = [data for group in found.values() for data in group if "attribution" in data]
    plates = [_maps_plate(data, run) for data in attributions]
    smaller: list[Plate] = []
    for name, make in _MAKERS.items():
        if name in found:
            smaller += make(found[name])
    blocks: list[Block] = [Gallery(part) for part in (plates, smaller) if part]
    wanted = [
        step.get("name", step) if isinstance(step, dict) else step for step in run.recipe.get("explain") or []
    ]
    absent = [str(name) for name in wanted if name not in found]
    if absent:
        blocks.append(Missing(f"Not computed yet: {', '.join(absent)}.", f"skyloom explain {run.path}"))
    elif not found:
        what = "Nothing was explained. Name something in the recipe (explain: [saliency, smooth])."
        blocks.append(Missing(what, f"skyloom explain {run.path}"))
    lead = "A high score from the wrong pixels would not survive the next simulation. Checks, not proofs."
    return Section("explanations", "What it looks at", lead, blocks)


def _maps_plate(data: xr.Dataset, run: Artefacts) -> Plate:
    kind, target = str(data.attrs.get("explanation", "attribution")), str(data.attrs.get("target", ""))
    rows = _spread(data, run, target)
    attribution = data["attribution"].values[rows, 0]
    maps = data["maps"].values[rows, 0] if "maps" in data else None
    titles = [_title(data, run, target, row) for row in rows]
    word = kind.replace("_", " ")
    caption = Markup("{} for {}. Top: example maps, as the network sees them (standardised). ").format(
        word.capitalize(), parameter(target)
    )
    signed = bool((attribution < 0).any())
    caption += "Below: " + (
        "red pixels raise the answer, blue ones lower it."
        if signed
        else "how strongly each pixel moves the answer."
    )
    facts = summary(data)
    if facts.get("gap_relative") is not None:
        sentence = " Completeness gap: {} rms of the change that is explained ({} steps)."
        caption += sentence.format(percent(float(facts["gap_relative"])), facts.get("steps", "?"))
    alt = f"{counted(len(rows), 'example map')} and their {word} for {target}."
    draw = partial(_fill_maps, maps, attribution, titles, word)
    return Plate(f"{kind}-{target}", draw, alt, caption, size=(PAGE, 3.3 if maps is not None else 1.8))


def _fill_maps(
    maps: np.ndarray | None, attribution: np.ndarray, titles: Sequence[str], word: str, figure: Figure
) -> None:
    rows = 1 if maps is None else 2
    axes = figure.subplots(rows, len(attribution), squeeze=False)
    signed = bool((attribution < 0).any())
    low, high = shared_limits(np.abs(attribution))
    for column, values in enumerate(attribution):
        ax = axes[-1, column]
        title = titles[column] if maps is None else ""
        if signed:
            image = attribution_map(values, ax, title=title, reach=high)
        else:
            image = field_map(values, ax, title=title, limits=(low, high))
    bar = figure.colorbar(
        image, ax=list(axes[-1]), fraction=0.02, pad=0.01, shrink=0.85, extend="both" if signed else "max"
    )
    bar.set_label(word)
    if maps is not None:
        limits = shared_limits(maps)
        for column, values in enumerate(maps):
            image = field_map(values, axes[0, column], title=titles[column], limits=limits)
        bar = figure.colorbar(image, ax=list(axes[0]), fraction=0.02, pad=0.01, shrink=0.85, extend="both")
        bar.set_label("standardised map")


def _spread(data: xr.Dataset, run: Artefacts, target: str) -> np.ndarray:
    """Rows of a few maps, spread over the truth where it is known."""
    n = data.sizes["sample"]
    truth = _answers(data, run, target)
    order = np.argsort(truth["truth"].values) if truth is not None else np.arange(n)
    return np.asarray(order[np.unique(np.linspace(0, n - 1, min(n, _SHOWN)).round().astype(int))])


def _answers(data: xr.Dataset, run: Artefacts, target: str) -> xr.Dataset | None:
    """Truth and prediction of the explained maps, None if they are not those of the prediction."""
    if "sample" not in data.coords:
        return None
    ids = data["sample"].values
    # Explanations are made on the validation side, to spare the test side a look.
    for side in ("validation", "test"):
        prediction = run.prediction(side)
        if prediction is None or target not in prediction["parameter"].values:
            continue
        if np.isin(ids, prediction["sample"].values).all():
            return prediction.sel(parameter=target, sample=ids)
    return None


def _title(data: xr.Dataset, run: Artefacts, target: str, row: int) -> str:
    answers = _answers(data, run, target)
    if answers is None:
        return ""
    one = answers.isel(sample=row)
    error = rf" \pm {float(one['sd']):.2f}" if "sd" in one else ""
    return f"true ${float(one['truth']):.2f}$\npredicted ${float(one['mean']):.2f}{error}$"


def _smooth(found: Sequence[xr.Dataset]) -> list[Plate]:
    width = found[0]["width"]
    curves = {symbol(str(data.attrs.get("target", ""))): _rescored(data) for data in found}
    label = _SCORES.get(str(found[0].attrs.get("score")), str(found[0].attrs.get("score", "score")))

    def fill(figure: Figure) -> None:
        x_label = f"smoothing width [{width.attrs.get('units', 'pixel')}]"
        score_against_width(width.values, curves, figure.add_subplot(), x_label=x_label, y_label=label)

    said = "; ".join(
        f"{data.attrs.get('target')}: "
        + ", ".join(
            f"{w:g} px {number(float(s))}" for w, s in zip(width.values, data["score"].values, strict=True)
        )
        for data in found
    )
    caption = (
        "Score on smoothed maps: where it falls, the answer was in what is gone. Band: 95 % over simulations."
    )
    return [Plate("smooth", fill, f"Score by smoothing width. {said}", caption, size=(COLUMN, 2.9))]


def _flatten(found: Sequence[xr.Dataset]) -> list[Plate]:
    rows = [_rescored(data.sel(spectrum=["own", "flat"])) for data in found]
    names = [str(data.attrs.get("target", "")) for data in found]
    label = _SCORES.get(str(found[0].attrs.get("score")), "score")

    def fill(figure: Figure) -> None:
        options = {"names": ("own spectrum", "flat"), "x_label": label}
        own_and_changed([symbol(name) for name in names], rows, figure.add_subplot(), **options)  # type: ignore[arg-type]

    pairs = zip(names, rows, strict=True)
    said = "; ".join(
        f"{name}: {number(float(row.score[0]))} becomes {number(float(row.score[1]))}" for name, row in pairs
    )
    caption = (
        "Score when every map gets a white power spectrum at its own mean and variance: the rest is phases."
    )
    return [
        Plate(
            "flatten-spectrum",
            fill,
            f"Score with the map's own and with a flat spectrum. {said}",
            caption,
            size=(COLUMN, 2.9),
        )
    ]


def _twins(found: Sequence[xr.Dataset]) -> list[Plate]:
    plates = []
    for data in found:
        target, facts = str(data.attrs.get("target", "")), summary(data)
        values = data["correlation"].values.ravel()
        median = float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
        tool = facts.get("attribution") or {}
        judged = str(tool.get("name", "attribution") if isinstance(tool, dict) else tool).replace("_", " ")
        verdict = (
            "The pictures come from the network's shape."
            if median > _SUSPICIOUS
            else "The pictures show what was learned."
        )
        caption = Markup(
            "Sanity check: {} for {} of the trained network against that of {}, median {}. {}"
        ).format(
            judged,
            parameter(target),
            counted(int(facts.get("twins", len(values))), "untrained twin"),
            number(median, 2),
            verdict,
        )
        alt = f"Histogram of rank correlations with untrained twins for {target}, median {number(median, 2)}."
        plates.append(
            Plate(f"twins-{target}", partial(_fill_twins, values), alt, caption, size=(COLUMN, 2.9))
        )
    return plates


def _fill_twins(values: np.ndarray, figure: Figure) -> None:
    twin_correlations(values, figure.add_subplot(), limit=_SUSPICIOUS)


def _rescored(data: xr.Dataset) -> Rescored:
    return Rescored(*(data[name].values for name in ("score", "low", "high", "correlation_squared")))


_MAKERS: dict[str, Callable[[Sequence[xr.Dataset]], list[Plate]]] = {
    "smooth": _smooth,
    "flatten_spectrum": _flatten,
    "randomised_weights": _twins,
}
