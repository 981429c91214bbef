from __future__ import annotations

import pytest
import torch

from skyloom.training.scores import Means, Scores


def alone(totals):
    return totals


def test_means_are_weighted_by_maps():
    means = Means()
    for value, maps in ((1.0, 8), (2.0, 8), (6.0, 4)):
        means.add("a", torch.tensor(value), maps)
    means.add("b", torch.tensor(5.0), 2)
    assert means.take(alone) == ({"a": (8 + 16 + 24) / 20, "b": 5.0}, {"a": 20.0, "b": 2.0})
    assert means.take(alone) == ({}, {})


def test_processes_add_up_by_maps():
    # Ten maps with mean 1 here, nine with mean 3 there.
    other = torch.tensor([[27.0], [9.0]], dtype=torch.float64)
    means = Means()
    means.add("a", torch.tensor(1.0), 10)
    assert means.take(lambda totals: totals + other)[0]["a"] == pytest.approx(37 / 19)


def test_a_snapshot_goes_on_with_the_same_bits():
    values = [torch.rand((), generator=torch.Generator().manual_seed(i)) for i in range(9)]
    one, two = Scores(), Scores()
    for step, value in enumerate(values):
        for scores in (one, two):
            scores.begin(maps=3 + step, training=True)
            scores.log("train/a", value)
            scores.end(value)
        if step == 2:
            assert one.row(alone) == two.row(alone)
        if step == 5:
            two = Scores()
            two.restore(one.snapshot())
    assert one.row(alone) == two.row(alone)
    assert one.epoch() == two.epoch()


def test_the_loss_that_is_logged_stands_before_the_one_minimised():
    scores = Scores()
    for logged in (True, False):
        scores.begin(maps=2, training=True)
        if logged:
            scores.log("train/loss", 1.0)
        scores.end(torch.tensor(7.0))
        assert scores.row(alone) == {"train/loss": 1.0 if logged else 7.0}


def test_a_value_of_part_of_the_batch_weighs_less():
    scores = Scores()
    for value, maps in ((1.0, 2), (3.0, None)):
        scores.begin(maps=4, training=False)
        scores.log("validation/a", value, batch_size=maps)
    assert scores.validation(alone) == {"validation/a": pytest.approx((2 + 12) / 6)}
