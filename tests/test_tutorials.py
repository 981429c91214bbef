"""The notebooks of the documentation say and run what the tutorials say, and the code of one runs here."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from skyloom import api

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "docs/tutorials").glob("*.md"))
LARGEST = 300_000


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("run_tutorials", ROOT / "scripts/run_tutorials.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_each_of_the_five_systems_has_a_tutorial():
    assert NAMES == ["cosmic-rays", "galaxies", "hawc", "multifield", "reionisation"]


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_is_what_its_text_gave(script, name):
    file = ROOT / f"docs/tutorials/{name}.ipynb"
    found = json.loads(file.read_text())["cells"]
    wanted = script.cells(file.with_suffix(".md").read_text())
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in found] == wanted
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [
        output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"
    ]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert file.stat().st_size <= LARGEST


@pytest.mark.slow
def test_the_code_of_a_tutorial_runs(script, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    load, small = (
        api.load_recipe,
        ["data.source.galaxies=12", "train.epochs=1", "evaluate.bootstrap=20", "evaluate.statistics=[]"],
    )
    monkeypatch.setattr(api, "load_recipe", lambda name, changes: load(name, [*changes, *small]))
    place: dict[str, object] = {}
    for kind, source in script.cells((ROOT / "docs/tutorials/galaxies.md").read_text()):
        if kind == "code":
            exec(compile(source, "galaxies.md", "exec"), place)
    assert (tmp_path / "runs/hydrogen/report.html").is_file()
