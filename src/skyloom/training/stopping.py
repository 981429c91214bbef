"""Which epoch was best, and when to give up waiting for a better one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass
class Stopping:
    """The best epoch by validation loss, and early stopping.

    Args:
        patience: Epochs without a lower validation loss after which the training stops; None never stops it.
        best: Lowest validation loss so far.
        best_epoch: The epoch that had it, from 1; 0 before the first.
        waited: Epochs since.

    Example:
        >>> stopping = Stopping(patience=2)
        >>> [stopping.improves(loss, epoch) for epoch, loss in enumerate([3.0, 2.0, 2.0, 2.5], start=1)]
        [True, True, False, False]
        >>> stopping.best_epoch, stopping.done
        (2, True)
    """

    patience: int | None
    best: float = math.inf
    best_epoch: int = 0
    waited: int = 0

    def improves(self, loss: float, epoch: int) -> bool:
        """Take in the validation loss of an epoch and tell whether it is the lowest so far.

        Args:
            loss: Validation loss, finite.
            epoch: The epoch, from 1.
        """
        if loss < self.best:
            self.best, self.best_epoch, self.waited = loss, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def done(self) -> bool:
        """Whether patience is at an end."""
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, float | int | None]:
        """Return the fields by name."""
        return asdict(self)
