"""Trainings for the tests, here or in another process: small, with everything on that draws or averages.

As a script: ``worker.py serve`` reads one JSON object a line, forks a process that trains as it says, and
answers with its number; ``worker.py once JSON`` trains in this process (under torchrun, in each).
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import sys
import tempfile
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


def train(folder: str, *, resume: bool = False, net: dict[str, Any] | None = None, **settings: Any) -> Fitted:
    """Train in a folder; ``net`` and ``settings`` change what is said here."""
    usual = {"epochs": 4, "batch_size": 8, "ema": 0.9, "log_every": 3, "checkpoint_every": 5}
    wanted = Train(**usual | {"augment": ["roll", "flip", "turn"]} | settings)
    torch.manual_seed(0)
    net = {"name": "resnet", "width": 4, "blocks": [1], "dropout": 0.2} | (net or {})
    method = registry.build({"name": "moments", "net": net}, "method", data=(1, 1, SIZE))
    return fit(method, data(wanted), wanted, RunFolder(folder), resume=resume, progress="quiet")


def attempt(request: dict[str, Any]) -> int:
    """Train as asked and return the exit code that the command line would give."""
    try:
        train(**request)
    except SkyloomError as error:
        print(error, file=sys.stderr)
        return error.exit_code
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
        sys.exit(attempt(json.loads(Path(sys.argv[2]).read_text())))
