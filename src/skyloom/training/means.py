"""Mean scores between two rows of the log, weighted by maps, without waiting for an accelerator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

TRAIN_LOSS = "train/loss"


class Means:
    """Mean scores since the last row, and of the loss over the epoch, weighted by maps.

    Example:
        >>> means = Means()
        >>> for loss, maps in ((1.0, 2), (4.0, 1)):
        ...     means.add({"train/loss": torch.tensor(loss)}, maps)
        >>> means.row(lambda totals: totals)
        {'train/loss': 2.0}
        >>> means.epoch()
        2.0
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._maps = 0
        self._epoch_sum, self._epoch_maps = 0.0, 0.0

    def add(self, scores: Mapping[str, Tensor], maps: int) -> None:
        """Take in the scores of a step, without waiting for them."""
        for name, score in scores.items():
            # MPS has no float64.
            wide = score.detach().to(torch.float32 if score.device.type == "mps" else torch.float64)
            before = self._sums.get(name)
            self._sums[name] = (
                wide * maps if before is None else before.to(wide.device).add_(wide, alpha=maps)
            )
        self._maps += maps

    def row(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the means since the last row and begin the next; ``total`` adds up over processes."""
        names = sorted(self._sums)
        sums = [self._sums[name] for name in names]
        *summed, maps = total(torch.stack([*sums, torch.full_like(sums[0], self._maps)])).tolist()
        means = {name: value / maps for name, value in zip(names, summed, strict=True)}
        self._epoch_sum += means.get(TRAIN_LOSS, math.nan) * maps
        self._epoch_maps += maps
        self._sums, self._maps = {}, 0
        return means

    def epoch(self) -> float:
        """Return the mean loss over the epoch, whose last row has been taken, and begin the next."""
        mean = self._epoch_sum / self._epoch_maps
        self._epoch_sum, self._epoch_maps = 0.0, 0.0
        return mean

    def snapshot(self) -> dict[str, Any]:
        """Return all sums and counts as numbers."""
        sums = {name: value.item() for name, value in self._sums.items()}
        return {"sums": sums, "maps": self._maps, "epoch": (self._epoch_sum, self._epoch_maps)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``snapshot`` returned."""
        self._sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in state["sums"].items()}
        self._maps = state["maps"]
        self._epoch_sum, self._epoch_maps = state["epoch"]
