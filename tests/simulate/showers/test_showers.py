"""The simulator of showers as a component: sets, seeds, stops, trigger, and the way through XCDF."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skyloom import fields
from skyloom.api import make
from skyloom.errors import UsageError
from skyloom.fields import store
from skyloom.formats.xcdf import Xcdf, write_events
from skyloom.instruments.hawc import default_layout, detector_mask
from skyloom.simulate import running
from skyloom.simulate.showers import Showers

SMALL = {"events": 40, "energies": [1000.0, 10_000.0], "core_radius": 80.0, "per_shard": 40}


@pytest.fixture(scope="module")
def maps():
    showers = Showers(**SMALL)
    return showers.one(showers.design()[0])


@pytest.fixture(scope="module")
def table():
    showers = Showers(**SMALL, product="table")
    return showers.one(showers.design()[0])


def test_maps_and_table_tell_of_the_same_events(maps, table):
    fields.check(maps)
    fields.check_values(maps)
    fields.check(table)
    assert maps["charge"].shape[1:] == (40, 40) and table["nHit"].shape[1:] == (1, 1)
    assert maps["sample"].values.tolist() == table["sample"].values.tolist()
    for name in ("logNPE", "CxPE40", "zenith", "PINC"):
        np.testing.assert_allclose(table[name].values.ravel(), maps[name].values, rtol=1e-6)
    for name in ("energy", "species", "du_x", "true_core_y"):
        np.testing.assert_array_equal(table[name].values, maps[name].values)


def test_every_event_is_its_own_group(maps):
    assert len(set(maps["group"].values)) == maps.sizes["sample"] == len(set(maps["seed"].values))
    assert fields.class_names(maps, "species") == {1: "gamma", 14: "proton"}


def test_maps_hold_the_hits_that_the_table_counts(maps):
    hit = maps["hit"].values > 0
    # seven PMTs have no pixel
    missing = maps["nHit"].values - hit.sum(axis=(1, 2))
    assert ((missing >= 0) & (missing <= 7)).all()
    assert not (hit & ~detector_mask()).any()
    assert (maps["charge"].values[~hit] == -1).all() and (maps["time"].values[~hit] == 0).all()
    charge = np.where(hit, 10.0 ** maps["charge"].values, 0).sum(axis=(1, 2))
    # what is not shown is charge of those seven PMTs
    assert (charge <= 10 ** maps["logNPE"].values * (1 + 1e-5)).all()
    assert np.median(charge / 10 ** maps["logNPE"].values) > 0.98


def test_the_trigger_is_kept(maps):
    assert maps["nHit"].values.min() >= 28


def test_the_truth_lies_where_it_was_drawn(maps):
    assert maps["energy"].values.min() >= 1000 and maps["energy"].values.max() <= 10_000
    assert maps["theta"].values.max() <= 50
    centre = default_layout().position[:, :2].mean(axis=0)
    apart = np.hypot(maps["true_core_x"] - centre[0], maps["true_core_y"] - centre[1])
    assert apart.max() <= 80.5  # the middle is that of tanks, not of PMTs
    np.testing.assert_allclose(maps["log_energy"], np.log10(maps["energy"]))
    u = np.sin(np.radians(maps["theta"])) * np.cos(np.radians(maps["phi"]))
    np.testing.assert_allclose(maps["u_x"], u, atol=1e-12)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(maps):
    again, other = (Showers(**SMALL, seed=seed) for seed in (0, 1))
    assert maps.identical(again.one(again.design()[0]))
    assert not np.array_equal(other.one(other.design()[0])["charge"].values[:20], maps["charge"].values[:20])


@pytest.fixture
def in_process(monkeypatch):
    """Simulate in a thread of this process: starting another one takes longer than the showers."""
    monkeypatch.setattr(running, "_pool", lambda workers, fresh_after: ThreadPoolExecutor(1))


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_set(tmp_path, in_process):
    settings = {**SMALL, "per_shard": 14, "product": "table"}
    whole = Showers(**settings).simulate(tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(done, total):
        if done == 1:
            raise StopError

    with pytest.raises(StopError):
        Showers(**settings).simulate(tmp_path / "stopped", progress=stop)
    assert not (tmp_path / "stopped" / "manifest.json").exists()
    seen: list[tuple[int, int]] = []
    Showers(**settings).simulate(tmp_path / "stopped", progress=lambda *count: seen.append(count))
    assert seen[0][0] >= 1 and seen[-1] == (3, 3)
    first, second = (store.open(path).compute() for path in (whole, tmp_path / "stopped"))
    assert first.identical(second)


def test_events_go_through_xcdf_files_and_come_back(maps, tmp_path):
    write_events(tmp_path / "a.xcd", maps)
    back = Xcdf(path=str(tmp_path), product="maps", realism="semi-numerical").read().compute()
    np.testing.assert_array_equal(back["hit"].values, maps["hit"].values)
    hit = maps["hit"].values > 0
    # charges are written to 0.01 PE and times to 0.1 ns, both read to half of it
    apart = np.abs(10.0 ** back["charge"].values - 10.0 ** maps["charge"].values)[hit]
    assert apart.max() <= 0.0051 + 1e-5 * 10.0 ** maps["charge"].values.max()
    for name, exact in (("energy", 0.0), ("species", 0.0), ("true_core_x", 0.0501), ("du_y", 2e-4)):
        assert np.abs(back[name].values - maps[name].values).max() <= exact
    assert fields.class_names(back, "species") == {1: "gamma", 14: "proton"}
    assert set(maps.data_vars) == set(back.data_vars)


def test_dead_channels_see_nothing():
    dead = list(range(1, 5)) + list(range(100, 300))
    showers = Showers(**{**SMALL, "events": 10}, dead=dead)
    ds = showers.one(showers.design()[0])
    seen = ds["hit"].values.astype(bool)
    assert not (seen & ~detector_mask(dead)).any() and seen.any()
    assert (ds["detector"].values[0] == detector_mask(dead)).all()
    assert ds["fHit"].values.max() <= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"species": ["photon"]}, "photon"),
        ({"energies": [10.0, 5.0]}, "rising"),
        ({"zenith_max": 80.0}, "60 degrees"),
        ({"multiplicity": 2}, "multiplicity"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(UsageError) as error:
        Showers(**settings)
    assert words in str(error.value)


def test_the_registry_knows_it(tmp_path, in_process):
    made = make(
        {"name": "showers", "events": 6, "product": "table", "energies": [2000.0, 20_000.0]},
        tmp_path / "set",
        workers=1,
        progress="quiet",
    )
    assert store.open(made).sizes["sample"] <= 6
