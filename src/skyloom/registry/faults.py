"""What is wrong with a value that a user wrote, in plain words.

Pydantic checks the values; here its findings become sentences that give the place, the value found and
what was allowed, without a validator's vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from skyloom.errors import nearest

if TYPE_CHECKING:
    import pydantic

Place = tuple[str | int, ...]

EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
    "none_required": "null",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "{what} of length {min_length} or more",
    "too_long": "{what} of length {max_length} or less",
    "string_too_short": "text of at least {min_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
}


@dataclass(frozen=True)
class Problem:
    """One fault in a value.

    Args:
        place: Keys and indices that lead to it, e.g. ``("method", "net", "widht")``.
        text: What is wrong there.
        hint: The next step, may be empty.
        of_key: Whether the key itself is at fault, not its value.

    Example:
        >>> print(Problem(("net", "widths", 2), "must be a whole number, not 'a'"))
        net.widths.2: must be a whole number, not 'a'
    """

    place: Place
    text: str
    hint: str = ""
    of_key: bool = False

    def __str__(self) -> str:
        dotted = ".".join(str(step) for step in self.place)
        return f"{dotted}: {self.text}" if dotted else self.text

    def below(self, *steps: str | int) -> Problem:
        """Return the same fault seen from further outside."""
        return Problem((*steps, *self.place), self.text, self.hint, self.of_key)


class Faults(ValueError):  # noqa: N818 - it carries several
    """Several problems at once; a ValueError so that pydantic passes it through."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = list(problems)


def problems(error: pydantic.ValidationError, model: type[pydantic.BaseModel], value: Any) -> list[Problem]:
    """Put a validation error into plain words, one problem for each place.

    Args:
        error: What pydantic raised.
        model: The model that was checked against.
        value: The value that was checked: mappings, lists and scalars.

    Returns:
        The problems in the order of the model; what a union's members expected is joined by "or".

    Example:
        >>> import pydantic
        >>> class Size(pydantic.BaseModel):
        ...     width: int | None
        >>> try:
        ...     Size.model_validate({"width": "wide"})
        ... except pydantic.ValidationError as error:
        ...     print(*problems(error, Size, {"width": "wide"}))
        width: must be a whole number, not 'wide'
    """
    found: list[Problem] = []
    expected: dict[Place, list[str]] = {}
    for fault in error.errors(include_url=False):
        kind, context = fault["type"], fault.get("ctx", {})
        place = _written(fault["loc"], value, missing=kind == "missing")
        cause = context.get("error")
        if isinstance(cause, Faults):
            found.extend(problem.below(*place) for problem in cause.problems)
        elif kind == "extra_forbidden":
            hint = nearest(str(place[-1]), _keys(model, place[:-1]))
            found.append(Problem(place, "unknown key", hint, of_key=True))
        elif kind == "missing":
            found.append(Problem(place, "is missing", f"write {place[-1]!r} there", of_key=True))
        elif kind in EXPECTED:
            what = "a mapping" if context.get("field_type") == "Dictionary" else "a list"
            phrase = EXPECTED[kind].format_map({"what": what, **context})
            if phrase not in expected.setdefault(place, []):
                expected[place].append(phrase)
        else:
            found.append(Problem(place, str(cause) if cause else str(fault["msg"])))
    for place, phrases in expected.items():
        there = at(value, place)
        hint = _nearest_literal(there, phrases)
        found.append(Problem(place, f"must be {' or '.join(phrases)}, not {shown(there)}", hint))
    return found


def at(value: Any, place: Place) -> Any:
    """Return what stands at a place inside nested mappings and lists.

    Example:
        >>> at({"a": [1, {"b": 2}]}, ("a", 1, "b"))
        2
    """
    for step in place:
        value = value[step]
    return value


def shown(value: Any) -> str:
    """Return a short form of a value as its writer would know it.

    Example:
        >>> shown(None), shown(True), shown([1, 2])
        ('null', 'true', 'the list [1, 2]')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    if isinstance(value, dict):
        return f"the mapping {text}"
    return f"the list {text}" if isinstance(value, list | tuple) else text


def _written(loc: Sequence[str | int], value: Any, *, missing: bool) -> Place:
    """Drop from a location what pydantic adds for its own use, such as the member of a union."""
    place: list[str | int] = []
    for number, step in enumerate(loc):
        last_of_missing = missing and number == len(loc) - 1
        is_key = isinstance(value, dict) and step in value
        is_index = isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        if is_key or is_index:
            value = value[step]
            place.append(step)
        elif last_of_missing:
            place.append(step)
    return tuple(place)


def _keys(model: Any, place: Place) -> list[str]:
    """Return the keys that the model allows at a place."""
    for step in place:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            continue  # an index of a list, or a key of a plain mapping of models
        model = inner
    return sorted(model.model_fields)


def _model_in(annotation: Any) -> Any:
    """Return the pydantic model inside an annotation such as ``list[Model] | None``."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _model_in(part)) is not None), None)


def _nearest_literal(value: Any, phrases: Sequence[str]) -> str:
    words = [word for phrase in phrases for word in phrase.split("'")[1::2]]
    return nearest(value, words) if isinstance(value, str) and words else ""
