r"""Scores of classes and their probabilities, as pure functions that take weights over samples.

All that counts right and wrong comes from the confusion matrix :math:`M_{ab}`, the weight of samples of class
a that were given class b (the likeliest one), with its row sums :math:`R_a` and column sums :math:`S_a`:

- ``accuracy`` :math:`\sum_a M_{aa} / \sum_{ab} M_{ab}`; ``balanced_accuracy``, the mean of their recalls;
- per class ``recall`` :math:`M_{aa}/R_a`, ``precision`` :math:`M_{aa}/S_a`, ``f1``
  :math:`2M_{aa}/(R_a+S_a)`, and ``one_vs_rest`` :math:`1 - (R_a + S_a - 2M_{aa})/\sum M`, the share of
  samples that are rightly given or rightly not given class a: with five classes, 0.8 for who never names
  it. Some papers call it accuracy; here it always stands beside the plain one;
- ``log_loss`` :math:`-\langle \log p_\mathrm{true} \rangle` [nats] and ``brier``
  :math:`\langle \sum_c (p_c - t_c)^2 \rangle`, 0 if perfect; ``ece``: ``skyloom.evaluate.probabilities``.

The means over classes of ``precision``, ``f1`` and ``one_vs_rest`` carry these names too. A class without
samples is left out of means; one that is never given has precision 0 in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from skyloom.errors import ShapeError, UsageError, nearest
from skyloom.evaluate.probabilities import LEAST, calibration_error, confidence_bins
from skyloom.evaluate.scores import Weights, average

OF_COUNTS = ("accuracy", "balanced_accuracy", "one_vs_rest", "precision", "f1")
OF_PROBABILITIES = ("log_loss", "brier", "ece")
OF_SETS = ("coverage", "set_size")
PER_CLASS = ("recall", "precision", "f1", "one_vs_rest")


def confusion(truth: np.ndarray, given: np.ndarray, classes: int, *, weights: Weights = None) -> np.ndarray:
    """Return how much weight of each class was given to each class.

    Args:
        truth: Number of the right class, from 0, shape ``(n,)``.
        given: Number of the class that was given, shape ``(n,)``.
        classes: Number of classes ``C``.
        weights: Shape ``(n,)`` or ``(D, n)``; None weighs all alike.

    Returns:
        Shape ``(C, C)`` or ``(D, C, C)``; rows are the right classes.

    Raises:
        ShapeError: The arrays do not fit together, or a number is no class.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    truth, given = np.asarray(truth), np.asarray(given)
    fits = truth.ndim == 1 and truth.shape == given.shape
    if not fits or not all(((x >= 0) & (x < classes)).all() for x in (truth, given)):
        raise ShapeError(
            f"truth {truth.shape} and given classes {given.shape} must be as long as each other and hold"
            f" numbers from 0 to {classes - 1}"
        )
    w = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
    if w.shape[-1] != len(truth):
        raise ShapeError(f"weights have shape {w.shape}, their last axis must have the {len(truth)} samples")
    cells = np.zeros((len(truth), classes**2))
    cells[np.arange(len(truth)), truth * classes + given] = 1
    return np.asarray((w @ cells).reshape(*w.shape[:-1], classes, classes))


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return recall, precision, F1 and one-versus-rest accuracy of each class.

    Args:
        matrix: Confusion, shape ``(..., C, C)``.

    Returns:
        The four of ``PER_CLASS``, each ``(..., C)``; NaN where the class has no samples, or was never given.

    Example:
        >>> told = per_class(np.array([[8, 2], [0, 10]]))
        >>> {name: value.round(3).tolist() for name, value in told.items()}
        {'recall': [0.8, 1.0], 'precision': [1.0, 0.833], 'f1': [0.889, 0.909], 'one_vs_rest': [0.9, 0.9]}
    """
    matrix = np.asarray(matrix, float)
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    rows, columns = matrix.sum(axis=-1), matrix.sum(axis=-2)
    total = matrix.sum(axis=(-2, -1))[..., None]
    return {
        "recall": _ratio(right, rows),
        "precision": _ratio(right, columns),
        "f1": _ratio(2 * right, np.where(rows > 0, rows + columns, 0)),
        "one_vs_rest": 1 - _ratio(rows + columns - 2 * right, np.broadcast_to(total, rows.shape)),
    }


def of_counts(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of all classes together, ``OF_COUNTS``, each of shape ``(...)``.

    Args:
        matrix: Confusion, shape ``(..., C, C)``.

    Example:
        >>> told = of_counts(np.array([[90, 0], [10, 0]]))  # who always says the first class
        >>> {name: value.round(3).tolist() for name, value in told.items() if "accuracy" in name}
        {'accuracy': 0.9, 'balanced_accuracy': 0.5}
    """
    matrix = np.asarray(matrix, float)
    present = matrix.sum(axis=-1) > 0
    each = per_class(matrix)
    precision = np.where(np.isnan(each["precision"]), 0.0, each["precision"])

    def mean(values: np.ndarray) -> np.ndarray:
        return _ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))

    right, total = np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1))
    return {
        "accuracy": _ratio(right, total),
        "balanced_accuracy": mean(each["recall"]),
        "one_vs_rest": mean(each["one_vs_rest"]),
        "precision": mean(precision),
        "f1": mean(each["f1"]),
    }


