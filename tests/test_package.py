"""What is built is what is needed: the wheel holds every module and file, and works where no source lies."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from skyloom import recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel made from the sdist, as a package index gets them."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'skyloom[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    subprocess.run([*build, "-t", "wheel"], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_all_modules_templates_and_shipped_sets(built):
    with zipfile.ZipFile(built) as wheel:
        inside = {name for name in wheel.namelist() if name.startswith("skyloom/")}
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "skyloom").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == source
    assert built.stat().st_size < 60e6


def test_it_works_from_the_wheel_alone(built, tmp_path):
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def skyloom(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "skyloom", *words],
            check=True, capture_output=True, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import skyloom; print(skyloom.__file__)"],
        check=True, capture_output=True, text=True, cwd=tmp_path, env=environment,
    ).stdout  # fmt: skip
    assert str(tmp_path / "site") in where
    assert "skyloom 0." in skyloom("--version")
    assert "shipped" in skyloom("list", "format")
    name = recipe.templates()[0]
    skyloom("init", name, "--out", "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text()
