"""From maps of HAWC events, drawn by a network or not, to the hits of channels and to XCDF files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import FormatError
from skyloom.formats.event_table import COSINE, azimuth_of
from skyloom.formats.xcdf.quantities import HITS, MEASURED, OPTIONAL, TRUE
from skyloom.formats.xcdf.records import Field
from skyloom.formats.xcdf.writer import write
from skyloom.instruments.hawc import Hits, Layout, Maps, default_layout, from_maps, to_channels
from skyloom.units import convert

Array = NDArray[Any]


def with_channels(ds: xr.Dataset, values: tuple[Array, ...], layout: Layout) -> xr.Dataset:
    """Return the numbers of events beside the values of their channels, as ``event_observables`` takes them.

    Args:
        ds: Events; what is one number a sample is kept, as coordinates.
        values: Charges [PE], times [ns] and hits, shape ``(n, len(layout))`` each.
        layout: Where the channels stand.
    """
    numbers = ds.drop_vars([name for name, field in ds.data_vars.items() if field.ndim > 1])
    numbers = numbers.set_coords(list(numbers.data_vars))
    described = {
        "charge": ("electron", "charge"),
        "time": ("ns", "time of the hit"),
        "hit": ("", "whether the channel was hit"),
    }
    for (name, (unit, meaning)), column in zip(described.items(), values, strict=True):
        numbers[name] = (("sample", "channel"), column, {"units": unit, "long_name": meaning})
    places: dict[str, Any] = {
        name: ("channel", column, {"units": "m", "long_name": name})
        for name, column in zip("xyz", layout.position.T, strict=True)
    }
    return numbers.assign_coords({"grid_id": ("channel", layout.grid_id), **places})


def event_set(ds: xr.Dataset, layout: Layout | None = None) -> xr.Dataset:
    """Turn maps of events into what the statistic ``event_observables`` takes.

    Args:
        ds: Field set of maps ``charge``, ``time`` and ``hit``, as the format ``xcdf`` gives it, with
            ``zenith`` and ``azimuth`` of every event and, if known, ``front_time``.
        layout: Where the PMTs stand; left out, the rebuilt layout.

    Returns:
        ``charge`` [PE], ``time`` [ns], ``hit`` of ``(sample, channel)``, with the channels' ``x, y, z`` [m].

    Raises:
        FormatError: A map or an angle is missing.
    """
    layout = default_layout() if layout is None else layout
    return with_channels(ds, to_channels(hits_of(ds, layout), ds.sizes["sample"], layout), layout)


def hits_of(ds: xr.Dataset, layout: Layout) -> Hits:
    """Return the hits that maps show, in PE and ns.

    Args:
        ds: As ``event_set`` takes it; without ``time`` all hits are on the front. Drawn events that were not
            reconstructed come from the true direction ``theta``, ``phi`` that they were drawn at.
        layout: Where the PMTs stand.

    Raises:
        FormatError: A map or an angle is missing.
    """
    angles = _angles(ds)
    for name in ("charge", "hit", *angles):
        if name not in ds:
            raise FormatError(
                f"the set has no {name!r}",
                hint="maps of events have charge and hit, and a direction, which"
                " ds.assign_coords(zenith=..., azimuth=...) gives them [rad]",
            )
    zenith, azimuth = (convert(ds[name].values, ds[name].attrs.get("units", "rad"), "rad") for name in angles)
    charge, hit = ds["charge"].values, ds["hit"].values
    if "detector" in ds:
        hit = hit * (ds["detector"].values > 0.5)
    time = ds["time"].values if "time" in ds else np.zeros_like(charge)
    front = ds["front_time"].values if "front_time" in ds else np.zeros(len(charge))
    return from_maps(Maps(charge, time, hit), zenith, azimuth, front, layout)


def _angles(ds: xr.Dataset) -> tuple[str, str]:
    """Return the names of zenith angle and azimuth, measured or, where they were not measured, true."""
    measured, true = ("zenith", "azimuth"), ("theta", "phi")
    return true if all(n in ds for n in true) and not any(n in ds for n in measured) else measured


def write_events(
    path: Path | str, ds: xr.Dataset, layout: Layout | None = None, *, comments: Sequence[str] = ()
) -> Path:
    """Write maps or a table of events, real or generated, as an XCDF file with HAWC's fields.

    Charges are rounded to 0.01 PE and times to 0.1 ns, as in HAWC's files; nothing is written for times that
    the set does not have.

    Args:
        path: The file.
        ds: Field set of maps or of a table, as the format ``xcdf`` gives it.
        layout: Where the PMTs stand; left out, the rebuilt layout.
        comments: Texts for the trailer.

    Returns:
        The path.

    Raises:
        FormatError: A map or an angle is missing.
    """
    n = ds.sizes["sample"]
    fields = [Field("event.eventID", "uint")]
    columns: dict[str, Any] = {"event.eventID": np.arange(1, n + 1)}
    if "charge" in ds:
        hits = hits_of(ds, default_layout() if layout is None else layout)
        counts = np.bincount(hits.event, minlength=n)
        fields += [Field("event.nHit", "uint"), Field(HITS[0], "uint", 1, "event.nHit")]
        fields.append(Field(HITS[1], "float", 0.01, "event.nHit"))
        columns |= {"event.nHit": counts, HITS[0]: (hits.grid_id, counts), HITS[1]: (hits.charge, counts)}
        if "time" in ds:
            fields.append(Field(HITS[2], "float", 0.1, "event.nHit"))
            columns[HITS[2]] = (hits.time, counts)
    if COSINE in ds:
        ds = ds.assign(azimuth=("sample", azimuth_of(ds)))
    for quantity in (*MEASURED, *OPTIONAL, *TRUE):
        if quantity.name in ds:
            values = ds[quantity.name].values.astype(np.float64).reshape(n)
            whole = quantity.resolution == 1
            fields.append(Field(quantity.native, "uint" if whole else "float", quantity.resolution))
            columns[quantity.native] = np.maximum(values.round(), 0).astype(np.uint64) if whole else values
    return write(path, fields, columns, comments=comments)
