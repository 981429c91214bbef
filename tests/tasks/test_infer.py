"""Infer: standardisation on train alone, exact return to physical units, missing and broken labels named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, UsageError
from skyloom.fields.transforms import ids_digest
from skyloom.tasks.infer import Infer


def make_table(n: int = 50, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        coords={
            "sample": np.array([f"s{i}" for i in range(n)]),
            "group": ("sample", np.array([f"g{i // 5}" for i in range(n)])),
            "redshift": ("sample", rng.choice([7.0, 8.0], n)),
            "x_HI": ("sample", rng.random(n), {"role": "label", "units": ""}),
            "x_HI_slice": ("sample", rng.random(n), {"role": "label", "units": ""}),
            "R_BUBBLE_MAX": ("sample", 10 + 20 * rng.random(n), {"role": "parameter", "units": "Mpc"}),
        }
    )


def test_targets_have_mean_zero_and_sd_one_on_train_only():
    train, test = make_table(seed=0), make_table(seed=1)
    task = Infer(parameters=["x_HI", "R_BUBBLE_MAX"]).fit(train)
    y = task.targets(train)
    assert y.dtype == np.float32
    assert y.mean(axis=0) == pytest.approx([0, 0], abs=1e-6) and y.std(axis=0) == pytest.approx(
        [1, 1], rel=1e-6
    )
    expected = (test.x_HI.values - train.x_HI.values.mean()) / train.x_HI.values.std()
    assert task.targets(test)[:, 0] == pytest.approx(expected, abs=1e-6)
    assert task.digest == ids_digest(train["sample"].values)


def test_fit_leaves_the_task_itself_unfitted():
    task = Infer(parameters=["x_HI"])
    task.fit(make_table())
    with pytest.raises(UsageError, match="not fitted"):
        task.targets(make_table())


def test_physical_units_return_exactly():
    table = make_table()
    task = Infer(parameters=["R_BUBBLE_MAX"]).fit(table)
    y = task.targets(table).astype(float)
    p = task.interpret(
        {"mean": y, "sd": np.ones_like(y), "samples": np.repeat(y[:, None], 3, axis=1)},
        table,
        side="validation",
    )
    assert p["mean"].values == pytest.approx(p.truth.values, rel=1e-6)
    assert p.sd.values == pytest.approx(np.full_like(y, table.R_BUBBLE_MAX.values.std()))
    assert p.samples.values == pytest.approx(np.repeat(p.truth.values[:, None], 3, axis=1), rel=1e-6)
    assert p.unit.values.tolist() == ["Mpc"] and p.attrs["side"] == "validation"
    assert p.attrs["scores"].split() == [
        "r2",
        "rmse",
        "bias",
        "correlation",
        "chi2",
        "pull",
        "coverage_68",
        "coverage_95",
    ]


def test_prediction_follows_a_change_of_units():
    table = make_table()
    kpc = table.assign_coords(
        R_BUBBLE_MAX=("sample", 1000 * table.R_BUBBLE_MAX.values, table.R_BUBBLE_MAX.attrs)
    )
    y = {"mean": np.linspace(-1, 1, 50)[:, None], "sd": np.full((50, 1), 0.3)}
    mpc, other = (Infer(parameters=["R_BUBBLE_MAX"]).fit(t).interpret(y, t) for t in (table, kpc))
    for name in ("mean", "sd", "lower", "upper"):
        assert other[name].values == pytest.approx(1000 * mpc[name].values)


def test_state_is_json_and_rebuilds_the_task():
    table = make_table()
    task = Infer(parameters=["x_HI", "R_BUBBLE_MAX"], levels=(0.5, 0.9)).fit(table)
    again = Infer.from_state(json.loads(json.dumps(task.state())))
    assert np.array_equal(again.targets(table), task.targets(table))
    assert again.score_names[-2:] == ["coverage_50", "coverage_90"] and again.digest == task.digest
    assert again.units == {"x_HI": "", "R_BUBBLE_MAX": "Mpc"}


def test_missing_parameter_names_the_nearest_and_what_there_is():
    with pytest.raises(
        DataError, match=r"parameter 'xHI' is not in the table; did you mean 'x_HI'.*R_BUBBLE_MAX"
    ):
        Infer(parameters=["xHI"]).fit(make_table())


def test_label_that_is_not_finite_names_the_sample():
    table = make_table()
    table.x_HI.values[7] = np.nan
    with pytest.raises(DataError, match="label 'x_HI' of sample 's7' is nan; 1 of 50"):
        Infer(parameters=["x_HI"]).fit(table)


def test_constant_parameter_is_refused():
    table = make_table().assign_coords(x_HI=("sample", np.full(50, 0.3), {"role": "label"}))
    with pytest.raises(DataError, match=r"'x_HI' is 0.3 in all 50 train samples"):
        Infer(parameters=["x_HI"]).fit(table)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"parameters": []}, "at least one"),
        ({"parameters": ["x_HI", "x_HI"]}, "each once"),
        ({"parameters": ["x_HI"], "levels": (68,)}, "between 0 and 1"),
        ({"parameters": ["x_HI"], "levels": (0.9, 0.9)}, "stand once"),
    ],
)
def test_wrong_arguments_are_refused(arguments, text):
    with pytest.raises(UsageError, match=text):
        Infer(**arguments)
