"""Classify: classes from codes and from bins, told by the train side alone; probabilities back by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields.transforms import ids_digest
from skyloom.tasks.classes import answers, summary_rows
from skyloom.tasks.classify import Classify

NAMES = '{"0": "MHD", "2": "diffusing", "4": "streaming"}'


def make_table(x_HI=(0.1, 0.3, 0.5, 0.7, 0.9), codes=(0.0, 2.0, 4.0, 2.0, 0.0)) -> xr.Dataset:
    n = len(x_HI)
    return xr.Dataset(
        coords={
            "sample": np.array([f"s{i}" for i in range(n)]),
            "group": ("sample", np.array([f"g{i // 2}" for i in range(n)])),
            "redshift": ("sample", np.full(n, np.nan)),
            "x_HI": ("sample", np.array(x_HI), {"role": "label", "units": ""}),
            "transport": (
                "sample",
                np.array(codes),
                {"role": "parameter", "units": "", "classes": NAMES},
            ),
        }
    )


def test_bins_make_classes_and_an_edge_belongs_to_the_class_above():
    task = Classify(label="x_HI", bins=[0.3, 0.7]).fit(make_table())
    assert task.columns == ["low", "mid", "high"]
    assert task.truth(make_table()).tolist() == [0, 1, 1, 2, 2]
    targets = task.targets(make_table())
    assert targets.dtype == np.float32 and targets.tolist()[1] == [0, 1, 0]
    assert task.digest == ids_digest(make_table()["sample"].values)


def test_bins_are_named_by_their_ranges_where_words_are_missing():
    task = Classify(label="x_HI", bins=[0.2, 0.4, 0.6]).fit(make_table())
    assert task.columns == ["below 0.2", "0.2 to 0.4", "0.4 to 0.6", "above 0.6"]
    named = Classify(label="x_HI", bins=[0.5], names=["ionised", "neutral"]).fit(make_table())
    assert named.columns == ["ionised", "neutral"]


def test_codes_have_the_names_of_the_field_set_in_their_order():
    task = Classify(label="transport").fit(make_table())
    assert task.columns == ["MHD", "diffusing", "streaming"]
    assert task.truth(make_table()).tolist() == [0, 1, 2, 1, 0]
    bare = make_table()
    del bare["transport"].attrs["classes"]
    assert Classify(label="transport").fit(bare).columns == ["0", "2", "4"]


def test_only_the_classes_of_the_train_side_are_learned_and_others_are_an_error():
    two = make_table(x_HI=(0.1, 0.2), codes=(0.0, 2.0))
    task = Classify(label="transport").fit(two)
    assert task.columns == ["MHD", "diffusing"]
    with pytest.raises(DataError, match=r"of sample 's2' is 4, a class that the train side does not have"):
        task.targets(make_table())
    # What is predicted for such a sample has no known truth.
    p = task.interpret({"mean": np.full((5, 2), 0.5)}, make_table())
    assert p["truth"].values.tolist() == [0, 1, -1, 1, 0]


def test_prediction_is_by_name_with_truth_where_it_is_known():
    task = Classify(label="x_HI", bins=[0.5]).fit(make_table())
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.6, 0.4]])
    p = task.interpret({"mean": probability}, make_table(), side="test", leaky=True)
    assert answers(p) == "classes" and p.attrs["target"] == "x_HI" and p.attrs["leaky"] == 1
    assert p["class"].values.tolist() == ["low", "high"] and p["truth"].values.tolist() == [0, 0, 1, 1, 1]
    assert p["probability"].values == pytest.approx(probability)
    assert p.attrs["scores"].split()[0] == "balanced_accuracy" and "coverage_95" in p.attrs["scores"]
    header, rows = summary_rows(p)
    assert header[0] == "class" and rows == [
        ("low", "60 %", "0.600", "40 %"),
        ("high", "40 %", "0.400", "60 %"),
    ]
    unknown = task.interpret({"mean": probability}, make_table().drop_vars("x_HI"))
    assert (unknown["truth"] == -1).all() and summary_rows(unknown)[1][0][-1] == "-"


def test_what_is_no_probability_is_refused():
    task = Classify(label="x_HI", bins=[0.5]).fit(make_table())
    with pytest.raises(DataError, match="probabilities of sample 's0'"):
        task.interpret({"mean": np.full((5, 2), 0.7)}, make_table())
    with pytest.raises(DataError, match="sample 's0'"):
        task.interpret({"mean": np.full((5, 2), np.nan)}, make_table())
    with pytest.raises(ShapeError, match=r"\(5, 2\) and \(5,\)"):
        task.interpret({"mean": np.full((5, 3), 1 / 3)}, make_table())
    with pytest.raises(UsageError, match="'mean' alone"):
        task.interpret({"mean": np.full((5, 2), 0.5), "sd": np.ones((5, 2))}, make_table())


def test_state_is_json_and_complete():
    for task in (
        Classify(label="x_HI", bins=[0.3, 0.7], levels=(0.9,)).fit(make_table()),
        Classify(label="transport", names=["a", "b", "c"]).fit(make_table()),
    ):
        again = Classify.from_state(json.loads(json.dumps(task.state())))
        assert again.state() == task.state() and again.columns == task.columns
        assert again.targets(make_table()).tolist() == task.targets(make_table()).tolist()
        assert again.score_names == task.score_names


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(DataError, match=r"5 values between 0.1 and 0.9: classes are whole numbers"):
        Classify(label="x_HI").fit(make_table())
    with pytest.raises(DataError, match=r"too few classes of 'x_HI': low 0, high 5 samples"):
        Classify(label="x_HI", bins=[0.05]).fit(make_table())
    with pytest.raises(DataError, match=r"too few classes of 'transport': MHD 2 samples"):
        Classify(label="transport").fit(make_table(x_HI=(0.1, 0.2), codes=(0.0, 0.0)))
    with pytest.raises(DataError, match=r"label 'x_Hi' is not in the table; did you mean 'x_HI'"):
        Classify(label="x_Hi", bins=[0.5]).fit(make_table())
    with pytest.raises(DataError, match=r"2 names for the 3 classes of 'transport'"):
        Classify(label="transport", names=["a", "b"]).fit(make_table())
    with pytest.raises(DataError, match=r"'x_HI' of sample 's1' is nan"):
        Classify(label="x_HI", bins=[0.5]).fit(make_table(x_HI=(0.1, np.nan, 0.5, 0.7, 0.9)))
    with pytest.raises(UsageError, match="not fitted"):
        Classify(label="x_HI", bins=[0.5]).targets(make_table())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bins": []}, r"bins are \[\]"),
        ({"bins": [0.7, 0.3]}, "edges must rise"),
        ({"bins": [0.5], "names": ["a", "b", "c"]}, "2 are needed"),
        ({"names": ["a", "a"]}, "each once"),
        ({"levels": (95,)}, "between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, text):
    with pytest.raises(UsageError, match=text):
        Classify(label="x_HI", **arguments)
