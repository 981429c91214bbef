"""Objects and their translations: profiles with residuals, growth, totals, and the wheel of domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from skyloom.report.style import grey

RIM = 0.38  #: radius of the wheel over the figure's shorter side
DEEP = 1e-4  #: of the brightest: what is fainter has one colour, or is not drawn


def profiles(
    radius: np.ndarray,
    means: Mapping[str, np.ndarray],
    residuals: Mapping[str, np.ndarray],
    figure: Figure,
    *,
    x_label: str,
    y_label: str,
) -> Sequence[Axes]:
    """Radial profiles, and below them how far they are from the true ones.

    Args:
        radius: Shape ``(n,)``.
        means: Who to mean profile, shape ``(n,)``, the truth first.
        residuals: Who, the truth aside, to quantiles 0.16, 0.5, 0.84 over maps of the relative residual,
            shape ``(3, n)``; the first has a band.
        figure: Where to draw.
        x_label: Name and unit of the radius.
        y_label: Name and unit of the field.

    Returns:
        The two axes.

    Example:
        >>> r = np.arange(1.0, 4)
        >>> means, residuals = {"truth": 1 / r, "network": 1.1 / r}, {"network": np.full((3, 3), 0.1)}
        >>> axes = profiles(r, means, residuals, Figure(), x_label="r [kpc]", y_label="HI")
        >>> axes[0].get_yscale(), len(axes)
        ('log', 2)
    """
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    brightest = max(float(np.nanmax(values)) for values in means.values())
    for order, (who, values) in enumerate(means.items()):
        colour = grey(0.6) if order == 0 else f"C{order - 1}"
        shown = np.where(values > DEEP * brightest, values, np.nan)
        top.plot(radius, shown, color=colour, lw=1.8 if order == 0 else 1.3, label=who)
    top.set_yscale("log")
    top.set_ylabel(y_label)
    top.legend(loc="best")
    bottom.axhline(0.0, color=grey(0.6), lw=1.0)
    for order, quantiles in enumerate(residuals.values()):
        if order == 0:
            bottom.fill_between(radius, quantiles[0], quantiles[2], color="C0", alpha=0.2, lw=0)
        bottom.plot(radius, quantiles[1], color=f"C{order}", lw=1.3)
    bottom.set(xlabel=x_label, ylabel="residual", ylim=(-1.05, 1.05))
    bottom.margins(x=0.02)
    return top, bottom


def cumulative(radius: np.ndarray, growth: Mapping[str, np.ndarray], ax: Axes, *, x_label: str) -> Axes:
    """What lies within a radius, over the true total.

    Args:
        radius: Shape ``(n,)``.
        growth: Who to share, shape ``(n,)``, the truth first.
        ax: Where to draw.
        x_label: Name and unit of the radius.

    Returns:
        The axes.

    Example:
        >>> growth = {"truth": np.array([0.2, 0.8, 1.0])}
        >>> ax = cumulative(np.arange(3.0), growth, Figure().add_subplot(), x_label="r")
        >>> ax.lines[0].get_ydata().tolist()
        [0.2, 0.8, 1.0]
    """
    for order, (who, values) in enumerate(growth.items()):
        colour = grey(0.6) if order == 0 else f"C{order - 1}"
        ax.plot(radius, values, color=colour, lw=1.8 if order == 0 else 1.3, label=who)
    ax.set(xlabel=x_label, ylabel="within the radius / true total")
    ax.set_ylim(bottom=0.0)
    ax.margins(x=0.02)
    ax.legend(loc="lower right")
    return ax


def totals(truth: np.ndarray, told: Mapping[str, np.ndarray], ax: Axes, *, label: str) -> Axes:
    """Total of every map, translated over true, about the line where they are equal.

    Args:
        truth: True totals, shape ``(n,)``, positive.
        told: Who to totals, shape ``(n,)``, in the same unit; what is not positive is not drawn.
        ax: Where to draw.
        label: Name and unit of the total.

    Returns:
        The axes.

    Example:
        >>> truth = np.geomspace(1e8, 1e10, 5)
        >>> ax = totals(truth, {"network": 1.1 * truth}, Figure().add_subplot(), label="HI [Msun]")
        >>> ax.get_legend().get_texts()[0].get_text()
        'network: 0.00 dex about +0.04'
    """
    ends = np.array([truth.min() / 1.3, truth.max() * 1.3])
    ax.plot(ends, ends, color=grey(0.6), lw=1.0)
    for order, (who, values) in reversed(list(enumerate(told.items()))):
        fits = values > 0
        apart = np.log10(values[fits] / truth[fits])
        text = f"{who}: {apart.std():.2f} dex about {apart.mean():+.2f}"
        ax.plot(truth, np.where(fits, values, np.nan), ".", color=f"C{order}", ms=4, alpha=0.7, label=text)
    ax.set(xscale="log", yscale="log", xlabel=f"true {label}", ylabel=f"translated {label}")
    ax.set(xlim=tuple(ends), ylim=tuple(ends))
    for axis in (ax.xaxis, ax.yaxis):  # within a decade Matplotlib would label every digit
        axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    handles, texts = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], texts[::-1], loc="upper left", fontsize=7.0)
    return ax


def wheel(fields: Mapping[str, np.ndarray], figure: Figure) -> Sequence[Axes]:
    """All domains of one object in a wheel, the first in the middle; each has its own scale.

    Args:
        fields: Name to map, shape ``(y, x)``. Those with negative values are drawn on a linear scale that is
            symmetric about 0, others on a logarithmic one.
        figure: Where to draw.

    Returns:
        The axes, in the order of the fields.

    Example:
        >>> len(wheel({"gas": np.eye(4), "HI": np.eye(4), "v": -np.eye(4)}, Figure()))
        3
    """
    frame = figure.add_subplot()
    frame.set_axis_off()
    wide, high = (float(side) for side in figure.get_size_inches())
    across, up = min(high / wide, 1.0), min(wide / high, 1.0)
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(fields) - 1) / max(len(fields) - 1, 1)
    places = np.stack([np.append(0.0, np.cos(angles)), np.append(0.0, np.sin(angles))], axis=1) * RIM
    # As large as leaves room for a title between any two.
    gaps = np.abs(places[:, None] - places[None]) - [0.0, 0.05]
    side = min(0.24, 0.92 * float(gaps.max(axis=2)[~np.eye(len(places), dtype=bool)].min(initial=0.3)))
    axes = []
    for place, (name, values) in enumerate(fields.items()):
        x, y = (0.5, 0.49) + places[place]
        width, height = side * across, side * up
        ax = frame.inset_axes((x - width / 2, y - height / 2, width, height))
        if values.min() < 0:
            reach_of = float(np.quantile(np.abs(values), 0.995)) or 1.0
            ax.imshow(values, cmap="coolwarm", vmin=-reach_of, vmax=reach_of)
        else:
            top = float(np.quantile(values, 0.999)) or 1.0
            bottom = max(float(np.quantile(values, 0.01)), DEEP * top)
            bottom = bottom if bottom < top else top / 10
            ax.imshow(np.maximum(values, bottom), cmap="magma", norm=LogNorm(bottom, top))
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(name, fontsize=8.0, pad=2.0)
        axes.append(ax)
    return axes
