"""The recipe of the cosmic-ray paper: its projections, the line that a user changes, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skyloom import api, fields
from skyloom.errors import DataError, LeakError
from skyloom.fields import store

SHIPPED = "{name: shipped, set: cosmic-rays-athena}"
SLABS = "{cut: slab, axis: [x], count: 6, depth: 0.0834, of: log_mean}"
SMALL = [
    "train={epochs: 1, threads: 1, batch_size: 16}",
    "method.net.widths=[4, 4]",
    "data.maps.count=12",
    "evaluate={baselines: [majority], bootstrap: 20}",
    "explain=[]",
    "variants={}",
]


@pytest.mark.slow
def test_a_network_of_slices_is_tested_on_projections_of_the_test_runs_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    listed = f"transfer={{projections: {{source: {SHIPPED}, maps: {SLABS}}}, own: {{source: {SHIPPED}}}}}"
    recipe = api.load_recipe("cosmic-rays-classify", [*SMALL, listed])
    assert list(recipe.foreign()) == ["projections"]
    folder = tmp_path / "run"
    api.train(recipe, folder, progress="quiet")
    api.evaluate(folder)
    api.transfer(folder)
    card = json.loads((folder / "transfer/projections/metrics.json").read_text())
    # Five test runs of two snapshots, six slabs each; the training runs have none of them.
    assert (card["groups"], card["samples"]) == (5, 60)
    run = api.load_run(folder)
    trained = {sample.split("-t")[0] for sample in run.split.sides["train"]}
    with fields_of(folder / "transfer/projections/predictions.nc") as prediction:
        assert not trained & set(prediction["group"].values.tolist())
    # The spectra by class are those of all ten runs, train and test together.
    with fields_of(folder / "evaluate/test/predictions.nc") as prediction:
        assert len(set(prediction["group"].values.tolist()) | trained) == 10


def fields_of(path):
    import xarray as xr

    return xr.open_dataset(path, engine="h5netcdf")


@pytest.mark.slow
def test_where_every_run_was_trained_on_its_projections_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    slab = "split={by: slab, axis: x, buffer: 0.0834, fractions: {train: 0.5, validation: 0.25, test: 0.25}}"
    listed = f"transfer={{projections: {{source: {SHIPPED}, maps: {SLABS}}}}}"
    recipe = api.load_recipe("cosmic-rays-classify", [*SMALL, slab, listed])
    api.train(recipe, tmp_path / "run", progress="quiet")
    api.evaluate(tmp_path / "run")
    with pytest.raises(DataError, match="no simulation is on the test side alone"):
        api.transfer(tmp_path / "run")


def test_single_slices_are_dealt_only_where_the_recipe_owns_up(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    dealt = "split={by: sample, fractions: {train: 0.6, validation: 0.2, test: 0.2}}"
    with pytest.raises(LeakError, match="leaky: true"):
        api.split(api.load_recipe("cosmic-rays-classify", [*SMALL, dealt]))


@pytest.mark.slow
def test_runs_of_ones_own_are_one_changed_line(tmp_path, monkeypatch):
    """Two classes that differ in contrast alone, two runs each, in a box whose side is not 1."""
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    names = [f"{kind}-{run}" for kind in ("calm", "rough") for run in (1, 2)]
    width = {"calm": 0.1, "rough": 0.6}
    cubes = np.stack([rng.lognormal(0, width[name.split("-")[0]], (16, 16, 16)) for name in names])
    transport = fields.Label(
        [0.0, 0.0, 1.0, 1.0], "parameter", "", "transport", classes={0: "calm", 1: "rough"}
    )
    ds = fields.build(
        {"density": (cubes.astype(np.float32), "", "gas density")}, ids=names, groups=names,
        seeds=np.arange(4), box_size=30.0, box_size_unit="", suite="own", realism="toy",
        labels={"transport": transport},
    )  # fmt: skip
    store.write(ds, tmp_path / "own")
    own = f"data.source={{name: field_set, path: {tmp_path / 'own'}}}"
    changes = [*SMALL, own, "evaluate={baselines: [{name: moments, moments: 2}], bootstrap: 20}"]
    api.train(api.load_recipe("cosmic-rays-classify", changes), tmp_path / "run", progress="quiet")
    entry = api.evaluate(tmp_path / "run")["parameters"]["transport"]
    # One number, the variance of the logarithm, tells them apart without a mistake.
    assert entry["baselines"]["moments"]["balanced_accuracy"]["value"] == 1.0
    assert sum(map(sum, entry["confusion"]["counts"])) == 24  # 12 slices of each of two held-out runs
