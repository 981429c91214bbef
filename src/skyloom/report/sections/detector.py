"""Real and generated events of a detector, drawn where its channels stand."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from skyloom.instruments.hawc import SIZE, Layout, default_layout, pixels
from skyloom.report.figures.events import Event, events_side_by_side
from skyloom.report.style import PAGE, Plate

COLUMNS = 4


def event_plates(examples: xr.Dataset) -> list[Plate]:
    """Return the picture of events beside each other; none where the maps are not those of the detector.

    Args:
        examples: ``examples.nc`` of an emulator.
    """
    if not {"charge", "hit"} <= set(examples.data_vars) or examples.sizes["x"] != SIZE:
        return []
    layout = default_layout()
    shown = layout.without(np.flatnonzero(pixels()[:, 0] < 0)[1:])
    events = {str(kind): _events(examples.sel(kind=kind), shown) for kind in examples["kind"].values}
    if not all(events.values()):
        return []
    timed = "time" in examples
    draw = partial(events_side_by_side, events=events, position=shown.position, time=timed)
    hits = {kind: ", ".join(str(int(event.hit.sum())) for event in some) for kind, some in events.items()}
    alt = "; ".join(f"{kind} events with {told} hits" for kind, told in hits.items())
    caption = (
        "Events in the rebuilt positions of the PMTs, north up, 200 m across; grey ones were not hit. "
        "Charges have a logarithmic scale; times are after the plane front."
    )
    height = 0.85 + 0.7 * timed
    return [Plate("events", draw, f"Two rows of {alt}.", caption, size=(PAGE, height))]


def _events(maps: xr.Dataset, layout: Layout) -> list[Event]:
    """Return some events, spread over the points where there are several."""
    points, columns = maps.sizes["point"], maps.sizes["column"]
    chosen = [(n * points // COLUMNS, n % columns) for n in range(COLUMNS)]
    column, row = pixels()[layout.grid_id].T
    found = []
    for point, which in chosen:
        one = maps.isel(point=point, column=which)
        charge, hit = one["charge"].values[row, column], one["hit"].values[row, column] > 0.5
        if np.isfinite(charge).all():
            time = one["time"].values[row, column] if "time" in one else np.zeros(len(row))
            found.append(Event(10.0**charge, time, hit))
    return found
