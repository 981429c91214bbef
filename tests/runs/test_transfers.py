"""Who was tested on what, read from run folders."""

from __future__ import annotations

from skyloom.runs import RunFolder
from skyloom.runs.transfers import own_suite, row_of, suites, with_variants

REAL, TOY = {"name": "shipped", "set": "real"}, {"name": "toy", "seed": 7}


def recipe(source, **more):
    listed = {"real": {"source": REAL}, "toy": {"source": TOY}}
    return {"name": "a", "data": {"source": source}, "transfer": listed, **more}


def card(value, *, leaky=False):
    return {"leaky": leaky, "parameters": {"x": {"scores": {"r2": {"value": value}}}}}


def test_a_run_and_its_variants_make_a_matrix(tmp_path):
    run = RunFolder.create(tmp_path / "a", recipe(REAL, variants={"other": {}, "absent": {}}))
    assert row_of(run, "a") is None
    run.write_json("evaluate/test/metrics.json", card(0.9))
    run.write_json("transfer/toy/metrics.json", card(0.5))
    child = RunFolder.create(tmp_path / "a/variants/other", recipe(TOY))
    child.write_json("evaluate/test/metrics.json", card(0.8, leaky=True))
    first, second = with_variants(run, "a")
    assert (first.label, first.suite, second.label, second.suite) == ("a", "real", "other", "toy")
    assert {name: c["parameters"]["x"]["scores"]["r2"]["value"] for name, c in first.cards.items()} == {
        "real": 0.9,
        "toy": 0.5,
    }
    assert list(second.cards) == ["toy"] and second.leaky
    assert suites([first, second]) == ["real", "toy"]


def test_a_suite_without_a_name_is_called_after_its_source():
    assert own_suite(recipe({"name": "camels", "path": "x"})) == "camels"
    assert own_suite({"data": {"source": TOY}}) == "toy"


def test_other_maps_of_the_own_source_are_a_suite_of_their_own():
    slices, columns = {"cut": "slice"}, {"cut": "slab", "depth": 0.1}
    data = {"source": REAL, "maps": slices}
    listed = {"columns": {"source": REAL, "maps": columns}, "real": {"source": REAL, "maps": None}}
    assert own_suite({"data": data, "transfer": listed}) == "real"
    assert own_suite({"data": {**data, "maps": columns}, "transfer": listed}) == "columns"
