"""Training: a method, its data, the settings of a recipe, and a run folder that it fills.

The run folder gets ``weights/best.safetensors`` and ``weights/last.safetensors``, ``log.csv``,
``timing.json`` and ``state/`` (checkpoints). A training that is stopped, by SIGTERM, by SIGKILL or by a power
cut, goes on with ``resume=True`` and ends with the same weights, to the bit, on the same machine: a
checkpoint holds the optimiser, the schedule, the averaged weights, early stopping, the generators, the log
and the position in the data, and everything that is drawn is a function of the seed, the epoch and the map.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.training import rng
from skyloom.training.checkpoint import Generations
from skyloom.training.memory import kept_memory
from skyloom.training.position import Position, PositionedData, begin_at
from skyloom.training.progress import make_reporter
from skyloom.training.schedule import optimisation
from skyloom.training.session import Artist, Session
from skyloom.training.signals import StopRequest
from skyloom.training.trainer import make_trainer, quiet, threads
from skyloom.training.weights import load_weights

if TYPE_CHECKING:
    from lightning import LightningDataModule, LightningModule, Trainer
    from lightning.pytorch.loggers import Logger

# What may differ between the parts of one training without changing what is learnt.
_FREE = {"checkpoint_every", "draw_every", "keep", "log_every", "repeats", "threads", "trackers", "workers"}


@dataclass(frozen=True)
class Fitted:
    """What a training left behind.

    Args:
        history: ``log.csv``.
        seconds: Wall-clock time, interruptions not counted [s].
        steps: Optimiser steps.
        epochs: Epochs.
        best_epoch: The epoch of the best weights, from 1.
        validation_loss: Its validation loss, in the units of the method's loss.
        steps_per_second: Steps by the time that was not spent on validation and on drawing samples [1/s].
    """

    history: Path
    seconds: float
    steps: int
    epochs: int
    best_epoch: int
    validation_loss: float
    steps_per_second: float


def fit(
    method: LightningModule,
    data: LightningDataModule,
    settings: Train,
    folder: RunFolder,
    *,
    resume: bool = False,
    progress: str | None = None,
    loggers: Sequence[Logger] = (),
    artist: Artist | None = None,
) -> Fitted:
    """Train a method.

    Args:
        method: The method, freshly made or of any state: a resumed training overwrites it.
        data: Batches ``{"maps": (B, C, H, W), "targets": (B, P), "row": (B,)}``, with a ``BlockSampler``.
        settings: ``train`` of the recipe.
        folder: The run.
        resume: Go on from the newest checkpoint in the run; begin where there is none; return at once
            where the training has ended.
        progress: ``bar``, ``lines`` or ``quiet``; None takes the bar on a terminal and the lines elsewhere.
        loggers: Further receivers of the rows of ``log.csv``, beside the trackers of the settings; one that
            raises ends the training.
        artist: Called every ``draw_every`` epochs with the method, averaged where the settings say so, and
            the epoch, from 1; it draws samples and leaves the method as it was.

    Returns:
        What came out. ``method`` holds the best weights, on the CPU, in evaluation mode and in the precision
        that it came in.

    Raises:
        UsageError: The run holds a training already, the settings differ from those it was begun with, or the
            devices asked for are not there.
        DataError: All checkpoints are damaged, or a file cannot be written.
        DivergedError: A loss is no longer finite.
        Interrupted: SIGTERM or Ctrl-C; everything is saved.
    """
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(rng.kept_generators())
        stack.enter_context(threads(settings.threads))
        request = stack.enter_context(StopRequest())
        state = _find_state(folder, settings) if resume else None
        position = Position(**state["position"]) if state is not None else Position()
        positioned = PositionedData(data, position)
        reporter = make_reporter(progress)
        stack.callback(reporter.end)
        session = Session(
            settings=settings,
            folder=folder,
            data=positioned,
            request=request,
            reporter=reporter,
            state=state,
            loggers=loggers,
            artist=artist,
        )
        trainer = make_trainer(settings, session, folder)
        if trainer.is_global_zero and not resume:
            _refuse_begun(session)
        _check_world(state, trainer)
        del state  # the session restores and frees it
        if position.epoch < settings.epochs and not session.stopping.done:
            _train(method, positioned, settings, folder, trainer, session)
        return _finish(method, folder, trainer, session)


def _refuse_begun(session: Session) -> None:
    if session.generations.paths():
        raise UsageError(
            f"a training has begun in {session.folder.path}",
            hint="resume it (--resume), or choose another folder",
        )


def _find_state(folder: RunFolder, settings: Train) -> dict[str, Any] | None:
    state = Generations(folder.path_of("state"), settings.keep).load()
    if state is not None:
        before, now = json.loads(state["settings"]), settings.model_dump(mode="json")
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        changed = [key for key in changed if key not in _FREE]
        if changed:
            said = ", ".join(
                f"train.{key} was {before.get(key)!r} and is {now.get(key)!r}" for key in changed
            )
            raise UsageError(
                f"the training in {folder.path} was begun with other settings: {said}",
                hint="resume with the settings it was begun with, or begin a new run",
            )
    return state


def _check_world(state: dict[str, Any] | None, trainer: Trainer) -> None:
    if state is not None and len(state["ranks"]) != trainer.world_size:
        raise UsageError(
            f"the training was begun by {len(state['ranks'])} processes, and now there are "
            f"{trainer.world_size}",
            hint="resume with as many: each has a part of every batch",
        )


def _train(
    method: LightningModule,
    data: PositionedData,
    settings: Train,
    folder: RunFolder,
    trainer: Trainer,
    session: Session,
) -> None:
    if trainer.is_global_zero:
        session.loggers += _loggers(settings, folder, data.position.step)
    method.train()
    if settings.channels_last:
        method.to(memory_format=torch.channels_last)
    precision = next(method.parameters()).dtype
    method.optimisation = optimisation(  # type: ignore[assignment]
        settings.optimiser, settings.schedule, lambda: settings.epochs * data.train.total
    )
    begin_at(trainer, data.position)
    method.log = session.scores.log  # type: ignore[method-assign]
    status = "failed"
    try:
        with kept_memory():
            trainer.fit(method, datamodule=data)
        status = "success"
    finally:
        del method.log
        method.to(precision)
        for logger in session.loggers:
            logger.finalize(status)


def _loggers(settings: Train, folder: RunFolder, step: int) -> list[Logger]:
    return [registry.build(spec, "tracker").logger(folder, step) for spec in settings.trackers]


def _finish(method: LightningModule, folder: RunFolder, trainer: Trainer, session: Session) -> Fitted:
    position, stopping, seconds = session.position, session.stopping, session.seconds
    trained = max(seconds - session.validation_seconds, 1e-9)
    fitted = Fitted(
        history=folder.path_of("log.csv"),
        seconds=round(seconds, 3),
        steps=position.step,
        epochs=position.epoch,
        best_epoch=stopping.best_epoch,
        validation_loss=stopping.best,
        steps_per_second=round(position.step / trained, 3),
    )
    if trainer.is_global_zero:
        session.log_file.write(fitted.history)
        facts = {name: value for name, value in asdict(fitted).items() if name != "history"}
        threads_used = torch.get_num_threads()
        folder.write_json("timing.json", facts | {"processes": trainer.world_size, "threads": threads_used})
    load_weights(method.cpu(), folder.path_of("weights/best.safetensors"))
    method.eval()
    return fitted
