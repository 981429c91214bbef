"""The task translate: what it refuses, what it gives, and in what it is judged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skyloom import fields, registry
from skyloom.errors import DataError, RecipeError, ShapeError, UsageError
from skyloom.fields.transforms import Pipeline, ids_digest
from skyloom.recipe.schema import check
from skyloom.registry import Faults
from skyloom.tasks.translate import Translate, judged_in, summary_rows

RECIPE = {
    "recipe": 1,
    "name": "a",
    "data": {
        "source": {"name": "shipped", "set": "cosmic-rays-athena"},
        "fields": {"density": [], "E_c": []},
    },
    "split": {"by": "group", "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25}},
    "task": {"name": "translate", "inputs": ["density"], "targets": ["E_c"]},
    "method": {"name": "regression"},
}


@pytest.fixture
def ds():
    return fields.example(groups=2, per_group=1, size=8)


def test_a_recipe_knows_what_goes_in_and_what_comes_out():
    recipe = check(RECIPE)
    assert (recipe.inputs, recipe.targets) == (["density"], ["E_c"])


@pytest.mark.parametrize(
    ("inputs", "targets", "place", "text"),
    [
        (["density", "E_c"], ["E_c"], ("task", "targets", 0), "has only to copy it"),
        (["densty"], ["E_c"], ("task", "inputs", 0), "'densty' is not among data.fields"),
        (["density", "density"], ["E_c"], ("task", "inputs", 1), "'density' is named twice"),
    ],
)
def test_a_recipe_whose_fields_do_not_fit_is_refused_with_its_place(inputs, targets, place, text):
    wrong = RECIPE | {"task": {"name": "translate", "inputs": inputs, "targets": targets}}
    with pytest.raises(Faults) as caught:
        check(wrong)
    assert caught.value.problems[0].place == place and text in caught.value.problems[0].text
    assert caught.value.problems[0].hint


def test_a_field_without_a_role_is_refused():
    wrong = json.loads(json.dumps(RECIPE))
    wrong["data"]["fields"]["magnetic_energy"] = []
    with pytest.raises(Faults, match="'magnetic_energy' is neither among the inputs nor"):
        check(wrong)
    with pytest.raises(RecipeError, match="E_c"):
        check(RECIPE).with_overrides({"task.targets": ["density"]})


def test_the_task_itself_refuses_a_target_as_input():
    with pytest.raises(UsageError, match="HI is input and target, so it has only to be copied"):
        Translate(inputs=["density", "HI"], targets=["HI"])
    with pytest.raises(UsageError, match="targets are"):
        Translate(inputs=["density"], targets=[])
    with pytest.raises(UsageError, match="not columns of the table"):
        Translate(inputs=["a"], targets=["b"]).targets(fields.example())


def test_a_translation_is_a_field_set_that_keeps_who_the_samples_are(ds):
    task = Translate(inputs=["T_b"], targets=["neutral_fraction"]).fit(ds)
    assert task.digest == ids_digest(ds["sample"].values)
    table = ds.drop_vars(list(ds.data_vars))
    maps = np.random.default_rng(0).random((ds.sizes["sample"], 1, 8, 8))
    about = {"neutral_fraction": {"units": "", "long_name": "neutral fraction", "rank": 0}}
    found = task.interpret({"mean": maps}, table, side="test", about=about)
    fields.check(found)
    np.testing.assert_array_equal(found["neutral_fraction"].values, maps[:, 0])
    assert found["group"].equals(ds["group"]) and found.attrs["box_size"] == ds.attrs["box_size"]
    assert fields.provenance(found)["steps"][-1]["step"] == "translate"
    assert summary_rows(found)[1] == [("neutral_fraction", f"{maps.mean():.4g}", f"{maps.max():.4g}")]
    again = Translate.from_state(json.loads(json.dumps(task.state())))
    assert again.state() == task.state()


def test_draws_leave_their_mean_their_sd_and_one_of_them(ds):
    task = Translate(inputs=["T_b"], targets=["neutral_fraction"])
    table = ds.drop_vars(list(ds.data_vars))
    n = ds.sizes["sample"]
    samples = np.zeros((n, 3, 1, 4, 4)) + np.array([1.0, 2.0, 6.0])[:, None, None, None]
    found = task.interpret({"samples": samples}, table)
    fields.check(found)
    # Mean 3; deviations -2, -1, 3: variance (4 + 1 + 9) / 2.
    assert (found["neutral_fraction"] == 3).all() and (found["neutral_fraction_draw"] == 1).all()
    np.testing.assert_allclose(found["neutral_fraction_sd"].values, 7**0.5)
    assert found.attrs["draws"] == 3 and "spread_error" in found.attrs["scores"]
    alone = task.interpret({"samples": samples[:, :1]}, table)
    assert "neutral_fraction_sd" not in alone and (alone["neutral_fraction"] == 1).all()
    assert "spread_error" not in task.interpret({"mean": samples[:, 0]}, table).attrs["scores"]


def test_what_is_no_translation_is_refused(ds):
    task = Translate(inputs=["T_b"], targets=["neutral_fraction"])
    table = ds.drop_vars(list(ds.data_vars))
    n = ds.sizes["sample"]
    with pytest.raises(ShapeError, match="expected"):
        task.interpret({"mean": np.zeros((n, 2, 8, 8))}, table)
    with pytest.raises(UsageError, match="made of 'mean' or of 'samples'"):
        task.interpret({"mean": np.zeros((n, 1, 8, 8)), "sd": np.zeros(1)}, table)
    maps = np.zeros((n, 1, 8, 8))
    maps[1, 0, 3, 3] = np.nan
    with pytest.raises(DataError, match=f"'{ds['sample'].values[1]}' is not finite \\(1 of {n}\\)"):
        task.interpret({"mean": maps}, table)


@pytest.mark.parametrize("name", registry.names("transform"))
def test_what_comes_back_without_the_truth_is_judged_in_its_own_unit(name):
    """Contract over all transforms: physical if and only if the inverse needs nothing of the true map."""
    own = {
        "log10": {"floor": 0.1},
        "asinh": {"scale": 1.0},
        "filter_band": {"high": 2.0},
        "smooth": {"width": 1.0},
        "beam": {"fwhm": 60.0, "box": 300.0},
        "interferometer": {"redshift": 8.0, "box": 300.0, "depth": 3.0},
    }
    arguments = own.get(name, {})
    maps = np.random.default_rng(0).uniform(1, 2, (3, 8, 8))
    pipeline = Pipeline([{"name": name, **arguments}]).fit(lambda: iter([maps]), ["a"])
    given, _ = pipeline.apply(maps)
    if judged_in(pipeline.state()) == "physical":
        np.testing.assert_allclose(pipeline.inverse(given, {}), maps, rtol=1e-6)
    else:
        with pytest.raises(UsageError):
            pipeline.inverse(given, {})
