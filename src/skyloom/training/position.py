"""Where a training stands in its data, and how Lightning is made to begin there.

Lightning can resume in the middle of an epoch, but its counters, loaders and validation then depend on the
hook in which the checkpoint was written, and this has changed between releases. Here nothing of that is used:
the position (epochs done, batches done in the next one, optimiser steps done) is our own. A resumed training
starts Lightning at the epoch, with a training loader that gives only the batches which are left of it;
Lightning asks for the loader again at the next epoch (``reload_dataloaders_every_n_epochs``) and so learns
the full length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lightning import LightningDataModule, Trainer

from skyloom.errors import UsageError
from skyloom.loading import BlockSampler


@dataclass
class Position:
    """How far a training has come.

    Args:
        epoch: Epochs done.
        batch: Batches done of the next epoch, in each process.
        step: Optimiser steps done.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0


class RemainingBatches:
    """A training loader that begins at a position: what Lightning takes for the loader.

    Args:
        loader: A loader whose batch sampler has ``load_state_dict({"epoch", "batch"})``.
        epoch: The epoch, from 0.
        start: Batches of it that are done.
    """

    def __init__(self, loader: Any, epoch: int, start: int) -> None:
        self.loader, self.epoch, self.start = loader, epoch, start

    @property
    def total(self) -> int:
        """Batches of a whole epoch, in each process."""
        return len(self.loader)

    def __len__(self) -> int:
        return self.total - self.start

    def __iter__(self) -> Iterator[Any]:
        # Set on every call: Lightning asks for an iterator once or twice before the first batch.
        self.loader.batch_sampler.load_state_dict({"epoch": self.epoch, "batch": self.start})
        return iter(self.loader)


class PositionedData(LightningDataModule):
    """A data module that hands its training batches out from a position on.

    Args:
        data: The data module.
        position: Where to begin.
    """

    def __init__(self, data: LightningDataModule, position: Position) -> None:
        super().__init__()
        self.data, self.position = data, position
        self._train: RemainingBatches | None = None

    def prepare_data(self) -> None:
        """Pass on."""
        self.data.prepare_data()

    def setup(self, stage: str) -> None:
        """Pass on, with the trainer."""
        self.data.trainer = self.trainer
        self.data.setup(stage)

    def teardown(self, stage: str) -> None:
        """Pass on."""
        self.data.teardown(stage)

    @property
    def train(self) -> RemainingBatches:
        """The training loader, the same at every call."""
        if self._train is None:
            loader = self.data.train_dataloader()
            self._train = RemainingBatches(loader, self.position.epoch, self.position.batch)
        return self._train

    def train_dataloader(self) -> RemainingBatches:
        """Return the training loader."""
        return self.train

    def val_dataloader(self) -> Any:
        """Pass on."""
        return self.data.val_dataloader()

    def loader(self, side: str) -> Any:
        """Pass on."""
        return self.data.loader(side)  # type: ignore[attr-defined]

    def next_epoch(self) -> None:
        """Begin the next epoch at its first batch."""
        self.train.epoch, self.train.start = self.train.epoch + 1, 0


def begin_at(trainer: Trainer, position: Position) -> None:
    """Make a new Trainer count its epochs and steps from a position.

    Args:
        trainer: A Trainer that has not run yet.
        position: Where the training stands.
    """
    trainer.fit_loop.epoch_progress.increment_by(position.epoch)
    steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    steps.increment_by(position.step)
    # The first epoch may be shorter than the next, and Lightning measures it once otherwise.
    ask_again(trainer, position.batch > 0)


def ask_again(trainer: Trainer, every_epoch: bool) -> None:
    """Let Lightning ask for the loaders at every epoch, or no more."""
    trainer.reload_dataloaders_every_n_epochs = int(every_epoch)  # type: ignore[attr-defined]


def refuse_unequal_parts(sampler: BlockSampler) -> None:
    """Refuse a batch shared unequally: the mean of the processes' gradients would not be its gradient.

    An incomplete last batch is left out of the epoch, so this is about a train side smaller than one batch.

    Args:
        sampler: Of the train side.

    Raises:
        UsageError: The parts are not equal.

    Example:
        >>> refuse_unequal_parts(BlockSampler(7, 8, drop_last=True, world=2))
        Traceback (most recent call last):
        skyloom.errors.UsageError: 2 processes cannot share a train side of 7 maps equally in one batch
          → --set train.batch_size=3
    """
    if sampler.n < sampler.world * sampler.batch_size and sampler.n % sampler.world:
        raise UsageError(
            f"{sampler.world} processes cannot share a train side of {sampler.n} maps equally in one batch",
            hint=f"--set train.batch_size={sampler.n // sampler.world}",
        )
