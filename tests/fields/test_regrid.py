"""Coarser grids: averages over the new cells, whatever the ratio of the old to the new ones."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import DataError, UsageError
from skyloom.fields.project import cut
from skyloom.fields.regrid import add_coarse, overlaps, regrid

RNG = np.random.default_rng(4)


def cubes(values):
    values = np.asarray(values) if isinstance(values, np.ndarray) else values
    return fields.build(
        {"density": (values, "", "gas density")}, ids=["a", "b"], groups=["a", "b"], seeds=[1, 2],
        box_size=1.0, box_size_unit="", suite="demo", realism="toy",
    )  # fmt: skip


def test_cells_that_fall_together_are_the_means_of_blocks():
    old = RNG.lognormal(size=(2, 12, 12, 12)).astype(np.float32)
    new = regrid(cubes(old), 4)["density"].values
    blocks = old.reshape(2, 4, 3, 4, 3, 4, 3).mean(axis=(2, 4, 6))
    np.testing.assert_allclose(new, blocks, rtol=1e-5)


@pytest.mark.parametrize(("N", "n"), [(48, 32), (9, 7), (5, 5), (6, 1)])
def test_integrals_are_kept_and_no_value_leaves_the_range(N, n):
    old = RNG.lognormal(size=(2, N, N, N)).astype(np.float32)
    new = regrid(cubes(old), n)["density"].values
    assert new.shape == (2, n, n, n)
    np.testing.assert_allclose(new.mean((1, 2, 3)), old.mean((1, 2, 3)), rtol=1e-5)
    assert new.min() >= old.min() * (1 - 1e-6) and new.max() <= old.max() * (1 + 1e-6)
    np.testing.assert_allclose(overlaps(N, n).sum(0), n / N)  # every old cell is shared out once


def test_three_old_cells_give_two_new_ones_on_every_axis():
    """Two thirds and one third of the old cells below and between: 1, 2, 3 become 4/3 and 8/3."""
    line = np.array([1.0, 2.0, 3.0], np.float32)
    for axis in (1, 2, 3):
        shape = [1, 1, 1, 1]
        shape[axis] = 3
        old = np.broadcast_to(line.reshape(shape), (2, 3, 3, 3)).copy()
        new = np.moveaxis(regrid(cubes(old), 2)["density"].values, axis, -1)
        np.testing.assert_allclose(new, np.broadcast_to([4 / 3, 8 / 3], new.shape), rtol=1e-6)


def test_a_long_wave_keeps_its_place_and_loses_what_averaging_takes():
    """Averages over a cell of width h lower a wave of wavenumber k by sin(kh/2) / (kh/2)."""
    N, n, k = 48, 32, 2 * np.pi * 2
    edges = np.arange(N + 1) / N
    exact = (np.cos(k * edges[:-1]) - np.cos(k * edges[1:])) * N / k  # averages of sin over the old cells
    old = np.broadcast_to(2 + exact.astype(np.float32), (2, N, N, N)).copy()
    new = regrid(cubes(old), n)["density"].values[0, 0, 0] - 2
    centres = (np.arange(n) + 0.5) / n
    # Old cells are flat, so that halves of them are averages of their own: right to second order.
    half = k / n / 2
    np.testing.assert_allclose(new, np.sin(k * centres) * np.sin(half) / half, atol=0.5 * (k / N) ** 2)


def test_a_cut_goes_through_the_coarser_cubes_and_says_so():
    old = RNG.lognormal(size=(2, 6, 6, 6)).astype(np.float32)
    maps = cut(cubes(old), kind="slice", axes=["x"], count=4, cells=4)
    coarse = regrid(cubes(old), 4)
    np.testing.assert_array_equal(maps["density"].values[:4], coarse["density"].values[0].transpose(2, 0, 1))
    assert maps["thickness"].values.tolist() == [0.25] * 8
    steps = fields.provenance(maps)["steps"]
    assert [step["step"] for step in steps] == ["regrid", "cut"] and steps[0]["cells"] == 4


def test_lazy_cubes_stay_lazy_and_short_floats_are_averaged_in_long_ones():
    old = RNG.lognormal(size=(2, 6, 6, 6)).astype(np.float16)
    lazy = regrid(cubes(da.from_array(old, chunks=(1, 3, 6, 6))), 4)["density"]
    assert isinstance(lazy.data, da.Array)
    np.testing.assert_allclose(lazy.values, regrid(cubes(old.astype(np.float32)), 4)["density"], rtol=1e-6)
    assert lazy.dtype == np.float32


def test_a_finer_grid_is_refused():
    with pytest.raises(UsageError, match=r"cells is 8, .* have 6 along z\n.*1 to 6"):
        regrid(cubes(np.ones((2, 6, 6, 6), np.float32)), 8)


def test_a_coarse_field_keeps_the_means_of_blocks_on_the_grid_of_the_set():
    values = RNG.lognormal(size=(2, 12, 12)).astype(np.float32)
    ds = add_coarse(cubes(values), "density_coarse", of="density", cells=3)
    coarse = ds["density_coarse"].values
    blocks = values.reshape(2, 3, 4, 3, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(coarse, blocks.repeat(4, axis=1).repeat(4, axis=2), rtol=1e-5)
    assert np.array_equal(ds["density"], values) and ds["density_coarse"].attrs["units"] == ""
    assert fields.provenance(ds)["steps"][-1]["cells"] == 3
    lazy = add_coarse(cubes(da.from_array(values)), "density_coarse", of="density", cells=3)
    assert isinstance(lazy["density_coarse"].data, da.Array)
    np.testing.assert_allclose(lazy["density_coarse"], coarse, rtol=1e-5)
    with pytest.raises(UsageError, match="cannot have 5 cells"):
        add_coarse(ds, "other", of="density", cells=5)
    with pytest.raises(DataError, match="there is no field 'densty'"):
        add_coarse(ds, "other", of="densty", cells=3)
    with pytest.raises(DataError, match="a field 'density_coarse' already"):
        add_coarse(ds, "density_coarse", of="density", cells=3)
