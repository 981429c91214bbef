"""Loading: complete recipes, and every mistake with its line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skyloom import recipe, registry
from skyloom.errors import RecipeError
from skyloom.recipe import text
from skyloom.registry import catalogue

Write = Callable[[str], Path]


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe.load(path, overrides)
    return str(caught.value).replace(str(path), "tiny.yaml")


def test_every_default_is_written_out(recipe_file: Write, minimal: str) -> None:
    resolved = recipe.load(recipe_file(minimal)).resolved()
    assert resolved["data"] == {
        "source": {"name": "box", "path": "a.h5", "scale": 1.0},
        "maps": None,
        "select": {},
        "balance": None,
        "coarse": {},
        "fields": {"T_b": [{"name": "plain"}]},
    }
    assert resolved["split"] == {"by": "group", "fractions": {"train": 0.5, "test": 0.5}, "seed": 0}
    assert resolved["method"] == {"name": "learn", "net": {"name": "small", "width": 8}}
    assert resolved["train"]["optimiser"] == {"name": "adamw", "lr": 0.001}
    assert resolved["train"]["checkpoint_every"] == 200
    assert resolved["evaluate"] == {"baselines": [], "statistics": [], "bootstrap": 1000, "seed": 0}
    assert list(resolved) == list(recipe.Recipe.model_fields)


def test_yaml_of_a_complete_recipe_gives_the_identical_recipe(recipe_file: Write, minimal: str) -> None:
    full = """
    train: {optimiser: {name: adamw, lr: 3e-5}, gradient_clip: .inf, devices: auto, augment: [roll]}
    explain: [look, {name: look, widths: [0, 1]}]
    variants: {a: {method.net.name: large}, b: {data.fields: {T_b: [shift]}}}
    """
    first = recipe.load(recipe_file(minimal + full.replace("\n    ", "\n")))
    again = recipe.load(recipe_file(first.to_yaml()))
    assert again == first
    assert again.to_yaml() == first.to_yaml()
    assert again.digest() == first.digest()
    assert first.with_overrides({"train.seed": 1}).digest() != first.digest()


def test_overrides_apply_in_order(recipe_file: Write, minimal: str) -> None:
    path = recipe_file(minimal + "explain: [{name: look, steps: 2}]\n")
    loaded = recipe.load(
        path, ["explain.0.steps=8", "method.net.width=3", "train.optimiser.lr=1e-2", "split.seed=4"]
    )
    assert loaded.explain == [{"name": "look", "steps": 8, "widths": [0.0]}]
    assert loaded.method["net"] == {"name": "small", "width": 3}
    assert loaded.train.optimiser["lr"] == 0.01
    assert loaded.split["seed"] == 4
    changed = recipe.load(path, ["method.net.width=3", "method.net.name=large"])
    assert changed.method["net"] == {"name": "large", "widths": [1, 2]}, (
        "the old net's arguments went with it"
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: tiny", "nmae: tiny", "tiny.yaml:2: nmae: unknown key (did you mean 'name'?"),
        (
            "method: learn",
            "method: lern",
            "tiny.yaml:9: method: no method is called 'lern'\n  → did you mean 'learn'?",
        ),
        ("[plain]", "[plain, plian]", "tiny.yaml:6: data.fields.T_b.1: no transform is called 'plian'"),
        (
            "[plain]",
            "\n    - plain\n    - {name: shift,\n       bye: 3}",
            "tiny.yaml:9: data.fields.T_b.1.bye: unknown key",
        ),
        ("path: a.h5", "path: 3", "tiny.yaml:4: data.source.path: must be text, not 3"),
        (", path: a.h5", "", "tiny.yaml:4: data.source.path: is missing"),
        ("recipe: 1", "recipe: 2", "tiny.yaml:1: recipe: must be 1, not 2"),
        ("name: tiny", "name: a/b", "tiny.yaml:2: name: must be text that matches"),
        ("split: {by: group}\n", "", "tiny.yaml:1: split: is missing\n  → write 'split' there"),
        (
            "split: {by: group}",
            "split: {name: group}",
            "tiny.yaml:7: split.by: is missing\n  → allowed: group, sample",
        ),
        (
            "split: {by: group}",
            "split: [group]",
            "tiny.yaml:7: split: must be a split: its name, or a mapping {by: ...}",
        ),
        (
            "fields:\n    T_b: [plain]",
            "fields: {}",
            "tiny.yaml:5: data.fields: must be a mapping of length 1 or more",
        ),
        (
            "method: learn",
            "method: {name: learn, size: 3}",
            "method.size: comes from the data and cannot be written",
        ),
        (
            "method: learn",
            "method:\n  name: learn\n  net:\n    name: small\n    widht: 2",
            "tiny.yaml:13: method.net.widht",
        ),
        ("  fields:", "  maps: {cut: slab}\n  fields:", "tiny.yaml:5: data.maps: a slab needs a 'depth'"),
        (
            "  fields:",
            "  maps: {cut: slize}\n  fields:",
            "data.maps.cut: must be 'slice', 'slab' or 'crop', not 'slize'\n  → did",
        ),
        ("  fields:", "  maps: {cut: crop}\n  fields:", "tiny.yaml:5: data.maps: a crop needs a 'size'"),
        (
            "  fields:",
            "  maps: 3\n  fields:",
            "tiny.yaml:5: data.maps: must be a mapping (key: value), not 3",
        ),
        (
            "  fields:",
            "  select: {x: [2, 1]}\n  fields:",
            "data.select.x: the lower end 2.0 is above the upper end 1.0",
        ),
        (
            "  fields:",
            "  select: {x: [2]}\n  fields:",
            "data.select.x: an interval [low, high] of two numbers, or names of classes, is wanted",
        ),
        (
            "  fields:",
            "  select: {x: [MHD, 2]}\n  fields:",
            "data.select.x: an interval [low, high] of two numbers, or names of classes, is wanted",
        ),
        (
            "method: learn",
            "method: learn\ntrain: {epochs: 1e1}",
            "tiny.yaml:10: train.epochs: must be a whole number, not 10.0",
        ),
        ("method: learn", "method: learn\ntrain: {epochs: 0}", "train.epochs: must be at least 1, not 0"),
        (
            "method: learn",
            "method: learn\ntrain: {devices: al}",
            "train.devices: must be a whole number or 'auto', not 'al'",
        ),
        ("method: learn", "method: learn\ntrain: {ema: 1}", "train.ema: must be less than 1.0, not 1"),
        (
            "method: learn",
            "method: learn\nvariants: {a: {trian.epochs: 3}}",
            "tiny.yaml:10: variants.a.trian.epochs: unknown key",
        ),
        (
            "method: learn",
            "method: learn\nvariants:\n  a:\n    explain.0.x: 1",
            "tiny.yaml:12: variants.a.explain.0.x: ",
        ),
        (
            "method: learn",
            "method: learn\nvariants:\n  a:\n    data.fields:\n      T_b: [shift,\n        plian]",
            "tiny.yaml:14: variants.a.data.fields.T_b.1: no transform is called 'plian'",
        ),
        (
            "method: learn",
            "method: {name: learn, net: absent}",
            "tiny.yaml:9: method.net: net 'absent' of package 'toys' cannot be",
        ),
    ],
)
def test_each_mistake_has_its_line_and_plain_words(
    recipe_file: Write, minimal: str, old: str, new: str, expected: str
) -> None:
    assert minimal.count(old) == 1
    said = message(recipe_file(minimal.replace(old, new)))
    assert expected in said
    for jargon in ("pydantic", "type=", "input_value", "validation error", "function-plain"):
        assert jargon not in said


def test_all_mistakes_are_told_at_once(recipe_file: Write, minimal: str) -> None:
    broken = minimal.replace("name: tiny", "nmae: tiny").replace("path: a.h5", "path: 3")
    allowed = ", ".join(sorted(recipe.Recipe.model_fields))
    assert message(recipe_file(broken)).splitlines() == [
        "tiny.yaml:1: name: is missing (write 'name' there)",
        "tiny.yaml:4: data.source.path: must be text, not 3",
        f"tiny.yaml:2: nmae: unknown key (did you mean 'name'? allowed: {allowed})",
    ]


def test_a_mistake_in_an_override_names_the_override(recipe_file: Write, minimal: str) -> None:
    path = recipe_file(minimal)
    assert message(path, "train.epochs=many").startswith(
        "--set train.epochs=many: train.epochs: must be a whole number"
    )
    assert message(path, "trian.epochs=3").splitlines()[0] == "--set trian.epochs=3: trian: unknown key"
    assert message(path, "explain.0.steps=3").startswith("--set explain.0.steps")
    assert message(path, "data.fields.T_b.4=plain").startswith(
        "--set data.fields.T_b.4=plain: data.fields.T_b.4: data.fields.T_b has no"
    )


def test_variants_are_children_without_children(recipe_file: Write, minimal: str) -> None:
    more = "variants: {easy: {split: {by: sample, leaky: true}, train.epochs: 2}}\n"
    parent = recipe.load(recipe_file(minimal + more))
    child = parent.variant("easy")
    assert child.split == {"by": "sample", "leaky": True, "seed": 0}
    assert (child.train.epochs, child.variants, child.name) == (2, {}, "tiny-easy")
    assert parent.with_overrides({"split.by": "sample", "split.leaky": True}).split == child.split
    with pytest.raises(RecipeError, match="tiny has no variant 'esay'") as caught:
        parent.variant("esay")
    assert "did you mean 'easy'?" in caught.value.hint


def test_changes_from_python_are_checked_as_well(recipe_file: Write, minimal: str) -> None:
    parent = recipe.load(recipe_file(minimal))
    with pytest.raises(RecipeError, match=r"split\.leaky: is missing"):
        parent.with_overrides({"split.by": "sample"})
    with pytest.raises(RecipeError, match="JSON values only"):
        parent.with_overrides({"train.seed": {1, 2}})


def test_files_that_cannot_be_read(tmp_path: Path, components: None) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(RecipeError, match="is a folder, not a recipe"):
        recipe.load(tmp_path / "folder.yaml")
    with pytest.raises(RecipeError, match="is not UTF-8"):
        recipe.load(tmp_path / "latin.yaml")
    for name in ("empty", "list"):
        with pytest.raises(
            RecipeError, match=f"{name}.yaml:1: a recipe is a mapping with the keys recipe, name, data"
        ):
            recipe.load(tmp_path / f"{name}.yaml")
    with pytest.raises(RecipeError, match="no recipe file and no template is called") as caught:
        recipe.load(tmp_path / "emtpy.yaml")
    assert "did you mean 'empty.yaml'?" in caught.value.hint
    with pytest.raises(RecipeError) as caught:
        recipe.load("reionisaton")
    assert "did you mean 'reionisation'?" in caught.value.hint


def test_a_file_goes_before_a_template_of_the_same_name(
    recipe_file: Write, minimal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe_file(minimal).rename(tmp_path / "reionisation")
    monkeypatch.chdir(tmp_path)
    assert recipe.load("reionisation").name == "tiny"


@pytest.mark.parametrize("name", recipe.templates())
def test_templates_name_only_components_that_are_declared(name: str) -> None:
    value = text.read(recipe.template_text(name), name).value
    assert value["recipe"] == 1
    assert {entry.name for entry in registry.entries("split")} >= {value["split"]["by"]}

    def named(part: object) -> set[str]:
        if isinstance(part, dict):
            own = {part["name"]} if "name" in part else set()
            return own.union(*(named(inner) for inner in part.values()))
        return set().union(*(named(inner) for inner in part)) if isinstance(part, list) else set()

    inner = {key: inner for key, inner in value.items() if key != "name"}
    assert named(inner) <= {entry.name for entry in catalogue.entries()}


@pytest.mark.parametrize("name", recipe.templates())
def test_templates_are_recipes_and_their_variants_too(name: str, tmp_path: Path) -> None:
    loaded = recipe.load(name)
    (tmp_path / "again.yaml").write_text(loaded.to_yaml(), encoding="utf-8")
    assert recipe.load(tmp_path / "again.yaml") == loaded
    for variant, changes in loaded.variants.items():
        child = loaded.variant(variant)
        assert child.split.get("leaky", False) is (child.split["by"] == "sample"), "only that one is leaky"
        # A variant of the fields sees other ones than the recipe, every other variant the same.
        assert (child.data.fields == loaded.data.fields) is ("data.fields" not in changes)


def test_unknown_template() -> None:
    with pytest.raises(RecipeError, match="no template is called 'x'"):
        recipe.template_text("x")


def test_recipes_import_no_torch() -> None:
    code = "import sys, skyloom.recipe; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )


def test_cells_name_a_stored_set_only_where_they_are_used():
    from skyloom.recipe.parts import Maps

    plain, coarse = Maps(cut="slice"), Maps(cut="slice", cells=32)
    assert "cells" not in plain.identity() and coarse.identity() == {**plain.identity(), "cells": 32}
    assert plain.identity().keys() == plain.model_dump().keys() - {"cells"}
    assert coarse.arguments()["cells"] == 32
