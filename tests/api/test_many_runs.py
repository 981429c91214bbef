"""Sweeps and learning curves: many trainings of one recipe, gone on with where they were stopped."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from skyloom import api, fields
from skyloom.api import searching as sweeping
from skyloom.api.searching import Choice, Range, read_space
from skyloom.errors import Interrupted, UsageError
from skyloom.fields import store
from skyloom.recipe import load
from skyloom.splits import Split

RECIPE = """
recipe: 1
name: toy
data: {{source: {{name: field_set, path: {path}}}, fields: {{T_b: [standardise]}}}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.2, test: 0.2}}}}
task: {{name: infer, parameters: [x_HI]}}
method: {{name: mean_squared, net: {{name: resnet, width: 4, blocks: [1, 1]}}}}
train: {{epochs: 2, batch_size: 16, optimiser: {{name: adamw, lr: 3e-3}}}}
evaluate: {{baselines: [mean], bootstrap: 50}}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    store.write(fields.example(groups=20, per_group=4, size=16), folder / "set")
    (folder / "toy.yaml").write_text(RECIPE.format(path=folder / "set"))
    return load(folder / "toy.yaml")


def test_a_space_is_read_from_words():
    space = read_space(["a.lr=1e-4..1e-2:log", "b=1..4", "net.name=vgg,resnet", "c=0.5..1"])
    assert space == {
        "a.lr": Range(1e-4, 1e-2, log=True),
        "b": Range(1, 4, whole=True),
        "net.name": Choice(("vgg", "resnet")),
        "c": Range(0.5, 1.0),
    }


@pytest.mark.parametrize("told", ["a", "a=", "a=3", "a=2..1", "a=0..1:log", "a=x..1"])
def test_what_is_no_space_is_refused(told):
    with pytest.raises(UsageError, match=r"--over"):
        read_space([told])
    with pytest.raises(UsageError, match="nothing is to be searched"):
        read_space([])


def test_a_sweep_finds_the_better_rate_and_goes_on(recipe, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    space = read_space(["train.optimiser.lr=1e-9,1e-2"])
    folder = tmp_path / "search"
    tried = []
    real = sweeping.train

    def train(one, place, **options):
        tried.append((place.name, one.train.optimiser["lr"], options["resume"]))
        if len(tried) == 2:
            raise Interrupted("stopped")
        return real(one, place, **options)

    monkeypatch.setattr(sweeping, "train", train)
    with pytest.raises(Interrupted):
        api.sweep(recipe, folder, space, trials=4, progress="quiet")
    api.sweep(recipe, folder, space, trials=4, progress="quiet")
    assert tried[2][:2] == tried[1][:2]  # what was stopped is gone on with, in its folder
    assert all(resume for _, _, resume in tried)
    assert len(tried) == 5
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(row["state"] in ("COMPLETE", "PRUNED") for row in rows) == 4
    losses = {
        row["params_train.optimiser.lr"]: float(row["value"]) for row in rows if row["state"] == "COMPLETE"
    }
    if len(losses) == 2:
        assert losses["0.01"] < losses["1e-09"]
    assert load(folder / "best.yaml").train.optimiser["lr"] == 1e-2
    header, best, *_ = api.ranking(folder)
    assert header[1:] == ("validation loss", "train.optimiser.lr")
    assert float(best[2]) == 1e-2
    before = len(tried)
    api.sweep(recipe, folder, space, trials=4, progress="quiet")
    assert len(tried) == before  # enough are done
    with pytest.raises(UsageError, match="searches"):
        api.sweep(recipe, folder, read_space(["train.batch_size=8,16"]), trials=5, progress="quiet")


def test_a_hopeless_trial_is_ended_early():
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=1.0))
    trial = study.ask()
    watch = sweeping._Watch(trial)
    watch.log_metrics({"train/loss": 9.0, "epoch": 1})
    watch.log_metrics({"validation/loss": 0.5, "epoch": 1})
    with pytest.raises(optuna.TrialPruned):
        watch.log_metrics({"validation/loss": 2.0, "epoch": 2})


def test_a_curve_learns_from_nested_simulations_and_keeps_the_test_side(recipe, tmp_path):
    folder = api.curve(recipe, tmp_path / "curve", counts=[3, 12], progress="quiet")
    _, *rows = api.curve_rows(folder)
    assert [row[0] for row in rows] == ["3", "12"]
    splits = [Split.from_dict(api.load_run(folder / f"simulations-{n:04d}").split.to_dict()) for n in (3, 12)]
    groups = [{name.split("-")[0] for name in split.sides["train"]} for split in splits]
    assert [len(found) for found in groups] == [3, 12]
    assert groups[0] < groups[1]
    assert splits[0].sides["test"] == splits[1].sides["test"]
    assert splits[0].sides["validation"] == splits[1].sides["validation"]
    written = {path: path.stat().st_mtime_ns for path in Path(folder).glob("*/weights/*")}
    api.curve(recipe, folder, counts=[3, 12], progress="quiet")
    assert written == {path: path.stat().st_mtime_ns for path in Path(folder).glob("*/weights/*")}
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_says_what_it_cannot_do(recipe, tmp_path):
    with pytest.raises(UsageError, match="the train side has 12"):
        api.curve(recipe, tmp_path, counts=[13], progress="quiet")
    with pytest.raises(UsageError, match=r"train\.simulations is 13"):
        api.split(recipe.with_overrides({"train.simulations": 13}))


def test_fewer_simulations_are_drawn_by_the_seed():
    ids = tuple(f"s{n:02d}" for n in range(20))
    split = Split({"train": ids, "validation": ("v",), "test": ("t",)}, by="group")
    groups = {name: name for name in (*ids, "v", "t")}
    drawn = [set(split.with_fewer(groups, 10, seed).sides["train"]) for seed in range(50)]
    # Each stays in half of the draws: 25 ± 3.5.
    counts = np.array([sum(name in one for one in drawn) for name in ids])
    assert counts.mean() == 25
    assert ((counts > 12) & (counts < 38)).all()
