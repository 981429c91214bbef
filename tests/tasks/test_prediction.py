"""Predictions: intervals against closed forms, labels kept, wrong outputs refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from skyloom.errors import ShapeError, UsageError
from skyloom.tasks.prediction import central_interval, prediction


@pytest.fixture
def table() -> xr.Dataset:
    coords = {
        "sample": ["a", "b", "c"],
        "group": ("sample", ["g", "g", "h"]),
        "redshift": ("sample", [7.0, 8.0, 7.0]),
        "x_HI": ("sample", [0.1, 0.5, 0.9], {"role": "label", "units": ""}),
    }
    return xr.Dataset(coords=coords)


def test_interval_of_a_normal_is_its_quantiles():
    mean, sd = np.array([[1.0, -2.0]]), np.array([[0.5, 3.0]])
    lower, upper = central_interval(mean, sd, None, [0.5, 0.9])
    for column, (m, s) in enumerate([(1.0, 0.5), (-2.0, 3.0)]):
        assert lower[0, column] == pytest.approx([norm.ppf(0.25, m, s), norm.ppf(0.05, m, s)])
        assert upper[0, column] == pytest.approx([norm.ppf(0.75, m, s), norm.ppf(0.95, m, s)])


def test_interval_of_samples_is_preferred_and_keeps_their_skewness():
    samples = np.arange(101.0)[None, :, None] ** 2
    lower, upper = central_interval(np.zeros((1, 1)), np.ones((1, 1)), samples, [0.9])
    assert (lower.item(), upper.item()) == pytest.approx((5.0**2, 95.0**2))


def test_no_interval_without_an_error():
    assert central_interval(np.zeros((1, 1)), None, None, [0.9]) is None


def test_prediction_carries_labels_and_truth(table):
    outputs = {"mean": np.full((3, 1), 0.4), "sd": np.full((3, 1), 0.1), "samples": np.full((3, 7, 1), 0.4)}
    p = prediction(outputs, table, units={"x_HI": ""}, scores=["r2"], side="test", leaky=True)
    assert p.truth.values.ravel().tolist() == [0.1, 0.5, 0.9]
    assert p.group.values.tolist() == ["g", "g", "h"] and p.redshift.values.tolist() == [7.0, 8.0, 7.0]
    assert p.samples.dims == ("sample", "draw", "parameter") and p.sizes["draw"] == 7
    assert p.attrs == {"side": "test", "leaky": 1, "scores": "r2", "intervals": "raw"}


def test_prediction_survives_a_netcdf_file(table, tmp_path):
    p = prediction({"mean": np.ones((3, 1)), "sd": np.ones((3, 1))}, table, units={"x_HI": ""}, scores=["r2"])
    p.to_netcdf(tmp_path / "p.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "p.nc", engine="h5netcdf") as again:
        xr.testing.assert_identical(again.load(), p)


def test_unknown_truth_is_nan(table):
    p = prediction({"mean": np.ones((3, 2))}, table, units={"x_HI": "", "zeta": ""})
    assert np.isfinite(p.truth.sel(parameter="x_HI")).all() and np.isnan(p.truth.sel(parameter="zeta")).all()
    assert p.attrs["intervals"] == "none" and "lower" not in p and "level" not in p.coords


@pytest.mark.parametrize(
    ("outputs", "error", "text"),
    [
        ({"mean": np.ones((2, 1))}, ShapeError, r"output 'mean' has shape \(2, 1\)"),
        ({"mean": np.ones((3, 1)), "samples": np.ones((3, 1))}, ShapeError, r"\(3, draws, 1\)"),
        ({"mean": np.ones((3, 1)), "std": np.ones((3, 1))}, UsageError, "std"),
        ({}, UsageError, "nothing"),
    ],
)
def test_wrong_outputs_are_refused(table, outputs, error, text):
    with pytest.raises(error, match=text):
        prediction(outputs, table, units={"x_HI": ""})
