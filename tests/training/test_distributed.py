"""Two processes are one process with the doubled batch, killed half-way or not."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("worker.py")

# Nothing that depends on the process: no dropout, no moments of a batch. In float64 rounding is seen as such.
NET = {"norm": "group", "dropout": 0.0}
SETTINGS = {"precision": "64", "epochs": 2, "gradient_clip": 0.5, "accelerator": "cpu"}
TWO = {"net": NET, "batch_size": 8, "devices": 2, **SETTINGS}


def torchrun(folder: Path, *requests: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Train in two processes on this machine, once for each request."""
    file = folder / "requests.json"
    file.write_text(json.dumps(requests))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command, "each", str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
    )


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open(newline="") as file:
        return [
            {name: float(cell) for name, cell in row.items() if cell and name != "seconds"}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path, str]:
    """Trainings by two processes: one that nobody stopped, one whose processes died and that went on."""
    folder = tmp_path_factory.mktemp("two")
    whole, broken = folder / "whole", folder / "broken"
    # Five steps an epoch, a checkpoint every five: steps 6 and 7 are lost and taken again.
    done = torchrun(
        folder,
        {"folder": str(whole), **TWO},
        {"folder": str(broken), "die": 8, **TWO},
        {"folder": str(broken), "resume": True, **TWO},
    )
    assert done.returncode == 0, done.stderr
    return whole, broken, done.stdout


@pytest.mark.slow
def test_two_processes_are_one_with_the_doubled_batch(worker, trained, tmp_path):
    one, two = tmp_path / "one", trained[0]
    worker.train(str(one), net=NET, batch_size=16, **SETTINGS)
    for name in ("best", "last"):
        first, second = (load_file(folder / f"weights/{name}.safetensors") for folder in (one, two))
        for key, value in first.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(second[key], value, rtol=1e-9, atol=1e-12)
    # Five steps an epoch, a row every three steps and at the end of an epoch.
    assert [row["step"] for row in rows(one)] == [3, 5, 6, 9, 10]
    for first, second in zip(rows(one), rows(two), strict=True):
        assert second == pytest.approx(first, rel=1e-9)


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on_to_the_same_bits(trained):
    whole, broken, said = trained
    assert f"{broken}: {-signal.SIGKILL}" in said and said.count(f"{broken}: 0") == 2
    for name in ("best", "last"):
        file = f"weights/{name}.safetensors"
        assert (broken / file).read_bytes() == (whole / file).read_bytes()
    assert rows(broken) == rows(whole)
