"""Changes to a recipe by dotted keys, as ``--set method.net.width=64`` and a recipe's variants make them."""

from __future__ import annotations

import copy
from typing import Any

from skyloom.errors import RecipeError
from skyloom.recipe import text
from skyloom.registry.faults import Place, shown


def parse(override: str) -> tuple[str, Any]:
    """Split ``a.b=VALUE`` and read the value as YAML.

    Args:
        override: As written after ``--set``.

    Returns:
        The dotted key and the value.

    Raises:
        RecipeError: There is no ``=``, no key, or the value is no YAML.

    Example:
        >>> parse("train.optimiser={name: adamw, lr: 1e-3}")
        ('train.optimiser', {'name': 'adamw', 'lr': 0.001})
    """
    dotted, equals, written = override.partition("=")
    dotted = dotted.strip()
    if not equals or not all(dotted.split(".")):
        raise RecipeError(
            f"--set {override}: is not of the form KEY=VALUE", hint="for example --set train.epochs=3"
        )
    return dotted, text.read(written, f"--set {dotted}").value


def steps(dotted: str) -> Place:
    """Split a dotted key; parts of digits are indices of lists.

    Example:
        >>> steps("explain.0.steps")
        ('explain', 0, 'steps')
    """
    return tuple(int(part) if part.isdigit() else part for part in dotted.split("."))


def apply(value: dict[str, Any], dotted: str, new: Any) -> dict[str, Any]:
    """Return a copy of a recipe's value with one place changed.

    A mapping that is not there yet is made. A component written as a bare name becomes a mapping first.
    A new ``name`` (or ``by`` of a split) drops the arguments of the component that it replaces.

    Args:
        value: The recipe as nested mappings and lists; not changed.
        dotted: Where, e.g. ``explain.0.steps``.
        new: The new value.

    Raises:
        RecipeError: The path leads into a number, or past the end of a list.

    Example:
        >>> apply({"net": {"name": "resnet", "width": 32}}, "net.name", "vgg")
        {'net': {'name': 'vgg'}}
        >>> apply({"net": "resnet"}, "net.width", 64)
        {'net': {'name': 'resnet', 'width': 64}}
    """
    result = copy.deepcopy(value)
    place = steps(dotted)
    holder: Any = result
    for depth, step in enumerate(place[:-1]):
        inner = _look(holder, step, place[: depth + 1])
        if inner is None:
            inner = {}
        elif isinstance(inner, str):
            inner = {"by" if place[: depth + 1] == ("split",) else "name": inner}
        holder[_key(holder, step)] = inner
        holder = inner
    last = place[-1]
    old = _look(holder, last, place)
    names_component = last in ("name", "by") and len(place) > 1
    if names_component and old != new:
        holder.clear()
    holder[_key(holder, last)] = copy.deepcopy(new)
    return result


def _key(holder: Any, step: str | int) -> str | int:
    return step if isinstance(holder, list) else str(step)


def _look(holder: Any, step: str | int, place: Place) -> Any:
    """Return what stands at a step, None where a mapping has nothing there yet."""
    here = ".".join(str(part) for part in place[:-1])
    if isinstance(holder, dict):
        return holder.get(str(step))
    if not isinstance(holder, list):
        raise RecipeError(
            f"{here} is {shown(holder)}, nothing can be set inside it", f"set {here} as a whole"
        )
    if not holder:
        raise RecipeError(f"{here} is an empty list", hint=f"set {here} as a whole")
    if not isinstance(step, int):
        hint = f"write {here}.0 for its first item"
        raise RecipeError(f"{here} is a list of {len(holder)}, {step!r} is no index", hint=hint)
    if step >= len(holder):
        last = f"its last item is {here}.{len(holder) - 1}"
        raise RecipeError(f"{here} has no item {step}", hint=f"{last}; or set {here} as a whole")
    return holder[step]
