"""Scores against the number of simulations that were learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, ScalarFormatter

from skyloom.report.style import symbol

_WORDS = {"r2": "R² on unseen simulations", "balanced_accuracy": "balanced accuracy on unseen simulations"}


def learning_curve(rows: Sequence[Mapping[str, Any]], ax: Axes) -> Axes:
    """The score of each parameter with its interval, and its best baseline as a dashed line.

    Args:
        rows: ``simulations``, ``parameter``, ``score``, ``value``, ``low``, ``high``, ``baseline_value``.
        ax: Where to draw.

    Returns:
        The axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> row = {"parameter": "x", "score": "r2", "low": 0.4, "high": 0.7, "baseline_value": 0.3}
        >>> ax = learning_curve([row | {"simulations": n, "value": 0.6} for n in (10, 20)],
        ...                     Figure().add_subplot())
        >>> ax.get_ylabel()
        'R² on unseen simulations'
    """
    names = list(dict.fromkeys(str(row["parameter"]) for row in rows))
    for place, name in enumerate(names):
        own = [row for row in rows if row["parameter"] == name]
        counts = np.array([row["simulations"] for row in own], float)
        value, low, high = (
            np.array([np.nan if row[key] in (None, "") else float(row[key]) for row in own])
            for key in ("value", "low", "high")
        )
        ax.errorbar(
            counts, value, [value - low, high - value], fmt="o-", ms=4, capsize=2, color=f"C{place}",
            label=symbol(name),
        )  # fmt: skip
        base = [
            np.nan if row["baseline_value"] in (None, "") else float(row["baseline_value"]) for row in own
        ]
        ax.plot(counts, base, "--", lw=1, color=f"C{place}")
    ax.plot([], [], "--", lw=1, color="0.5", label="best baseline")
    ax.set_xscale("log")
    ax.set_xticks(sorted({float(row["simulations"]) for row in rows}))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("simulations learnt from")
    ax.set_ylabel(_WORDS.get(str(rows[0]["score"]), str(rows[0]["score"])))
    ax.legend()
    return ax
