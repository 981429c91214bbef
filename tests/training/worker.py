"""Trainings for the tests, here or in another process: small, with everything on that draws or averages.

As a script: ``worker.py serve`` reads one JSON object a line, forks a process that trains as it says, and
answers with its number; ``worker.py each FILE`` forks a process for each request of a JSON list, one after
another (under torchrun, as many at a time as there are ranks).
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skyloom import registry
from skyloom.errors import SkyloomError
from skyloom.fields import example, store
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.loading import MapDataModule
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.splits import AuditedSplit, ByGroup, audit, fingerprint
from skyloom.tasks.infer import Infer
from skyloom.training import Fitted, fit

SIZE = 8


@functools.cache
def field_set() -> tuple[store.Reader, AuditedSplit, FieldTransforms, np.ndarray]:
    """A toy set in a store: 80 maps to train on, 15 to validate, 5 to test; transforms and targets."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    maps = example(groups=20, per_group=5, size=SIZE)
    store.write(maps, folder.name)
    dealt = ByGroup(fractions={"train": 0.8, "validation": 0.15, "test": 0.05}).assign(maps)
    train = maps.isel(sample=np.isin(maps["sample"].values, dealt.sides["train"]))
    fitted = FieldTransforms({"T_b": Pipeline(["standardise"])}).fit(
        lambda: iter([{"T_b": train["T_b"].values}]), dealt.sides["train"]
    )
    audited = audit(maps, dealt, fingerprints=fingerprint(maps["T_b"].values), transforms=fitted)
    task = Infer(parameters=["x_HI"]).fit(train)
    return store.Reader(folder.name), audited, fitted, task.targets(maps)


def data(settings: Train) -> MapDataModule:
    """The toy set for one training: ten steps an epoch with batches of eight."""
    return MapDataModule(*field_set(), settings)


def train(
    folder: str,
    *,
    resume: bool = False,
    net: dict[str, Any] | None = None,
    die: int | None = None,
    **settings: Any,
) -> Fitted:
    """Train in a folder; ``net`` and ``settings`` change what is said here, ``die`` is the last step."""
    usual = {"epochs": 4, "batch_size": 8, "ema": 0.9, "log_every": 3, "checkpoint_every": 5}
    wanted = Train(**usual | {"augment": ["roll", "flip", "turn"]} | settings)
    torch.manual_seed(0)
    net = {"name": "resnet", "width": 4, "blocks": [1], "dropout": 0.2} | (net or {})
    method = registry.build({"name": "moments", "net": net}, "method", data=(1, 1, SIZE))
    if die is not None:
        method.training_step = deadly(method, die)
    return fit(method, data(wanted), wanted, RunFolder(folder), resume=resume, progress="quiet")


def deadly(method: Any, last: int) -> Callable[[Any, int], Any]:
    """Return the method's step, which kills its process in the one of that number."""
    step = method.training_step

    def training_step(batch: Any, batch_idx: int) -> Any:
        if method.global_step == last - 1:
            # All or none: one that stayed alone would wait for the others.
            torch.distributed.barrier()
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return step(batch, batch_idx)

    return training_step


def attempt(request: dict[str, Any]) -> int:
    """Train as asked and return the exit code that the command line would give."""
    try:
        train(**request)
    except SkyloomError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def each(requests: list[dict[str, Any]]) -> int:
    """Fork a process for each request, the imports paid once; return 1 where one did not end as it should."""
    # Torchrun's own store remembers the addresses of those that died: each time a new one is needed.
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"
    for request in requests:
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
        child = os.fork()
        if child == 0:
            os._exit(attempt(request))
        _, status = os.waitpid(child, 0)
        print(f"{request['folder']}: {os.waitstatus_to_exitcode(status)}", flush=True)
        if (status == 0) == ("die" in request):
            return 1
    return 0


def serve() -> None:
    """Fork a process for each request, the imports paid once, and reap it when asked to."""
    field_set()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"exit": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        child = os.fork()
        if child == 0:
            os._exit(attempt(request))
        print(json.dumps({"pid": child}), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "serve":
        serve()
    else:
        sys.exit(each(json.loads(Path(sys.argv[2]).read_text())))
