"""Baselines that do not look at the map: the mean parameter, and the commonest class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from skyloom.evaluate.baselines.base import Baseline, folds, residual_sd


class Mean(Baseline):
    """The mean target of the train side for every map; its sd is their spread, groups left out in turn.

    Example:
        >>> maps, x = np.zeros((4, 1, 8, 8)), np.array([[0.0], [0.2], [0.4], [0.6]])
        >>> fitted = Mean().fit(maps, x, np.arange(4), box=1.0, periodic=True)
        >>> fitted.predict(maps[:1])["mean"].round(3).tolist()
        [[0.3]]
    """

    answers: ClassVar[tuple[str, ...]] = ("parameters",)

    def _learn(self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, answers: str) -> None:
        residual = np.zeros_like(targets, dtype=float)
        for train, test in folds(groups):
            residual[test] = targets[test] - targets[train].mean(axis=0)
        self._mean, self._sd = targets.mean(axis=0), residual_sd(residual, targets)

    def _answer(self, maps: np.ndarray) -> dict[str, np.ndarray]:
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

    def _learn(self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, answers: str) -> None:
        folds(groups)  # one group of a class tells as little here as in the other baselines
        self._share = np.asarray(targets, float).mean(axis=0)

    def _answer(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": np.tile(self._share, (len(maps), 1))}
