"""Task emulate: conditions in and out, and what cannot be undone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import DataError, UnitError, UsageError
from skyloom.fields.making import Label, build
from skyloom.tasks.drawable import masked, refuse_what_cannot_be_undone
from skyloom.tasks.emulate import Emulate, conditions_of

CLASSES = {0: "MHD", 3: "fast"}


@pytest.fixture
def table():
    return build(
        {"density": (np.ones((4, 4, 4), np.float32), "g / cm3", "density")},
        ids=list("abcd"), groups=list("abcd"), seeds=range(4), box_size=1.0, suite="demo", realism="toy",
        labels={
            "beta": Label([1.0, 3.0, 1.0, 3.0], "parameter", "", "plasma beta", 0.1, 10.0),
            "transport": Label([0, 0, 3, 3], "parameter", "", "transport", classes=CLASSES),
        },
    )  # fmt: skip


@pytest.fixture
def task(table):
    return Emulate(parameters=["beta"], label="transport").fit(table)


def test_conditions_are_standardised_numbers_and_one_column_a_class(task, table):
    assert task.columns == ["beta", "MHD", "fast"]
    # beta has mean 2 and sd 1 on the train side.
    assert task.targets(table).tolist() == [[-1, 1, 0], [1, 1, 0], [-1, 0, 1], [1, 0, 1]]
    points = conditions_of(table, task.names)
    assert points[3] == {"beta": 3.0, "transport": 3.0}
    np.testing.assert_array_equal(task.conditions(points), task.targets(table))


@pytest.mark.parametrize("given", ["fast", "3", 3, 3.0])
def test_a_class_goes_by_name_or_code(task, given):
    assert task.conditions([{"beta": 2.0, "transport": given}]).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"beta": 2.0}, "condition 'transport' is not given"),
        ({"beta": 2.0, "transport": "slow"}, "'transport' is 'slow'"),
        ({"beta": 2.0, "transport": 2}, "a class that was not trained on"),
        ({"beta": "high", "transport": 3}, "'beta' is 'high'"),
        ({"beta": 2.0, "transport": 3, "mach": 1}, "'mach' is no condition"),
    ],
)
def test_a_wrong_condition_is_named(task, point, message):
    with pytest.raises(UsageError, match=message):
        task.conditions([point])


def test_the_state_rebuilds_the_task(task, table):
    twin = Emulate.from_state(json.loads(json.dumps(task.state())))
    np.testing.assert_array_equal(twin.targets(table), task.targets(table))
    assert twin.digest == task.digest
    assert twin.words({"beta": 2.0, "transport": 3.0}) == "beta 2, fast"


def test_drawn_maps_are_a_field_set_in_which_every_map_is_its_own_group(task):
    new = task.table([{"beta": 2.0, "transport": "fast"}] * 3, first=5)
    new.attrs = {
        "fields": json.dumps({"density": {"units": "g / cm3", "long_name": "density"}}),
        "suite": "demo, emulated", "realism": "toy", "box_size": 1.0, "box_size_unit": "", "periodic": 1,
    }  # fmt: skip
    ds = task.interpret({"density": np.full((3, 4, 4), 2.5)}, new)
    fields.check(ds)
    assert ds["sample"].values.tolist() == [f"generated-{i:06d}" for i in (5, 6, 7)]
    assert len(set(ds["group"].values)) == 3
    assert ds["seed"].values.tolist() == [5, 6, 7]
    assert ds["density"].attrs["units"] == "g / cm3"
    assert fields.class_names(ds, "transport") == CLASSES
    assert (ds["transport"] == 3).all()


def test_an_emulator_may_have_no_conditions(table):
    task = Emulate().fit(table)
    assert task.targets(table).shape == (4, 0)
    assert task.words({}) == "no condition"


def test_what_is_taken_out_of_each_map_cannot_be_put_back(table):
    refuse_what_cannot_be_undone({"density": [{"name": "log10", "floor": 0.1}, {"name": "standardise"}]})
    with pytest.raises(UsageError, match="'equalise' of field 'density' takes knots, levels, count out"):
        refuse_what_cannot_be_undone({"density": [{"name": "equalise"}]})
    with pytest.raises(UsageError, match="each may stand once"):
        Emulate(parameters=["beta"], label="beta")
    with pytest.raises(DataError, match="'mach' is not in the table"):
        Emulate(parameters=["mach"]).fit(table)
    with pytest.raises(UsageError, match="is not fitted"):
        Emulate(parameters=["beta"]).targets(table)


def test_angles_are_given_by_cosine_and_sine(table):
    turned = table.assign_coords(phi=("sample", [0.0, 90.0, 350.0, -10.0], {"role": "label", "units": "deg"}))
    task = Emulate(parameters=["beta"], angles=["phi"]).fit(turned)
    assert task.names == ["beta", "phi"] and task.columns == ["beta", "cos phi", "sin phi"]
    found = task.targets(turned)
    np.testing.assert_allclose(found[:2], [[-1, 1, 0], [1, 0, 1]], atol=1e-6)
    # 350 degrees and -10 degrees are one direction.
    np.testing.assert_allclose(found[2, 1:], found[3, 1:], atol=1e-6)
    restored = Emulate.from_state(json.loads(json.dumps(task.state())))
    np.testing.assert_allclose(restored.conditions([{"beta": 2.0, "phi": 450}]), [[0, 0, 1]], atol=1e-6)
    with pytest.raises(DataError, match="'psi' is not in the table"):
        Emulate(angles=["psi"]).fit(turned)
    with pytest.raises(UnitError, match="rad"):
        Emulate(angles=["phi"]).fit(turned.assign_coords(phi=turned["phi"].assign_attrs(units="m")))


def test_masks_are_drawn_as_masks_and_nothing_where_there_is_none():
    rng = np.random.default_rng(0)
    hit, charge = rng.random((3, 8, 8)), rng.normal(size=(3, 8, 8))
    drawn = masked({"hit": hit, "charge": charge, "other": charge}, "hit", {"charge": -1.0})
    assert set(np.unique(drawn["hit"])) == {0.0, 1.0}
    assert np.array_equal(drawn["charge"][hit > 0.5], charge[hit > 0.5])
    assert (drawn["charge"][hit <= 0.5] == -1).all() and np.array_equal(drawn["other"], charge)
    # What is a mask already comes back as it is.
    again = masked(drawn, "hit", {"charge": -1.0})
    assert all(np.array_equal(again[name], maps) for name, maps in drawn.items())
    with pytest.raises(UsageError, match="mask names 'hits'"):
        masked(drawn, "hits", {})
    for wrong in ({"empty": {"charge": 0.0}}, {"mask": "hit", "empty": {"hit": 0.0}}):
        with pytest.raises(UsageError, match="mask is"):
            Emulate(**wrong)
    task = Emulate(mask="hit", empty={"charge": -1.0})
    assert Emulate(**{key: getattr(task, key) for key in ("mask", "empty")}).empty == {"charge": -1.0}
