"""What turns features into answers: ridge regression for parameters; logistic regression or LDA for classes.

Penalties are chosen on folds of whole groups: by the square error, for each parameter by itself, or by the
log loss. Features are clipped to the range that was fitted (a polynomial is not to be trusted beyond it),
standardised, and multiplied with each other up to a degree.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, Protocol, Self

import numpy as np

from skyloom.evaluate.baselines.base import folds, residual_sd

ALPHAS = np.logspace(-4, 4, 17)  # of ridge
STRENGTHS = np.logspace(-4, 2, 7)  # of logistic regression: large is little penalty
SHRINKAGES = np.array([0.001, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0])  # of LDA
LEAST = 1e-6  # probability that counts where a fold has never seen the class

Classifier = Literal["logistic", "lda"]


class Estimator(Protocol):
    """From features to answers."""

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Self:
        """Fit on features ``(n, F)``, targets ``(n, P)`` and the group of each, choosing the penalty."""

    def predict(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Predict from features ``(n, F)``, as ``Baseline.predict``."""


def estimator(answers: str, classifier: Classifier, degree: int) -> Estimator:
    """Return the estimator for what a task asks.

    Args:
        answers: ``parameters`` or ``classes``.
        classifier: What answers classes.
        degree: Highest degree of products of the features.

    Example:
        >>> x = np.linspace(-1, 1, 40)[:, None]
        >>> right = np.eye(2)[(x[:, 0] > 0).astype(int)]
        >>> fitted = estimator("classes", "lda", 1).fit(x, right, np.arange(40) % 8)
        >>> fitted.predict(np.array([[-1.0], [1.0]]))["mean"].round(1).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return Classes(classifier, degree) if answers == "classes" else Ridge(degree)


class Ridge:
    """Ridge regression; its sd is that of out-of-fold residuals.

    Args:
        degree: Highest degree of products of the features.

    Example:
        >>> x = np.linspace(-1, 1, 40)[:, None]
        >>> fitted = Ridge(2).fit(x, x**2, np.arange(40) % 8)
        >>> bool(abs(fitted.predict(np.array([[0.5]]))["mean"][0, 0] - 0.25) < 1e-3)
        True
    """

    def __init__(self, degree: int) -> None:
        self._products = _Products(degree)

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Self:
        """Choose a penalty for each target and fit."""
        y = np.asarray(y, float)
        out_of_fold = np.zeros((len(ALPHAS), *y.shape))
        for train, test in folds(groups):
            products = _Products(self._products.degree)
            regression = _Ridge(products.fit(X[train]), y[train])
            Z = products(X[test])
            for row, alpha in enumerate(ALPHAS):
                out_of_fold[row, test] = regression.predict(Z, np.full(y.shape[1], alpha))
        residual = y - out_of_fold
        best = (residual**2).mean(axis=1).argmin(axis=0)
        self._alphas = ALPHAS[best]
        self._sd = residual_sd(residual[best, :, np.arange(y.shape[1])].T, y)
        self._fitted = _Ridge(self._products.fit(X), y)
        return self

    def predict(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Predict ``mean`` and ``sd``."""
        mean = self._fitted.predict(self._products(X), self._alphas)
        return {"mean": mean, "sd": np.tile(self._sd, (len(X), 1))}


class Classes:
    """Logistic regression or linear discriminant analysis; its answer is probabilities.

    Args:
        classifier: ``logistic`` or ``lda`` (with the shared covariance shrunk towards its diagonal).
        degree: Highest degree of products of the features.

    Example:
        >>> x = np.linspace(-1, 1, 60)[:, None]
        >>> inside = (abs(x[:, 0]) < 0.5).astype(int)
        >>> fitted = Classes("logistic", 2).fit(x, np.eye(2)[inside], np.arange(60) % 6)
        >>> fitted.predict(np.array([[-1.0], [0.0], [1.0]]))["mean"].argmax(axis=1).tolist()
        [0, 1, 0]
    """

    def __init__(self, classifier: Classifier, degree: int) -> None:
        self.classifier, self._products = classifier, _Products(degree)

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Self:
        """Choose the penalty by the log loss of groups left out, and fit."""
        right, self._classes = np.asarray(y).argmax(axis=1), np.shape(y)[1]
        penalties = STRENGTHS if self.classifier == "logistic" else SHRINKAGES
        losses = np.zeros(len(penalties))
        for train, test in folds(groups):
            products = _Products(self._products.degree)
            Z_train, Z = products.fit(X[train]), products(X[test])
            for row, penalty in enumerate(penalties):
                p = self._probabilities(self._model(Z_train, right[train], penalty), Z)
                losses[row] -= np.log(np.maximum(p[np.arange(len(test)), right[test]], LEAST)).sum()
        self.penalty = float(penalties[losses.argmin()])
        self._fitted = self._model(self._products.fit(X), right, self.penalty)
        return self

    def predict(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Predict the probabilities as ``mean``."""
        return {"mean": self._probabilities(self._fitted, self._products(X))}

    def _model(self, Z: np.ndarray, right: np.ndarray, penalty: float) -> Any:
        """A fitted model, or the only class that there is."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if (right == right[0]).all():
            return int(right[0])
        if self.classifier == "lda":
            return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=penalty).fit(Z, right)
        with warnings.catch_warnings():
            # Little penalty on separable classes has no finite optimum; the folds choose another.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(C=penalty, max_iter=200).fit(Z, right)

    def _probabilities(self, model: Any, Z: np.ndarray) -> np.ndarray:
        p = np.zeros((len(Z), self._classes))
        if isinstance(model, int):
            p[:, model] = 1
        else:
            p[:, model.classes_] = model.predict_proba(Z)
        return p


class _Products:
    """Features clipped to the range that was fitted, standardised, and their products, standardised again."""

    def __init__(self, degree: int) -> None:
        self.degree = degree

    def fit(self, X: np.ndarray) -> np.ndarray:
        """Fit on features ``(n, F)`` and return their products."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

        products = PolynomialFeatures(self.degree, include_bias=False)
        self._expand = make_pipeline(StandardScaler(), products, StandardScaler())
        self._low, self._high = X.min(axis=0), X.max(axis=0)
        return np.asarray(self._expand.fit_transform(X))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the products of features ``(n, F)``."""
        return np.asarray(self._expand.transform(np.clip(X, self._low, self._high)))


class _Ridge:
    """Ridge regression of ``y (n, P)`` on expanded features ``Z (n, F)``, for any penalty at once."""

    def __init__(self, Z: np.ndarray, y: np.ndarray) -> None:
        self._mean = y.mean(axis=0)
        values, self._vectors = np.linalg.eigh(Z.T @ Z)
        self._values = np.maximum(values, 0)[:, None]
        self._projected = self._vectors.T @ (Z.T @ (y - self._mean))

    def predict(self, Z: np.ndarray, alphas: np.ndarray) -> np.ndarray:
        """Predict ``(n, P)`` with a penalty for each target, shape ``(P,)``."""
        coefficients = self._vectors @ (self._projected / (self._values + alphas))
        return np.asarray(self._mean + Z @ coefficients)
