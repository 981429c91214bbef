"""What ``skyloom export`` asks of the API and shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Command = Callable[..., Result]


def test_onnx_shows_the_difference_of_each_output(api: Any, here: Path, skyloom_command: Command) -> None:
    from skyloom.api.exporting import Difference

    api.answers["export_onnx"] = [Difference("mean", "Omega_m", "", 2e-7, 2e-6)]
    done = skyloom_command("export", "onnx", "first", "--out", "m.onnx", "--tolerance", "1e-5")
    assert done.exit_code == 0, done.output
    asked = {"maps": None, "tolerance": 1e-5}
    assert api.calls == [("export_onnx", (Path("runs/first"), Path("m.onnx")), asked)]
    assert "Omega_m" in done.stdout and "2.0e-06" in done.stdout


def test_a_run_that_is_not_there_is_a_wrong_use(here: Path, skyloom_command: Command) -> None:
    assert skyloom_command("export", "onnx", "third").exit_code == 2
