"""Verbs that make, import and inspect data."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Command = Callable[..., Result]


def test_make_resolves_the_simulator(
    api: Any, skyloom_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyloom.registry.resolve", lambda spec, kind: {**spec, "seed": 0, "of": kind})
    api.answers = {"make": Path("out")}
    words = [
        "make",
        "toy",
        "--out",
        "out",
        "--workers",
        "2",
        "--set",
        "simulations=4",
        "--set",
        "box.size=1e2",
    ]
    done = skyloom_command(*words, "--compression", "blosc", "--dtype", "float16", "--keep", "T_b:7")
    assert done.stdout.split() == ["field", "set", "out"]
    source = {"name": "toy", "simulations": 4, "box": {"size": 100.0}, "seed": 0, "of": "simulator"}
    options = {"workers": 2, "compression": "blosc", "dtype": "float16", "keep": {"T_b": 7}}
    options["progress"] = None
    assert api.calls == [("make", (source, Path("out")), options)]


def test_import_hands_over_format_and_options(api: Any, skyloom_command: Command) -> None:
    api.answers = {"import_": Path("out")}
    words = [
        "import",
        "maps.pkl.gz",
        "--out",
        "out",
        "--format",
        "pandas_pickle",
        "--set",
        "redshift=[7, 8]",
        "--dtype",
        "float32",
        "--shard-size",
        "16",
        "--scheduler",
        "tcp://host:8786",
        "-q",
    ]
    assert skyloom_command(*words).exit_code == 0
    options = {"format": "pandas_pickle", "options": {"redshift": [7, 8]}}
    options |= {"shard_size": 16, "workers": None, "scheduler": "tcp://host:8786"}
    options |= {"dtype": "float32", "progress": "quiet"}
    assert api.calls == [("import_", (Path("maps.pkl.gz"), Path("out")), options)]


def test_inspect_prints_the_page_and_writes_it(api: Any, skyloom_command: Command, tmp_path: Path) -> None:
    summary = types.SimpleNamespace(
        text=lambda width: f"T_b [mK]\n  note     {width}", content=lambda: {"n": 2}
    )
    api.answers = {"inspect": summary}
    assert skyloom_command("inspect", "maps", "--set", "seed=42").stdout == "T_b [mK]\n  note     200\n"
    assert api.calls == [
        ("inspect", (Path("maps"),), {"format": None, "options": {"seed": 42}, "progress": None})
    ]
    assert skyloom_command("inspect", "maps", "-q", "--json", str(tmp_path / "found.json")).exit_code == 0
    assert json.loads((tmp_path / "found.json").read_text()) == {"n": 2}


def test_fetch_hands_over_what_is_asked_for(
    api: Any, skyloom_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers = {"fetch": Path("camels")}
    monkeypatch.setenv("SKYLOOM_CAMELS_URL", "http://mirror")
    words = ["fetch", "camels", "--suite", "SIMBA", "--set", "CV", "--field", "Mgas", "--field", "HI"]
    assert skyloom_command(*words).stdout.split() == ["files", "camels"]
    options = {"suite": "SIMBA", "set": "CV", "fields": ["Mgas", "HI"], "redshift": "0.00", "grid": None}
    assert api.calls == [
        ("fetch", ("camels", Path("camels")), {**options, "url": "http://mirror", "progress": None})
    ]
