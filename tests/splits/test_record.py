"""A split on paper survives JSON and refuses sides that are not the three."""

from __future__ import annotations

import json

import pytest

from skyloom.errors import UsageError
from skyloom.splits import Split

SIDES = {"train": ("b", "a"), "validation": ("c",), "test": ("d",)}


def test_a_split_survives_json() -> None:
    split = Split(SIDES, by="slab", leaky=True, settings={"axis": "z", "buffer": 0.1}, excluded=("f", "e"))
    again = Split.from_dict(json.loads(json.dumps(split.to_dict())))
    assert again == split
    assert again.digest == split.digest
    assert again.excluded == ("e", "f")


def test_the_digest_tells_all_but_the_order_of_ids() -> None:
    split = Split(SIDES, by="group")
    assert split.digest == Split({**SIDES, "train": ("a", "b")}, by="group").digest
    others = [
        Split({**SIDES, "train": ("a",)}, by="group"),
        Split(SIDES, by="time"),
        Split(SIDES, by="group", leaky=True),
        Split(SIDES, by="group", settings={"seed": 1}),
        Split(SIDES, by="group", excluded=("e",)),
    ]
    assert len({split.digest, *(other.digest for other in others)}) == 6


def test_the_sides_are_three() -> None:
    with pytest.raises(UsageError, match="no side 'tests'\n.*'test'".replace(".*", "[^']*")):
        Split({**SIDES, "tests": ()}, by="group")
    with pytest.raises(UsageError, match="lacks validation, test"):
        Split({"train": ()}, by="group")


def test_a_foreign_file_is_refused() -> None:
    with pytest.raises(UsageError, match="keys by, sides\n.*excluded".replace(".*", "[^\n]*")):
        Split.from_dict({"sides": SIDES, "by": "group"})
