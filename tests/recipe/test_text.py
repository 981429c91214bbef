"""YAML: the plain core, with lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import RecipeError
from skyloom.recipe import text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 1e-3),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("-.inf", float("-inf")),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        ("010", "010"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("Off", "Off"),
        ("true", True),
        ("~", None),
        ("null", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ("[1, [a, {b: 2}]]", [1, ["a", {"b": 2}]]),
        ("!!str 1", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    assert text.read(written, "example").value == value
    assert type(text.read(written, "example").value) is type(value)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    VALUES
    | st.sampled_from(
        ["1e-3", "no", "true", "null", "~", ".inf", "0x1", "1_0", "<<", "=", "- a", "a: b", "#"]
    )
)
def test_what_is_written_is_read_back(value: object) -> None:
    again = text.read(text.write({"value": value}), "example").value["value"]
    assert again == value
    assert type(again) is type(value)


def test_one_object_used_twice_is_written_twice() -> None:
    shared = [1, {"a": 2}]
    assert text.read(text.write({"a": shared, "b": shared}), "example").value == {"a": shared, "b": shared}


def test_lines_of_keys_values_and_items() -> None:
    document = text.read("a:\n  b:\n    - 1\n    -\n      c: 2\n\nd: [3,\n    4]\n", "example")
    assert document.keys == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 3,
        ("a", "b", 1): 5,
        ("a", "b", 1, "c"): 5,
        ("d",): 7,
        ("d", 0): 7,
        ("d", 1): 8,
    }
    assert document.line(("a", "b")) == 3
    assert document.line(("a", "b"), of_key=True) == 2
    assert document.line(("a", "b", 7, "x")) == 2, "the nearest thing around that is written"
    assert document.line(("z",)) == 1


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "example:5: b.c: written twice, first in line 3"),
        ("a: {b: 1, b: 2}", "example:1: a.b: written twice, first in line 1"),
        ("a: [1, 2\nb: 3\n", "example:2: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "example:2: not valid YAML: "),
        ("a: &x 1\nb: *x\n", "example:1: not valid YAML: anchors and aliases are not used here"),
        ("a: *x\n", "example:1: not valid YAML: anchors and aliases are not used here"),
        (
            "a:\n  !!python/object/apply:os.system [echo]\n",
            "example:2: tags such as '!!python/object/apply:os.system'",
        ),
        ("a:\n  ? [1]\n  : 2\n", "example:2: a key in a must be text, not a list or mapping"),
        ("1: 2", "example:1: a key must be text, not 1"),
        ("a: 1\n---\nb: 2\n", "example:2: not valid YAML: "),
        ("a: !!int x", "example:1: invalid literal"),
        ("a: \x00", "example: not valid YAML: "),
    ],
)
def test_what_is_refused_has_its_line(written: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        text.read(written, "example")
    assert caught.value.message.startswith(message)
    assert caught.value.hint
