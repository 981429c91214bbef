"""What every baseline is: a simple competitor that sees what the network sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np

from skyloom.errors import DataError, ShapeError, UsageError

FOLDS = 5


class Baseline(ABC):
    """A simple estimator with the interface that every baseline has.

    Attributes:
        answers: What it can predict: ``parameters``, ``classes`` or both.
        columns: Columns of the table that it sees in place of the maps, as ``(n, F, 1, 1)``; empty for maps.
    """

    answers: ClassVar[tuple[str, ...]] = ("parameters", "classes")
    columns: tuple[str, ...] = ()
    _fitted = False
    _box, _periodic = 1.0, True

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
        """Fit on the train side.

        Args:
            maps: Transformed maps of the train side, shape ``(n, C, H, W)``.
            targets: Shape ``(n, P)``: parameters in any unit, predictions come in the same; or one column a
                class, 1 for the right one and 0 elsewhere.
            groups: Name of each map's group, shape ``(n,)``.
            box: Side length of a map [the unit of the field set].
            periodic: Whether opposite sides of a map touch.
            answers: Whether the targets are ``parameters`` or ``classes``.

        Raises:
            UsageError: The baseline cannot answer that.
            ShapeError: The arrays do not fit together.
            DataError: Fewer than two groups, or a value that is not finite.
        """
        check_fit(self, maps, targets, groups, answers)
        self._box, self._periodic = box, periodic
        self._learn(maps, targets, groups, answers)
        self._fitted = True
        return self

    def predict(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Predict ``mean`` and ``sd``, each ``(n, P)``, or for classes their probabilities as ``mean``.

        Args:
            maps: Shape ``(n, C, H, W)``, transformed as those of ``fit``.

        Raises:
            UsageError: The baseline is not fitted.
        """
        if not self._fitted:
            raise UsageError(
                f"baseline {type(self).__name__} is not fitted", hint="call fit(maps, targets, groups)"
            )
        return self._answer(maps)

    @abstractmethod
    def _learn(self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, answers: str) -> None:
        """Fit on what was checked, on maps of side ``_box``."""

    @abstractmethod
    def _answer(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Predict, once fitted."""


def folds(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return train and test rows of at most five folds of whole groups.

    Args:
        groups: Name of each map's group, shape ``(n,)``.

    Raises:
        DataError: There is one group only.

    Example:
        >>> [test.tolist() for _, test in folds(np.array(["a", "b", "a"]))]
        [[0, 2], [1]]
    """
    from sklearn.model_selection import GroupKFold

    K = len(np.unique(groups))
    if K < 2:
        raise DataError(
            f"baselines choose their penalty and error on groups left out; the train side has {K} group",
            hint="give the train side two simulations or more, or leave evaluate.baselines empty",
        )
    return list(GroupKFold(min(FOLDS, K)).split(np.zeros(len(groups)), groups=groups))


def residual_sd(residual: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the root mean square residual, at least a millionth of the targets' spread: one divides by it.

    Args:
        residual: Shape ``(n, P)`` [u].
        targets: Shape ``(n, P)`` [u].

    Example:
        >>> residual_sd(np.array([[3.0], [-3.0]]), np.array([[0.0], [1.0]])).tolist()
        [3.0]
    """
    return np.asarray(np.maximum(np.sqrt((residual**2).mean(axis=0)), 1e-6 * np.std(targets, axis=0)))


def check_fit(
    baseline: Baseline, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, answers: str
) -> None:
    """Refuse what a baseline cannot be fitted on; errors as ``Baseline.fit``."""
    who = type(baseline).__name__
    if answers not in baseline.answers:
        other = {"classes": "majority", "parameters": "mean"}.get(answers, "mean")
        raise UsageError(
            f"baseline {who} predicts {' and '.join(baseline.answers)}, the task asks for {answers}",
            hint=f"use baseline '{other}'",
        )
    if np.ndim(maps) != 4 or np.ndim(targets) != 2 or not len(maps) == len(targets) == len(groups):
        raise ShapeError(
            f"maps {np.shape(maps)}, targets {np.shape(targets)} and groups {np.shape(groups)} do not fit;"
            " (n, C, H, W), (n, P) and (n,) were expected"
        )
    for name, values in (("maps", maps), ("targets", targets)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, np.ndim(values)))))
        if bad.size:
            raise DataError(f"{name}: row {bad[0]} holds a value that is not finite ({bad.size} such rows)")
