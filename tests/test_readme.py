"""The README's Python runs, and the commands that it shows exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skyloom import recipe

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(README.read_text()) if found == language]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code):
    exec(compile(code, str(README), "exec"), {})


def test_recipes_and_components_that_are_shown_exist():
    shell = "\n".join(blocks("bash"))
    table = re.findall(r"`skyloom run ([^|]*)`", README.read_text())
    recipes = {name for names in table for name in re.split(r"[`, ]+", names)}
    recipes |= set(re.findall(r"skyloom run ([\w-]+)", shell))
    assert len(recipes) > 10 and recipes <= set(recipe.templates())
    loaded = recipe.load("reionisation", re.findall(r"--set (\S+)", shell))
    assert loaded.method["net"]["width"] == 48
    assert loaded.train.seed == 7
