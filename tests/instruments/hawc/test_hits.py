"""Hits as maps: a plane front by hand, and what cannot be shown."""

import numpy as np
import pytest

from skyloom.errors import ShapeError
from skyloom.instruments.hawc import (
    Hits,
    Maps,
    clean,
    default_layout,
    from_maps,
    front_times,
    pixels,
    to_channels,
    to_maps,
)

LAYOUT = default_layout()
C = 0.299792458


def plane(zenith, azimuth, t0, ids):
    """Return hits of a plane front that meets the origin at t0, by the definition."""
    u = np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])
    time = t0 - LAYOUT.position[ids - 1] @ u / C
    return Hits(np.zeros(len(ids), int), ids, np.arange(1.0, len(ids) + 1), time)


def test_all_hits_of_a_plane_front_come_with_it():
    ids = np.arange(9, 1201, 7)
    hits = plane(0.6, -2.0, 321.0, ids)
    front = np.array([0.6]), np.array([-2.0])
    t0 = front_times(hits, *front, LAYOUT)
    assert np.isclose(t0[0], 321.0)
    maps = to_maps(hits, *front, t0, LAYOUT)
    assert np.abs(maps.time).max() < 1e-4
    column, row = pixels()[ids].T
    assert np.allclose(maps.charge[0, row, column], np.log10(hits.charge))
    assert maps.hit.sum() == len(ids)
    back = from_maps(maps, *front, t0, LAYOUT)
    assert np.array_equal(back.grid_id, ids) and np.allclose(back.charge, hits.charge, rtol=1e-6)
    assert np.allclose(back.time, hits.time, atol=1e-4)


def test_the_front_time_is_the_median_over_the_hits_of_each_event():
    ids = np.array([9, 10, 11, 12, 20, 30])
    hits = plane(0.0, 0.0, 0.0, ids)
    late = np.array([5, 1, 3, 0, 10, 20])
    hits = hits._replace(event=np.array([0, 0, 0, 2, 2, 2]), time=hits.time + late)
    t0 = front_times(hits, np.zeros(3), np.zeros(3), LAYOUT)
    assert np.allclose(t0, [3, np.nan, 10], equal_nan=True)
    two = Hits(*(column[3:5] for column in hits))
    assert np.isclose(
        front_times(two, np.zeros(3), np.zeros(3), LAYOUT)[2], 5.0
    )  # the mean of the middle two


def test_what_cannot_be_shown_is_counted():
    columns = {
        "event": np.array([0, 0, 0, 0, 1, 1, 1]),
        "grid_id": np.array([9, 9, 3, 5000, 9, 10, 11]),
        "charge": np.array([1.0, 2.0, 1.0, 1.0, np.nan, -1.0, 4.0]),
        "time": np.array([7.0, 8.0, 0.0, 0.0, 0.0, 0.0, 9.0]),
    }
    kept, lost = clean(Hits(**columns), LAYOUT)
    assert kept.time.tolist() == [8.0, 9.0]  # the last hit of a PMT counts
    assert lost == {"without a PMT": 2, "without charge or time": 2, "repeated": 1}
    kept, lost = clean(Hits(**columns), LAYOUT.without([11]), mapped=False)
    assert kept.grid_id.tolist() == [9, 3] and lost["without a PMT"] == 2


def test_channels_hold_what_hits_tell():
    hits = Hits(np.array([1, 0]), np.array([1200, 2]), np.array([5.0, 6.0]), np.array([-1.0, 2.0]))
    charge, time, hit = to_channels(hits, 3, LAYOUT)
    assert hit.sum() == 2 and hit[1, 1199] and hit[0, 1]
    assert charge.sum() == 11.0 and time[1, 1199] == -1.0


def test_other_maps_are_refused():
    with pytest.raises(ShapeError, match="the map time has shape"):
        maps = Maps(np.zeros((1, 40, 40)), np.zeros((1, 20, 20)), np.zeros((1, 40, 40)))
        from_maps(maps, np.zeros(1), np.zeros(1), np.zeros(1), LAYOUT)
