"""Curves and scores of a generated set beside the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skyloom.report.figures.maps import field_map, shared_limits
from skyloom.report.figures.statistics import Band, sides_compared
from skyloom.report.style import grey, labelled


@dataclass(frozen=True)
class Mark:
    """One score on the ladder, in units of the floor's upper end.

    Args:
        label: What was measured.
        value: The generated score.
        low: Lower end of its interval, NaN where there is none.
        high: Upper end.
        floor: Lower and upper end of real against real.
        baselines: Baseline to its score.
    """

    label: str
    value: float
    low: float
    high: float
    floor: tuple[float, float]
    baselines: Mapping[str, float]


def ladder(marks: Sequence[Mark], ax: Axes, *, x_label: str) -> Axes:
    """Scores one below another on a logarithmic scale, the floor as a bar.

    Args:
        marks: The scores, all in one unit, the first at the top.
        ax: Where to draw.
        x_label: Name and unit of the scores.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> mark = Mark("P(k)", 0.3, 0.2, 0.4, (0.1, 0.35), {"shuffled": 5.0})
        >>> ladder([mark], Figure().add_subplot(), x_label="error [σ]").get_yticklabels()[0].get_text()
        'P(k)'
    """
    styles = {"gaussian": ("C1", "s", "Gaussian, real P(k)"), "shuffled": ("C2", "D", "real pixels shuffled")}
    known = [v for m in marks for v in (m.value, *m.floor, *m.baselines.values()) if np.isfinite(v) and v > 0]
    edge = 0.6 * min(known, default=0.1)
    for place, mark in enumerate(marks):
        low, high = (max(end, edge) for end in mark.floor)
        label = "real against real" if place == 0 else None
        ax.plot(
            [low, high], [place, place], color=grey(0.35), lw=7, solid_capstyle="butt", label=label, zorder=1
        )
        for name, value in mark.baselines.items():
            colour, shape, told = styles.get(name, ("C3", "^", name))
            label = told if place == 0 else None
            ax.plot(max(value, edge), place, shape, color=colour, mfc="none", ms=4.5, label=label, zorder=2)
        if np.isfinite([mark.low, mark.high]).all():
            ax.plot([max(mark.low, edge), max(mark.high, edge)], [place, place], color="C0", lw=1.4, zorder=3)
        label = "generated" if place == 0 else None
        ax.plot(max(mark.value, edge), place, "o", color="C0", ms=5, label=label, zorder=4)
    ax.set_xscale("log")
    ax.set_xlim(left=edge)
    ax.set_yticks(range(len(marks)), [mark.label for mark in marks])
    ax.set_ylim(len(marks) - 0.4, -0.6)
    ax.yaxis.set_ticks_position("none")
    ax.set_xlabel(x_label)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1.0)
    return ax


def curve_beside(
    x: np.ndarray,
    bands: Mapping[str, Band],
    ax: Axes,
    below: Axes,
    *,
    x_label: str,
    y_label: str,
    log: tuple[bool, bool] = (False, False),
) -> Axes:
    """A statistic of several ensembles, and below it the difference from the first in units of its spread.

    Args:
        x: Abscissa, shape ``(n,)``.
        bands: Ensemble to its mean and spread over groups; the first is the real one, drawn in grey.
        ax: Where the curves go.
        below: Where the differences go.
        x_label: Name and unit of ``x``.
        y_label: Name and unit of the statistic.
        log: Whether ``x`` and ``y`` are logarithmic.

    Returns:
        ``ax``.

    Example:
        >>> from matplotlib.figure import Figure
        >>> upper, lower = Figure().subplots(2)
        >>> bands = {"real": Band(np.ones(3), np.ones(3)), "generated": Band(2 * np.ones(3), np.ones(3))}
        >>> _ = curve_beside(np.arange(3.0), bands, upper, lower, x_label="k", y_label="P")
        >>> lower.lines[-1].get_ydata().tolist()
        [1.0, 1.0, 1.0]
    """
    sides_compared(x, bands, ax, x_label="", y_label=y_label, log=log)
    ax.tick_params(labelbottom=False)
    first, *others = bands.values()
    spread = np.where(first.spread > 0, first.spread, np.nan)
    below.axhspan(-1, 1, color=grey(0.15), lw=0)
    below.axhline(0, color=grey(0.5), lw=0.7)
    for order, band in enumerate(others):
        below.plot(x, (band.mean - first.mean) / spread, color=f"C{order}", lw=1.2)
    below.set_xscale(ax.get_xscale())
    below.set_xlim(ax.get_xlim())
    if log[0]:
        below.xaxis.set_major_locator(ax.xaxis.get_major_locator())
        below.xaxis.set_major_formatter(ax.xaxis.get_major_formatter())
        below.xaxis.set_minor_formatter(ax.xaxis.get_minor_formatter())
    # A baseline may be many spreads away; what is read here is the first few.
    below.set_ylim(-4, 4)
    below.set(xlabel=x_label, ylabel="Δ / σ")
    return ax


def side_by_side(
    figure: Figure, fields: Sequence[tuple[str, np.ndarray, np.ndarray, Mapping[str, Any]]]
) -> Figure:
    """Real maps at the left, generated ones at the right, a row a field with one colour scale.

    Args:
        figure: Where to draw.
        fields: Name, real maps and generated maps ``(n, y, x)`` and attributes (``units``) of each.

    Returns:
        The figure.

    Example:
        >>> two = np.ones((2, 4, 4))
        >>> len(side_by_side(Figure(), [("T", two, two, {"units": "K"})]).axes)
        6
    """
    each = len(fields[0][1])
    ratios = [1.0] * each + [0.12] + [1.0] * each
    axes = figure.subplots(len(fields), 2 * each + 1, squeeze=False, width_ratios=ratios)
    for row, (name, *both, about) in enumerate(fields):
        limits = shared_limits(both[0])
        axes[row, each].set_axis_off()
        for start, kind, maps in zip((0, each + 1), ("real", "generated"), both, strict=True):
            for column, values in enumerate(maps):
                title = kind if row == column == 0 else ""
                image = field_map(values, axes[row, start + column], title=title, limits=limits)
        label = labelled(name, str(about.get("units", "")))
        bar = figure.colorbar(image, ax=list(axes[row]), fraction=0.02, pad=0.01)
        bar.set_label(label, fontsize=7.5)
        bar.ax.tick_params(labelsize=7.5)
    return figure
