from __future__ import annotations

import pytest
import torch
from torch import nn

from skyloom.errors import UsageError
from skyloom.training.ema import MovingAverage, decay_at


def test_the_average_is_the_recurrence_of_the_docstring():
    net = nn.Linear(1, 1, bias=False)
    values, expected = [3.0, -1.0, 4.0], net.weight.item()
    average = MovingAverage(net, 0.2)
    for step, value in enumerate(values, start=1):
        nn.init.constant_(net.weight, value)
        average.update()
        decay = min(0.2, (1 + step) / (10 + step))  # 2/11, 0.2, 0.2
        expected = decay * expected + (1 - decay) * value
    with average.applied():
        assert net.weight.item() == pytest.approx(expected, rel=1e-6)
    assert net.weight.item() == values[-1]


def test_decay_grows_to_its_value():
    assert [decay_at(step, 0.5) for step in (1, 8, 1000)] == [2 / 11, 0.5, 0.5]


def test_running_moments_are_averaged_and_counters_copied():
    net = nn.BatchNorm1d(1, momentum=1.0)
    average = MovingAverage(net, 0.9)
    net(torch.tensor([[2.0], [4.0]]))  # mean 3
    average.update()
    values = average.state_dict()["values"]
    assert values["running_mean"].item() == pytest.approx(3 * (1 - 2 / 11))
    assert values["num_batches_tracked"].item() == 1


def test_exchange_twice_changes_no_bit():
    net = nn.Linear(5, 5)
    average = MovingAverage(net, 0.9)
    nn.init.normal_(net.weight, generator=torch.Generator().manual_seed(0))
    average.update()
    weights, mean = net.weight.clone(), average.state_dict()["values"]["weight"].clone()
    average.exchange()
    assert torch.equal(net.weight, mean)
    average.exchange()
    assert torch.equal(net.weight, weights)
    assert torch.equal(average.state_dict()["values"]["weight"], mean)


def test_a_weight_of_two_names_is_averaged_once():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    start = net[0].weight.detach().clone()
    average = MovingAverage(net, 0.9)
    nn.init.zeros_(net[0].weight)
    average.update()
    with average.applied():
        torch.testing.assert_close(net[1].weight.detach(), start * 2 / 11)


def test_state_goes_on_with_the_same_bits():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    one, two = MovingAverage(first, 0.99), MovingAverage(second, 0.99)
    one.update()
    second.load_state_dict(first.state_dict())
    two.load_state_dict(one.state_dict())
    for net, average in ((first, one), (second, two)):
        with torch.no_grad():
            net.weight += 1
        average.update()
    assert torch.equal(one.state_dict()["values"]["weight"], two.state_dict()["values"]["weight"])


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1])
def test_a_decay_outside_is_refused(decay):
    with pytest.raises(UsageError, match=r"train.ema is"):
        MovingAverage(nn.Linear(1, 1), decay)


def test_what_is_adopted_is_the_average_and_a_restart_begins_at_the_present_values():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    average = MovingAverage(net, 0.9)
    nn.init.constant_(net.weight, 12.0)
    average.update()  # 1 + (1 - 2/11) 11 = 10
    average.adopt()
    assert net.weight.item() == pytest.approx(10.0)
    nn.init.constant_(net.weight, 4.0)
    average.restart()
    nn.init.constant_(net.weight, 15.0)
    average.update()  # as a first step: 4 + (1 - 2/11) 11 = 13
    with average.applied():
        assert net.weight.item() == pytest.approx(13.0)
