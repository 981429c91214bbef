"""Blocks on translated objects: profile, cumulative profile and total of each, and all domains of one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.figures.shapes import cumulative, profiles, totals, wheel
from skyloom.report.page import Block, Gallery, number, parameter
from skyloom.report.style import COLUMN, PAGE, Plate, labelled

WHO = {"truth": "truth", "generated": "network", "per_pixel": "per-pixel regression"}


def shape_blocks(curves: xr.Dataset, field: str) -> list[Block]:
    """Return the figures of a field whose maps hold single objects; nothing for others.

    Args:
        curves: Curves of a translation.
        field: Name of the field.
    """
    if f"{field}.profile" not in curves:
        return []
    known = [who for who in WHO if who in curves["beside"].values]
    return [Gallery([make(curves, field, known) for make in (_profiles, _growth, _totals)])]


def domain_blocks(examples: xr.Dataset) -> list[Block]:
    """Return the wheel of all domains of the first sample; nothing where they were not kept.

    Args:
        examples: Samples shown as maps.
    """
    names = [str(name).removeprefix("domain.") for name in examples if str(name).startswith("domain.")]
    if len(names) < 3:
        return []
    first = examples.isel(sample=0)
    maps = {
        labelled(name, str(first[f"domain.{name}"].attrs.get("units", ""))): first[f"domain.{name}"].values
        for name in names
    }
    caption = Markup("All domains of {}, each on its own scale.").format(str(first["sample"].values))
    alt = f"Maps of {', '.join(names)} of one sample"
    draw = partial(_fill_wheel, maps)
    return [Gallery([Plate("domains", draw, alt, caption, size=(PAGE, 0.8 * PAGE))])]


def _told(curves: xr.Dataset, name: str, known: list[str]) -> dict[str, np.ndarray]:
    return {WHO[who]: curves[name].sel(beside=who).values for who in known}


def _radius(curves: xr.Dataset, field: str) -> tuple[np.ndarray, str]:
    radius = curves[f"{field}.radius"]
    return radius.values, labelled("r", str(radius.attrs["units"]))


def _profiles(curves: xr.Dataset, field: str, known: list[str]) -> Plate:
    radius, x_label = _radius(curves, field)
    means, residuals = (_told(curves, f"{field}.{key}", known) for key in ("profile", "residual"))
    residuals.pop("truth")
    middles = {who: np.nanmedian(np.abs(quantiles[1])) for who, quantiles in residuals.items()}
    alt = f"Radial profiles of {field}; median residual " + ", ".join(
        f"{who} {number(float(value), 2)}" for who, value in middles.items()
    )
    caption = Markup(
        "Mean profile of {} about the true centres of mass, and the median relative residual; the band "
        "holds 68 % of the maps."
    ).format(parameter(field))
    y_label = labelled(field, str(curves[f"{field}.profile"].attrs["units"]))
    draw = partial(_fill_profiles, radius, means, residuals, x_label, y_label)
    return Plate(f"profile-{field}", draw, alt, caption, size=(COLUMN, 3.6))


def _growth(curves: xr.Dataset, field: str, known: list[str]) -> Plate:
    radius, x_label = _radius(curves, field)
    growth = _told(curves, f"{field}.growth", known)
    alt = f"Cumulative profiles of {field}; at the last radius " + ", ".join(
        f"{who} {number(float(values[-1]), 2)}" for who, values in growth.items()
    )
    caption = Markup("What of {} lies within a radius, the mean over maps.").format(parameter(field))
    return Plate(
        f"growth-{field}", partial(_fill_growth, radius, growth, x_label), alt, caption, size=(COLUMN, 2.7)
    )


def _totals(curves: xr.Dataset, field: str, known: list[str]) -> Plate:
    told = _told(curves, f"{field}.map_total", known)
    truth = told.pop("truth")
    mean = ", ".join(f"{who} {number(float((v / truth).mean()), 3)}" for who, v in told.items())
    caption = Markup("Total {} of every map; the legend gives scatter and mean of the logarithm.").format(
        parameter(field)
    )
    label = labelled(field, str(curves[f"{field}.map_total"].attrs["units"]))
    draw = partial(_fill_totals, truth, told, label)
    return Plate(
        f"totals-{field}", draw, f"Totals of {field}; mean ratio to the truth: {mean}", caption,
        size=(COLUMN, 3.3),
    )  # fmt: skip


def _fill_profiles(
    radius: np.ndarray,
    means: Mapping[str, np.ndarray],
    residuals: Mapping[str, np.ndarray],
    x_label: str,
    y_label: str,
    figure: Figure,
) -> None:
    profiles(radius, means, residuals, figure, x_label=x_label, y_label=y_label)


def _fill_growth(radius: np.ndarray, growth: Mapping[str, np.ndarray], x_label: str, figure: Figure) -> None:
    cumulative(radius, growth, figure.add_subplot(), x_label=x_label)


def _fill_totals(truth: np.ndarray, told: Mapping[str, np.ndarray], label: str, figure: Figure) -> None:
    totals(truth, told, figure.add_subplot(), label=label)


def _fill_wheel(maps: Mapping[str, np.ndarray], figure: Figure) -> None:
    wheel(maps, figure)
