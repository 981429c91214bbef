"""What a user sees of a training: a bar on a terminal, one line an epoch elsewhere, or nothing.

The bar is drawn ten times a second at most and shows the numbers of the last row of ``log.csv``, so that
looking costs no waiting for an accelerator.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from skyloom.errors import UsageError, nearest
from skyloom.training.position import Position

STYLES = ("bar", "lines", "quiet")
_REDRAW = 0.1


class Reporter:
    """Shows nothing; the others show more.

    Example:
        >>> reporter = Reporter()
        >>> reporter.begin(2, 10, Position())
        >>> reporter.end()
    """

    def begin(self, epochs: int, steps: int, position: Position) -> None:
        """The training begins or goes on.

        Args:
            epochs: Epochs planned.
            steps: Steps an epoch.
            position: Where it stands.
        """

    def step(self, position: Position) -> None:
        """A step was done."""

    def row(self, row: Mapping[str, Any]) -> None:
        """A row was logged."""

    def validating(self) -> None:
        """The validation begins."""

    def epoch(self, row: Mapping[str, Any], best: bool) -> None:
        """An epoch ended, with its row; ``best`` tells whether it was the best so far."""

    def end(self) -> None:
        """The training ended, well or not."""


class Lines(Reporter):
    """One line an epoch.

    Args:
        file: Where to; None is the standard error.

    Example:
        >>> lines = Lines(sys.stdout)
        >>> lines.begin(30, 10, Position())
        >>> row = {"epoch": 3, "train/loss_epoch": 0.5, "validation/loss": 0.25, "seconds": 12.3}
        >>> lines.epoch(row, best=True)
        epoch 3/30  train 0.5  validation 0.25 (best)  12 s
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file, self._epochs = file, 0

    def begin(self, epochs: int, steps: int, position: Position) -> None:
        """Remember the plan, and tell where a resumed training stands."""
        self._epochs = epochs
        if position.step:
            self._say(f"going on after step {position.step}, epoch {position.epoch + 1}/{epochs}")

    def epoch(self, row: Mapping[str, Any], best: bool) -> None:
        """Write the line."""
        train, validation = row["train/loss_epoch"], row["validation/loss"]
        self._say(
            f"epoch {row['epoch']}/{self._epochs}  train {train:.4g}  "
            f"validation {validation:.4g}{' (best)' if best else ''}  {row['seconds']:.0f} s"
        )

    def _say(self, line: str) -> None:
        print(line, file=self._file or sys.stderr, flush=True)


class Bar(Reporter):
    """A bar over all steps, with the epoch and the losses.

    Args:
        console: Where to; None is the standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console or Console(stderr=True),
            auto_refresh=False,
        )
        self._task = TaskID(0)
        self._epochs, self._steps, self._drawn = 0, 0, 0.0
        self._losses = {"train": "", "validation": ""}

    def begin(self, epochs: int, steps: int, position: Position) -> None:
        """Start the bar where the training stands."""
        self._epochs, self._steps = epochs, steps
        self._progress.start()
        self._task = self._progress.add_task("", total=epochs * steps, completed=position.step, note="")
        self._draw(position)

    def step(self, position: Position) -> None:
        """Move on, when it is time to redraw."""
        if time.monotonic() - self._drawn >= _REDRAW:
            self._draw(position)

    def row(self, row: Mapping[str, Any]) -> None:
        """Remember the losses for the next drawing."""
        for name in self._losses:
            if f"{name}/loss" in row:
                self._losses[name] = f"{name} {row[f'{name}/loss']:.4g}"

    def validating(self) -> None:
        """Say so: it may take long."""
        self._progress.update(self._task, note=f"{self._note()}  validating", refresh=True)

    def epoch(self, row: Mapping[str, Any], best: bool) -> None:
        """Draw the epoch's end."""
        self._draw(Position(row["epoch"], 0, row["step"]))

    def end(self) -> None:
        """Leave the bar as it is."""
        self._progress.refresh()
        self._progress.stop()

    def _note(self) -> str:
        return "  ".join(note for note in self._losses.values() if note)

    def _draw(self, position: Position) -> None:
        self._drawn = time.monotonic()
        epoch = min(position.epoch + 1, self._epochs)
        self._progress.update(
            self._task,
            completed=position.step,
            description=f"epoch {epoch}/{self._epochs}",
            note=self._note(),
            refresh=True,
        )


def make_reporter(style: str | None) -> Reporter:
    """Return the reporter of a style.

    Args:
        style: One of ``STYLES``; None takes the bar where the standard error is a terminal, else the lines.

    Raises:
        UsageError: There is no such style.

    Example:
        >>> type(make_reporter("lines")).__name__
        'Lines'
    """
    if style is None:
        style = "bar" if sys.stderr.isatty() else "lines"
    makers: dict[str, Callable[[], Reporter]] = {"bar": Bar, "lines": Lines, "quiet": Reporter}
    if style not in makers:
        raise UsageError(f"progress is {style!r}", hint=nearest(style, STYLES))
    return makers[style]()
