"""The convention: what is valid, every fault that is found, and the written form that says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.errors import FieldSetError, UsageError
from skyloom.fields import convention
from skyloom.fields.convention import check, check_values

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "field-set.md"


def unread(shape: tuple[int, ...]) -> da.Array:
    """A lazy array that fails when it is computed."""

    def fail(block_info=None):
        raise AssertionError("a map was read")

    return da.map_blocks(
        fail, chunks=tuple((n,) for n in shape), dtype="f4", meta=np.empty((0,) * len(shape), "f4")
    )


def with_attribute(name: str, value: object):
    return lambda ds: ds.assign_attrs({name: value})


def without_attribute(name: str):
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds = ds.copy()
        del ds.attrs[name]
        return ds

    return change


def with_coordinate(name: str, values: object, **attributes: object):
    return lambda ds: ds.assign_coords({name: xr.Variable("sample", np.asarray(values), attributes)})


def with_field_attribute(name: str, value: object):
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds = ds.copy()
        ds["T_b"] = ds["T_b"].assign_attrs({name: value})
        return ds

    return change


def with_label_attribute(name: str, value: object):
    return lambda ds: ds.assign_coords(x_HI=ds["x_HI"].assign_attrs({name: value}))


LABEL = {"role": "label", "units": "", "long_name": "a label"}

FAULTS = {
    "convention": (
        with_attribute("convention", "skyloom-0"),
        "'convention' is 'skyloom-0', allowed: 'skyloom-1'",
    ),
    "suite": (without_attribute("suite"), "attribute 'suite' is missing"),
    "realism": (with_attribute("realism", "simulatoin"), "did you mean 'simulation'"),
    "box size": (with_attribute("box_size", -1.0), "'box_size' is -1.0, allowed: more than 0"),
    "box size is text": (with_attribute("box_size", "128 Mpc"), "'box_size' is '128 Mpc', allowed: number"),
    "box size is true": (with_attribute("box_size", True), "'box_size' is True, allowed: number"),
    "box unit": (with_attribute("box_size_unit", "mK"), "'box_size_unit' is 'mK', allowed: a length"),
    "box unit per h": (with_attribute("box_size_unit", "Mpc/h"), "read as 'per hour'"),
    "periodic": (with_attribute("periodic", 2), "'periodic' is 2, allowed: 0 or 1"),
    "parent size": (with_attribute("parent_size", 0.0), "'parent_size' is 0.0, allowed: more than 0"),
    "provenance is text": (with_attribute("provenance", "made by hand"), "'provenance' is 'made by hand'"),
    "provenance lacks keys": (
        with_attribute("provenance", '{"seeds": []}'),
        "provenance has no inputs, code, steps",
    ),
    "no field": (lambda ds: ds.drop_vars(["T_b", "neutral_fraction"]), "there is no field"),
    "dimensions": (lambda ds: ds.rename(y="row"), r"the field 'T_b' has dimensions \('sample', 'row', 'x'\)"),
    "not square": (lambda ds: ds.isel(x=slice(3)), "maps are 4 × 3, allowed: squares"),
    "complex": (lambda ds: ds.assign(T_b=(ds["T_b"] * 1j).assign_attrs(ds["T_b"].attrs)), "type complex64"),
    "field unit": (
        with_field_attribute("units", "millikelvins"),
        "the field 'T_b': 'millikelvins' is not a unit",
    ),
    "field name": (with_field_attribute("long_name", ""), "the field 'T_b' has no long_name"),
    "rank": (with_field_attribute("rank", 3), "rank 3, allowed: 0"),
    "component": (with_field_attribute("rank", 1), "component None, allowed: x, y, z"),
    "no coordinate": (lambda ds: ds.drop_vars("group"), "the coordinate 'group' is missing"),
    "seed type": (with_coordinate("seed", [0.5] * 6), "'seed' has type float64, allowed: integer"),
    "axis": (with_coordinate("axis", ["w"] * 6), "'axis' holds 'w', allowed: 'x', 'y', 'z', ''"),
    "position": (
        with_coordinate("position", [0.0] * 5 + [200.0]),
        "'toy2-z9-s0' has position 200, allowed: 0 to 128",
    ),
    "thickness": (with_coordinate("thickness", [np.nan] * 6), "'toy0-z8-s0' and 5 more has thickness nan"),
    "ids": (with_coordinate("sample", list("aabcde")), "1 sample ids are not unique, e.g. 'a'"),
    "spatial coordinate": (lambda ds: ds.assign_coords(x=[0, 1, 2, 3]), r"'x' has dimensions \('x',\)"),
    "role": (with_label_attribute("role", "target"), "'x_HI' has role 'target', allowed: parameter, label"),
    "label unit": (
        with_label_attribute("units", None),
        "the coordinate 'x_HI': a unit must be text, found None",
    ),
    "label type": (with_coordinate("x_HI", [1] * 6, **LABEL), "'x_HI' has type int64, allowed: float"),
    "label NaN": (
        with_coordinate("x_HI", [0.1, np.nan, 0.2, 0.3, np.nan, 0.4], **LABEL),
        "'x_HI' is not finite for 'toy0-z9-s0' and 1 more",
    ),
    "half a range": (with_coordinate("x_HI", [0.5] * 6, **LABEL, low=0.0), r"prior range \[0.0, None\]"),
    "no range": (
        with_coordinate("HII_EFF_FACTOR", [30.0] * 6, **{**LABEL, "role": "parameter"}),
        r"prior range \[None, None\], allowed: numbers low < high",
    ),
    "outside the range": (
        with_coordinate("x_HI", [0.5] * 5 + [1.5], **LABEL, low=0.0, high=1.0),
        r"'x_HI' is 1.5 for 'toy2-z9-s0', outside its prior range \[0.0, 1.0\]",
    ),
}


@pytest.fixture(scope="module")
def toy() -> xr.Dataset:
    return fields.example(groups=3, per_group=2, size=4)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(toy: xr.Dataset, name: str) -> None:
    change, text = FAULTS[name]
    check(toy)
    with pytest.raises(FieldSetError, match=text):
        check(change(toy))


def test_all_faults_are_listed_at_once(toy: xr.Dataset) -> None:
    broken = toy.assign_attrs(realism="dream", periodic=7).drop_vars("group")
    with pytest.raises(FieldSetError) as caught:
        check(broken)
    assert "3 faults" in caught.value.message
    for text in ("'dream'", "'periodic' is 7", "'group' is missing"):
        assert text in caught.value.message


def test_a_label_may_have_no_range_and_float32_may_round(toy: xr.Dataset) -> None:
    check(with_coordinate("x_HI", [0.5] * 6, **LABEL)(toy))
    rounded = np.array([0.1] * 6, dtype=np.float32)  # a little more than 0.1
    check(with_coordinate("x_HI", rounded, **LABEL, low=0.0, high=0.1)(toy))


def test_check_reads_no_map() -> None:
    ds = fields.build(
        {"T_b": (unread((2, 4, 4)), "mK", "brightness")},
        ids=["a", "b"],
        groups=["a", "b"],
        seeds=[0, 1],
        box_size=1.0,
        suite="demo",
        realism="toy",
    )
    check(fields.add_step(fields.subset(ds, ["b"]), {"step": "look"}))
    with pytest.raises(AssertionError, match="a map was read"):
        check_values(ds)


@pytest.mark.parametrize("lazy", [False, True])
def test_nan_and_infinity_are_found_with_field_and_sample(toy: xr.Dataset, lazy: bool) -> None:
    ds = toy.copy(deep=True)
    ds["T_b"][1, 2, 3] = np.nan
    ds["neutral_fraction"][4, 0, 0] = np.inf
    ds = ds.chunk(sample=1) if lazy else ds
    with pytest.raises(FieldSetError) as caught:
        check_values(ds)
    assert "'T_b' of 'toy0-z9-s0'" in caught.value.message
    assert "'neutral_fraction' of 'toy2-z8-s0'" in caught.value.message
    ds = ds.assign(T_b=ds["T_b"] * np.nan)
    with pytest.raises(FieldSetError, match="and 1 more"):
        check_values(ds)


def test_build_gives_every_default() -> None:
    ds = fields.build(
        {"v": (np.ones((1, 2, 2)), "km/s", "")},
        ids=["a"],
        groups=["g"],
        seeds=[3],
        box_size=8,
        suite="demo",
        realism="toy",
        ranks={"v": (1, "x")},
        provenance={"seeds": [3]},
    )
    assert ds["v"].attrs == {"units": "km/s", "long_name": "v", "rank": 1, "component": "x"}
    assert [ds[c].item() for c in ("parent", "axis", "position", "thickness")] == ["a", "", 0.0, 8.0]
    assert np.isnan(ds["redshift"].item())
    assert fields.provenance(ds) == {"inputs": [], "code": {}, "seeds": [3], "steps": []}
    assert fields.parent_box(ds) == (8.0, True)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"groups": ["g"]}, r"2 ids, but 'group' has shape \(1,\)"),
        ({"labels": {"x_HI": fields.Label([0.5], "label")}}, r"'x_HI' has shape \(1,\)"),
        ({"fields": {"T_b": (np.ones((3, 2, 2)), "mK", "")}}, "field 'T_b' has 3 samples"),
        ({"fields": {"T_b": (np.ones((2, 2)), "mK", "")}}, r"field 'T_b' has shape \(2, 2\)"),
        ({"ranks": {"T": (1, "x")}}, "rank is given for 'T'"),
        ({"realism": "dream"}, "'realism' is 'dream'"),
    ],
)
def test_build_refuses_parts_that_do_not_fit(changed: dict, text: str) -> None:
    parts: dict = {
        "fields": {"T_b": (np.ones((2, 2, 2)), "mK", "")},
        "ids": ["a", "b"],
        "groups": ["a", "b"],
        "seeds": [0, 1],
        "box_size": 1.0,
        "suite": "demo",
        "realism": "toy",
        **changed,
    }
    with pytest.raises(FieldSetError, match=text):
        fields.build(parts.pop("fields"), **parts)


def test_subset_keeps_the_order_asked_for(toy: xr.Dataset) -> None:
    ids = ["toy2-z8-s0", "toy0-z9-s0"]
    part = fields.subset(toy, ids)
    assert part["sample"].values.tolist() == ids
    np.testing.assert_array_equal(part["T_b"].values, toy["T_b"].values[[4, 1]])
    check(part)
    with pytest.raises(FieldSetError, match=r"1 of 2 sample ids are not in the field set, e\.g\. 'nobody'"):
        fields.subset(toy, ["toy2-z8-s0", "nobody"])


def test_steps_add_up_and_leave_the_argument_alone(toy: xr.Dataset) -> None:
    before = toy.attrs["provenance"]
    after = fields.add_step(fields.add_step(toy, {"step": "one"}), {"step": "two", "width": 2.0})
    assert fields.provenance(after)["steps"][-2:] == [{"step": "one"}, {"step": "two", "width": 2.0}]
    assert toy.attrs["provenance"] == before
    with pytest.raises(UsageError, match="no name"):
        fields.add_step(toy, {"width": 2.0})
    with pytest.raises(UsageError, match="'one' is not JSON"):
        fields.add_step(toy, {"step": "one", "array": np.ones(2)})


def test_names(toy: xr.Dataset) -> None:
    assert fields.fields(toy) == ["T_b", "neutral_fraction"]
    assert fields.parameters(toy.drop_vars(["T_b", "neutral_fraction"]), "label") == ["x_HI", "x_HI_slice"]
    with pytest.raises(UsageError, match="did you mean 'label'"):
        fields.parameters(toy, "lable")


def test_toy_set_is_what_it_says() -> None:
    ds = fields.example(groups=8, per_group=6, size=16, seed=3)
    check(ds)
    check_values(ds)
    xr.testing.assert_identical(ds, fields.example(groups=8, per_group=6, size=16, seed=3))
    assert not np.array_equal(ds["T_b"], fields.example(groups=8, per_group=6, size=16, seed=4)["T_b"])
    own = ds["neutral_fraction"].mean(["y", "x"], dtype=np.float64)
    np.testing.assert_allclose(ds["x_HI_slice"], own, rtol=1e-12)
    # The mean of a map gives its neutral fraction away, as in a real simulation: something can be learnt.
    assert np.corrcoef(ds["T_b"].mean(["y", "x"]), ds["x_HI"])[0, 1] > 0.9
    by_group = ds.to_dataframe().reset_index().groupby("group")
    assert (by_group["seed"].nunique() == 1).all()
    assert (by_group["redshift"].nunique() == 2).all()
    assert len(np.unique(ds["T_b"].values.reshape(len(ds["sample"]), -1), axis=0)) == len(ds["sample"])
    for wrong in ({"groups": 0}, {"size": 4, "per_group": 9}):
        with pytest.raises(UsageError, match="cannot be made"):
            fields.example(**wrong)


def tables() -> dict[str, dict[str, str]]:
    """The tables of the page: heading -> first column -> second column."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `"):
            found.setdefault(heading, {})[cells[0].strip("`").replace('""', "")] = cells[1]
    return found


