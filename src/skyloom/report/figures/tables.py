"""Tables of numbers, real and generated: histograms, and mean and width along a condition."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from skyloom.report.style import grey


def histograms(middles: np.ndarray, real: np.ndarray, generated: np.ndarray, ax: Axes, *, label: str) -> Axes:
    """Two histograms of one number, the real one filled.

    Args:
        middles: Middles of the bins, shape ``(n,)``.
        real: Density in each bin, shape ``(n,)``, in one over the unit of the bins.
        generated: The same of what was drawn.
        ax: Where to draw.
        label: Name and unit of the number.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> x = np.arange(3.0)
        >>> histograms(x, x, x, Figure().add_subplot(), label="nHit").get_xlabel()
        'nHit'
    """
    width = middles[1] - middles[0]
    edges = np.append(middles - 0.5 * width, middles[-1] + 0.5 * width)
    ax.stairs(real, edges, fill=True, color=grey(0.25), label="real")
    ax.stairs(generated, edges, color="C1", label="generated")
    ax.set_xlabel(label)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.15 * max(float(real.max()), float(generated.max())))
    ax.set_yticks([])
    return ax


def along(x: np.ndarray, mean: np.ndarray, width: np.ndarray, ax: Axes, *, labels: tuple[str, str]) -> Axes:
    """Mean and width of a number along a condition, real as a band and generated as points with bars.

    Args:
        x: The condition in each range, shape ``(n,)``.
        mean: Mean of the number, shape ``(2, n)``: real, generated.
        width: Its standard deviation, the same shape and unit.
        ax: Where to draw.
        labels: Name and unit of the condition and of the number.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> two = np.ones((2, 3))
        >>> along(np.arange(3.0), two, two, Figure().add_subplot(), labels=("E", "nHit")).get_ylabel()
        'nHit'
    """
    ax.fill_between(x, mean[0] - width[0], mean[0] + width[0], color=grey(0.2), lw=0, label="real")
    ax.plot(x, mean[0], color=grey(0.7))
    ax.errorbar(x, mean[1], width[1], fmt="o", ms=3, lw=1, color="C1", label="generated")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    return ax
