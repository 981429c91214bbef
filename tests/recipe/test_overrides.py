"""Changes by dotted keys."""

from __future__ import annotations

from typing import Any

import pytest

from skyloom.errors import RecipeError
from skyloom.recipe import overrides

START = {
    "name": "x",
    "split": "group",
    "method": {"name": "learn", "net": "small"},
    "train": None,
    "explain": [{"name": "look", "steps": 1}, "look"],
}


@pytest.mark.parametrize(
    ("dotted", "new", "place", "after"),
    [
        ("name", "y", "name", "y"),
        ("explain.0.steps", 8, "explain", [{"name": "look", "steps": 8}, "look"]),
        ("explain.1.steps", 8, "explain", [{"name": "look", "steps": 1}, {"name": "look", "steps": 8}]),
        ("explain.0.name", "other", "explain", [{"name": "other"}, "look"]),
        ("explain.0.name", "look", "explain", [{"name": "look", "steps": 1}, "look"]),
        ("explain.0", "other", "explain", ["other", "look"]),
        ("method.net.width", 4, "method", {"name": "learn", "net": {"name": "small", "width": 4}}),
        ("method.name", "other", "method", {"name": "other"}),
        ("split.by", "sample", "split", {"by": "sample"}),
        ("split.seed", 3, "split", {"by": "group", "seed": 3}),
        ("train.optimiser.lr", 0.1, "train", {"optimiser": {"lr": 0.1}}),
        ("evaluate.seed", 1, "evaluate", {"seed": 1}),
    ],
)
def test_one_place_changes_and_the_start_does_not(dotted: str, new: Any, place: str, after: Any) -> None:
    before = repr(START)
    result = overrides.apply(START, dotted, new)
    assert result[place] == after
    assert {key: value for key, value in result.items() if key != place} == {
        key: value for key, value in START.items() if key != place
    }
    assert repr(START) == before


@pytest.mark.parametrize(
    ("dotted", "message", "hint"),
    [
        ("explain.2.steps", "explain has no item 2", "its last item is explain.1"),
        ("explain.first", "explain is a list of 2, 'first' is no index", "explain.0"),
        (
            "explain.0.steps.a",
            "explain.0.steps is 1, nothing can be set inside it",
            "set explain.0.steps as a whole",
        ),
    ],
)
def test_paths_that_lead_nowhere(dotted: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        overrides.apply(START, dotted, 1)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_values_are_yaml() -> None:
    assert overrides.parse("a.0.b=[1, 2e-3, no]") == ("a.0.b", [1, 0.002, "no"])
    assert overrides.parse("a=b=c") == ("a", "b=c")
    assert overrides.parse("a=") == ("a", None)


@pytest.mark.parametrize("written", ["a", "=1", "a..b=1", ".a=1", "a=[1"])
def test_malformed_overrides_are_refused(written: str) -> None:
    with pytest.raises(RecipeError, match=r"--set (a|=1|\.a)"):
        overrides.parse(written)
