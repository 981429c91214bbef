"""Events of a detector array: where it stands, and charge and time of its hits in true positions.

Charge has a logarithmic colour scale, time a linear one, each on a panel of its own. Channels that were not
hit are drawn small and grey, so that the array is seen, and a hit is never mistaken for its absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

Quantity = Literal["charge", "time"]

_QUIET = "0.8"
_CHARGE, _TIME = "viridis", "plasma"
_LEAST = 0.1
_LABELS: dict[Quantity, str] = {"charge": "charge [PE]", "time": "time [ns]"}


class Event(NamedTuple):
    """One event of ``M`` channels."""

    charge: np.ndarray
    """Charges [PE], shape ``(M,)``."""
    time: np.ndarray
    """Times [ns], shape ``(M,)``."""
    hit: np.ndarray
    """Whether each channel was hit, booleans of shape ``(M,)``."""


def array_layout(position: np.ndarray, ax: Axes, *, dead: np.ndarray | None = None) -> Axes:
    """Where the channels of an array stand, seen from above.

    Args:
        position: Positions [m], shape ``(M, 2)`` or ``(M, 3)``.
        ax: Where to draw.
        dead: Which channels do not work, booleans of shape ``(M,)``; they are crosses.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> array_layout(np.zeros((3, 2)), Figure().add_subplot()).get_xlabel()
        'east [m]'
    """
    dead = np.zeros(len(position), dtype=bool) if dead is None else dead
    x, y = position[:, 0], position[:, 1]
    ax.scatter(x[~dead], y[~dead], s=4, c="0.2", linewidths=0, label=f"{int((~dead).sum())} channels")
    if dead.any():
        ax.scatter(x[dead], y[dead], s=12, c="tab:red", marker="x", linewidths=0.8, label="dead")
    ax.legend(frameon=False, fontsize=8, loc="lower left")
    return _ground(ax)


def event_display(
    values: np.ndarray,
    hit: np.ndarray,
    position: np.ndarray,
    ax: Axes,
    *,
    quantity: Quantity = "charge",
    core: tuple[float, float] | None = None,
    limits: tuple[float, float] | None = None,
) -> PathCollection:
    """One event in the true positions of the channels.

    Args:
        values: Charges [PE] or times [ns], shape ``(M,)``.
        hit: Whether each channel was hit, shape ``(M,)``.
        position: Positions [m], shape ``(M, 2)`` or ``(M, 3)``.
        ax: Where to draw.
        quantity: What the values are: charges have a logarithmic scale, and the larger ones larger dots.
        core: Where the axis of the shower meets the ground [m]; a cross.
        limits: Values at the ends of the colour scale; left out, those of the hits (of times: 2 to 98 %).

    Returns:
        The dots, whose ``.axes`` is ``ax``; a colour bar is made from them.

    Example:
        >>> from matplotlib.figure import Figure
        >>> q, x = np.array([1.0, 100.0]), np.array([[0.0, 0.0], [30.0, 0.0]])
        >>> event_display(q, q > 0, x, Figure().add_subplot()).get_clim()
        (1.0, 100.0)
    """
    dots = _dots(values, hit, position, ax, quantity=quantity, limits=limits)
    if core is not None:
        sides = ax.get_xlim(), ax.get_ylim()
        ax.plot(*core, marker="+", ms=11, mew=1.6, c="tab:red", ls="none")
        ax.set(xlim=sides[0], ylim=sides[1])
    ax.figure.colorbar(dots, ax=ax, fraction=0.046, pad=0.03, label=_LABELS[quantity])
    _ground(ax)
    return dots


def events_side_by_side(
    figure: Figure, events: Mapping[str, Sequence[Event]], position: np.ndarray, *, time: bool = True
) -> Figure:
    """Real and generated events in the true positions of the channels: charges above, times below.

    Args:
        figure: Where to draw.
        events: What the events are (``real``, ``generated``) to as many events of each; the colour scales are
            those of the first kind.
        position: Positions [m], shape ``(M, 2)`` or ``(M, 3)``.
        time: Whether the events have times.

    Returns:
        The figure.

    Example:
        >>> one = Event(np.ones(3), np.zeros(3), np.array([True, False, True]))
        >>> both = {"real": [one], "generated": [one]}
        >>> len(events_side_by_side(Figure(), both, np.arange(6.0).reshape(3, 2)).axes)
        10
    """
    each = len(next(iter(events.values())))
    ratios = ([1.0] * each + [0.12]) * len(events)
    quantities: list[Quantity] = ["charge", "time"] if time else ["charge"]
    axes = figure.subplots(len(quantities), (each + 1) * len(events), squeeze=False, width_ratios=ratios)
    for row, quantity in zip(axes, quantities, strict=True):
        first = next(iter(events.values()))
        shown = [np.asarray(getattr(event, quantity), np.float64)[event.hit] for event in first]
        # Noise comes late, whenever it likes: it is not to take the whole scale.
        limits = _limits(np.concatenate(shown), quantity, late=0.85)
        for start, (kind, some) in zip(range(0, len(row), each + 1), events.items(), strict=True):
            row[start + each].set_axis_off()
            for ax, event in zip(row[start:], some, strict=False):
                values = getattr(event, quantity)
                dots = _dots(values, event.hit, position, ax, quantity=quantity, limits=limits, size=0.1)
                ax.set(xticks=[], yticks=[], aspect="equal")
            if quantity == "charge":
                row[start].set_title(kind, fontsize=9.0, pad=3.0)
        figure.colorbar(dots, ax=list(row), label=_LABELS[quantity], fraction=0.02, pad=0.01, aspect=15)
    return figure


def _dots(
    values: np.ndarray,
    hit: np.ndarray,
    position: np.ndarray,
    ax: Axes,
    *,
    quantity: Quantity,
    limits: tuple[float, float] | None,
    size: float = 1.0,
) -> PathCollection:
    """Draw the channels of an event, those that were hit in colour; ``size`` scales the dots."""
    hit = np.asarray(hit, dtype=bool)
    x, y = position[:, 0], position[:, 1]
    ax.scatter(x[~hit], y[~hit], s=2 * size, c=_QUIET, linewidths=0)
    shown = np.asarray(values, dtype=np.float64)[hit]
    low, high = _limits(shown, quantity) if limits is None else limits
    norm = LogNorm(low, high, clip=True) if quantity == "charge" else Normalize(low, high, clip=True)
    sizes = np.full(len(shown), 14.0)
    if quantity == "charge":
        sizes = 5.0 + 35.0 * np.asarray(norm(shown), dtype=np.float64)
    order = np.argsort(shown) if quantity == "charge" else np.argsort(-shown)
    return ax.scatter(
        x[hit][order],
        y[hit][order],
        s=size * sizes[order],
        c=shown[order],
        norm=norm,
        cmap=_CHARGE if quantity == "charge" else _TIME,
        linewidths=0,
    )


def _limits(values: np.ndarray, quantity: Quantity, *, late: float = 0.98) -> tuple[float, float]:
    """Ends of a colour scale that a few strange hits do not stretch."""
    if not len(values):
        return (_LEAST, 1.0) if quantity == "charge" else (0.0, 1.0)
    if quantity == "charge":
        low, high = max(float(values.min()), _LEAST), float(values.max())
        return (low, high) if high > low else (low, 10.0 * low)
    low, high = (float(edge) for edge in np.quantile(values, [0.02, late]))
    return (low, high) if high > low else (low, low + 1.0)


def _ground(ax: Axes) -> Axes:
    ax.set(xlabel="east [m]", ylabel="north [m]", aspect="equal")
    return ax
