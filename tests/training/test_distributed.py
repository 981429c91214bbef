"""Two processes are one process with the doubled batch."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("worker.py")

# Nothing that depends on the process: no dropout, no moments of a batch. In float64 rounding is seen as such.
NET = {"norm": "group", "dropout": 0.0}
SETTINGS = {"precision": "64", "epochs": 2, "gradient_clip": 0.5, "accelerator": "cpu"}


def torchrun(tmp_path: Path, **request) -> subprocess.CompletedProcess[str]:
    """Train in two processes on this machine."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command, "once", str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
        env=environment,
    )


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open(newline="") as file:
        return [
            {name: float(cell) for name, cell in row.items() if cell and name != "seconds"}
            for row in csv.DictReader(file)
        ]


@pytest.mark.slow
def test_two_processes_are_one_with_the_doubled_batch(worker, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    worker.train(str(one), net=NET, batch_size=16, **SETTINGS)
    done = torchrun(tmp_path, folder=str(two), net=NET, batch_size=8, devices=2, **SETTINGS)
    assert done.returncode == 0, done.stderr
    for name in ("best", "last"):
        first, second = (load_file(folder / f"weights/{name}.safetensors") for folder in (one, two))
        for key, value in first.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(second[key], value, rtol=1e-9, atol=1e-12)
    # Five steps an epoch, a row every three steps and at the end of an epoch.
    assert [row["step"] for row in rows(one)] == [3, 5, 6, 9, 10]
    for first, second in zip(rows(one), rows(two), strict=True):
        assert second == pytest.approx(first, rel=1e-9)