def log_loss(truth: np.ndarray, probability: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Mean of minus the logarithm of the right class's probability [nats], shape ``()`` or ``(D,)``.

    Args:
        truth: Number of the right class, shape ``(n,)``.
        probability: Shape ``(n, C)``; below 1e-12 it counts as that.
        weights: Shape ``(n,)`` or ``(D, n)``.

    Example:
        >>> float(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.0, 1.0]])).round(4))
        0.3466
    """
    own = np.maximum(np.take_along_axis(probability, np.asarray(truth)[:, None], axis=1), LEAST)
    return average(-np.log(own), weights)[..., 0]


def brier(truth: np.ndarray, probability: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Mean square distance of the probabilities from the truth, from 0 to 2 (Brier 1950).

    Arguments and shapes as ``log_loss``.

    Example:
        >>> float(brier(np.array([0]), np.array([[0.5, 0.5]])))
        0.5
    """
    right = np.eye(probability.shape[1])[truth]
    return average(((probability - right) ** 2).sum(axis=1, keepdims=True), weights)[..., 0]


class ClassScores:
    """Scores of a prediction of classes by name, as a function of weights.

    Args:
        prediction: As ``skyloom.tasks.classes`` describes it, with truth.
        names: Scores of this module; those of sets end in their level in percent, such as ``coverage_95``.

    Attributes:
        names: Those that the prediction has what it takes for.

    Raises:
        UsageError: There is no such score; the message gives the nearest.

    Example:
        >>> p = xr.Dataset({"truth": ("sample", [0, 1]), "probability": (("sample", "class"), np.eye(2))},
        ...     coords={"class": ["a", "b"]})
        >>> score = ClassScores(p, ["accuracy", "brier", "coverage_95"])
        >>> score.names, score(np.ones((1, 2))).tolist()
        (['accuracy', 'brier'], [[1.0, 0.0]])
    """

    def __init__(self, prediction: xr.Dataset, names: Sequence[str]) -> None:
        self.truth = prediction["truth"].values
        self.probability = prediction["probability"].values
        self.given = self.probability.argmax(axis=1)
        self._sets = self._of_sets(prediction)
        for name in names:
            kind, _, percent = name.rpartition("_")
            if name not in (*OF_COUNTS, *OF_PROBABILITIES) and not (
                kind in OF_SETS and percent.replace(".", "", 1).isdigit()
            ):
                allowed = [*OF_COUNTS, *OF_PROBABILITIES, "coverage_95", "set_size_95"]
                raise UsageError(
                    f"unknown score '{name}'; {nearest(name, allowed)}",
                    hint="coverage and set_size take any level in percent",
                )
        self.names = [n for n in names if n in self._sets or n in (*OF_COUNTS, *OF_PROBABILITIES)]
        self._bins = confidence_bins(self.probability.max(axis=1), self.given == self.truth)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the scores ``names`` for each row of weights ``(D, n)``, shape ``(D, S)``."""
        told = of_counts(self.matrix(weights))
        told["log_loss"] = log_loss(self.truth, self.probability, weights=weights)
        told["brier"] = brier(self.truth, self.probability, weights=weights)
        told["ece"] = calibration_error(self.truth, self.probability, bins=self._bins, weights=weights)
        told |= {name: average(column[:, None], weights)[..., 0] for name, column in self._sets.items()}
        return np.stack([told[name] for name in self.names], axis=-1)

    def matrix(self, weights: np.ndarray) -> np.ndarray:
        """Return the confusion for each row of weights, shape ``(D, C, C)``."""
        return confusion(self.truth, self.given, self.probability.shape[1], weights=weights)

    def _of_sets(self, prediction: xr.Dataset) -> dict[str, np.ndarray]:
        """Whether each set holds the truth, and how many classes it holds."""
        if "set" not in prediction:
            return {}
        columns = {}
        for place, level in enumerate(prediction["level"].values):
            sets = prediction["set"].values[..., place].astype(float)
            columns[f"coverage_{100 * level:g}"] = sets[np.arange(len(sets)), self.truth]
            columns[f"set_size_{100 * level:g}"] = sets.sum(axis=1)
        return columns


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, NaN where the denominator is zero."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0))
