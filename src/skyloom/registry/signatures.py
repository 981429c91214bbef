"""From a class's signature to checked arguments and back to the object.

Arguments before ``*`` are told by the data; arguments after it are chosen by the recipe and are JSON
values. The latter become a pydantic model, so each is checked against its own annotation, and an argument
annotated with `Kind` is itself a component, checked in the same way, however deep.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import types
import typing
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from skyloom.errors import RegistryError, SkyloomError
from skyloom.registry import catalogue
from skyloom.registry.faults import Faults, Place, Problem, problems, shown

if TYPE_CHECKING:
    import pydantic

Spec = str | dict[str, Any]


@dataclass(frozen=True, init=False)
class Kind:
    """Marks an annotation as a component: ``Net = Annotated[dict[str, Any], Kind("net")]``.

    The value may be written as a bare name or as a mapping; once checked it is always the mapping with
    every default written out, ready for `build`.

    Args:
        kinds: The kinds that are allowed.
        key: The key that holds the component's name.

    Example:
        >>> import pydantic
        >>> class Holder(pydantic.BaseModel):
        ...     change: Annotated[dict[str, Any], Kind("transform")]
        >>> Holder(change="remove_mean").change
        {'name': 'remove_mean'}
    """

    kinds: tuple[str, ...]
    key: str

    def __init__(self, *kinds: str, key: str = "name") -> None:
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "key", key)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        check = functools.partial(_resolve, kinds=self.kinds, key=self.key)
        return core_schema.no_info_plain_validator_function(check)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        # The recipe's schema puts the components of these kinds in the place of this mark.
        return {"component": {"kinds": list(self.kinds), "key": self.key}}


def Component(*kinds: str, key: str = "name") -> Any:
    """Return the annotation of a component, for models made at run time.

    Args:
        kinds: The kinds that are allowed.
        key: The key that holds the component's name.

    Example:
        >>> Component("net") == Annotated[dict[str, Any], Kind("net")]
        True
    """
    return Annotated[dict[str, Any], Kind(*kinds, key=key)]


def data_arguments(cls: type) -> list[str]:
    """List the arguments before ``*``: they come from the data and cannot be written in a recipe.

    Example:
        >>> class Net:
        ...     def __init__(self, in_channels: int, size: int, *, width: int = 32) -> None: ...
        >>> data_arguments(Net)
        ['in_channels', 'size']
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in _parameters(cls).items() if parameter.kind in kinds]


