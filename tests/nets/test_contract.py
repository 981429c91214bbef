"""Every registered network: JSON arguments, the promised shape, rebuilt from them, able to learn."""

from __future__ import annotations

import inspect
import json
from importlib.metadata import entry_points

import pytest
import torch

NETS = {entry.name: entry for entry in entry_points(group="skyloom.net")}
SMALL = {
    "vgg": {"widths": [4, 8], "dense": [16]},
    "resnet": {"width": 4},
    "strided_cnn": {"widths": [4, 8], "dropout": 0.0},
    "cmd_cnn": {"width": 4, "dropout": 0.0},
    "unet": {"width": 32, "depth": 3},
    "resnet_fields": {"width": 16, "blocks": 1},
}
#: It halves the map twice without a way around: it can learn what is smooth, and takes its time.
SMOOTH = {"resnet_fields": 150}


@pytest.mark.parametrize("name", NETS)
def test_recipe_arguments_are_keyword_only_json(name):
    parameters = list(inspect.signature(NETS[name].load()).parameters.values())
    assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        "in_channels",
        "out_features",
        "size",
    ]
    recipe = [p for p in parameters if p.kind is not p.POSITIONAL_OR_KEYWORD]
    assert all(p.kind is p.KEYWORD_ONLY for p in recipe)
    defaults = {p.name: p.default for p in recipe}
    assert json.loads(json.dumps(defaults)) == defaults


@pytest.mark.parametrize("name", NETS)
def test_fits_one_batch_and_rebuilds_from_arguments_and_weights(name):
    torch.manual_seed(0)
    fields = getattr(NETS[name].load(), "gives", "features") == "fields"
    maps, targets = torch.rand(8, 2, 16, 16), torch.randn(8, 3, *((16, 16) if fields else ()))
    if name in SMOOTH:
        targets = targets[..., ::4, ::4].repeat_interleave(4, -1).repeat_interleave(4, -2)
    arguments = SMALL.get(name, {})
    net = NETS[name].load()(2, 3, 16, **arguments)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(SMOOTH.get(name, 60)):
        loss = ((net(maps) - targets) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # Eight maps and more than eight weights: they can be learned by heart.
    assert losses[-1] < 0.1 * losses[0]
    twin = NETS[name].load()(2, 3, 16, **json.loads(json.dumps(arguments)))
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin.eval()(maps), net.eval()(maps))
