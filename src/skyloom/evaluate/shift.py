r"""Are these maps like those of the training: an out-of-distribution score whose false alarms are counted.

Over a training set the features of a map (``evaluate.features``) lie about a curved surface, since one label
(how much gas is neutral) moves all of them. So their mean is a cubic polynomial in their three leading
principal components, held at the ends of the training range, and the score is the Mahalanobis distance of
what is left, :math:`s = r^\top C^{-1} r`, the covariance shrunk as by Ledoit & Wolf (2004, J. Multivar.
Anal. 88, 365). The network has no part in it: a flag tells of the maps, not of the answer.

What is usual is learnt on the train side; how far unseen maps of the same kind stray, on the validation side
and on fifths of the train simulations, each left out in turn. The p-value of a map is the share of these maps
as far out, simulations counting alike (CDF pooling, as in ``calibration``). Maps of one simulation depend on
each other, so a set is judged by the mean scores of its simulations against those of the simulations left
out (Mann & Whitney 1947, Ann. Math. Stat. 18, 50).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Self

import numpy as np
from scipy.stats import mannwhitneyu

from skyloom.errors import DataError
from skyloom.evaluate.bootstrap import clustered, group_index
from skyloom.evaluate.features import FLOOR, Frame
from skyloom.evaluate.scores import average

LEVEL = 0.05  #: share of maps that are flagged by chance
SET_LEVEL = 0.02  #: share of sets that stray as far by chance
MANY = 0.1  #: flagged maps from which on a set that strays is called unlike, twice those of chance
FOLDS = 5
LEADING, DEGREE = 3, 3
PER_TERM = 10  # training maps for each term of the curve


@dataclass(frozen=True)
class Shift:
    """How unlike the training maps a map is, and how often one of the same kind would look so.

    Args:
        frame: How maps become features.
        centre: Mean of each feature over training maps, shape ``(F,)``.
        spread: Its standard deviation, same shape.
        axes: Leading principal components, shape ``(F, L)``; no columns where training maps are few.
        low: Lower end of each on the train side, shape ``(L,)``.
        high: Upper end, same shape.
        curve: Coefficients of the polynomial mean, shape ``(terms, F)``.
        precision: Inverse of the shrunk covariance about it, shape ``(F, F)``.
        calibration: Scores of unseen maps of the same kind, one array a simulation.
    """

    frame: Frame
    centre: np.ndarray
    spread: np.ndarray
    axes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    curve: np.ndarray
    precision: np.ndarray
    calibration: tuple[np.ndarray, ...] = ()

    @classmethod
    def fit(
        cls,
        train: np.ndarray,
        train_groups: np.ndarray,
        validation: np.ndarray,
        validation_groups: np.ndarray,
        *,
        periodic: bool,
    ) -> Self:
        """Learn what is usual, and how often the flag is raised for nothing.

        Args:
            train: Maps as the network sees them, shape ``(n, C, H, W)``.
            train_groups: The simulation of each, shape ``(n,)``.
            validation: Those of the validation side, shape ``(m, C, H, W)``.
            validation_groups: The simulation of each, shape ``(m,)``.
            periodic: Whether opposite edges of the training maps touch.

        Raises:
            DataError: There are fewer than two training maps.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> maps, groups = rng.normal(size=(300, 1, 16, 16)), np.arange(300) // 4
            >>> shift = Shift.fit(maps[:200], groups[:200], maps[200:], groups[200:], periodic=True)
            >>> bool(shift.p_value(shift.score(np.cumsum(maps[:1], axis=-1)))[0] < LEVEL)
            True
        """
        from sklearn.model_selection import GroupKFold

        if len(train) < 2:
            raise DataError(f"{len(train)} training maps do not tell what is usual", hint="give more maps")
        frame = Frame.fit(train, periodic=periodic)
        features, held = frame.features(train), frame.features(validation)
        fitted = cls(frame, **_usual(features))
        scores, groups = [fitted._distance(held)], [np.asarray(validation_groups).astype(str)]
        K = len(np.unique(train_groups))
        folds = GroupKFold(min(FOLDS, K)).split(features, groups=train_groups) if K > 1 else ()
        for rest, left in folds:
            scores.append(cls(frame, **_usual(features[rest]))._distance(features[left]))
            groups.append(np.asarray(train_groups)[left].astype(str))
        index, K = group_index(np.concatenate(groups))
        # Six digits are kept, so that a run that was stored answers as before.
        every = np.array([float(f"{score:.6g}") for score in np.concatenate(scores)])
        return replace(fitted, calibration=tuple(every[index == group] for group in range(K)))

    @property
    def groups(self) -> int:
        """Simulations that the false alarms were counted on."""
        return len(self.calibration)

    def score(self, maps: np.ndarray) -> np.ndarray:
        """Return how unlike the training maps each map is.

        Args:
            maps: As the network sees them, shape ``(n, C, H, W)``, of any size.

        Returns:
            Shape ``(n,)``, without unit; about the number of features for an ordinary map.

        Raises:
            ShapeError: As ``Frame.features``.
        """
        return self._distance(self.frame.features(maps))

    def _distance(self, features: np.ndarray) -> np.ndarray:
        z = (features - self.centre) / self.spread
        r = z - _polynomial(z @ self.axes, self.low, self.high) @ self.curve
        return np.asarray(np.einsum("nf,fg,ng->n", r, self.precision, r))

    def z(self, maps: np.ndarray) -> np.ndarray:
        """Return each feature in standard deviations from its mean over training maps, shape ``(n, F)``.

        The largest of them is the usual, cruder flag, which ``score`` is compared with.
        """
        return np.asarray((self.frame.features(maps) - self.centre) / self.spread)

    def p_value(self, scores: np.ndarray) -> np.ndarray:
        r"""Return the share of unseen maps of the same kind that lie as far out, :math:`(1 + N F)/(1 + N)`.

        N is the number of independent ones among them, from the scatter of alarms between simulations, kept
        between the number of simulations and of maps.

        Args:
            scores: Shape ``(n,)``.

        Returns:
            Shape ``(n,)``; a map is flagged where it is ``LEVEL`` or less.
        """
        order = [np.sort(own) for own in self.calibration]
        beyond = np.mean([1 - np.searchsorted(own, scores) / len(own) for own in order], axis=0)
        N = self._independent()
        return np.asarray((1 + N * beyond) / (1 + N))

    def summary(
        self, maps: np.ndarray, groups: np.ndarray, *, bootstrap: int = 1000, seed: int = 0
    ) -> Verdict:
        """Judge a set of maps.

        Args:
            maps: As the network sees them, shape ``(n, C, H, W)``.
            groups: The simulation of each, shape ``(n,)``.
            bootstrap: Draws of the interval of the share over simulations.
            seed: Seed of the bootstrap, and of the maps by which simulations are compared.

        Returns:
            The verdict on the set, on its simulations and on each map.
        """
        features = self.frame.features(maps)
        scores = self._distance(features)
        p = self.p_value(scores)
        flagged = (p <= LEVEL)[:, None].astype(float)
        share = clustered(lambda w: average(flagged, w), groups, draws=bootstrap, seed=seed)
        index, K = group_index(groups)
        sizes = np.bincount(index)
        here = np.bincount(index, np.log(scores)) / sizes
        beside = np.array([self._means(int(size), seed) for size in sizes])
        single = (1 + (beside >= here[:, None]).sum(axis=1)) / (1 + self.groups)
        usual = self._means(int(np.median(sizes)), seed)
        p_set = single[0] if K == 1 else mannwhitneyu(here, usual, alternative="greater").pvalue
        strongest = ((features - self.centre) / self.spread).mean(axis=0)
        most = int(np.abs(strongest).argmax())
        return Verdict(
            share=(float(share.value[0]), float(share.low[0]), float(share.high[0])),
            p_value=float(p_set),
            groups=tuple(np.unique(groups).astype(str).tolist()),
            group_p=single,
            scores=scores,
            map_p=p,
            resolution=1 / comb(K + self.groups, K),
            beside=self.groups,
            feature=self.frame.names()[most],
            deviation=float(strongest[most]),
        )

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        frame = {"size": self.frame.size, "periodic": self.frame.periodic}
        frame |= {"scale": self.frame.scale.tolist(), "floor": self.frame.floor.tolist()}
        return {"frame": frame, **arrays, "calibration": [own.tolist() for own in self.calibration]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from a state."""
        known = state["frame"]
        arrays = {name: np.array(known[name], float) for name in ("scale", "floor")}
        frame = Frame(int(known["size"]), bool(known["periodic"]), **arrays)
        own = {name: np.array(state[name], float) for name in _ARRAYS}
        own["axes"] = own["axes"].reshape(len(own["centre"]), -1)
        return cls(frame, **own, calibration=tuple(np.array(part, float) for part in state["calibration"]))

    def _independent(self) -> float:
        """Number of independent maps in the calibration at the level of the flag."""
        sizes = np.array([len(own) for own in self.calibration])
        if len(sizes) < 2:
            return float(len(sizes))
        order = np.argsort(np.concatenate(self.calibration))
        mass = np.cumsum(np.repeat(1 / (len(sizes) * sizes), sizes)[order])
        edge = np.concatenate(self.calibration)[order][np.searchsorted(mass, 1 - LEVEL - 1e-9)]
        alarms = np.array([(own > edge).mean() for own in self.calibration])
        variance = alarms.var(ddof=1) / len(sizes)
        wanted = LEVEL * (1 - LEVEL) / variance if variance > 0 else np.inf
        return float(np.clip(wanted, len(sizes), sizes.sum()))

    def _means(self, size: int, seed: int) -> np.ndarray:
        """Mean log score of each simulation of the calibration, over at most ``size`` of its maps."""
        rng = np.random.default_rng(seed)
        return np.array([np.log(rng.permutation(own)[:size]).mean() for own in self.calibration])


