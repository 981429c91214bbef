"""The section on the training: curves of every logged score, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.training import Curve, learning_curve
from skyloom.report.page import (
    Block,
    Gallery,
    Missing,
    Row,
    Section,
    Table,
    Text,
    counted,
    duration,
    number,
    percent,
)
from skyloom.report.style import COLUMN, Plate

GUESSED = 0.6  #: true maps that a critic has to tell from generated ones, or it is little better than a guess
COLLAPSED = 0.1  #: of the spread of true maps: less is a generator of one map
_CLOCKS = ("step", "epoch", "seconds")
_EPOCH_MEAN = "_epoch"
_TITLES = {"lr": "learning rate", "r2": "R²", "rmse": "RMSE"}


def training(run: Artefacts) -> Section:
    """Training curves with the epoch chosen, and times of training and prediction.

    Args:
        run: The artefacts.
    """
    blocks: list[Block] = []
    if run.log is None:
        blocks.append(Missing("There is no training log.", f"skyloom train {run.name}"))
    else:
        chosen = (run.timing or {}).get("best_epoch")
        plates = [_plate(score, curves, chosen) for score, curves in scores_by_side(run.log).items()]
        blocks += [Text(text) for text in failures(run.log)]
        blocks.append(Gallery(plates))
    times = _times(run)
    if times:
        blocks.append(Table("What it cost.", ["what", "value"], times, facts=True))
    else:
        blocks.append(Missing("The time of the training was not recorded.", f"skyloom train {run.name}"))
    lead = "Weights were kept from the epoch with the best validation loss; the test side had no part in it."
    return Section("training", "Training", lead, blocks)


def failures(log: Mapping[str, np.ndarray]) -> list[str]:
    """Say whether a critic tells true maps from generated ones, and whether the latter differ, at the end.

    Args:
        log: Columns, NaN where a cell was not measured, each ``(rows,)``.

    Returns:
        A sentence for ``validation/told`` and one for ``validation/spread``, of those that were logged.

    Example:
        >>> failures({"validation/spread": np.array([1.0, 0.02])})[0]
        'Mode collapse: generated maps of the validation side differ by 0.02 of what true maps do.'
    """
    ends = {}
    for name in ("told", "spread"):
        values = np.asarray(log.get(f"validation/{name}", np.empty(0)), float)
        if np.isfinite(values).any():
            ends[name] = float(values[np.isfinite(values)][-1])
    said = []
    if "told" in ends:
        what = f"the critic scored {percent(ends['told'])} of true maps above generated ones"
        lost = "The critic does not tell them apart: " if ends["told"] < GUESSED else "At the end "
        said.append(f"{lost}{what} of the validation side; a guess is 50 %.")
    if "spread" in ends:
        what = "generated maps of the validation side differ by"
        lost = "Mode collapse: " if ends["spread"] < COLLAPSED else "No mode collapse: "
        said.append(f"{lost}{what} {number(ends['spread'], 2)} of what true maps do.")
    return said


def scores_by_side(log: Mapping[str, np.ndarray]) -> dict[str, dict[str, Curve]]:
    """Sort the columns of a log into scores, each with a curve for every side.

    A column is ``side/score`` or the name of a score alone. Where a side has the mean over each epoch
    (``train/loss_epoch``) it stands for the noisier values of single steps.

    Args:
        log: Columns, NaN where a cell was not measured, each ``(rows,)``.

    Returns:
        Score to side to ``(epoch, value)``; epochs count fractions of a step's place in its epoch.

    Example:
        >>> nan = float("nan")
        >>> log = {"step": [5, 10], "epoch": [1, 1], "train/loss": [3.0, 2.0], "validation/loss": [nan, 2.5]}
        >>> curves = scores_by_side({name: np.array(column) for name, column in log.items()})
        >>> [values.tolist() for values in curves["loss"]["train"]], curves["loss"]["validation"][1].tolist()
        ([[0.5, 1.0], [3.0, 2.0]], [2.5])
    """
    x = _progress(log)
    found: dict[str, dict[str, Curve]] = {}
    # Means over epochs come last and replace the steps of the same side.
    names = sorted((name for name in log if name not in _CLOCKS), key=lambda name: name.endswith(_EPOCH_MEAN))
    for name in names:
        side, _, score = name.rpartition("/")
        measured = np.isfinite(log[name])
        if measured.any():
            curve = (x[measured], log[name][measured])
            found.setdefault(score.removesuffix(_EPOCH_MEAN), {})[side or score] = curve
    order = sorted(found, key=lambda score: (score == "lr", score != "loss", score))
    return {score: dict(sorted(found[score].items())) for score in order}


def _progress(log: Mapping[str, np.ndarray]) -> np.ndarray:
    if "epoch" not in log:
        return log.get("step", np.arange(len(next(iter(log.values())))).astype(float))
    epoch, step = log["epoch"], log.get("step")
    if step is None:
        return epoch
    last = {number: step[epoch == number].max() for number in np.unique(epoch[np.isfinite(epoch)])}
    ends = np.array([last.get(number, np.nan) for number in epoch])
    starts = np.array([last.get(number - 1, 0.0) for number in epoch])
    return np.asarray(epoch - 1 + (step - starts) / np.maximum(ends - starts, 1.0))


def _plate(score: str, curves: Mapping[str, Curve], chosen: float | None) -> Plate:
    title = _TITLES.get(score, score.replace("_", " "))
    shown = {title if side == score else side: curve for side, curve in curves.items()}
    ends = "; ".join(f"{side} ends at {number(float(y[-1]))}" for side, (_, y) in shown.items())
    mark = chosen if score != "lr" else None
    caption = f"{title[0].upper()}{title[1:]} by epoch." + (
        f" Dashed: the epoch chosen, {chosen:g}." if mark else ""
    )
    return Plate(
        f"training-{score.replace('/', '-')}",
        partial(_fill, shown, title, mark),
        f"Curve of {title}: {ends}",
        caption,
        size=(COLUMN, 2.4),
    )


def _fill(curves: Mapping[str, Curve], title: str, chosen: float | None, figure: Figure) -> None:
    learning_curve(curves, figure.add_subplot(), score=title, chosen=chosen)


def _times(run: Artefacts) -> list[Row]:
    timing, rows = run.timing or {}, []
    if timing.get("seconds") is not None:
        rows.append(Row(["training", duration(float(timing["seconds"]))]))
    if timing.get("epochs") is not None:
        steps = counted(int(timing.get("steps", 0)), "step")
        rows.append(Row(["length", f"{counted(int(timing['epochs']), 'epoch')}, {steps}"]))
    if timing.get("best_epoch") is not None:
        loss = timing.get("validation_loss")
        said = f"epoch {timing['best_epoch']}" + (
            f", validation loss {number(float(loss), 4)}" if loss is not None else ""
        )
        rows.append(Row(["weights from", said]))
    if timing.get("steps_per_second"):
        rows.append(Row(["speed", f"{number(float(timing['steps_per_second']), 1)} steps a second"]))
    if timing.get("processes"):
        used = counted(int(timing["processes"]), "process", "processes")
        rows.append(Row(["on", f"{used}, {counted(int(timing.get('threads', 1)), 'thread')} each"]))
    each = (run.metrics(run.side) or {}).get("seconds_per_sample")
    if each is not None:
        rows.append(Row(["prediction", f"{duration(float(each))} a map"]))
    return rows
