"""The record that a judgement leaves: numbers as JSON, curves as netCDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from skyloom.evaluate.generated.arena import Arena
from skyloom.evaluate.generated.curves import Curve
from skyloom.evaluate.generated.measures import slopes, standardised_parameters
from skyloom.evaluate.scorecard import as_json
from skyloom.runs import atomic_path, write_json
from skyloom.statistics.grouped import group_means, moments


@dataclass(frozen=True)
class Scorecard:
    """What was found of a generated or a translated set.

    Args:
        numbers: JSON values, the content of ``scorecard.json``; docs/reference/scorecard.md defines each.
        curves: Mean and spread of each statistic, the content of ``curves.nc``.

    Example:
        >>> Scorecard({"kind": "ensemble", "rows": []}, xr.Dataset()).row("auc") is None
        True
    """

    numbers: dict[str, Any]
    curves: xr.Dataset

    def row(self, key: str) -> dict[str, Any] | None:
        """Return the row of a key such as ``T_b.pdf.pdf.sigma`` or ``auc``, None where there is none.

        Args:
            key: As in ``scorecard.json``.
        """
        found: dict[str, Any] | None = next((row for row in self.numbers["rows"] if row["key"] == key), None)
        return found

    def write(self, folder: Path) -> Path:
        """Write ``scorecard.json`` and ``curves.nc``.

        Args:
            folder: Made where it is not there.

        Returns:
            The folder.

        Raises:
            DataError: A file cannot be written.
        """
        write_json(folder / "scorecard.json", as_json(self.numbers))
        with atomic_path(folder / "curves.nc") as temporary:
            self.curves.to_netcdf(temporary, engine="h5netcdf")
        return folder


def curves_of(curves: Sequence[Curve], arena: Arena, parameters: Sequence[str]) -> xr.Dataset:
    """Return mean, spread and response of each statistic of every ensemble.

    Args:
        curves: The statistics of the joint table.
        arena: The ensembles.
        parameters: Names of the columns of ``arena.theta``.

    Returns:
        Of each curve ``key`` the variables ``key`` (ensemble, bins), the mean over groups, ``key.spread``,
        their sd, and ``key.response`` (ensemble, parameter, bins), the change for one sd of a parameter.
    """
    theta = standardised_parameters(arena)
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {"ensemble": arena.names, "parameter": list(parameters)}
    for curve in curves:
        dims = tuple(f"{curve.key}.{dim}" for dim in curve.dims)
        means, spreads, responses = [], [], []
        for name in arena.names:
            rows = arena.rows(name)
            rows = rows[~np.isnan(curve.values[rows]).all(axis=1)]
            mean, sd = _moments(curve.values[rows], arena.groups[rows])
            means.append(mean)
            spreads.append(sd)
            responses.append(_response(theta[rows], curve.values[rows]))
        attrs = {
            key: str(value) for key, value in curve.variable_attrs.items() if key in ("units", "long_name")
        }
        attrs |= {"statistic": curve.statistic, "of": curve.of}
        variables[curve.key] = (("ensemble", *dims), np.reshape(means, (-1, *curve.shape)), attrs)
        variables[f"{curve.key}.spread"] = (
            ("ensemble", *dims),
            np.reshape(spreads, (-1, *curve.shape)),
            attrs,
        )
        if len(parameters):
            shape = (len(arena.names), len(parameters), *curve.shape)
            variables[f"{curve.key}.response"] = (
                ("ensemble", "parameter", *dims),
                np.reshape(responses, shape),
                attrs,
            )
        for dim, coord in curve.coords.items():
            told = {key: str(value) for key, value in coord.attrs.items()}
            coords[f"{curve.key}.{dim}"] = (f"{curve.key}.{dim}", coord.values, told)
    return xr.Dataset(variables, coords=coords)


def _moments(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(values):
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    return moments(group_means(values, groups)[0])


def _response(theta: np.ndarray, values: np.ndarray) -> np.ndarray:
    found = np.full((theta.shape[1], values.shape[1]), np.nan)
    whole = np.isfinite(values).all(axis=0)
    if theta.shape[1] and whole.any() and len(theta) > theta.shape[1] + 1:
        found[:, whole] = slopes(theta, values[:, whole])
    return found
