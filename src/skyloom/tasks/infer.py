"""Infer: which parameters made this sky, and how surely.

Targets are labels or simulation parameters of the field set's table. A network learns them standardised,
``(theta - mean) / sd`` with mean and sd of the train samples alone; what leaves the task is in physical
units. The state names the ids that the standardisation was fitted on by their digest, so that an audit can
tell that they are the train side's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields import parameters
from skyloom.fields.transforms import ids_digest
from skyloom.tasks.prediction import prediction


class Infer:
    """Infer parameters of the table from maps, with intervals.

    Args:
        parameters: Names of the targets, each a parameter or a label of the table.
        levels: Probability inside each of the intervals that are given and judged.

    Raises:
        UsageError: No parameter, one named twice, or a level outside (0, 1).

    Example:
        >>> role = {"role": "label", "units": ""}
        >>> table = xr.Dataset(coords={"sample": ["a", "b"], "group": ("sample", ["g", "h"]),
        ...     "x_HI": ("sample", [0.2, 0.6], role)})
        >>> task = Infer(parameters=["x_HI"]).fit(table)
        >>> task.targets(table).ravel().tolist()
        [-1.0, 1.0]
        >>> p = task.interpret({"mean": np.array([[0.0], [1.0]])}, table)
        >>> p["mean"].values.ravel().round(6).tolist()
        [0.4, 0.6]
    """

    answers: ClassVar[str] = "parameters"

    def __init__(self, *, parameters: list[str], levels: tuple[float, ...] = (0.68, 0.95)) -> None:
        if not parameters or len(set(parameters)) < len(parameters):
            raise UsageError(
                f"task infer: parameters are {parameters}; at least one is needed, each once",
                hint="name labels or parameters of the field set, for instance parameters: [x_HI]",
            )
        wrong = [level for level in levels if not 0 < level < 1]
        if wrong or len(set(levels)) < len(levels):
            raise UsageError(
                f"task infer: levels are {list(levels)}; each must lie between 0 and 1 and stand once",
                hint="write levels as fractions, for instance levels: [0.68, 0.95]",
            )
        self.parameters = list(parameters)
        self.levels = tuple(float(level) for level in levels)
        self._mean: np.ndarray | None = None
        self._sd: np.ndarray | None = None
        self._units: dict[str, str] = {}
        self._digest = ""

    @property
    def score_names(self) -> list[str]:
        """Scores of this task; those that need an error are left out for methods that give none."""
        coverage = [f"coverage_{100 * level:g}" for level in self.levels]
        return ["r2", "rmse", "bias", "correlation", "chi2", "pull", *coverage]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the targets: the parameters."""
        return list(self.parameters)

    @property
    def digest(self) -> str:
        """Digest of the ids that the standardisation was fitted on; empty before ``fit``."""
        return self._digest

    @property
    def units(self) -> dict[str, str]:
        """Unit of each parameter; empty before ``fit``."""
        return dict(self._units)

    def truth(self, table: xr.Dataset) -> np.ndarray:
        """Return the targets in physical units, shape ``(n, P)``.

        Args:
            table: Coordinates of ``n`` samples.

        Raises:
            DataError: A parameter is missing from the table, or a value is not finite; the message names
                the parameter and the nearest one, or the sample.
        """
        available = parameters(table)
        columns = []
        for name in self.parameters:
            if name not in available:
                raise DataError(
                    f"parameter '{name}' is not in the table; {nearest(name, available)}",
                    hint="name one of these in task.parameters, or add the label to the field set",
                )
            values = np.asarray(table[name].values, float)
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                first = table["sample"].values[bad[0]]
                raise DataError(
                    f"label '{name}' of sample '{first}' is {values[bad[0]]}; {bad.size} of {values.size}"
                    " samples have no finite value",
                    hint=f"leave them out with data.select: {{{name}: [low, high]}}, or mend the table",
                )
            columns.append(values)
        return np.stack(columns, axis=1)

    def fit(self, table: xr.Dataset) -> Self:
        """Return a copy of this task whose standardisation is fitted on the samples of a table.

        Args:
            table: Coordinates of the train samples, and of no others.

        Raises:
            DataError: As ``truth``; or a parameter has the same value in all samples.
        """
        truth = self.truth(table)
        sd = truth.std(axis=0)
        for name, value, spread in zip(self.parameters, truth[0], sd, strict=True):
            if spread <= 1e-12 * max(abs(value), 1e-300):
                raise DataError(
                    f"parameter '{name}' is {value:g} in all {len(truth)} train samples",
                    hint="drop it from task.parameters, or select a wider set",
                )
        fitted = type(self)(parameters=self.parameters, levels=self.levels)
        fitted._mean, fitted._sd = truth.mean(axis=0), sd
        fitted._units = {name: str(table[name].attrs.get("units", "")) for name in self.parameters}
        fitted._digest = ids_digest(table["sample"].values)
        return fitted

    def targets(self, table: xr.Dataset) -> np.ndarray:
        """Return the standardised targets of a table, float32 of shape ``(n, P)``.

        Raises:
            DataError: As ``truth``.
            UsageError: The task is not fitted.
        """
        mean, sd = self._standardisation()
        return np.asarray((self.truth(table) - mean) / sd, dtype=np.float32)

    def interpret(
        self, outputs: Mapping[str, np.ndarray], table: xr.Dataset, *, side: str = "", leaky: bool = False
    ) -> xr.Dataset:
        """Return the prediction in physical units from a method's standardised outputs.

        Args:
            outputs: ``mean`` ``(n, P)`` and, where there are any, ``sd`` ``(n, P)`` and ``samples``
                ``(n, L, P)``, all standardised.
            table: Coordinates of the same ``n`` samples; parameters that it lacks have truth NaN.
            side: Name of the side, stored in the attributes.
            leaky: Whether the split is leaky, stored in the attributes.

        Returns:
            The dataset that ``skyloom.tasks.prediction`` describes.

        Raises:
            UsageError: The task is not fitted, or an output has an unknown name.
            ShapeError: An output does not fit the table.
        """
        mean, sd = self._standardisation()
        shift = {"mean": mean, "sd": np.zeros_like(mean), "samples": mean}
        physical = {
            name: np.asarray(values, float) * sd + shift[name] if name in shift else np.asarray(values)
            for name, values in outputs.items()
        }
        return prediction(
            physical,
            table,
            units=self._units,
            levels=self.levels,
            scores=self.score_names,
            side=side,
            leaky=leaky,
        )

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values.

        Raises:
            UsageError: The task is not fitted.
        """
        mean, sd = self._standardisation()
        return {
            "name": "infer",
            "parameters": self.parameters,
            "levels": list(self.levels),
            "units": self._units,
            "mean": mean.tolist(),
            "sd": sd.tolist(),
            "fitted_on": self._digest,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted task from its state."""
        task = cls(parameters=list(state["parameters"]), levels=tuple(state["levels"]))
        task._mean, task._sd = np.array(state["mean"], float), np.array(state["sd"], float)
        task._units, task._digest = dict(state["units"]), str(state["fitted_on"])
        return task

    def _standardisation(self) -> tuple[np.ndarray, np.ndarray]:
        if self._mean is None or self._sd is None:
            raise UsageError(
                "task infer is not fitted: the standardisation of its targets is unknown",
                hint="use task = task.fit(table of the train side), or Infer.from_state",
            )
        return self._mean, self._sd
