r"""Do class probabilities hold: reliability, calibration error, temperature, prediction sets.

A classifier is calibrated if, of the maps that it is 80 % sure of, it is right about 80 %. The expected
calibration error is the mean distance between the two over bins of the confidence,

.. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \, \big| \langle \text{right} \rangle_b - \langle p_{\max}
          \rangle_b \big| .

It is never negative, so noise adds to it: a calibrated classifier with ``B`` bins and ``n`` independent maps
shows about :math:`\sqrt{B/n}`. Too few bins hide errors instead. So bins hold equal numbers of maps, as many
bins as keep the share of right answers rising from bin to bin (the monotonic sweep of Roelofs et al. 2022,
arXiv:2012.08668, which they find to be the least biased choice), and what a calibrated classifier would show
on the same simulations, ``noise``, stands beside it.

The repair is fitted on the validation side alone: one temperature (Guo et al. 2017, arXiv:1706.04599), which
changes no answer, then split-conformal sets of classes (Sadinle, Lei & Wasserman 2019, arXiv:1609.00451) with
the quantile over groups of ``skyloom.evaluate.conformal``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr
from scipy.optimize import minimize_scalar

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.evaluate.bootstrap import clustered, group_index, jackknife
from skyloom.evaluate.conformal import pooled_quantile, refuse_side
from skyloom.evaluate.scores import Weights, average

LEAST = 1e-12  # a probability below this counts as this: its logarithm must be finite
MOST_BINS = 50
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Reliability:
    """How often a classifier is right over how sure it is.

    Args:
        confidence: Mean probability of the likeliest class in each bin, shape ``(B,)``.
        right: Share of right answers, shape ``(B,)``.
        low: Its lower bound over groups, same shape.
        high: Its upper bound, same shape.
        share: Share of all maps in the bin, same shape.
        ece: Expected calibration error.
        noise: What a calibrated classifier would show with these bins and groups; NaN with one group.
    """

    confidence: np.ndarray
    right: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    ece: float
    noise: float


def confidence_bins(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Number the bin of each map: equal numbers of maps a bin, as many bins as keep right answers rising.

    Args:
        confidence: Probability of the likeliest class, shape ``(n,)``.
        right: Whether it is the right one, shape ``(n,)``.

    Returns:
        Numbers from 0, shape ``(n,)``; equal confidences share a bin, and there are at most ``MOST_BINS``.

    Example:
        >>> confidence = np.linspace(0, 1, 8)
        >>> confidence_bins(confidence, confidence > 0.4).tolist()  # a third bin would be no better
        [0, 0, 0, 0, 1, 1, 1, 1]
    """
    confidence, right = np.asarray(confidence, float), np.asarray(right, float)
    best = np.zeros(len(confidence), dtype=np.int64)
    for count in range(2, min(len(confidence), MOST_BINS) + 1):
        edges = np.quantile(confidence, np.arange(1, count) / count)
        place = np.unique(np.searchsorted(edges, confidence, side="left"), return_inverse=True)[1].ravel()
        members = np.bincount(place)
        if len(members) > 1 and (np.diff(np.bincount(place, right) / members) <= 0).any():
            break
        best = place
    return best


def calibration_error(
    truth: np.ndarray, probability: np.ndarray, *, bins: np.ndarray | None = None, weights: Weights = None
) -> np.ndarray:
    """Expected calibration error of the likeliest class.

    Args:
        truth: Number of the right class, shape ``(n,)``.
        probability: Shape ``(n, C)``.
        bins: Number of each map's bin, shape ``(n,)``; by default those of ``confidence_bins``.
        weights: Shape ``(n,)`` or ``(D, n)``; None weighs all alike.

    Returns:
        Shape ``()`` or ``(D,)``, from 0 to 1.

    Example:
        >>> p = np.tile([0.8, 0.2], (10, 1))
        >>> float(calibration_error(np.array([0] * 6 + [1] * 4), p).round(3))  # sure of 80 %, right in 60 %
        0.2
    """
    gaps, place = _gaps(truth, probability)
    place = (
        confidence_bins(probability.max(axis=1), probability.argmax(axis=1) == truth)
        if bins is None
        else bins
    )
    return np.asarray(np.abs(average(_spread_over(gaps, place), weights)).sum(axis=-1))


