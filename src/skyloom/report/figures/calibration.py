"""Do the error bars hold? Coverage by level, rank histograms and TARP.

Each compares a share of truths with the share that an honest error bar would hold. The bars and bands
around the points come from a bootstrap over groups: maps of one simulation are no independent witnesses.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from skyloom.report.style import grey, paper_colour


def coverage(
    nominal: np.ndarray,
    observed: np.ndarray,
    ax: Axes,
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    curve: tuple[np.ndarray, np.ndarray] | None = None,
) -> Axes:
    """Share of truths inside the interval over its nominal level.

    Args:
        nominal: Levels with a measured interval, between 0 and 1, shape ``(n,)``.
        observed: Share inside at each, shape ``(n,)``.
        ax: Where to draw.
        low: Lower bound of ``observed``, shape ``(n,)``.
        high: Upper bound, shape ``(n,)``.
        curve: Levels and shares of a finer curve, each ``(m,)``.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> coverage(np.array([0.68]), np.array([0.7]), Figure().add_subplot()).get_xlabel()
        'nominal coverage [%]'
    """
    _honest(ax)
    if curve is not None:
        ax.plot(100 * curve[0], 100 * curve[1], color="C0", lw=1.4, zorder=2)
    if low is not None and high is not None:
        reach = 100 * np.clip(np.stack([observed - low, high - observed]), 0.0, None)
        ax.errorbar(
            100 * nominal, 100 * observed, yerr=reach, fmt="none", ecolor="C0", elinewidth=1.2, capsize=3
        )
    ax.plot(100 * nominal, 100 * observed, "o", ms=5, color="C0", mec=paper_colour(), mew=0.8, zorder=3)
    ax.set(xlabel="nominal coverage [%]", ylabel="observed coverage [%]")
    return ax


def rank_histogram(
    share: np.ndarray,
    ax: Axes,
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    p_value: float | None = None,
) -> Axes:
    """Histogram of the truth's rank among the posterior draws, flat if the posterior is right.

    Args:
        share: Share of maps in each bin of rank, shape ``(bins,)``.
        ax: Where to draw.
        low: Lower bound of each share over groups, shape ``(bins,)``.
        high: Upper bound, shape ``(bins,)``.
        p_value: Of a test for flatness.

    Returns:
        The axes.

    References:
        Talts et al. 2018, arXiv:1804.06788.

    Example:
        >>> from matplotlib.figure import Figure
        >>> rank_histogram(np.array([0.5, 0.5]), Figure().add_subplot()).get_xlabel()
        'rank of the truth among the draws'
    """
    edges = np.linspace(0.0, 1.0, len(share) + 1)
    # Relative to a flat histogram, so that figures with different numbers of bins compare.
    relative = share * len(share)
    ax.axhline(1.0, color=grey(0.55), lw=0.9)
    ax.stairs(relative, edges, fill=True, color="C0", alpha=0.3)
    ax.stairs(relative, edges, color="C0", lw=1.2)
    top = relative.max()
    if low is not None and high is not None:
        ax.vlines((edges[1:] + edges[:-1]) / 2, low * len(share), high * len(share), color="C0", lw=1.4)
        top = np.nanmax([top, (high * len(share)).max()])
    ax.set(xlim=(0, 1), ylim=(0, 1.2 * max(top, 1.0)))
    ax.set(xlabel="rank of the truth among the draws", ylabel="relative number of maps")
    if p_value is not None:
        ax.text(0.96, 0.94, f"$p = {p_value:.2g}$", transform=ax.transAxes, ha="right", va="top")
    return ax


def tarp(
    level: np.ndarray,
    observed: np.ndarray,
    ax: Axes,
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Axes:
    """Expected coverage of the joint posterior, tested with random points (TARP).

    Args:
        level: Credibility, between 0 and 1, shape ``(n,)``.
        observed: Expected coverage at each level, shape ``(n,)``.
        ax: Where to draw.
        low: Lower bound, shape ``(n,)``.
        high: Upper bound, shape ``(n,)``.

    Returns:
        The axes.

    References:
        Lemos et al. 2023, arXiv:2302.03026.

    Example:
        >>> from matplotlib.figure import Figure
        >>> level = np.linspace(0.0, 1.0, 5)
        >>> tarp(level, level, Figure().add_subplot()).get_ylabel()
        'expected coverage [%]'
    """
    _honest(ax)
    if low is not None and high is not None:
        ax.fill_between(100 * level, 100 * low, 100 * high, color="C0", alpha=0.2, lw=0)
    ax.plot(100 * level, 100 * observed, color="C0")
    ax.set(xlabel="credibility [%]", ylabel="expected coverage [%]")
    return ax


def _honest(ax: Axes) -> None:
    ax.plot([0, 100], [0, 100], color=grey(0.55), lw=0.9, zorder=1)
    ax.text(0.04, 0.95, "bars too wide", transform=ax.transAxes, va="top", color=grey(0.6), style="italic")
    ax.text(
        0.96, 0.05, "bars too narrow", transform=ax.transAxes, ha="right", color=grey(0.6), style="italic"
    )
    ax.set(xlim=(0, 100), ylim=(0, 100))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(20))
