"""The scorecard: known scores, the counts behind them, floors and baselines beside, JSON without NaN."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, UsageError
from skyloom.evaluate import scores
from skyloom.evaluate.bootstrap import clustered
from skyloom.evaluate.conformal import Conformal
from skyloom.evaluate.scorecard import as_json, scorecard, spread
from skyloom.tasks.prediction import prediction

NAMES = ["r2", "rmse", "bias", "correlation", "chi2", "coverage_68", "coverage_95"]


def make(n=240, K=30, *, noise=0.1, sd=0.1, draws=0, seed=0, side="validation", names=NAMES):
    rng = np.random.default_rng(seed)
    scale = np.array([1, 20])
    truth = np.random.default_rng(9).normal(size=(n, 2)) * scale
    coords = {
        "sample": np.arange(n).astype(str),
        "group": ("sample", (np.arange(n) * K // n).astype(str)),
        "x_HI": ("sample", truth[:, 0]),
        "R": ("sample", truth[:, 1]),
    }
    # The posterior of a truth N(0, 1) seen with noise; sd is that of the noise unless told.
    mean = (truth + noise * scale * rng.normal(size=truth.shape)) / (1 + noise**2)
    outputs = {"mean": mean, "sd": np.broadcast_to(sd * scale, truth.shape)}
    if draws:
        outputs["samples"] = mean[:, None] + sd * scale * rng.normal(size=(n, draws, 2))
    return prediction(
        outputs, xr.Dataset(coords=coords), units={"x_HI": "", "R": "Mpc"}, scores=names, side=side
    )


def test_scores_are_those_of_the_functions_with_counts_beside():
    p = make()
    card = scorecard(p, bootstrap=200, looks=3, seconds_per_sample=0.01)
    assert {
        key: card[key] for key in ("side", "samples", "groups", "leaky", "looks", "seconds_per_sample")
    } == {
        "side": "validation",
        "samples": 240,
        "groups": 30,
        "leaky": False,
        "looks": 3,
        "seconds_per_sample": 0.01,
    }
    for column, name in enumerate(["x_HI", "R"]):
        scored = card["parameters"][name]["scores"]
        assert list(scored) == NAMES
        for key, found in scored.items():
            assert found["value"] == pytest.approx(scores.evaluate(key, p)[column])
            assert found["low"] <= found["value"] <= found["high"]
            assert found["groups"] == 30 and found["samples"] == 240
    assert card["parameters"]["R"]["unit"] == "Mpc" and card["calibration"] == {}
    expected = clustered(lambda w: scores.evaluate("r2", p, w), p.group.values, draws=200)
    assert card["parameters"]["x_HI"]["scores"]["r2"]["low"] == pytest.approx(expected.low[0])


def test_baselines_and_floors_stand_beside():
    floor = make(noise=0.01).sel(parameter=["x_HI"])
    card = scorecard(make(), baselines={"mean": make(noise=0.5)}, floors={"label_noise": floor}, bootstrap=20)
    x_HI, R = card["parameters"]["x_HI"], card["parameters"]["R"]
    order = [x_HI["baselines"]["mean"], x_HI["scores"], x_HI["floors"]["label_noise"]]
    assert order[0]["r2"]["value"] < order[1]["r2"]["value"] < order[2]["r2"]["value"]
    assert R["floors"] == {} and set(R["baselines"]) == {"mean"}


def test_scores_without_an_error_are_left_out():
    p = make().drop_vars(["sd", "lower", "upper", "level"])
    assert list(scorecard(p, bootstrap=10)["parameters"]["x_HI"]["scores"]) == NAMES[:4]


def test_card_is_json_and_one_group_has_null_intervals():
    card = scorecard(make(K=1), bootstrap=10)
    text = json.dumps(card, allow_nan=False)
    r2 = json.loads(text)["parameters"]["x_HI"]["scores"]["r2"]
    assert r2["low"] is None and r2["high"] is None and r2["value"] > 0 and card["groups"] == 1


def test_equal_truths_have_no_r2():
    p = make()
    p["truth"].values[:] = 0.5
    assert scorecard(p, bootstrap=10)["parameters"]["x_HI"]["scores"]["r2"]["value"] is None


def test_repaired_intervals_show_the_raw_coverage_beside():
    p = make(sd=0.05)
    repaired = Conformal.fit(p).apply(p)
    card = scorecard(repaired, bootstrap=20)
    raw = card["calibration"]["raw"]["x_HI"]
    assert list(raw) == ["coverage_68", "coverage_95"]
    assert raw["coverage_68"]["value"] == pytest.approx(scores.evaluate("coverage_68", p)[0])
    assert card["intervals"] == "conformal"
    assert card["parameters"]["x_HI"]["scores"]["coverage_68"]["value"] > raw["coverage_68"]["value"] + 0.1


def test_posterior_samples_are_tested():
    calibration = scorecard(make(n=480, K=480, draws=50), bootstrap=20)["calibration"]
    assert calibration["sbc"]["draws"] == 50 and calibration["sbc"]["groups"] == 480
    for name in ("x_HI", "R"):
        assert sum(calibration["sbc"]["parameters"][name]["share"]) == pytest.approx(1)
        assert calibration["sbc"]["parameters"][name]["p_value"] > 0.001
    assert calibration["tarp"]["deviation"] < 0.1 and len(calibration["tarp"]["level"]) == 21


def test_wrong_predictions_are_refused():
    p = make()
    with pytest.raises(UsageError, match="unknown score 'mse'"):
        scorecard(p.assign_attrs(scores="r2 mse"))
    with pytest.raises(DataError, match="prediction 'mean' is of other samples"):
        scorecard(p, baselines={"mean": p.isel(sample=slice(None, None, -1))})
    with pytest.raises(DataError, match="no samples"):
        scorecard(p.isel(sample=[]))
    p["truth"].values[5, 1] = np.nan
    with pytest.raises(DataError, match="truth of 'R' is not finite for sample '5'"):
        scorecard(p)


def test_spread_over_seeds():
    cards = [scorecard(make(seed=s), baselines={"mean": make(noise=0.5)}, bootstrap=20) for s in range(3)]
    joined = spread(cards)
    seeds = joined["parameters"]["R"]["scores"]["rmse"]["seeds"]
    values = [card["parameters"]["R"]["scores"]["rmse"]["value"] for card in cards]
    assert seeds["values"] == values and seeds["mean"] == pytest.approx(np.mean(values))
    assert seeds["sd"] == pytest.approx(np.std(values, ddof=1))
    assert joined["parameters"]["R"]["baselines"]["mean"]["r2"]["seeds"]["sd"] == 0
    assert "seeds" not in cards[0]["parameters"]["R"]["scores"]["rmse"]
    assert spread(cards[:1])["parameters"]["R"]["scores"]["rmse"]["seeds"]["sd"] is None


def test_spread_refuses_runs_that_differ():
    cards = [
        scorecard(make(side=side, names=names), bootstrap=5)
        for side, names in (("test", ["r2"]), ("validation", ["r2"]), ("test", ["rmse"]))
    ]
    with pytest.raises(DataError, match=r"side is \['test', 'validation'\]"):
        spread(cards[:2])
    with pytest.raises(DataError, match=r"parameters.x_HI.scores"):
        spread(cards[::2])
    with pytest.raises(DataError, match="there is none"):
        spread([])


def test_as_json_walks_everything():
    values = {"a": (np.float32(1.5), [np.inf, None]), 3: np.bool_(True)}
    assert as_json(values) == {"a": [1.5, [None, None]], "3": True}
