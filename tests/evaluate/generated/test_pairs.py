"""A translation is judged pair by pair: known errors give known scores, and blur is seen as blur."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError
from skyloom.evaluate.generated import judge_pairs
from skyloom.fields.interventions import smooth


def translated(ds, values):
    return ds.assign(gas=(ds["gas"].dims, values, ds["gas"].attrs))


def score(card, key, who="generated"):
    row = card.row(f"gas.{key}")
    return (row["generated"] if who == "generated" else row["baselines"][who])["value"]


def test_perfect_scaled_and_blurred(real):
    gas = real["gas"].values
    perfect = judge_pairs(real, real, fields=["gas"], bootstrap=50)
    for key in ("ssim", "correlation", "r2", "total", "power_ratio", "coherence"):
        assert score(perfect, key) == pytest.approx(1.0, abs=1e-9), key
    scaled = judge_pairs(real, translated(real, 0.9 * gas), fields=["gas"], bootstrap=50)
    assert score(scaled, "total") == pytest.approx(0.9) and score(scaled, "power_ratio") == pytest.approx(
        0.81
    )
    assert score(scaled, "coherence") == pytest.approx(1.0) and score(scaled, "correlation") == pytest.approx(
        1.0
    )
    blurred = judge_pairs(real, translated(real, smooth(gas, 2.0)), fields=["gas"], bootstrap=50)
    # A blur keeps phases and totals and loses power; its gain falls within a bin, which costs some coherence.
    assert score(blurred, "coherence") > 0.9
    assert score(blurred, "total") == pytest.approx(1.0)
    assert score(blurred, "power_ratio") < 0.2 and score(blurred, "ssim") < 0.9


def test_coherence_of_added_noise(real):
    noise = np.random.default_rng(0).standard_normal(real["gas"].shape)
    gas = noise[::-1]  # white, so that signal and noise have one ratio at every k
    truth, other = (translated(real, x + 5.0) for x in (gas, gas + noise))
    card = judge_pairs(truth, other, fields=["gas"], bootstrap=50)
    # Equal parts: r = 1 / √2 and twice the power.
    assert score(card, "coherence") == pytest.approx(1 / np.sqrt(2), abs=0.02)
    assert score(card, "power_ratio") == pytest.approx(2.0, rel=0.05)
    low, high = (card.row("gas.coherence")["generated"][end] for end in ("low", "high"))
    assert low < score(card, "coherence") < high


def test_pixel_by_pixel_regression_knows_values_and_no_places(real, twin):
    inputs, truth = real[["delta"]], real[["gas"]]
    train = twin[["delta"]], twin[["gas"]]
    card = judge_pairs(truth, truth, inputs=inputs, train=train, bootstrap=50)
    # gas is delta^½ times 10 % of noise, which no regression can know.
    variance = float(real["gas"].var())
    noise = float((0.1 * real["gas"]).std() ** 2 + 0.01 * float(real["gas"].mean()) ** 2)
    assert score(card, "r2", "per_pixel") == pytest.approx(1 - noise / variance, abs=0.03)
    assert score(card, "r2", "constant") == pytest.approx(0.0, abs=0.05)
    assert score(card, "coherence", "constant") == 0 and score(card, "power_ratio", "constant") == 0
    assert card.numbers["constant_from"] == "train"
    # The truth leaves nothing of its error, itself it leaves all; without it there is no such score.
    assert score(card, "skill") == 1 and score(card, "skill", "per_pixel") == 0
    left = (1 - score(card, "r2", "constant")) / (1 - score(card, "r2", "per_pixel"))
    assert score(card, "skill", "constant") == pytest.approx(1 - left)
    assert judge_pairs(truth, truth, bootstrap=50).row("gas.skill") is None


def test_pairs_are_matched_by_sample(real, twin):
    mixed = real.isel(sample=np.random.default_rng(0).permutation(real.sizes["sample"])[:50])
    card = judge_pairs(real, mixed, fields=["gas"], bootstrap=50)
    assert score(card, "r2") == pytest.approx(1.0) and card.numbers["real"]["samples"] == 50
    with pytest.raises(DataError, match="share no sample id"):
        judge_pairs(real, twin)
