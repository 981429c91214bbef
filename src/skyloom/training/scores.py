"""Mean scores of what a method logs: exact over processes and interruptions, and without waiting.

In a training, ``Scores.log`` stands in for ``LightningModule.log``. Lightning's own costs as much time as the
forward pass of a small network, forgets the first part of an epoch that was resumed in the middle, and with
``sync_dist`` rounds the mean number of maps of a process down to a whole number (with ten maps in one process
and nine in the other, its mean is 19/18 of the true one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from skyloom.errors import UsageError

TRAIN_LOSS, VALIDATION_LOSS = "train/loss", "validation/loss"
Total = Callable[[Tensor], Tensor]


class Means:
    """Running means of named scores, weighted by maps.

    Example:
        >>> means = Means()
        >>> means.add("train/loss", torch.tensor(1.0), maps=2)
        >>> means.add("train/loss", torch.tensor(4.0), maps=1)
        >>> means.take(lambda totals: totals)
        ({'train/loss': 2.0}, {'train/loss': 3.0})
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._maps: dict[str, int] = {}

    def add(self, name: str, score: Tensor, maps: int) -> None:
        """Take in the mean score of some maps, without waiting for it."""
        # MPS has no float64.
        wide = score.detach().to(torch.float32 if score.device.type == "mps" else torch.float64)
        before = self._sums.get(name)
        self._sums[name] = wide * maps if before is None else before.to(wide.device).add_(wide, alpha=maps)
        self._maps[name] = self._maps.get(name, 0) + maps

    def take(self, total: Total) -> tuple[dict[str, float], dict[str, float]]:
        """Return means and numbers of maps by name, and begin again; ``total`` adds up over processes."""
        names = sorted(self._sums)
        if not names:
            return {}, {}
        sums = torch.stack([self._sums[name] for name in names])
        maps = torch.tensor([self._maps[name] for name in names], dtype=sums.dtype, device=sums.device)
        summed, counted = total(torch.stack([sums, maps])).tolist()
        self._sums, self._maps = {}, {}
        means = {name: part / count for name, part, count in zip(names, summed, counted, strict=True)}
        return means, dict(zip(names, counted, strict=True))

    def snapshot(self) -> dict[str, Any]:
        """Return sums and numbers of maps as numbers."""
        return {
            "sums": {name: value.item() for name, value in self._sums.items()},
            "maps": dict(self._maps),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``snapshot`` returned."""
        self._sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in state["sums"].items()}
        self._maps = dict(state["maps"])


class Scores:
    """What a method logs in training since the last row and in the epoch, and in a validation.

    Example:
        >>> scores = Scores()
        >>> scores.begin(maps=4, training=True)
        >>> scores.log("train/loss", torch.tensor(0.5))
        >>> scores.row(lambda totals: totals), scores.epoch()
        ({'train/loss': 0.5}, 0.5)
    """

    def __init__(self) -> None:
        self._train, self._validation = Means(), Means()
        self._epoch_sum, self._epoch_maps = 0.0, 0.0
        self._maps, self._training = 0, True
        self._loss_logged = False

    def begin(self, maps: int, training: bool) -> None:
        """A step begins, on so many maps."""
        self._maps, self._training, self._loss_logged = maps, training, False

    def log(
        self,
        name: str,
        value: Any,
        *args: Any,
        batch_size: int | None = None,
        reduce_fx: Any = "mean",
        **ignored: Any,
    ) -> None:
        """Take in a score; called by the method as ``self.log``.

        Args:
            name: ``train/...`` or ``validation/...``.
            value: A number, the mean over the maps of this step.
            args: Of Lightning's: where its own bars and loggers show the score.
            batch_size: Maps that the value is the mean of; None for those of the step.
            reduce_fx: Only the mean can be taken.
            ignored: As ``args``.

        Raises:
            UsageError: The value is no number, or another reduction is asked for.
        """
        if reduce_fx not in ("mean", torch.mean) or not isinstance(value, Tensor | float | int):
            raise UsageError(
                f"the method logs {name!r} as {type(value).__name__} with reduce_fx={reduce_fx!r}",
                hint="log the mean over the batch, a number or a tensor of shape ()",
            )
        score = value if isinstance(value, Tensor) else torch.tensor(float(value))
        means = self._train if self._training else self._validation
        means.add(name, score, self._maps if batch_size is None else batch_size)
        self._loss_logged |= name == TRAIN_LOSS

    def end(self, minimised: Tensor) -> None:
        """A training step ended; what it minimised is its loss, unless the method logged another."""
        if not self._loss_logged:
            self._train.add(TRAIN_LOSS, minimised, self._maps)

    def row(self, total: Total) -> dict[str, float]:
        """Return the means of the training since the last row; ``total`` adds up over processes."""
        means, maps = self._train.take(total)
        self._epoch_sum += means[TRAIN_LOSS] * maps[TRAIN_LOSS]
        self._epoch_maps += maps[TRAIN_LOSS]
        return means

    def epoch(self) -> float:
        """Return the mean training loss of the epoch, whose last row has been taken, and begin the next."""
        mean = self._epoch_sum / self._epoch_maps
        self._epoch_sum, self._epoch_maps = 0.0, 0.0
        return mean

    def validation(self, total: Total) -> dict[str, float]:
        """Return the means of the validation; ``total`` adds up over processes."""
        return self._validation.take(total)[0]

    def snapshot(self) -> dict[str, Any]:
        """Return what was counted in training as numbers."""
        return {"train": self._train.snapshot(), "epoch": (self._epoch_sum, self._epoch_maps)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``snapshot`` returned."""
        self._train.restore(state["train"])
        self._epoch_sum, self._epoch_maps = state["epoch"]
