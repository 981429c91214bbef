"""YAML text to values that remember their lines, and back.

Recipes use the plain core of YAML 1.2: text, numbers, ``true`` and ``false``, ``null``, lists, mappings.
So ``1e-3`` is a number, ``no`` is text, and a date is text. Anchors, aliases, merges and tags are refused:
a recipe holds no references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from skyloom.errors import RecipeError
from skyloom.registry.faults import Place

RULES = (
    ("null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""]),
    ("bool", re.compile(r"^(?:true|false)$"), ["t", "f"]),
    ("int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")),
    (
        "float",
        re.compile(
            r"^(?:[-+]?(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?(?:0|[1-9][0-9]*)\.?(?:[eE][-+]?[0-9]+)|[-+]?(?:0|[1-9][0-9]*)\."
            r"|[-+]?\.inf|\.nan)$"
        ),
        list("-+0123456789."),
    ),
)
TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own protocol

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not used here", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own protocol

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML leaves characters such as U+0085 bare, and reads them back as ends of lines.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar(TAG + "str", text, style=style)


_Dumper.add_representer(str, _text)
for _name, _pattern, _first in RULES:
    _Loader.add_implicit_resolver(TAG + _name, _pattern, _first)
    # Writing with the same rules puts quotes round text that would be read back as something else.
    _Dumper.add_implicit_resolver(TAG + _name, _pattern, _first)


@dataclass(frozen=True)
class Document:
    r"""A value and the lines it was written on.

    Args:
        value: Nested mappings, lists and scalars.
        keys: Line of each key or list item, counted from 1.
        values: Line on which each value starts.

    Example:
        >>> document = read("a:\n  - b: 1\n", "example")
        >>> document.value, document.keys[("a", 0, "b")]
        ({'a': [{'b': 1}]}, 2)
    """

    value: Any
    keys: dict[Place, int]
    values: dict[Place, int]

    def line(self, place: Place, *, of_key: bool = False) -> int:
        """Return the line of a place, or of the nearest thing around it that is written.

        Args:
            place: Keys and indices.
            of_key: The line of the key, not of the value.
        """
        if place in self.values:
            return (self.keys if of_key else self.values).get(place, 1)
        while place and place not in self.keys:
            place = place[:-1]
        return self.keys.get(place, 1)


def read(text: str, origin: str) -> Document:
    r"""Parse one YAML document.

    Args:
        text: The text.
        origin: The file's name, for messages.

    Raises:
        RecipeError: The text is no YAML, a key is written twice or is not text, or something beyond the
            plain core is used; the message gives file and line.

    Example:
        >>> read("rate: 1e-3", "example").value
        {'rate': 0.001}
        >>> read("a: 1\na: 2", "example")
        Traceback (most recent call last):
        skyloom.errors.RecipeError: example:2: a: written twice, first in line 1
          → keep one of the two
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document(None, {}, {})
        if node is None:
            return document
        value = _value(loader, node, (), document, origin)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = mark.line + 1 if mark else 1
        said = ", ".join(part for part in (problem.context, problem.problem) if part)
        hint = "indent with spaces" if "\\t" in said else "correct the line, or start from 'skyloom init'"
        raise RecipeError(f"{origin}:{line}: not valid YAML: {said}", hint=hint) from problem
    except yaml.YAMLError as problem:
        raise RecipeError(
            f"{origin}: not valid YAML: {problem}", hint="save the file as plain UTF-8 text"
        ) from problem
    finally:
        if loader is not None:
            loader.dispose()
    return Document(value, document.keys, document.values)


def write(value: Any) -> str:
    """Write a value so that `read` gives the same back; short lists and mappings stay on one line.

    Example:
        >>> print(write({"a": {"rate": 0.001, "name": "1e-3"}}), end="")
        a: {rate: 0.001, name: '1e-3'}
    """
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )


def inline(value: Any) -> str:
    """Write a value on one line, as it may stand behind a key.

    Example:
        >>> inline({"name": "smooth", "widths": [0, 2]}), inline(None), inline(1e-5)
        ('{name: smooth, widths: [0, 2]}', 'null', '1.0e-05')
    """
    text = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=10**6, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


def _value(loader: _Loader, node: yaml.Node, place: Place, document: Document, origin: str) -> Any:
    """Turn a node into a value and note the lines of all that is in it."""
    line = node.start_mark.line + 1
    document.values[place] = line
    if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
        items = []
        for number, item in enumerate(node.value):
            document.keys[(*place, number)] = item.start_mark.line + 1
            items.append(_value(loader, item, (*place, number), document, origin))
        return items
    if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, key_line = _key(loader, key_node, place, origin), key_node.start_mark.line + 1
            if key in found:
                dotted, first = ".".join(str(s) for s in (*place, key)), document.keys[(*place, key)]
                message = f"{origin}:{key_line}: {dotted}: written twice, first in line {first}"
                raise RecipeError(message, hint="keep one of the two")
            document.keys[(*place, key)] = key_line
            found[key] = _value(loader, value_node, (*place, key), document, origin)
        return found
    if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(TAG) in (
        "str",
        *(rule[0] for rule in RULES),
    ):
        try:
            return loader.construct_object(node)
        except ValueError as problem:  # an explicit tag such as !!int on text
            raise RecipeError(f"{origin}:{line}: {problem}", hint="remove the tag") from problem
    raise RecipeError(
        f"{origin}:{line}: tags such as {node.tag.replace(TAG, '!!')!r} are not used here",
        hint="write text, numbers, true, false, null, lists and mappings only",
    )


def _key(loader: _Loader, node: yaml.Node, place: Place, origin: str) -> str:
    key = loader.construct_object(node) if isinstance(node, yaml.ScalarNode) else None
    if not isinstance(key, str):
        where = f" in {'.'.join(str(s) for s in place)}" if place else ""
        written = node.value if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        raise RecipeError(
            f"{origin}:{node.start_mark.line + 1}: a key{where} must be text, not {written}",
            hint="put it in quotes",
        )
    return key
