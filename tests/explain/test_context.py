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
def test_every_explanation_keeps_the_contract(name, tmp_path):
    torch.manual_seed(0)
    maps = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    truth = np.random.default_rng(0).standard_normal((6, 2))
    context = Context(truth, maps.numpy(), torch.from_numpy, ["x_HI", "z"], groups=np.array(list("aabbcc")))
    method = MeanSquared(1, 2, 16, net={"name": "resnet", "width": 4, "blocks": [1, 1], "dropout": 0.3})

    before = maps.clone()
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    method.train().net.head.bias.requires_grad_(False)
    modes = [layer.training for layer in method.modules()]
    global_numpy = np.random.get_state()[1].copy()  # noqa: NPY002
    plain = {name: set(vars(layer)) for name, layer in method.named_modules()}

    def once():
        generator = torch.Generator().manual_seed(3)
        return registry.build(name, "explanation").explain(
            method, maps, 1, generator=generator, context=context
        )

    state = torch.get_rng_state()
    ds = once()
    assert torch.equal(torch.get_rng_state(), state)
    assert ds.identical(once())  # one seed, one result
    np.testing.assert_array_equal(np.random.get_state()[1], global_numpy)  # noqa: NPY002
    assert torch.equal(maps, before) and not maps.requires_grad and maps.grad is None
    np.testing.assert_array_equal(context.raw, before)
    assert all(torch.equal(value, weights[key]) for key, value in method.state_dict().items())
    assert [layer.training for layer in method.modules()] == modes
    assert [key for key, value in method.named_parameters() if not value.requires_grad] == ["net.head.bias"]
    assert all(value.grad is None for value in method.parameters())
    for key, layer in method.named_modules():
        assert not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
        assert set(vars(layer)) == plain[key]
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
