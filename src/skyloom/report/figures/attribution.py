"""What a network looks at, drawn over the map: contours of a smoothed attribution; and attribution by scale.

A field of single pixels is hard to see. As in the published figures the attribution is smoothed, by a
Gaussian of 1/32 of the side (4 of 128 pixels), and one contour encloses what reaches a share of its largest
value; the map itself stands below in grey.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.ndimage
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from skyloom.report.style import grey

LEVEL = 0.6
_SMOOTHING = 1 / 32
# Bright on grey of any lightness, in both editions: the map has no edition.
_CONTOUR = "#ff8c1a"


def contoured_map(
    values: np.ndarray,
    attribution: np.ndarray,
    ax: Axes,
    *,
    title: str = "",
    limits: tuple[float, float] | None = None,
    level: float = LEVEL,
) -> AxesImage:
    """A map in grey, and a contour around what the network looks at most.

    Args:
        values: Map, shape ``(y, x)``, in any unit.
        attribution: Shape ``(y, x)``; only what is positive counts.
        ax: Where to draw.
        title: Text above it.
        limits: Values at black and at white; those of the map if None.
        level: Of the smoothed attribution, as a share of its largest value.

    Returns:
        The image, whose ``.axes`` is ``ax``; without contour where nothing is positive.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = Figure().add_subplot()
        >>> image = contoured_map(np.zeros((32, 32)), np.eye(32), ax, limits=(0.0, 1.0))
        >>> image.get_clim(), len(ax.collections)
        ((0.0, 1.0), 1)
    """
    low, high = limits if limits is not None else (float(values.min()), float(values.max()))
    image = ax.imshow(values, cmap="gray", vmin=low, vmax=high)
    smoothed = smoothed_attribution(attribution)
    if smoothed.max() > 0:
        ax.contour(smoothed / smoothed.max(), levels=[level], colors=[_CONTOUR], linewidths=1.4)
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title, fontsize=9.0, pad=3.0, linespacing=1.15)
    return image


def smoothed_attribution(attribution: np.ndarray) -> np.ndarray:
    """The positive part, smoothed by 1/32 of the longer side; edges are mirrored.

    Args:
        attribution: Shape ``(y, x)``.

    Example:
        >>> smoothed_attribution(np.full((8, 8), 2.0)).round(6).max()
        np.float64(2.0)
    """
    width = max(attribution.shape) * _SMOOTHING
    return np.asarray(scipy.ndimage.gaussian_filter(np.maximum(attribution, 0.0).astype(float), width))


def band_labels(low: np.ndarray, high: np.ndarray) -> list[str]:
    """Bands of wavenumbers as they stand below their bars; the last reaches the corner of Fourier space.

    Example:
        >>> band_labels(np.array([0.0, 2.0]), np.array([2.0, 46.0]))
        ['< 2', '≥ 2']
    """
    last = len(low) - 1
    return [
        f"< {b:g}" if a == 0 else f"≥ {a:g}" if place == last else f"{a:g}–{b:g}"
        for place, (a, b) in enumerate(zip(low, high, strict=True))
    ]


def scores_by_band(
    labels: Sequence[str],
    scores: tuple[np.ndarray, np.ndarray],
    bounds: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    ax: Axes,
    *,
    own: float,
    y_label: str,
    floor: float = -1.0,
) -> Axes:
    """Score without each band and with nothing but it, beside that of the maps as they are.

    Args:
        labels: Names of the ``n`` bands.
        scores: With the band removed, and with only the band, each of shape ``(n,)``.
        bounds: Lower and upper bounds of both, NaN without any.
        ax: Where to draw.
        own: Score of the maps as they are.
        y_label: Name of the score.
        floor: Scores below it are drawn at the edge.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> one = np.array([0.5])
        >>> pair = (one, one)
        >>> ax = scores_by_band(["< 2"], pair, (pair, pair), Figure().add_subplot(), own=0.9, y_label="$R^2$")
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['all scales', 'band removed', 'only this band']
    """
    place = np.arange(len(labels))
    ax.axhline(0.0, color=grey(0.4), lw=0.7)
    ax.axhline(own, color=grey(0.6), lw=1.1, ls="--", label="all scales")
    for shift, colour, marker, name, score, (low, high) in zip(
        (-0.12, 0.12), ("C0", "C1"), "os", ("band removed", "only this band"), scores, bounds, strict=True
    ):
        ends = (np.maximum(bound, floor) for bound in (low, high))
        ax.vlines(place + shift, *ends, color=colour, lw=1.4)
        below = score < floor
        ax.plot((place + shift)[~below], score[~below], marker, ms=5.5, color=colour, label=name)
        ax.plot((place + shift)[below], np.full(below.sum(), floor), "v", ms=5.5, color=colour)
    every = np.concatenate([*scores, [own, 0.0]])
    ax.set(ylabel=y_label, xlabel="waves along the side of the map")
    ax.set_xticks(place, labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.tick_params(axis="x", which="both", length=0)
    lowest = max(float(np.nanmin(every)), floor)
    ax.set_ylim(lowest - 0.12, 1.06)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.2, handletextpad=0.4)
    return ax


def attribution_by_band(
    labels: Sequence[str], by_band: np.ndarray, ax: Axes, *, y_label: str = "share of the attribution"
) -> Axes:
    """How the attribution is shared among bands: bars of the mean size, and the spread over maps.

    Args:
        labels: Names of the ``n`` bands, the mean of the map first or last as the caller likes.
        by_band: Attribution of each map, shape ``(maps, n)``, any unit and sign.
        ax: Where to draw.
        y_label: Label of the axis.

    Returns:
        The axes; all is divided by the sum of the bars, and whiskers hold the central 68 % of the maps.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = attribution_by_band(["< 2", "≥ 2"], np.array([[1.0, -3.0]]), Figure().add_subplot())
        >>> [float(bar.get_height()) for bar in ax.patches]
        [0.25, 0.75]
    """
    size = np.abs(by_band)
    share = size / (size.mean(axis=0).sum() or 1.0)
    place = np.arange(len(labels))
    ax.bar(place, share.mean(axis=0), width=0.62, color="C0", alpha=0.45, edgecolor="C0", lw=1.2)
    ax.vlines(place, *np.quantile(share, [0.16, 0.84], axis=0), color="C0", lw=1.4)
    ax.set(ylabel=y_label, xlabel="waves along the side of the map", ylim=(0, None))
    ax.set_xticks(place, labels)
    ax.tick_params(axis="x", which="both", length=0)
    return ax
