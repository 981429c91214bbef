"""Draws of a translation: a spread that explains their error, one that is too small, the power of one."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.evaluate.spread import LEVELS, by_spread, crps, judge_draws
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


def test_the_ranked_score_of_normal_draws_is_known():
    """Draws and truth from N(0, 1): E|d - t| = 2 / sqrt(pi), E|d - d'| the same, so 1 / sqrt(pi) is left."""
    rng = np.random.default_rng(1)
    truth, samples = rng.normal(size=(40, 16, 16)), rng.normal(size=(40, 6, 16, 16))
    n = truth.size
    found = crps(samples, truth).mean()
    assert found == pytest.approx(1 / np.sqrt(np.pi), abs=4 / np.sqrt(n))
    # By all pairs, as it is defined.
    pairs = np.abs(samples[:, :, None] - samples[:, None]).sum(axis=(1, 2)).mean(axis=(1, 2)) / (2 * 6 * 5)
    away = np.abs(samples - truth[:, None]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(crps(samples, truth), away - pairs, rtol=1e-12)
    # No sharper and no broader distribution does better; one answer has its absolute error.
    for width in (0.0, 0.5, 2.0):
        assert crps(width * samples, truth).mean() > found
    np.testing.assert_allclose(crps(samples[:, :1], truth), np.abs(samples[:, 0] - truth).mean(axis=(1, 2)))


def test_the_error_grows_with_the_spread_that_foretells_it():
    ds = example(groups=6, per_group=4)[["T_b"]].isel(y=slice(0, 16), x=slice(0, 16)).copy()
    rng = np.random.default_rng(2)
    width = np.geomspace(1, 10, 16)  # known to vary over the map
    ds["T_b"] = (ds["T_b"].dims, width * rng.normal(size=ds["T_b"].shape), ds["T_b"].attrs)
    samples = width * rng.normal(size=(ds.sizes["sample"], 8, 1, 16, 16))
    task = Translate(inputs=["density"], targets=["T_b"])
    curves = by_spread(ds, task.interpret({"samples": samples}, ds.drop_vars("T_b")), "T_b")
    spread, error = curves["T_b.spread"].values, curves["T_b.error"].values
    assert len(spread) == LEVELS
    pixels = ds["T_b"].size
    assert np.mean(spread**2) == pytest.approx(np.mean(error**2), rel=6 * np.sqrt(2 / pixels))
    assert error[-1] > 4 * error[0]
