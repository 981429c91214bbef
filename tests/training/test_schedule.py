from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from skyloom.errors import RegistryError, UsageError
from skyloom.training.schedule import COSINE_FLOOR, SCHEDULES, make_schedule, optimisation


def curve(name: str, total: int, lr: float = 0.5) -> list[float]:
    """The learning rate of each step."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    schedule = make_schedule(name, optimiser, total)
    rates = []
    for _ in range(total):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return rates


def test_constant():
    assert curve("constant", 5) == [0.5] * 5


def test_cosine_rises_then_falls_as_a_cosine():
    rates = curve("cosine", 200, lr=1.0)
    assert rates[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])  # 3 % of 200
    middle = 6 + (200 - 6) // 2
    assert rates[middle] == pytest.approx((1 + COSINE_FLOOR) / 2)
    last = COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * 193 / 194)) / 2
    assert rates[-1] == pytest.approx(last)


def test_one_cycle_has_its_highest_rate_at_three_tenths():
    # 101 points, so PyTorch's peak is at 0.3 · 101 - 1 = 29.3; the curve begins at a 25th of the rate.
    rates = curve("one_cycle", 100)
    assert rates[0] == pytest.approx(0.5 / 25)
    assert max(range(100), key=rates.__getitem__) in {29, 30}
    assert rates[-1] < rates[0]


@pytest.mark.parametrize("total", [1, 2, 7])
@pytest.mark.parametrize("name", SCHEDULES)
def test_short_trainings(name, total):
    assert all(0 < rate <= 0.5 + 1e-12 for rate in curve(name, total))


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_state_is_plain_and_goes_on(name):
    def make():
        optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=0.1)
        return optimiser, make_schedule(name, optimiser, 20)

    (one, first), (two, second) = make(), make()
    for _ in range(7):
        one.step()
        first.step()
    two.load_state_dict(one.state_dict())
    second.load_state_dict(first.state_dict())
    for optimiser, schedule in ((one, first), (two, second)):
        optimiser.step()
        schedule.step()
    assert one.param_groups[0]["lr"] == two.param_groups[0]["lr"]
    assert one.param_groups[0]["betas"] == two.param_groups[0]["betas"]


def test_the_components_arguments_arrive():
    configure = optimisation({"name": "sgd", "lr": 0.3, "momentum": 0.8}, "constant", lambda: 4)
    optimiser = configure([nn.Parameter(torch.zeros(1))])["optimizer"]
    assert (optimiser.defaults["lr"], optimiser.defaults["momentum"]) == (0.3, 0.8)


def test_unknown_names():
    with pytest.raises(UsageError, match=r"train\.schedule is 'cosin'\n.*did you mean 'cosine'"):
        optimisation("adam", "cosin", lambda: 1)
    with pytest.raises(RegistryError, match="adamm"):
        optimisation("adamm", "cosine", lambda: 1)([nn.Parameter(torch.zeros(1))])
