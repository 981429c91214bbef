"""Figures of the summary statistics of the sides: are they drawn from the same skies?"""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.figures.statistics import Band, sides_compared
from skyloom.report.page import counted, listed, number, parameter
from skyloom.report.style import PAGE, Plate, symbol, unit_text

_RANGE = 30.0


def statistics_plates(data: xr.Dataset) -> list[Plate]:
    """One figure for each statistic of a field that has one axis.

    Args:
        data: ``statistics.nc``: variables ``field.statistic.name (side, axis)``, the mean over groups, and
            ``….spread``, their sd.

    Returns:
        The figures, the train side in grey beneath the others.
    """
    plates = []
    for key, variable in data.data_vars.items():
        name = str(key)
        if f"{name}.spread" in data and variable.ndim == 2 and "side" in variable.dims:
            plates.append(_plate(data, name))
    return plates


def groups_of(data: xr.Dataset | None, side: str) -> int | None:
    """Number of groups of a side, None where it is not on record.

    Args:
        data: ``statistics.nc`` or None.
        side: ``train``, ``validation`` or ``test``.

    Example:
        >>> groups_of(xr.Dataset(coords={"side": ["train"], "groups": ("side", [36])}), "train")
        36
    """
    if data is None or "groups" not in data.coords or side not in data["side"].values:
        return None
    return int(data["groups"].sel(side=side))


def _plate(data: xr.Dataset, name: str) -> Plate:
    field, statistic, _ = name.split(".", 2)
    mean = data[name].transpose("side", ...)
    spread = data[f"{name}.spread"].transpose("side", ...)
    axis = data[str(mean.dims[1])]
    # The train side comes first: it is what the others are held against.
    order = sorted((str(side) for side in data["side"].values), key=lambda side: side != "train")
    bands = {side: Band(mean.sel(side=side).values, spread.sel(side=side).values) for side in order}
    positive = mean.values[mean.values > 0]
    steep = bool(positive.size and positive.max() / positive.min() > _RANGE)
    log = (str(axis.name).endswith(".k"), steep)
    labels = (_label(axis, ""), _label(mean, symbol(field)))
    counts = listed(
        [f"{side} ({counted(groups, 'simulation')})" for side in order if (groups := groups_of(data, side))]
    )
    far = _distance(bands, order)
    apart = f" At most {number(far, 1)} spreads apart." if far is not None else ""
    what = str(mean.attrs.get("long_name", statistic.replace("_", " ")))
    caption = Markup("{} of {}, mean and spread over groups: {}.{}").format(
        what.capitalize(), parameter(field), counts, apart
    )
    alt = f"{what} of {field} of the sides {', '.join(order)}.{apart}"
    draw = partial(_fill, axis.values, bands, labels, log)
    return Plate(f"{statistic}-{field}-{name.rsplit('.', 1)[1]}", draw, alt, caption, size=(PAGE / 2, 2.9))


def _fill(
    x: np.ndarray, bands: dict[str, Band], labels: tuple[str, str], log: tuple[bool, bool], figure: Figure
) -> None:
    sides_compared(x, bands, figure.add_subplot(), x_label=labels[0], y_label=labels[1], log=log)


def _label(values: xr.DataArray, of: str) -> str:
    name = str(values.attrs.get("long_name", str(values.name).rsplit(".", 1)[-1]))
    unit = str(values.attrs.get("units", ""))
    return name + (f" of {of}" if of else "") + (f"  [{unit_text(unit)}]" if unit else "")


def _distance(bands: dict[str, Band], order: list[str]) -> float | None:
    """Largest difference of two sides' means in units of the first side's spread."""
    if len(order) < 2:
        return None
    first, second = bands[order[0]], bands[order[1]]
    known = np.isfinite(first.spread) & (first.spread > 0)
    if not known.any():
        return None
    return float((np.abs(second.mean - first.mean)[known] / first.spread[known]).max())
