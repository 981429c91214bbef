r"""Angular resolution: within which angle of the true direction most events are reconstructed.

A fit gives zenith angle and azimuth; a network tells what the fit has missed, :math:`\Delta u_x` and
:math:`\Delta u_y` in direction cosines. Corrected, the direction is :math:`(u_x + \Delta u_x, u_y + \Delta
u_y)` with :math:`u_z` from its length; a corrected direction below the horizon is moved onto it. The
resolution is the angle from the truth that holds 68 % of the events (HAWC's :math:`\psi_{68}`), with its
interval over groups.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from skyloom.errors import ShapeError
from skyloom.evaluate.bootstrap import clustered

MISSED = ("du_x", "du_y")
"""Parameters that tell what a reconstruction has missed."""
FITTED = ("zenith", "azimuth")
"""Columns of the reconstruction [rad]."""
LEVEL = 0.68
PARTS = 3


def direction(zenith: np.ndarray, azimuth: np.ndarray, missed: np.ndarray | None = None) -> np.ndarray:
    """Return unit vectors of arrival, corrected by what was missed.

    Args:
        zenith: Zenith angle [rad], shape ``(n,)``.
        azimuth: Azimuth from x towards y [rad], shape ``(n,)``.
        missed: To be added to the direction cosines along x and y, shape ``(n, 2)``.

    Returns:
        Shape ``(n, 3)``.

    Example:
        >>> direction(np.zeros(1), np.zeros(1), np.array([[0.6, 0.0]])).round(6).tolist()
        [[0.6, 0.0, 0.8]]
    """
    u = np.stack([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth)], axis=1)
    if missed is not None:
        u = u + missed
    length = np.linalg.norm(u, axis=1, keepdims=True)
    u = u / np.maximum(length, 1.0)
    return np.column_stack([u, np.sqrt(np.maximum(1 - np.square(u).sum(axis=1), 0.0))])


def separation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angle between unit vectors [deg], exact for small angles.

    Args:
        first: Shape ``(n, 3)``.
        second: Shape ``(n, 3)``.

    Example:
        >>> separation(np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 1.0, 0.0]])).round(9).tolist()
        [90.0]
    """
    half = 0.5 * np.linalg.norm(np.asarray(first) - second, axis=1)
    return np.asarray(np.degrees(2 * np.arcsin(np.minimum(half, 1.0))))


def containment(angles: np.ndarray, *, weights: np.ndarray | None = None, level: float = LEVEL) -> np.ndarray:
    """Return the angle that holds a share of the events.

    Args:
        angles: Shape ``(n, K)`` [deg], ``K`` methods.
        weights: Shape ``(D, n)``.
        level: The share.

    Returns:
        Shape ``(D, K)`` [deg]: of the angles in rising order, the first up to which the share is reached.

    Example:
        >>> containment(np.array([[1.0], [2.0], [3.0], [4.0]]), level=0.5).tolist()
        [[2.0]]
    """
    values = np.asarray(angles, float)
    if values.ndim != 2:
        raise ShapeError(f"angles have shape {values.shape}, (events, methods) was expected")
    w = np.ones((1, len(values))) if weights is None else np.asarray(weights, float)
    held = []
    for column in values.T:
        order = np.argsort(column)
        reached = np.cumsum(w[:, order], axis=1)
        first = (reached < level * reached[:, -1:] - 1e-9).sum(axis=1)
        held.append(column[order][first])
    return np.stack(held, axis=1)


def angular_resolution(
    prediction: xr.Dataset,
    others: Mapping[str, xr.Dataset],
    table: xr.Dataset,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Return the angular resolution of a network, of baselines and of the fit itself, in all and by size.

    Args:
        prediction: Of the parameters ``du_x`` and ``du_y``, with others or not.
        others: Predictions of the baselines.
        table: Coordinates of the same samples, with ``zenith`` and ``azimuth`` of the fit [rad].
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        ``level``, ``unit``, and ``events``: for ``all`` and, where there is ``nHit``, thirds of it, the
        numbers of every method as the scorecard holds scores. None where the prediction is of something else.
    """
    named = [str(name) for name in prediction["parameter"].values] if "parameter" in prediction else []
    if any(name not in named for name in MISSED) or any(name not in table for name in FITTED):
        return None
    zenith, azimuth = (np.asarray(table[name].values, float) for name in FITTED)
    truth = direction(zenith, azimuth, prediction["truth"].sel(parameter=list(MISSED)).values)
    methods = {"network": prediction, **others}
    angles = {"plane fit": separation(direction(zenith, azimuth), truth)}
    for name, told in methods.items():
        missed = told["mean"].sel(parameter=list(MISSED)).values
        angles[name] = separation(direction(zenith, azimuth, missed), truth)
    stacked, groups = np.stack(list(angles.values()), axis=1), prediction["group"].values
    found = {}
    for label, rows in _parts(table).items():
        held = partial(_weighted, stacked[rows])
        result = clustered(held, groups[rows], draws=draws, seed=seed)
        found[label] = {
            name: {
                "value": float(result.value[k]),
                "low": float(result.low[k]),
                "high": float(result.high[k]),
                "groups": result.groups,
                "samples": result.samples,
            }
            for k, name in enumerate(angles)
        }
    return {"level": LEVEL, "unit": "deg", "events": found}


def _weighted(angles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return containment(angles, weights=weights)


def _parts(table: xr.Dataset) -> dict[str, np.ndarray]:
    """Return rows of all events, and of thirds by the number of hits."""
    n = table.sizes["sample"]
    parts = {"all": np.arange(n)}
    if "nHit" not in table or n < 10 * PARTS:
        return parts
    hits = table["nHit"].values
    edges = np.quantile(hits, np.linspace(0, 1, PARTS + 1))
    for low, high in itertools.pairwise(edges):
        last = high == edges[-1]
        rows = np.flatnonzero((hits >= low) & ((hits <= high) if last else (hits < high)))
        if len(rows):
            parts[f"nHit {low:.0f} to {high:.0f}"] = rows
    return parts
