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
from skyloom.evaluate.bootstrap import Interval, clustered
from skyloom.evaluate.scorecard import DEFAULT_SCORES


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
    names = [str(name) for name in first["parameter"].values if name in second["parameter"].values]
    if not ids.size:
        return Paired(0, sizes, reason="no map is in both test sides")
    if not names:
        return Paired(len(ids), sizes, reason="they answer for different parameters")
    one, two = (data.sel(sample=ids, parameter=names) for data in (first, second))
    if not np.array_equal(one["group"].values.astype(str), two["group"].values.astype(str)):
        return Paired(len(ids), sizes, reason="maps of equal ids are of different simulations")
    if not np.allclose(one["truth"].values, two["truth"].values, rtol=1e-5):
        return Paired(len(ids), sizes, reason="maps of equal ids have different truths")
    wanted = str(first.attrs.get("scores", "")).split() or DEFAULT_SCORES
    present = [name for name in wanted if all(scores.evaluate(name, data) is not None for data in (one, two))]
    if not present:
        return Paired(len(ids), sizes, reason="they have no score in common")

    def differences(weights: np.ndarray) -> np.ndarray:
        columns = [[np.asarray(scores.evaluate(n, data, weights)) for n in present] for data in (one, two)]
        return np.asarray(np.stack(columns[1], axis=-1) - np.stack(columns[0], axis=-1))

    found = clustered(differences, one["group"].values, draws=draws, seed=seed)
    split = {
        parameter: {
            name: Interval(found.value[p, s], found.low[p, s], found.high[p, s], found.groups, found.samples)
            for s, name in enumerate(present)
        }
        for p, parameter in enumerate(names)
    }
    return Paired(len(ids), sizes, found.groups, differences=split)
