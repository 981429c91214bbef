"""list, describe, init and doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from skyloom import recipe, registry
from skyloom.errors import RegistryError
from skyloom.registry import catalogue

Command = Callable[..., Result]


class Toy:
    """A ``toy`` of one line.

    And more about it [in brackets].

    Args:
        size: How ``large``.
        seed: Which one.
    """

    def __init__(self, data: int, *, size: list[float], seed: int = 0) -> None: ...


class Bare:
    def __init__(self) -> None: ...


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [registry.Entry("split", name, f"{__name__}:{name}", "toys") for name in ("toy", "bare", "torn")]

    def load(entry: registry.Entry) -> type:
        if entry.name == "torn":
            raise RegistryError("split 'torn' cannot be loaded")
        return {"toy": Toy, "bare": Bare}[entry.name]

    monkeypatch.setattr(catalogue, "_scan", lambda path: (tuple(found), ()))
    monkeypatch.setattr(registry.Entry, "load", load)


def test_list_names_every_kind_and_component(skyloom_command: Command) -> None:
    done = skyloom_command("list")
    assert done.exit_code == 0
    for entry in registry.entries():
        assert entry.name in done.stdout
    # Names that do not fit go on in lines that begin with blanks.
    first = [line.split()[0] for line in done.stdout.splitlines()[2:] if not line.startswith(" ")]
    assert first == list(registry.KINDS)


def test_list_of_a_kind_has_a_line_each_and_survives_a_broken_plugin(
    toys: None, skyloom_command: Command
) -> None:
    lines = skyloom_command("list", "split").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["bare", "torn", "toy"]
    assert "split 'torn' cannot be loaded" in lines[3]
    assert "A ``toy`` of one line." not in lines[4]
    assert "A toy of one line." in lines[4]


def test_describe_tells_all_that_a_recipe_may_set(toys: None, skyloom_command: Command) -> None:
    text = skyloom_command("describe", "split", "toy").stdout
    assert "And more about it [in brackets]." in text
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "list of numbers" in rows["size"]
    assert "required" in rows["size"]
    assert "How large." in rows["size"]
    assert rows["seed"].split()[1:4] == ["whole", "number", "0"]
    assert "data" not in rows
    assert text.splitlines()[-1] == "In a recipe:  {by: toy, size: <list of numbers>}"


def test_describe_of_a_component_without_arguments(toys: None, skyloom_command: Command) -> None:
    assert "It takes no arguments in a recipe." in skyloom_command("describe", "split", "bare").stdout


def test_init_writes_recipe_and_schema(
    here: Path, skyloom_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "json_schema", lambda: {"title": "a schema"})
    done = skyloom_command("init", "reionisation", "--out", "new/mine.yaml")
    assert done.exit_code == 0
    first, rest = Path("new/mine.yaml").read_text().split("\n", 1)
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads((Path("new") / schema).read_text()) == {"title": "a schema"}
    assert rest == recipe.template_text("reionisation")
    assert "skyloom run new/mine.yaml" in done.stderr

    Path("new/mine.yaml").write_text("my own work")
    again = skyloom_command("init", "reionisation", "--out", "new/mine.yaml")
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert Path("new/mine.yaml").read_text() == "my own work"
    assert skyloom_command("init", "reionisation", "--out", "new/mine.yaml", "--force").exit_code == 0
    assert Path("new/mine.yaml").read_text().endswith(rest)


@pytest.mark.parametrize(("fine", "code"), [(True, 0), (False, 1)])
def test_doctor_fails_where_something_is_wrong(
    fine: bool, code: int, api: Any, skyloom_command: Command
) -> None:
    api.answers = {"doctor": [("python", True, "3.11"), ("plugin 'x'", fine, "told")]}
    done = skyloom_command("doctor")
    assert done.exit_code == code
    assert ("WRONG" in done.stdout) is not fine
    assert "plugin 'x'" in done.stdout
