"""The data doctor's numbers against NumPy's, and what it says of bad values."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import UsageError
from skyloom.formats import inspect


def test_extremes_mean_and_spread_agree_with_numpy_whatever_the_blocks(monkeypatch):
    ds = fields.example()
    ds["T_b"] = ds["T_b"] + np.float32(1e4)  # a large mean: naive sums of squares lose the spread
    monkeypatch.setattr("skyloom.formats.doctor.surveying.BLOCK_BYTES", 5 * 16 * 16 * 4)
    column = next(c for c in inspect.summarise(ds).columns if c.name == "T_b")
    values = ds["T_b"].values.astype(np.float64)
    assert column.minimum == values.min()
    assert column.maximum == values.max()
    assert column.mean == pytest.approx(values.mean(), rel=1e-12)
    assert column.spread == pytest.approx(values.std(), rel=1e-9)


def test_histogram_counts_every_sample_in_its_redshift_and_bin():
    ds = fields.example(groups=5, per_group=4)
    summary = inspect.summarise(ds, bins=4)
    assert summary.histogram.sum() == 20
    for row, z in zip(summary.histogram, summary.redshifts, strict=True):
        here = ds["x_HI"].values[ds["redshift"].values == z]
        assert row.tolist() == np.histogram(here, [0, 0.25, 0.5, 0.75, 1])[0].tolist()


def test_values_that_are_not_finite_are_counted_and_said():
    ds = fields.example(groups=2).copy(deep=True)
    ds["T_b"][0, 0, 0] = np.nan
    ds["T_b"][1, 0, 0] = np.inf
    summary = inspect.summarise(ds)
    assert "findings: 1 error" in summary.text()
    told = next(f.message for f in summary.findings if f.check == "finite")
    assert "T_b: 2 values are NaN or infinite, in 2 of 8 samples: toy0-z8-s0, toy0-z9-s0" in told
    column = next(c for c in summary.columns if c.name == "T_b")
    assert column.maximum == ds["T_b"].values[np.isfinite(ds["T_b"].values)].max()


def test_the_page_names_what_is_there():
    text = inspect.summarise(fields.example()).text()
    for word in (
        "toy",
        "128 Mpc",
        "T_b",
        "mK",
        "x_HI",
        "samples: 24   simulations: 6",
        "8.00",
        "9.00",
        "findings",
    ):
        assert word in text


def test_an_unknown_label_gets_a_suggestion():
    with pytest.raises(UsageError, match="did you mean 'x_HI'"):
        inspect.summarise(fields.example(), by="xHI")


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_of_the_page_is_wider_than_the_terminal(width):
    assert max(map(len, inspect.summarise(fields.example()).text(width).splitlines())) <= width


def test_a_label_that_never_changes_has_no_spread():
    ds = fields.example()
    ds["HII_EFF_FACTOR"] = ds["HII_EFF_FACTOR"].copy(data=np.full(24, 29.39))
    column = next(c for c in inspect.summarise(ds).columns if c.name == "HII_EFF_FACTOR")
    assert (column.mean, column.spread) == (29.39, 0.0)


def test_a_constant_label_has_one_bin_and_code_units_are_said():
    ds = fields.example().drop_vars("x_HI").assign_attrs(box_size=1.0, box_size_unit="")
    ds["x_HI_slice"] = ("sample", np.ones(24), {"role": "label", "units": "", "long_name": "time"})
    ds["redshift"] = ds["redshift"].copy(data=np.full(24, np.nan))
    summary = inspect.summarise(ds, by="x_HI_slice")
    assert summary.histogram.tolist() == [[24]]
    assert "z  1-  all\n-  24   24\n" in summary.text()
    assert "box: 1 (code units), periodic" in summary.text()
