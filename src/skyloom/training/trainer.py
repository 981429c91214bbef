"""Lightning's Trainer as Skyloom sets it up: loop, devices and precision, nothing that writes or prints.

Lightning's checkpoints, loggers, bar and sanity check are off, for the ``Session`` does their work; its
sampler too, for the data module splits each batch over the processes itself. Under SLURM its requeueing is
off: it writes checkpoints of its own kind, and a job script can requeue a run that left with the exit code
130.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from skyloom.errors import UsageError, nearest
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.training.session import Session

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}

# Warnings that say nothing here, each with its reason.
_SILENCED = {
    # Reading whole batches in sorted blocks beats two workers; train.workers is there for who measures.
    r"The '\w+' does not have many workers": UserWarning,
    # Starting one process by hand on a cluster is a choice.
    r"The `srun` command is available on your system but is not used": UserWarning,
    # Lightning looks into PyTorch's tree utilities, which have moved.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated": FutureWarning,
}


def make_trainer(settings: Train, session: Session, folder: RunFolder) -> Trainer:
    """Return the Trainer of a training.

    Args:
        settings: ``train`` of the recipe.
        session: The callback that does the rest.
        folder: The run.

    Returns:
        A Trainer that has not run yet.

    Raises:
        UsageError: The precision, the devices or the strategy cannot be had; the message names the key.
    """
    if settings.precision not in PRECISIONS:
        raise UsageError(
            f"train.precision is {settings.precision!r}", hint=nearest(settings.precision, PRECISIONS)
        )
    accelerated = torch.cuda.is_available() and settings.accelerator in {"auto", "gpu", "cuda"}
    plugins: list[Any] = []
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        plugins = [SLURMEnvironment(auto_requeue=False)]
    try:
        trainer = Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision=PRECISIONS[settings.precision],  # type: ignore[arg-type]
            max_epochs=settings.epochs,
            callbacks=[session],
            plugins=plugins,
            # CUDA picks other, and random, orders of summation otherwise. The CPU's are fixed as it is.
            deterministic="warn" if accelerated else None,
            sync_batchnorm=accelerated,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder.path,
        )
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        raise UsageError(
            f"train asks for accelerator={settings.accelerator!r}, devices={settings.devices!r}, "
            f"nodes={settings.nodes}, strategy={settings.strategy!r}, precision={settings.precision!r}: "
            f"{error}",
            hint="accelerator: auto and strategy: auto run anywhere",
        ) from error
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        raise UsageError(
            f"train.strategy is {settings.strategy!r}, which splits the weights over the processes",
            hint="allowed: auto, ddp and its variants, which keep them whole in each",
        )
    _check_processes(trainer)
    return trainer


def _check_processes(trainer: Trainer) -> None:
    started = (
        int(os.environ.get("WORLD_SIZE", "1")) if TorchElasticEnvironment.detect() else trainer.world_size
    )
    if started != trainer.world_size:
        raise UsageError(
            f"torchrun started {started} processes, and the recipe asks for {trainer.world_size} "
            "(train.devices × train.nodes)",
            hint=f"--set train.devices={os.environ.get('LOCAL_WORLD_SIZE', str(started))} "
            f"--set train.nodes={os.environ.get('GROUP_WORLD_SIZE', '1')}",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's chatter and the warnings that do not apply here from the user, within a block."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message, category in _SILENCED.items():
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use so many threads for the length of a block; None changes nothing.

    Example:
        >>> before = torch.get_num_threads()
        >>> with threads(1):
        ...     torch.get_num_threads()
        1
        >>> torch.get_num_threads() == before
        True
    """
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)
