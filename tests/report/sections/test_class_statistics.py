"""Statistics by class: the ratio to the first class, and the section that shows it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from skyloom.evaluate.statistics import compute
from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.classes import classes_compared
from skyloom.report.figures.statistics import Band
from skyloom.report.sections.class_statistics import class_statistics
from skyloom.runs import RunFolder


@pytest.fixture
def saved() -> xr.Dataset:
    """White noise of two classes, the second of twice the amplitude: four times the power at every k."""
    rng = np.random.default_rng(0)
    codes = np.repeat([1.0, 2.0], 40)
    maps = rng.standard_normal((80, 32, 32)) * codes[:, None, None]
    table = xr.Dataset(coords={"sample": np.arange(80), "group": ("sample", np.repeat(list("abcd"), 20))})
    names = np.where(codes == 1, "MHD", "CR_Advect")
    return compute(
        [{"name": "power_spectrum", "bins": 8}], {"density": maps}, table, names, box=1.0, periodic=True,
        units={"density": ""}, box_unit="",
    )  # fmt: skip


def test_the_section_tells_classes_apart_by_what_they_are_made_of(saved, tmp_path):
    folder = RunFolder.create(tmp_path / "a", {"name": "a"})
    folder.write_json("evaluate/test/metrics.json", {"parameters": {}})
    saved.to_netcdf(folder.path_of("evaluate/test/class_statistics.nc"), engine="h5netcdf")
    section = class_statistics(Artefacts(folder.path))
    assert section is not None and "MHD (2 simulations)" in section.lead
    (plate,) = section.blocks[0].plates
    figure = Figure()
    plate.draw(figure)
    curves, ratios = figure.axes
    line, one = ratios.lines
    assert line.get_ydata()[0] == 1.0
    # 80 maps of a kind, more than 30 modes a ring: a ratio of 4 to a few per cent.
    assert one.get_ydata() == pytest.approx(4.0, rel=0.15)
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["MHD", "CR Advect"]


def test_there_is_no_section_without_classes(tmp_path):
    folder = RunFolder.create(tmp_path / "a", {"name": "a"})
    assert class_statistics(Artefacts(folder.path)) is None


def test_bins_that_hold_nothing_have_no_ratio():
    bands = {"a": Band(np.array([0.0, 2.0]), np.zeros(2)), "b": Band(np.array([1.0, 1.0]), np.zeros(2))}
    _, ratios = classes_compared(
        np.arange(2.0), bands, tuple(Figure().subplots(1, 2)), x_label="k", y_label="P"
    )
    np.testing.assert_array_equal(ratios.lines[1].get_ydata(), [np.nan, 0.5])
