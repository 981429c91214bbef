r"""Is one run better than another: the difference of a score on the same maps, with its clustered interval.

Two runs that are judged on the same maps err on the same hard ones, so the interval of their difference is
mostly narrower than what the two intervals suggest. Groups are drawn with replacement, and both scores are
computed on each draw. Maps are the same where id, group and truth agree; others are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from skyloom.evaluate import scores
from skyloom.evaluate.bootstrap import Interval, Score, clustered
from skyloom.evaluate.class_scorecard import DEFAULT_SCORES as CLASS_SCORES
from skyloom.evaluate.class_scores import ClassScores
from skyloom.evaluate.scorecard import DEFAULT_SCORES
from skyloom.tasks.classes import answers


@dataclass(frozen=True)
class Paired:
    """Differences of the scores of two predictions, the second minus the first.

    Args:
        shared: Maps that both were judged on.
        sizes: Maps of the first and of the second.
        groups: Groups of the shared maps.
        reason: Why nothing is compared; empty where something is.
        differences: Parameter to score to its difference.
    """

    shared: int
    sizes: tuple[int, int]
    groups: int = 0
    reason: str = ""
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)


def paired(first: xr.Dataset, second: xr.Dataset, *, draws: int = 1000, seed: int = 0) -> Paired:
    """Compare two predictions on the maps that both were judged on.

    Args:
        first: Prediction (``skyloom.tasks.prediction``); its attribute ``scores`` names what is compared.
        second: Another.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The differences with their 95 % intervals over groups, in the unit of the score.

    Example:
        >>> pair, coords = ("sample", "parameter"), {"group": ("sample", list("aab")), "parameter": ["x"]}
        >>> truth = (pair, [[0.0], [0.5], [1.0]])
        >>> one = xr.Dataset({"truth": truth, "mean": (pair, [[0.1], [0.6], [1.1]])}, coords)
        >>> one = one.assign_coords(sample=list("uvw")).assign_attrs(scores="rmse")
        >>> two = one.assign(mean=one["mean"] + 0.1)
        >>> found = paired(one, two)
        >>> found.shared, found.differences["x"]["rmse"].value.round(6).tolist()
        (3, 0.1)
    """
    sizes = (first.sizes["sample"], second.sizes["sample"])
    ids = np.intersect1d(first["sample"].values, second["sample"].values)
    names = [name for name in _subjects(first) if name in _subjects(second)]
    if not ids.size:
        return Paired(0, sizes, reason="no map is in both test sides")
    if not names or answers(first) != answers(second):
        return Paired(len(ids), sizes, reason="they answer different questions, or give fields")
    one, two = (_chosen(data.sel(sample=ids), names) for data in (first, second))
    if not np.array_equal(one["group"].values.astype(str), two["group"].values.astype(str)):
        return Paired(len(ids), sizes, reason="maps of equal ids are of different simulations")
    if not np.allclose(one["truth"].values, two["truth"].values, rtol=1e-5):
        return Paired(len(ids), sizes, reason="maps of equal ids have different truths")
    scorers = [_scorer(data) for data in (one, two)]
    present = [name for name in scorers[0][0] if name in scorers[1][0]]
    if not present:
        return Paired(len(ids), sizes, reason="they have no score in common")

    def differences(weights: np.ndarray) -> np.ndarray:
        values = [score(weights)[..., [known.index(name) for name in present]] for known, score in scorers]
        return np.asarray(values[1] - values[0])

    found = clustered(differences, one["group"].values, draws=draws, seed=seed)
    split = {
        subject: {
            name: Interval(found.value[p, s], found.low[p, s], found.high[p, s], found.groups, found.samples)
            for s, name in enumerate(present)
        }
        for p, subject in enumerate(names)
    }
    return Paired(len(ids), sizes, found.groups, differences=split)


def _subjects(data: xr.Dataset) -> list[str]:
    """What a prediction answers for: its parameters, or the one label whose classes it tells; no fields."""
    if answers(data) == "fields":
        return []
    if answers(data) == "classes":
        return [str(data.attrs["target"])]
    return [str(name) for name in data["parameter"].values]


def _chosen(data: xr.Dataset, names: list[str]) -> xr.Dataset:
    return data.sel(parameter=names) if "parameter" in data.dims else data


def _scorer(data: xr.Dataset) -> tuple[list[str], Score]:
    """The scores that a prediction has what it takes for, and their function of weights ``(D, P, S)``."""
    wanted = str(data.attrs.get("scores", "")).split()
    if answers(data) == "classes":
        score = ClassScores(data, wanted or CLASS_SCORES)
        return score.names, lambda weights: score(weights)[:, None]
    present = [name for name in wanted or DEFAULT_SCORES if scores.evaluate(name, data) is not None]

    def of_parameters(weights: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(scores.evaluate(name, data, weights)) for name in present], axis=-1)

    return present, of_parameters
