"""First steps by hand, and fused against plain."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from skyloom import registry


def one_step(spec, start=2.0, slope=3.0):
    weight = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimiser = registry.build(spec, "optimiser")([weight])
    weight.grad = torch.tensor([slope], dtype=torch.float64)
    optimiser.step()
    return weight.item()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # Adam's first step is lr × sign of the slope: both running means are corrected to the slope itself.
        ({"name": "adam", "lr": 0.1}, 2 - 0.1),
        ({"name": "adamw", "lr": 0.1, "weight_decay": 0.5}, 2 * (1 - 0.1 * 0.5) - 0.1),
        ({"name": "sgd", "lr": 0.1, "weight_decay": 0.5}, 2 - 0.1 * (3 + 0.5 * 2)),
        ({"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True}, 2 - 0.1 * (3 + 0.9 * 3)),
    ],
)
@pytest.mark.parametrize("fused", [None, True, False])
def test_first_step_by_hand(spec, expected, fused):
    assert one_step({**spec, "fused": fused}) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_fused_is_chosen_where_torch_has_it(name):
    here, elsewhere = (nn.Parameter(torch.zeros(2, device=device)) for device in ("cpu", "meta"))
    make = registry.build(name, "optimiser")
    assert make([here]).defaults["fused"] is True
    assert make(iter([elsewhere])).defaults["fused"] is False
    assert registry.build({"name": name, "fused": False}, "optimiser")([here]).defaults["fused"] is False


def test_betas_reach_the_optimiser():
    optimiser = registry.build({"name": "adam", "betas": [0.5, 0.9]}, "optimiser")(
        [nn.Parameter(torch.zeros(1))]
    )
    assert optimiser.defaults["betas"] == (0.5, 0.9)
