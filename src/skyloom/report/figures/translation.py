"""Translated maps: beside the input, the truth and what is left, and how their spectra and pixels compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skyloom.report.figures.maps import attribution_map, field_map, shared_limits
from skyloom.report.figures.statistics import logarithmic
from skyloom.report.style import grey, unit_text


@dataclass(frozen=True)
class Triplet:
    """One sample of a translation.

    Args:
        label: Which sample it is.
        given: Input map, shape ``(y, x)``.
        truth: True map, shape ``(y, x)``.
        translated: Translated map, shape ``(y, x)``, in the unit of the truth.
    """

    label: str
    given: np.ndarray
    truth: np.ndarray
    translated: np.ndarray


def triplets(
    rows: Sequence[Triplet], figure: Figure, *, given: str, wanted: str, reach: float | None = None
) -> Sequence[Axes]:
    """Input, truth, translation and their difference, one sample a row.

    Truth and translation share one colour scale over all rows, and so do the inputs; the scale of the
    differences is symmetric.

    Args:
        rows: The samples.
        figure: Where to draw.
        given: Name and unit of the input.
        wanted: Name and unit of the target.
        reach: Where the scale of the differences ends; left out, as far as the true maps vary.

    Returns:
        The axes of the maps, row by row.

    Example:
        >>> sample = Triplet("a", np.eye(4), np.eye(4), np.zeros((4, 4)))
        >>> len(triplets([sample, sample], Figure(), given="density", wanted="E_c"))
        8
    """
    axes = figure.subplots(len(rows), 4, squeeze=False)
    inputs = np.stack([row.given for row in rows])
    truths = np.stack([row.truth for row in rows])
    limits = shared_limits(truths)
    end = limits[1] - limits[0] if reach is None else reach
    heads = ("input", "truth", "translated", "translated − truth")
    for place, row in enumerate(rows):
        first = field_map(row.given, axes[place, 0], limits=shared_limits(inputs))
        field_map(row.truth, axes[place, 1], limits=limits)
        second = field_map(row.translated, axes[place, 2], limits=limits)
        third = attribution_map(row.translated - row.truth, axes[place, 3], reach=end)
        axes[place, 0].set_ylabel(row.label, fontsize=8.0)
    for column, head in enumerate(heads):
        axes[0, column].set_title(head, fontsize=9.0, pad=3.0)
    for image, columns, label in (
        (first, axes[:, :1], given),
        (second, axes[:, 1:3], wanted),
        (third, axes[:, 3:], f"difference of {wanted}"),
    ):
        bar = figure.colorbar(image, ax=columns, location="bottom", aspect=14 * columns.shape[1], pad=0.03)
        bar.set_label(label, fontsize=8.5)
        bar.ax.tick_params(labelsize=8.0)
    return list(axes.ravel())


def against_ideal(
    x: np.ndarray,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ax: Axes,
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
) -> Axes:
    """Curves over the wavenumber that would all be 1 if the translation were the truth.

    Args:
        x: Wavenumber, shape ``(n,)``.
        curves: Who to mean and sd between maps, each ``(n,)``.
        ax: Where to draw.
        x_label: Name and unit of ``x``.
        y_label: What is drawn.
        log: Whether the ordinate is logarithmic.

    Returns:
        The axes.

    Example:
        >>> curves = {"network": (np.full(3, 0.5), np.full(3, 0.1))}
        >>> ax = against_ideal(np.arange(1.0, 4), curves, Figure().add_subplot(), x_label="k", y_label="r")
        >>> ax.lines[-1].get_ydata().tolist()
        [0.5, 0.5, 0.5]
    """
    ax.axhline(1.0, color=grey(0.5), lw=0.8, ls=(0, (4, 2)), label="truth")
    for order, (who, (mean, spread)) in enumerate(curves.items()):
        low, high = mean - spread, mean + spread
        if log:
            low = np.maximum(low, 1e-2 * mean)
        if order == 0:
            ax.fill_between(x, low, high, color="C0", alpha=0.2, lw=0)
        ax.plot(x, mean, color=f"C{order}", lw=1.6 if order == 0 else 1.2, label=who)
    logarithmic(ax)
    if log:
        ax.set_yscale("log")
        # What is left of a constant image is rounding; the eye is on the first few decades.
        ax.set_ylim(bottom=max(ax.get_ylim()[0], 1e-4))
    else:
        ax.set_ylim(-0.05, 1.1)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.margins(x=0.02)
    ax.legend(loc="best")
    return ax


def spread_and_error(spread: np.ndarray, error: np.ndarray, ax: Axes, *, unit: str) -> Axes:
    """Error of the mean of the draws where they differ by so much, beside the line where both are equal.

    Args:
        spread: Shape ``(levels,)``, in the unit of the field.
        error: As ``spread``.
        ax: Where to draw.
        unit: Of both.

    Returns:
        The axes.

    Example:
        >>> spread = np.array([1.0, 2.0])
        >>> ax = spread_and_error(spread, 2 * spread, Figure().add_subplot(), unit="K")
        >>> ax.lines[1].get_ydata().tolist()
        [2.0, 4.0]
    """
    known = (spread > 0) & (error > 0)
    both = np.concatenate([spread[known], error[known]])
    ends = np.array([both.min(), both.max()]) if both.size else np.array([0.1, 1.0])
    ax.plot(ends, ends, color=grey(0.5), lw=0.8, ls=(0, (4, 2)), label="spread explains the error")
    ax.plot(spread[known], error[known], "o-", color="C0", ms=3.5, lw=1.3, label="network")
    ax.set(xscale="log", yscale="log")
    tail = f" [{unit_text(unit)}]" if unit else ""
    ax.set(xlabel=f"spread of the draws{tail}", ylabel=f"error of their mean{tail}")
    ax.legend(loc="best")
    return ax


def pixel_values(value: np.ndarray, densities: Mapping[str, np.ndarray], ax: Axes, *, x_label: str) -> Axes:
    """How often each value is found, truth in grey, on a logarithmic scale.

    Args:
        value: Centres of the bins, shape ``(n,)``.
        densities: Who to density, the truth first.
        ax: Where to draw.
        x_label: Name and unit of the field.

    Returns:
        The axes.

    Example:
        >>> densities = {"truth": np.ones(3), "translated": np.array([0.0, 2.0, 0.0])}
        >>> pixel_values(np.arange(3.0), densities, Figure().add_subplot(), x_label="E_c").get_yscale()
        'log'
    """
    for order, (who, density) in enumerate(densities.items()):
        shown = np.where(density > 0, density, np.nan)
        colour = grey(0.6) if order == 0 else f"C{order - 1}"
        ax.step(value, shown, where="mid", color=colour, lw=1.2 if order == 0 else 1.5, label=who)
    ax.set_yscale("log")
    ax.set(xlabel=x_label, ylabel="density of pixels")
    ax.margins(x=0.0)
    ax.legend(loc="best")
    return ax
