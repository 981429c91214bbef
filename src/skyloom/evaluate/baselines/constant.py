"""Baselines that do not look at the map: the mean parameter, and the commonest class."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from skyloom.evaluate.baselines.base import Baseline, check_fit, folds, residual_sd, unfitted


class Mean(Baseline):
    """The mean target of the train side for every map; its sd is their spread, groups left out in turn.

    Example:
        >>> maps, x = np.zeros((4, 1, 8, 8)), np.array([[0.0], [0.2], [0.4], [0.6]])
        >>> fitted = Mean().fit(maps, x, np.arange(4), box=1.0, periodic=True)
        >>> fitted.predict(maps[:1])["mean"].round(3).tolist()
        [[0.3]]
    """

    answers: ClassVar[tuple[str, ...]] = ("parameters",)

    def __init__(self) -> None:
        self._mean: np.ndarray | None = None

    def fit(
        self,
        maps: np.ndarray,
        targets: np.ndarray,
        groups: np.ndarray,
        *,
        box: float,
        periodic: bool,
        answers: str = "parameters",
    ) -> Self:
        """Average the targets; arguments and errors as ``Baseline.fit``."""
        check_fit(self, maps, targets, groups, answers)
        residual = np.zeros_like(targets, dtype=float)
        for train, test in folds(groups):
            residual[test] = targets[test] - targets[train].mean(axis=0)
        self._mean, self._sd = targets.mean(axis=0), residual_sd(residual, targets)
        return self

    def predict(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Repeat the mean; arguments and errors as ``Baseline.predict``."""
        if self._mean is None:
            raise unfitted(self)
        return {"mean": np.tile(self._mean, (len(maps), 1)), "sd": np.tile(self._sd, (len(maps), 1))}


class Majority(Baseline):
    """The commonest class of the train side for every map, with the shares of the classes as probabilities.

    Example:
        >>> maps, right = np.zeros((4, 1, 8, 8)), np.eye(2)[[0, 1, 1, 1]]
        >>> fitted = Majority().fit(maps, right, np.arange(4), box=1.0, periodic=True, answers="classes")
        >>> fitted.predict(maps[:1])["mean"].tolist()
        [[0.25, 0.75]]
    """

    answers: ClassVar[tuple[str, ...]] = ("classes",)

    def __init__(self) -> None:
        self._share: np.ndarray | None = None

    def fit(
        self,
        maps: np.ndarray,
        targets: np.ndarray,
        groups: np.ndarray,
        *,
        box: float,
        periodic: bool,
        answers: str = "parameters",
    ) -> Self:
        """Count the classes; arguments and errors as ``Baseline.fit``."""
        check_fit(self, maps, targets, groups, answers)
        folds(groups)  # one group of a class tells as little here as in the other baselines
        self._share = np.asarray(targets, float).mean(axis=0)
        return self

    def predict(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Repeat the shares; arguments and errors as ``Baseline.predict``."""
        if self._share is None:
            raise unfitted(self)
        return {"mean": np.tile(self._share, (len(maps), 1))}