@functools.cache
def arguments(cls: type) -> type[pydantic.BaseModel]:
    """Return the model of a class's recipe arguments: those after ``*`` in its constructor.

    Types are strict: text is no number. Unknown arguments are refused.

    Args:
        cls: Any class; its recipe arguments need annotations of JSON values or of `Kind`.

    Raises:
        RegistryError: The constructor takes ``*args`` or ``**kwargs``, or an argument has no usable
            annotation.

    Example:
        >>> class Net:
        ...     def __init__(self, size: int, *, width: int = 32) -> None: ...
        >>> arguments(Net).model_validate({}).model_dump()
        {'width': 32}
    """
    import pydantic

    fields: dict[str, Any] = {}
    chosen = {n: p for n, p in _parameters(cls).items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    hints = _hints(cls, tuple(chosen))
    factories = _factories(cls)
    for name, parameter in chosen.items():
        if name in factories:
            fields[name] = (hints[name], pydantic.Field(default_factory=factories[name]))
        elif parameter.default is parameter.empty:
            fields[name] = (hints[name], ...)
        else:
            fields[name] = (hints[name], parameter.default)
    config = pydantic.ConfigDict(
        extra="forbid",
        strict=True,
        validate_default=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
    )
    try:
        # An argument may be called "copy" or "json"; pydantic warns that its own method is then hidden.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return pydantic.create_model(cls.__name__, __config__=config, __module__=cls.__module__, **fields)
    except (pydantic.errors.PydanticUserError, NameError, TypeError) as problem:
        raise RegistryError(
            f"the arguments of {_full_name(cls)} cannot be checked: {str(problem).splitlines()[0]}",
            hint="recipe arguments (those after '*') are JSON values or components",
        ) from problem


def resolve(spec: Spec, *kinds: str, key: str = "name") -> dict[str, Any]:
    """Check a component as written in a recipe and write out every default.

    Args:
        spec: A bare name, or a mapping with the name under ``key`` and its arguments beside it.
        kinds: The kinds that are allowed.
        key: The key that holds the name.

    Returns:
        JSON values: the name first, then all arguments in the order of the signature.

    Raises:
        RegistryError: The name is unknown, an argument is unknown, missing, or of the wrong type.

    Example:
        >>> resolve("remove_mean", "transform")
        {'name': 'remove_mean'}
    """
    try:
        return _resolve(spec, kinds=kinds, key=key)
    except Faults as faults:
        raise _as_error(faults, spec, kinds, key) from None


def build(spec: Spec, *kinds: str, data: tuple[Any, ...] = (), key: str = "name") -> Any:
    """Make the object that a recipe names.

    Args:
        spec: As for `resolve`.
        kinds: The kinds that are allowed.
        data: The arguments before ``*``, told by the data.
        key: The key that holds the name.

    Returns:
        ``cls(*data, **checked_arguments)``.

    Raises:
        RegistryError: As for `resolve`.

    Example:
        >>> type(build("remove_mean", "transform")).__name__
        'RemoveMean'
    """
    try:
        cls, checked = _check(spec, kinds, key)
    except Faults as faults:
        raise _as_error(faults, spec, kinds, key) from None
    return cls(*data, **{name: checked.__dict__[name] for name in type(checked).model_fields})


def _resolve(spec: Any, *, kinds: tuple[str, ...], key: str) -> dict[str, Any]:
    checked = _check(spec, kinds, key)[1]
    name = spec if isinstance(spec, str) else spec[key]
    return {key: name, **checked.model_dump(mode="json")}


def _check(spec: Any, kinds: tuple[str, ...], key: str) -> tuple[type, pydantic.BaseModel]:
    """Find the class and check its arguments; all that is wrong comes out as `Faults`."""
    import pydantic

    asked = " or ".join(kinds)
    place: Place = ()
    if isinstance(spec, str):
        spec = {key: spec}
    elif not isinstance(spec, dict):
        text = f"must be a {asked}: its name, or a mapping {{{key}: ...}}, not {shown(spec)}"
        raise Faults([Problem((), text)])
    elif not isinstance(spec.get(key), str):
        text = f"must be the name of a {asked}, not {shown(spec[key])}" if key in spec else "is missing"
        hint = f"allowed: {', '.join(catalogue.names(*kinds))}"
        raise Faults([Problem((key,), text, hint, of_key=key not in spec)])
    else:
        place = (key,)
    written = {name: value for name, value in spec.items() if name != key}
    try:
        cls = catalogue.get(spec[key], *kinds)
        model = arguments(cls)
        text = json.dumps(written)
    except SkyloomError as error:
        raise Faults([Problem(place, error.message, error.hint)]) from error
    except (TypeError, ValueError) as error:
        raise Faults([Problem((), f"arguments must be JSON values: {error}")]) from error
    try:
        return cls, model.model_validate_json(text)
    except pydantic.ValidationError as error:
        written = json.loads(text)
        found = [_told_by_data(problem, cls) for problem in problems(error, model, written)]
        raise Faults(found) from None


def _told_by_data(problem: Problem, cls: type) -> Problem:
    if problem.text == "unknown key" and len(problem.place) == 1 and problem.place[0] in data_arguments(cls):
        return dataclasses.replace(
            problem, text="comes from the data and cannot be written", hint="remove it"
        )
    return problem


def _as_error(faults: Faults, spec: Any, kinds: tuple[str, ...], key: str) -> RegistryError:
    name = spec.get(key) if isinstance(spec, dict) else spec
    first = faults.problems[0]
    if len(faults.problems) == 1 and first.place in ((), (key,)) and not first.of_key:
        return RegistryError(first.text, hint=first.hint)
    lines = [f"{' or '.join(kinds)} {name!r}: {problem}" for problem in faults.problems]
    return RegistryError("\n".join(lines), hint="; ".join(p.hint for p in faults.problems if p.hint))


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    init = _constructor(cls)
    if init is None:
        return {}
    parameters = dict(list(inspect.signature(init).parameters.items())[1:])  # without self
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else "*"
            raise RegistryError(
                f"{_full_name(cls)} takes {stars}{name}, so its arguments cannot be checked",
                hint="name each recipe argument after a bare '*' in __init__",
            )
    return parameters


def _constructor(cls: type) -> types.FunctionType | None:
    init = inspect.unwrap(cls.__init__)  # type: ignore[misc]
    return init if isinstance(init, types.FunctionType) else None


def _hints(cls: type, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Evaluate the annotations of the recipe arguments only: the others may name types not imported."""
    init = _constructor(cls)
    if init is None:
        return {}
    raw = {name: init.__annotations__[name] for name in wanted if name in init.__annotations__}
    holder = types.SimpleNamespace(__annotations__=raw)
    try:
        hints = typing.get_type_hints(holder, init.__globals__, dict(vars(cls)), include_extras=True)
    except Exception as problem:
        raise RegistryError(
            f"an annotation of {_full_name(cls)} cannot be read: {problem}",
            hint="recipe arguments need types that are imported at run time",
        ) from problem
    for name in wanted:
        if name not in hints:
            raise RegistryError(
                f"argument {name!r} of {_full_name(cls)} has no annotation",
                hint="annotate it with its JSON type",
            )
    return hints


def _factories(cls: type) -> dict[str, Any]:
    """Return the default factories of a dataclass, which its signature hides."""
    if not dataclasses.is_dataclass(cls):
        return {}
    missing = dataclasses.MISSING
    return {f.name: f.default_factory for f in dataclasses.fields(cls) if f.default_factory is not missing}


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
