"""The scorecard of classes: every number in its place, clustered, beside baselines, joined over seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, UsageError
from skyloom.evaluate.probabilities import tempered
from skyloom.evaluate.repair import fit_repair
from skyloom.evaluate.scorecard import scorecard, spread
from skyloom.tasks.classes import class_prediction

CLASSES = ["none", "diffusing", "streaming"]
SCORES = ["balanced_accuracy", "accuracy", "one_vs_rest", "log_loss", "ece", "coverage_90", "set_size_90"]


def make(K=40, m=6, sharpness=3.0, temperature=1.0, seed=0, side="test") -> xr.Dataset:
    """K groups of one class each; maps of a group share half of what misleads them."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(K) % 3, m)
    noise = np.repeat(rng.normal(size=(K, 3)), m, axis=0) + rng.normal(size=(K * m, 3))
    logits = sharpness * np.eye(3)[truth] + noise
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = xr.Dataset(
        coords={
            "sample": [f"s{i}" for i in range(K * m)],
            "group": ("sample", [f"g{i // m}" for i in range(K * m)]),
        }
    )
    outputs = {"mean": tempered(probability, temperature)}
    return class_prediction(
        outputs, table, truth, classes=CLASSES, target="transport", scores=SCORES, side=side
    )


def test_every_number_in_its_place():
    p, majority = make(), make()
    majority["probability"].values[:] = [0.4, 0.3, 0.3]
    card = scorecard(p, baselines={"majority": majority}, bootstrap=200, looks=1)
    assert json.loads(json.dumps(card)) == card
    assert (card["headline"], card["samples"], card["groups"]) == ("balanced_accuracy", 240, 40)
    entry = card["parameters"]["transport"]
    given, truth = p["probability"].values.argmax(axis=1), p["truth"].values
    accuracy = entry["scores"]["accuracy"]
    assert accuracy["value"] == pytest.approx((given == truth).mean())
    assert accuracy["low"] < accuracy["value"] < accuracy["high"] and 40 <= accuracy["effective"] < 200
    # Sets were not fitted: what they need is left out, not invented.
    assert "coverage_90" not in entry["scores"] and card["calibration"] == {}
    assert entry["baselines"]["majority"]["balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    # 14 of 40 groups are of the first class.
    assert entry["baselines"]["majority"]["accuracy"]["value"] == pytest.approx(14 / 40)
    counts = np.array(entry["confusion"]["counts"])
    assert counts.sum(axis=1).tolist() == [84, 78, 78] and np.trace(counts) == (given == truth).sum()
    assert np.sum(entry["confusion"]["share"], axis=1) == pytest.approx(np.ones(3))
    told = entry["classes"]["diffusing"]
    assert (told["samples"], told["groups"]) == (78, 13)
    assert told["scores"]["recall"]["value"] == pytest.approx(counts[1, 1] / 78)
    assert entry["reliability"]["noise"] > 0


def test_repair_stands_beside_what_it_repaired():
    repair = fit_repair(make(K=200, temperature=0.4, seed=1, side="validation"), (0.9,))
    card = scorecard(repair.apply(make(K=200, temperature=0.4)), bootstrap=50)
    raw, scores = card["calibration"]["raw"]["transport"], card["parameters"]["transport"]["scores"]
    assert card["intervals"] == "conformal" and card["calibration"]["temperature"] > 1
    assert scores["log_loss"]["value"] < raw["log_loss"]["value"] - 0.02
    assert scores["ece"]["value"] < raw["ece"]["value"]
    # 200 groups on either side: the coverage is known to about three points.
    assert scores["coverage_90"]["value"] == pytest.approx(0.9, abs=0.06)
    assert 1 <= scores["set_size_90"]["value"] < 3


def test_spread_over_seeds_joins_scores_and_leaves_matrices():
    cards = [scorecard(make(seed=seed), bootstrap=20) for seed in range(2)]
    joined = spread(cards)["parameters"]["transport"]
    values = [card["parameters"]["transport"]["scores"]["accuracy"]["value"] for card in cards]
    assert joined["scores"]["accuracy"]["seeds"]["values"] == values
    assert joined["classes"]["none"]["scores"]["recall"]["seeds"]["sd"] is not None
    assert joined["confusion"] == cards[0]["parameters"]["transport"]["confusion"]


def test_what_cannot_be_scored_is_refused():
    p = make()
    with pytest.raises(UsageError, match="unknown score 'r2'"):
        scorecard(p.assign_attrs(scores="r2"))
    with pytest.raises(DataError, match="'majority' is of other classes"):
        scorecard(p, baselines={"majority": p.assign_coords({"class": ["a", "b", "c"]})})
    with pytest.raises(DataError, match="'majority' is of other samples"):
        scorecard(p, baselines={"majority": p.isel(sample=slice(None, None, -1))})
    p["truth"].values[7] = -1
    with pytest.raises(DataError, match="class of sample 's7' is not known"):
        scorecard(p)


def test_one_group_has_no_interval():
    card = scorecard(make(K=1), bootstrap=20)
    score = card["parameters"]["transport"]["scores"]["accuracy"]
    assert score["low"] is None and score["effective"] is None
    assert card["parameters"]["transport"]["reliability"]["noise"] is None


def test_a_class_of_one_simulation_has_no_interval_of_its_recall():
    entry = scorecard(make(K=5), bootstrap=50)["parameters"]["transport"]  # two, two and one group
    recalls = [entry["classes"][name]["scores"]["recall"] for name in CLASSES]
    assert [recall["low"] is None for recall in recalls] == [False, False, True]
    assert recalls[2]["value"] is not None and entry["confusion"]["share_low"][2] == [None] * 3
