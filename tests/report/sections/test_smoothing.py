"""What smoothed maps are taken for: means by true class, and no plate where there are no classes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from skyloom.report.sections.smoothing import mean_probabilities, taken_for

WIDTHS = [0.0, 4.0]
# Of four maps, two of each class, at two widths: MHD turns into CR as it is smoothed, CR stays.
MHD = np.array([[0.9, 0.7, 0.2, 0.0], [0.3, 0.1, 0.2, 0.2]])
TRUTH = np.array([1.0, 1.0, 0.0, 0.0])


def found():
    return [
        xr.Dataset(
            {"mean": (("width", "sample"), given), "truth": ("sample", truth)},
            coords={"width": ("width", WIDTHS, {"units": "pixel"})},
            attrs={"target": name, "score": "probability"},
        )
        for name, given, truth in (("MHD", MHD, TRUTH), ("CR", 1 - MHD, 1 - TRUTH))
    ]


def test_means_are_of_the_maps_of_each_true_class():
    # (0.9 + 0.7) / 2, (0.3 + 0.1) / 2; (0.2 + 0.0) / 2, (0.2 + 0.2) / 2; the other class has the rest.
    wanted = np.array([[0.8, 0.2], [0.1, 0.2]])
    np.testing.assert_allclose(mean_probabilities(found()), np.stack([wanted, 1 - wanted], axis=-1))


def test_the_plate_has_a_panel_for_each_class_and_says_where_the_lines_end():
    (plate,) = taken_for(found())
    figure = Figure(layout="constrained")
    plate.draw(figure)
    panels = figure.axes
    assert [ax.get_title() for ax in panels] == ["MHD", "CR"]
    np.testing.assert_allclose(panels[0].lines[1].get_ydata(), [0.2, 0.8])
    assert "MHD at 4 px: MHD 0.20, CR 0.80" in plate.alt


@pytest.mark.parametrize("score", ["r2", "accuracy"])
def test_there_is_none_without_probabilities(score):
    assert taken_for([data.assign_attrs(score=score) for data in found()]) == []
    assert taken_for(found()[:1]) == []
