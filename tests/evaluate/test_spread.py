"""Draws of a translation: a spread that explains their error, one that is too small, the power of one."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.evaluate.spread import judge_draws
from skyloom.fields import example
from skyloom.tasks.translate import Translate


def translated(width, draws=4, power=1.0):
    """Truth and draws around one mean, sd 1 and ``width`` in every pixel: independent, white."""
    ds = example(groups=6, per_group=4)[["T_b"]]
    rng = np.random.default_rng(0)
    shape = (ds.sizes["sample"], 1, 16, 16)
    truth = ds.isel(y=slice(0, 16), x=slice(0, 16)).copy()
    truth["T_b"] = (truth["T_b"].dims, rng.normal(size=shape)[:, 0], truth["T_b"].attrs)
    table = truth.drop_vars("T_b")
    samples = power * width * rng.normal(size=(shape[0], draws, *shape[1:]))
    task = Translate(inputs=["density"], targets=["T_b"])
    return truth, task.interpret({"samples": samples}, table)


@pytest.mark.parametrize("draws", [2, 8])
def test_draws_from_the_distribution_of_the_truth_explain_their_error(draws):
    truth, found = translated(1.0, draws)
    scores = judge_draws(truth, found, "T_b", bootstrap=100)
    n = truth["T_b"].size
    # Relative error of a ratio of two variances of n values, half of it for the root; 4 sigma.
    assert scores["spread_error"]["value"] == pytest.approx(1, abs=4 / np.sqrt(n))
    assert scores["draw_power_ratio"]["value"] == pytest.approx(1, abs=0.15)
    assert scores["spread_error"]["low"] < scores["spread_error"]["value"] < scores["spread_error"]["high"]


def test_draws_that_are_too_sure_are_told_from_those_that_are_not():
    """sd of draws 1/2, of the truth 1: the mean misses by 1 + 1/(4 k), the spread explains (1 + 1/k) / 4."""
    truth, found = translated(0.5, 4)
    expected = np.sqrt((1 + 1 / 4) / 4 / (1 + 1 / 16))
    scores = judge_draws(truth, found, "T_b", bootstrap=20)
    assert scores["spread_error"]["value"] == pytest.approx(expected, rel=0.05)
    # One draw has a quarter of the power.
    assert scores["draw_power_ratio"]["value"] == pytest.approx(0.25, rel=0.15)
