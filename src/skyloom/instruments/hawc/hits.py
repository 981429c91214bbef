r"""Hits of HAWC's PMTs, their maps of 40 × 40 pixels, and back.

A map of charge holds :math:`\log_{10}` of the charge in PE; a map of time holds how long after the plane
front of the shower the hit came,

.. math:: \Delta t_i = t_i + \hat u \cdot \vec x_i / c - t_0,

with the direction :math:`\hat u` that the shower came from, the place :math:`\vec x_i` of the PMT, and as
:math:`t_0` the median over the hits of an event. Whether there is a hit is a map of its own, and which pixels
show a PMT that works another, so no value stands for "nothing". With the direction and :math:`t_0`, all of it
can be turned back to PE and ns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError
from skyloom.instruments.hawc.grid import IDS, SIZE, grid_ids, pixels
from skyloom.instruments.hawc.layout import Layout

Array = NDArray[Any]

C = 0.299792458
"""Speed of light [m/ns]."""
FLOOR = -1.0
"""What the map of charge holds where there is no hit [dex(PE)]: 0.1 PE, the least of published maps."""


class Hits(NamedTuple):
    """Hits of ``n`` events, one after the other."""

    event: Array
    """Event of each hit, from 0, ascending, shape ``(h,)``."""
    grid_id: Array
    """Grid id of its PMT, shape ``(h,)``."""
    charge: Array
    """Charge [PE], shape ``(h,)``."""
    time: Array
    """Time [ns], shape ``(h,)``."""


class Maps(NamedTuple):
    """Maps of ``n`` events, float32; axes row and column."""

    charge: Array
    """log10 of the charge [dex(PE)], shape ``(n, 40, 40)``; ``FLOOR`` where there is no hit."""
    time: Array
    """Time after the front [ns], shape ``(n, 40, 40)``; 0 where there is no hit."""
    hit: Array
    """1 where there is a hit, else 0, shape ``(n, 40, 40)``."""


def clean(hits: Hits, layout: Layout, *, mapped: bool = True) -> tuple[Hits, dict[str, int]]:
    """Return the hits that a map can show, and how many were left out, by reason.

    Left out are hits of PMTs that the map or the layout does not have (or that are dead), hits whose charge
    is not positive or whose time is no number, and of several hits of one PMT all but the last.

    Args:
        hits: The hits.
        layout: Where the PMTs stand, without those that are dead.
        mapped: Whether a PMT must have a pixel.

    Example:
        >>> from skyloom.instruments.hawc import default_layout
        >>> columns = [0, 0, 0, 0], [9, 9, 5, 10], [1.0, 2.0, 1.0, 0.0], [0.0, 3.0, 0.0, 0.0]
        >>> kept, lost = clean(Hits(*map(np.array, columns)), default_layout())
        >>> kept.charge.tolist(), lost
        ([2.0], {'without a PMT': 1, 'without charge or time': 1, 'repeated': 1})
    """
    known = np.zeros(IDS + 1, dtype=bool)
    known[layout.grid_id] = True
    if mapped:
        known &= pixels()[:, 0] >= 0
    ids = hits.grid_id.astype(np.int64)
    shown = (ids >= 0) & (ids <= IDS)
    shown[shown] = known[ids[shown]]
    with np.errstate(invalid="ignore"):
        valued = (hits.charge > 0) & np.isfinite(hits.charge) & np.isfinite(hits.time)
    kept = np.flatnonzero(shown & valued)
    key = hits.event[kept].astype(np.int64) * (IDS + 1) + ids[kept]
    _, last = np.unique(key[::-1], return_index=True)
    one = kept[np.sort(len(key) - 1 - last)]
    lost = {
        "without a PMT": int((~shown).sum()),
        "without charge or time": int((shown & ~valued).sum()),
        "repeated": len(kept) - len(one),
    }
    return Hits(*(np.asarray(column)[one] for column in hits)), lost


def delay(grid_id: Array, zenith: Array, azimuth: Array, layout: Layout) -> Array:
    r"""Return when a plane front meets PMTs, :math:`-\hat u \cdot \vec x / c` [ns].

    Args:
        grid_id: Grid ids, shape ``(h,)``.
        zenith: Zenith angle that the front comes from [rad], shape ``(h,)``.
        azimuth: Its azimuth from x towards y [rad], shape ``(h,)``.
        layout: Where the PMTs stand.

    Example:
        >>> from skyloom.instruments.hawc import default_layout
        >>> upright = delay(np.array([1, 2]), np.zeros(2), np.zeros(2), default_layout())
        >>> bool(np.allclose(upright, -0.5 / C))
        True
    """
    x, y, z = layout.table()[grid_id].T
    sine = np.sin(zenith)
    return np.asarray(-(sine * np.cos(azimuth) * x + sine * np.sin(azimuth) * y + np.cos(zenith) * z) / C)


def front_times(hits: Hits, zenith: Array, azimuth: Array, layout: Layout) -> Array:
    """Return the median over the hits of an event of the time after the plane front through the origin [ns].

    Args:
        hits: Hits that ``clean`` kept.
        zenith: Zenith angle of each event [rad], shape ``(n,)``.
        azimuth: Azimuth of each event [rad], shape ``(n,)``.
        layout: Where the PMTs stand.

    Returns:
        Times, shape ``(n,)``; NaN where there is no hit.
    """
    event = hits.event
    late = hits.time - delay(hits.grid_id, zenith[event], azimuth[event], layout)
    late = late[np.lexsort((late, event))]
    number = np.bincount(event, minlength=len(zenith))
    first = np.cumsum(number) - number
    some = number > 0
    middle = np.full(len(zenith), np.nan)
    lower, upper = first + (number - 1) // 2, first + number // 2
    middle[some] = 0.5 * (late[lower[some]] + late[upper[some]])
    return middle


def to_maps(hits: Hits, zenith: Array, azimuth: Array, front_time: Array, layout: Layout) -> Maps:
    """Draw hits as maps.

    Args:
        hits: Hits of ``n`` events that ``clean`` kept.
        zenith: Zenith angle of each event [rad], shape ``(n,)``.
        azimuth: Azimuth of each event [rad], shape ``(n,)``.
        front_time: When the front meets the origin [ns], shape ``(n,)``.
        layout: Where the PMTs stand.

    Returns:
        The maps.
    """
    event, ids = hits.event, hits.grid_id.astype(np.int64)
    column, row = pixels()[ids].T
    shape = (len(zenith), SIZE, SIZE)
    maps = Maps(np.full(shape, FLOOR, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    late = hits.time - delay(ids, zenith[event], azimuth[event], layout) - front_time[event]
    maps.charge[event, row, column] = np.log10(hits.charge)
    maps.time[event, row, column] = late
    maps.hit[event, row, column] = 1
    return maps


def from_maps(maps: Maps, zenith: Array, azimuth: Array, front_time: Array, layout: Layout) -> Hits:
    """Turn maps back to hits in PE and ns, by event and grid id.

    Args:
        maps: The maps; a pixel is hit where ``hit`` is above one half and the layout has its PMT.
        zenith: Zenith angle of each event [rad], shape ``(n,)``.
        azimuth: Azimuth of each event [rad], shape ``(n,)``.
        front_time: When the front meets the origin [ns], shape ``(n,)``.
        layout: Where the PMTs stand.

    Raises:
        ShapeError: The maps are not 40 × 40.

    Example:
        >>> from skyloom.instruments.hawc import default_layout
        >>> hits = Hits(*map(np.array, ([0, 0], [9, 1200], [0.1, 20.0], [5.0, 7.5])))
        >>> front = np.array([0.3]), np.array([-2.0]), np.array([4.0]), default_layout()
        >>> back = from_maps(to_maps(hits, *front), *front)
        >>> back.grid_id.tolist(), back.charge.round(5).tolist(), back.time.round(4).tolist()
        ([9, 1200], [0.1, 20.0], [5.0, 7.5])
    """
    shape = (len(zenith), SIZE, SIZE)
    for name, values in zip(maps._fields, maps, strict=True):
        if np.shape(values) != shape:
            raise ShapeError(f"the map {name} has shape {np.shape(values)}, allowed: {shape}")
    working = np.isin(grid_ids(), layout.grid_id)
    event, row, column = np.nonzero((maps.hit > 0.5) & working)
    ids = grid_ids()[row, column]
    order = np.lexsort((ids, event))
    event, row, column, ids = event[order], row[order], column[order], ids[order]
    charge = 10.0 ** maps.charge[event, row, column].astype(np.float64)
    late = maps.time[event, row, column].astype(np.float64)
    time = late + delay(ids, zenith[event], azimuth[event], layout) + front_time[event]
    return Hits(event, ids, charge, time)


def to_channels(hits: Hits, events: int, layout: Layout) -> tuple[Array, Array, Array]:
    """Spread hits over the channels of a layout.

    Args:
        hits: Hits that ``clean`` kept.
        events: How many events.
        layout: Where the PMTs stand; hits of others are left out.

    Returns:
        Charges [PE], times [ns] and whether there is a hit, shape ``(events, len(layout))`` each; 0 where
        there is none.
    """
    place = np.full(IDS + 1, -1)
    place[layout.grid_id] = np.arange(len(layout))
    channel = place[hits.grid_id.astype(np.int64)]
    known = channel >= 0
    at = hits.event[known], channel[known]
    charge, time = (np.zeros((events, len(layout)), dtype=np.float32) for _ in range(2))
    hit = np.zeros((events, len(layout)), dtype=bool)
    charge[at], time[at], hit[at] = hits.charge[known], hits.time[known], True
    return charge, time, hit
