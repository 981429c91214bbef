"""The section on what the network looks at: attributions, changed maps, scales, sanity checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.fields.selection import spread_over
from skyloom.report.artefacts import Artefacts, summary
from skyloom.report.figures.attribution import (
    LEVEL,
    attribution_by_band,
    band_labels,
    contoured_map,
    scores_by_band,
)
from skyloom.report.figures.interventions import (
    Rescored,
    own_and_changed,
    score_against_width,
    twin_correlations,
)
from skyloom.report.figures.maps import attribution_map, field_map, shared_limits
from skyloom.report.page import (
    Block,
    Gallery,
    Missing,
    Section,
    Table,
    counted,
    listed,
    number,
    parameter,
    percent,
)
from skyloom.report.sections.readings import in_prose, outer, reading
from skyloom.report.sections.smoothing import taken_for
from skyloom.report.style import COLUMN, PAGE, Plate, symbol

_SHOWN = 5
_EXAMPLES = 4  #: of each class
_SUSPICIOUS = 0.5
_SCORES = {"r2": "$R^2$"}
_CHANGES = {
    "flatten_spectrum": "flat spectrum",
    "shuffle_phases": "shuffled phases",
    "equalise": "one histogram",
    "remove_mean": "mean removed",
}


def explanations(run: Artefacts) -> Section:
    """Example maps with attributions, score against smoothing, changed maps, scales, twins; how to read each.

    Args:
        run: The artefacts.
    """
    found: dict[str, list[xr.Dataset]] = {}
    for name, data in run.explanations.items():
        found.setdefault(str(data.attrs.get("explanation", name)), []).append(data)
    attributions = [data for group in found.values() for data in group if "attribution" in data]
    plates = [_maps_plate(data, run) for data in attributions if "class" not in data]
    of_classes: dict[str, list[xr.Dataset]] = {}
    for data in attributions:
        if "class" in data:
            of_classes.setdefault(str(data.attrs.get("explanation", "")), []).append(data)
    plates += [_class_plate(kind, group) for kind, group in of_classes.items()]
    smaller = _survival(found)
    for name, make in _MAKERS.items():
        if name in found:
            smaller += make(found[name])
    blocks: list[Block] = [Gallery(part) for part in (plates, smaller) if part]
    if found:
        rows = [reading(data) for group in found.values() for data in group]
        caption = "What each explanation found, and how to read it"
        blocks.append(Table(caption, ["Explanation", "Found", "How to read it"], rows, facts=True))
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
    word = in_prose(kind)
    contoured = kind == "saliency" and maps is not None
    caption = Markup("{} for {}. Top: example maps, as the network sees them (standardised){}. ").format(
        word[:1].upper() + word[1:],
        parameter(target),
        f"; the contour holds what reaches {100 * LEVEL:.0f} % of the largest smoothed slope"
        if contoured
        else "",
    )
    signed = bool((attribution < 0).any())
    caption += "Below: " + (
        "red pixels raise the answer, blue ones lower it."
        if signed
        else "how strongly each pixel moves the answer."
    )
    facts = summary(data)
    if facts.get("gap_relative") is not None:
        effort = next((f" ({facts[key]} {key})" for key in ("steps", "draws") if key in facts), "")
        gap = percent(float(facts["gap_relative"]))
        caption += f" Completeness gap: {gap} rms of the change that is explained{effort}."
    if outer(facts):
        caption += f" {outer(facts)}."
    alt = f"{counted(len(rows), 'example map')} and their {word} for {target}."
    draw = partial(_fill_maps, maps, attribution, titles, word, contoured)
    return Plate(f"{kind}-{target}", draw, alt, caption, size=(PAGE, 3.3 if maps is not None else 1.8))


def _class_plate(kind: str, found: Sequence[xr.Dataset]) -> Plate:
    """Columns are classes, rows are examples of each, with the contour of its own class's attribution."""
    word = in_prose(kind)
    columns = []
    for data in found:
        name = str(data.attrs.get("target", ""))
        own = np.flatnonzero(data["class"].values == name)
        if "parent" in data.coords:
            own = own[spread_over(data["parent"].values[own], _EXAMPLES)]
        own = own[:_EXAMPLES]
        columns.append((name, data["maps"].values[own, 0], data["attribution"].values[own, 0]))
    shares = listed(
        [Markup("{} {}").format(data.attrs.get("target", ""), outer(summary(data))) for data in found]
    )
    caption = Markup(
        "{}: examples of each class, and a contour around what reaches {:.0f} % of the largest smoothed "
        "attribution for that class. {}."
    ).format(word[:1].upper() + word[1:], 100 * LEVEL, shares)
    alt = f"Examples of {counted(len(columns), 'class', 'classes')} and their {word}."
    height = 0.35 + _EXAMPLES * min(PAGE / len(columns), 1.5)
    size = (min(PAGE, 1.6 * len(columns)), height)
    return Plate(f"{kind}-classes", partial(_fill_classes, columns), alt, caption, size=size)


