"""An emulator on a toy set: trained, judged, opened again, drawn from in parts, refused what it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import skyloom
from skyloom import api, fields
from skyloom.api import emulating, rating
from skyloom.cli import main
from skyloom.errors import DataError, UsageError
from skyloom.fields import store
from skyloom.recipe import load
from skyloom.training import load_weights

RECIPE = """
recipe: 1
name: toy
data:
  source: {{name: field_set, path: {path}}}
  fields: {{T_b: [standardise]}}
split: {{by: group, fractions: {{train: 0.5, validation: 0.125, test: 0.375}}, seed: 1}}
task: {{name: emulate, parameters: [HII_EFF_FACTOR], samples: 18, statistics: [{{name: pdf}}]}}
method: {{name: flow_matching, net: {{name: unet, width: 8, multiples: [1, 2]}}, steps: 2, solver: euler}}
train: {{epochs: 2, batch_size: 16, threads: 1, augment: [roll], ema: 0.9, draw_every: 2}}
"""


def recipe(path: Path, folder: Path, *changes: str):
    file = folder / "toy.yaml"
    file.write_text(RECIPE.format(path=path))
    return load(file, changes)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "set"
    store.write(fields.example(groups=16, per_group=4, size=8), folder)
    return folder


@pytest.fixture(scope="module")
def run(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return api.run(recipe(maps, folder), folder / "toy", progress="quiet")


def test_a_run_is_judged_beside_real_halves_and_baselines(run):
    metrics = json.loads((run / "evaluate/test/metrics.json").read_text())
    card = json.loads((run / "evaluate/test/scorecard.json").read_text())
    assert metrics["scorecard"] == card
    assert (metrics["generated"], metrics["samples"], metrics["groups"], metrics["looks"]) == (18, 24, 6, 1)
    assert card["seconds_per_sample"] > 0
    rows = {row["key"]: row for row in card["rows"]}
    # After two epochs the maps are still noise, and the classifier sees it.
    assert rows["auc"]["generated"]["value"] > 0.9
    assert set(rows["auc"]["baselines"]) == {"gaussian", "shuffled"}
    header, *table = api.headline(run)
    assert header[:4] == ("score", "of", "generated", "real halves")
    assert any(row[0].startswith("classifier") and row[-1] == "differs" for row in table)
    assert api.compare([run])[0]["auc"] == rows["auc"]["generated"]["value"]


def test_samples_of_the_training_are_those_of_its_weights_at_conditions_of_the_validation_side(run, maps):
    assert sorted(path.name for path in run.glob("samples/*")) == ["epoch_0002.nc", "epoch_0002.png"]
    with xr.open_dataset(run / "samples/epoch_0002.nc", engine="h5netcdf") as file:
        drawn = file.load()
    side = json.loads((run / "split.json").read_text())["sides"]["validation"]
    wanted = fields.subset(store.open(maps), side)["HII_EFF_FACTOR"].values
    assert set(drawn["HII_EFF_FACTOR"].values) <= set(wanted)
    trained = skyloom.load_run(run)
    load_weights(trained.method, run / "weights/last.safetensors")
    again = trained.sample([{"HII_EFF_FACTOR": value} for value in drawn["HII_EFF_FACTOR"].values])
    # A training keeps its maps in another order in memory, which rounds otherwise.
    assert np.allclose(again["T_b"].values, drawn["T_b"].values, rtol=1e-4, atol=1e-4)


def test_a_task_that_draws_nothing_has_no_samples_to_watch(maps, tmp_path):
    changes = ("task={name: infer, parameters: [HII_EFF_FACTOR]}", "method={name: moments}")
    with pytest.raises(UsageError, match=r"train\.draw_every is 2, and task 'infer' draws nothing"):
        api.train(recipe(maps, tmp_path, *changes), tmp_path / "run")


def test_the_samples_of_a_side_stand_at_the_conditions_of_its_real_maps(run, maps):
    drawn, real = store.open(run / "evaluate/test/samples"), store.open(maps)
    split = json.loads((run / "split.json").read_text())
    here = fields.subset(real, split["sides"]["test"])
    wanted = np.unique(here["HII_EFF_FACTOR"])
    assert set(drawn["HII_EFF_FACTOR"].values) == set(wanted)
    assert drawn["T_b"].attrs["units"] == real["T_b"].attrs["units"]
    with xr.open_dataset(run / "evaluate/test/examples.nc", engine="h5netcdf") as examples:
        assert examples["T_b"].sizes["point"] == rating.EXAMPLES
        # The first column of a row holds a real map of that very condition.
        first = examples["T_b"].sel(kind="real").isel(column=0).values
        assert all((here["T_b"].values == one).all(axis=(1, 2)).any() for one in first)


def test_the_page_and_the_card_tell_of_drawn_maps(run):
    page, card = (run / "report.html").read_text(), (run / "card.md").read_text()
    assert "Real and generated maps" in page and "Summary statistics" in page
    assert "Truth against prediction" not in page
    assert (run / "figures/drawn-T_b.png").stat().st_size > 10_000
    assert '.sample({"HII_EFF_FACTOR": ...}, n=64' in card
    assert "real against real" in card


def test_maps_come_back_in_the_units_of_the_field(run):
    opened = skyloom.load_run(run)
    ds = opened.sample({"HII_EFF_FACTOR": 20.0}, n=3, seed=4)
    fields.check(ds)
    about = opened.transforms.pipelines["T_b"].state()["states"][0]
    inside = (ds["T_b"].values - about["mean"]) / about["sd"]
    assert ds["T_b"].attrs["units"] == "mK"
    # The walk starts from noise of sd 1 in standardised units and the network has hardly moved it.
    assert 0.3 < inside.std() < 2


def test_a_map_follows_from_seed_and_number_alone(run):
    opened = skyloom.load_run(run)
    points = {"HII_EFF_FACTOR": [20.0, 30.0]}
    whole = opened.sample(points, n=2, seed=1)
    assert whole["HII_EFF_FACTOR"].values.tolist() == [20.0, 20.0, 30.0, 30.0]
    # Maps of equal seed and number are drawn alike, at whatever other points the rest are.
    again = opened.sample({"HII_EFF_FACTOR": [20.0, 40.0]}, n=2, seed=1)
    np.testing.assert_allclose(again["T_b"][:2], whole["T_b"][:2], rtol=1e-4, atol=1e-3)
    assert not np.allclose(opened.sample(points, n=2, seed=2)["T_b"], whole["T_b"])


def test_batches_are_halved_until_the_memory_suffices_and_change_no_map(run):
    emulator, sizes = skyloom.load_run(run), []
    whole = emulator.sample({"HII_EFF_FACTOR": [20.0, 30.0]}, 5, seed=2)
    enough = emulator.method.sample

    def small(conditions, **settings):
        sizes.append(len(conditions))
        if len(conditions) > 4:
            raise torch.OutOfMemoryError
        return enough(conditions, **settings)

    emulator.method.sample = small
    parts = emulator.sample({"HII_EFF_FACTOR": [20.0, 30.0]}, 5, seed=2)
    assert sizes[-3:] == [4, 4, 2]
    np.testing.assert_allclose(parts["T_b"], whole["T_b"], rtol=1e-4, atol=1e-3)


def test_a_drawing_that_was_stopped_goes_on_and_ends_with_the_same_maps(run, tmp_path, monkeypatch):
    monkeypatch.setattr(emulating, "SHARD", 3)
    whole = api.sample(run, {"HII_EFF_FACTOR": 20.0}, 7, tmp_path / "whole", seed=5)

    def stop(done, total):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.sample(run, {"HII_EFF_FACTOR": 20.0}, 7, tmp_path / "parts", seed=5, progress=stop)
    written = (tmp_path / "parts/shard-00000.nc").stat().st_mtime_ns
    assert not (tmp_path / "parts/manifest.json").exists()
    parts = api.sample(run, {"HII_EFF_FACTOR": 20.0}, 7, tmp_path / "parts", seed=5)
    assert (tmp_path / "parts/shard-00000.nc").stat().st_mtime_ns == written
    np.testing.assert_array_equal(store.open(parts)["T_b"], store.open(whole)["T_b"])
    # A set that was begun with another seed is not mixed with this one.
    with pytest.raises(DataError):
        api.sample(run, {"HII_EFF_FACTOR": 20.0}, 7, tmp_path / "parts", seed=6)


def test_the_verb_takes_conditions_or_a_table(run, tmp_path, capsys):
    out = str(tmp_path / "one")
    assert main(["sample", str(run), "--parameters", "HII_EFF_FACTOR=25", "-n", "2", "--out", out]) == 0
    assert store.open(tmp_path / "one")["HII_EFF_FACTOR"].values.tolist() == [25.0, 25.0]
    (tmp_path / "points.csv").write_text("# two points\nHII_EFF_FACTOR\n15\n35\n")
    words = ["--parameters", str(tmp_path / "points.csv"), "-n", "1", "--out", str(tmp_path / "two")]
    assert main(["sample", str(run), *words]) == 0
    assert store.open(tmp_path / "two")["HII_EFF_FACTOR"].values.tolist() == [15.0, 35.0]
    assert main(["sample", str(run), "--parameters", "zeta=1"]) == 2
    assert "'zeta' is no condition" in capsys.readouterr().err


def test_what_an_emulator_cannot_do_is_refused(run, maps, tmp_path):
    opened = skyloom.load_run(run)
    with pytest.raises(UsageError, match="answers for none"):
        opened.predict(store.open(maps))
    with pytest.raises(UsageError, match="different numbers of values"):
        opened.sample({"HII_EFF_FACTOR": [1.0, 2.0], "x": [1.0, 2.0, 3.0]})
    for change, message in (
        ("data.fields={T_b: [remove_mean, standardise]}", "takes mean out of each map"),
        ("evaluate.baselines=[mean]", "no use for evaluate.baselines"),
        ("method={name: moments}", "asks for ensembles"),
    ):
        with pytest.raises(UsageError, match=message):
            api.train(recipe(maps, tmp_path, change), tmp_path / "no", progress="quiet")
    with pytest.raises(DataError, match="a scorecard needs 4"):
        api.evaluate(run, "validation")
