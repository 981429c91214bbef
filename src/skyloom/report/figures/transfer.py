"""Training suites against test suites: one number in each square, on a scale of colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from skyloom.report.style import escaped, grey, shades

_DIVERGING = "coolwarm"
_DARK = 0.45  # luminance below which white letters are read best


def score_matrix(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    ax: Axes,
    *,
    title: str = "",
    signed: bool = False,
    own: Sequence[int] = (),
) -> Axes:
    """Squares with their numbers; a square without a number was not measured.

    Args:
        values: Score, shape ``(rows, columns)``, NaN where there is none.
        rows: What was trained.
        columns: What it was tested on.
        ax: Where to draw.
        title: The score.
        signed: Whether the score has a sign: colours are then centred on zero and reach at least 1; otherwise
            they run from 0 to 1, and what is below 0 is drawn as 0.
        own: The column of each row's own suite, framed.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = score_matrix(np.array([[0.9, np.nan]]), ["a"], ["a", "b"], Figure().add_subplot())
        >>> [text.get_text() for text in ax.texts]
        ['0.900', '–']
    """
    reach = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    limits = (-reach, reach) if signed else (0.0, 1.0)
    image = ax.imshow(
        np.ma.masked_invalid(values), cmap=_DIVERGING if signed else shades(), vmin=limits[0], vmax=limits[1],
        origin="upper", aspect="auto",
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(values):
        known = bool(np.isfinite(value))
        told = (f"{value:+.2f}" if signed else f"{value:.3f}").replace("-", "−") if known else "–"
        colour = _letters(image, value) if known else grey(0.6)
        ax.text(column, row, told, ha="center", va="center", color=colour)
    for row, column in enumerate(own):
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, lw=1.6, ec=grey(1.0), zorder=3))
    ax.set_title(title)
    ax.set_xticks(range(len(columns)), [escaped(name) for name in columns])
    ax.set_yticks(range(len(rows)), [escaped(name) for name in rows])
    ax.set_xlabel("tested on")
    ax.tick_params(which="both", length=0, top=False, right=False)
    return ax


def _letters(image: AxesImage, value: float) -> str:
    red, green, blue, _ = image.to_rgba(np.array(value))
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < _DARK else "black"
