"""The part of the scorecard that is of classes: scores of all and of each class, confusion, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import DataError
from skyloom.evaluate.bootstrap import Interval, clustered, effective_number
from skyloom.evaluate.class_scores import OF_PROBABILITIES, PER_CLASS, ClassScores, per_class
from skyloom.evaluate.probabilities import own_probabilities, reliability
from skyloom.tasks.classes import UNKNOWN

DEFAULT_SCORES = ("balanced_accuracy", "accuracy", "log_loss", "brier", "ece")


def check_classes(prediction: xr.Dataset, who: str, *, like: xr.Dataset) -> None:
    """Raise if classes cannot be scored.

    Args:
        prediction: The prediction, or that of a baseline.
        who: What the message calls it.
        like: The prediction that it stands beside.

    Raises:
        DataError: A right class is not known, or the classes are others.

    Example:
        >>> p = xr.Dataset({"truth": ("sample", [1])}, coords={"class": ["a", "b"]})
        >>> check_classes(p, "the prediction", like=p)
    """
    unknown = prediction["truth"].values == UNKNOWN
    if unknown.any():
        raise DataError(
            f"{who}: the class of sample '{prediction['sample'].values[unknown][0]}' is not known"
            f" ({int(unknown.sum())} such samples)",
            hint="labels must be in the table, and of a class that the train side has",
        )
    if not np.array_equal(prediction["class"].values, like["class"].values):
        raise DataError(f"{who} is of other classes than what it stands beside")


def class_parts(
    prediction: xr.Dataset,
    others: Mapping[str, Mapping[str, xr.Dataset]],
    names: Sequence[str],
    *,
    draws: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the scorecard says of classes, under the name of what they are of, and of its calibration.

    Args:
        prediction: Of ``n`` samples with truth (``skyloom.tasks.classes``).
        others: Kind (``baselines``, ``floors``) to name to prediction of the same samples.
        names: Scores of ``skyloom.evaluate.class_scores``.
        draws: Draws of the clustered bootstrap.
        seed: Seed of the bootstrap.

    Returns:
        ``{target: {"unit", "scores", "baselines", "floors", "classes", "confusion", "reliability"}}``, and
        ``{"raw": {target: scores}, "temperature"}`` where the probabilities were repaired. ``classes[c]`` has
        ``samples``, ``groups`` and ``scores``; ``confusion`` has ``names``, ``counts`` and the shares of each
        row, ``share``, ``share_low`` and ``share_high``, rows being the right classes.

    Example:
        >>> p = xr.Dataset({"truth": ("sample", [0, 1]), "probability": (("sample", "class"), np.eye(2))},
        ...     coords={"class": ["a", "b"], "sample": ["s", "t"], "group": ("sample", ["g", "h"])},
        ...     attrs={"target": "transport"})
        >>> told, _ = class_parts(p, {}, ["accuracy"], draws=10, seed=0)
        >>> told["transport"]["confusion"]["counts"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    target = str(prediction.attrs["target"])
    entry: dict[str, Any] = {"unit": "", "scores": _scores(prediction, names, draws, seed)}
    for kind, found in others.items():
        entry[kind] = {name: _scores(other, names, draws, seed) for name, other in found.items()}
    entry |= _each_class(prediction, draws, seed)
    truth, probability, groups = (prediction[key].values for key in ("truth", "probability", "group"))
    entry["reliability"] = asdict(reliability(truth, probability, groups, bootstrap=draws, seed=seed))
    calibration: dict[str, Any] = {}
    if prediction.attrs.get("intervals") == "conformal":
        raw = own_probabilities(prediction)
        calibration["raw"] = {target: _scores(raw, OF_PROBABILITIES, draws, seed)}
        calibration["temperature"] = float(prediction.attrs["temperature"])
    return {target: entry}, calibration


def score_node(result: Interval, effective: np.ndarray, place: tuple[int, ...]) -> dict[str, Any]:
    """Return one score with its interval and the numbers behind it, as the scorecard holds it.

    Example:
        >>> values = np.array([[0.5]])
        >>> score_node(Interval(values, values, values, 3, 9), np.array([[4.0]]), (0, 0))["effective"].item()
        4.0
    """
    return {
        "value": result.value[place],
        "low": result.low[place],
        "high": result.high[place],
        "groups": result.groups,
        "samples": result.samples,
        "effective": effective[place],
    }


def _scores(prediction: xr.Dataset, names: Sequence[str], draws: int, seed: int) -> dict[str, Any]:
    score, groups = ClassScores(prediction, names), prediction["group"].values
    result, effective = clustered(score, groups, draws=draws, seed=seed), effective_number(score, groups)
    return {name: score_node(result, effective, (s,)) for s, name in enumerate(score.names)}


def _each_class(prediction: xr.Dataset, draws: int, seed: int) -> dict[str, Any]:
    """Scores of each class, and the confusion matrix with the bounds of its rows' shares."""
    score, groups, truth = (
        ClassScores(prediction, []),
        prediction["group"].values,
        prediction["truth"].values,
    )
    names = [str(name) for name in prediction["class"].values]

    def stacked(weights: np.ndarray) -> np.ndarray:
        told = per_class(score.matrix(weights))
        return np.stack([told[name] for name in PER_CLASS], axis=1)

    def shares(weights: np.ndarray) -> np.ndarray:
        matrix = score.matrix(weights)
        rows = matrix.sum(axis=-1, keepdims=True)
        undefined = np.full(matrix.shape, np.nan)
        return np.asarray(np.divide(matrix, rows, out=undefined, where=rows > 0))

    result, effective = (
        clustered(stacked, groups, draws=draws, seed=seed),
        effective_number(stacked, groups),
    )
    rows = clustered(shares, groups, draws=draws, seed=seed)
    sizes = [len(np.unique(groups[truth == c])) for c in range(len(names))]
    # The recall of a class with one simulation is the same in every draw: its spread is not known.
    alone = np.array(sizes) < 2
    for bound, share in ((result.low, rows.low), (result.high, rows.high)):
        bound[PER_CLASS.index("recall"), alone] = np.nan
        share[alone] = np.nan
    classes = {
        name: {
            "samples": int((truth == c).sum()),
            "groups": sizes[c],
            "scores": {key: score_node(result, effective, (s, c)) for s, key in enumerate(PER_CLASS)},
        }
        for c, name in enumerate(names)
    }
    counts = score.matrix(np.ones((1, len(truth))))[0]
    confused = {"names": names, "counts": counts, "share": rows.value}
    return {"classes": classes, "confusion": confused | {"share_low": rows.low, "share_high": rows.high}}
