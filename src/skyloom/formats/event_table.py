"""Tables of detector events as field sets: each variable a field of 1 × 1 maps.

As maps of one pixel the variables of an event pass through transforms, generators and stores as any map does.
An azimuth jumps from π to −π between two events that are neighbours, which no network follows: beside it
stand its cosine and sine, and whoever drew these gets the angle back from `azimuth_of`, whatever the length
of the arrow that they make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import FormatError, ShapeError

Array = NDArray[Any]
Described = tuple[Any, str, str]

COSINE, SINE = "azimuth_cos", "azimuth_sin"


def table_fields(columns: Mapping[str, Described]) -> dict[str, Described]:
    """Return the fields of a table of events.

    Args:
        columns: Name -> ``(values, unit, long_name)``, values of shape ``(n,)``; ``azimuth`` in rad.

    Returns:
        Name -> ``(values, unit, long_name)`` as ``fields.build`` takes it, values of shape ``(n, 1, 1)``;
        behind ``azimuth`` its cosine ``azimuth_cos`` and sine ``azimuth_sin``.

    Raises:
        ShapeError: A column is not one number an event.

    Example:
        >>> fields = table_fields({"azimuth": (np.array([0.0, np.pi / 2]), "rad", "azimuth")})
        >>> {name: values.round(3).ravel().tolist() for name, (values, *_) in fields.items()}
        {'azimuth': [0.0, 1.571], 'azimuth_cos': [1.0, 0.0], 'azimuth_sin': [0.0, 1.0]}
    """
    fields: dict[str, Described] = {}
    for name, (values, unit, meaning) in columns.items():
        column = np.asarray(values)
        if column.ndim != 1:
            raise ShapeError(f"column {name!r} has shape {column.shape}", hint="one number an event")
        fields[name] = (column[:, None, None], unit, meaning)
        if name == "azimuth":
            fields[COSINE] = (np.cos(column)[:, None, None], "", f"cosine of the {meaning}")
            fields[SINE] = (np.sin(column)[:, None, None], "", f"sine of the {meaning}")
    return fields


def azimuth_of(ds: xr.Dataset) -> Array:
    """Return the azimuth of each event, from the angle itself or from its cosine and sine.

    Args:
        ds: A table of events or maps with the azimuth as a coordinate.

    Returns:
        In (-π, π] [rad] where it comes from cosine and sine, shape ``(n,)``.

    Raises:
        FormatError: The set has neither.

    Example:
        >>> half = ("sample", [0.5]), ("sample", [-0.5])
        >>> azimuth_of(xr.Dataset({"azimuth_cos": half[0], "azimuth_sin": half[1]})).round(4).tolist()
        [-0.7854]
    """
    n = ds.sizes["sample"]
    if "azimuth" in ds:
        return np.asarray(ds["azimuth"].values).reshape(n)
    if COSINE not in ds or SINE not in ds:
        raise FormatError("the set has no 'azimuth'", hint=f"nor its parts {COSINE!r} and {SINE!r}")
    return np.asarray(np.arctan2(ds[SINE].values, ds[COSINE].values)).reshape(n)