@dataclass(frozen=True)
class Verdict:
    """Whether a set of maps is like the training maps.

    Args:
        share: Share of maps flagged, and the bounds of its 95 % interval over simulations (NaN for one).
        p_value: How often a set of the same kind would stray as far.
        groups: Names of the simulations, sorted.
        group_p: The same question for each of them alone, shape ``(K,)``; never below ``1 / (1 + beside)``.
        scores: Score of each map, shape ``(n,)``.
        map_p: Its p-value, shape ``(n,)``.
        resolution: Smallest p-value of the set that so many simulations can show.
        beside: Simulations that the p-values rest on.
        feature: What differs most from the training maps on average.
        deviation: By how many of their standard deviations.
    """

    share: tuple[float, float, float]
    p_value: float
    groups: Sequence[str]
    group_p: np.ndarray
    scores: np.ndarray
    map_p: np.ndarray
    resolution: float
    beside: int
    feature: str
    deviation: float

    @property
    def unlike(self) -> bool | None:
        """Whether the set is flagged; None where there are too few simulations beside them to tell.

        It strays further than by chance, and so many of its maps do that it matters.
        """
        if self.resolution > SET_LEVEL:
            return None
        return self.p_value <= SET_LEVEL and self.share[0] >= MANY

    def card(self) -> dict[str, Any]:
        """Return the verdict on the set as JSON values, for ``metrics.json``."""
        value, low, high = self.share
        counts = {"groups": len(self.groups), "samples": len(self.scores)}
        card = {
            "share": {"value": value, "low": low, "high": high, **counts},
            "level": LEVEL,
            "unlike": self.unlike,
            "p_value": self.p_value,
            "beside": self.beside,
            "feature": self.feature,
            "deviation": self.deviation,
        }
        return {**card, "words": in_words(card)}


