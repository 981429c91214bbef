r"""Judging a translation: pairs of a true and a translated map, matched by sample.

Two kinds of questions: is the right structure in the right place (PSNR, SSIM, correlation, R², coherence
``r(k)``), and is there as much of it as there should be (total, ``P(k)`` ratio). A translation that is sure
of nothing blurs: it wins the first and loses the second. Beside it stand a constant image and a regression
pixel by pixel, which knows the values of the input and nothing of their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import DataError, UsageError
from skyloom.evaluate.bootstrap import clustered
from skyloom.evaluate.generated import shapes
from skyloom.evaluate.generated.card import Scorecard
from skyloom.evaluate.generated.sample import Ensemble, common_fields, gather
from skyloom.fields import subset
from skyloom.statistics import images, power_spectrum
from skyloom.statistics.distances import normalised
from skyloom.statistics.two_point import coherence
from skyloom.units import parse

BINS = 16
DEGREE = 3  #: of the polynomial in the values of the input's pixels
FITTED = 200_000  #: pixels that the regression is fitted on
SCORES: dict[str, tuple[str, str]] = {
    "psnr": ("PSNR", "dB"),
    "ssim": ("SSIM", ""),
    "correlation": ("correlation of pixels", ""),
    "r2": ("R² of pixels", ""),
    "total": ("total, translated over true", ""),
    "power_ratio": ("P(k) ratio, median over k", ""),
    "coherence": ("coherence r(k), mean over k", ""),
    "skill": ("error removed from the per-pixel regression's", ""),
}


def judge_pairs(
    truth: xr.Dataset,
    translated: xr.Dataset,
    *,
    inputs: xr.Dataset | None = None,
    train: tuple[xr.Dataset, xr.Dataset] | None = None,
    fields: Sequence[str] | None = None,
    seconds_per_sample: float | None = None,
    maximum: int = 2000,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Scorecard:
    """Judge translated maps beside the true ones of the same samples.

    Args:
        truth: True maps, a field set.
        translated: Translated ones with the same sample ids, fields, units and box.
        inputs: What was translated, of the same samples; with ``train`` it gives the per-pixel baseline.
        train: Inputs and truths of the training side, on which the baselines are fitted; left out, the
            constant is the mean of the truth that is judged, which flatters it, and there is no regression.
        fields: Fields to compare; None for all that both have.
        seconds_per_sample: Time that a translation takes [s], for the record.
        maximum: Samples that are looked at.
        bootstrap: Draws of the bootstrap over groups.
        seed: Seed of everything that is drawn.
        progress: Called with (done, all) steps.

    Returns:
        The scorecard; every score with its interval over groups, that of each baseline beside.

    Raises:
        FieldSetError: A set breaks the convention, or holds NaN or infinity.
        DataError: The sets share no samples, or cannot be compared.
        UsageError: The fields are no maps.

    Example:
        >>> from skyloom.fields import example
        >>> ds = example()
        >>> card = judge_pairs(ds, ds.assign(T_b=ds["T_b"] * 0.9), fields=["T_b"], bootstrap=50)
        >>> round(card.row("T_b.total")["generated"]["value"], 3)
        0.9
    """
    names = common_fields(truth, translated, "translated", fields)
    ids = _matched(truth, translated, maximum, seed)
    true, other = (gather(subset(ds, ids), names, [], maximum=len(ids), seed=0) for ds in (truth, translated))
    if true.dims != 2:
        raise UsageError("a translation is judged on maps", hint="cut maps from cubes (fields.project.cut)")
    contestants: dict[str, Mapping[str, np.ndarray]] = {
        "generated": {name: other.values(name) for name in names},
        **_baselines(true, names, inputs, train, ids, seed),
    }
    total = len(contestants) * len(names)
    rows: list[dict[str, Any]] = []
    curves: dict[str, Any] = {}
    for done, name in enumerate(names):
        found = {}
        objects = _objects(true, name)
        for step, (who, maps) in enumerate(contestants.items()):
            found[who] = _compare(true, name, maps[name])
            if objects is not None:
                found[who] |= objects.errors(maps[name])
            if progress is not None:
                progress(done * len(contestants) + step + 1, total)
        rows += _rows(name, found, true, bootstrap, seed)
        curves |= _curves(name, found, true)
        if objects is not None:
            everyone = {"truth": true.values(name), **{who: maps[name] for who, maps in contestants.items()}}
            curves |= _shape_curves(name, objects, everyone, true)
    about = {"samples": len(ids), "groups": len(np.unique(true.groups))}
    numbers = {
        "kind": "pairs",
        "real": {"suite": str(truth.attrs["suite"]), **about},
        "generated": {"suite": str(translated.attrs["suite"]), **about},
        "fields": names,
        "units": {name: str(truth[name].attrs["units"]) for name in names},
        "parameters": [],
        "seconds_per_sample": seconds_per_sample,
        "constant_from": "train" if train is not None else "truth",
        "rows": rows,
    }
    coords: dict[str, Any] = {"ensemble": list(contestants)}
    if any("beside" in variable[0] for variable in curves.values()):
        coords["beside"] = ["truth", *contestants]
    return Scorecard(numbers, xr.Dataset(curves, coords=coords))


def _objects(true: Ensemble, name: str) -> shapes.Shapes | None:
    """The shapes of true maps, where they are maps of single objects."""
    maps = true.values(name)
    if not shapes.holds_objects(maps, periodic=bool(true.data.attrs["periodic"])):
        return None
    return shapes.Shapes(maps, float(true.data.attrs["box_size"]))


def _matched(truth: xr.Dataset, translated: xr.Dataset, maximum: int, seed: int) -> list[str]:
    """Ids in both sets, in the order of the truth."""
    theirs = set(translated["sample"].values.astype(str).tolist())
    ids = [name for name in truth["sample"].values.astype(str).tolist() if name in theirs]
    if not ids:
        raise DataError(
            "the two sets share no sample id, so no translated map has a true one beside it",
            hint="give a translated map the id of its input; without pairs judge the ensembles",
        )
    if len(ids) > maximum:
        kept = np.random.default_rng(seed).choice(len(ids), maximum, replace=False)
        ids = [ids[row] for row in np.sort(kept)]
    return ids


def _baselines(
    true: Ensemble,
    names: Sequence[str],
    inputs: xr.Dataset | None,
    train: tuple[xr.Dataset, xr.Dataset] | None,
    ids: Sequence[str],
    seed: int,
) -> dict[str, Mapping[str, np.ndarray]]:
    """Maps of a constant image and, where there is something to fit it on, of the per-pixel regression."""
    shape = true.values(names[0]).shape
    if train is None:
        return {"constant": {name: np.full(shape, float(true.values(name).mean())) for name in names}}
    shared = _matched(*train, maximum=len(train[0]["sample"]), seed=seed)
    seen = [subset(ds, shared).load() for ds in train]
    baselines: dict[str, Mapping[str, np.ndarray]] = {
        "constant": {name: np.full(shape, float(seen[1][name].values.mean())) for name in names}
    }
    if inputs is not None:
        here = subset(inputs, ids).load()
        baselines["per_pixel"] = {
            name: _per_pixel(seen[0], seen[1][name].values, here, seed).reshape(shape) for name in names
        }
    return baselines


def _per_pixel(given: xr.Dataset, wanted: np.ndarray, here: xr.Dataset, seed: int) -> np.ndarray:
    """Predict each pixel from a polynomial in the input's values at that pixel, fitted on the train side."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    known = [str(name) for name in given.data_vars]
    x, new = (np.stack([ds[name].values.ravel() for name in known], axis=1) for ds in (given, here))
    y = wanted.ravel().astype(np.float64)
    rows = np.random.default_rng(seed).choice(len(y), min(FITTED, len(y)), replace=False)
    # A polynomial in the value itself would be ruled by the few brightest pixels.
    x, new = normalised(x[rows], new)
    bent = PolynomialFeatures(DEGREE, include_bias=False)
    model = make_pipeline(bent, StandardScaler(), RidgeCV(np.logspace(-6, 2, 9)))
    return np.asarray(model.fit(x, y[rows]).predict(new))


