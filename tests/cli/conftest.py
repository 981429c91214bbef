"""The command line over a false API that notes what it is asked."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import skyloom
from skyloom.cli.app import app


class Api(types.ModuleType):
    """Answers as ``skyloom.api`` does and notes each call; ``fails`` is raised instead."""

    def __init__(self) -> None:
        super().__init__("skyloom.api")
        # The progress bar beside it is the real one.
        self.__path__ = [str(Path(skyloom.__file__).parent / "api")]
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.fails: BaseException | None = None
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*given: Any, **options: Any) -> Any:
            self.calls.append((name, given, options))
            if self.fails is not None:
                raise self.fails
            return self.answers[name]

        return call


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """Take the place of ``skyloom.api``."""
    false = Api()
    monkeypatch.setitem(sys.modules, "skyloom.api", false)
    monkeypatch.setattr(skyloom, "api", false, raising=False)
    return false


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with two runs in ``runs/``."""
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(f"name: {name}\n")
    return tmp_path


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Any recipe loads and is called tiny; what was asked for is noted."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    def load(source: str | Path, changes: Any) -> types.SimpleNamespace:
        asked.append((str(source), tuple(changes)))
        return types.SimpleNamespace(name="tiny")

    monkeypatch.setattr("skyloom.recipe.load", load)
    return asked


@pytest.fixture
def skyloom_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line in this process, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words), obj=list(words), prog_name="skyloom")

    return run
