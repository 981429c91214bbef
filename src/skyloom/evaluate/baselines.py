"""What simple methods reach: the constant, the moments of a map, its power spectrum.

A score means little without them. They see exactly what the network sees (the same transformed maps of the
same train samples) and predict the same targets, with an error: the residual sd of out-of-fold predictions,
whose folds are whole groups. Ridge penalties are chosen on these folds too, for each target by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import moments, power_spectrum

FOLDS = 5
ALPHAS = np.logspace(-4, 4, 17)
# A feature that varies less than this beside the size of the maps is the rounding of float32: without this
# guard the mean of a map whose mean was removed would come back, standardised, as an input.
NOISE = 1e-5


class Baseline(ABC):
    """A simple estimator with the interface that every baseline has."""

    def __init__(self) -> None:
        self._sd: np.ndarray | None = None

    @abstractmethod
    def fit(
        self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, *, box: float, periodic: bool
    ) -> Self:
        """Fit on the train side.

        Args:
            maps: Transformed maps of the train side, shape ``(n, C, H, W)``.
            targets: Shape ``(n, P)``, in any unit; predictions come in the same.
            groups: Name of each map's group, shape ``(n,)``.
            box: Side length of a map [the unit of the field set].
            periodic: Whether opposite sides of a map touch.

        Raises:
            ShapeError: The arrays do not fit together.
            DataError: Fewer than two groups, or a value that is not finite.
        """

    @abstractmethod
    def predict(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Predict ``mean`` and ``sd``, each ``(n, P)``, in the unit of the targets.

        Args:
            maps: Shape ``(n, C, H, W)``, transformed as those of ``fit``.

        Raises:
            UsageError: The baseline is not fitted.
        """

    def _spread(self, n: int) -> np.ndarray:
        if self._sd is None:
            raise UsageError(
                f"baseline {type(self).__name__} is not fitted", hint="call fit(maps, targets, groups)"
            )
        return np.broadcast_to(self._sd, (n, len(self._sd))).copy()


