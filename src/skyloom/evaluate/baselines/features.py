"""Baselines on a few numbers of a map: its moments, its power spectrum, its wavelet scattering.

One set of features serves both tasks: ridge regression answers parameters, logistic regression or linear
discriminant analysis answers classes.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from skyloom.errors import UsageError
from skyloom.evaluate.baselines.base import Baseline
from skyloom.evaluate.baselines.estimators import Classifier, estimator
from skyloom.statistics import isotropic, moments, power_spectrum, scattering

# A feature that varies less than this beside the size of the maps is the rounding of float32: without this
# guard the mean of a map whose mean was removed would come back, standardised, as an input.
NOISE = 1e-5


class OnFeatures(Baseline):
    """An estimator on features of a map, with all their products up to a degree.

    Args:
        degree: Highest degree of the products, 1 to 3.
        classifier: What answers classes.

    Raises:
        UsageError: Another degree.
    """

    def __init__(self, degree: int, classifier: Classifier) -> None:
        if degree not in (1, 2, 3):
            raise UsageError(f"baseline {type(self).__name__}: degree is {degree}; 1, 2 or 3 are allowed")
        self.degree, self.classifier = degree, classifier

    @abstractmethod
    def _features(self, maps: np.ndarray, *, fit: bool) -> np.ndarray:
        """Return the features, shape ``(n, F)``."""

    def _learn(self, maps: np.ndarray, targets: np.ndarray, groups: np.ndarray, answers: str) -> None:
        features = self._features(maps, fit=True)
        self._estimator = estimator(answers, self.classifier, self.degree).fit(features, targets, groups)

    def _answer(self, maps: np.ndarray) -> dict[str, np.ndarray]:
        return self._estimator.predict(self._features(maps, fit=False))


class MapMoments(OnFeatures):
    """The moments of each channel: mean and variance, and higher where asked.

    Args:
        moments: How many: 2 for mean and variance, 3 with skewness, 4 with excess kurtosis.
        degree: Highest degree of their products.
        classifier: What answers classes: logistic regression or linear discriminant analysis.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.random((60, 1))
        >>> maps = x[:, :, None, None] + 0.1 * rng.normal(size=(60, 1, 16, 16))
        >>> fitted = MapMoments().fit(maps, x, np.arange(60), box=1.0, periodic=True)
        >>> bool(np.abs(fitted.predict(maps)["mean"] - x).mean() < 0.02)
        True
    """

    def __init__(self, *, moments: int = 2, degree: int = 2, classifier: Classifier = "logistic") -> None:
        super().__init__(degree, classifier)
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


class Spectrum(OnFeatures):
    """The logarithm of each channel's isotropic power spectrum.

    The mean of a map is not part of it. Power below 1e-6 of the median over train maps counts as that.

    Args:
        bins: Bins of the spectrum.
        degree: Highest degree of products of the logarithms.
        classifier: What answers classes: logistic regression or linear discriminant analysis.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.random((60, 1))
        >>> maps = np.exp(x)[:, :, None, None] * rng.normal(size=(60, 1, 16, 16))
        >>> fitted = Spectrum(bins=4).fit(maps, x, np.arange(60), box=1.0, periodic=True)
        >>> bool(np.abs(fitted.predict(maps)["mean"] - x).mean() < 0.05)
        True
    """

    def __init__(self, *, bins: int = 16, degree: int = 2, classifier: Classifier = "logistic") -> None:
        super().__init__(degree, classifier)
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


class Scattering(OnFeatures):
    """The logarithms of each channel's isotropic wavelet scattering: first order, and second over first.

    The mean of a map is not part of it. A first-order coefficient below 1e-6 of the median over train maps
    counts as that.

    Args:
        scales: Dyadic sizes of the wavelets; the largest that fit, at most 4, where null.
        angles: Directions over half a turn.
        degree: Highest degree of products of the logarithms.
        classifier: What answers classes: logistic regression or linear discriminant analysis.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.random((60, 1))
        >>> maps = np.exp(x)[:, :, None, None] * rng.normal(size=(60, 1, 16, 16))
        >>> fitted = Scattering(scales=2).fit(maps, x, np.arange(60), box=1.0, periodic=True)
        >>> bool(np.abs(fitted.predict(maps)["mean"] - x).mean() < 0.05)
        True
    """

    def __init__(
        self,
        *,
        scales: int | None = None,
        angles: int = 4,
        degree: int = 1,
        classifier: Classifier = "logistic",
    ) -> None:
        super().__init__(degree, classifier)
        if (scales is not None and scales < 1) or angles < 1:
            raise UsageError(
                f"baseline scattering: scales {scales}, angles {angles}; each must be at least 1"
            )
        self.scales, self.angles = scales, angles

    def _features(self, maps: np.ndarray, *, fit: bool) -> np.ndarray:
        J = self.scales or min(4, int(np.log2(maps.shape[-1])))
        s = isotropic(scattering(maps, scales=J, angles=self.angles, periodic=self._periodic))
        if fit:
            median = np.median(s.first, axis=0)
            self._floor = 1e-6 * np.where(median > 0, median, 1.0)
        first = np.maximum(s.first, self._floor)
        j1, j2 = np.triu_indices(J, 1)
        second = np.maximum(s.second[..., j1, j2, :] / first[..., j1, None], NOISE)
        both = np.concatenate([first, second.reshape(*first.shape[:2], -1)], axis=-1)
        return np.asarray(np.log(both).reshape(len(maps), -1))
