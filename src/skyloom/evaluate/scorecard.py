"""The scorecard: from predictions to the numbers of ``metrics.json``.

Every score stands with its clustered 95 % interval and the numbers of groups and samples behind it, beside
the same score of the baselines and of the floors. All are bootstrapped with the same draws of groups. What is
not defined (R² of equal truths, the interval of a single group) is NaN in the computation and ``null`` in
the JSON.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import DataError
from skyloom.evaluate import scores
from skyloom.evaluate.bootstrap import clustered, effective_number
from skyloom.evaluate.calibration import sbc, tarp
from skyloom.evaluate.class_scorecard import DEFAULT_SCORES as CLASS_SCORES
from skyloom.evaluate.class_scorecard import check_classes, class_parts, score_node
from skyloom.tasks.classes import answers
from skyloom.tasks.prediction import central_interval

DEFAULT_SCORES = ("r2", "rmse", "bias", "correlation", "chi2", "pull", "coverage_68", "coverage_95")


def scorecard(
    prediction: xr.Dataset,
    *,
    baselines: Mapping[str, xr.Dataset] | None = None,
    floors: Mapping[str, xr.Dataset] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    looks: int | None = None,
    seconds_per_sample: float | None = None,
) -> dict[str, Any]:
    """Judge a prediction on one side.

    Args:
        prediction: Of ``n`` samples with truth (``skyloom.tasks.prediction`` or ``skyloom.tasks.classes``);
            its attribute ``scores`` names what is computed, the one to look at first in front.
        baselines: Predictions of the same samples by simple methods, by name.
        floors: Predictions of the same samples from what is known of them, such as the limit that noisy
            labels set, by name; parameters may be missing.
        bootstrap: Draws of the clustered bootstrap.
        seed: Seed of the bootstrap and of the calibration tests.
        looks: How often this side was looked at before.
        seconds_per_sample: Time of a prediction.

    Returns:
        JSON values: ``side, samples, groups, leaky, looks, intervals, seconds_per_sample``; ``headline``, the
        score to look at first;
        ``parameters[p]`` with ``unit``, ``scores``, ``baselines[name]``, ``floors[name]``, where a score is
        ``{"value", "low", "high", "groups", "samples", "effective"}`` (``rmse`` and ``bias`` in the
        parameter's unit; ``effective``: how many independent maps would give that error);
        ``calibration`` with ``raw`` (coverage before repair) if the intervals were repaired, ``sbc`` and
        ``tarp`` if there are posterior samples. Classes stand there as one parameter, with what
        ``skyloom.evaluate.class_scorecard`` adds.

    Raises:
        DataError: A truth or an estimate is not finite, or a baseline is of other samples.
        UsageError: The prediction names an unknown score.

    Example:
        >>> pair = ("sample", "parameter")
        >>> p = xr.Dataset({"truth": (pair, [[0.1], [0.5], [0.9]]), "mean": (pair, [[0.2], [0.5], [0.8]])},
        ...     coords={"sample": list("abc"), "group": ("sample", list("aab")), "parameter": ["x_HI"]})
        >>> card = scorecard(p, bootstrap=100)
        >>> round(card["parameters"]["x_HI"]["scores"]["r2"]["value"], 4), card["groups"], card["samples"]
        (0.9375, 2, 3)
    """
    classes = answers(prediction) == "classes"
    others = {"baselines": baselines or {}, "floors": floors or {}}
    _check(prediction)
    for values in others.values():
        for name, other in values.items():
            _check(other, like=prediction, name=name)
    names = str(prediction.attrs.get("scores", "")).split() or list(
        CLASS_SCORES if classes else DEFAULT_SCORES
    )
    parts = class_parts if classes else _parameter_parts
    parameters, calibration = parts(prediction, others, names, draws=bootstrap, seed=seed)
    card = {
        "side": str(prediction.attrs.get("side", "")),
        "samples": prediction.sizes["sample"],
        "groups": len(np.unique(prediction["group"].values)),
        "leaky": bool(prediction.attrs.get("leaky", 0)),
        "looks": looks,
        "intervals": str(prediction.attrs.get("intervals", "none")),
        "headline": names[0],
        "parameters": parameters,
        "calibration": calibration,
        "seconds_per_sample": seconds_per_sample,
    }
    cleaned: dict[str, Any] = as_json(card)
    return cleaned


def spread(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the scorecards of training seeds.

    Args:
        metrics: Scorecards of the same side, one for each seed.

    Returns:
        The first scorecard, in which every score has ``seeds``: its ``values`` in all runs, their ``mean``
        and ``sd`` (of one run: null), and the means ``low`` and ``high`` of their intervals.

    Raises:
        DataError: No scorecard, or they are not of the same side, samples and scores.

    Example:
        >>> runs = [{"side": "test", "r2": {"value": v, "low": v - 0.1, "high": v + 0.1}} for v in (0.7, 0.9)]
        >>> {key: np.round(value, 3).tolist() for key, value in spread(runs)["r2"]["seeds"].items()}
        {'values': [0.7, 0.9], 'mean': 0.8, 'sd': 0.141, 'low': 0.7, 'high': 0.9}
    """
    if not metrics:
        raise DataError("the spread over training seeds needs one scorecard at least; there is none")
    for key in ("side", "samples", "groups"):
        if len({m.get(key) for m in metrics}) > 1:
            raise DataError(
                f"scorecards of different runs are joined: {key} is {[m.get(key) for m in metrics]}",
                hint="join only runs that differ in train.seed",
            )
    joined = copy.deepcopy(dict(metrics[0]))
    _join(joined, list(metrics), "")
    return joined


def as_json(value: Any) -> Any:
    """Turn arrays and numpy scalars into JSON values, and what is not finite into None.

    Example:
        >>> as_json({"a": np.array([1.0, np.nan]), "b": np.int64(2)})
        {'a': [1.0, None], 'b': 2}
    """
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _parameter_parts(
    prediction: xr.Dataset,
    others: Mapping[str, Mapping[str, xr.Dataset]],
    names: Sequence[str],
    *,
    draws: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Unit and scores of each parameter, those of baselines and floors beside; and the calibration."""
    own = _scores(prediction, names, draws, seed)
    units = prediction["unit"].values if "unit" in prediction.coords else [""] * len(own)
    result: dict[str, Any] = {
        name: {"unit": str(unit), "scores": scored, **{kind: {} for kind in others}}
        for (name, scored), unit in zip(own.items(), units, strict=True)
    }
    for kind, predictions in others.items():
        for other, values in predictions.items():
            for name, scored in _scores(values, names, draws, seed).items():
                if name in result:
                    result[name][kind][other] = scored
    return result, _calibration(prediction, names, draws, seed)


def _scores(prediction: xr.Dataset, names: Sequence[str], draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """All scores of a prediction by parameter; those whose error or interval is missing are left out."""
    present = [name for name in names if scores.evaluate(name, prediction) is not None]

    def stacked(weights: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(scores.evaluate(name, prediction, weights)) for name in present], axis=1)

    groups = prediction["group"].values
    result, effective = clustered(stacked, groups, draws=draws, seed=seed), effective_number(stacked, groups)
    return {
        str(parameter): {name: score_node(result, effective, (s, p)) for s, name in enumerate(present)}
        for p, parameter in enumerate(prediction["parameter"].values)
    }


def _calibration(prediction: xr.Dataset, names: Sequence[str], draws: int, seed: int) -> dict[str, Any]:
    """Coverage before repair, SBC and TARP, each where the prediction has what it needs."""
    result: dict[str, Any] = {}
    parameters = [str(name) for name in prediction["parameter"].values]
    samples = None
    if "samples" in prediction:
        samples = prediction["samples"].transpose("sample", "draw", "parameter").values.astype(float)
    if prediction.attrs.get("intervals") == "conformal":
        sd = prediction["sd"].values if "sd" in prediction else None
        bounds = central_interval(prediction["mean"].values, sd, samples, prediction["level"].values)
        if bounds is not None:
            dims = ("sample", "parameter", "level")
            raw = prediction.assign(lower=(dims, bounds[0]), upper=(dims, bounds[1]))
            result["raw"] = _scores(raw, [name for name in names if name.startswith("coverage")], draws, seed)
    if samples is not None:
        truth, groups = prediction["truth"].values, prediction["group"].values
        ranks = sbc(truth, samples, groups, bootstrap=draws, seed=seed)
        curve = tarp(truth, samples, groups, bootstrap=draws, seed=seed)
        result["sbc"] = {
            "draws": ranks.draws,
            "bins": len(ranks.share),
            "groups": ranks.groups,
            "samples": ranks.samples,
            "parameters": {
                name: {key: getattr(ranks, key)[..., p] for key in ("share", "low", "high", "p_value")}
                for p, name in enumerate(parameters)
            },
        }
        result["tarp"] = {
            key: getattr(curve, key) for key in ("level", "coverage", "low", "high", "deviation")
        }
    return result


def _check(prediction: xr.Dataset, *, like: xr.Dataset | None = None, name: str = "") -> None:
    """Refuse what cannot be scored: nothing, other samples, values that are not finite."""
    who = f"prediction '{name}'" if name else "the prediction"
    if not prediction.sizes.get("sample"):
        raise DataError(
            f"{who} has no samples", hint="look at the split: a side may be empty after data.select"
        )
    if like is not None and not np.array_equal(prediction["sample"].values, like["sample"].values):
        raise DataError(f"{who} is of other samples, or in another order, than what it stands beside")
    if answers(prediction) == "classes":
        check_classes(prediction, who, like=prediction if like is None else like)
        return
    for variable in ("truth", "mean", "sd"):
        if variable in prediction:
            bad = np.argwhere(~np.isfinite(prediction[variable].values))
            if len(bad):
                sample, parameter = (
                    prediction["sample"].values[bad[0, 0]],
                    prediction["parameter"].values[bad[0, 1]],
                )
                raise DataError(
                    f"{who}: {variable} of '{parameter}' is not finite for sample '{sample}'"
                    f" ({len(bad)} such values)",
                    hint="labels must be in the table; a network that gives NaN has diverged: lower its lr",
                )


def _join(into: Any, sources: list[Any], path: str) -> None:
    """Walk the scorecards side by side and add ``seeds`` to every score."""
    if not isinstance(into, dict):
        return
    if {"value", "low", "high"} <= into.keys():
        columns = {key: [source[key] for source in sources] for key in ("value", "low", "high")}
        means = {key: None if None in values else float(np.mean(values)) for key, values in columns.items()}
        values = columns["value"]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 and None not in values else None
        into["seeds"] = {
            "values": values,
            "mean": means["value"],
            "sd": sd,
            "low": means["low"],
            "high": means["high"],
        }
        return
    for key, child in into.items():
        if isinstance(child, dict):
            if not all(
                isinstance(source.get(key), Mapping) and source[key].keys() >= _scored(child)
                for source in sources
            ):
                raise DataError(
                    f"scorecards of different runs are joined: '{path}{key}' is not the same in all"
                )
            _join(child, [source[key] for source in sources], f"{path}{key}.")


def _scored(node: Mapping[str, Any]) -> set[str]:
    """Keys that every run must have."""
    return {
        key for key, child in node.items() if isinstance(child, Mapping) or key in ("value", "low", "high")
    }
