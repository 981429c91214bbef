from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from skyloom import registry
from skyloom.errors import DataError, ShapeError
from skyloom.training import load_weights, read_header, rebuild, save_weights

COMPONENT = {"name": "moments", "net": {"name": "resnet", "width": 4, "blocks": [1]}}


def method(**net):
    component = {**COMPONENT, "net": {**COMPONENT["net"], **net}}
    return registry.build(component, "method", data=(2, 3, 8)).eval()


def test_a_file_alone_rebuilds_its_method(tmp_path):
    first = method().to(memory_format=torch.channels_last)
    path = save_weights(tmp_path / "a.safetensors", first.state_dict(), first.spec, epoch=2)
    second = rebuild(path)
    maps = torch.rand(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not second.training
    for name, value in first.predict(maps).items():
        torch.testing.assert_close(value, second.predict(maps)[name])
    assert second.spec == first.spec


def test_equal_weights_are_equal_bytes(tmp_path):
    module = method()
    facts = {"epoch": 1, "step": 9, "validation_loss": 0.1, "averaged": True}
    one = save_weights(tmp_path / "a", module.state_dict(), module.spec, **facts)
    turned = dict(reversed(facts.items()))
    two = save_weights(tmp_path / "b", module.state_dict(), module.spec, **turned)
    assert one.read_bytes() == two.read_bytes()
    assert read_header(one) == {"method": module.spec, **facts}


def test_foreign_readers_find_the_tensors(tmp_path):
    module = method()
    path = save_weights(tmp_path / "a.safetensors", module.state_dict(), module.spec)
    found = load_file(path)
    assert found.keys() == module.state_dict().keys()
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["skyloom"])["method"]["name"] == "moments"


def test_other_shapes_and_names_are_told(tmp_path):
    module = method()
    path = save_weights(tmp_path / "a.safetensors", module.state_dict(), module.spec)
    with pytest.raises(ShapeError, match=r"do not fit Moments: .*weight"):
        load_weights(method(width=8), path)
    with pytest.raises(ShapeError, match=r"running_mean"):
        load_weights(method(norm="group"), path)


def test_files_that_are_not_ours(tmp_path):
    with pytest.raises(DataError, match="there is no weights file"):
        read_header(tmp_path / "none")
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="does not say which method"):
        read_header(path)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match="is damaged"):
        read_header(path)