class Mean(Baseline):
    """The mean target of the train side for every map; its sd is their spread, groups left out in turn.

    Example:
        >>> maps, x = np.zeros((4, 1, 8, 8)), np.array([[0.0], [0.2], [0.4], [0.6]])
        >>> fitted = Mean().fit(maps, x, np.arange(4), box=1.0, periodic=True)
        >>> fitted.predict(maps[:1])["mean"].round(3).tolist()
        [[0.3]]
    """

    def fit(
        self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, *, box: float, periodic: bool
    ) -> Self:
        """Average the targets; arguments and errors as ``Baseline.fit``."""
        _check(maps, targets, groups)
        residual = np.zeros_like(targets, dtype=float)
        for train, test in _folds(groups):
            residual[test] = targets[test] - targets[train].mean(axis=0)
        self._mean, self._sd = targets.mean(axis=0), _residual_sd(residual, targets)
        return self

    def predict(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Repeat the mean; arguments and errors as ``Baseline.predict``."""
        sd = self._spread(len(maps))
        return {"mean": np.broadcast_to(self._mean, sd.shape).copy(), "sd": sd}


class _RidgeOnFeatures(Baseline):
    """Ridge regression on features of a map, with all their products up to a degree."""

    def __init__(self, degree: int) -> None:
        super().__init__()
        if degree not in (1, 2, 3):
            raise UsageError(f"baseline {type(self).__name__}: degree is {degree}; 1, 2 or 3 are allowed")
        self.degree = degree
        self._box, self._periodic = 1.0, True

    @abstractmethod
    def _features(self, maps: np.ndarray, *, fit: bool) -> np.ndarray:
        """Return the features, shape ``(n, F)``."""

    def fit(
        self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, *, box: float, periodic: bool
    ) -> Self:
        """Choose the penalty on folds of whole groups and fit; arguments and errors as ``Baseline.fit``."""
        _check(maps, targets, groups)
        self._box, self._periodic = box, periodic
        X, y = self._features(maps, fit=True), np.asarray(targets, float)
        out_of_fold = np.zeros((len(ALPHAS), *y.shape))
        for train, test in _folds(groups):
            regression = _Ridge(X[train], y[train], self.degree)
            for row, alpha in enumerate(ALPHAS):
                out_of_fold[row, test] = regression.predict(X[test], np.full(y.shape[1], alpha))
        residual = y - out_of_fold
        best = (residual**2).mean(axis=1).argmin(axis=0)
        self.alphas = ALPHAS[best]
        self._sd = _residual_sd(residual[best, :, np.arange(y.shape[1])].T, y)
        self._fitted = _Ridge(X, y, self.degree)
        return self

    def predict(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Predict from the features; arguments and errors as ``Baseline.predict``."""
        sd = self._spread(len(maps))
        return {"mean": self._fitted.predict(self._features(maps, fit=False), self.alphas), "sd": sd}


class _Ridge:
    """Ridge regression of ``y (n, P)`` on products of the features ``X (n, F)``, for any penalty at once.

    Features are clipped to the range that was fitted: a polynomial is not to be trusted beyond it.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, degree: int) -> None:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

        products = PolynomialFeatures(degree, include_bias=False)
        self._expand = make_pipeline(StandardScaler(), products, StandardScaler())
        self._low, self._high, self._mean = X.min(axis=0), X.max(axis=0), y.mean(axis=0)
        Z = self._expand.fit_transform(X)
        values, self._vectors = np.linalg.eigh(Z.T @ Z)
        self._values = np.maximum(values, 0)[:, None]
        self._projected = self._vectors.T @ (Z.T @ (y - self._mean))

    def predict(self, X: np.ndarray, alphas: np.ndarray) -> np.ndarray:
        """Predict ``(n, P)`` with a penalty for each target, shape ``(P,)``."""
        Z = self._expand.transform(np.clip(X, self._low, self._high))
        coefficients = self._vectors @ (self._projected / (self._values + alphas))
        return np.asarray(self._mean + Z @ coefficients)


class MapMoments(_RidgeOnFeatures):
    """Ridge regression on the moments of each channel: mean and variance, and higher where asked.

    Args:
        moments: How many: 2 for mean and variance, 3 with skewness, 4 with excess kurtosis.
        degree: Highest degree of their products.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.random((60, 1))
        >>> maps = x[:, :, None, None] + 0.1 * rng.normal(size=(60, 1, 16, 16))
        >>> fitted = MapMoments().fit(maps, x, np.arange(60), box=1.0, periodic=True)
        >>> bool(np.abs(fitted.predict(maps)["mean"] - x).mean() < 0.02)
        True
    """

    def __init__(self, *, moments: int = 2, degree: int = 2) -> None:
        super().__init__(degree)
        if moments not in (1, 2, 3, 4):
            raise UsageError(f"baseline moments: moments is {moments}; 1, 2, 3 or 4 are allowed")
        self.moments = moments

    def _features(self, maps: np.ndarray, *, fit: bool) -> np.ndarray:
        mean, variance, skewness, kurtosis = moments(maps)
        if fit:
            self._size = np.sqrt(np.square(maps, dtype=float).mean(axis=(0, 2, 3)))
        # Long tails are no ground for a polynomial: logarithms, which start at a thousandth of the size.
        spread = np.arcsinh(1e3 * np.sqrt(variance) / np.where(self._size > 0, self._size, 1))
        features = (mean, spread, np.arcsinh(skewness), np.arcsinh(kurtosis))[: self.moments]
        stacked = np.stack(features, axis=1)
        if fit:
            size = np.stack([self._size, *[np.ones_like(self._size)] * 3])[: self.moments]
            self._informative = stacked.std(axis=0) > NOISE * size
        return np.where(self._informative, stacked, 0.0).reshape(len(maps), -1)


class Spectrum(_RidgeOnFeatures):
    """Ridge regression on the logarithm of each channel's isotropic power spectrum.

    The mean of a map is not part of it. Power below 1e-6 of the median over train maps counts as that.

    Args:
        bins: Bins of the spectrum.
        degree: Highest degree of products of the logarithms.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.random((60, 1))
        >>> maps = np.exp(x)[:, :, None, None] * rng.normal(size=(60, 1, 16, 16))
        >>> fitted = Spectrum(bins=4).fit(maps, x, np.arange(60), box=1.0, periodic=True)
        >>> bool(np.abs(fitted.predict(maps)["mean"] - x).mean() < 0.05)
        True
    """

    def __init__(self, *, bins: int = 16, degree: int = 2) -> None:
        super().__init__(degree)
        if bins < 1:
            raise UsageError(f"baseline spectrum: bins is {bins}; at least 1 is needed")
        self.bins = bins

    def _features(self, maps: np.ndarray, *, fit: bool) -> np.ndarray:
        spectrum = power_spectrum(maps, self._box, periodic=self._periodic, bins=self.bins)
        power = spectrum.power[..., spectrum.modes > 0].reshape(len(maps), -1)
        if fit:
            median = np.median(power, axis=0)
            self._floor = 1e-6 * np.where(median > 0, median, 1.0)
        return np.asarray(np.log(np.maximum(power, self._floor)))


def _folds(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Train and test rows of at most five folds of whole groups."""
    from sklearn.model_selection import GroupKFold

    K = len(np.unique(groups))
    if K < 2:
        raise DataError(
            f"baselines choose their penalty and error on groups left out; the train side has {K} group",
            hint="give the train side two simulations or more, or leave evaluate.baselines empty",
        )
    return list(GroupKFold(min(FOLDS, K)).split(np.zeros(len(groups)), groups=groups))


def _residual_sd(residual: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Root mean square residual, at least a millionth of the targets' spread so that one can divide by it."""
    return np.asarray(np.maximum(np.sqrt((residual**2).mean(axis=0)), 1e-6 * np.std(targets, axis=0)))


def _check(maps: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> None:
    if np.ndim(maps) != 4 or np.ndim(targets) != 2 or not len(maps) == len(targets) == len(groups):
        raise ShapeError(
            f"maps {np.shape(maps)}, targets {np.shape(targets)} and groups {np.shape(groups)} do not fit;"
            " (n, C, H, W), (n, P) and (n,) were expected"
        )
    for name, values in (("maps", maps), ("targets", targets)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, np.ndim(values)))))
        if bad.size:
            raise DataError(f"{name}: row {bad[0]} holds a value that is not finite ({bad.size} such rows)")
