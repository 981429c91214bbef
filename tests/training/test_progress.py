from __future__ import annotations

import io

import pytest
from rich.console import Console

from skyloom.errors import UsageError
from skyloom.training.position import Position
from skyloom.training.progress import Bar, Lines, Reporter, make_reporter

ROW = {
    "step": 10,
    "epoch": 1,
    "train/loss": 0.5,
    "train/loss_epoch": 0.625,
    "validation/loss": 0.25,
    "seconds": 61.4,
}


def test_lines_say_where_a_resumed_training_stands():
    file = io.StringIO()
    lines = Lines(file)
    lines.begin(4, 10, Position(epoch=1, batch=3, step=13))
    lines.epoch(ROW, best=False)
    assert file.getvalue().splitlines() == [
        "going on after step 13, epoch 2/4",
        "epoch 1/4  train 0.625  validation 0.25  61 s",
    ]


def test_the_bar_shows_steps_and_the_last_losses():
    file = io.StringIO()
    bar = Bar(Console(file=file, force_terminal=True, width=120))
    bar.begin(4, 10, Position(0, 5, 5))
    bar.row(ROW)
    bar.validating()
    bar.step(Position(0, 6, 6))
    bar.epoch(ROW, best=True)
    bar.end()
    shown = file.getvalue()
    assert "10/40" in shown
    assert "train 0.5  validation 0.25" in shown
    assert "validating" in shown


def test_a_bar_that_never_began_ends():
    Bar(Console(file=io.StringIO())).end()


def test_styles(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(make_reporter(None)) is Lines
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert type(make_reporter("quiet")) is Reporter
    with pytest.raises(UsageError, match="progress is 'lins'"):
        make_reporter("lins")
