r"""Do the errors hold: simulation-based calibration, expected coverage (TARP), conformal repair.

If truths follow the prior that a posterior was trained under, then (i) the rank of each truth among its
``L`` draws is uniform (SBC: Talts et al. 2018, arXiv:1804.06788), and (ii) the credible region around any
reference point holds the truth with its own probability (TARP: Lemos et al. 2023, arXiv:2302.03026). Both
are necessary only: a posterior that ignores the map and returns the prior passes. Maps of one simulation are
one observation, so bands are bootstrapped over groups, and the p-value of SBC uses one map a group.

Split-conformal repair (Lei et al. 2018, JASA 113, 1094) measures on the validation side how wide intervals
must be. Over groups, the quantile is taken of the mean of the groups' distributions of scores (CDF pooling:
Dunn, Wasserman & Ramdas 2022, JASA, arXiv:1809.07441), with a correction for their finite number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import xarray as xr
from scipy.stats import chi2, norm

from skyloom.errors import DataError, LeakError, ShapeError, UsageError, nearest
from skyloom.evaluate.bootstrap import clustered, group_index
from skyloom.evaluate.scores import average
from skyloom.tasks.prediction import central_interval

REPEATS = 101  # choices of one map a group; odd, so that their median is one of them


@dataclass(frozen=True)
class Ranks:
    """Histogram of the ranks of the truth among posterior draws.

    Args:
        share: Share of samples in each bin, shape ``(bins, P)``; ``1 / bins`` if calibrated.
        low: Lower bound of the share over groups, same shape.
        high: Upper bound, same shape.
        p_value: Probability of so uneven a histogram if calibrated, shape ``(P,)``; NaN below ten groups.
        draws: Draws of each posterior.
        groups: Number of groups.
        samples: Number of samples.
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    draws: int
    groups: int
    samples: int


