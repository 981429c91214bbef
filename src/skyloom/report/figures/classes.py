"""Classes: which are taken for which, and how often a classifier is right over how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from skyloom.report.figures.statistics import Band, lowest
from skyloom.report.style import escaped, grey, paper_colour, shades

_SMALL = 6  # more classes than these get smaller letters


def confusion_matrix(counts: np.ndarray, names: Sequence[str], ax: Axes) -> Axes:
    r"""Right class (rows) against given class (columns): share of the row in percent, and the count.

    Args:
        counts: Samples of each class that were given each class, shape ``(C, C)``.
        names: Names of the classes.
        ax: Where to draw.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = confusion_matrix(np.array([[9, 1], [0, 5]]), ["low", "high"], Figure().add_subplot())
        >>> [text.get_text() for text in ax.texts]
        ['90 %\n9', '10 %\n1', '0 %\n0', '100 %\n5']
    """
    counts = np.asarray(counts, float)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    # The first row stands on top, as in a table.
    ax.imshow(share, cmap=shades(), vmin=0, vmax=1, origin="upper", aspect="equal")
    size = 9.0 if len(names) <= _SMALL else 7.0
    for row, column in np.ndindex(counts.shape):
        face = np.array(shades()(share[row, column])[:3])
        dark = float(face @ [0.299, 0.587, 0.114]) < 0.55
        text = f"{100 * share[row, column]:.0f} %\n{counts[row, column]:,.0f}"
        colour = "white" if dark else "black"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=size, linespacing=1.1)
    labels = [escaped(name.replace("_", " ")) for name in names]
    turned = max(map(len, labels)) * len(labels) > 30
    ax.set_xticks(
        range(len(labels)), labels, rotation=35 if turned else 0, ha="right" if turned else "center"
    )
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(length=0)
    ax.set(xlabel="given class", ylabel="right class")
    return ax


def classes_compared(
    x: np.ndarray,
    bands: Mapping[str, Band],
    axes: tuple[Axes, Axes],
    *,
    x_label: str,
    y_label: str,
    log: tuple[bool, bool] = (False, False),
) -> tuple[Axes, Axes]:
    """A statistic of each class with its spread over simulations, and its ratio to that of the first class.

    Args:
        x: Abscissa, such as a wavenumber, shape ``(n,)``.
        bands: Class to its mean and spread.
        axes: Where to draw the curves, and where the ratios.
        x_label: Name and unit of ``x``.
        y_label: Name and unit of the statistic.
        log: Whether ``x`` and the statistic are logarithmic.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> bands = {name: Band(np.full(3, value), np.zeros(3)) for name, value in (("a", 2.0), ("b", 3.0))}
        >>> top, below = classes_compared(
        ...     np.arange(3.0), bands, tuple(Figure().subplots(1, 2)), x_label="k", y_label="P")
        >>> [float(line.get_ydata()[0]) for line in below.lines[1:]]  # the first line is at 1
        [1.5]
    """
    first = next(iter(bands.values())).mean
    curves, ratios = axes
    floor = lowest(bands) if log[1] else None
    ratios.axhline(1.0, color=grey(0.55), lw=0.9)
    for place, (name, band) in enumerate(bands.items()):
        # What a class does not have has no place on a logarithmic axis.
        mean = band.mean if floor is None else np.where(band.mean > 0, band.mean, np.nan)
        low, high = mean - band.spread, mean + band.spread
        low = low if floor is None else np.maximum(low, floor)
        colour = f"C{place}"
        curves.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
        curves.plot(x, mean, color=colour, label=escaped(name.replace("_", " ")))
        if place:
            whole = np.divide(1.0, first, out=np.full_like(first, np.nan, float), where=first != 0)
            ratios.fill_between(x, low * whole, high * whole, color=colour, alpha=0.2, lw=0)
            ratios.plot(x, mean * whole, color=colour)
    for ax in axes:
        ax.set(xscale="log" if log[0] else "linear", xlabel=x_label)
    curves.set(yscale="log" if log[1] else "linear", ylabel=y_label)
    if floor is not None:
        curves.set_ylim(bottom=floor)
    ratios.set(yscale="log", ylabel=f"ratio to {escaped(next(iter(bands)).replace('_', ' '))}")
    curves.legend()
    return axes


def reliability_diagram(
    confidence: np.ndarray,
    right: np.ndarray,
    ax: Axes,
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    chance: float = 0.0,
) -> Axes:
    """Share of right answers over the probability of the likeliest class; on the diagonal if calibrated.

    Args:
        confidence: Mean probability in each bin, shape ``(B,)``.
        right: Share of right answers, shape ``(B,)``.
        ax: Where to draw.
        low: Lower bound of the share, shape ``(B,)``.
        high: Upper bound, shape ``(B,)``.
        chance: The least that the likeliest of the classes can have, 1 over their number.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = reliability_diagram(np.array([0.6, 0.9]), np.array([0.5, 0.8]), Figure().add_subplot())
        >>> ax.get_ylabel()
        'right answers [%]'
    """
    ax.plot([0, 100], [0, 100], color=grey(0.55), lw=0.9, zorder=1)
    style: dict[str, Any] = {"transform": ax.transAxes, "color": grey(0.6), "style": "italic"}
    ax.text(0.04, 0.95, "not sure enough", va="top", **style)
    ax.text(0.96, 0.05, "too sure", ha="right", **style)
    if low is not None and high is not None:
        reach = 100 * np.clip(np.nan_to_num(np.stack([right - low, high - right])), 0.0, None)
        ax.errorbar(
            100 * confidence, 100 * right, yerr=reach, fmt="none", ecolor="C0", elinewidth=1.2, capsize=3
        )
    ax.plot(100 * confidence, 100 * right, color="C0", lw=1.0, zorder=2)
    ax.plot(100 * confidence, 100 * right, "o", ms=5, color="C0", mec=paper_colour(), mew=0.8, zorder=3)
    ax.set(xlim=(100 * chance, 100), ylim=(0, 100))
    ax.set(xlabel="probability of the likeliest class [%]", ylabel="right answers [%]")
    ax.yaxis.set_major_locator(MultipleLocator(20))
    return ax
