"""Training curves: one axes a score, the training and the validation side in it, and the epoch chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from skyloom.report.style import escaped, grey

Curve = tuple[np.ndarray, np.ndarray]


def learning_curve(
    curves: Mapping[str, Curve], ax: Axes, *, score: str, x_label: str = "epoch", chosen: float | None = None
) -> Axes:
    """One score over the course of the training.

    Args:
        curves: Side to ``(x, value)``, each of shape ``(n,)``; units of the score.
        ax: Where to draw.
        score: Name of the score.
        x_label: What ``x`` counts.
        chosen: Where the weights that were kept were taken.

    Returns:
        The axes; logarithmic where all values are positive and span more than a factor of 20.

    Example:
        >>> from matplotlib.figure import Figure
        >>> x = np.arange(1.0, 4.0)
        >>> learning_curve({"train": (x, 1 / x)}, Figure().add_subplot(), score="loss").get_ylabel()
        'loss'
    """
    styles = {"train": {"color": grey(0.6), "lw": 1.1}, "validation": {"color": "C0", "lw": 1.6}}
    for order, (side, (x, y)) in enumerate(curves.items()):
        marks = {"marker": "o", "ms": 3} if len(x) < 15 else {}
        ax.plot(x, y, label=side, **(styles.get(side, {"color": f"C{order}"}) | marks))  # type: ignore[arg-type]
    values = np.concatenate([y for _, y in curves.values()])
    if values.min() > 0 and values.max() / values.min() > 20:
        ax.set_yscale("log")
    if chosen is not None:
        ax.axvline(chosen, color="C1", lw=1.0, ls=(0, (4, 2)), label=f"{escaped(x_label)} chosen", zorder=1)
    ax.set(xlabel=x_label, ylabel=escaped(score))
    ax.margins(x=0.03)
    if len(curves) > 1 or chosen is not None:
        ax.legend(loc="best")
    return ax
