"""The prediction: one labelled table of truth, estimate and error in physical units.

Everything that judges, draws or stores an answer reads this one ``xarray.Dataset``:

- dims: ``sample``, ``parameter`` and, where there are intervals or draws, ``level`` and ``draw``;
- variables: ``truth``, ``mean``, ``sd`` (sample, parameter); ``lower``, ``upper`` (sample, parameter,
  level); ``samples`` (sample, draw, parameter); in the unit of each parameter;
- coordinates: ``sample``, ``group``, ``redshift`` (sample); ``parameter``, ``unit`` (parameter); ``level``;
- attributes: ``side``, ``leaky`` (0 or 1), ``scores`` (names separated by blanks), and ``intervals``:
  ``raw`` (the method's own), ``conformal`` (repaired) or ``none``.

An interval at level 0.68 holds the central 68 %: quantiles of the samples where there are any, else those
of a normal distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import norm

from skyloom.errors import ShapeError, UsageError


def central_interval(
    mean: np.ndarray, sd: np.ndarray | None, samples: np.ndarray | None, levels: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the bounds of the central interval at each level, or None without sd and samples.

    Args:
        mean: Estimates, shape ``(n, P)``, in any unit ``u``.
        sd: Standard deviations [u], shape ``(n, P)``, or None.
        samples: Draws of a posterior [u], shape ``(n, L, P)``, or None; they are preferred to ``sd``.
        levels: Probability inside, each between 0 and 1.

    Returns:
        ``(lower, upper)`` [u], each of shape ``(n, P, levels)``.

    Example:
        >>> lower, upper = central_interval(np.zeros((1, 1)), np.ones((1, 1)), None, [0.95])
        >>> [round(float(v), 3) for v in (lower[0, 0, 0], upper[0, 0, 0])]
        [-1.96, 1.96]
    """
    tails = (1 - np.asarray(levels, float)) / 2
    if samples is not None:
        bounds = np.quantile(np.asarray(samples, float), np.concatenate([tails, 1 - tails]), axis=1)
        return np.moveaxis(bounds[: len(tails)], 0, -1), np.moveaxis(bounds[len(tails) :], 0, -1)
    if sd is None:
        return None
    half = np.asarray(sd, float)[..., None] * norm.isf(tails)
    centre = np.asarray(mean, float)[..., None]
    return centre - half, centre + half


