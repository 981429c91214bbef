"""Errors: exit codes, messages with a next step, pickling across processes, spelling."""

from __future__ import annotations

import pickle

import pytest

from skyloom import errors
from skyloom.errors import SkyloomError, nearest

CODES = {
    "SkyloomError": 1,
    "UsageError": 2,
    "RecipeError": 2,
    "RegistryError": 2,
    "MissingDependencyError": 2,
    "LeakError": 3,
    "DataError": 4,
    "FieldSetError": 4,
    "FormatError": 4,
    "ShapeError": 4,
    "UnitError": 4,
    "StoreError": 4,
    "DivergedError": 1,
    "Interrupted": 130,
}
CLASSES = {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, SkyloomError)}


def test_every_error_has_the_documented_exit_code() -> None:
    assert {name: cls.exit_code for name, cls in CLASSES.items()} == CODES


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_errors_cross_process_borders_whole(cls: type[SkyloomError]) -> None:
    error = pickle.loads(pickle.dumps(cls("what", hint="how")))
    assert type(error) is cls
    assert (error.message, error.hint, str(error)) == ("what", "how", "what\n  → how")


def test_no_hint_no_arrow() -> None:
    assert str(SkyloomError("what")) == "what"


@pytest.mark.parametrize(
    ("word", "allowed", "sentence"),
    [
        ("widht", ["width", "depth"], "did you mean 'width'? allowed: depth, width"),
        ("zzz", ["width", "depth"], "allowed: depth, width"),
        ("any", [], "allowed: nothing"),
    ],
)
def test_nearest(word: str, allowed: list[str], sentence: str) -> None:
    assert nearest(word, allowed) == sentence
