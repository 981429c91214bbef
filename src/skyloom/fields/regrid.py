r"""Boxes on a coarser grid, by averages over the new cells.

.. math:: f'_i = \sum_j W_{ij} f_j, \qquad W_{ij} = \frac{n}{N}\,
    \Big| \big[\tfrac{iN}{n}, \tfrac{(i+1)N}{n}\big] \cap [j, j+1] \Big|

along every axis, for :math:`N` old and :math:`n` new cells: what a code with the coarser cells would store
of the same gas. Integrals are kept and no value leaves the range of the old ones; :math:`N` need be no
multiple of :math:`n`. The scale on which the finer code dissipates is averaged over, not moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields.convention import add_step, check


def regrid(ds: xr.Dataset, cells: int) -> xr.Dataset:
    """Bring the maps or cubes of a field set to fewer cells a side.

    Args:
        ds: A field set of cubes ``(n, N, N, N)`` or maps ``(n, N, N)``; lazy values stay lazy.
        cells: New cells a side, from 1 to ``N``.

    Returns:
        The same samples in the same box, in at least single precision where averages were taken.

    Raises:
        UsageError: ``cells`` is out of range.

    Example:
        >>> from skyloom.fields import example
        >>> coarse = regrid(example(size=48), 32)
        >>> coarse.sizes["x"], coarse.attrs["box_size"] == example(size=48).attrs["box_size"]
        (32, True)
    """
    sides = [str(dim) for dim in ("z", "y", "x") if dim in ds.dims]
    for side in sides:
        if not 1 <= cells <= ds.sizes[side]:
            raise UsageError(
                f"cells is {cells}, but the boxes have {ds.sizes[side]} along {side}",
                hint=f"allowed: 1 to {ds.sizes[side]}; a finer grid would hold nothing new",
            )
    data = {}
    for name, field in ds.data_vars.items():
        values: Any = field.data
        for side in sides:
            if side in field.dims and cells < ds.sizes[side]:
                axis = field.dims.index(side)
                values = _averaged(values, axis, overlaps(values.shape[axis], cells))
        data[name] = (field.dims, values, field.attrs)
    coarse = ds.drop_vars(list(ds.data_vars)).assign(data)
    coarse = add_step(coarse, {"step": "regrid", "cells": cells})
    check(coarse)
    return coarse


def add_coarse(ds: xr.Dataset, name: str, *, of: str, cells: int) -> xr.Dataset:
    """Add a field as seen with fewer cells a side, on the pixels of the set: constant within each new cell.

    Args:
        ds: A field set of maps ``(n, N, N)``; lazy values stay lazy.
        name: Name of the new field.
        of: The field that is averaged.
        cells: New cells a side; ``N`` must be a multiple of them.

    Returns:
        The set with the field ``name``, in the unit of ``of``.

    Raises:
        DataError: There is no field ``of``, or ``name`` is taken.
        UsageError: The cells do not divide the maps.

    Example:
        >>> from skyloom.fields import example
        >>> ds = add_coarse(example(size=8), "T_b_coarse", of="T_b", cells=2)
        >>> block = ds["T_b_coarse"].values[0, :4, :4]
        >>> bool(np.ptp(block) == 0), bool(np.isclose(block.mean(), ds["T_b"].values[0, :4, :4].mean()))
        (True, True)
    """
    if of not in ds:
        raise DataError(f"there is no field {of!r} to average", hint=nearest(of, map(str, ds.data_vars)))
    if name in ds:
        raise DataError(f"the set has a field {name!r} already", hint="give the coarse one another name")
    N = ds.sizes["x"]
    if "z" in ds[of].dims or not 1 <= cells < N or N % cells:
        raise UsageError(
            f"the field {of!r} of dimensions {ds[of].dims} and {N} pixels a side cannot have {cells} cells",
            hint="give a divisor of the side of maps, smaller than it",
        )
    weights, sides = overlaps(N, cells).repeat(N // cells, axis=0), ["y", "x"]
    values = xr.apply_ufunc(
        lambda maps: _averaged(_averaged(maps, -1, weights), -2, weights),
        ds[of],
        input_core_dims=[sides],
        output_core_dims=[sides],
        dask="parallelized",
        output_dtypes=[np.result_type(ds[of].dtype, np.float32)],
    )
    about = {**ds[of].attrs, "long_name": f"{ds[of].attrs['long_name']}, {cells} cells a side"}
    coarse = ds.assign({name: (ds[of].dims, values.data, about)})
    coarse = add_step(coarse, {"step": "add_coarse", "name": name, "of": of, "cells": cells})
    check(coarse)
    return coarse


def _averaged(values: Any, axis: int, weights: NDArray[np.float64]) -> Any:
    """Return averages along one axis with weights ``(new, old)``."""
    dtype = np.result_type(values.dtype, np.float32)
    return np.moveaxis(np.tensordot(values.astype(dtype), weights.astype(dtype), axes=(axis, 1)), -1, axis)


def overlaps(old: int, new: int, *, width: float | None = None) -> NDArray[np.float64]:
    """Return the weight of every old cell in every new one, shape ``(new, old)``; rows add up to one.

    Args:
        old: Old cells.
        new: New cells, from the lower end on.
        width: Old cells that a new one covers; None covers them all.

    Example:
        >>> overlaps(3, 2).round(3).tolist()
        [[0.667, 0.333, 0.0], [0.0, 0.333, 0.667]]
    """
    each = old / new if width is None else width
    edges = np.arange(new + 1) * each
    low = np.maximum(edges[:-1, None], np.arange(old))
    high = np.minimum(edges[1:, None], np.arange(old) + 1)
    return np.asarray(np.clip(high - low, 0, None) / each)
