"""A trained run as the judge of generated maps: it reads only simulations that it has not learnt from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from skyloom.api import rating, trained
from skyloom.errors import DataError, UsageError
from skyloom.fields import example
from skyloom.tasks.infer import Infer


@pytest.fixture
def judge(monkeypatch):
    """A run that answers the truth plus 1, and has learnt from the maps whose ids it is given."""

    def make(learnt):
        task = Infer(parameters=["HII_EFF_FACTOR"]).fit(example(groups=6).coords.to_dataset())

        def predict(ds):
            scaled = task.targets(ds.coords.to_dataset())
            unit = (
                task.targets(ds.coords.to_dataset().assign_coords(HII_EFF_FACTOR=ds["HII_EFF_FACTOR"] + 1))
                - scaled
            )
            outputs = {"mean": scaled + unit, "sd": np.abs(unit)}
            return task.interpret(outputs, ds.coords.to_dataset(), side="test")

        run = SimpleNamespace(
            task=task,
            predict=predict,
            split=SimpleNamespace(sides={"train": tuple(learnt), "validation": (), "test": ()}),
            folder=SimpleNamespace(read_json=lambda name: {"epochs": 3}),
        )
        monkeypatch.setattr(trained, "load_run", lambda path: run)

    return make


def test_simulations_that_the_judge_knows_are_left_out(judge):
    real, drawn = example(groups=6), example(groups=3, seed=1)
    own = real["sample"].values[real["group"].values == real["group"].values[0]]
    judge(own[:1])  # one map of the first simulation is enough to know it
    told = rating.read_by(Path("run"), real, drawn, ["HII_EFF_FACTOR", "other"])
    assert told["unseen"] == real.sizes["sample"] - len(own)
    assert (told["trained"], told["epochs"]) == (1, 3)
    for kind in ("real", "generated"):
        assert told[kind]["HII_EFF_FACTOR"]["bias"]["value"] == pytest.approx(1, rel=1e-4)
        assert told[kind]["HII_EFF_FACTOR"]["chi2"]["value"] == pytest.approx(1, rel=1e-4)


def test_a_judge_that_cannot_judge_is_refused(judge):
    real = example(groups=4)
    judge(real["sample"].values)
    with pytest.raises(DataError, match="every simulation"):
        rating.read_by(Path("run"), real, real, ["HII_EFF_FACTOR"])
    with pytest.raises(UsageError, match="reads none of sigma_8"):
        rating.read_by(Path("run"), real, real, ["sigma_8"])


def test_a_set_by_name_needs_a_source_that_has_sets():
    with pytest.raises(UsageError, match="'field_set' has no sets"):
        rating.source_of({"name": "field_set", "path": "web"}, "CV", "fixed")
    whole = {"name": "field_set", "path": "cv"}
    assert rating.source_of({"name": "cosmic_web", "set": "LH"}, whole, "fixed") == whole
