r"""Split-conformal repair: how wide must an interval be to hold the truth as often as it says.

Split-conformal repair (Lei et al. 2018, JASA 113, 1094) measures on the validation side how wide intervals
must be. Over groups, the quantile is taken of the mean of the groups' distributions of scores (CDF pooling:
Dunn, Wasserman & Ramdas 2022, JASA, arXiv:1809.07441), with a correction for their finite number. The sets of
classes in ``skyloom.evaluate.probabilities`` take the same quantile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import xarray as xr
from scipy.stats import norm

from skyloom.errors import DataError, LeakError, UsageError, nearest
from skyloom.evaluate.bootstrap import group_index
from skyloom.tasks.prediction import central_interval


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
            [pooled_quantile(scores[:, p, a], index, K, level, correction) for a, level in enumerate(levels)]
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
    refuse_side(prediction, "conformal intervals were to be fitted")
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


def refuse_side(prediction: xr.Dataset, what: str) -> None:
    """Raise if a repair is asked of the side that it is judged on, or that the weights were fitted on.

    Args:
        prediction: Any prediction; one whose side is not told passes.
        what: What was to be done, for the message.

    Raises:
        LeakError: It is of the test or the train side.

    Example:
        >>> refuse_side(xr.Dataset(attrs={"side": "validation"}), "intervals were to be fitted")
    """
    side = prediction.attrs.get("side")
    if side in ("test", "train"):
        raise LeakError(f"{what} on the {side} side", hint="give the prediction of the validation side")


def pooled_quantile(
    scores: np.ndarray, index: np.ndarray, K: int, level: float, correction: str
) -> tuple[float, float, bool]:
    """Return the corrected quantile of the mean of the groups' distributions of a score.

    Args:
        scores: Shape ``(n,)``.
        index: Number of each sample's group, shape ``(n,)``.
        K: Number of groups.
        level: Probability below the quantile.
        correction: As for ``Conformal.fit``.

    Returns:
        The quantile, the number N of independent samples that it rests on, and whether N suffices.

    Example:
        >>> pooled_quantile(np.array([1.0, 2.0, 3.0]), np.arange(3), 3, 0.5, "groups")  # 0.5 (1 + 1/3) = 2/3
        (2.0, 3.0, True)
    """
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
