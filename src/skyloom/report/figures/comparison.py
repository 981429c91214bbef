"""Scores side by side: one row a method, a dot with its interval, the ceiling as a hollow diamond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from skyloom.report.style import escaped, grey, paper_colour


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Args:
        label: What was scored.
        value: Score.
        low: Lower bound of its interval, NaN if there is none.
        high: Upper bound.
        role: ``run`` (the network of this page), ``baseline``, ``ceiling`` or ``variant``.
        leaky: Whether its split leaks.
    """

    label: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    role: str = "baseline"
    leaky: bool = False


def scores_in_rows(
    rows: Sequence[Row], ax: Axes, *, score: str = "$R^2$", floor: float | None = None
) -> Axes:
    """Dots with intervals, best read from top to bottom.

    Args:
        rows: In the order in which they shall stand.
        ax: Where to draw.
        score: Label of the horizontal axis.
        floor: Left end of the axis; rows below it are drawn at the edge with an arrow and their number.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = scores_in_rows([Row("network", 0.98, 0.97, 0.99, "run")], Figure().add_subplot())
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['network']
    """
    values = np.array([[row.value, row.low, row.high] for row in rows])
    left = _floor(values) if floor is None else floor
    right = max(1.0, float(np.nanmax(values)))
    margin = 0.03 * (right - left)
    run = next((row for row in rows if row.role == "run"), None)
    if run is not None and np.isfinite(run.low) and np.isfinite(run.high):
        ax.axvspan(max(run.low, left), run.high, color="C0", alpha=0.12, lw=0)
    for place, row in enumerate(rows):
        _dot(place, row, ax, left)
    ax.set(xlim=(left - margin, right + margin), ylim=(len(rows) - 0.4, -0.6), xlabel=score)
    ax.set_yticks(range(len(rows)), [escaped(row.label) + (" (leaky)" if row.leaky else "") for row in rows])
    ax.tick_params(axis="y", which="both", length=0)
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.role == "run" else "normal")
        if row.leaky:
            label.set_color("C1")
    return ax


def seeds(
    values: np.ndarray, ax: Axes, *, label: str = "$R^2$", interval: tuple[float, float] | None = None
) -> Axes:
    """One dot for each training seed, with the mean as a line and the interval over groups as a band.

    Args:
        values: Score of each seed, shape ``(n,)``.
        ax: Where to draw.
        label: Name of the score.
        interval: Interval of the score over groups.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> seeds(np.array([0.97, 0.98]), Figure().add_subplot()).get_xlabel()
        'training seed'
    """
    if interval is not None and np.isfinite(interval).all():
        ax.axhspan(*interval, color="C0", alpha=0.13, lw=0, label="95 % over simulations")
    ax.axhline(values.mean(), color=grey(0.6), lw=1.0, label="mean of seeds")
    ax.plot(np.arange(len(values)), values, "o", ms=5.5, color="C0", mec=paper_colour(), mew=0.8)
    ax.set(xlabel="training seed", ylabel=label, xlim=(-0.6, len(values) - 0.4))
    ax.set_xticks(range(len(values)))
    ax.margins(y=0.35)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", ncols=2, columnspacing=1.2)
    return ax


def _floor(values: np.ndarray) -> float:
    low = float(np.nanmin(values))
    if low < -0.5:
        return -0.5
    step, margin = (10, 0.02) if low < 0.9 else (50, 0.005)
    return float(np.floor((low - margin) * step) / step)


def _dot(place: int, row: Row, ax: Axes, left: float) -> None:
    colour = {"run": "C0", "variant": "C2", "ceiling": grey(0.75)}.get(row.role, grey(0.6))
    colour = "C1" if row.leaky else colour
    if row.value < left:
        at_edge = blended_transform_factory(ax.transAxes, ax.transData)
        ax.text(
            0.02,
            place,
            f"$\\blacktriangleleft$ ${row.value:.2f}$",
            transform=at_edge,
            va="center",
            color=colour,
        )
        return
    if np.isfinite(row.low) and np.isfinite(row.high):
        ax.hlines(place, max(row.low, left), row.high, color=colour, lw=1.6)
    marker = "D" if row.role == "ceiling" else "o"
    face = paper_colour() if row.role == "ceiling" or row.leaky else colour
    ax.plot(row.value, place, marker, ms=5.5, mfc=face, mec=colour, mew=1.1)