def _compare(true: Ensemble, name: str, maps: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of every pair, shape ``(n,)``, and its spectra, shape ``(n, k)``."""
    t, o = true.values(name).astype(np.float64), np.asarray(maps, np.float64)
    box, periodic = float(true.data.attrs["box_size"]), bool(true.data.attrs["periodic"])
    span = float(np.ptp(t)) or 1.0
    spectra = [power_spectrum(x, box, periodic=periodic, bins=BINS) for x in (t, o)]
    held = spectra[0].modes > 0
    own, other = (spectrum.power[:, held] for spectrum in spectra)
    # A map without power goes together with nothing; rounding leaves a constant one a little.
    r = np.where(other > 1e-24 * own, coherence(t, o, box, periodic=periodic, bins=BINS).r[:, held], 0.0)
    ratio = np.divide(other, own, out=np.full_like(own, np.nan), where=own > 0)
    return {
        "psnr": images.psnr(t, o, span=span),
        "ssim": images.ssim(t, o, span=span, periodic=periodic),
        "correlation": np.nan_to_num(images.correlation(t, o)),
        "error": np.square(t - o).mean(axis=(1, 2)),
        "true": t.mean(axis=(1, 2)),
        "square": np.square(t).mean(axis=(1, 2)),
        "other": o.mean(axis=(1, 2)),
        "ratio": ratio,
        "r": r,
        "k": spectra[0].k[held],
    }


def _rows(
    name: str, found: Mapping[str, Mapping[str, np.ndarray]], true: Ensemble, draws: int, seed: int
) -> list[dict[str, Any]]:
    rival = found.get("per_pixel", {}).get("error")
    scored = {
        who: clustered(_score(values, rival), true.groups, draws=draws, seed=seed)
        for who, values in found.items()
    }
    rows = []
    of_shape = shapes.SCORES if "total_error" in found["generated"] else {}
    for place, (key, (label, unit)) in enumerate((SCORES | of_shape).items()):
        if key == "skill" and rival is None:
            continue
        told = {
            who: {"value": float(i.value[place]), "low": float(i.low[place]), "high": float(i.high[place])}
            for who, i in scored.items()
        }
        rows.append(
            {
                "key": f"{name}.{key}",
                "section": "pairs",
                "of": name,
                "label": label,
                "unit": str(true.data.attrs["box_size_unit"]) if unit == "box" else unit,
                "better": _better(key),
                "generated": told.pop("generated"),
                "floor": None,
                "baselines": told,
                "real": None,
            }
        )
    return rows


def _better(key: str) -> str:
    if key in shapes.SCORES:
        return "less"
    return "both" if key in ("total", "power_ratio") else "more"


def _score(v: Mapping[str, np.ndarray], rival: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
    """The scores of SCORES as a function of weights ``(D, n)``; equal maps have 99 dB.

    ``rival`` is the mean square error of the per-pixel regression on each map, shape ``(n,)``.
    """
    psnr = np.minimum(v["psnr"], 99.0)
    beaten = np.full(len(psnr), np.nan) if rival is None else rival

    def score(weights: np.ndarray) -> np.ndarray:
        w = weights / weights.sum(axis=1, keepdims=True)
        variance = w @ v["square"] - (w @ v["true"]) ** 2
        total = w @ v["true"]
        # The mean ratio is that of mean spectra: a map without power has no ratio of its own.
        ratio = np.nanmedian(w @ np.nan_to_num(v["ratio"], nan=1.0), axis=1)
        return np.stack(
            [
                w @ psnr,
                w @ v["ssim"],
                w @ v["correlation"],
                1 - np.divide(w @ v["error"], variance, out=np.full(len(w), np.nan), where=variance > 0),
                np.divide(w @ v["other"], total, out=np.full(len(w), np.nan), where=total != 0),
                ratio,
                (w @ v["r"]).mean(axis=1),
                1 - (w @ v["error"]) / (w @ beaten),
                *(w @ v[key] for key in shapes.SCORES if key in v),
            ],
            axis=1,
        )

    return score


def _curves(name: str, found: Mapping[str, Mapping[str, np.ndarray]], true: Ensemble) -> dict[str, Any]:
    """Mean P(k) ratio and r(k) of every contestant, and their sd between pairs."""
    unit = f"1 / {true.data.attrs['box_size_unit']}" if true.data.attrs["box_size_unit"] else ""
    first = next(iter(found.values()))
    variables: dict[str, Any] = {}
    for key, label in (("ratio", "P(k) of the translated over the true map"), ("r", "coherence r(k)")):
        dims = ("ensemble", f"{name}.k")
        attrs = {"units": "", "long_name": label, "of": name}
        values = [np.asarray(found[who][key]) for who in found]
        variables[f"{name}.{key}"] = (dims, np.stack([np.nanmean(v, axis=0) for v in values]), attrs)
        variables[f"{name}.{key}.spread"] = (dims, np.stack([np.nanstd(v, axis=0) for v in values]), attrs)
    variables[f"{name}.k"] = (f"{name}.k", first["k"], {"units": unit, "long_name": "wavenumber"})
    return variables


def _shape_curves(
    name: str, objects: shapes.Shapes, maps: Mapping[str, np.ndarray], true: Ensemble
) -> dict[str, Any]:
    """Profiles, cumulative profiles, residuals and totals of the truth and of every contestant."""
    length, unit = str(true.data.attrs["box_size_unit"]), str(true.data[name].attrs["units"])
    # Astropy writes solMass for Msun.
    mass = (parse(unit) * parse(length) ** 2).to_string().replace("solMass", "Msun")
    found = [objects.curves(each) for each in maps.values()]
    described = {
        "profile": ((f"{name}.radius",), unit, "mean in rings"),
        "growth": ((f"{name}.radius",), "", "within the radius, over the true total"),
        "residual": (("quantile", f"{name}.radius"), "", "profile over the true one, less 1"),
        "map_total": (("pair",), mass, "total of a map"),
    }
    variables: dict[str, Any] = {
        f"{name}.{key}": (
            ("beside", *dims),
            np.stack([curves[key] for curves in found]),
            {"units": units, "long_name": text, "of": name},
        )
        for key, (dims, units, text) in described.items()
    }
    about = {"units": length, "long_name": "distance from the true centre of mass"}
    return {**variables, f"{name}.radius": (f"{name}.radius", objects.radius, about)}
