"""From events to field sets: a table of reconstructed numbers, or maps of charge, time and hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.fields import Label, build
from skyloom.formats.event_table import table_fields
from skyloom.formats.xcdf.quantities import MEASURED
from skyloom.formats.xcdf.truth import truth_labels
from skyloom.instruments.hawc import (
    SIZE,
    Hits,
    Layout,
    clean,
    detector_mask,
    front_times,
    grid_ids,
    to_maps,
)
from skyloom.simulate.showers.generate import Thrown
from skyloom.simulate.showers.reconstruction import Reconstructed

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
Product = Literal["table", "maps"]

FURTHER = {
    "fHit": ("", "share of the PMTs that were hit"),
    "compactness": ("1 / electron", "compactness nHit / CxPE40"),
    "PINC": ("", "PINC, unevenness of the charge about the core"),
    "energy_proxy": ("dex(GeV)", "logarithm of the energy from the fit of the core"),
}
"""Reconstructed numbers beside those of published tables: unit and meaning."""


def field_set(
    thrown: Thrown,
    found: Reconstructed,
    layout: Layout,
    *,
    species: Array,
    first: int,
    seed: int,
    product: Product,
    channels: int,
    provenance: Mapping[str, Any],
) -> xr.Dataset:
    """Return the events of a shard whose reconstruction did not fail as a field set.

    Args:
        thrown: The events.
        found: What was reconstructed of them.
        layout: Where the PMTs stand.
        species: Code of each event's primary, shape ``(n,)``.
        first: Number of the first event in the whole set.
        seed: Of the whole set.
        product: ``table`` or ``maps``.
        channels: Of maps: charge alone, or charge and time.
        provenance: History of the set.
    """
    keep = np.flatnonzero((thrown.thrown > 0) & np.isfinite(found.zenith))
    thrown = Thrown(*(column[keep] for column in thrown))
    found = Reconstructed(*(column[keep] for column in found))
    about = {q.name: (q.unit, q.long_name) for q in MEASURED} | FURTHER
    measured: dict[str, tuple[Array, str, str]] = {
        name: (getattr(found, name), unit, meaning) for name, (unit, meaning) in about.items()
    }
    labels = truth_labels(
        {
            "energy": thrown.energy,
            "theta": np.degrees(thrown.zenith),
            "phi": np.degrees(thrown.azimuth) % 360,
            "true_core_x": thrown.core[:, 0],
            "true_core_y": thrown.core[:, 1],
            "species": species[keep].astype(np.float64),
        },
        zenith=found.zenith,
        azimuth=found.azimuth,
    )
    labels["muons"] = Label(thrown.muons, "label", "", "muons on the ground, near and far")
    labels["thrown"] = Label(thrown.thrown, "label", "", "primaries thrown for this event, itself included")
    if product == "table":
        fields = table_fields(
            {name: (np.asarray(v, np.float32), unit, why) for name, (v, unit, why) in measured.items()}
        )
    else:
        fields, front = _maps(thrown, found, layout, channels)
        labels |= {name: Label(v, "label", unit, meaning) for name, (v, unit, meaning) in measured.items()}
        labels["front_time"] = Label(front, "label", "ns", "time at which the front meets the origin")
    names = _names(seed, first + keep)
    return build(
        fields,
        ids=names,
        groups=names,
        seeds=[(seed << 32) + first + int(row) for row in keep],
        box_size=float(SIZE) if product == "maps" else 1.0,
        box_size_unit="",
        periodic=False,
        suite="skyloom-showers",
        realism="semi-numerical",
        labels=labels,
        provenance=provenance,
    )


def _names(seed: int, numbers: Sequence[int] | Array) -> list[str]:
    return [f"shower-{seed}-{int(number):07d}" for number in numbers]


def _maps(
    thrown: Thrown, found: Reconstructed, layout: Layout, channels: int
) -> tuple[dict[str, tuple[Any, str, str]], Array]:
    """Return the fields of maps, and when the fronts meet the origin [ns]."""
    event, channel = np.nonzero(thrown.charge > 0)
    at = event, channel
    hits = Hits(event, layout.grid_id[channel], thrown.charge[at], thrown.time[at])
    hits, _ = clean(hits, layout)
    front = front_times(hits, found.zenith, found.azimuth, layout)
    drawn = to_maps(hits, found.zenith, found.azimuth, front, layout)
    missing = np.setdiff1d(grid_ids()[grid_ids() > 0], layout.grid_id)
    mask = np.broadcast_to(detector_mask(missing).astype(np.float32), drawn.hit.shape)
    fields: dict[str, tuple[Any, str, str]] = {
        "charge": (drawn.charge, "dex(electron)", "logarithm of the charge")
    }
    if channels == 2:
        fields["time"] = (drawn.time, "ns", "time after the plane front")
    fields["hit"] = (drawn.hit, "", "whether the PMT was hit")
    fields["detector"] = (mask, "", "whether there is a PMT that works")
    return fields, front
