"""The real command line, in this process, for recipes of the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from skyloom.cli.app import app


@pytest.fixture(scope="session")
def skyloom() -> Callable[..., Result]:
    """A function that runs the command line, which must succeed."""

    def command(*words: str) -> Result:
        done = CliRunner().invoke(app, list(words), obj=list(words), prog_name="skyloom")
        assert done.exit_code == 0, done.output
        return done

    return command


@pytest.fixture(scope="session")
def run_recipe(
    skyloom: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[Path, str]]:
    """A function that runs a recipe, by a name and its text, and returns the folder and what was said."""

    def run(name: str, recipe: str) -> tuple[Path, str]:
        folder = tmp_path_factory.mktemp(name)
        (folder / "recipe.yaml").write_text(recipe)
        done = skyloom("run", str(folder / "recipe.yaml"), "--out", str(folder / "run"), "--quiet")
        return folder / "run", done.stdout

    return run
