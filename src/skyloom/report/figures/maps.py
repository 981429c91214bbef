"""Maps of the sky and of what the network looked at.

Values of a field use one sequential scale for all maps of a figure. Attributions have a sign: their scale
is symmetric about zero and shared by all maps, so that a faint one looks faint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from skyloom.report.style import labelled

# Moreland's diverging map: even steps in lightness on both sides of a neutral grey.
_DIVERGING = "coolwarm"
_SEQUENTIAL = "magma"


def field_map(
    values: np.ndarray, ax: Axes, *, title: str = "", limits: tuple[float, float] | None = None
) -> AxesImage:
    """A map of a field, without axes: its side length is told in the caption.

    Args:
        values: Map, shape ``(y, x)``, in the unit of the field.
        ax: Where to draw.
        title: Text above it.
        limits: Values at the ends of the colour scale; those of the map if None.

    Returns:
        The image, whose ``.axes`` is ``ax``; a colour bar is made from it.

    Example:
        >>> from matplotlib.figure import Figure
        >>> field_map(np.eye(4), Figure().add_subplot(), limits=(0.0, 2.0)).get_clim()
        (0.0, 2.0)
    """
    low, high = limits if limits is not None else (float(values.min()), float(values.max()))
    image = ax.imshow(values, cmap=_SEQUENTIAL, vmin=low, vmax=high)
    return _bare(image, ax, title)


def attribution_map(
    values: np.ndarray, ax: Axes, *, title: str = "", reach: float | None = None
) -> AxesImage:
    """A map of attributions, red where the pixel raised the answer and blue where it lowered it.

    Args:
        values: Attribution, shape ``(y, x)``.
        ax: Where to draw.
        title: Text above it.
        reach: Value at both ends of the colour scale; the largest of the map if None.

    Returns:
        The image, whose ``.axes`` is ``ax``.

    Example:
        >>> from matplotlib.figure import Figure
        >>> attribution_map(np.eye(4), Figure().add_subplot()).get_clim()
        (-1.0, 1.0)
    """
    end = (float(np.abs(values).max()) if reach is None else reach) or 1.0
    image = ax.imshow(values, cmap=_DIVERGING, vmin=-end, vmax=end)
    return _bare(image, ax, title)


def shared_limits(maps: np.ndarray) -> tuple[float, float]:
    """Ends of a colour scale that a few bright pixels do not stretch: the 0.5 and 99.5 % quantiles.

    Args:
        maps: Any shape.

    Returns:
        Low and high, in the unit of the maps.

    Example:
        >>> shared_limits(np.zeros((2, 2)))
        (0.0, 1.0)
    """
    low, high = (float(edge) for edge in np.quantile(maps, [0.005, 0.995]))
    return (low, high) if high > low else (low, low + 1.0)


def scale(values: np.ndarray) -> Normalize:
    """Return the colour scale of a field: logarithmic where it is positive and spans more than a decade.

    Args:
        values: Any shape, in the unit of the field; what is not finite does not count.

    Example:
        >>> type(scale(np.geomspace(1, 1e4, 100))).__name__, type(scale(np.linspace(-1, 1, 9))).__name__
        ('LogNorm', 'Normalize')
    """
    known = values[np.isfinite(values)]
    if known.size == 0:
        return Normalize(0.0, 1.0)
    low, high = shared_limits(known)
    return LogNorm(low, high) if low > 0 and high > 10 * low else Normalize(low, high)


def panels(
    figure: Figure,
    fields: Sequence[tuple[np.ndarray, str, Mapping[str, Any]]],
    *,
    side: tuple[float, str],
    title: str = "",
) -> Figure:
    """Maps of several fields of one sample, each with its colour bar and unit.

    Args:
        figure: Where to draw.
        fields: Map ``(y, x)``, name and attributes (``units``, ``long_name``) of each.
        side: Side of the maps and its unit.
        title: Text above all.

    Returns:
        The figure.
    """
    columns = min(len(fields), 3)
    rows = -(-len(fields) // columns)
    if title:
        figure.suptitle(title)
    for place, (values, name, about) in enumerate(fields):
        ax = figure.add_subplot(rows, columns, place + 1)
        length, unit = side
        image = ax.imshow(values, cmap=_SEQUENTIAL, norm=scale(values), extent=(0.0, length, 0.0, length))
        told = labelled(str(about.get("long_name", name)), str(about.get("units", "")))
        figure.colorbar(image, ax=ax, label=told, shrink=0.72)
        ax.set_xlabel(labelled("x", unit))
        ax.set_ylabel(labelled("y", unit))
    return figure


def _bare(image: AxesImage, ax: Axes, title: str) -> AxesImage:
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title, fontsize=9.0, pad=3.0, linespacing=1.15)
    return image
