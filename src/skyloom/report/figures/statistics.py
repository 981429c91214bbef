"""Summary statistics of the train side beside those of the side that was judged.

If the two bands part, the test asks for extrapolation, and the score should be read so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from skyloom.report.style import grey


@dataclass(frozen=True)
class Band:
    """A statistic of one side.

    Args:
        mean: Mean over groups, shape ``(n,)``.
        spread: Standard deviation over groups, shape ``(n,)``, same unit; NaN for one group.
    """

    mean: np.ndarray
    spread: np.ndarray


def sides_compared(
    x: np.ndarray,
    bands: Mapping[str, Band],
    ax: Axes,
    *,
    x_label: str,
    y_label: str,
    log: tuple[bool, bool] = (False, False),
) -> Axes:
    """Mean of a statistic with its spread over groups, one line a side.

    Args:
        x: Abscissa (wavenumber, pixel value), shape ``(n,)``.
        bands: Side to its statistic; the first is drawn in grey, as what the others are held against.
        ax: Where to draw.
        x_label: Name and unit of ``x``.
        y_label: Name and unit of the statistic.
        log: Whether ``x`` and ``y`` are logarithmic.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> x = np.arange(1.0, 4.0)
        >>> bands = {"test": Band(1 / x, 0.1 / x)}
        >>> ax = sides_compared(x, bands, Figure().add_subplot(), x_label="k", y_label="P")
        >>> ax.get_xlabel()
        'k'
    """
    positive = np.concatenate([band.mean[band.mean > 0] for band in bands.values()])
    steep = log[1] and positive.size > 0
    # A spread larger than the mean reaches below zero: its band goes down to the edge of the axes.
    bottom = 0.3 * positive.min() if steep else -np.inf
    for order, (side, band) in enumerate(bands.items()):
        colour = grey(0.65) if order == 0 else f"C{order - 1}"
        low, high = band.mean - band.spread, band.mean + band.spread
        if steep:
            low = np.maximum(low, bottom)
        ax.fill_between(x, low, high, where=high > low, color=colour, alpha=0.22, lw=0)
        ax.plot(x, band.mean, color=colour, label=side, lw=1.2 if order == 0 else 1.5)
    if log[0]:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    if steep:
        ax.set_yscale("log")
        ax.set_ylim(bottom=bottom)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.margins(x=0.02)
    ax.legend(loc="best")
    return ax
