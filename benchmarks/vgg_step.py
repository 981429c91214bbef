"""A training step of the tutorial's VGG, 200 × 200 maps in batches of 16, against the same network in Keras.

Keras runs in an interpreter of its own, in turns with ours. It is looked for in the one that
``SKYLOOM_BENCH_PYTHON`` names, in this one, and in ``.venv-bench``.

What makes ours fast, beside what PyTorch does by itself: channels-last maps, which are also flattened without
a copy; one fused pass over weights, gradients and both moments, for nearly all of 167 million weights sit in
one layer that is bound by memory; gradients dropped, not zeroed, between steps; freed memory kept in the
process, so that no step waits for gigabytes of fresh pages. bf16 is used where the
processor computes in it, and nowhere else: without that it is slower than float32.

On a quiet machine both sides get two threads and the wall clock is read. On a busy one two threads wait for
each other, by up to thirty times the work: both sides then get one, and CPU seconds are compared.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from common import Row, median_ratio, row

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


def is_busy() -> bool:
    """Return whether others keep more than half of a processor busy, over one second in which we do nothing.

    The load average would count the benchmarks that ran just before.
    """
    first = busy_seconds()
    time.sleep(1.0)
    return busy_seconds() - first > 0.5


def busy_seconds() -> float:
    """Return the seconds that all processors together have worked since the machine started; 0 off Linux."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


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


def interpreter() -> str | None:
    """Return an interpreter that has Keras and TensorFlow, or None."""
    if named := os.environ.get("SKYLOOM_BENCH_PYTHON"):
        return named
    if importlib.util.find_spec("keras") and importlib.util.find_spec("tensorflow"):
        return sys.executable
    own = HERE.parent / ".venv-bench" / "bin" / "python"
    return str(own) if own.exists() else None


@contextmanager
def keras(python: str, policy: str, threads: int) -> Iterator[subprocess.Popen[str]]:
    """Start the peer and wait until it is warm."""
    command = [python, str(HERE / "peers" / "keras_vgg.py"), str(threads), policy]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        try:
            ready = answer(peer)
            if ready != [PARAMETERS]:
                raise RuntimeError(f"Keras built {ready} parameters, not the published {PARAMETERS}")
            yield peer
        finally:
            peer.kill()


def answer(peer: subprocess.Popen[str]) -> list[float]:
    """Read one line of numbers."""
    if peer.stdout is None:
        raise RuntimeError("the peer has no output")
    line = peer.stdout.readline()
    if not line:
        raise RuntimeError(f"Keras stopped with exit code {peer.wait()}; its errors stand above")
    return [float(word) for word in line.split()]


def ask(peer: subprocess.Popen[str]) -> list[float]:
    """Let the peer take one step; return its wall-clock and CPU seconds."""
    if peer.stdin is None:
        raise RuntimeError("the peer has no input")
    print("step", file=peer.stdin, flush=True)
    return answer(peer)


def compare(ours: Ours, python: str, policy: str, goal: float, turns: int) -> Row:
    """Take turns with one peer."""
    with keras(python, policy, ours.threads) as peer:
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


def described(threads: int) -> str:
    """Say which seconds are given."""
    return "CPU seconds, 1 thread (the machine is busy)" if threads == 1 else f"wall clock, {threads} threads"


def run() -> list[Row]:
    """Measure our step alone, or against Keras where it is installed."""
    before = torch.get_num_threads()
    try:
        with kept_memory():
            ours, python = Ours(threads=1 if is_busy() else 2), interpreter()
            if python is None:
                return [alone(ours)]
            return [compare(ours, python, policy, goal, turns) for policy, goal, turns in PEERS]
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    from common import table

    print(table(run()))
