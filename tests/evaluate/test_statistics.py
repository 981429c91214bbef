"""Statistics of the sides: groups count once, white noise has its known spectrum, wrong input is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import RegistryError, ShapeError, UsageError
from skyloom.evaluate.statistics import compute

N, BOX = 16, 32.0


def make(groups, sides, sd):
    groups, sides = np.array(groups), np.array(sides)
    maps = np.random.default_rng(0).normal(size=(len(groups), N, N)) * np.asarray(sd, float)[:, None, None]
    table = xr.Dataset(coords={"sample": np.arange(len(groups)), "group": ("sample", groups)})
    return {"T_b": maps}, table, sides


def spectra(*data, specs=("power_spectrum",)):
    return compute(list(specs), *data, box=BOX, periodic=True, units={"T_b": "mK"})


def test_white_noise_has_its_power_on_every_side():
    K = 200
    sides = ["train"] * K + ["test"] * K
    ds = spectra(*make(range(2 * K), sides, np.ones(2 * K)), specs=[{"name": "power_spectrum", "bins": 4}])
    power = ds["T_b.power_spectrum.power"]
    expected = BOX**2 / N**2  # sigma² V / N_pix
    modes = ds["T_b.power_spectrum.modes"].values
    for side in ("train", "test"):
        # |delta_k|² of the modes/2 independent modes is exponential: relative spread sqrt(2 / modes).
        spread = ds["T_b.power_spectrum.power.spread"].sel(side=side).values
        assert spread == pytest.approx(expected * np.sqrt(2 / modes), rel=0.25)
        assert power.sel(side=side).values == pytest.approx(np.full(4, expected), rel=4 * np.sqrt(2 / 8 / K))
    assert ds.side.values.tolist() == ["train", "test"] and ds.groups.values.tolist() == [K, K]
    assert power.dims == ("side", "T_b.power_spectrum.k") and "units" in power.attrs


def test_group_with_many_maps_counts_once():
    maps, table, sides = make(["a", "b"] + ["b"] * 6, ["test"] * 8, np.ones(8))
    maps["T_b"][:] = np.array([1.0] + [3.0] * 7)[:, None, None]
    pdf = {"name": "pdf", "bins": 2, "low": 0.0, "high": 4.0}
    ds = spectra(maps, table, sides, specs=[pdf])
    assert ds["T_b.pdf.pdf"].values.tolist() == [[0.25, 0.25]]
    # Two groups at 0.5 and 0: sd 0.5 / sqrt(2)
    assert ds["T_b.pdf.pdf.spread"].values == pytest.approx(np.full((1, 2), 0.5 / np.sqrt(2)))
    assert int(ds.samples[0]) == 8 and int(ds.groups[0]) == 2


def test_side_of_one_group_has_no_spread():
    ds = spectra(*make(["a", "a", "b"], ["train", "train", "test"], [1, 1, 1]))
    assert np.isnan(ds["T_b.power_spectrum.power.spread"]).all()


def test_sides_share_their_bins_and_the_file_keeps_all(tmp_path):
    ds = spectra(*make(["a", "b"], ["train", "test"], [1, 5]), specs=["pdf", "power_spectrum"])
    ds.to_netcdf(tmp_path / "statistics.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "statistics.nc", engine="h5netcdf") as again:
        xr.testing.assert_identical(again.load(), ds)
    width = np.diff(ds["T_b.pdf.value"].values)[0]
    assert ds["T_b.pdf.pdf"].sum("T_b.pdf.value").values * width == pytest.approx([1, 1])


def test_every_pair_of_fields_with_its_units():
    maps, table, sides = make(["a", "a", "b", "c"], ["train"] * 3 + ["test"], np.ones(4))
    noise = np.random.default_rng(1).normal(size=(4, N, N))
    # y = -2 x and z = y + independent noise as strong as y: r(x, y) = -1, r(x, z) = -1 / sqrt(2) on average
    fields = {"T_b": maps["T_b"], "y": -2 * maps["T_b"], "z": -2 * maps["T_b"] + 2 * noise}
    coherence, power = {"name": "coherence", "bins": 1}, {"name": "power_spectrum", "bins": 1}
    ds = compute(
        [coherence, {"name": "cross_spectrum", "bins": 1}, power], fields, table, sides,
        box=BOX, periodic=True, units={"T_b": "mK", "y": "mK", "z": "g"},
    )  # fmt: skip
    pairs = {str(name).split(".")[0] for name in ds.data_vars if ".coherence." in str(name)}
    assert pairs == {"T_b-y", "T_b-z", "y-z"}
    np.testing.assert_allclose(ds["T_b-y.coherence.r"], -1, rtol=1e-12)
    modes = int(ds["T_b-z.coherence.modes"][0])
    np.testing.assert_allclose(ds["T_b-z.coherence.r"], -(0.5**0.5), atol=4 / np.sqrt(2 * modes))
    np.testing.assert_allclose(
        ds["T_b-y.cross_spectrum.power"], -2 * ds["T_b.power_spectrum.power"].values, rtol=1e-12
    )
    assert ds["T_b-z.cross_spectrum.power"].attrs["units"] == "Mpc2 g mK"


def test_cubes():
    cubes = np.random.default_rng(2).normal(size=(2, 8, 8, 8))
    _, table, sides = make(["a", "b"], ["train", "test"], [1, 1])
    ds = spectra({"T_b": cubes}, table, sides, specs=[{"name": "power_spectrum", "bins": 1}])
    power = ds["T_b.power_spectrum.power"]
    # sigma² V / N_pix, and 2 / modes of it squared is the variance
    modes = int(ds["T_b.power_spectrum.modes"][0])
    np.testing.assert_allclose(power, (BOX / 8) ** 3, rtol=4 * np.sqrt(2 / modes))
    assert power.attrs["units"] == "Mpc3 mK2"


def test_wrong_input_is_refused():
    data = make(["a", "b"], ["train", "test"], [1, 1])
    with pytest.raises(UsageError, match="names pdf, pdf; each is allowed once"):
        spectra(*data, specs=["pdf", {"name": "pdf", "bins": 3}])
    with pytest.raises(RegistryError, match="power_spectrum"):
        spectra(*data, specs=["power_spectra"])
    with pytest.raises(UsageError, match=r"coherence, a statistic of two fields; .* T_b alone"):
        spectra(*data, specs=["coherence"])
    with pytest.raises(ShapeError, match="2 maps of 'T_b', 2 samples in the table and 1 sides"):
        spectra(data[0], data[1], data[2][:1])
