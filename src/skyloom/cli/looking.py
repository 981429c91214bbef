"""Verbs that look around: what is installed, what it takes, a recipe to start from, the machine's health."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from skyloom.cli import console
from skyloom.errors import RegistryError, SkyloomError, UsageError


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="One kind, with a line about each.", show_default=False),
    ] = None,
) -> None:
    """List the components that a recipe may name."""
    from skyloom import registry

    if kind is None:
        rows = [[kind, ", ".join(registry.names(kind)) or "–", text] for kind, text in registry.KINDS.items()]
        console.table(["kind", "names", "what it does"], rows)
        console.hint("skyloom list KIND says a line about each, skyloom describe KIND NAME all of it")
        return
    found = registry.entries(kind)
    rows = [[entry.name, _first_line(entry), entry.distribution] for entry in found]
    console.table([kind, registry.KINDS[kind], "from"], rows)
    console.hint(f"skyloom describe {kind} NAME lists the arguments")


def describe(
    kind: Annotated[str, typer.Argument(help="As 'skyloom list' shows it.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The component's name.", show_default=False)],
) -> None:
    """Say what a component is and what a recipe may set."""
    from rich.text import Text

    from skyloom import registry

    told = registry.describe(kind, name)
    title = Text.assemble(
        (f"{kind} {name}", "bold"), (f"   {told['target']}, from {told['distribution']}", "dim")
    )
    console.out().print(title, soft_wrap=True)
    console.say(f"\n{_plain(told['doc'])}\n")
    arguments: list[dict[str, Any]] = told["arguments"]
    if arguments:
        rows = [[a["name"], a["type"], _default(a), _plain(a["doc"])] for a in arguments]
        console.table(["argument", "type", "default", "meaning"], rows)
    else:
        console.say("It takes no arguments in a recipe.")
    key = "by" if kind == "split" else "name"
    example = {key: name, **{a["name"]: f"<{a['type']}>" for a in arguments if a["required"]}}
    console.say(f"\nIn a recipe:  {_yaml(example)}")


def init(
    template: Annotated[
        str | None, typer.Argument(help="A recipe to start from.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The recipe to write.", show_default="TEMPLATE.yaml"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """Write a recipe to start from, and beside it a schema with which editors complete and check it."""
    from skyloom import recipe
    from skyloom.runs import atomic_write

    if template is None:
        raise UsageError("which template?", hint=f"one of: {', '.join(recipe.templates())}")
    text = recipe.template_text(template)
    target = out or Path(f"{template}.yaml")
    if target.exists() and not force:
        raise UsageError(
            f"'{target}' is there already", hint="choose another with --out, or replace it with --force"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    schema = target.parent / recipe.SCHEMA_FILE
    for path, content in (
        (schema, json.dumps(recipe.json_schema(), indent=1)),
        (target, recipe.EDITOR_LINE + text),
    ):
        with atomic_write(path) as file:
            file.write(content.encode())
    console.path("recipe", target)
    console.hint(f"edit it, then: skyloom run {target}")


def doctor() -> None:
    """Check the installation: packages, plugins, machine. The exit code is 1 where something is wrong."""
    from skyloom import api

    rows = api.doctor()
    console.table(
        ["", "what", "found"], [["ok" if fine else "WRONG", name, text] for name, fine, text in rows]
    )
    if not all(fine for _, fine, _ in rows):
        raise SkyloomError("something is wrong with this installation", hint="see the lines marked WRONG")


def _first_line(entry: Any) -> str:
    try:
        doc = entry.load().__doc__ or ""
    except RegistryError as problem:
        return problem.message
    return _plain(doc.strip().split("\n", maxsplit=1)[0])


def _plain(doc: str) -> str:
    return doc.replace("``", "")


def _default(argument: dict[str, Any]) -> str:
    return "required" if argument["required"] else _yaml(argument["default"])


def _yaml(value: Any) -> str:
    """Write a value on one line, as it would stand in a recipe."""
    from skyloom.recipe import text

    return text.inline(value)
