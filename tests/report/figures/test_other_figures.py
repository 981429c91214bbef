"""Training curves, maps, statistics of the sides and interventions."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from skyloom.report.figures.interventions import (
    Rescored,
    own_and_changed,
    score_against_width,
    twin_correlations,
)
from skyloom.report.figures.maps import attribution_map, field_map, shared_limits
from skyloom.report.figures.statistics import Band, sides_compared
from skyloom.report.figures.training import learning_curve

X = np.arange(1.0, 31.0)


def test_a_score_over_decades_is_drawn_on_a_logarithmic_axis() -> None:
    steep = learning_curve({"train": (X, 10.0 ** (-X / 10))}, Figure().add_subplot(), score="loss")
    flat = learning_curve({"train": (X, 1.0 + X)}, Figure().add_subplot(), score="loss")
    signed = learning_curve({"train": (X, X - 15.0)}, Figure().add_subplot(), score="loss")
    assert [ax.get_yscale() for ax in (steep, flat, signed)] == ["log", "linear", "linear"]


def test_the_epoch_chosen_is_marked() -> None:
    curves = {"train": (X, X), "validation": (X, 2 * X)}
    ax = learning_curve(curves, Figure().add_subplot(), score="loss", chosen=14)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "train",
        "validation",
        "epoch chosen",
    ]
    assert ax.lines[-1].get_xdata() == [14, 14]


def test_signed_maps_have_a_centred_scale() -> None:
    values = np.array([[-1.0, 4.0], [0.0, 2.0]])
    assert attribution_map(values, Figure().add_subplot()).get_clim() == (-4.0, 4.0)
    assert field_map(values, Figure().add_subplot()).get_clim() == (-1.0, 4.0)
    np.testing.assert_array_equal(field_map(values, Figure().add_subplot()).get_array(), values)


def test_a_map_of_zeros_can_be_drawn() -> None:
    assert attribution_map(np.zeros((2, 2)), Figure().add_subplot()).get_clim() == (-1.0, 1.0)
    assert shared_limits(np.full((3, 3), 7.0)) == (7.0, 8.0)


def test_bands_reach_one_spread_up_and_down() -> None:
    mean, spread = X**-1.0, 0.1 * X**-1.0
    bands = {"train": Band(mean, spread), "test": Band(2 * mean, spread)}
    ax = sides_compared(X, bands, Figure().add_subplot(), x_label="k", y_label="P", log=(True, True))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 2 * mean)
    edge = ax.collections[0].get_paths()[0].vertices
    assert edge[:, 1].max() == pytest.approx(1.1)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_a_band_below_zero_ends_at_the_edge_of_a_logarithmic_axis() -> None:
    bands = {"train": Band(X**-2.0, np.ones(30)), "test": Band(np.zeros(30), np.zeros(30))}
    ax = sides_compared(X, bands, Figure().add_subplot(), x_label="k", y_label="P", log=(False, True))
    assert ax.collections[0].get_paths()[0].vertices[:, 1].min() == pytest.approx(ax.get_ylim()[0])


def test_smoothing_shows_score_and_squared_correlation_for_each_target() -> None:
    score = np.array([0.9, 0.2, -8.0])
    curve = Rescored(score, score - 0.1, score + 0.1, np.array([0.9, 0.7, 0.6]))
    labels = {"x_label": "width [pixel]", "y_label": "$R^2$"}
    ax = score_against_width(
        np.array([0.0, 2.0, 8.0]), {"a": curve, "b": curve}, Figure().add_subplot(), **labels
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "squared correlation"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), score)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), [0.9, 0.7, 0.6])
    assert ax.get_ylim()[0] == pytest.approx(-1.1)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "2", "8"]


def test_a_score_that_falls_off_is_written_beside_its_arrow() -> None:
    pair = np.array([0.95, -6.0])
    row = Rescored(pair, np.full(2, np.nan), np.full(2, np.nan), np.array([0.95, 0.4]))
    ax = own_and_changed(["a"], [row], Figure().add_subplot(), names=("own", "flat"), x_label="$R^2$")
    assert [text.get_text() for text in ax.texts] == ["$0.95$", "$-6.00$"]
    arrows = [line for line in ax.lines if line.get_marker() == "<"]
    assert [line.get_xdata()[0] for line in arrows] == [-1.0]


def test_twins_are_counted_and_undefined_ones_left_out() -> None:
    values = np.array([0.11, 0.12, 0.9, np.nan])
    counts = twin_correlations(values, Figure().add_subplot(), limit=0.5).patches[-1].get_data().values
    assert counts.sum() == 3
    assert counts[int((0.11 + 1) / 0.05)] == 2
