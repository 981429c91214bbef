"""What smoothed maps are taken for: the probability of every class against the width of a Gaussian.

Where maps of one class turn into those of another as they are smoothed, the small scales are what tells the
two apart: the published experiment on turbulence without cosmic rays (Bustard & Wu 2024, arXiv:2402.03518).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skyloom.report.figures.interventions import probability_against_width
from skyloom.report.page import counted, number
from skyloom.report.style import PAGE, Plate, symbol

_IN_A_ROW = 5  #: names in the legend


def taken_for(found: Sequence[xr.Dataset]) -> list[Plate]:
    """Return the plate of what smoothed maps are taken for; none where no classes were asked for.

    Args:
        found: What the explanation ``smooth`` says of every class, in their order.
    """
    if len(found) < 2 or any(data.attrs.get("score") != "probability" for data in found):
        return []
    names = [str(data.attrs["target"]) for data in found]
    width = np.asarray(found[0]["width"].values, float)
    unit = str(found[0]["width"].attrs.get("units", "pixel"))
    by_class = mean_probabilities(found)

    def fill(figure: Figure) -> None:
        axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for ax, name, probabilities in zip(axes, names, by_class, strict=True):
            curves = dict(zip(map(symbol, names), probabilities.T, strict=True))
            probability_against_width(width, curves, ax, x_label=f"width [{unit}]")
            ax.set_title(symbol(name), fontsize="small")
        axes[0].set_ylabel("mean probability")
        rows = (len(names) + _IN_A_ROW - 1) // _IN_A_ROW
        figure.legend(handles=axes[0].lines, loc="outside lower center", ncols=-(-len(names) // rows))

    said = "; ".join(
        f"{name} at {width[-1]:g} px: "
        + ", ".join(f"{other} {number(float(p), 2)}" for other, p in zip(names, rows[-1], strict=True))
        for name, rows in zip(names, by_class, strict=True)
    )
    caption = (
        "What smoothed maps are taken for: one panel for the maps of each class, one line for each answer. "
        "The raw maps are smoothed, then transformed as in training."
    )
    alt = f"Probabilities of {counted(len(names), 'class', 'classes')} by smoothing width. {said}."
    size = (min(PAGE, 3.2 * len(names)), 2.9)
    return [Plate("smooth-classes", fill, alt, caption, size=size)]


def mean_probabilities(found: Sequence[xr.Dataset]) -> NDArray[np.float64]:
    """Return the mean probability of each class over the maps of each true class.

    Args:
        found: What the explanation ``smooth`` says of every class, in their order.

    Returns:
        Shape ``(true classes, widths, classes)``; NaN for a class without maps.

    Example:
        >>> truth = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> given = np.array([[[0.9, 0.7, 0.4]], [[0.1, 0.3, 0.6]]])
        >>> found = [
        ...     xr.Dataset({"mean": (("width", "sample"), p), "truth": ("sample", t)})
        ...     for p, t in zip(given, truth)
        ... ]
        >>> mean_probabilities(found).round(3).tolist()
        [[[0.8, 0.2]], [[0.4, 0.6]]]
    """
    given = np.stack([data["mean"].values for data in found], axis=-1)
    truth = np.stack([data["truth"].values for data in found], axis=-1).argmax(axis=-1)
    means = [
        given[:, truth == k].mean(axis=1) if (truth == k).any() else np.full_like(given[:, 0], np.nan)
        for k in range(len(found))
    ]
    return np.asarray(means, dtype=np.float64)
