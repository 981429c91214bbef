"""The small training of ``worker.py``, in this process and in processes that can be killed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("worker.py")


@pytest.fixture(scope="session")
def worker() -> ModuleType:
    """The module ``worker.py``."""
    specification = importlib.util.spec_from_file_location("training_worker", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """One thread: two are slower where the machine is shared."""
    torch.set_num_threads(1)


class Server:
    """Processes that train, one at a time, each a real one that can be killed."""

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        with errors.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", str(SCRIPT), "serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self._answer()

    def start(self, **request: Any) -> int:
        """Begin a training and return the number of its process, which stands until it is waited for."""
        return self._ask(request)["pid"]

    def wait(self, process: int) -> int:
        """Return the exit code of a process; that of a killed one is minus the signal."""
        return self._ask({"wait": process})["exit"]

    def train(self, **request: Any) -> int:
        """Train and return the exit code."""
        return self.wait(self.start(**request))

    def _ask(self, request: dict[str, Any]) -> dict[str, int]:
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, int]:
        line = self._process.stdout.readline()
        if not line:
            pytest.fail(f"the worker died: {self.errors.read_text()}")
        return json.loads(line)

    def close(self) -> None:
        """End the server."""
        self._process.communicate(timeout=60)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of training processes."""
    server = Server(tmp_path_factory.mktemp("server") / "errors.txt")
    yield server
    server.close()
