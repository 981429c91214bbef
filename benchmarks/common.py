"""What all benchmarks share: one row of the table, the table, and peers in an interpreter of their own.

A peer is looked for in the interpreter that ``SKYLOOM_BENCH_PYTHON`` names, in this one, and in
``.venv-bench``. It is a script that prints a line of numbers once it is warm, then, for every line on its
input, does one step and prints its wall-clock and CPU seconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        name: What was done.
        ours: Skyloom's figure, in ``unit``.
        peer: The peer's figure, in ``unit``; None where there is no peer.
        ratio: How many times as fast as the peer Skyloom is.
        goal: The smallest ratio that is good enough; None where it is only measured.
        unit: A time (``ms``) or a rate (``MB/s``).
        note: How it was measured.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    goal: float | None
    unit: str
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None or self.ratio is None else self.ratio >= self.goal

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "" if self.goal is None else f"≥ {self.goal:.2f}"
        met = {True: "yes", False: "no", None: ""}[self.met]
        return (
            self.name,
            _figure(self.ours, self.unit),
            _figure(self.peer, self.unit),
            ratio,
            goal,
            met,
            self.note,
        )

    def __str__(self) -> str:
        return table([self])


def row(
    name: str,
    ours: float,
    peer: float | None,
    goal: float | None,
    unit: str,
    *,
    ratio: float | None = None,
    note: str = "",
) -> Row:
    """Make a row; the ratio is of speeds, 1 being as fast as the peer, whatever the unit.

    Args:
        name: What was done.
        ours: Skyloom's figure, in ``unit``.
        peer: The peer's figure, in ``unit``; None where there is no peer.
        goal: The smallest ratio that is good enough; None where it is only measured.
        unit: A rate ends in ``/s``, anything else is a time.
        ratio: The ratio of speeds where it is no quotient of the two figures, such as the median over pairs.
        note: How it was measured.
    """
    if ratio is None and peer is not None:
        ratio = ours / peer if unit.endswith("/s") else peer / ours
    return Row(name, ours, peer, ratio, goal, unit, note)


def in_turns(
    doings: Sequence[Callable[[], object]], repeats: int, clock: Callable[[], float]
) -> list[list[float]]:
    """Time several doings in turns, so that whatever else the machine does meets all alike.

    Args:
        doings: What to time; each turn begins with the next one.
        repeats: Turns.
        clock: Gives seconds: ``time.perf_counter`` or ``time.process_time``.

    Returns:
        For each doing, seconds of each turn.
    """
    seconds: list[list[float]] = [[0.0] * repeats for _ in doings]
    for turn in range(repeats):
        for place in range(len(doings)):
            which = (turn + place) % len(doings)
            began = clock()
            doings[which]()
            seconds[which][turn] = clock() - began
    return seconds


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Return the median over turns of the peer's time over ours."""
    return statistics.median(b / a for a, b in zip(ours, peer, strict=True))


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


def described(threads: int) -> str:
    """Say which seconds are given."""
    return "CPU seconds, 1 thread (the machine is busy)" if threads == 1 else f"wall clock, {threads} threads"


def interpreter(*modules: str) -> str | None:
    """Return an interpreter in which modules can be imported, or None.

    Args:
        modules: Names of modules.
    """
    own = HERE.parent / ".venv-bench" / "bin" / "python"
    places = (os.environ.get("SKYLOOM_BENCH_PYTHON"), sys.executable, str(own) if own.exists() else None)
    question = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {list(modules)!r})))"
    for python in places:
        if python and subprocess.run([python, "-c", question], check=False).returncode == 0:
            return python
    return None


@contextmanager
def peer_process(
    python: str, script: Path, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], list[float]]]:
    """Start a peer and wait until it is warm.

    Args:
        python: The interpreter.
        script: The peer's script.
        arguments: What the script is told.

    Yields:
        The process, and the numbers that it printed when it was warm.
    """
    command = [python, str(script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        try:
            yield peer, _answer(peer)
        finally:
            peer.kill()


def ask(peer: subprocess.Popen[str]) -> list[float]:
    """Let the peer take one step; return its wall-clock and CPU seconds."""
    if peer.stdin is None:
        raise RuntimeError("the peer has no input")
    print("step", file=peer.stdin, flush=True)
    return _answer(peer)


def _answer(peer: subprocess.Popen[str]) -> list[float]:
    if peer.stdout is None:
        raise RuntimeError("the peer has no output")
    line = peer.stdout.readline()
    if not line:
        raise RuntimeError(f"the peer stopped with exit code {peer.wait()}; its errors stand above")
    return [float(word) for word in line.split()]


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table to read."""
    head = ("benchmark", "ours", "peer", "times as fast", "goal", "met", "note")
    cells = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(
        [lines[0].rstrip(), "-" * sum(widths, 2 * len(head) - 2), *(line.rstrip() for line in lines[1:])]
    )


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}"
