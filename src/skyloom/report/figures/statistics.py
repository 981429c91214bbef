"""Summary statistics of the train side beside those of the side that was judged, as curves and as matrices.

If the two bands part, the test asks for extrapolation, and the score should be read so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from skyloom.report.style import grey, shades


@dataclass(frozen=True)
class Band:
    """A statistic of one side.

    Args:
        mean: Mean over groups, shape ``(n,)``; ``(n, m)`` for a matrix, ``()`` for a number.
        spread: Standard deviation over groups, same shape and unit; NaN for one group.
    """

    mean: np.ndarray
    spread: np.ndarray


def separation(first: Band, second: Band) -> np.ndarray:
    """Difference of two sides, second minus first, in units of the larger of their spreads.

    Where one side hardly varies, such as in the empty tail of a PDF, its own spread would make any difference
    look huge.

    Args:
        first: A side.
        second: Another.

    Returns:
        The shape of the means, NaN where neither side has a spread.

    Example:
        >>> flat, wide = Band(np.array([1.0]), np.array([1e-9])), Band(np.array([3.0]), np.array([0.5]))
        >>> separation(flat, wide).tolist()
        [4.0]
    """
    spread = np.fmax(first.spread, second.spread)
    known = spread > 0
    apart = np.divide(second.mean - first.mean, spread, out=np.full(np.shape(known), np.nan), where=known)
    return np.asarray(apart)


def lowest(bands: Mapping[str, Band]) -> float | None:
    """Lower end of a logarithmic axis: a third of the smallest positive mean; None without any.

    Example:
        >>> lowest({"test": Band(np.array([0.0, 3.0]), np.zeros(2))})
        0.9
        >>> lowest({"test": Band(np.array([3e-24]), np.zeros(1))})  # the power of a magnetic field in gauss
        9e-25
    """
    positive = np.concatenate([band.mean[band.mean > 0] for band in bands.values()])
    return float(f"{0.3 * float(positive.min()):.12g}") if positive.size else None


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
    # A spread larger than the mean reaches below zero: its band goes down to the edge of the axes.
    bottom = (lowest(bands) if log[1] else None) or -np.inf
    steep = bool(np.isfinite(bottom))
    for order, (side, band) in enumerate(bands.items()):
        colour = grey(0.65) if order == 0 else f"C{order - 1}"
        low, high = band.mean - band.spread, band.mean + band.spread
        if steep:
            low = np.maximum(low, bottom)
        ax.fill_between(x, low, high, where=high > low, color=colour, alpha=0.22, lw=0)
        ax.plot(x, band.mean, color=colour, label=side, lw=1.2 if order == 0 else 1.5)
    if log[0]:
        logarithmic(ax)
    if steep:
        ax.set_yscale("log")
        ax.set_ylim(bottom=bottom)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.margins(x=0.02)
    ax.legend(loc="best")
    return ax


def logarithmic(ax: Axes) -> None:
    """Give axes a logarithmic abscissa whose numbers are written out, 1, 2, 5 and 10.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = Figure().add_subplot()
        >>> logarithmic(ax)
        >>> ax.get_xscale()
        'log'
    """
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def matrices_compared(
    bands: Mapping[str, Band],
    figure: Figure,
    *,
    labels: tuple[str, str],
    ticks: tuple[Sequence[str], Sequence[str]],
    value: str,
) -> list[Axes]:
    """A statistic with two axes: a panel for each side and the difference of the first two.

    Args:
        bands: Side to its statistic, each ``(rows, columns)``.
        figure: Where to draw.
        labels: Name and unit of the rows and of the columns.
        ticks: Labels of the rows and of the columns.
        value: Name and unit of the statistic.

    Returns:
        The axes: the sides on one scale, then `separation` of the first two on one that is centred.

    Example:
        >>> bands = {side: Band(np.eye(2), np.ones((2, 2))) for side in ("train", "test")}
        >>> axes = matrices_compared(
        ...     bands, Figure(), labels=("a", "b"), ticks=(["1", "2"], ["1", "2"]), value="c"
        ... )
        >>> [ax.get_title() for ax in axes]
        ['train', 'test', '(test − train) / spread']
    """
    first, *others = bands.values()
    apart = separation(first, others[0]) if others else np.array(np.nan)
    compared = bool(np.isfinite(apart).any())
    axes = list(np.atleast_1d(figure.subplots(1, len(bands) + compared, sharey=True)))
    shared = _scale(np.stack([band.mean for band in bands.values()]))
    for ax, (side, band) in zip(axes, bands.items(), strict=False):
        image = ax.imshow(band.mean, aspect="auto", **shared)
        ax.set_title(side)
    figure.colorbar(image, ax=axes[: len(bands)], label=value, pad=0.02)
    if compared:
        bound = max(1.0, float(np.nanmax(np.abs(apart[np.isfinite(apart)]))))
        image = axes[-1].imshow(apart, aspect="auto", cmap="RdBu_r", vmin=-bound, vmax=bound)
        train, test, *_ = bands
        axes[-1].set_title(f"({test} − {train}) / spread")
        figure.colorbar(image, ax=axes[-1], pad=0.04)
    axes[len(axes) // 2].set_xlabel(labels[1])
    for ax in axes:
        places = _some(len(ticks[1]))
        ax.set_xticks(places, [ticks[1][place] for place in places])
        ax.tick_params(which="both", length=0)
    places = _some(len(ticks[0]), 10)
    axes[0].set_yticks(places, [ticks[0][place] for place in places])
    axes[0].set_ylabel(labels[0])
    return axes


def _scale(values: np.ndarray) -> dict[str, Any]:
    """Logarithmic for what is positive and steep, centred for what changes sign."""
    finite = values[np.isfinite(values)]
    if finite.min() < 0 < finite.max():
        bound = float(np.abs(finite).max())
        return {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
    low, high = float(finite.min()), float(finite.max())
    norm = LogNorm(low, high) if low > 0 and high > 30 * low else Normalize(low, high)
    return {"cmap": shades(), "norm": norm}


def _some(n: int, most: int = 4) -> list[int]:
    """At most ``most`` places out of ``n``, evenly spaced."""
    return list(range(0, n, -(-n // most)))
