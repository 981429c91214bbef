"""The fixed features in which whole ensembles are compared.

Of every field: the logarithm of its power spectrum in 12 bins, its mean, the logarithm of its variance, its
skewness and the inverse hyperbolic sine of its excess kurtosis; of every pair, the correlation of its pixels;
scattering coefficients where the statistic ``scattering`` is installed. Of events: their
numbers. No feature is learned and none is downloaded, so a distance means the same next year.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from skyloom import registry
from skyloom.errors import SkyloomError
from skyloom.evaluate.generated.curves import compute_curves
from skyloom.evaluate.generated.sample import Ensemble
from skyloom.statistics import moments, power_spectrum

BINS = 12
DYNAMIC = 1e-8  #: power below this part of the strongest of the real set counts as that


def features(ensembles: Sequence[Ensemble]) -> tuple[np.ndarray, list[str]]:
    """Return the features of all samples, the ensembles one after another.

    Args:
        ensembles: The first is the real one.

    Returns:
        ``(features, names)``, shapes ``(n, D)`` and ``(D,)``; dimensionless or logarithms.
    """
    if ensembles[0].dims == 0:
        return _of_events(ensembles)
    columns: list[np.ndarray] = []
    names: list[str] = []
    real = len(ensembles[0])
    joined = {name: np.concatenate([e.values(name) for e in ensembles]) for name in ensembles[0].fields}
    for field, values in joined.items():
        found, told = _of_field(values.astype(np.float64), ensembles[0], real)
        columns.append(found)
        names += [f"{field}: {name}" for name in told]
    for first, second in combinations(joined, 2):
        columns.append(_correlation(joined[first], joined[second])[:, None])
        names.append(f"{first} × {second}: correlation")
    scattering = _scattering(ensembles)
    if scattering is not None:
        columns.append(scattering)
        names += [f"scattering {column}" for column in range(scattering.shape[1])]
    table = np.concatenate(columns, axis=1)
    usable = np.isfinite(table).all(axis=0)
    return table[:, usable], [name for name, good in zip(names, usable, strict=True) if good]


def _of_field(values: np.ndarray, like: Ensemble, real: int) -> tuple[np.ndarray, list[str]]:
    box, periodic = float(like.data.attrs["box_size"]), bool(like.data.attrs["periodic"])
    dims = values.ndim - 1
    spectrum = power_spectrum(values, box, periodic=periodic, bins=BINS, dims=dims)
    power = spectrum.power[:, spectrum.modes > 0]
    floor = DYNAMIC * max(float(power[:real].max()), 1e-300)
    m = moments(values, dims=dims)
    least = 1e-12 * max(float(m.variance[:real].max()), 1e-300)
    one_point = [m.mean, np.log(np.maximum(m.variance, least)), m.skewness, np.arcsinh(m.kurtosis)]
    told = [f"log P, bin {b}" for b in range(power.shape[1])]
    told += ["mean", "log variance", "skewness", "asinh kurtosis"]
    return np.column_stack([np.log(np.maximum(power, floor)), *one_point]), told


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (first, second))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    norm = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    return np.asarray(np.divide((a * b).sum(axis=1), norm, out=np.zeros(len(a)), where=norm > 0))


def _scattering(ensembles: Sequence[Ensemble]) -> np.ndarray | None:
    if "scattering" not in registry.names("statistic") or ensembles[0].dims != 2:
        return None
    try:
        curves = compute_curves(ensembles, ["scattering"])
    except SkyloomError:
        # Maps too small for its wavelets: the other features remain.
        return None
    return np.concatenate([curve.values for curve in curves], axis=1)


def _of_events(ensembles: Sequence[Ensemble]) -> tuple[np.ndarray, list[str]]:
    columns = {
        name: np.concatenate([e.values(name) for e in ensembles]).astype(np.float64)
        for name in ensembles[0].fields
    }
    return np.column_stack(list(columns.values())), list(columns)
