r"""Scores of point estimates and intervals, as pure functions that take weights over samples.

Every function reads arrays of shape ``(n, P)`` and weights of shape ``(n,)`` or ``(D, n)``, and returns
``(P,)`` or ``(D, P)``: a bootstrap of ``D`` draws is one call with ``D`` rows of weights. With
:math:`\langle x \rangle = \sum_i w_i x_i / \sum_i w_i`, truth :math:`t` and estimate :math:`m`:

- ``r2``: :math:`1 - \langle (t-m)^2 \rangle / \langle (t - \langle t \rangle)^2 \rangle`, about the mean
  truth of the **evaluated** side; NaN where all truths are equal;
- ``rmse`` :math:`\sqrt{\langle (m-t)^2 \rangle}`, ``bias`` :math:`\langle m-t \rangle`;
- ``chi2``: reduced, :math:`\langle (m-t)^2/\sigma^2 \rangle` with the predicted sd; 1 if errors are right
  (nothing is fitted on the evaluated side, so no degree of freedom is lost);
- ``pull``: :math:`\langle (m-t)/\sigma \rangle`, the bias in units of the predicted sd; 0 if there is none;
- ``coverage``: share of truths inside given bounds;
- ``correlation``: Pearson's.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from skyloom.errors import DataError, ShapeError, UsageError, nearest

Weights = np.ndarray | None


def average(values: np.ndarray, weights: Weights = None) -> np.ndarray:
    """Return the weighted mean over samples.

    Args:
        values: Shape ``(n, P)``, any unit ``u``.
        weights: Shape ``(n,)`` or ``(D, n)``, none negative; None weighs all alike.

    Returns:
        Mean [u], shape ``(P,)`` or ``(D, P)``; NaN where all weights are zero.

    Raises:
        ShapeError: ``values`` is not ``(n, P)`` or the weights are for another ``n``.

    Example:
        >>> average(np.array([[1.0], [4.0]]), np.array([[1, 1], [2, 1]])).ravel().tolist()
        [2.5, 2.0]
    """
    values = np.asarray(values, float)
    if values.ndim != 2:
        raise ShapeError(f"values have shape {values.shape}, (samples, parameters) was expected")
    w = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    if w.shape[-1] != len(values):
        raise ShapeError(f"weights have shape {w.shape}, their last axis must have the {len(values)} samples")
    total = w.sum(axis=-1)[..., None]
    return _ratio(w @ values, np.broadcast_to(total, (*w.shape[:-1], values.shape[1])))


def rmse(truth: np.ndarray, mean: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Root mean square error.

    Args:
        truth: Shape ``(n, P)`` [u].
        mean: Estimates, shape ``(n, P)`` [u].
        weights: Shape ``(n,)`` or ``(D, n)``.

    Returns:
        Shape ``(P,)`` or ``(D, P)`` [u].

    Example:
        >>> rmse(np.array([[0.0], [0.0]]), np.array([[3.0], [4.0]])).round(3).tolist()
        [3.536]
    """
    return np.asarray(np.sqrt(average(_pair(truth, mean) ** 2, weights)))


