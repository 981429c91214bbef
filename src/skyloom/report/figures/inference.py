"""Truth against prediction, and what is left over.

Points are coloured by redshift where it is known and varies, else by how crowded the place is. Error bars
of thousands of maps would cover each other, so a few dozen stand for all, spread evenly over the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from skyloom.report.style import grey, labelled, paper_colour, shades

_BARS = 40
_FEW = 8


def truth_against_prediction(
    truth: np.ndarray,
    mean: np.ndarray,
    ax: Axes,
    *,
    name: str,
    unit: str = "",
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
    redshift: np.ndarray | None = None,
) -> Axes:
    r"""Scatter of prediction over truth with the line of equality and thinned error bars.

    Args:
        truth: True values [unit], shape ``(n,)``.
        mean: Predicted values [unit], shape ``(n,)``.
        ax: Where to draw.
        name: Parameter, as in the recipe.
        unit: Its unit.
        bounds: Lower and upper bound [unit] of the 68 % interval, each ``(n,)``.
        redshift: Redshift of each map, shape ``(n,)``; density is shown without it.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = truth_against_prediction(np.arange(3.0), np.arange(3.0), Figure().add_subplot(), name="x_HI")
        >>> ax.get_ylabel()
        'predicted $x_\\mathrm{HI}$'
    """
    low, high = _span(truth, mean)
    ax.plot([low, high], [low, high], color=grey(0.55), lw=0.9, zorder=1)
    if bounds is not None:
        chosen = _spread_out(truth)
        reach = np.clip(np.stack([mean - bounds[0], bounds[1] - mean]), 0.0, None)
        low_end, high_end = mean[chosen] - reach[0, chosen], mean[chosen] + reach[1, chosen]
        ax.vlines(truth[chosen], low_end, high_end, color=grey(0.5), lw=0.7, zorder=2)
    _points(truth, mean, ax, redshift, legend=True)
    ax.set(xlim=(low, high), ylim=(low, high))
    ax.set_xlabel(f"true {labelled(name, unit)}")
    ax.set_ylabel(f"predicted {labelled(name, unit)}")
    return ax


def residuals(
    truth: np.ndarray,
    mean: np.ndarray,
    ax: Axes,
    *,
    name: str,
    unit: str = "",
    redshift: np.ndarray | None = None,
) -> Axes:
    """Prediction minus truth over the truth, with the running median and its 68 % range.

    Args:
        truth: True values [unit], shape ``(n,)``.
        mean: Predicted values [unit], shape ``(n,)``.
        ax: Where to draw.
        name: Parameter, as in the recipe.
        unit: Its unit.
        redshift: Redshift of each map, shape ``(n,)``.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> residuals(np.arange(3.0), np.arange(3.0), Figure().add_subplot(), name="x_HI").get_ylabel()
        'residual'
    """
    left = mean - truth
    ax.axhline(0.0, color=grey(0.55), lw=0.9, zorder=1)
    _points(truth, left, ax, redshift, legend=False)
    edges = np.quantile(truth, np.linspace(0.0, 1.0, min(11, max(2, len(truth) // 20)) + 1))
    centre, quantiles = _running(truth, left, edges)
    if len(centre) > 1:
        ax.fill_between(centre, quantiles[0], quantiles[2], color=grey(0.9), alpha=0.16, lw=0, zorder=3)
        ax.plot(centre, quantiles[1], color=grey(0.95), lw=1.2, zorder=4)
    reach = 1.15 * max(float(np.quantile(np.abs(left), 0.995)), 1e-12)
    low, high = _span(truth, mean)
    ax.set(ylim=(-reach, reach), xlim=(low, high), ylabel="residual")
    ax.set_xlabel(f"true {labelled(name, unit)}")
    return ax


def residuals_by_redshift(
    redshift: np.ndarray, residual: np.ndarray, ax: Axes, *, name: str, unit: str = ""
) -> Axes:
    """Median residual with its 68 and 95 % ranges at each redshift, or in bins of many redshifts.

    Args:
        redshift: Shape ``(n,)``.
        residual: Prediction minus truth [unit], shape ``(n,)``.
        ax: Where to draw.
        name: Parameter, as in the recipe.
        unit: Its unit.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> z, left = np.repeat([7.0, 8.0], 50), np.zeros(100)
        >>> residuals_by_redshift(z, left, Figure().add_subplot(), name="x_HI").get_xlabel()
        'redshift'
    """
    distinct = np.unique(redshift)
    if len(distinct) <= _FEW:
        places, members = distinct, [residual[redshift == z] for z in distinct]
    else:
        edges = np.quantile(redshift, np.linspace(0.0, 1.0, _FEW + 1))
        which = np.clip(np.searchsorted(edges, redshift, side="right") - 1, 0, _FEW - 1)
        used = np.unique(which)
        members = [residual[which == i] for i in used]
        places = np.array([redshift[which == i].mean() for i in used])
    q = np.array([np.quantile(part, [0.025, 0.16, 0.5, 0.84, 0.975]) for part in members])
    ax.axhline(0.0, color=grey(0.55), lw=0.9)
    ax.vlines(places, q[:, 0], q[:, 4], color="C0", lw=1.0, label="95 % of maps")
    ax.vlines(places, q[:, 1], q[:, 3], color="C0", lw=5.0, alpha=0.45, label="68 % of maps")
    ax.plot(places, q[:, 2], "o", ms=4.5, color="C0", mec=paper_colour(), mew=0.8, label="median")
    margin = 0.12 * (np.ptp(places) or 1.0)
    reach = 1.1 * max(float(np.abs(q).max()), 1e-12)
    # The head room holds the legend.
    ax.set(xlim=(places.min() - margin, places.max() + margin), ylim=(-reach, 1.45 * reach))
    ax.set(xlabel="redshift", ylabel=f"predicted − true {labelled(name, unit)}")
    if len(distinct) <= _FEW:
        ax.set_xticks(places, [f"{z:g}" for z in places])
    ax.legend(ncols=3, loc="upper center", columnspacing=1.0, handletextpad=0.5)
    return ax


def _points(x: np.ndarray, y: np.ndarray, ax: Axes, redshift: np.ndarray | None, *, legend: bool) -> None:
    size = float(np.clip(2600.0 / max(len(x), 1), 4.0, 14.0))
    style: dict[str, Any] = {"s": size, "lw": 0, "alpha": 0.8, "zorder": 2.5, "rasterized": len(x) > 500}
    distinct = np.unique(redshift) if redshift is not None else np.array([])
    if len(distinct) < 2 or redshift is None:
        crowd = _crowding(x, y)
        order = np.argsort(crowd)
        ax.scatter(x[order], y[order], c=crowd[order], cmap=shades(), **style)
        return
    # Points are laid down in an order without meaning, else the last redshift would hide the others.
    order = np.random.default_rng(0).permutation(len(x))
    if len(distinct) <= _FEW:
        colours = shades()(np.linspace(0.0, 1.0, len(distinct)))
        which = np.searchsorted(distinct, redshift)
        ax.scatter(x[order], y[order], color=colours[which[order]], **style)
        if legend:
            for z, colour in zip(distinct, colours, strict=True):
                ax.scatter([], [], s=18, color=[colour], label=f"$z = {z:g}$")
            ax.legend(loc="upper left", handletextpad=0.1, labelspacing=0.25)
        return
    norm = Normalize(redshift.min(), redshift.max())
    drawn = ax.scatter(x[order], y[order], c=redshift[order], cmap=shades(), norm=norm, **style)
    if legend:
        inset = ax.inset_axes((0.05, 0.92, 0.35, 0.03))
        bar = ax.figure.colorbar(drawn, cax=inset, orientation="horizontal")
        bar.set_label("redshift", labelpad=1)
        bar.set_alpha(1.0)


def _crowding(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Number of points in each point's cell of a grid of 40 × 40, smoothed over the neighbours."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=40)
    padded = np.pad(counts, 1, mode="edge")
    smooth = sum(padded[i : i + 40, j : j + 40] for i in range(3) for j in range(3))
    column = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, 39)
    row = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, 39)
    return np.asarray(np.sqrt(smooth)[column, row])


def _running(x: np.ndarray, y: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    which = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    used = [i for i in np.unique(which) if (which == i).sum() >= 5]
    centre = np.array([np.median(x[which == i]) for i in used])
    return centre, np.array([np.quantile(y[which == i], [0.16, 0.5, 0.84]) for i in used]).T


def _spread_out(truth: np.ndarray) -> np.ndarray:
    """Indices of at most a few dozen maps, evenly spaced in the truth."""
    order = np.argsort(truth, kind="stable")
    targets = np.linspace(truth[order[0]], truth[order[-1]], _BARS)
    return order[np.unique(np.clip(np.searchsorted(truth[order], targets), 0, len(order) - 1))]


def _span(truth: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    low, high = float(min(truth.min(), mean.min())), float(max(truth.max(), mean.max()))
    margin = 0.04 * (high - low or 1.0)
    return low - margin, high + margin
