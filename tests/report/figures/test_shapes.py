"""Figures of translated objects: what is drawn is what was told."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from skyloom.report.figures.shapes import profiles, totals, wheel


def test_faint_rings_are_left_out_and_residuals_have_a_band():
    r = np.arange(1.0, 6)
    truth = 10.0 ** -np.arange(0.0, 10, 2)
    residual = np.stack([np.full(5, -0.1), np.full(5, 0.2), np.full(5, 0.4)])
    top, bottom = profiles(
        r,
        {"truth": truth, "network": 1.2 * truth},
        {"network": residual},
        Figure(),
        x_label="r",
        y_label="HI",
    )
    drawn = top.lines[0].get_ydata()
    assert np.isfinite(drawn[:2]).all()
    assert np.isnan(drawn[3:]).all()  # fainter than a ten-thousandth
    assert bottom.lines[-1].get_ydata().tolist() == [0.2] * 5
    band = bottom.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((-0.1, 0.4))


def test_totals_that_are_not_positive_are_not_drawn():
    truth = np.array([1e8, 1e9, 1e10])
    ax = totals(truth, {"network": np.array([-1.0, 1e9, 2e10])}, Figure().add_subplot(), label="HI [Msun]")
    drawn = ax.lines[-1].get_ydata()
    assert np.isnan(drawn[0])
    assert drawn[1:].tolist() == [1e9, 2e10]
    # log10 of ratios 1 and 2: mean and sd 0.15.
    assert ax.get_legend().get_texts()[0].get_text() == "network: 0.15 dex about +0.15"


def test_a_wheel_has_the_first_domain_in_the_middle_and_no_two_overlap():
    rng = np.random.default_rng(0)
    fields = {f"f{i}": rng.random((8, 8)) + 0.1 for i in range(8)} | {"v": rng.normal(size=(8, 8))}
    figure = Figure(figsize=(7.2, 5.76), layout="constrained")
    axes = wheel(fields, figure)
    figure.canvas.draw()
    boxes = [ax.get_window_extent().transformed(figure.transFigure.inverted()) for ax in axes]
    assert (boxes[0].x0 + boxes[0].x1) / 2 == pytest.approx(0.5, abs=0.03)  # titles and edges take their part
    for i, one in enumerate(boxes):
        assert one.x0 >= 0
        assert one.x1 <= 1
        assert one.y0 >= 0
        assert one.y1 <= 1
        for other in boxes[i + 1 :]:
            assert not one.overlaps(other)
    assert axes[-1].images[0].get_clim()[0] == -axes[-1].images[0].get_clim()[1]  # a signed field about 0
