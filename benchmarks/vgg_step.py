"""A training step of the tutorial's VGG, 200 × 200 maps in batches of 16, against the same network in Keras.

Keras runs in an interpreter of its own, in turns with ours.

What makes ours fast, beside what PyTorch does by itself: channels-last maps, which are also flattened without
a copy; one fused pass over weights, gradients and both moments, for nearly all of 167 million weights sit in
one layer that is bound by memory; gradients dropped, not zeroed, between steps; freed memory kept in the
process, so that no step waits for gigabytes of fresh pages. bf16 is used where the
processor computes in it, and nowhere else: without that it is slower than float32.

On a quiet machine both sides get two threads and the wall clock is read. On a busy one two threads wait for
each other, by up to thirty times the work: both sides then get one, and CPU seconds are compared.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch
from common import Row, ask, described, interpreter, is_busy, median_ratio, peer_process, row

from skyloom import registry
from skyloom.training.memory import kept_memory

BATCH, SIZE = 16, 200
ALONE = 5
PARAMETERS = 167_116_000
HERE = Path(__file__).parent
INSTALL = "python -m venv .venv-bench && .venv-bench/bin/pip install tensorflow-cpu"
# Policy, goal and turns; where the processor has no bf16, a step of the second takes a minute.
PEERS = (("float32", 1.5, 5), ("mixed_bfloat16", 1.0, 3))


def computes_in_bf16() -> bool:
    """Return whether this processor has instructions for bf16."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


class Ours:
    """The step as ``skyloom train`` takes it, without loading and logging."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.method = registry.build({"name": "mean_squared", "net": "vgg"}, "method", data=(1, 1, SIZE))
        self.method.to(memory_format=torch.channels_last).train()
        if sum(weight.numel() for weight in self.method.parameters()) != PARAMETERS:
            raise RuntimeError(f"the VGG does not have the published {PARAMETERS} parameters")
        self.optimiser = registry.build({"name": "adam", "lr": 0.01}, "optimiser")(self.method.parameters())
        self.maps = torch.randn(BATCH, 1, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
        self.targets = torch.randn(BATCH, 1)
        self.bf16 = computes_in_bf16()
        self.step()

    def step(self) -> tuple[float, float]:
        """Take one step; return its wall-clock and CPU seconds."""
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss, _ = self.method.losses(self.maps, self.targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return time.perf_counter() - wall, time.process_time() - cpu


def compare(ours: Ours, python: str, policy: str, goal: float, turns: int) -> Row:
    """Take turns with one peer."""
    with peer_process(python, HERE / "peers" / "keras_vgg.py", str(ours.threads), policy) as (peer, ready):
        if ready != [PARAMETERS]:
            raise RuntimeError(f"Keras built {ready} parameters, not the published {PARAMETERS}")
        ask(peer)
        pairs = []
        for turn in range(turns):
            pairs.append((ours.step(), ask(peer)))
            seconds = [f"{wall:.1f} s ({cpu:.1f} s CPU)" for wall, cpu in pairs[-1]]
            print(
                f"  turn {turn + 1} of {turns}, {policy}: {' v '.join(seconds)}", file=sys.stderr, flush=True
            )
    clock = 1 if ours.threads == 1 else 0
    seconds = [[pair[side][clock] for pair in pairs] for side in (0, 1)]
    precision = "bf16" if ours.bf16 else "float32"
    return row(
        f"VGG step, 200², batch {BATCH}, {precision}, v Keras {policy}",
        statistics.median(seconds[0]),
        statistics.median(seconds[1]),
        goal,
        "s",
        ratio=median_ratio(*seconds),
        note=f"median of {turns} turns, {described(ours.threads)}",
    )


def alone(ours: Ours) -> Row:
    """Measure our step where there is no peer, and say how to get one."""
    seconds = statistics.median(ours.step()[ours.threads == 1] for _ in range(ALONE))
    note = f"{described(ours.threads)}; not measured against Keras: {INSTALL}"
    return row(f"VGG step, 200², batch {BATCH}, v Keras", seconds, None, None, "s", note=note)


def run() -> list[Row]:
    """Measure our step alone, or against Keras where it is installed."""
    before = torch.get_num_threads()
    try:
        with kept_memory():
            ours, python = Ours(threads=1 if is_busy() else 2), interpreter("keras", "tensorflow")
            if python is None:
                return [alone(ours)]
            return [compare(ours, python, policy, goal, turns) for policy, goal, turns in PEERS]
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    from common import table

    print(table(run()))
