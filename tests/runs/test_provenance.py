"""A run can be repeated from what it remembers, and tells nothing about whose machine it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from skyloom.errors import DataError
from skyloom.runs import input_file, provenance, without_home
from skyloom.runs.provenance import _commit, packages


def test_versions_are_those_of_the_installed_packages() -> None:
    found = packages()
    for name in ("numpy", "xarray", "torch"):
        assert found[name] == metadata.version(name)
    assert "skyloom" not in found


def test_packages_without_an_installation_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert packages() == {}


def test_the_machine_is_described() -> None:
    machine = provenance()["machine"]
    assert machine["cores"] == os.cpu_count()
    assert 1 <= machine["usable_cores"] <= machine["cores"]
    assert machine["memory"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine["processor"]


def test_the_machine_without_its_table_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    read_text = Path.read_text

    def absent(path: Path, *given: Any, **options: Any) -> str:
        if path.name == "cpuinfo":
            raise FileNotFoundError
        return read_text(path, *given, **options)

    monkeypatch.setattr(Path, "read_text", absent)
    assert provenance()["machine"]["processor"]


def test_nothing_tells_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    facts = provenance(["/home/ada/.venv/bin/skyloom", "run", "/home/ada/r.yaml", "--set=a=/home/adam"])
    assert facts["argv"] == ["skyloom", "run", "~/r.yaml", "--set=a=/home/adam"]
    assert "/home/ada/" not in json.dumps(facts)
    monkeypatch.setenv("HOME", "/")
    assert without_home("/data/a") == "/data/a"


def test_an_input_is_named_as_given_with_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 8192  # two blocks
    (tmp_path / "a.bin").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert input_file("a.bin") == {
        "path": "a.bin",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": 2**21,
    }
    with pytest.raises(DataError, match=r"cannot read the input b.bin: No such file"):
        input_file("b.bin")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_is_that_of_the_code_only(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert _commit(package) is None, "no repository"
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "of somebody else")
    assert _commit(package) is None, "somebody else's repository"
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-q", "-m", "ours")
    assert _commit(package) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (package / "__init__.py").write_text("changed")
    commit = _commit(package)
    assert commit is not None
    assert commit["dirty"] is True


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _commit() is None


def test_no_torch_is_imported() -> None:
    script = "import sys, skyloom.runs, skyloom.splits; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