def sbc(
    truth: np.ndarray,
    samples: np.ndarray,
    groups: np.ndarray,
    *,
    bins: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Ranks:
    """Test the uniformity of the ranks of truths among draws of their posteriors.

    The p-value is that of a chi-square over one map a group, for 101 random choices of that map, combined as
    twice the median (valid however the choices depend on each other: Meinshausen, Meier & Bühlmann 2009,
    JASA 104, 1671).

    Args:
        truth: Shape ``(n, P)`` [u].
        samples: Draws, shape ``(n, L, P)`` [u].
        groups: Name of each sample's group, shape ``(n,)``.
        bins: Bins of the histogram; by default one for every five groups, between 2 and 20.
        bootstrap: Draws of the clustered band.
        seed: Seed of the choices, of the bootstrap and of the places among equals.

    Raises:
        ShapeError: The arrays do not fit together.
        UsageError: Fewer than two bins.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> draws = rng.normal(size=(200, 99, 1))
        >>> good = sbc(rng.normal(size=(200, 1)), draws, np.arange(200), bins=4)
        >>> narrow = sbc(rng.normal(size=(200, 1)), 0.5 * draws, np.arange(200), bins=4)
        >>> bool(good.p_value[0] > 0.05), bool(narrow.p_value[0] < 1e-6)
        (True, True)
    """
    _check(truth, samples, groups)
    index, K = group_index(groups)
    bins = int(np.clip(K // 5, 2, 20)) if bins is None else bins
    if bins < 2:
        raise UsageError(f"sbc: bins is {bins}; at least 2 are needed to see whether ranks are uniform")
    rng = np.random.default_rng(seed)
    position = _positions(samples < truth[:, None], samples == truth[:, None], rng)
    bin_of = np.minimum((position * bins).astype(int), bins - 1)
    one_hot = (bin_of[:, None, :] == np.arange(bins)[:, None]).astype(float)
    n, _, P = one_hot.shape
    flat = one_hot.reshape(n, -1)
    band = clustered(lambda w: average(flat, w), groups, draws=bootstrap, seed=seed)
    share, low, high = (values.reshape(bins, P) for values in (band.value, band.low, band.high))
    p_value = np.full(P, np.nan)
    if K >= 10:
        p_values = []
        for _ in range(REPEATS if n > K else 1):
            order = rng.permutation(n)
            chosen = order[np.unique(index[order], return_index=True)[1]]
            counts = one_hot[chosen].sum(axis=0)
            p_values.append(chi2.sf(((counts - K / bins) ** 2).sum(axis=0) / (K / bins), bins - 1))
        # Of one choice only there is nothing to combine.
        p_value = np.minimum(1.0, 2 * np.median(p_values, axis=0)) if n > K else p_values[0]
    return Ranks(share, low, high, p_value, samples.shape[1], K, n)


@dataclass(frozen=True)
class ExpectedCoverage:
    """Expected coverage of the joint posterior against credibility.

    Args:
        level: Credibility, shape ``(A,)``, from 0 to 1.
        coverage: Share of truths inside the region of that credibility, shape ``(A,)``.
        low: Lower bound over groups, same shape.
        high: Upper bound, same shape.
        deviation: Largest distance of ``coverage`` from ``level``.
    """

    level: np.ndarray
    coverage: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: float


def tarp(
    truth: np.ndarray,
    samples: np.ndarray,
    groups: np.ndarray,
    *,
    points: int = 21,
    references: int = 8,
    bootstrap: int = 1000,
    seed: int = 0,
) -> ExpectedCoverage:
    """Coverage of regions around random points (Lemos et al. 2023), over all parameters jointly.

    Reference points are uniform over the range of the truths, distances are Euclidean in units of that range.

    Args:
        truth: Shape ``(n, P)`` [u].
        samples: Draws, shape ``(n, L, P)`` [u].
        groups: Name of each sample's group, shape ``(n,)``.
        points: Credibilities at which the curve is given.
        references: Reference points a sample, averaged over.
        bootstrap: Draws of the clustered band.
        seed: Seed of the references and of the bootstrap.

    Raises:
        ShapeError: The arrays do not fit together.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> centre = rng.normal(size=(2000, 2))
        >>> truth = centre + rng.normal(size=(2000, 2))
        >>> curve = tarp(truth, centre[:, None] + rng.normal(size=(2000, 100, 2)), np.arange(2000))
        >>> bool(curve.deviation < 0.03)
        True
    """
    _check(truth, samples, groups)
    rng = np.random.default_rng(seed)
    span = np.ptp(truth, axis=0)
    span = np.where(span > 0, span, 1.0)
    levels = np.linspace(0, 1, points)
    inside = np.zeros((len(truth), points))
    for _ in range(references):
        point = truth.min(axis=0) + span * rng.random(truth.shape)
        radius = (((truth - point) / span) ** 2).sum(axis=-1)[:, None]
        distance = (((samples - point[:, None]) / span) ** 2).sum(axis=-1)
        credibility = _positions(distance < radius, distance == radius, rng)
        inside += (credibility[:, None] <= levels) / references
    band = clustered(lambda w: average(inside, w), groups, draws=bootstrap, seed=seed)
    return ExpectedCoverage(levels, band.value, band.low, band.high, float(abs(band.value - levels).max()))


@dataclass(frozen=True)
class Conformal:
    r"""Intervals that hold on the validation side, stretched by one number a parameter and level.

    The interval is :math:`[c - q\,s_-,\ c + q\,s_+]`. With ``sd`` predicted, c is the mean and both s are the
    sd. With posterior samples, c is their median and s the distance from it to the raw bound, divided by the
    normal quantile z of the level, so that a skewed posterior stays skewed. With neither, s = 1 and the
    interval has one width, q in the parameter's unit. A method that was right already has q = z.

    Args:
        parameters: Names of the ``P`` parameters.
        levels: The levels.
        width: What s is made of: ``samples``, ``sd`` or ``constant``.
        q: Scales, shape ``(P, levels)``.
        effective: Number of independent samples that the scales rest on, shape ``(P, levels)``.
        attained: Whether that number suffices for the level; if not, q is the largest score seen.
        groups: Validation groups.
        correction: As for ``fit``.
    """

    parameters: tuple[str, ...]
    levels: tuple[float, ...]
    width: Literal["samples", "sd", "constant"]
    q: np.ndarray
    effective: np.ndarray
    attained: np.ndarray
    groups: int
    correction: Literal["effective", "groups"] = "effective"

    @classmethod
    def fit(
        cls,
        prediction: xr.Dataset,
        levels: Sequence[float] = (0.68, 0.95),
        *,
        correction: Literal["effective", "groups"] = "effective",
    ) -> Self:
        r"""Fit the scales on a validation prediction, every group counting alike.

        q is the :math:`\ell\,(1 + 1/N)` quantile of the mean of the groups' score distributions.
        ``effective``: :math:`N = \ell(1-\ell)/\mathrm{Var}`, from the scatter of coverage between groups,
        kept between the number of groups and of maps: nearest to the level on average, no guarantee.
        ``groups``: N is the number of groups, which guarantees the level for a map of a new group (Lee,
        Barber & Willett 2023, arXiv:2306.06342) and covers too much where maps of a group agree little.

        Args:
            prediction: Of the validation side, with truth (``skyloom.tasks.prediction``).
            levels: Probability inside.
            correction: The rule for N.

        Raises:
            LeakError: The prediction is of the test side.
            DataError: Truth or widths are not usable, or ``groups`` asks for more groups than there are.

        Example:
            >>> rng, pair = np.random.default_rng(0), ("sample", "parameter")
            >>> zero, ids = np.zeros((4000, 1)), np.arange(4000)
            >>> p = xr.Dataset(
            ...     {"truth": (pair, rng.normal(size=(4000, 1))),
            ...      "mean": (pair, zero), "sd": (pair, zero + 0.8)},
            ...     coords={"sample": ids, "parameter": ["x"], "group": ("sample", ids)})
            >>> bool(abs(Conformal.fit(p, [0.95]).q[0, 0] - 1.96 / 0.8) < 0.1)
            True
        """
        index, K = _fittable(prediction, levels, correction)
        truth = prediction["truth"].values[..., None]
        width = _width(prediction)
        centre, minus, plus = _frame(prediction, width, levels)
        scores = np.where(truth < centre, (centre - truth) / minus, (truth - centre) / plus)
        if not np.isfinite(scores).all():
            sample = prediction["sample"].values[np.argwhere(~np.isfinite(scores))[0, 0]]
            raise DataError(
                f"sample '{sample}' has no finite truth and estimate with a positive width",
                hint="conformal repair needs labels for the validation side; look at predictions.nc",
            )
        fits = [
            [_quantile(scores[:, p, a], index, K, level, correction) for a, level in enumerate(levels)]
            for p in range(scores.shape[1])
        ]
        q, effective, attained = (np.array(part) for part in np.moveaxis(np.array(fits), -1, 0))
        names = tuple(str(name) for name in prediction["parameter"].values)
        return cls(names, tuple(levels), width, q, effective, attained.astype(bool), K, correction)

    def apply(
        self, prediction: xr.Dataset, *, bounds: Mapping[str, tuple[float, float]] | None = None
    ) -> xr.Dataset:
        """Return a prediction with repaired ``lower`` and ``upper``; all else stays.

        Args:
            prediction: By the same method and of the same parameters; repairing twice changes nothing.
            bounds: Ranges outside which a parameter cannot lie, to which intervals are clipped. By default
                nothing is clipped.

        Raises:
            UsageError: Other parameters than fitted, or bounds for an unknown one.
            DataError: The prediction lacks the widths that were fitted.

        Example:
            >>> shape = np.ones((1, 1))
            >>> twice = Conformal(("x",), (0.68,), "sd", 2 * shape, 9 * shape, shape > 0, groups=9)
            >>> pair = (("sample", "parameter"), shape)
            >>> p = xr.Dataset({"mean": pair, "sd": pair}, coords={"parameter": ["x"]})
            >>> twice.apply(p).lower.item(), twice.apply(p).upper.item()
            (-1.0, 3.0)
        """
        names = tuple(str(name) for name in prediction["parameter"].values)
        unknown = set(bounds or {}) - set(names)
        if names != self.parameters or unknown:
            found = ", ".join(sorted(unknown) if unknown else names)
            raise UsageError(f"conformal intervals are for {', '.join(self.parameters)}; found {found}")
        centre, minus, plus = _frame(prediction, self.width, self.levels)
        lower, upper = centre - self.q * minus, centre + self.q * plus
        for name, (low, high) in (bounds or {}).items():
            column = names.index(name)
            lower[:, column], upper[:, column] = (np.clip(b[:, column], low, high) for b in (lower, upper))
        bare = prediction.drop_vars(["lower", "upper", "level"], errors="ignore")
        dims = ("sample", "parameter", "level")
        return (
            bare.assign(lower=(dims, lower), upper=(dims, upper))
            .assign_coords(level=("level", list(self.levels)))
            .assign_attrs(intervals="conformal")
        )

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values."""
        arrays = {name: getattr(self, name).tolist() for name in ("q", "effective", "attained")}
        listed = {"parameters": list(self.parameters), "levels": list(self.levels)}
        return {**listed, "width": self.width, **arrays, "groups": self.groups, "correction": self.correction}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from a state."""
        arrays = {name: np.array(state[name]) for name in ("q", "effective", "attained")}
        lists = {name: tuple(state[name]) for name in ("parameters", "levels")}
        return cls(**{**state, **lists, **arrays})


def _fittable(prediction: xr.Dataset, levels: Sequence[float], correction: str) -> tuple[np.ndarray, int]:
    """Number of each sample's group and how many there are; refuse the test side, and too few groups."""
    if prediction.attrs.get("side") == "test":
        raise LeakError("conformal intervals were to be fitted on the test side", hint="give validation")
    if correction not in ("effective", "groups"):
        allowed = nearest(correction, ["effective", "groups"])
        raise UsageError(f"conformal: correction {correction!r}; {allowed}")
    index, K = group_index(prediction["group"].values)
    if correction == "groups" and max(levels) > K / (K + 1):
        needed = int(np.ceil(max(levels) / (1 - max(levels)) - 1e-9))
        raise DataError(
            f"a guaranteed {100 * max(levels):g} % needs {needed} validation groups; there are {K}",
            hint="give the validation side more simulations, or use correction 'effective'",
        )
    return index, K


def _quantile(
    scores: np.ndarray, index: np.ndarray, K: int, level: float, correction: str
) -> tuple[float, float, bool]:
    """Corrected quantile of the mean of the groups' distributions, the N it rests on, whether N suffices."""
    sizes = np.bincount(index, minlength=K)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(1 / (K * sizes[index[order]]))

    def at(target: float) -> float:
        return float(scores[order[min(int(np.searchsorted(mass, target - 1e-9)), len(scores) - 1)]])

    N = float(K)
    if correction == "effective" and K > 1:
        inside = np.bincount(index, scores <= at(level), minlength=K) / sizes
        variance = inside.var(ddof=1) / K
        N = float(np.clip(level * (1 - level) / variance if variance > 0 else np.inf, K, len(scores)))
    target = level * (1 + 1 / N)
    return at(target), N, target <= 1 + 1e-9


def _width(prediction: xr.Dataset) -> Literal["samples", "sd", "constant"]:
    if "samples" in prediction:
        return "samples"
    return "sd" if "sd" in prediction else "constant"


def _frame(
    prediction: xr.Dataset, width: str, levels: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre and the widths below and above it, each broadcastable to ``(n, P, levels)``."""
    if width != "constant" and width not in prediction:
        raise DataError(f"conformal intervals were fitted on '{width}', which the prediction lacks")
    if width == "samples":
        samples = np.asarray(prediction["samples"].transpose("sample", "draw", "parameter").values, float)
        centre = np.median(samples, axis=1)[..., None]
        bounds = central_interval(centre[..., 0], None, samples, levels)
        z = norm.isf((1 - np.asarray(levels)) / 2)
        minus, plus = (centre - bounds[0]) / z, (bounds[1] - centre) / z  # type: ignore[index]
    else:
        centre = prediction["mean"].values[..., None]
        sd = prediction["sd"].values[..., None] if width == "sd" else np.ones_like(centre)
        minus = plus = np.broadcast_to(sd, (*centre.shape[:-1], len(levels)))
    return centre, np.where(minus > 0, minus, np.nan), np.where(plus > 0, plus, np.nan)


def _positions(below: np.ndarray, equal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Place of the truth among draws (axis 1), uniform on [0, 1) if calibrated; chance decides ties."""
    L = below.shape[1]
    ties = equal.sum(axis=1)
    rank = below.sum(axis=1) + rng.integers(0, ties + 1)
    return np.asarray((rank + rng.random(rank.shape)) / (L + 1))


def _check(truth: np.ndarray, samples: np.ndarray, groups: np.ndarray) -> None:
    n, P = np.shape(truth) if np.ndim(truth) == 2 else (-1, -1)
    if np.ndim(samples) != 3 or (len(samples), samples.shape[-1]) != (n, P) or len(groups) != n:
        raise ShapeError(
            f"truth {np.shape(truth)}, samples {np.shape(samples)} and groups {np.shape(groups)} do not fit;"
            " (n, P), (n, draws, P) and (n,) were expected"
        )
