"""The scorecard lets the real thing pass and catches each way of faking it by the test that should."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.errors import DataError, UsageError
from skyloom.evaluate.generated import judge
from skyloom.evaluate.generated.sample import gather

POWER, PDF = "delta.power_spectrum.power.sigma", "delta.pdf.pdf.sigma"
STATISTICS = ("pdf", {"name": "power_spectrum", "bins": 8})


def judged(real: xr.Dataset, generated: xr.Dataset, **settings):
    arguments = {
        "network": False,
        "splits": 5,
        "statistics": STATISTICS,
        "fields": ["delta"],
        "baselines": (),
    }
    return judge(real, generated, **(arguments | settings))


@pytest.fixture(scope="module")
def perfect(real, twin):
    return judged(
        real, twin, fields=None, statistics=(*STATISTICS, "coherence"), baselines=("gaussian", "shuffled")
    )


def test_another_set_of_the_same_law_is_at_the_floor(perfect):
    rows = perfect.numbers["rows"]
    found = [row["real"] for row in rows]
    assert found.count(False) <= 1  # one in twenty may stand outside by chance
    assert found.count(True) > 0.7 * len(found)
    for key in (POWER, PDF, "auc", "recall", "spread"):
        row = perfect.row(key)
        assert row["real"], row
        assert row["floor"]["low"] <= row["floor"]["value"] <= row["floor"]["high"]
    assert perfect.row("auc")["generated"]["value"] == pytest.approx(0.5, abs=0.15)
    assert perfect.row("spread")["generated"]["value"] == pytest.approx(1.0, abs=0.25)
    assert perfect.numbers["duplicates"] == {"real": 0.0, "generated": 0.0}


def test_baselines_pass_what_they_were_made_for_and_fail_the_rest(perfect):
    def excess(key, name):
        row = perfect.row(key)
        return row["baselines"][name]["value"] / row["floor"]["high"]

    assert excess(POWER, "gaussian") < 1.5 and excess(PDF, "gaussian") > 2
    assert excess(PDF, "shuffled") < 1.1 and excess(POWER, "shuffled") > 5
    # Two fields: the Gaussian keeps their cross power.
    assert excess("delta-gas.coherence.r.sigma", "gaussian") < 2
    for name in ("gaussian", "shuffled"):
        assert perfect.row("auc")["baselines"][name]["value"] > 0.9
        assert perfect.row("precision")["baselines"][name]["value"] < 0.5


def test_error_is_counted_in_units_of_the_sample_variance(real):
    # A fifth more contrast everywhere: 44 % more power in every bin, at every parameter.
    scaled = real.assign(delta=1.2 * real["delta"]).assign_attrs(real.attrs)
    scaled["delta"].attrs = real["delta"].attrs
    row = judged(real, scaled).row("delta.power_spectrum.power.percent")
    low, high = row["generated"]["low"], row["generated"]["high"]
    assert low < 44 < high and row["generated"]["value"] == pytest.approx(44, rel=0.25)
    assert not judged(real, scaled).row("delta.wasserstein")["real"]


def test_collapse_is_caught(real, twin):
    collapsed = twin.isel(sample=np.zeros(twin.sizes["sample"], dtype=int))
    collapsed = collapsed.assign_coords({name: twin[name] for name in twin.coords})
    card = judged(real, collapsed)
    assert card.row("spread")["generated"]["value"] < 0.01 and card.row("spread")["real"] is False
    assert card.numbers["duplicates"]["generated"] == 1.0
    assert card.row("recall")["generated"]["value"] < 0.1


def test_wrong_response_to_a_parameter_is_caught(real, twin, lognormal):
    # The law at large is right, and the parameter says nothing of the map.
    deaf = twin.assign_coords(A=("sample", twin["A"].values[::-1].copy(), twin["A"].attrs))
    row = judged(real, deaf).row("response.A")
    assert row["real"] is False and row["generated"]["value"] > 2 * row["floor"]["high"]
    assert judged(real, twin).row("response.A")["real"] is not False
    varied = [lognormal(40, seed=s, prefix=f"one{s}", theta=np.tile([0.5, 1.0], 20)) for s in (5, 6)]
    told = judged(real, twin, one_parameter=tuple(varied))
    assert told.row("response.A")["real"]


def test_copies_of_training_maps_are_caught_and_new_maps_are_not(real, twin, lognormal):
    train = lognormal(30, seed=3, prefix="train")
    moved = np.roll(np.rot90(train["delta"].values, axes=(1, 2)), (3, 11), (1, 2))[:, ::-1]
    copies = train.assign(delta=(train["delta"].dims, moved, train["delta"].attrs))
    verdict = judged(real, copies, train=train).numbers["memorisation"]
    assert verdict["memorised"] and verdict["copies"] == train.sizes["sample"]
    assert verdict["closer"]["value"] == 1.0
    assert all(pair["generated"] == pair["train"] for pair in verdict["nearest"])
    honest = judged(real, twin, train=train).numbers["memorisation"]
    assert not honest["memorised"] and honest["closer"]["low"] < 0.5 < honest["closer"]["high"]
    with pytest.raises(DataError, match="every real sample is of a group"):
        judged(real, twin, train=real)


def test_second_model_shows_what_comes_from_the_training_half(real, twin, lognormal):
    same = judged(real, twin, twin=twin).numbers["twin"]
    assert same["paired"] == twin.sizes["sample"] and same["correlation"] == pytest.approx(1.0)
    other = judged(real, twin, twin=lognormal(40, seed=7, prefix="other")).numbers["twin"]
    assert other["paired"] == 0 and other["correlation"] is None
    assert other["rows"][0]["key"] == "auc" and other["rows"][0]["real"]


def test_change_of_units_and_a_roll_change_nothing(real, twin):
    def moved(ds):
        values = 1e4 * np.roll(ds["delta"].values, (5, 9), (1, 2))
        return ds.assign(delta=(ds["delta"].dims, values, ds["delta"].attrs))

    before, after = judged(real, twin), judged(moved(real), moved(twin))
    for key in (POWER, PDF, "auc", "frechet", "spread"):
        first, second = (card.row(key)["generated"]["value"] for card in (before, after))
        assert second == pytest.approx(first, rel=1e-4, abs=1e-6), key


def events(seed: int, shift: float = 0.0) -> xr.Dataset:
    """Sixty showers of sixteen events: the number of hits, and a charge with an offset N(0, 1) a shower."""
    rng = np.random.default_rng(seed)
    offset = np.repeat(rng.standard_normal(60), 16)
    return fields.build(
        {
            "nHit": (rng.poisson(50.0, 960).astype(float), "", "channels hit"),
            "charge": (shift + offset + 0.1 * rng.standard_normal(960), "electron", "charge"),
        },
        ids=[f"{seed}-{i}" for i in range(960)],
        groups=np.repeat([f"{seed}-{i}" for i in range(60)], 16).tolist(),
        seeds=np.arange(960),
        box_size=300.0,
        box_size_unit="m",
        suite="showers",
        realism="toy",
    )


def test_events_are_judged_by_their_numbers():
    arguments = {"statistics": None, "fields": None}
    good = judged(events(1), events(2), **arguments)
    assert {row["of"] for row in good.numbers["rows"] if row["section"] == "statistics"} == {"nHit", "charge"}
    assert good.row("charge.mean.mean.sigma")["real"] is not False
    assert good.row("auc")["real"] is not False
    bad = judged(events(1), events(2, shift=3.0), **arguments)
    # Three units, at a spread of one between showers; thirty showers know either mean to 0.18.
    assert bad.row("charge.mean.mean.sigma")["generated"]["value"] == pytest.approx(3.0, abs=0.7)
    assert bad.row("charge.mean.mean.sigma")["real"] is bad.row("auc")["real"] is False
    assert bad.row("nHit.mean.mean.sigma")["real"] is not False
    # Every event is in one bin of the PDF, or beyond its ends.
    pdf = good.curves["nHit.pdf.pdf"].sel(ensemble="real")
    width = np.diff(pdf["nHit.pdf.pdf.value"].values).mean()
    assert float(pdf.sum() * width) == pytest.approx(1.0, abs=0.005)
    hits = events(1).assign(hit=(("sample", "channel"), np.ones((960, 3))))
    with pytest.raises(DataError, match="holds the channels of its events"):
        judged(hits, events(2), **arguments)


def test_large_sets_are_thinned(real):
    assert len(gather(real, ["delta"], [], maximum=10, seed=0)) == 10


def test_what_cannot_be_compared_is_refused(real, twin):
    with pytest.raises(DataError, match="'delta' is in '' in the real set and in 'K'"):
        wrong = twin.copy()
        wrong["delta"].attrs = {**twin["delta"].attrs, "units": "K"}
        judged(real, wrong)
    with pytest.raises(DataError, match="boxes"):
        judged(real, twin.assign_attrs(box_size=128.0))
    with pytest.raises(DataError, match="has 2 groups"):
        judged(real.isel(sample=slice(0, 4)), twin)
    with pytest.raises(UsageError, match="no baseline 'median'"):
        judged(real, twin, baselines=("median",))
    with pytest.raises(UsageError, match="splits is 1"):
        judged(real, twin, splits=1)
    with pytest.raises(UsageError, match="parameter 'B'"):
        judged(real, twin, parameters=["B"])
    with pytest.raises(UsageError, match="is one of a event"):
        judged(real, twin, statistics=["event_observables"])
