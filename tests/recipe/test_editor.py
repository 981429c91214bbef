"""The JSON schema agrees with the loader."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyloom import recipe


def _follow(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


@pytest.fixture
def schema(components: None) -> dict[str, Any]:
    return recipe.json_schema()


def test_schema_is_json_and_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    assert '"component"' not in text

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(inner) for inner in part.values()))
        return set().union(*(references(inner) for inner in part)) if isinstance(part, list) else set()

    assert {reference.rsplit("/", 1)[1] for reference in references(schema)} <= set(schema["$defs"])


def test_schema_knows_components_and_their_arguments(schema: dict[str, Any]) -> None:
    method = _follow(schema["properties"]["method"], schema)
    names, learn = method["anyOf"]
    assert names["enum"] == ["learn"]
    assert learn["required"] == ["name"]
    assert learn["additionalProperties"] is False
    net = _follow(learn["properties"]["net"], schema)
    small = next(c for c in net["anyOf"][1:] if c["properties"]["name"]["const"] == "small")
    assert small["properties"]["width"]["type"] == "integer"
    split = _follow(schema["properties"]["split"], schema)
    assert split["anyOf"][1]["required"] == ["by"]
    sample = next(c for c in split["anyOf"][1:] if c["properties"]["by"]["const"] == "sample")
    assert sample["required"] == ["by", "leaky"]


def test_schema_explains_keys_from_the_docstrings(schema: dict[str, Any]) -> None:
    data = schema["$defs"]["Data"]
    assert data["properties"]["select"]["description"].startswith("Samples to keep")
    assert schema["$defs"]["Train"]["properties"]["epochs"]["description"] == "Passes over the train side."
    source = _follow(data["properties"]["source"], schema)
    box = next(c for c in source["anyOf"][1:] if c["properties"]["name"]["const"] == "box")
    assert box["properties"]["path"]["description"] == "Where the file is."


def test_a_broken_plugin_is_allowed_by_name(schema: dict[str, Any]) -> None:
    net = schema["$defs"]["component-net"]
    absent = next(c for c in net["anyOf"][1:] if c["properties"]["name"]["const"] == "absent")
    assert "additionalProperties" not in absent
    assert "cannot be loaded" in absent["description"]
