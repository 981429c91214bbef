"""Cross-entropy: losses by hand, the right probabilities at its minimum, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skyloom.errors import UsageError
from skyloom.methods.cross_entropy import CrossEntropy

SMALL = {"net": {"name": "resnet", "width": 4}}
MAPS = torch.zeros(2, 1, 16, 16)


class Answers(torch.nn.Module):
    """A network that knows its logits by heart."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, maps):
        return self.logits


def with_logits(logits: list[list[float]], **arguments) -> CrossEntropy:
    method = CrossEntropy(1, len(logits[0]), 16, **SMALL, **arguments)
    method.net = Answers(logits)
    return method


def test_losses_by_hand():
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    logits = np.array([[0.0, 0.0], [0.0, np.log(3)]])  # probabilities 1/2, 1/2 and 1/4, 3/4
    plain = (np.log(2) + np.log(4 / 3)) / 2
    minimised, logged = with_logits(logits.tolist()).losses(MAPS, targets)
    assert minimised.item() == pytest.approx(plain) == logged.item()
    # Smoothing 0.2: a tenth of the target goes to the wrong class of two.
    minimised, logged = with_logits(logits.tolist(), label_smoothing=0.2).losses(MAPS, targets)
    smoothed = (np.log(2) + 0.9 * np.log(4 / 3) + 0.1 * np.log(4)) / 2
    assert minimised.item() == pytest.approx(smoothed) and logged.item() == pytest.approx(plain)
    minimised, logged = with_logits(logits.tolist(), class_weights=[3.0, 1.0]).losses(MAPS, targets)
    assert minimised.item() == pytest.approx((3 * np.log(2) + np.log(4 / 3)) / 2)
    assert logged.item() == pytest.approx(plain)


def test_its_minimum_is_the_posterior_probability():
    # One number a map, N(0, 1) or N(1, 1) with prior 1/4 and 3/4: the log odds are x - 1/2 + log 3.
    rng = np.random.default_rng(0)
    truth = rng.random(40_000) < 0.75
    x = torch.tensor(rng.normal(truth, 1.0), dtype=torch.float32)[:, None]
    targets = torch.tensor(np.stack([~truth, truth], axis=1), dtype=torch.float32)
    method = CrossEntropy(1, 2, 16, **SMALL)
    method.net = torch.nn.Linear(1, 2)
    optimiser = torch.optim.LBFGS(method.net.parameters(), max_iter=60)

    def step():
        optimiser.zero_grad()
        loss = method.losses(x, targets)[0]
        loss.backward()
        return loss

    optimiser.step(step)
    difference = (
        (method.net.weight[1] - method.net.weight[0]).item(),
        (method.net.bias[1] - method.net.bias[0]).item(),
    )
    # The Fisher information of 40,000 values gives errors below 0.015.
    assert difference == pytest.approx((1.0, np.log(3) - 0.5), abs=0.045)


def test_validation_logs_the_share_of_right_answers():
    method = with_logits([[0.0, 1.0], [0.0, 1.0]])
    logged = {}
    method.log = lambda name, value, **options: logged.update({name: float(value)})
    method.validation_step({"maps": MAPS, "targets": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}, 0)
    assert logged["validation/accuracy"] == 0.5
    assert logged["validation/loss"] == pytest.approx(np.log(1 + np.exp(1)) - 0.5)


def test_balanced_weights_are_counted_on_the_train_side():
    method = CrossEntropy(1, 2, 16, **SMALL, class_weights="balanced")
    one_hot = np.eye(2, dtype=np.float32)[[0, 1, 1, 1, 0, 0]]
    data = SimpleNamespace(targets=one_hot, rows=lambda side: {"train": np.arange(4)}[side])
    method._trainer = SimpleNamespace(datamodule=data)
    method.on_fit_start()
    # One map of the first class and three of the second: 4 / (2 * 1) and 4 / (2 * 3).
    assert method.weight.tolist() == pytest.approx([2.0, 2.0 / 3.0])
    data.targets = one_hot[[1, 1, 1, 1]]
    with pytest.raises(UsageError, match="without a map on the train side"):
        method.on_fit_start()
    method._trainer = SimpleNamespace(datamodule=None)
    with pytest.raises(UsageError, match="counts the classes of a MapDataModule"):
        method.on_fit_start()


def test_refusals():
    with pytest.raises(UsageError, match="label_smoothing"):
        CrossEntropy(1, 2, 16, **SMALL, label_smoothing=1.0)
    for weights in ([1.0], [1.0, 0.0]):
        with pytest.raises(UsageError, match="for 2 classes"):
            CrossEntropy(1, 2, 16, **SMALL, class_weights=weights)
    with pytest.raises(UsageError, match="no 3 samples to draw"):
        CrossEntropy(1, 2, 16, **SMALL).predict(MAPS, draws=3)
