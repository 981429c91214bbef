"""Curves to zoom into: the traces and the layout that Plotly draws on the page.

Colours are custom properties of the page's style, so that a plot follows the edition that is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from skyloom.report.figures.statistics import Band, lowest

Trace = dict[str, Any]
_REFERENCE = "--soft"


def explorable(
    x: np.ndarray,
    bands: Mapping[str, Band],
    x_label: tuple[str | Markup, Markup],
    y_label: tuple[str | Markup, Markup],
    *,
    log: tuple[bool, bool] = (False, False),
    counts: Mapping[str, np.ndarray] | None = None,
) -> tuple[list[Trace], Trace]:
    """Mean of a statistic with its spread over groups, one line a side.

    Args:
        x: Abscissa, shape ``(n,)``.
        bands: Side to its statistic; the first is drawn in grey, as what the others are held against.
        x_label: Name and unit of ``x``, in HTML.
        y_label: Name and unit of the statistic.
        log: Whether ``x`` and ``y`` are logarithmic.
        counts: What stands in each bin (number of modes), shape ``(n,)`` each; told under the pointer.

    Returns:
        Plotly's traces, two for each side, and its layout, as JSON values; NaN is None.

    Example:
        >>> bands = {"test": Band(np.array([4.0, 1.0]), np.array([1.0, 0.5]))}
        >>> traces, layout = explorable(np.array([0.1, 1.0]), bands, ("k", Markup()), ("P", Markup()))
        >>> traces[0]["y"], traces[1]["y"], layout["xaxis"]["title"]["text"]
        ([5.0, 1.5, 0.5, 3.0], [4.0, 1.0], 'k')
    """
    bottom = lowest(bands) if log[1] else None
    traces: list[Trace] = []
    for order, (side, band) in enumerate(bands.items()):
        colour = _REFERENCE if order == 0 else f"--curve-{order - 1}"
        traces.append(_shade(x, band, side, colour, bottom))
        traces.append(_line(x, band, side, colour, x_label, y_label, counts or {}))
    layout: Trace = {
        "xaxis": {"title": {"text": _axis(x_label)}, "type": "log" if log[0] else "linear"},
        "yaxis": {"title": {"text": _axis(y_label)}, "type": "log" if log[1] else "linear"},
        "hovermode": "closest",
    }
    if bottom is not None:
        tops = [band.mean + np.nan_to_num(band.spread) for band in bands.values()]
        layout["yaxis"]["range"] = [math.log10(bottom), math.log10(1.5 * max(map(np.nanmax, tops)))]
    return traces, layout


def _shade(x: np.ndarray, band: Band, side: str, colour: str, bottom: float | None) -> Trace:
    known = np.isfinite(band.mean) & np.isfinite(band.spread)
    low, high = (band.mean - band.spread)[known], (band.mean + band.spread)[known]
    if bottom is not None:
        low, high = np.maximum(low, bottom), np.maximum(high, bottom)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _values(np.concatenate([x[known], x[known][::-1]])),
        "y": _values(np.concatenate([high, low[::-1]])),
        "fill": "toself",
        "fillcolor": f"{colour}/0.2",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "legendgroup": side,
        "showlegend": False,
    }


def _line(
    x: np.ndarray,
    band: Band,
    side: str,
    colour: str,
    x_label: tuple[str | Markup, Markup],
    y_label: tuple[str | Markup, Markup],
    counts: Mapping[str, np.ndarray],
) -> Trace:
    facts = [f"<b>{escape(side)}</b>", f"{escape(x_label[0])} %{{x:.4g}} {x_label[1]}"]
    facts.append(f"{escape(y_label[0])} %{{y:.4g}} ± %{{customdata[0]:.2g}} {y_label[1]}")
    facts += [f"{escape(name)}: %{{customdata[{place}]:,d}}" for place, name in enumerate(counts, start=1)]
    told = [_values(band.spread), *(_values(column) for column in counts.values())]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": side,
        "x": _values(x),
        "y": _values(band.mean),
        "customdata": [list(row) for row in zip(*told, strict=True)],
        "hovertemplate": "<br>".join(fact.strip() for fact in facts) + "<extra></extra>",
        "line": {"color": colour, "width": 1.8},
        "marker": {"color": colour, "size": 4},
        "legendgroup": side,
    }


def _axis(label: tuple[str | Markup, Markup]) -> str:
    return f"{escape(label[0])} [{label[1]}]" if label[1] else str(escape(label[0]))


def _values(values: np.ndarray) -> list[float | None]:
    """Five digits are more than a screen can show."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in np.asarray(values, float)]