def _fill_classes(columns: Sequence[tuple[str, np.ndarray, np.ndarray]], figure: Figure) -> None:
    axes = figure.subplots(_EXAMPLES, len(columns), squeeze=False)
    limits = shared_limits(np.concatenate([maps.ravel() for _, maps, _ in columns]))
    for column, (name, maps, attribution) in enumerate(columns):
        for row in range(_EXAMPLES):
            if row < len(maps):
                title = symbol(name) if row == 0 else ""
                contoured_map(maps[row], attribution[row], axes[row, column], title=title, limits=limits)
            else:
                axes[row, column].set_axis_off()


def _fill_maps(
    maps: np.ndarray | None,
    attribution: np.ndarray,
    titles: Sequence[str],
    word: str,
    contoured: bool,
    figure: Figure,
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
            ax, title = axes[0, column], titles[column]
            if contoured:
                image = contoured_map(values, attribution[column], ax, title=title, limits=limits)
            else:
                image = field_map(values, ax, title=title, limits=limits)
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
        if (
            prediction is None
            or "parameter" not in prediction
            or target not in prediction["parameter"].values
        ):
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
    label = _score_label(found[0])

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
    own = Plate("smooth", fill, f"Score by smoothing width. {said}", caption, size=(COLUMN, 2.9))
    return [own, *taken_for(found)]


def _survival(found: Mapping[str, Sequence[xr.Dataset]]) -> list[Plate]:
    """What the score survives: one row an intervention with two versions, and a target."""
    chosen = [(name, data) for name in _CHANGES for data in found.get(name, [])]
    if not chosen:
        return []
    several = len({data.attrs.get("target") for _, data in chosen}) > 1
    rows = [_rescored(data) for _, data in chosen]
    targets = [str(data.attrs.get("target", "")) for _, data in chosen]
    names = [
        f"{_CHANGES[name]}\n{symbol(target)}" if several else _CHANGES[name]
        for (name, _), target in zip(chosen, targets, strict=True)
    ]
    label = _score_label(chosen[0][1])

    def fill(figure: Figure) -> None:
        options = {"names": ("as it is", "changed"), "x_label": label}
        own_and_changed(names, rows, figure.add_subplot(), **options)  # type: ignore[arg-type]

    said = "; ".join(
        f"{_CHANGES[name]}, {target}: {number(float(row.score[0]))} becomes {number(float(row.score[1]))}"
        for (name, _), target, row in zip(chosen, targets, rows, strict=True)
    )
    caption = (
        "What the score survives. Flat spectrum leaves the phases, shuffled phases leave the power spectrum, "
        "one histogram leaves the order of the pixels. Bars: 95 % over simulations."
    )
    size = (COLUMN, max(2.9, 1.2 + 0.55 * len(rows)))
    return [Plate("survival", fill, f"Score of changed maps. {said}", caption, size=size)]


def _score_label(data: xr.Dataset) -> str:
    name = str(data.attrs.get("score", "score"))
    return _SCORES.get(name, name.replace("_", " "))


def _bands(found: Sequence[xr.Dataset]) -> list[Plate]:
    return [_scores_plate(data) for data in found]


def _scores_plate(data: xr.Dataset) -> Plate:
    target, labels = (
        str(data.attrs.get("target", "")),
        band_labels(data["n_low"].values, data["n_high"].values),
    )
    removed, kept = (data.sel(treatment=name) for name in ("removed", "kept"))
    scores = removed["score"].values, kept["score"].values
    bounds = tuple((part["low"].values, part["high"].values) for part in (removed, kept))

    def fill(figure: Figure) -> None:
        options = {"own": float(data["own"]), "y_label": _score_label(data)}
        scores_by_band(labels, scores, bounds, figure.add_subplot(), **options)  # type: ignore[arg-type]

    said = "; ".join(
        f"{name}: {number(float(a))} without, {number(float(b))} alone"
        for name, a, b in zip(labels, *scores, strict=True)
    )
    caption = Markup(
        "Score for {} when a band of wavenumbers is taken out of the maps, and when nothing else is left. "
        "Triangles: below the axis."
    ).format(parameter(target))
    alt = f"Score of {target} by band of wavenumbers. {said}"
    return Plate(f"bands-{target}", fill, alt, caption, size=(COLUMN, 2.9))


def _shares(found: Sequence[xr.Dataset]) -> list[Plate]:
    return [_shares_plate(data) for data in found]


def _shares_plate(data: xr.Dataset) -> Plate:
    target = str(data.attrs.get("target", ""))
    labels = ["mean", *band_labels(data["n_low"].values, data["n_high"].values)]
    by_band = np.column_stack([data["of_mean"].values, data["by_band"].values])

    def fill(figure: Figure) -> None:
        attribution_by_band(labels, by_band, figure.add_subplot())

    caption = Markup(
        "Integrated gradients for {}, by wavenumber: the share of each band in the sum of absolute values, "
        "mean over maps. Bars: the central 68 % of the maps."
    ).format(parameter(target))
    gap = summary(data).get("gap_relative")
    if gap is not None:
        caption += f" Completeness gap: {percent(float(gap))}."
    alt = f"Share of the attribution for {target} by band of wavenumbers: {', '.join(labels)}."
    return Plate(f"band-attribution-{target}", fill, alt, caption, size=(COLUMN, 2.9))


def _twins(found: Sequence[xr.Dataset]) -> list[Plate]:
    plates = []
    for data in found:
        target, facts = str(data.attrs.get("target", "")), summary(data)
        values = data["correlation"].values.ravel()
        median = float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
        labels = data.attrs.get("explanation") == "randomised_labels"
        twin, stem = ("twin taught permuted labels", "label-twins") if labels else ("untrained twin", "twins")
        tool = facts.get("attribution") or {}
        judged = in_prose(str(tool.get("name", "attribution") if isinstance(tool, dict) else tool))
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
            counted(int(facts.get("twins", len(values))), twin, twin.replace("twin", "twins")),
            number(median, 2),
            verdict,
        )
        alt = f"Histogram of rank correlations with each {twin} for {target}, median {number(median, 2)}."
        plates.append(
            Plate(f"{stem}-{target}", partial(_fill_twins, values, twin), alt, caption, size=(COLUMN, 2.9))
        )
    return plates


def _fill_twins(values: np.ndarray, twin: str, figure: Figure) -> None:
    twin_correlations(values, figure.add_subplot(), limit=_SUSPICIOUS, twin=twin)


def _rescored(data: xr.Dataset) -> Rescored:
    return Rescored(*(data[name].values for name in ("score", "low", "high", "correlation_squared")))


_MAKERS: dict[str, Callable[[Sequence[xr.Dataset]], list[Plate]]] = {
    "smooth": _smooth,
    "bands": _bands,
    "band_attribution": _shares,
    "randomised_weights": _twins,
    "randomised_labels": _twins,
}
