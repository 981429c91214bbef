"""Explanations on the page: what is said of each, contours, columns of classes, bands."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.attribution import attribution_by_band, contoured_map, scores_by_band
from skyloom.report.sections.explanations import explanations
from skyloom.report.sections.readings import reading
from skyloom.runs import RunFolder


def explained(name: str, target: str = "x_HI", *, data: xr.Dataset | None = None, **facts: Any) -> xr.Dataset:
    attrs = {"explanation": name, "target": target, "summary": json.dumps(facts)}
    return (xr.Dataset() if data is None else data).assign_attrs(attrs)


@pytest.mark.parametrize("name", [entry.name for entry in entry_points(group="skyloom.explanation")])
def test_every_explanation_of_ours_says_how_to_read_it(name: str) -> None:
    assert len(reading(explained(name)).cells[2]) > 40


@pytest.mark.parametrize(
    ("name", "facts", "said"),
    [
        ("flatten_spectrum", {"own": 0.9, "flat": -0.1, "score": "r2"}, "R² 0.900 becomes −0.100"),
        ("equalise", {"own": 0.9, "changed": None, "score": "probability"}, "probability 0.900 becomes n/a"),
        ("smooth", {"half_lost_at": 2.0}, "half of the score is lost at 2 pixels"),
        ("smooth", {"half_lost_at": None}, "half of the score is never lost"),
        ("bands", {"most_needed": [2.0, 4.0]}, "without 2 to 4 waves the score falls most"),
        ("band_attribution", {"largest": [0.0, 2.0], "gap_relative": 0.01},
         "most from 0 to 2 waves; completeness gap 1.0 %"),
        ("grad_cam", {"layer": "net.a", "outer_tenth": 0.5, "outer_tenth_even": 0.36},
         "50.0 % of it within a tenth of the side from an edge (36.0 % if even); layer net.a"),
        ("randomised_labels", {"median": 0.1, "permuted": 0.02, "chance": 0.0, "score": "r2"},
         "median rank correlation 0.100; R² 0.020 after permuted labels, chance 0.000"),
        ("of_a_plugin", {}, ""),
    ],
)  # fmt: skip
def test_what_an_explanation_found_in_one_line(name: str, facts: dict[str, Any], said: str) -> None:
    assert str(reading(explained(name, **facts)).cells[1]) == said


def test_classes_stand_in_columns_with_their_own_attribution(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a", "explain": [{"name": "saliency"}]})
    classes = np.array(["Advect", "MHD", "MHD", "Advect", "MHD"])
    rng, dims = np.random.default_rng(0), ("sample", "channel", "y", "x")
    maps = rng.standard_normal((5, 1, 32, 32))
    for place, name in enumerate(("Advect", "MHD")):
        attribution = np.zeros((5, 1, 32, 32))
        attribution[:, 0, 8 + 12 * place, 8] = 1.0  # each class looks at its own place
        data = xr.Dataset(
            {"attribution": (dims, attribution), "maps": (dims, maps), "class": ("sample", classes)}
        )
        path = run.path_of(f"explain/saliency-class-{place}.nc")
        path.parent.mkdir(exist_ok=True)
        explained("saliency", name, data=data).to_netcdf(path, engine="h5netcdf")
    plate = explanations(Artefacts(run.path)).blocks[0].plates[0]
    assert plate.name == "saliency-classes"
    figure = Figure()
    plate.draw(figure)
    axes = np.array(figure.axes).reshape(4, 2)
    assert [ax.get_title() for ax in axes[0]] == ["Advect", "MHD"]
    for column, rows in enumerate(([0, 3], [1, 2, 4])):
        for ax, row in zip(axes[:, column], rows, strict=False):
            np.testing.assert_allclose(ax.images[0].get_array(), maps[row, 0])
            middle = ax.collections[0].get_paths()[0].vertices.mean(axis=0)
            np.testing.assert_allclose(middle, [8, 8 + 12 * column], atol=0.3)
        assert not axes[-1, 0].axison  # there are no four examples


def test_the_contour_encloses_what_reaches_the_level() -> None:
    # A point smoothed by one pixel (of 32) falls to 60 % at (-2 ln 0.6)^1/2 = 1.01 pixels.
    attribution = np.zeros((32, 32))
    attribution[16, 10] = 3.0
    ax = Figure().add_subplot()
    contoured_map(np.zeros((32, 32)), attribution, ax)
    ring = ax.collections[0].get_paths()[0].vertices - [10, 16]
    np.testing.assert_allclose(np.hypot(*ring.T), 1.01, atol=0.1)  # straight between pixels
    assert not contoured_map(np.zeros((8, 8)), -np.ones((8, 8)), Figure().add_subplot()).axes.collections


def test_shares_of_bands_are_those_of_the_mean_sizes() -> None:
    ax = attribution_by_band(["a", "b"], np.array([[1.0, -1.0], [1.0, 5.0]]), Figure().add_subplot())
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.25, 0.75])


def test_scores_below_the_axis_are_marked() -> None:
    removed, kept = np.array([0.9, 0.5]), np.array([-3.0, 0.2])
    bounds = ((removed - 0.1, removed), (kept - 0.1, kept))
    ax = scores_by_band(["a", "b"], (removed, kept), bounds, Figure().add_subplot(), own=0.95, y_label="R")
    marks = {
        line.get_marker(): line.get_ydata() for line in ax.lines if line.get_marker() not in ("None", "")
    }
    np.testing.assert_allclose(marks["s"], [0.2])
    np.testing.assert_allclose(marks["v"], [-1.0])
