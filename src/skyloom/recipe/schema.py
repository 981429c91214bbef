"""The recipe: one experiment as data.

A small skeleton of models, whose sections are in ``parts``; every component inside it (a mapping with a
``name``) is checked by the model that the registry derives from its class. A recipe that was made is
complete: every default is written out, so its digest says what was done even after defaults change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from skyloom.errors import RecipeError, nearest
from skyloom.recipe import overrides as changes
from skyloom.recipe import text
from skyloom.recipe.parts import (
    Data,
    Evaluate,
    Explanation,
    FolderName,
    Method,
    Part,
    Split,
    Suite,
    Task,
    Train,
)
from skyloom.registry import Faults, Problem, problems


class Recipe(Part):
    """One experiment, complete.

    Args:
        recipe: Version of the layout of recipes.
        name: Name of the run and of its folder.
        data: Where the data come from and what the network sees of them.
        split: Who may see what.
        task: What is asked and how it is judged.
        method: How it is learned.
        train: How the weights are found.
        evaluate: How the answer is judged.
        transfer: Other suites on which the trained network is tested, by a name for each.
        explain: What is asked of the trained network.
        variants: Further runs of the same recipe: name to changes by dotted key.

    Example:
        >>> from skyloom.recipe import load
        >>> recipe = load("reionisation")
        >>> recipe.with_overrides({"method.net.name": "vgg"}).method["net"]["name"]
        'vgg'
        >>> recipe.variant("seen-boxes").split["leaky"]
        True
        >>> recipe.digest() == load("reionisation", ["train.epochs=1"]).digest()
        False
    """

    recipe: Literal[1]
    name: FolderName
    data: Data
    split: Split
    task: Task
    method: Method
    train: Train = Field(default_factory=Train)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    transfer: dict[FolderName, Suite] = Field(default={})
    explain: list[Explanation] = Field(default=[])
    variants: dict[FolderName, dict[str, Any]] = Field(default={})

    @property
    def inputs(self) -> list[str]:
        """Fields that the network sees, in the order of its channels."""
        return list(self.task.get("inputs", self.data.fields))

    @property
    def targets(self) -> list[str]:
        """Fields that the network is to give; empty where the task does not ask for fields."""
        return list(self.task.get("targets", []))

    def resolved(self) -> dict[str, Any]:
        """Return the recipe as JSON values with every default written out."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Write the complete recipe as YAML; `load` gives the identical recipe back."""
        return text.write(self.resolved())

    def digest(self) -> str:
        """Return the sha256 of the complete recipe, 64 hexadecimal digits."""
        plain = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(plain.encode()).hexdigest()

    def with_overrides(self, overrides: Mapping[str, Any]) -> Recipe:
        """Return a recipe with some places changed.

        Args:
            overrides: Dotted key to new value, applied in order; a new ``name`` (or ``by`` of a split)
                drops the arguments of the component that it replaces.

        Raises:
            RecipeError: A key leads nowhere, or the changed recipe is wrong.
        """
        value = self.resolved()
        try:
            for dotted, new in overrides.items():
                value = changed(value, dotted, new)
            return check(value)
        except Faults as faults:
            raise wrong(faults.problems, lambda _: f"{self.name} with changes") from None

    def foreign(self) -> dict[str, Suite]:
        """Return the suites of ``transfer`` that the run is not trained on."""
        own = (None, self.data.maps)
        return {
            name: suite
            for name, suite in self.transfer.items()
            if suite.source != self.data.source or suite.maps not in own
        }

    def variant(self, name: str) -> Recipe:
        """Return the recipe of one variant; it has no variants of its own.

        Args:
            name: A key of ``variants``.

        Raises:
            RecipeError: There is no such variant, or its changes are wrong.
        """
        if name not in self.variants:
            raise RecipeError(f"{self.name} has no variant {name!r}", hint=nearest(name, self.variants))
        return self.with_overrides({**self.variants[name], "name": f"{self.name}-{name}", "variants": {}})


def check(value: Any) -> Recipe:
    """Make the recipe of a value.

    Args:
        value: Nested mappings, lists and scalars.

    Raises:
        Faults: All that is wrong, each with its place.

    Example:
        >>> check({"recipe": 1, "data": 3})
        Traceback (most recent call last):
        skyloom.registry.faults.Faults: name: is missing; split: is missing; ...
    """
    try:
        recipe = Recipe.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise Faults(problems(error, Recipe, value)) from None
    except TypeError as error:
        raise Faults([Problem((), f"must hold JSON values only: {error}")]) from None
    if found := list(_field_problems(recipe)):
        raise Faults(found)
    return recipe


def _field_problems(recipe: Recipe) -> Iterator[Problem]:
    """Yield what is wrong with the fields of a task that names its inputs and targets."""
    if not recipe.targets:
        return
    known = recipe.data.fields
    for role, names in (("inputs", recipe.inputs), ("targets", recipe.targets)):
        for place, name in enumerate(names):
            if name not in known:
                hint = f"write its transforms under data.fields; {nearest(name, known)}"
                yield Problem(("task", role, place), f"{name!r} is not among data.fields", hint)
            if names.index(name) < place:
                yield Problem(("task", role, place), f"{name!r} is named twice", "name it once")
    for place, name in enumerate(recipe.targets):
        if name in recipe.inputs:
            what = f"{name!r} is an input too: a network that sees its target has only to copy it"
            yield Problem(("task", "targets", place), what, "take it out of task.inputs or of task.targets")
    for name in known:
        if name not in (*recipe.inputs, *recipe.targets):
            what = f"{name!r} is neither among the inputs nor among the targets of the task"
            yield Problem(
                ("data", "fields", name), what, "name it in task.inputs or task.targets, or drop it"
            )


def changed(value: dict[str, Any], dotted: str, new: Any) -> dict[str, Any]:
    """Change one place of a value, and write out every default where the value is a recipe already.

    So a change may lead into a default: ``train.optimiser.lr`` where no optimiser was written.

    Args:
        value: Nested mappings, lists and scalars.
        dotted: Where.
        new: The new value.

    Raises:
        Faults: The path leads nowhere.
    """
    try:
        value = changes.apply(value, dotted, new)
    except RecipeError as error:
        raise Faults([Problem(changes.steps(dotted), error.message, error.hint, of_key=True)]) from None
    return complete(value)


def complete(value: dict[str, Any]) -> dict[str, Any]:
    """Write out every default; a value that is no recipe yet comes back as it is."""
    try:
        return check(value).resolved()
    except Faults:
        return value


def wrong(found: list[Problem], where: Callable[[Problem], str]) -> RecipeError:
    """Put problems into one error: one line each; a single one keeps its hint apart.

    Args:
        found: The problems.
        where: The place of a problem in the words of the message: file and line.

    Example:
        >>> print(wrong([Problem(("name",), "is missing", "write it")], lambda problem: "a.yaml:1"))
        a.yaml:1: name: is missing
          → write it
    """
    if len(found) == 1:
        return RecipeError(f"{where(found[0])}: {found[0]}", hint=found[0].hint)
    lines = [
        f"{where(problem)}: {problem}" + (f" ({problem.hint})" if problem.hint else "") for problem in found
    ]
    return RecipeError("\n".join(lines))