def in_words(card: Mapping[str, Any]) -> str:
    r"""Say a verdict in one sentence.

    Args:
        card: As ``Verdict.card`` gives it.

    Example:
        >>> card = {"share": {"value": 0.81}, "level": 0.05, "unlike": True, "p_value": 0.0004,
        ...     "feature": "kurtosis", "deviation": 3.21, "beside": 80}
        >>> print(in_words(card).replace(", most", ",\nmost"))
        81 % of the maps are unlike the training maps (5 % would be by chance; p = 0.0004),
        most of all in kurtosis: +3.2 sd
    """
    share = f"{100 * card['share']['value']:.0f} % of the maps"
    chance = f"{100 * card['level']:g} % would be by chance; p = {card['p_value']:.2g}"
    if card["unlike"] is None:
        few = f"{card['beside']} simulations beside them are too few to tell more"
        return f"{share} are flagged as unlike the training maps; {few}"
    if card["unlike"]:
        most = f"most of all in {card['feature']}: {card['deviation']:+.1f} sd"
        return f"{share} are unlike the training maps ({chance}), {most}"
    rule = f"a set is called unlike from {100 * MANY:g} % on, where p is {SET_LEVEL:g} or less"
    return f"the maps look like the training maps: {share} are flagged ({chance}); {rule}"


_ARRAYS = ("centre", "spread", "axes", "low", "high", "curve", "precision")


def _usual(features: np.ndarray) -> dict[str, Any]:
    """Fit centre, spread, curve and precision to features ``(n, F)``."""
    from sklearn.covariance import ledoit_wolf

    centre, spread = features.mean(axis=0), np.maximum(features.std(axis=0), FLOOR)
    z = (features - centre) / spread
    leading = LEADING if len(z) >= PER_TERM * len(_powers(LEADING)) else 0
    axes = np.linalg.eigh(z.T @ z)[1][:, ::-1][:, :leading]
    along = z @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    X = _polynomial(along, low, high)
    curve = np.linalg.lstsq(X, z, rcond=None)[0]
    covariance, _ = ledoit_wolf(z - X @ curve, assume_centered=True)
    fitted = (centre, spread, axes, low, high, curve, np.linalg.inv(covariance))
    return dict(zip(_ARRAYS, fitted, strict=True))


def _powers(variables: int) -> list[tuple[int, ...]]:
    """Exponents of every product up to the degree of the curve."""
    grid = (
        np.indices((DEGREE + 1,) * variables).reshape(variables, -1).T if variables else np.zeros((1, 0), int)
    )
    return [tuple(row) for row in grid.tolist() if sum(row) <= DEGREE]


def _polynomial(along: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Terms of the curve ``(n, terms)``; beyond the training range it stays what it is at the end."""
    half = np.where(high > low, (high - low) / 2, 1.0)
    t = (np.clip(along, low, high) - low) / half - 1
    return np.stack([np.prod(t ** np.array(row), axis=1) for row in _powers(along.shape[1])], axis=1)
