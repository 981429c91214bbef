"""What every task offers: it owns the targets of a network and what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import xarray as xr


class Task(Protocol):
    """A question with its targets and its prediction.

    Attributes:
        answers: What a prediction is of, ``parameters`` or ``classes``; methods and baselines say which of
            them they can give, and scores, repair and page follow from it.
        levels: Levels of the intervals or sets.
    """

    answers: ClassVar[str]
    levels: tuple[float, ...]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the targets: parameters, or classes."""

    @property
    def score_names(self) -> list[str]:
        """Scores of this task, the one that a reader looks at first in front."""

    @property
    def digest(self) -> str:
        """Digest of the ids that the task was fitted on."""

    def fit(self, table: xr.Dataset) -> Self:
        """Return a copy that is fitted on the table of the train side."""

    def targets(self, table: xr.Dataset) -> np.ndarray:
        """Return what a network learns, float32 of shape ``(n, P)``."""

    def interpret(
        self, outputs: Mapping[str, np.ndarray], table: xr.Dataset, *, side: str = "", leaky: bool = False
    ) -> xr.Dataset:
        """Return the prediction that the outputs of a method or baseline mean."""

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted task from its state."""


if TYPE_CHECKING:
    from skyloom.tasks.classify import Classify
    from skyloom.tasks.infer import Infer

    conforming: tuple[Task, ...] = (Infer(parameters=["x_HI"]), Classify(label="x_HI", bins=[0.5]))
