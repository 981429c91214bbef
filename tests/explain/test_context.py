"""The record that explanations share, and the result that they all return."""

from __future__ import annotations

import json
from importlib.metadata import entry_points

import numpy as np
import pytest
import torch

from skyloom import registry
from skyloom.errors import ShapeError
from skyloom.explain import Context
from skyloom.explain.context import r2
from skyloom.methods.supervised import MeanSquared

EXPLANATIONS = [entry.name for entry in entry_points(group="skyloom.explanation")]


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_every_explanation_can_be_saved_and_says_what_it_explains(name, tmp_path):
    torch.manual_seed(0)
    maps = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    truth = np.random.default_rng(0).standard_normal((6, 2))
    context = Context(truth, maps.numpy(), torch.from_numpy, ["x_HI", "z"], groups=np.array(list("aabbcc")))
    method = MeanSquared(1, 2, 16, net={"name": "resnet", "width": 4})

    def once():
        generator = torch.Generator().manual_seed(3)
        return registry.build(name, "explanation").explain(
            method, maps, 1, generator=generator, context=context
        )

    state = torch.get_rng_state()
    ds = once()
    assert torch.equal(torch.get_rng_state(), state)
    assert ds.identical(once())  # one seed, one result
    assert ds.attrs["explanation"] == name and ds.attrs["target"] == "z"
    assert isinstance(json.loads(ds.attrs["summary"]), dict)
    ds.to_netcdf(tmp_path / "saved.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_dataset(tmp_path / "saved.nc", engine="h5netcdf") as back:
        assert json.loads(back.attrs["summary"]) == json.loads(ds.attrs["summary"])
        np.testing.assert_allclose(back[next(iter(ds.data_vars))], ds[next(iter(ds.data_vars))])


def test_r2_by_hand():
    truth, prediction = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 3.0, 4.0])
    assert r2(truth, prediction) == pytest.approx(1 - (0 + 1 + 0 + 4) / (4 + 1 + 0 + 9))
    assert np.isnan(r2(np.ones(3), np.ones(3)))


@pytest.mark.parametrize(
    ("truth", "groups", "names"),
    [((3, 1), None, ["a"]), ((2, 1), np.zeros(3), ["a"]), ((2, 1), None, ["a", "b"]), ((2,), None, ["a"])],
)
def test_parts_of_different_rows_are_refused(truth, groups, names):
    with pytest.raises(ShapeError, match="same rows"):
        Context(np.zeros(truth), np.zeros((2, 1, 4, 4)), torch.from_numpy, names, groups=groups)
