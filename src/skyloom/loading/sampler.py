"""The order in which samples are met: decided by seed and epoch, shared by ranks, resumed in the middle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from torch.utils.data import Sampler

from skyloom.errors import UsageError


class Batch(list[int]):
    """Positions of the samples of one batch, and the epoch: workers learn it from nowhere else.

    Args:
        positions: Positions in the dataset.
        epoch: From 0.

    Example:
        >>> Batch([4, 2], epoch=3).epoch
        3
    """

    def __init__(self, positions: Iterable[int] = (), epoch: int = 0) -> None:
        super().__init__(positions)
        self.epoch = epoch


class BlockSampler(Sampler[list[int]]):
    """Deals an epoch out in blocks of ``world * batch_size`` samples, a part of each to every rank.

    Ranks get neighbouring parts of a block, so that ``world`` ranks together see what one rank with a batch
    ``world`` times as large would see, in the same order. Where nothing is dropped, the last blocks are
    shared out evenly and every rank gets as many batches as the others.

    Each pass is another epoch: when one has been dealt out whole, the next pass is the next epoch, unless
    ``set_epoch`` says which.

    Args:
        n: Samples in the dataset.
        batch_size: Samples in a batch of one rank.
        shuffle: Whether the order changes with the epoch; otherwise it is that of the dataset.
        seed: Of the order.
        drop_last: Whether to leave out what does not fill a block (if there is a full one).
        rank: This process.
        world: How many processes share the epoch.

    Raises:
        UsageError: A number is out of range, or there are fewer samples than ranks.

    Example:
        >>> sampler = BlockSampler(5, 2, shuffle=False)
        >>> list(sampler)
        [[0, 1], [2, 3], [4]]
        >>> sampler.load_state_dict({"epoch": 0, "batch": 2})
        >>> list(sampler)
        [[4]]
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or world < 1 or not 0 <= rank < world:
            raise UsageError(
                f"batch_size {batch_size}, rank {rank}, world {world}",
                hint="allowed: batch_size and world of 1 or more, 0 <= rank < world",
            )
        if n < world:
            raise UsageError(
                f"{n} samples cannot be shared by {world} processes",
                hint="use fewer processes or more samples",
            )
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, shuffle, seed
        self.rank, self.world = rank, world
        self._bounds = _bounds(n, batch_size * world, world, drop_last)
        self.epoch, self._next = 0, 0

    def __len__(self) -> int:
        """Batches of a whole epoch, for each rank."""
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        for index in range(self._next, len(self)):
            block = order[self._bounds[index] : self._bounds[index + 1]]
            epoch, self._next = self.epoch, index + 1
            if self._next == len(self):
                self.epoch, self._next = epoch + 1, 0
            yield Batch(np.array_split(block, self.world)[self.rank].tolist(), epoch)

    def _order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.n)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.n)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, unless it is the one that is being dealt out.

        Args:
            epoch: From 0.
        """
        if epoch != self.epoch:
            self.epoch, self._next = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches dealt out (workers ask ahead of the training)."""
        return {"epoch": self.epoch, "batch": self._next}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after the first ``batch`` batches of an epoch; after its last one the next epoch begins.

        Args:
            state: ``epoch`` and ``batch``.

        Raises:
            UsageError: There are fewer batches than that.
        """
        epoch, batch = state["epoch"], state["batch"]
        if epoch < 0 or not 0 <= batch <= len(self):
            raise UsageError(
                f"epoch {epoch}, batch {batch} is no position here", hint=f"an epoch has {len(self)} batches"
            )
        self.epoch, self._next = (epoch + 1, 0) if batch == len(self) else (epoch, batch)


def _bounds(n: int, block: int, world: int, drop_last: bool) -> list[int]:
    """Return where blocks begin, and the end of the last."""
    full, rest = divmod(n, block)
    bounds = [index * block for index in range(full + 1)]
    if (drop_last and full) or not rest:
        return bounds
    if rest < world and full:  # every rank needs a sample: the block before gives or takes some
        bounds[-1] -= world - rest
        if bounds[-1] - bounds[-2] < world:
            del bounds[-1]
    return [*bounds, n]