def bias(truth: np.ndarray, mean: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Mean of estimate minus truth; arguments, shapes and units as ``rmse``.

    Example:
        >>> bias(np.array([[1.0], [1.0]]), np.array([[1.5], [2.0]])).tolist()
        [0.75]
    """
    return average(_pair(truth, mean), weights)


def r2(truth: np.ndarray, mean: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Coefficient of determination about the mean truth of the evaluated samples.

    Args:
        truth: Shape ``(n, P)`` [u].
        mean: Estimates, shape ``(n, P)`` [u].
        weights: Shape ``(n,)`` or ``(D, n)``.

    Returns:
        Shape ``(P,)`` or ``(D, P)``, at most 1; NaN where all truths are equal.

    Example:
        >>> t = np.array([[0.0], [1.0], [2.0]])
        >>> r2(t, np.ones((3, 1))).tolist(), r2(t, t + 0.5).tolist()
        ([0.0], [0.625])
    """
    residual = average(_pair(truth, mean) ** 2, weights)
    return 1 - _ratio(residual, _variance(np.asarray(truth, float), weights))


def correlation(truth: np.ndarray, mean: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Pearson's correlation of truth and estimate; NaN where either is constant.

    Arguments, shapes as ``r2``.

    Example:
        >>> t = np.array([[0.0], [1.0], [2.0]])
        >>> correlation(t, 5 - 2 * t).round(12).tolist()
        [-1.0]
    """
    _pair(truth, mean)
    t, m = (values - values.mean(axis=0) for values in (np.asarray(truth, float), np.asarray(mean, float)))
    covariance = average(t * m, weights) - average(t, weights) * average(m, weights)
    return _ratio(covariance, np.sqrt(_variance(t, weights) * _variance(m, weights)))


def chi2(truth: np.ndarray, mean: np.ndarray, sd: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Reduced chi-square of the residuals in units of the predicted sd.

    Args:
        truth: Shape ``(n, P)`` [u].
        mean: Estimates, shape ``(n, P)`` [u].
        sd: Predicted standard deviations, shape ``(n, P)`` [u], positive.
        weights: Shape ``(n,)`` or ``(D, n)``.

    Returns:
        Shape ``(P,)`` or ``(D, P)``; 1 if the errors are as large as predicted, 4 if twice as large.

    Raises:
        DataError: An sd is not positive.

    Example:
        >>> chi2(np.zeros((2, 1)), np.array([[1.0], [3.0]]), np.ones((2, 1))).tolist()
        [5.0]
    """
    return average((_pair(truth, mean) / _positive(sd)) ** 2, weights)


def pull(truth: np.ndarray, mean: np.ndarray, sd: np.ndarray, *, weights: Weights = None) -> np.ndarray:
    """Mean of estimate minus truth in units of the predicted sd; arguments, errors and shapes as ``chi2``.

    Example:
        >>> pull(np.zeros((2, 1)), np.array([[1.0], [3.0]]), np.full((2, 1), 2.0)).tolist()
        [1.0]
    """
    return average(_pair(truth, mean) / _positive(sd), weights)


def coverage(
    truth: np.ndarray, lower: np.ndarray, upper: np.ndarray, *, weights: Weights = None
) -> np.ndarray:
    """Share of truths inside the closed interval ``[lower, upper]``.

    Args:
        truth: Shape ``(n, P)`` [u].
        lower: Lower bounds, shape ``(n, P)`` [u].
        upper: Upper bounds, shape ``(n, P)`` [u].
        weights: Shape ``(n,)`` or ``(D, n)``.

    Returns:
        Shape ``(P,)`` or ``(D, P)``, between 0 and 1.

    Example:
        >>> coverage(np.array([[0.0], [2.0]]), -np.ones((2, 1)), np.ones((2, 1))).tolist()
        [0.5]
    """
    inside = (_pair(lower, truth) >= 0) & (_pair(truth, upper) >= 0)
    return average(inside, weights)


def evaluate(name: str, prediction: xr.Dataset, weights: Weights = None) -> np.ndarray | None:
    """Compute a score by its name from a prediction.

    Args:
        name: ``r2``, ``rmse``, ``bias``, ``correlation``, ``chi2``, ``pull`` or ``coverage_<percent>``.
        prediction: A prediction of ``n`` samples and ``P`` parameters (``skyloom.tasks.prediction``).
        weights: Shape ``(n,)`` or ``(D, n)``.

    Returns:
        Shape ``(P,)`` or ``(D, P)``; None where the prediction lacks the error or the interval it needs.

    Raises:
        UsageError: There is no such score; the message gives the nearest.

    Example:
        >>> pair = ("sample", "parameter")
        >>> p = xr.Dataset({"truth": (pair, [[1.0]]), "mean": (pair, [[3.0]])})
        >>> evaluate("bias", p).tolist(), evaluate("chi2", p)
        ([2.0], None)
    """
    truth, mean = prediction["truth"].values, prediction["mean"].values
    if name in _OF_MEAN:
        return _OF_MEAN[name](truth, mean, weights=weights)
    if name in _OF_SD:
        sd = prediction["sd"].values if "sd" in prediction else None
        return None if sd is None else _OF_SD[name](truth, mean, sd, weights=weights)
    kind, _, percent = name.partition("_")
    if kind == "coverage" and percent.replace(".", "", 1).isdigit():
        if "lower" not in prediction:
            return None
        match = np.flatnonzero(np.isclose(prediction["level"].values, float(percent) / 100))
        if not match.size:
            return None
        bounds = (prediction[side].isel(level=match[0]).values for side in ("lower", "upper"))
        return coverage(truth, *bounds, weights=weights)
    raise UsageError(
        f"unknown score '{name}'; {nearest(name, [*_OF_MEAN, *_OF_SD, 'coverage_68', 'coverage_95'])}",
        hint="coverage takes any level in percent, for instance coverage_90",
    )


_OF_MEAN = {"r2": r2, "rmse": rmse, "bias": bias, "correlation": correlation}
_OF_SD = {"chi2": chi2, "pull": pull}


def _positive(sd: np.ndarray) -> np.ndarray:
    """Predicted sd, refused where one cannot divide by them."""
    sd = np.asarray(sd, float)
    if not (sd > 0).all():
        raise DataError(
            f"{int((~(sd > 0)).sum())} of {sd.size} predicted sd are not positive: no one divides by them"
        )
    return sd


def _pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``b - a``, refusing shapes that numpy would broadcast."""
    if np.shape(a) != np.shape(b):
        raise ShapeError(f"truth and prediction differ in shape: {np.shape(a)} and {np.shape(b)}")
    difference: np.ndarray = np.asarray(b, float) - np.asarray(a, float)
    return difference


def _variance(values: np.ndarray, weights: Weights) -> np.ndarray:
    """Weighted variance about the weighted mean, with rounding noise of equal values set to zero."""
    shift = values.mean(axis=0)
    centred = values - shift
    square = average(centred**2, weights)
    variance = square - average(centred, weights) ** 2
    scale = np.maximum(np.abs(values).max(axis=0), np.abs(shift)) if len(values) else 0.0
    return np.where(variance > (1e-7 * scale) ** 2, variance, 0.0)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, NaN where the denominator is zero."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))
