r"""The plane front of a shower: fitted to the times of its hits.

A front that comes from zenith angle :math:`\theta` and azimuth :math:`\phi` runs against
:math:`\hat u = (\sin\theta\cos\phi, \sin\theta\sin\phi, \cos\theta)` and meets the channel at
:math:`\vec x_i` at

.. math:: t_i = t_0 - \hat u \cdot \vec x_i / c, \qquad c = 0.299792458\ \mathrm{m/ns}.

With heights that differ, :math:`u_z = (1 - u_x^2 - u_y^2)^{1/2}` makes the least-squares problem mildly
nonlinear; Gauss-Newton steps solve it to rounding. A real front is curved, and some hits are noise: those far
from the plane may be left out, by their distance in robust standard deviations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError

Array = NDArray[Any]

C = 0.299792458
"""Speed of light [m/ns]."""

_STEPS = 20
_ROUNDS = 8
_FLAT = 1e-9  # hits on one line leave a direction open
_LOWEST = 0.05  # least u_z that a step is taken with


class Front(NamedTuple):
    """Plane fronts; NaN where the hits do not fix one."""

    zenith: Array
    """Angle of the direction of arrival from the vertical [rad], shape ``(n,)``."""
    azimuth: Array
    """Its azimuth from x towards y, in (-π, π] [rad], shape ``(n,)``."""
    time: Array
    """Time at which the front passes the origin [ns], shape ``(n,)``."""
    residual: Array
    """Time of every hit after the front [ns], shape ``(n, M)``; NaN where there is no hit."""
    rms: Array
    """Weighted root mean square of the residuals of the hits that were fitted [ns], shape ``(n,)``."""


def fit_front(
    time: Array, hit: Array, position: Array, weight: Array | None = None, *, rejection: float | None = None
) -> Front:
    """Fit a plane front to the hits of each event by weighted least squares.

    Args:
        time: Arrival times [ns], shape ``(n, M)``; what is not a hit is not looked at.
        hit: Whether the channel was hit, booleans of shape ``(n, M)``.
        position: Where the channels are [m], shape ``(M, 3)``, or ``(M, 2)`` on level ground.
        weight: Of every hit, not negative, shape ``(n, M)``; left out, all the same.
        rejection: Leave out hits that lie more than so many robust standard deviations (1.4826 times the
            median distance) from the plane, and fit again until none joins or leaves; left out, keep all.

    Returns:
        ``Front(zenith [rad], azimuth [rad], time [ns], residual [ns], rms [ns])``. The direction is NaN where
        fewer than three hits stand, where they stand on a line, or where the front would outrun light.

    Raises:
        UsageError: ``rejection`` is not positive.

    Example:
        >>> x = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0], [30.0, 30.0]])
        >>> t = 100.0 - x @ [np.sin(0.4), 0.0] / C
        >>> front = fit_front(t[None], np.ones((1, 4), bool), x)
        >>> round(float(front.zenith[0]), 12), abs(round(float(front.azimuth[0]), 12))
        (0.4, 0.0)
    """
    if rejection is not None and not rejection > 0:
        raise UsageError(f"rejection is {rejection!r}, allowed: a positive number of standard deviations")
    x = position if position.shape[1] == 3 else np.column_stack([position, np.zeros(len(position))])
    t = np.where(hit, time, 0.0).astype(np.float64)
    given = np.where(hit, 1.0 if weight is None else weight, 0.0).astype(np.float64)
    w = given
    u, t0 = _solve(t, w, x)
    sigmas, rounds = (0.0, 0) if rejection is None else (rejection, _ROUNDS)
    for _ in range(rounds):
        apart = np.abs(t - t0[:, None] + u @ x.T / C)
        typical = 1.4826 * _median(apart, given > 0)[:, None]
        kept = np.where(apart <= np.maximum(sigmas * typical, 1e-6), given, 0.0)
        if np.array_equal(kept, w):
            break
        w = kept
        u, t0 = _solve(t, w, x)
    residual = np.where(hit, t - t0[:, None] + u @ x.T / C, np.nan)
    total = w.sum(axis=1)
    square = np.where(w > 0, w * np.square(residual), 0.0).sum(axis=1)
    rms = np.sqrt(square / np.where(total > 0, total, np.nan))
    sine = np.hypot(u[:, 0], u[:, 1])
    possible = sine <= 1
    zenith = np.where(possible, np.arcsin(np.where(possible, sine, 0.0)), np.nan)
    azimuth = np.where(possible, np.arctan2(u[:, 1], u[:, 0]), np.nan)
    return Front(zenith, azimuth, t0, residual, rms)


def _median(values: Array, used: Array) -> Array:
    """Median of the used values of each row; infinite where there is none."""
    ordered = np.sort(np.where(used, values, np.inf), axis=1)
    middle = np.maximum(used.sum(axis=1) - 1, 0) // 2
    return np.asarray(np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0])


def _solve(t: Array, w: Array, x: Array) -> tuple[Array, Array]:
    """Return directions ``(n, 3)`` and times at the origin ``(n,)``."""
    total = w.sum(axis=1)
    share = w / np.where(total > 0, total, np.nan)[:, None]
    u = np.zeros((len(t), 3))
    u[:, 2] = 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            slope = u[:, :2] / u[:, 2:]
            # d(u·x)/du_x = x - (u_x / u_z) z, and the same for y.
            X = [x[:, axis] - slope[:, axis, None] * x[:, 2] for axis in (0, 1)]
            late = t + u @ x.T / C
            mean = [(share * column).sum(axis=1, keepdims=True) for column in (*X, late)]
            dx, dy, dt = (column - middle for column, middle in zip((*X, late), mean, strict=True))
            xx, yy, xy = ((share * a * b).sum(axis=1) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
            xt, yt = ((share * a * dt).sum(axis=1) for a in (dx, dy))
            determinant = xx * yy - xy**2
            determinant = np.where(determinant > _FLAT * (xx + yy) ** 2, determinant, np.nan)
            step = -C * np.stack([yy * xt - xy * yt, xx * yt - xy * xt], axis=1) / determinant[:, None]
            u[:, :2] += step
            # Noise may tilt a first fit beyond the horizon; what is left of it there is judged at the end.
            u[:, 2] = np.sqrt(np.maximum(1 - np.square(u[:, :2]).sum(axis=1), _LOWEST**2))
            if not (np.abs(step) > 1e-15).any():
                break
    return u, (share * (t + u @ x.T / C)).sum(axis=1)
