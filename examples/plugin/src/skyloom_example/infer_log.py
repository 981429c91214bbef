"""A task: infer parameters whose logarithm is what is uncertain, such as a mass or a feedback strength."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import xarray as xr

from skyloom.errors import DataError
from skyloom.tasks.infer import Infer


class InferLog(Infer):
    """Infer decimal logarithms of parameters; answers, errors and scores are in dex.

    Args:
        parameters: Names of the targets, all positive.
        levels: Probability inside each of the intervals that are given and judged.

    Example:
        >>> role = {"role": "parameter", "units": "Msun"}
        >>> table = xr.Dataset(coords={"sample": ["a", "b"], "group": ("sample", ["g", "h"]),
        ...     "M": ("sample", [1e10, 1e12], role)})
        >>> InferLog(parameters=["M"]).fit(table).targets(table).ravel().tolist()
        [-1.0, 1.0]
    """

    def truth(self, table: xr.Dataset) -> np.ndarray:
        """Return the logarithms, shape ``(n, P)`` [dex]."""
        return super().truth(self._in_dex(table))

    def fit(self, table: xr.Dataset) -> Self:
        """Return a copy that is fitted on the table of the train side."""
        fitted = super().fit(table)
        fitted._units = {name: _dex(unit) for name, unit in fitted._units.items()}
        return fitted

    def interpret(
        self, outputs: Mapping[str, np.ndarray], table: xr.Dataset, *, side: str = "", leaky: bool = False
    ) -> xr.Dataset:
        """Return the prediction in dex; see `Infer.interpret`."""
        return super().interpret(outputs, self._in_dex(table), side=side, leaky=leaky)

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values."""
        return {**super().state(), "name": "infer_log"}

    def _in_dex(self, table: xr.Dataset) -> xr.Dataset:
        """Return the table with logarithms in place of the parameters."""
        changed = {}
        for name in self.parameters:
            if name not in table.coords:
                continue  # the message about it is that of Infer
            values, attrs = np.asarray(table[name].values, float), dict(table[name].attrs)
            if (values <= 0).any():
                first = table["sample"].values[values <= 0][0]
                raise DataError(
                    f"parameter {name!r} of sample {first!r} is not positive",
                    hint="task infer takes numbers of any sign",
                )
            attrs["units"] = _dex(attrs.get("units", ""))
            for end in ("low", "high"):
                if end in attrs:
                    attrs[end] = float(np.log10(attrs[end]))
            changed[name] = ("sample", np.log10(values), attrs)
        return table.assign_coords(changed)


def _dex(unit: str) -> str:
    return unit if unit.startswith("dex(") else f"dex({unit})"