def prediction(
    outputs: Mapping[str, np.ndarray],
    table: xr.Dataset,
    *,
    units: Mapping[str, str],
    levels: Sequence[float] = (0.68, 0.95),
    scores: Sequence[str] = (),
    side: str = "",
    leaky: bool = False,
) -> xr.Dataset:
    """Build the prediction of some samples from estimates in physical units.

    Args:
        outputs: ``mean`` of shape ``(n, P)``; where there are any ``sd`` ``(n, P)`` and ``samples``
            ``(n, L, P)``; each parameter in its own unit.
        table: Coordinates of the same ``n`` samples in the same order: ``sample``, ``group`` and, where
            known, ``redshift`` and the true parameters (a parameter that is absent has truth NaN).
        units: Unit of each of the ``P`` parameters, in their order.
        levels: Levels of the central intervals.
        scores: Names of the scores by which the task judges.
        side: ``train``, ``validation``, ``test`` or the name of another set.
        leaky: Whether the split lets information pass; it marks everything made from this.

    Returns:
        The prediction as this module describes it.

    Raises:
        ShapeError: An output does not fit the table or the parameters.
        UsageError: An output has a name that is not listed above, or ``mean`` is missing.

    Example:
        >>> table = xr.Dataset(coords={"sample": ["a"], "group": ("sample", ["g"]), "x": ("sample", [0.4])})
        >>> p = prediction({"mean": np.array([[0.5]]), "sd": np.array([[0.1]])}, table, units={"x": ""})
        >>> float(p.truth[0, 0]), round(float(p.upper.sel(level=0.95)[0, 0]), 3)
        (0.4, 0.696)
    """
    n, P = table.sizes["sample"], len(units)
    _check(outputs, n, P)
    mean, sd, samples = (outputs.get(name) for name in ("mean", "sd", "samples"))
    pair = ("sample", "parameter")
    truth = np.full((n, P), np.nan)
    for column, name in enumerate(units):
        if name in table.coords:
            truth[:, column] = np.asarray(table[name].values, float)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "truth": (pair, truth),
        "mean": (pair, np.asarray(mean, float)),
    }
    if sd is not None:
        variables["sd"] = (pair, np.asarray(sd, float))
    if samples is not None:
        variables["samples"] = (("sample", "draw", "parameter"), np.asarray(samples, np.float32))
    bounds = central_interval(variables["mean"][1], sd, samples, levels)
    if bounds is not None:
        variables["lower"] = ((*pair, "level"), bounds[0])
        variables["upper"] = ((*pair, "level"), bounds[1])
    coords = _coordinates(table, units, None if bounds is None else levels)
    attrs = {
        "side": side,
        "leaky": int(leaky),
        "scores": " ".join(scores),
        "intervals": "none" if bounds is None else "raw",
    }
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def summary_rows(prediction: xr.Dataset) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return what a prediction says on average over its samples, one row a parameter.

    Args:
        prediction: As this module describes it.

    Returns:
        The header, and rows of text: parameter, mean prediction, mean error of one sample and, where the
        truth is known, its mean and the bias.

    Example:
        >>> pair = ("sample", "parameter")
        >>> p = xr.Dataset({"mean": (pair, [[0.5], [0.7]]), "truth": (pair, [[0.5], [0.5]])},
        ...     coords={"parameter": ["x_HI"]})
        >>> summary_rows(p)[1]
        [('x_HI', '0.600', '-', '0.500', '+0.100')]
    """
    rows: list[tuple[str, ...]] = []
    for name in prediction["parameter"].values:
        one = prediction.sel(parameter=name)
        mean, truth = float(one["mean"].mean()), float(one["truth"].mean())
        sd = f"{float(one['sd'].mean()):.3f}" if "sd" in one else "-"
        known = (f"{truth:.3f}", f"{mean - truth:+.3f}") if np.isfinite(truth) else ("-", "-")
        rows.append((str(name), f"{mean:.3f}", sd, *known))
    return ("parameter", "predicted", "sd of a map", "truth", "bias"), rows


def _coordinates(
    table: xr.Dataset, units: Mapping[str, str], levels: Sequence[float] | None
) -> dict[str, Any]:
    """Coordinates of a prediction: who the samples are, what the parameters, which levels there are."""
    coords = {
        name: ("sample", table[name].values)
        for name in ("sample", "group", "redshift")
        if name in table.coords
    }
    coords["parameter"] = ("parameter", np.array(list(units), dtype=str))
    coords["unit"] = ("parameter", np.array(list(units.values()), dtype=str))
    if levels is not None:
        coords["level"] = ("level", np.asarray(levels, float))
    return coords


def _check(outputs: Mapping[str, np.ndarray], n: int, P: int) -> None:
    """Refuse outputs with other names or shapes than a prediction has."""
    unknown = sorted(set(outputs) - {"mean", "sd", "samples"})
    if unknown or "mean" not in outputs:
        found = ", ".join(sorted(outputs)) or "nothing"
        raise UsageError(
            f"a prediction is made of 'mean' and, if there are any, 'sd' and 'samples'; found {found}",
            hint="rename or drop the other outputs of the method",
        )
    for name, values in outputs.items():
        shape = np.shape(values)
        wanted = f"({n}, draws, {P})" if name == "samples" else f"({n}, {P})"
        if len(shape) != (3 if name == "samples" else 2) or (shape[0], shape[-1]) != (n, P):
            raise ShapeError(
                f"output '{name}' has shape {shape}; {n} samples and {P} parameters need {wanted}",
                hint="predict the rows of the table, all of them and in their order",
            )
