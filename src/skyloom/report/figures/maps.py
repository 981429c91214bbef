"""Maps of the sky and of what the network looked at.

Values of a field use one sequential scale for all maps of a figure. Attributions have a sign: their scale
is symmetric about zero and shared by all maps, so that a faint one looks faint.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

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


def _bare(image: AxesImage, ax: Axes, title: str) -> AxesImage:
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title, fontsize=9.0, pad=3.0, linespacing=1.15)
    return image
