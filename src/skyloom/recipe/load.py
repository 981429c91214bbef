"""Recipes from files and templates; what is wrong in one is told with file and line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from skyloom.errors import RecipeError, nearest
from skyloom.recipe import overrides as changes
from skyloom.recipe import text
from skyloom.recipe.schema import Recipe, changed, check, complete, wrong
from skyloom.registry import Faults, Problem
from skyloom.registry.faults import Place

SUFFIXES = (".yaml", ".yml")


def templates() -> list[str]:
    """List the recipes that come with Skyloom.

    Example:
        >>> "reionisation" in templates()
        True
    """
    folder = resources.files("skyloom.recipe") / "templates"
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(SUFFIXES))


def template_text(name: str) -> str:
    """Return the text of a template with its comments.

    Args:
        name: One of `templates`.

    Raises:
        RecipeError: There is no such template.

    Example:
        >>> template_text("reionisation").splitlines()[-1] != ""
        True
    """
    if name not in templates():
        raise RecipeError(f"no template is called {name!r}", hint=nearest(name, templates()))
    return (resources.files("skyloom.recipe") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")


def load(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, change it, check it and write out every default.

    Args:
        source: Path of a YAML file, or the name of a template.
        overrides: Changes as after ``--set``: ``"train.epochs=3"``, applied in order.

    Returns:
        The complete recipe; its variants are checked too.

    Raises:
        RecipeError: The file cannot be read or anything in it is wrong; each problem gives file and line
            (or the override), what was found, and the nearest spelling of a wrong key.

    Example:
        >>> recipe = load("reionisation", ["train.epochs=3", "method.net.width=8"])
        >>> recipe.train.epochs, recipe.method["net"]["width"], recipe.train.batch_size
        (3, 8, 32)
    """
    content, origin = _content(source)
    document = text.read(content, origin)
    if not isinstance(document.value, dict):
        raise RecipeError(
            f"{origin}:1: a recipe is a mapping with the keys {', '.join(Recipe.model_fields)}",
            hint="start from 'skyloom init'",
        )
    wanted = [changes.parse(override) for override in overrides]
    told = {changes.steps(d): f"--set {override}" for (d, _), override in zip(wanted, overrides, strict=True)}

    def where(problem: Problem) -> str:
        for place, override in reversed(told.items()):
            if _same_branch(problem.place, place):
                return override
        return f"{origin}:{document.line(problem.place, of_key=problem.of_key)}"

    try:
        value = complete(document.value)
        for dotted, new in wanted:
            value = changed(value, dotted, new)
        recipe = check(value)
    except Faults as faults:
        raise wrong(faults.problems, where) from None
    _check_variants(recipe, where)
    return recipe


def _content(source: str | Path) -> tuple[str, str]:
    """Return the text of a recipe and the name that messages call it by."""
    path = Path(source)
    if isinstance(source, str) and not path.is_file() and source in templates():
        return template_text(source), f"{source}.yaml"
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as problem:
        raise RecipeError(
            f"{path}: is not UTF-8 text", hint="save the recipe as plain UTF-8 text"
        ) from problem
    except IsADirectoryError as problem:
        raise RecipeError(
            f"{path}: is a folder, not a recipe", hint=f"name a file, such as {path}/recipe.yaml"
        ) from problem
    except FileNotFoundError as problem:
        beside = [file.name for file in path.parent.glob("[!.]*.y*ml")] if path.parent.is_dir() else []
        hint = nearest(path.name, [*beside, *templates()])
        raise RecipeError(f"no recipe file and no template is called '{source}'", hint=hint) from problem
    except OSError as problem:
        raise RecipeError(
            f"{path}: {problem.strerror}", hint="check the path and its permissions"
        ) from problem


def _same_branch(place: Place, other: Place) -> bool:
    """Whether one of two places lies inside the other; the whole recipe is no place."""
    shared = min(len(place), len(other))
    return shared > 0 and place[:shared] == other[:shared]


def _check_variants(recipe: Recipe, where: Callable[[Problem], str]) -> None:
    """Make each variant once, so that a wrong one is found before the first training."""
    found: list[Problem] = []
    for name, settings in recipe.variants.items():
        value = {**recipe.resolved(), "variants": {}}
        try:
            for dotted, new in settings.items():
                value = changed(value, dotted, new)
            check(value)
        except Faults as faults:
            found.extend(_where_written(problem, name, settings) for problem in faults.problems)
    if found:
        raise wrong(found, where)


def _where_written(problem: Problem, name: str, settings: Mapping[str, Any]) -> Problem:
    """Move a problem of a variant's recipe to the change that made it."""
    for dotted in reversed(list(settings)):
        outer = changes.steps(dotted)
        if _same_branch(problem.place, outer):
            place = ("variants", name, dotted, *problem.place[len(outer) :])
            return Problem(place, problem.text, problem.hint, problem.of_key)
    return problem.below("variants", name)