def test_page_and_code_say_the_same() -> None:
    page = tables()
    assert page["Attributes of the set"] == dict(convention.ATTRIBUTES)
    assert page["Attributes of windows"] == dict(convention.OPTIONAL_ATTRIBUTES)
    fields_on_page = dict(page["Attributes of a field"])
    assert "x" in fields_on_page.pop("component")
    assert fields_on_page == dict(convention.FIELD_ATTRIBUTES)
    assert page["Coordinates"] == dict(convention.COORDINATES)
    assert page["Attributes of a parameter or label"] == dict(convention.LABEL_ATTRIBUTES)
    assert tuple(page["Realism"]) == convention.REALISM
    assert tuple(page["Roles"]) == convention.ROLES
    assert tuple(page["Provenance"]) == convention.PROVENANCE
    layouts = [tuple(re.findall(r"\w+", dims)) for dims in page["Dimensions"]]
    assert tuple(layouts) == convention.LAYOUTS
    assert f"`{convention.CONVENTION}`" in PAGE.read_text(encoding="utf-8")


def test_page_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    assert blocks
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    check(names["ds"])
    assert json.loads(names["ds"].attrs["provenance"])["steps"]


CODES = {**LABEL, "classes": '{"0": "none", "2": "streaming"}'}


def test_codes_of_classes_have_names_and_no_range(toy: xr.Dataset) -> None:
    ds = with_coordinate("transport", [0.0, 2.0] * 3, **CODES)(toy)
    check(ds)
    assert fields.class_names(ds, "transport") == {0: "none", 2: "streaming"}
    assert fields.class_names(ds, "x_HI") == {}
    label = fields.Label([0, 1], "parameter", "", "transport", classes={0: "none", 1: "streaming"})
    built = fields.build(
        {"T_b": (np.ones((2, 4, 4)), "mK", "brightness")},
        ids=["a", "b"], groups=["a", "b"], seeds=[0, 1], box_size=1.0, suite="demo", realism="toy",
        labels={"transport": label},
    )  # fmt: skip
    assert fields.class_names(built, "transport") == {0: "none", 1: "streaming"}


@pytest.mark.parametrize(
    ("values", "classes", "text"),
    [
        ([0.0, 1.0] * 3, CODES["classes"], "is 1 for 'toy0-z9-s0' and 2 more, allowed: 0, 2"),
        ([0.0] * 6, '["none"]', "allowed: a JSON object"),
        ([0.0] * 6, '{"0": "none", "1": "none"}', "each with its own name"),
        ([0.0] * 6, '{"0": "none", "half": "streaming"}', "whole numbers"),
    ],
)
def test_wrong_codes_are_named(toy: xr.Dataset, values: list, classes: str, text: str) -> None:
    with pytest.raises(FieldSetError, match=text):
        check(with_coordinate("transport", values, **{**LABEL, "classes": classes})(toy))
