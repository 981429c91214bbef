"""A component in words: its docstring and the name, type, default and meaning of each argument."""

from __future__ import annotations

import collections.abc
import inspect
import re
import types
import typing
from typing import Annotated, Any, Literal, get_args, get_origin

from skyloom.registry import catalogue
from skyloom.registry.faults import shown
from skyloom.registry.signatures import Kind, arguments, data_arguments

PLAIN = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "any",
    list: "list",
    tuple: "list",
    dict: "mapping",
}


def describe(kind: str, name: str) -> dict[str, Any]:
    """Tell what a component is and what may be written beside its name in a recipe.

    Args:
        kind: One of `KINDS`.
        name: The component's name.

    Returns:
        ``kind``, ``name``, ``distribution``, ``target``, ``doc`` (the docstring up to its first
        section), ``data`` (the arguments that the data tells, not written in recipes) and
        ``arguments``: one mapping each with ``name``, ``type``, ``required``, ``default`` and ``doc``.

    Raises:
        RegistryError: The name is unknown, claimed twice, or its plugin cannot be loaded.

    Example:
        >>> describe("transform", "remove_mean")["arguments"]
        []
    """
    entry = catalogue.find(name, kind)
    cls = entry.load()
    model = arguments(cls)
    text = inspect.cleandoc(cls.__doc__ or "")
    told = argument_docs(text) or argument_docs(inspect.cleandoc(cls.__init__.__doc__ or ""))  # type: ignore[misc]
    rows = []
    for argument, field in model.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        rows.append(
            {
                "name": argument,
                "type": type_words(annotation),
                "required": field.is_required(),
                "default": default,
                "doc": told.get(argument, ""),
            }
        )
    return {
        "kind": kind,
        "name": name,
        "distribution": entry.distribution,
        "target": entry.target,
        "doc": _prose(text),
        "data": data_arguments(cls),
        "arguments": rows,
    }


def type_words(annotation: Any) -> str:
    """Put an annotation into words.

    Example:
        >>> type_words(list[int] | None), type_words(Literal["batch", "group"])
        ('list of whole numbers or null', "'batch' or 'group'")
        >>> type_words(Annotated[dict[str, Any], Kind("net")])
        'net'
    """
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kinds = [" or ".join(mark.kinds) for mark in inside[1:] if isinstance(mark, Kind)]
        words = kinds[0] if kinds else " ".join([type_words(inside[0]), *_bounds(inside[1:])])
    elif origin is Literal:
        words = " or ".join(shown(value) for value in inside)
    elif origin in (typing.Union, types.UnionType):
        words = " or ".join(type_words(part) for part in inside)
    elif origin in (list, tuple, collections.abc.Sequence):
        parts = [_plural(part) for part in inside if part is not Ellipsis]
        words = f"list of {' and '.join(parts)}"
    elif origin in (dict, collections.abc.Mapping):
        words = f"mapping to {_plural(inside[1])}"
    else:
        words = PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return words


def argument_docs(text: str) -> dict[str, str]:
    r"""Read the ``Args:`` section of a docstring.

    Args:
        text: A cleaned docstring in Google's form.

    Returns:
        The meaning of each argument, in one line.

    Example:
        >>> argument_docs("Sum.\n\nArgs:\n    a: First,\n        really.\n    b: Second.\n")
        {'a': 'First, really.', 'b': 'Second.'}
    """
    found: dict[str, str] = {}
    current = ""
    for line in _section(text):
        entry = re.match(r"(\*{0,2}\w+)(?: \([^)]*\))?: *(.*)", line)
        if entry and not line.startswith(" "):
            current = entry[1]
            found[current] = entry[2]
        elif current and line.strip():
            found[current] = f"{found[current]} {line.strip()}".strip()
    return found


def _bounds(marks: tuple[Any, ...]) -> list[str]:
    """Put limits such as ``Gt(gt=0)`` into words."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    flat = [part for mark in marks for part in (getattr(mark, "metadata", None) or [mark])]
    return [f"{sign} {getattr(m, key)}" for m in flat for key, sign in signs.items() if hasattr(m, key)]


def _section(text: str) -> list[str]:
    """Return the lines of the ``Args:`` section without their common indent."""
    lines = text.splitlines()
    if "Args:" not in lines:
        return []
    start = lines.index("Args:") + 1
    stop = next(
        (n for n in range(start, len(lines)) if lines[n] and not lines[n].startswith(" ")), len(lines)
    )
    return inspect.cleandoc("\n" + "\n".join(lines[start:stop])).splitlines()


def _prose(text: str) -> str:
    """Return what a docstring says before its first section."""
    lines = text.splitlines()
    stop = next((n for n, line in enumerate(lines) if re.fullmatch(r"[A-Z][a-z]+:", line)), len(lines))
    return "\n".join(lines[:stop]).strip()


def _plural(annotation: Any) -> str:
    words = type_words(annotation)
    countable = words in ("number", "whole number") or words in catalogue.KINDS
    return f"{words}s" if countable else words
