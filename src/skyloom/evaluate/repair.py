"""The repair of a prediction's errors, fitted on the validation side: intervals, or class probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import xarray as xr

from skyloom.evaluate.conformal import Conformal
from skyloom.evaluate.probabilities import Tempered
from skyloom.tasks.classes import answers


class Repair(Protocol):
    """What every repair offers."""

    def apply(self, prediction: xr.Dataset) -> xr.Dataset:
        """Return a prediction by the same method with repaired errors; repairing twice changes nothing."""

    def state(self) -> dict[str, Any]:
        """Return all that ``repair_from_state`` needs, as JSON values."""


def fit_repair(prediction: xr.Dataset, levels: Sequence[float]) -> Repair:
    """Fit the repair that suits what a prediction is of.

    Args:
        prediction: Of the validation side, with truth.
        levels: Levels of the intervals or sets.

    Raises:
        LeakError: The prediction is of another side.
        DataError: Truth is missing.

    Example:
        >>> import numpy as np
        >>> pair, ids = ("sample", "parameter"), np.arange(40)
        >>> p = xr.Dataset({"truth": (pair, np.ones((40, 1))), "mean": (pair, np.zeros((40, 1)))},
        ...     coords={"sample": ids, "parameter": ["x"], "group": ("sample", ids)})
        >>> type(fit_repair(p, [0.68])).__name__
        'Conformal'
    """
    if answers(prediction) == "classes":
        return Tempered.fit(prediction, levels)
    return Conformal.fit(prediction, levels)


def repair_from_state(state: Mapping[str, Any]) -> Repair:
    """Rebuild a repair from its state.

    Args:
        state: What ``state`` of a repair gave.

    Example:
        >>> fitted = Tempered(("a", "b"), 2.0, (0.95,), (0.8,), (9.0,), (True,), groups=9)
        >>> repair_from_state(fitted.state()) == fitted
        True
    """
    return Tempered.from_state(state) if state.get("answers") == "classes" else Conformal.from_state(state)
