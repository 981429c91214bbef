"""Cuts and balancing of samples."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError
from skyloom.fields import example
from skyloom.fields.selection import balance, select, spread_over


def test_cuts_are_closed_and_combine():
    ds = example()
    x_HI, z = ds["x_HI"].values, ds["redshift"].values
    edge = float(np.sort(x_HI)[5])
    kept = select(ds, {"x_HI": [edge, 1.0], "redshift": [9, 9]})
    np.testing.assert_array_equal(kept, (x_HI >= edge) & (z == 9))


def test_an_empty_choice_tells_the_range_that_is_there():
    with pytest.raises(
        DataError, match=r"no sample is left after redshift in \[1, 2\][\s\S]*runs from 8 to 9"
    ):
        select(example(), {"redshift": [1, 2]})


def test_an_unknown_coordinate_gets_a_suggestion():
    with pytest.raises(DataError, match="did you mean 'redshift'"):
        select(example(), {"redshft": [1, 2]})


def test_classes_are_chosen_by_their_names():
    codes = {"role": "label", "units": "", "classes": '{"0": "MHD", "1": "Advect", "2": "Diff"}'}
    table = xr.Dataset(coords={"sample": list("abcd"), "transport": ("sample", [0.0, 2.0, 1.0, 2.0], codes)})
    np.testing.assert_array_equal(select(table, {"transport": ["MHD", "Diff"]}), [True, True, False, True])
    with pytest.raises(DataError, match=r"'Dif' is no class of 'transport'[\s\S]*did you mean 'Diff'"):
        select(table, {"transport": ["Dif"]})
    with pytest.raises(DataError, match=r"'high' is no class of 'redshift'[\s\S]*give an interval"):
        select(example(), {"redshift": ["high"]})


def test_samples_to_look_at_are_of_as_many_groups_as_there_are():
    groups = ["one"] * 10 + ["two"] * 10
    # The middle ones, rows 4 of 0 to 9; then those a fifth of the way.
    assert spread_over(groups, 4).tolist() == [4, 14, 1, 11]
    assert spread_over(groups, 1).tolist() == [4]


@pytest.mark.parametrize("within", ["redshift", None])
def test_every_occupied_bin_keeps_as_many_as_the_emptiest(within):
    ds = example(groups=30, per_group=6)
    kept = ds.isel(sample=np.flatnonzero(balance(ds, "x_HI", bins=5, within=within)))
    everywhere = np.ones(ds.sizes["sample"]), np.ones(kept.sizes["sample"])
    for z in np.unique(ds["redshift"]) if within else [None]:
        here = everywhere if z is None else (ds["redshift"].values == z, kept["redshift"].values == z)
        before, after = (
            np.histogram(part["x_HI"].values[mask.astype(bool)], np.linspace(0, 1, 6))[0]
            for part, mask in zip((ds, kept), here, strict=True)
        )
        assert set(after[before > 0]) == {before[before > 0].min()}


def test_the_choice_follows_the_seed():
    ds = example(groups=30, per_group=6)
    a, b, c = (balance(ds, "x_HI", bins=3, seed=s) for s in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_balance_by_class_keeps_as_many_of_each_code():
    codes = {"role": "parameter", "classes": '{"0": "a", "5": "b", "6": "c"}'}
    values = np.repeat([0.0, 5.0, 6.0], [7, 3, 4])
    table = xr.Dataset(coords={"sample": np.arange(14), "kind": ("sample", values, codes)})
    # In two bins of equal width, 5 and 6 would be one class.
    kept = values[balance(table, "kind", bins=2, within=None)]
    assert np.unique(kept, return_counts=True)[1].tolist() == [3, 3, 3]
