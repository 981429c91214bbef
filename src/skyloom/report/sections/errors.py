"""The section on error bars: coverage by level, conformal repair, SBC and TARP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure
from scipy.stats import norm

from skyloom.report.artefacts import Artefacts, Judged, Score
from skyloom.report.figures.calibration import coverage, rank_histogram, tarp
from skyloom.report.page import Block, Gallery, Missing, Row, Section, Table, number, parameter, percent
from skyloom.report.style import COLUMN, Plate


def error_bars(run: Artefacts) -> Section | None:
    """Do the error bars hold on the side that was judged? None for classes and fields, which have none.

    Args:
        run: The artefacts.
    """
    if run.translates:
        return None
    judged, data = run.judged(run.side), run.prediction(run.side)
    if any(entry.classes for entry in judged):
        return None
    tests: Mapping[str, Any] = (run.metrics(run.side) or {}).get("calibration") or {}
    blocks: list[Block] = []
    plates = [plate for entry in judged if (plate := _coverage_plate(entry, data))]
    sbc = tests.get("sbc") or {}
    plates += [_rank_plate(name, values, sbc) for name, values in sbc.get("parameters", {}).items()]
    if tests.get("tarp"):
        plates.append(_tarp_plate(tests["tarp"]))
    if plates:
        blocks.append(Gallery(plates))
    else:
        what = "There are no error bars to test: the method predicts none and none were fitted."
        blocks.append(Missing(what, f"skyloom evaluate {run.path}"))
    blocks += _repair(run, judged, tests.get("raw") or {})
    lead = "An error bar of 68 % should hold the truth in 68 % of the maps: on the diagonal it does."
    return Section("error-bars", "Do the error bars hold?", lead, blocks)


def coverage_curve(data: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Share of truths inside the method's own central interval, at every level.

    Args:
        data: A prediction.
        name: Parameter.

    Returns:
        Levels and shares, each ``(99,)``, from draws of the posterior where there are any, else from a normal
        distribution of the predicted sd; None without either.

    Example:
        >>> pair = ("sample", "parameter")
        >>> columns = {"truth": [[0.0], [9.0]], "mean": [[0.0], [0.0]], "sd": [[1.0], [1.0]]}
        >>> values = {name: (pair, column) for name, column in columns.items()}
        >>> level, share = coverage_curve(xr.Dataset(values, coords={"parameter": ["x"]}), "x")
        >>> float(level[49].round(2)), float(share[49])
        (0.5, 0.5)
    """
    part = data.sel(parameter=name)
    if "samples" in part:
        # The middle of the gap between two draws, so that the ends 0 and 1 are never reached.
        rank = (part["samples"] < part["truth"]).sum("draw").values
        below = (rank + 0.5) / (data.sizes["draw"] + 1)
    elif "sd" in part:
        below = norm.cdf(((part["truth"] - part["mean"]) / part["sd"]).values)
    else:
        return None
    needed = np.abs(2.0 * below - 1.0)
    levels = np.linspace(0.01, 0.99, 99)
    return levels, (needed[:, None] <= levels).mean(axis=0)


def _coverage_plate(entry: Judged, data: xr.Dataset | None) -> Plate | None:
    points = [
        (float(key[9:]) / 100, score) for key, score in entry.scores.items() if key.startswith("coverage_")
    ]
    curve = coverage_curve(data, entry.name) if data is not None else None
    if not points and curve is None:
        return None
    level = np.array([nominal for nominal, _ in points])
    value, low, high = (
        np.array([getattr(score, key) for _, score in points]) for key in ("value", "low", "high")
    )

    def fill(figure: Figure) -> None:
        coverage(level, value, figure.add_subplot(), low=low, high=high, curve=curve)

    said = "; ".join(
        f"{percent(score.value)} inside the {100 * nominal:g} % interval" for nominal, score in points
    )
    repaired = data is not None and data.attrs.get("intervals") == "conformal"
    line = ""
    if curve is not None:
        line = " Line: the method's own errors" + (", before repair." if repaired else ".")
    caption = Markup("Coverage of {}: intervals as reported, with 95 % range over simulations.{}")
    text = caption.format(parameter(entry.name), line)
    return Plate(
        f"coverage-{entry.name}", fill, f"Coverage of {entry.name}: {said}", text, size=(COLUMN, 3.1)
    )


def _rank_plate(name: str, values: Mapping[str, Any], sbc: Mapping[str, Any]) -> Plate:
    share, low, high = (np.array(values[key], float) for key in ("share", "low", "high"))
    p_value = values.get("p_value")

    def fill(figure: Figure) -> None:
        rank_histogram(share, figure.add_subplot(), low=low, high=high, p_value=p_value)

    tested = f", p = {p_value:.2g} for flatness" if p_value is not None else ""
    alt = f"Histogram of ranks of {name} in {len(share)} bins{tested}."
    what = (
        "Rank of {} among {} posterior draws (SBC); bars: 95 % over {} simulations. "
        "A hump means error bars too wide, a bowl too narrow."
    )
    caption = Markup(what).format(parameter(name), sbc.get("draws", "the"), sbc.get("groups", "the"))
    return Plate(f"sbc-{name}", fill, alt, caption, size=(COLUMN, 2.8))


def _tarp_plate(curve: Mapping[str, Any]) -> Plate:
    level, observed, low, high = (np.array(curve[key], float) for key in ("level", "coverage", "low", "high"))

    def fill(figure: Figure) -> None:
        tarp(level, observed, figure.add_subplot(), low=low, high=high)

    alt = f"Expected coverage over credibility; largest deviation {number(float(curve['deviation']))}."
    caption = (
        "Expected coverage of the joint posterior (TARP, Lemos et al. 2023), band: 95 % over simulations. "
        f"Largest deviation {number(float(curve['deviation']))}."
    )
    return Plate("tarp", fill, alt, caption, size=(COLUMN, 3.1))


def _repair(run: Artefacts, judged: list[Judged], raw: Mapping[str, Any]) -> list[Block]:
    fitted = run.calibration
    if not fitted:
        return []
    rows = []
    for p, name in enumerate(fitted["parameters"]):
        entry = next((entry for entry in judged if entry.name == name), None)
        for a, level in enumerate(fitted["levels"]):
            key = f"coverage_{100 * level:g}"
            before, after = (
                Score.read((raw.get(name) or {}).get(key)),
                (entry.scores if entry else {}).get(key),
            )
            own = norm.isf((1 - level) / 2) if fitted.get("width") != "constant" else float("nan")
            rows.append(
                Row(
                    [
                        parameter(name),
                        f"{100 * level:g} %",
                        number(float(fitted["q"][p][a])),
                        number(float(fitted["q"][p][a]) / own),
                        percent(before.value) if before else "n/a",
                        percent(after.value) if after else "n/a",
                    ]
                )
            )
    caption = (
        f"Conformal repair, fitted on {fitted.get('groups', '?')} validation simulations: "
        "bars are stretched until they hold there. A stretch of 1 means that the method was right by itself."
    )
    heads = ["parameter", "level", "scale q", "stretch", "held before", "held after"]
    return [Table(caption, heads, rows)]
