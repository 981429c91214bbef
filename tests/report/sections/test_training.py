"""What the page says of a training with a critic."""

from __future__ import annotations

import numpy as np

from skyloom.report.sections.training import failures


def test_failures_are_told_by_the_last_value_that_was_measured():
    nan = float("nan")
    healthy = {"validation/told": np.array([0.5, nan, 0.93, nan]), "validation/spread": np.array([nan, 0.98])}
    told, spread = failures(healthy)
    what = "At the end the critic scored 93.0 % of true maps above generated ones of the validation side"
    assert told == f"{what}; a guess is 50 %."
    assert spread.startswith("No mode collapse") and "0.98" in spread
    told, spread = failures({"validation/told": np.array([0.5]), "validation/spread": np.array([0.01])})
    assert told.startswith("The critic does not tell them apart") and spread.startswith("Mode collapse")
    assert failures({"validation/loss": np.array([1.0]), "validation/told": np.array([nan])}) == []
