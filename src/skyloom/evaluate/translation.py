"""The scorecard of a translation in a run: pairs of maps judged, in the layout that every task's scores have.

What is computed is that of ``skyloom.evaluate.generated.judge_pairs``; here it becomes ``metrics.json`` and
the curves of the page, with the distribution of the pixels' values beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from skyloom.evaluate.bootstrap import clustered
from skyloom.evaluate.generated import Scorecard, judge_pairs
from skyloom.evaluate.generated.shapes import SCORES as SHAPE_SCORES
from skyloom.evaluate.scorecard import as_json
from skyloom.evaluate.spread import by_spread, crps, judge_draws
from skyloom.statistics import one_point

PDF_BINS = 60
PDF_TAIL = 0.001  #: share of the true pixels beyond the ends of the distribution, each side


def judge(
    translated: xr.Dataset,
    truth: xr.Dataset,
    inputs: xr.Dataset,
    train: tuple[xr.Dataset, xr.Dataset],
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    looks: int | None = None,
    seconds_per_sample: float | None = None,
) -> tuple[dict[str, Any], xr.Dataset]:
    """Judge a translation on one side.

    Args:
        translated: What ``skyloom.tasks.translate`` gave, ``n`` samples.
        truth: The true fields of the same samples, in the same units.
        inputs: What the network saw of them.
        train: Inputs and truths of the train side, on which the baselines are fitted.
        samples: Field to draws, shape ``(n, k, H, W)``, of a method that draws.
        bootstrap: Draws of the bootstrap over groups.
        seed: Seed of the bootstrap and of the baseline's choice of pixels.
        looks: How often this side was looked at before.
        seconds_per_sample: Time of a translation [s].

    Returns:
        The content of ``metrics.json``, as ``skyloom.evaluate.scorecard`` describes it with a field in the
        place of a parameter and the baselines ``constant`` and ``per_pixel``, and the scores of
        ``judge_draws`` where there are draws; and the curves: of every field ``f``, ``f.ratio`` and ``f.r``
        over ``f.k``, ``f.pdf`` over ``f.value`` for truth and translation, of draws those of ``by_spread``.
        ``crps`` is over the absolute error of the constant image; of one answer it is the absolute error, and
        of draws that were not given there is none.
        Of maps of single objects (``shapes.holds_objects``) also the scores and curves of ``shapes``.

    Raises:
        DataError: The sets share no samples, or cannot be compared.

    Example:
        >>> from skyloom.fields import example
        >>> ds = example()
        >>> given, wanted = ds[["T_b"]], ds[["neutral_fraction"]]
        >>> card, curves = judge(wanted, wanted, given, (given, wanted), bootstrap=20)
        >>> card["parameters"]["neutral_fraction"]["scores"]["r2"]["value"]
        1.0
    """
    found = judge_pairs(
        truth,
        translated,
        inputs=inputs,
        train=train,
        maximum=truth.sizes["sample"],
        bootstrap=bootstrap,
        seed=seed,
    )
    groups = len(np.unique(translated["group"].values))
    size = {"groups": groups, "samples": translated.sizes["sample"]}
    names = [*str(translated.attrs.get("scores", "r2")).split(), *SHAPE_SCORES]
    entries = {name: _entry(found, name, translated[name], names, size) for name in found.numbers["fields"]}
    curves = [found.curves, *(_distribution(name, truth, translated) for name in entries)]
    for name, entry in entries.items():
        draws, scores = int(translated.attrs.get("draws", 0)), {}
        if samples or not draws:
            drawn = samples[name] if samples else translated[name].values[:, None]
            away = np.abs(truth[name].values - float(train[1][name].mean())).mean(axis=(1, 2))
            scores["crps"] = _ranked(crps(drawn, truth[name].values), away, truth, bootstrap, seed)
        if draws:
            scores |= judge_draws(truth, translated, name, bootstrap=bootstrap, seed=seed)
        if f"{name}_sd" in translated:
            curves.append(by_spread(truth, translated, name))
        entry["scores"] |= {key: score | size for key, score in scores.items()}
    card = {
        "side": str(translated.attrs.get("side", "")),
        **size,
        "leaky": bool(translated.attrs.get("leaky", 0)),
        "looks": looks,
        "intervals": "none",
        "headline": names[0],
        "answers": "fields",
        "parameters": entries,
        "calibration": {},
        "seconds_per_sample": seconds_per_sample,
    }
    cleaned: dict[str, Any] = as_json(card)
    return cleaned, xr.merge(curves, join="exact", compat="equals")


def _ranked(
    ranked: np.ndarray, away: np.ndarray, truth: xr.Dataset, bootstrap: int, seed: int
) -> dict[str, float]:
    """The ranked score of maps over the absolute error of a constant image, with its interval."""
    told = clustered(lambda w: (w @ ranked) / (w @ away), truth["group"].values, draws=bootstrap, seed=seed)
    return {key: float(getattr(told, key)) for key in ("value", "low", "high")}


def _entry(
    found: Scorecard, field: str, translated: xr.DataArray, names: list[str], size: dict[str, int]
) -> dict[str, Any]:
    """The scores of one field and of its baselines."""
    entry: dict[str, Any] = {
        "unit": str(translated.attrs["units"]),
        "space": str(translated.attrs.get("space", "physical")),
        "scores": {},
        "baselines": {},
        "floors": {},
    }
    for name in names:
        row = found.row(f"{field}.{name}")
        if row is None:
            continue
        entry["scores"][name] = row["generated"] | size
        for rival, score in row["baselines"].items():
            entry["baselines"].setdefault(rival, {})[name] = score | size
    return entry


def _distribution(name: str, truth: xr.Dataset, translated: xr.Dataset) -> xr.Dataset:
    """How often each value is found in the pixels of all maps."""
    maps = {"truth": truth[name].values, "translated": translated[name].values}
    low, high = (float(edge) for edge in np.quantile(maps["truth"], [PDF_TAIL, 1 - PDF_TAIL]))
    if not low < high:
        low, high = low - 0.5, high + 0.5
    told = [one_point.pdf(values, bins=PDF_BINS, low=low, high=high) for values in maps.values()]
    unit = str(truth[name].attrs["units"])
    attrs = {"units": f"1 / ({unit})" if unit else "", "long_name": "distribution of pixels", "of": name}
    value = (
        f"{name}.value",
        told[0].value,
        {"units": unit, "long_name": str(truth[name].attrs["long_name"])},
    )
    density = np.stack([each.density.mean(axis=0) for each in told])
    return xr.Dataset(
        {f"{name}.pdf": (("who", f"{name}.value"), density, attrs)},
        coords={"who": list(maps), f"{name}.value": value},
    )
