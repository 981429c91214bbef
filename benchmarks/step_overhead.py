"""A whole training step of Skyloom against a bare PyTorch loop.

Both have the same network, maps, optimiser and precision. The bare loop holds all maps in one tensor, takes
rows by index, and does forward, backward and step; nothing is logged, counted or saved. Skyloom reads through
its data module, follows a schedule, keeps its log and may be interrupted at any moment. Both run in this
process and in one thread, in turns of a few steps, so that whatever else the machine does meets both alike;
CPU time is taken, and the median of the ratios of neighbouring turns is given.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from common import Row, median_ratio, row
from torch import Tensor

from skyloom import registry
from skyloom.fields import example, store
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.loading import MapDataModule
from skyloom.methods import Method
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.splits import ByGroup, audit, fingerprint
from skyloom.tasks.infer import Infer
from skyloom.training import fit

BATCH = 32
PAIRS = 60
TURN = 2  # steps in a turn: enough that both find the caches as the other left them for a part of it only
SIZES = (64,)
GOAL = 0.97  # 3 % overhead


def make_data(folder: Path, size: int, settings: Train) -> MapDataModule:
    """Return a data module over toy maps in a store: ten steps an epoch."""
    maps = example(groups=25, per_group=16, size=size)
    store.write(maps, folder)
    dealt = ByGroup(fractions={"train": 0.8, "validation": 0.16, "test": 0.04}).assign(maps)
    train = maps.sel(sample=list(dealt.sides["train"]))
    transforms = FieldTransforms({"T_b": Pipeline(["standardise"])}).fit(
        lambda: iter([{"T_b": train["T_b"].values}]), dealt.sides["train"]
    )
    audited = audit(maps, dealt, fingerprints=fingerprint(maps["T_b"].values), transforms=transforms)
    targets = Infer(parameters=["x_HI"]).fit(train).targets(maps)
    return MapDataModule(store.Reader(folder), audited, transforms, targets, settings)


def bare_steps(method: Method, maps: Tensor, targets: Tensor) -> Iterator[None]:
    """Train for ever, a step at a time."""
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)
    while True:
        for rows in torch.randperm(len(maps), generator=generator).split(BATCH):
            loss = method.losses(maps[rows], targets[rows])[0]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            yield


class Turns:
    """What Lightning calls after each step: at the end of Skyloom's turn it gives the bare loop one.

    Args:
        bare: The bare loop.
    """

    def __init__(self, bare: Iterator[None]) -> None:
        self.bare = bare
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self._steps, self._began = 0, time.process_time()

    def __call__(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Count a step of Skyloom's, and take turns."""
        self._steps += 1
        if self._steps % TURN:
            return
        middle = time.process_time()
        for _ in range(TURN):
            next(self.bare)
        self.ours.append((middle - self._began) / TURN)
        self._began = time.process_time()
        self.theirs.append((self._began - middle) / TURN)


def compare(size: int) -> Row:
    """Return the row for maps of one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Train(batch_size=BATCH, epochs=-(-PAIRS * TURN // 10))
        data = make_data(folder / "set", size, settings)
        method = registry.build({"name": "moments", "net": {"name": "resnet"}}, "method", data=(1, 1, size))
        twin = copy.deepcopy(method).to(memory_format=torch.channels_last).train()
        batches = list(data.train_dataloader())
        whole = {key: torch.cat([batch[key] for batch in batches]) for key in ("maps", "targets")}
        turns = Turns(bare_steps(twin, whole["maps"], whole["targets"]))
        method.on_train_batch_end = turns
        fit(method, data, settings, RunFolder(folder / "run"), progress="quiet")
    # The first turn began before the data were read.
    ours, theirs = turns.ours[1:], turns.theirs[1:]
    return row(
        f"training step, ResNet at {size}², against a bare loop",
        1e3 * statistics.median(ours),
        1e3 * statistics.median(theirs),
        GOAL,
        "ms",
        ratio=median_ratio(ours, theirs),
        note=f"batch {BATCH}, CPU time of one thread, median of {len(ours)} pairs of {TURN} steps",
    )


def run() -> list[Row]:
    """Return the rows of this benchmark."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [compare(size) for size in SIZES]
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    for line in run():
        print(line)
