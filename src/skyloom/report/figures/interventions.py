"""What the score does when the maps are changed, and when the network forgets: does it use what it should?

Two numbers stand for a changed map: the score, and the squared correlation, which forgives a prediction that
is only shifted or stretched. Where the first falls and the second stays, the changed maps merely lie outside
what the network knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from skyloom.report.style import grey, paper_colour

FLOOR = -1.0


@dataclass(frozen=True)
class Rescored:
    """The score of several versions of the same maps.

    Args:
        score: Shape ``(versions,)``.
        low: Lower bound over groups, NaN without one, shape ``(versions,)``.
        high: Upper bound, shape ``(versions,)``.
        correlation_squared: Shape ``(versions,)``.
    """

    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    correlation_squared: np.ndarray


def score_against_width(
    width: np.ndarray, curves: Mapping[str, Rescored], ax: Axes, *, x_label: str, y_label: str
) -> Axes:
    """Score on maps smoothed more and more, one colour a target; dotted: the squared correlation.

    Args:
        width: Width of the smoothing, shape ``(n,)``.
        curves: Label of a target to its scores at each width.
        ax: Where to draw.
        x_label: Name and unit of the width.
        y_label: Name of the score.

    Returns:
        The axes; values below -1 are cut off.

    Example:
        >>> from matplotlib.figure import Figure
        >>> two = np.array([0.9, 0.5])
        >>> curves = {"x": Rescored(two, two - 0.1, two + 0.05, two)}
        >>> labels = {"x_label": "width", "y_label": "$R^2$"}
        >>> ax = score_against_width(np.arange(2.0), curves, Figure().add_subplot(), **labels)
        >>> ax.get_ylabel()
        '$R^2$'
    """
    place = np.arange(len(width))
    ax.axhline(0.0, color=grey(0.4), lw=0.7)
    for order, (name, curve) in enumerate(curves.items()):
        colour = f"C{order}"
        low, high = (np.maximum(bound, FLOOR - 1) for bound in (curve.low, curve.high))
        ax.fill_between(place, low, high, color=colour, alpha=0.18, lw=0)
        ax.plot(place, curve.score, "o-", ms=5, mec=paper_colour(), mew=0.8, color=colour, label=name)
        ax.plot(place, curve.correlation_squared, ":", lw=1.3, color=colour)
    ax.plot([], [], ":", lw=1.3, color=grey(0.7), label="squared correlation")
    lowest = min(float(np.nanmin(curve.score)) for curve in curves.values())
    ax.set(xlabel=x_label, ylabel=y_label, ylim=(max(lowest, FLOOR) - 0.1 if lowest < 0 else -0.05, 1.05))
    # Widths double from one to the next: even places read better than a scale, which would need a zero.
    ax.set_xticks(place, [f"{value:g}" for value in width])
    ax.legend(loc="best")
    return ax


def probability_against_width(
    width: np.ndarray, curves: Mapping[str, np.ndarray], ax: Axes, *, x_label: str
) -> Axes:
    """Mean probability of each class on maps smoothed more and more.

    Args:
        width: Width of the smoothing, shape ``(n,)``.
        curves: Class to its probability at each width.
        ax: Where to draw.
        x_label: Name and unit of the width.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> curves = {"MHD": np.array([0.9, 0.2]), "CR": np.array([0.1, 0.8])}
        >>> ax = probability_against_width(np.arange(2.0), curves, Figure().add_subplot(), x_label="w")
        >>> len(ax.lines)
        2
    """
    place = np.arange(len(width))
    for order, (name, probability) in enumerate(curves.items()):
        ax.plot(place, probability, "o-", ms=4, mec=paper_colour(), mew=0.8, color=f"C{order}", label=name)
    ax.set(xlabel=x_label, ylim=(-0.05, 1.05))
    ax.set_xticks(place, [f"{value:g}" for value in width])
    return ax


def own_and_changed(
    labels: Sequence[str], rows: Sequence[Rescored], ax: Axes, *, names: tuple[str, str], x_label: str
) -> Axes:
    """The score of maps as they are and changed, one row a target.

    Args:
        labels: One a row.
        rows: Two versions each: as they are, and changed.
        ax: Where to draw.
        names: What the two versions are called.
        x_label: Name of the score.

    Returns:
        The axes; values below -1 are drawn at the edge.

    Example:
        >>> from matplotlib.figure import Figure
        >>> two = np.array([0.9, 0.5])
        >>> row = Rescored(two, two - 0.1, two + 0.05, two)
        >>> ax = own_and_changed(["x"], [row], Figure().add_subplot(), names=("own", "flat"), x_label="$R^2$")
        >>> ax.get_xlabel()
        '$R^2$'
    """
    ax.axvline(0.0, color=grey(0.4), lw=0.7)
    for place, row in enumerate(rows):
        for version, colour in enumerate((grey(0.6), "C0")):
            x, y = max(float(row.score[version]), FLOOR), place + (-0.16, 0.16)[version]
            if np.isfinite(row.low[version]):
                ax.hlines(
                    y, max(float(row.low[version]), FLOOR), float(row.high[version]), color=colour, lw=1.6
                )
            marker = "o" if row.score[version] >= FLOOR else "<"
            ax.plot(x, y, marker, ms=6, color=colour, label=None if place else names[version])
            value = f"${row.score[version]:.2f}$"
            # The first value stands above its mark, the second below: rows lie close together.
            above, side = (0, (6, -6)[version]), ("bottom", "top")[version]
            ax.annotate(
                value, (x, y), xytext=above, textcoords="offset points", ha="center", va=side, color=colour
            )
        changed = float(row.correlation_squared[1])
        label = None if place else f"{names[1]}, squared correlation"
        ax.plot(changed, place + 0.16, "D", ms=5, mfc="none", mec="C0", label=label)
    ax.set(ylim=(len(labels) - 0.4, -0.6), xlabel=x_label)
    ax.set_xlim(min(-0.05, ax.get_xlim()[0]), 1.1)
    ax.set_yticks(np.arange(len(labels)), labels)
    ax.tick_params(axis="y", which="both", length=0)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.2, handletextpad=0.3)
    return ax


def twin_correlations(
    correlation: np.ndarray, ax: Axes, *, limit: float, twin: str = "untrained twin"
) -> Axes:
    """How alike attributions of the trained network and of twins without the knowledge rank the pixels.

    Args:
        correlation: Rank correlation of each map, between -1 and 1, shape ``(n,)``.
        ax: Where to draw.
        limit: Above it the picture comes from the network's shape, not from what it learned.
        twin: What the others are.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = twin_correlations(np.array([0.1, 0.2]), Figure().add_subplot(), limit=0.5)
        >>> ax.get_xlabel()
        'rank correlation with an untrained twin'
    """
    counts, edges = np.histogram(correlation[np.isfinite(correlation)], bins=np.linspace(-1.0, 1.0, 41))
    ax.axvspan(limit, 1.0, color="C1", alpha=0.12, lw=0)
    ax.stairs(counts, edges, fill=True, color="C0", alpha=0.35)
    ax.stairs(counts, edges, color="C0", lw=1.2)
    ax.axvline(0.0, color=grey(0.4), lw=0.7)
    top = 1.25 * max(int(counts.max()), 1)
    ax.text((1 + limit) / 2, 0.96 * top, "suspicious", color="C1", ha="center", va="top", style="italic")
    ax.set(
        xticks=np.linspace(-1, 1, 5),
        xlim=(-1, 1),
        ylim=(0, top),
        xlabel=f"rank correlation with {'an' if twin[0] in 'aeiou' else 'a'} {twin}",
        ylabel="maps × twins",
    )
    return ax
