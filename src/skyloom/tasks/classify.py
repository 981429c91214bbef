"""Classify: which of a few kinds of physics made this sky.

Classes come from one parameter or label of the field set's table: its codes, with the names that the set
gives them, or bins of its values. A network learns one column a class, 1 for the right one and 0 elsewhere;
what leaves the task are probabilities by name. Which classes there are is told by the train side alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields import class_names, parameters
from skyloom.fields.transforms import ids_digest
from skyloom.tasks.classes import UNKNOWN, class_prediction

SCORES = ("balanced_accuracy", "accuracy", "one_vs_rest", "precision", "f1", "log_loss", "brier", "ece")
MOST_CODES = 100  # more distinct numbers than these are no codes of classes
_WORDS = {2: ("low", "high"), 3: ("low", "mid", "high")}


class Classify:
    """Tell classes apart, with probabilities.

    Args:
        label: The parameter or label of the table that tells the classes.
        bins: Edges between classes, rising, in the label's unit; a value on an edge belongs to the class
            above. Null where the label holds whole numbers, each a class.
        names: Names of the classes, in the order of their values. By default those of the field set; of bins
            ``low``, ``mid`` and ``high``, or their ranges where there are more than three; else the codes.
        levels: Probability with which each of the prediction sets is to hold the truth.

    Raises:
        UsageError: Bins that do not rise, names that do not fit them, or a level outside (0, 1).

    Example:
        >>> role = {"role": "label", "units": ""}
        >>> table = xr.Dataset(coords={"sample": ["a", "b"], "group": ("sample", ["g", "h"]),
        ...     "x_HI": ("sample", [0.2, 0.6], role)})
        >>> task = Classify(label="x_HI", bins=[0.5]).fit(table)
        >>> task.columns, task.targets(table).tolist()
        (['low', 'high'], [[1.0, 0.0], [0.0, 1.0]])
    """

    answers: ClassVar[str] = "classes"

    def __init__(
        self,
        *,
        label: str,
        bins: list[float] | None = None,
        names: list[str] | None = None,
        levels: tuple[float, ...] = (0.95,),
    ) -> None:
        if bins is not None and (not bins or np.any(np.diff(bins) <= 0) or not np.isfinite(bins).all()):
            raise UsageError(
                f"task classify: bins are {bins}; at least one edge is needed, and edges must rise",
                hint="for three classes write two edges, for instance bins: [0.3, 0.7]",
            )
        if names is not None and (
            len(set(names)) < len(names)
            or len(names) < 2
            or (bins is not None and len(names) != len(bins) + 1)
        ):
            wanted = "two or more" if bins is None else f"{len(bins) + 1}"
            raise UsageError(
                f"task classify: names are {names}; {wanted} are needed, each once",
                hint="name the classes in the order of their values, or leave names out",
            )
        wrong = [level for level in levels if not 0 < level < 1]
        if wrong or len(set(levels)) < len(levels):
            raise UsageError(
                f"task classify: levels are {list(levels)}; each must lie between 0 and 1 and stand once",
                hint="write levels as fractions, for instance levels: [0.95]",
            )
        self.label, self.bins, self.names = label, bins, names
        self.levels = tuple(float(level) for level in levels)
        self._codes: list[int] = []
        self._columns: list[str] = []
        self._digest = ""

    @property
    def score_names(self) -> list[str]:
        """Scores of this task, the one that a reader looks at first in front."""
        sets = [f"{kind}_{100 * level:g}" for level in self.levels for kind in ("coverage", "set_size")]
        return [*SCORES, *sets]

    @property
    def columns(self) -> list[str]:
        """Names of the classes, in the order of the columns of the targets; empty before ``fit``."""
        return list(self._columns)

    @property
    def digest(self) -> str:
        """Digest of the ids that told which classes there are; empty before ``fit``."""
        return self._digest

    def fit(self, table: xr.Dataset) -> Self:
        """Return a copy of this task that knows its classes.

        Args:
            table: Coordinates of the train samples, and of no others.

        Raises:
            DataError: There is no such label, its values are no classes, a bin is empty, or there is one
                class only.
        """
        values = self._values(table)
        given = class_names(table, self.label)
        fitted = type(self)(label=self.label, bins=self.bins, names=self.names, levels=self.levels)
        if self.bins is not None:
            fitted._codes = list(range(len(self.bins) + 1))
            fitted._columns = list(self.names or self._ranges())
        else:
            fitted._codes = self._whole(values)
            words = [given.get(code, str(code)) for code in fitted._codes]
            if self.names is not None and len(self.names) != len(words):
                raise DataError(
                    f"task classify has {len(self.names)} names for the {len(words)} classes of"
                    f" '{self.label}' on the train side: {', '.join(words)}",
                    hint="name each of them, in this order, or leave names out",
                )
            fitted._columns = list(self.names or words)
        counts = np.bincount(fitted._numbers(values), minlength=len(fitted._codes))
        if len(counts) < 2 or (counts == 0).any():
            told = ", ".join(f"{name} {count}" for name, count in zip(fitted._columns, counts, strict=True))
            raise DataError(
                f"the train side has too few classes of '{self.label}': {told} samples",
                hint="move the bins, or select a wider set",
            )
        fitted._digest = ids_digest(table["sample"].values)
        return fitted

    def truth(self, table: xr.Dataset) -> np.ndarray:
        """Return the number of each sample's class, shape ``(n,)``.

        Args:
            table: Coordinates of ``n`` samples.

        Raises:
            UsageError: The task is not fitted.
            DataError: The label is missing, a value is not finite, or of no class of the train side; the
                message names the sample.
        """
        self._check_fitted()
        values = self._values(table)
        numbers = self._numbers(values)
        if (numbers == UNKNOWN).any():
            row = int(np.flatnonzero(numbers == UNKNOWN)[0])
            raise DataError(
                f"label '{self.label}' of sample '{table['sample'].values[row]}' is {values[row]:g}, a class"
                f" that the train side does not have; it has {', '.join(self._columns)}",
                hint="deal the classes to all sides, or leave the others out with data.select",
            )
        return numbers

    def targets(self, table: xr.Dataset) -> np.ndarray:
        """Return 1 in the column of the right class and 0 elsewhere, float32 of shape ``(n, C)``.

        Raises:
            UsageError, DataError: As ``truth``.
        """
        return np.asarray(np.eye(len(self._columns), dtype=np.float32)[self.truth(table)])

    def interpret(
        self, outputs: Mapping[str, np.ndarray], table: xr.Dataset, *, side: str = "", leaky: bool = False
    ) -> xr.Dataset:
        """Return the prediction of classes by name from a method's probabilities.

        Args:
            outputs: ``mean``, the probabilities, shape ``(n, C)``.
            table: Coordinates of the same ``n`` samples; without the label their truth is -1.
            side: Name of the side, stored in the attributes.
            leaky: Whether the split is leaky, stored in the attributes.

        Returns:
            The dataset that ``skyloom.tasks.classes`` describes.

        Raises:
            UsageError: The task is not fitted, or there is another output.
            ShapeError: The probabilities do not fit the table.
        """
        self._check_fitted()
        truth = np.full(table.sizes["sample"], UNKNOWN)
        if self.label in table.coords:
            truth = self._numbers(np.asarray(table[self.label].values, float))
        return class_prediction(
            outputs,
            table,
            truth,
            classes=self._columns,
            target=self.label,
            scores=self.score_names,
            side=side,
            leaky=leaky,
        )

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values.

        Raises:
            UsageError: The task is not fitted.
        """
        self._check_fitted()
        return {
            "name": "classify",
            "label": self.label,
            "bins": self.bins,
            "names": self.names,
            "levels": list(self.levels),
            "codes": self._codes,
            "columns": self._columns,
            "fitted_on": self._digest,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted task from its state."""
        arguments = {key: state[key] for key in ("label", "bins", "names")}
        task = cls(**arguments, levels=tuple(state["levels"]))
        task._codes, task._columns = list(state["codes"]), list(state["columns"])
        task._digest = str(state["fitted_on"])
        return task

    def _check_fitted(self) -> None:
        if not self._columns:
            raise UsageError(
                "task classify is not fitted: which classes there are is not known",
                hint="use task = task.fit(table of the train side), or Classify.from_state",
            )

    def _values(self, table: xr.Dataset) -> np.ndarray:
        available = parameters(table)
        if self.label not in available:
            raise DataError(
                f"label '{self.label}' is not in the table; {nearest(self.label, available)}",
                hint="name one of these in task.label, or add the label to the field set",
            )
        values = np.asarray(table[self.label].values, float)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise DataError(
                f"label '{self.label}' of sample '{table['sample'].values[bad[0]]}' is {values[bad[0]]};"
                f" {bad.size} of {values.size} samples have no finite value",
                hint=f"leave them out with data.select: {{{self.label}: [low, high]}}, or mend the table",
            )
        return values

    def _whole(self, values: np.ndarray) -> list[int]:
        """Codes of the classes that there are; refuse a label that is a measured number."""
        distinct = np.unique(values)
        if (distinct != np.rint(distinct)).any() or len(distinct) > MOST_CODES:
            raise DataError(
                f"label '{self.label}' has {len(distinct)} values between {distinct[0]:g} and"
                f" {distinct[-1]:g}: classes are whole numbers, at most {MOST_CODES}",
                hint="give task.bins, the edges between classes, for instance bins: [0.3, 0.7]",
            )
        return [int(value) for value in distinct]

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        """Number of the class of each value, -1 where there is none."""
        if self.bins is not None:
            numbers = np.searchsorted(self.bins, values, side="right")
            return np.where(np.isfinite(values), numbers, UNKNOWN)
        place = np.clip(np.searchsorted(self._codes, values), 0, len(self._codes) - 1)
        return np.where(np.asarray(self._codes)[place] == values, place, UNKNOWN)

    def _ranges(self) -> list[str]:
        edges = self.bins or []
        if len(edges) + 1 in _WORDS:
            return list(_WORDS[len(edges) + 1])
        between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
        return [f"below {edges[0]:g}", *between, f"above {edges[-1]:g}"]
