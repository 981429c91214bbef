"""Trainings for the tests, here or in another process: small, with everything on that draws or averages.

As a script: ``worker.py serve`` reads one JSON object a line, forks a process that trains as it says, and
answers with its number; ``worker.py once JSON`` trains in this process (under torchrun, in each).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from skyloom import registry
from skyloom.errors import SkyloomError
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.training import Fitted, fit

SIZE = 8


class Sampler:
    def __init__(self, rows: int, batch: int, seed: int, train: bool, rank: int, world: int) -> None:
        self.rows, self.batch, self.seed, self.train = rows, batch * world, seed, train
        self.rank, self.world = rank, world
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return self.rows // self.batch if self.train else -(-self.rows // self.batch)

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.start = state["epoch"], state["batch"]

    def __iter__(self):
        order = np.arange(self.rows)
        if self.train:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        for batch in range(self.start, len(self)):
            rows = order[batch * self.batch : (batch + 1) * self.batch]
            yield np.array_split(rows, self.world)[self.rank].tolist()


class Rows(torch.utils.data.Dataset):
    def __init__(self, maps, targets) -> None:
        self.maps, self.targets = maps, targets

    def __getitems__(self, rows):
        return {"maps": self.maps[rows], "targets": self.targets[rows], "row": torch.tensor(rows)}


class Data(lightning.LightningDataModule):
    def __init__(self, settings: Train, rows: int = 100) -> None:
        super().__init__()
        generator = np.random.default_rng(0)
        self.settings = settings
        self.targets = torch.from_numpy(generator.normal(size=(rows, 1)).astype(np.float32))
        noise = torch.from_numpy(generator.normal(size=(rows, 1, SIZE, SIZE)).astype(np.float32))
        self.maps = noise + self.targets[:, :, None, None]

    def loader(self, low, high, train):
        rows = Rows(self.maps[low:high], self.targets[low:high])
        here = (self.trainer.global_rank, self.trainer.world_size)
        sampler = Sampler(high - low, self.settings.batch_size, self.settings.seed, train, *here)
        return DataLoader(rows, batch_sampler=sampler, collate_fn=lambda batch: batch)

    def train_dataloader(self):
        return self.loader(0, 80, True)

    def val_dataloader(self):
        return self.loader(80, 99, False)


def train(folder: str, *, resume: bool = False, net: dict[str, Any] | None = None, **settings: Any) -> Fitted:
    """Train in a folder; ``net`` and ``settings`` change what is said here."""
    wanted = {"epochs": 4, "batch_size": 8, "ema": 0.9, "log_every": 3, "checkpoint_every": 5} | settings
    torch.manual_seed(0)
    net = {"name": "resnet", "width": 4, "blocks": [1], "dropout": 0.2} | (net or {})
    method = registry.build({"name": "moments", "net": net}, "method", data=(1, 1, SIZE))
    data = Data(Train(**wanted))
    return fit(method, data, Train(**wanted), RunFolder(folder), resume=resume, progress="quiet")


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
