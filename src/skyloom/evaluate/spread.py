r"""Whether the draws of a translation differ as much as they are wrong, and whether one draw is a true map.

If truth and draws come from one distribution with variance :math:`\sigma^2` in a pixel, the mean of ``k``
draws misses the truth by :math:`\sigma^2 (1 + 1/k)` on average, so

.. math:: \texttt{spread\_error} = \sqrt{\frac{(1 + 1/k)\,\langle s^2 \rangle}
          {\langle (\bar d - t)^2 \rangle}}

is 1, with ``s`` the standard deviation of the draws (Fortin et al. 2014, J. Hydrometeor. 15, 1708). A method
whose draws have collapsed to one map has 0, one that is too sure less than 1. The continuous ranked
probability score joins both: draws are punished for their distance from the truth and for needless spread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from skyloom.evaluate.bootstrap import clustered
from skyloom.statistics import power_spectrum

BINS = 16  #: of the spectrum, as for the mean of the draws
LEVELS = 12  #: of spread, equal numbers of pixels each, in which the error is looked at


def crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    r"""Continuous ranked probability score of draws, the mean over the pixels of each map.

    .. math:: \frac1k \sum_i |d_i - t| - \frac{1}{2k(k-1)} \sum_{i,j} |d_i - d_j|

    It is fair: its expectation does not depend on the number of draws (Ferro 2014, Q. J. R. Meteorol. Soc.
    140, 1917). Of one draw, or of a method with one answer, it is the absolute error.

    Args:
        samples: Draws, shape ``(n, k, H, W)``, in any unit ``u``.
        truth: Shape ``(n, H, W)`` [u].

    Returns:
        Shape ``(n,)`` [u]; 0 for draws that are all the truth.

    Example:
        >>> crps(np.array([[[[0.0]], [[2.0]]]]), np.array([[[1.0]]])).tolist()  # 1 - 4 / (2 * 2)
        [0.0]
    """
    drawn, k = samples.astype(np.float64), samples.shape[1]
    away = np.abs(drawn - truth[:, None]).mean(axis=(1, 2, 3))
    if k == 1:
        return np.asarray(away)
    # Of sorted draws the sum over pairs is one over draws.
    order = (2 * np.arange(k) - k + 1)[:, None, None]
    apart = (np.sort(drawn, axis=1) * order).sum(axis=1).mean(axis=(1, 2)) / (k * (k - 1))
    return np.asarray(away - apart)


def by_spread(truth: xr.Dataset, translated: xr.Dataset, field: str) -> xr.Dataset:
    """Return how large the error is where the draws differ by so much.

    Args:
        truth: As in ``judge_draws``.
        translated: With ``f_sd``.
        field: ``f``.

    Returns:
        ``f.spread`` and ``f.error`` over ``f.level``: root mean square over the pixels of a level of spread,
        the spread times the root of 1 + 1/k: both are equal for draws from the distribution of the truth.
    """
    k, unit = int(translated.attrs["draws"]), str(truth[field].attrs["units"])
    spread = translated[f"{field}_sd"].values.astype(np.float64).ravel() ** 2 * (1 + 1 / k)
    error = np.square(translated[field].values.astype(np.float64) - truth[field].values).ravel()
    levels = np.array_split(np.argsort(spread, kind="stable"), LEVELS)
    told = {"spread": spread, "error": error}
    words = {"spread": "spread of the draws", "error": "error of their mean"}
    return xr.Dataset(
        {
            f"{field}.{name}": (
                f"{field}.level",
                np.sqrt([values[rows].mean() for rows in levels]),
                {"units": unit, "long_name": words[name], "of": field},
            )
            for name, values in told.items()
        }
    )


def judge_draws(
    truth: xr.Dataset, translated: xr.Dataset, field: str, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Judge the draws of one field.

    Args:
        truth: True maps of ``n`` samples.
        translated: What ``skyloom.tasks.translate`` made of draws of the same samples, in the same order.
        field: Name of the field.
        bootstrap: Draws of the bootstrap over groups.
        seed: Its seed.

    Returns:
        ``spread_error``, absent for a single draw, and ``draw_power_ratio``: the median over wavenumbers of
        the mean spectrum of one draw over that of the truth; each ``{"value", "low", "high"}``.

    Example:
        >>> from skyloom.fields import example
        >>> ds = example()
        >>> given = ds.assign(T_b_draw=ds["T_b"], T_b_sd=0 * ds["T_b"], T_b=0.9 * ds["T_b"])
        >>> scores = judge_draws(ds, given.assign_attrs(draws=4), "T_b", bootstrap=20)
        >>> scores["spread_error"]["value"], round(scores["draw_power_ratio"]["value"], 6)
        (0.0, 1.0)
    """
    t, draw = (maps.values.astype(np.float64) for maps in (truth[field], translated[f"{field}_draw"]))
    box, periodic = float(truth.attrs["box_size"]), bool(truth.attrs["periodic"])
    own, other = (power_spectrum(maps, box, periodic=periodic, bins=BINS) for maps in (t, draw))
    held = own.modes > 0
    power, drawn = own.power[:, held], other.power[:, held]
    scores: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "draw_power_ratio": lambda w: np.median((w @ drawn) / (w @ power), axis=1)
    }
    if f"{field}_sd" in translated:
        k = int(translated.attrs["draws"])
        variance = np.square(translated[f"{field}_sd"].values.astype(np.float64)).mean(axis=(1, 2))
        error = np.square(translated[field].values - t).mean(axis=(1, 2))
        scores["spread_error"] = lambda w: np.sqrt((1 + 1 / k) * (w @ variance) / (w @ error))
    found = {}
    for name, score in scores.items():
        told = clustered(score, truth["group"].values, draws=bootstrap, seed=seed)
        found[name] = {key: float(getattr(told, key)) for key in ("value", "low", "high")}
    return found
