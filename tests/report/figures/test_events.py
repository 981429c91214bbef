"""Figures of events: what is drawn is what was given."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from skyloom.instruments.hawc import default_layout, pixels
from skyloom.report.figures.events import Event, array_layout, event_display, events_side_by_side
from skyloom.report.sections.detector import event_plates

PLACE = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 40.0], [70.0, 70.0]])
HIT = np.array([True, False, True, True])


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_the_layout_shows_every_channel_and_the_dead_apart(ax):
    dead = np.isin(np.arange(1200), [5, 700])
    array_layout(default_layout().position, ax, dead=dead)
    working, broken = ax.collections
    assert len(working.get_offsets()) == 1198
    assert np.allclose(broken.get_offsets(), default_layout().position[[5, 700], :2])
    assert ax.get_aspect() == 1.0 and ax.get_ylabel() == "north [m]"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["1198 channels", "dead"]


def test_charge_is_logarithmic_and_the_brightest_lies_on_top(ax):
    charge = np.array([50.0, 1e6, 0.5, 5.0])
    dots = event_display(charge, HIT, PLACE, ax, core=(500.0, 500.0))
    assert isinstance(dots.norm, LogNorm) and dots.get_clim() == (
        0.5,
        50.0,
    )  # what was not hit does not count
    assert np.allclose(dots.get_array(), [0.5, 5.0, 50.0])
    assert np.allclose(dots.get_offsets(), PLACE[[2, 3, 0]])
    assert (np.diff(dots.get_sizes()) > 0).all()
    assert np.allclose(ax.collections[0].get_offsets(), PLACE[[1]])
    assert ax.get_xlim()[1] < 200  # a core far away does not squeeze the array
    assert ax.figure.axes[1].get_ylabel() == "charge [PE]"


def test_time_is_linear_and_the_first_lies_on_top(ax):
    dots = event_display(
        np.array([3.0, -900.0, 1.0, 2.0]), HIT, PLACE, ax, quantity="time", limits=(0.0, 4.0)
    )
    assert dots.get_clim() == (0.0, 4.0) and np.allclose(dots.get_array(), [3.0, 2.0, 1.0])
    assert ax.figure.axes[1].get_ylabel() == "time [ns]"


@pytest.mark.parametrize(("quantity", "limits"), [("charge", (0.1, 1.0)), ("time", (0.0, 1.0))])
def test_an_event_without_hits_is_drawn(ax, quantity, limits):
    dots = event_display(np.zeros(4), np.zeros(4, bool), PLACE, ax, quantity=quantity)
    assert dots.get_clim() == limits and len(dots.get_offsets()) == 0


def test_events_side_by_side_share_the_scales_of_the_real_ones():
    real = Event(np.array([1.0, 10.0, 9.0, 100.0]), np.array([0.0, 10.0, 5.0, 5.0]), HIT)
    drawn = Event(1e3 * real.charge, real.time - 50, HIT)
    figure = events_side_by_side(Figure(), {"real": [real, real], "generated": [drawn, drawn]}, PLACE)
    panels = [ax for ax in figure.axes if ax.get_aspect() == 1.0 and len(ax.collections) == 2]
    assert len(panels) == 8 and {ax.get_title() for ax in panels} == {"real", "generated", ""}
    assert {ax.collections[1].get_clim() for ax in panels[:4]} == {(1.0, 100.0)}
    assert len({ax.collections[1].get_clim() for ax in panels[4:]}) == 1
    assert panels[2].collections[1].get_array().tolist() == [1e3, 9e3, 1e5]


def test_maps_of_events_are_drawn_where_their_pmts_stand():
    shape = 2, 1, 4, 40, 40
    charge, hit = np.full(shape, -1.0), np.zeros(shape)
    column, row = pixels()[[100, 1200]].T
    charge[..., row, column], hit[..., row, column] = [0.0, 2.0], 1
    dims = "kind", "point", "column", "y", "x"
    maps = {"charge": (dims, charge), "hit": (dims, hit), "time": (dims, 0 * hit)}
    examples = xr.Dataset(maps, coords={"kind": ["real", "generated"], "point": ["no condition"]})
    (plate,) = event_plates(examples)
    figure = Figure()
    plate.draw(figure)
    dots = figure.axes[0].collections[1]
    assert np.allclose(dots.get_offsets(), default_layout().position[[99, 1199], :2])
    assert dots.get_array().tolist() == [1.0, 100.0]
    assert "real events with 2, 2, 2, 2 hits" in plate.alt
    assert event_plates(examples.isel(x=slice(20))) == []
