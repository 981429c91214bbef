"""A JSON schema of recipes, with which an editor completes keys, shows their meaning and marks mistakes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from skyloom import registry
from skyloom.errors import RegistryError
from skyloom.recipe.parts import Balance, Data, Evaluate, Maps, Suite, Train
from skyloom.recipe.schema import Recipe
from skyloom.registry.describing import argument_docs

SCHEMA_FILE = "skyloom-recipe.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of recipes with every installed component and its arguments.

    A component whose plugin cannot be loaded is allowed by its name, with any arguments.

    Returns:
        A schema in the 2020-12 dialect; all values are JSON.

    Example:
        >>> "epochs" in json_schema()["$defs"]["Train"]["properties"]
        True
    """
    schema = Recipe.model_json_schema()
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    for model in (Data, Maps, Balance, Suite, Train, Evaluate):
        _explain(definitions[model.__name__], model)
    _explain(schema, Recipe)
    _define_components(schema, definitions)
    return {"$schema": DIALECT, **schema, "title": "Skyloom recipe"}


def _define_components(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Replace each mark of a component by a reference, and define what is referred to, however deep."""
    waiting = [schema]
    while waiting:
        for mark, kinds, key in list(_marks(waiting.pop())):
            name = "-".join(["component", *kinds, *([key] if key != "name" else [])])
            mark.clear()
            mark["$ref"] = f"#/$defs/{name}"
            if name not in definitions:
                definitions[name] = {}  # before it is made: components may nest in themselves
                definitions[name].update(_component(kinds, key))
                waiting.append(definitions[name])


def _marks(schema: Any) -> Iterator[tuple[dict[str, Any], Sequence[str], str]]:
    if isinstance(schema, dict):
        component = schema.get("component")
        if isinstance(component, dict) and set(component) == {"kinds", "key"}:
            yield schema, component["kinds"], component["key"]
        else:
            for value in schema.values():
                yield from _marks(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _marks(value)


def _component(kinds: Sequence[str], key: str) -> dict[str, Any]:
    choices = [_choice(entry, key) for entry in registry.entries(*kinds)]
    names: dict[str, Any] = {"type": "string", "enum": registry.names(*kinds)}
    # A bare name is enough where all arguments have defaults.
    return {"description": " or ".join(kinds), "anyOf": [names, *choices]}


def _choice(entry: registry.Entry, key: str) -> dict[str, Any]:
    name = {"const": entry.name}
    try:
        cls = entry.load()
        model = registry.arguments(cls)
    except RegistryError as problem:
        return {
            "type": "object",
            "properties": {key: name},
            "required": [key],
            "description": problem.message,
        }
    schema = model.model_json_schema()
    _explain(schema, cls)
    schema["properties"] = {key: name, **schema.get("properties", {})}
    schema["required"] = [key, *schema.get("required", [])]
    return schema


def _explain(schema: dict[str, Any], cls: type) -> None:
    """Take the description of a mapping and of its keys from the docstring."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    told = argument_docs(doc)
    schema["description"] = doc.split("\n\n", maxsplit=1)[0]
    for key, inner in schema.get("properties", {}).items():
        inner.pop("title", None)
        if key in told:
            inner["description"] = told[key]
