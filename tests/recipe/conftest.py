"""A world with one package only: components made for these tests, found as any plugin's are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyloom.registry import catalogue

SOURCE = '''
from typing import Annotated, Any
from skyloom.registry import Kind

class Box:
    """Maps from a file.

    Args:
        path: Where the file is.
    """
    def __init__(self, *, path: str, scale: float = 1.0) -> None: ...

class Shift:
    def __init__(self, *, by: float = 0.5) -> None: ...

class ByGroup:
    def __init__(
        self, *, fractions: dict[str, float] = {"train": 0.5, "test": 0.5}, seed: int = 0
    ) -> None: ...

class BySample:
    def __init__(self, *, leaky: bool, seed: int = 0) -> None: ...

class Ask:
    def __init__(self, *, parameters: list[str]) -> None: ...

class Learn:
    def __init__(
        self, size: int, *, net: Annotated[dict[str, Any], Kind("net")] = {"name": "small"}
    ) -> None: ...

class Small:
    def __init__(self, size: int, *, width: int = 8) -> None: ...

class Large:
    def __init__(self, size: int, *, widths: list[int] = [1, 2]) -> None: ...

class AdamW:
    def __init__(self, params: object, *, lr: float = 1e-3) -> None: ...

class Plain: ...

class Look:
    def __init__(self, *, steps: int = 4, widths: list[float] = [0.0]) -> None: ...
'''
POINTS = {
    "format": {"box": "Box"},
    "simulator": {"maker": "Plain"},
    "transform": {"shift": "Shift", "plain": "Plain"},
    "split": {"group": "ByGroup", "sample": "BySample"},
    "task": {"ask": "Ask"},
    "method": {"learn": "Learn"},
    "net": {"small": "Small", "large": "Large", "absent": "Absent"},
    "optimiser": {"adamw": "AdamW"},
    "baseline": {"mean": "Plain"},
    "statistic": {"pdf": "Plain"},
    "explanation": {"look": "Look"},
}
MINIMAL = """\
recipe: 1
name: tiny
data:
  source: {name: box, path: a.h5}
  fields:
    T_b: [plain]
split: {by: group}
task: {name: ask, parameters: [x_HI]}
method: learn
"""


@pytest.fixture
def components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the components above are installed."""
    folder = tmp_path / "site"
    info = folder / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    lines = [
        f"[skyloom.{kind}]\n" + "".join(f"{n} = toys:{c}\n" for n, c in ps.items())
        for kind, ps in POINTS.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (folder / "toys.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    scan = catalogue._scan
    monkeypatch.setattr(catalogue, "_scan", lambda path: scan((str(folder),)))
    yield
    sys.modules.pop("toys", None)


@pytest.fixture
def minimal() -> str:
    """The shortest recipe."""
    return MINIMAL


@pytest.fixture
def recipe_file(tmp_path: Path, components: None) -> Callable[[str], Path]:
    """Write a recipe and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