def reliability(
    truth: np.ndarray, probability: np.ndarray, groups: np.ndarray, *, bootstrap: int = 1000, seed: int = 0
) -> Reliability:
    r"""Compare how sure a classifier is with how often it is right.

    ``noise`` is :math:`\sqrt{2/\pi} \sum_b s_b`, with :math:`s_b` the error over groups of the bin's term:
    the mean of :math:`|x|` of a normal x about 0.

    Args:
        truth: Number of the right class, shape ``(n,)``.
        probability: Shape ``(n, C)``.
        groups: Name of each sample's group, shape ``(n,)``.
        bootstrap: Draws of the clustered bounds.
        seed: Seed of the bootstrap.

    Raises:
        ShapeError: The arrays do not fit together.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.dirichlet([1, 1], size=4000)
        >>> truth = (rng.random(4000) > p[:, 0]).astype(int)
        >>> found = reliability(truth, p, np.arange(4000), bootstrap=100)
        >>> bool(found.ece < 3 * found.noise), bool(found.noise < 0.03)
        (True, True)
    """
    gaps, given = _gaps(truth, probability)
    confidence, right = probability.max(axis=1), given == truth
    place = confidence_bins(confidence, right)
    inside = np.eye(place.max() + 1)[place]

    def shares(weights: np.ndarray) -> np.ndarray:
        members = weights @ inside
        undefined = np.full(members.shape, np.nan)
        hits = weights @ (inside * right[:, None])
        return np.asarray(np.divide(hits, members, out=undefined, where=members > 0))

    band = clustered(shares, groups, draws=bootstrap, seed=seed)
    members = inside.sum(axis=0)
    _, errors = jackknife(lambda w: average(_spread_over(gaps, place), w), groups)
    return Reliability(
        confidence=(inside.T @ confidence) / members,
        right=band.value,
        low=band.low,
        high=band.high,
        share=members / len(truth),
        ece=float(calibration_error(truth, probability, bins=place)),
        noise=float(np.sqrt(2 / np.pi) * errors.sum()),
    )


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    r"""Return :math:`p^{1/T}`, normalised: less sure for T > 1, surer for T < 1, in the same order.

    Args:
        probability: Shape ``(n, C)``.
        temperature: T, more than 0.

    Example:
        >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
        [[0.667, 0.333]]
    """
    logits = np.log(np.maximum(probability, LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Tempered:
    r"""Class probabilities at one temperature, and prediction sets, fitted on the validation side.

    The set of a level holds each class whose tempered probability is at least :math:`1 - q`. A set may be
    empty: then even the likeliest class is less likely than the right one is on most validation maps.

    Args:
        classes: Names of the classes.
        temperature: T; above 1 the method was too sure.
        levels: Levels of the sets.
        q: Threshold of each level.
        effective: Number of independent samples that each threshold rests on.
        attained: Whether that number suffices for the level; if not, q is the largest score seen.
        groups: Validation groups.
    """

    classes: tuple[str, ...]
    temperature: float
    levels: tuple[float, ...]
    q: tuple[float, ...]
    effective: tuple[float, ...]
    attained: tuple[bool, ...]
    groups: int

    @classmethod
    def fit(cls, prediction: xr.Dataset, levels: Sequence[float] = (0.95,)) -> Self:
        """Fit temperature and thresholds on a validation prediction, every group counting alike.

        The temperature is the one of the least log loss, between 0.05 and 20.

        Args:
            prediction: Of the validation side, with truth (``skyloom.tasks.classes``).
            levels: Probability with which a set is to hold the truth.

        Raises:
            LeakError: The prediction is of the test or the train side.
            DataError: The right class of a sample is not known.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> right = rng.dirichlet([1, 1, 1], size=4000)
            >>> truth = (right.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
            >>> p = xr.Dataset({"truth": ("sample", truth),
            ...     "probability": (("sample", "class"), tempered(right, 0.5))},  # twice too sure
            ...     coords={"class": list("abc"), "group": ("sample", np.arange(4000))})
            >>> bool(abs(Tempered.fit(p).temperature - 2) < 0.2)
            True
        """
        refuse_side(prediction, "class probabilities were to be repaired")
        truth, index, K = _labelled(prediction)
        probability = _own(prediction)
        weights = 1 / (K * np.bincount(index, minlength=K)[index])
        rows = np.arange(len(truth))

        def loss(log_temperature: float) -> float:
            p = tempered(probability, float(np.exp(log_temperature)))
            return float(-weights @ np.log(np.maximum(p[rows, truth], LEAST)))

        found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
        temperature = float(np.exp(found.x))
        scores = 1 - tempered(probability, temperature)[rows, truth]
        fits = [pooled_quantile(scores, index, K, level, "effective") for level in levels]
        q, effective, attained = zip(*fits, strict=True)
        names = tuple(str(name) for name in prediction["class"].values)
        return cls(names, temperature, tuple(levels), q, effective, attained, K)

    def apply(self, prediction: xr.Dataset) -> xr.Dataset:
        """Return a prediction with tempered probabilities and sets; repairing twice changes nothing.

        Args:
            prediction: By the same method and of the same classes.

        Raises:
            UsageError: Other classes than fitted.

        Example:
            >>> sure = xr.Dataset({"probability": (("sample", "class"), [[0.9, 0.1]])},
            ...     coords={"class": ["a", "b"]})
            >>> done = Tempered(("a", "b"), 2.0, (0.95,), (0.8,), (9.0,), (True,), groups=9).apply(sure)
            >>> done["probability"].values.round(2).tolist(), done["set"].values[0, :, 0].tolist()
            ([[0.75, 0.25]], [True, True])
        """
        names = tuple(str(name) for name in prediction["class"].values)
        if names != self.classes:
            raise UsageError(
                f"the repair of probabilities is for {', '.join(self.classes)}; found {', '.join(names)}"
            )
        p = tempered(_own(prediction), self.temperature)
        inside = (1 - p)[..., None] <= np.asarray(self.q) + 1e-9
        bare = prediction.drop_vars(["set", "level"], errors="ignore")
        return (
            bare.assign(probability=(("sample", "class"), p), set=(("sample", "class", "level"), inside))
            .assign_coords(level=("level", list(self.levels)))
            .assign_attrs(intervals="conformal", temperature=self.temperature)
        )

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values."""
        lists = {
            name: list(getattr(self, name)) for name in ("classes", "levels", "q", "effective", "attained")
        }
        return {"answers": "classes", "temperature": self.temperature, **lists, "groups": self.groups}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from a state."""
        lists = {name: tuple(state[name]) for name in ("classes", "levels", "q", "effective", "attained")}
        return cls(temperature=float(state["temperature"]), groups=int(state["groups"]), **lists)


def own_probabilities(prediction: xr.Dataset) -> xr.Dataset:
    """Return a prediction as the method gave it: temperature 1 and no sets.

    Example:
        >>> sure = xr.Dataset({"probability": (("sample", "class"), [[0.75, 0.25]])},
        ...     attrs={"temperature": 2.0})
        >>> own_probabilities(sure)["probability"].values.round(2).tolist()
        [[0.9, 0.1]]
    """
    bare = prediction.drop_vars(["set", "level"], errors="ignore")
    return bare.assign(probability=(("sample", "class"), _own(prediction))).assign_attrs(
        temperature=1.0, intervals="none"
    )


def _own(prediction: xr.Dataset) -> np.ndarray:
    return tempered(prediction["probability"].values, 1 / float(prediction.attrs.get("temperature", 1.0)))


def _labelled(prediction: xr.Dataset) -> tuple[np.ndarray, np.ndarray, int]:
    truth = prediction["truth"].values
    if not len(truth) or (truth < 0).any():
        raise DataError(
            f"the right class of {int((truth < 0).sum())} of {len(truth)} samples is not known",
            hint="the repair of probabilities needs labels for the validation side; look at predictions.nc",
        )
    return (truth, *group_index(prediction["group"].values))


def _gaps(truth: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right (1 or 0) minus confidence, and the class that was given, each ``(n,)``."""
    if np.ndim(probability) != 2 or np.shape(truth) != (len(probability),):
        raise ShapeError(
            f"truth {np.shape(truth)} and probabilities {np.shape(probability)} do not fit;"
            " (n,) and (n, C) were expected"
        )
    given = probability.argmax(axis=1)
    return (given == truth) - probability.max(axis=1), given


def _spread_over(gaps: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Each map's gap in the column of its bin, shape ``(n, B)``."""
    columns = np.zeros((len(gaps), place.max() + 1))
    columns[np.arange(len(gaps)), place] = gaps
    return columns
