"""The exponential moving average of the weights.

It often generalises better than the last step (Polyak &
Juditsky 1992; as used in deep learning, Tarvainen & Valpola 2017, arXiv:1703.01780).

After step ``t`` (from 1) the average is ``a_t = d_t a_(t-1) + (1 - d_t) w_t`` with ``d_t = min(d, (1 + t)/(10
+ t))``: the smaller decay at first lets a short training forget where it began. Buffers that are numbers (the
running moments of batch normalisation) are averaged alike, for they belong to the weights; counters are
copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skyloom.errors import UsageError


def decay_at(step: int, decay: float) -> float:
    """Return the decay used at a step.

    Args:
        step: The step, from 1.
        decay: The decay in the long run, within (0, 1).

    Example:
        >>> [round(decay_at(step, 0.999), 3) for step in (1, 90, 100_000)]
        [0.182, 0.91, 0.999]
    """
    return min(decay, (1 + step) / (10 + step))


class MovingAverage:
    """The moving average of a module's parameters and buffers, on the same device.

    Args:
        module: The module; the average starts at its present values.
        decay: The decay in the long run, within (0, 1).

    Raises:
        UsageError: The decay is not within (0, 1).

    Example:
        >>> net = nn.Linear(1, 1)
        >>> average = MovingAverage(net, 0.9)
        >>> start = net.weight.item()
        >>> with torch.no_grad():
        ...     _ = net.weight.add_(1.0)
        >>> average.update()
        >>> with average.applied():
        ...     round(net.weight.item() - start, 4)  # 1 - 2/11
        0.8182
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise UsageError(
                f"train.ema is {decay}", hint="a decay within (0, 1), e.g. 0.999, or null to switch it off"
            )
        self.decay, self.steps = decay, 0
        # A tensor that goes by two names is averaged, and swapped, once.
        unique: dict[int, tuple[str, Tensor]] = {}
        for name, value in module.state_dict(keep_vars=True).items():
            unique.setdefault(id(value), (name, value.detach()))
        self._names = [name for name, _ in unique.values()]
        self._live = [value for _, value in unique.values()]
        self._mean = [value.clone() for value in self._live]
        self._moving = [i for i, value in enumerate(self._live) if value.is_floating_point()]
        self._copied = [i for i, value in enumerate(self._live) if not value.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the module's present values, after an optimiser step."""
        self.steps += 1
        weight = 1 - decay_at(self.steps, self.decay)
        torch._foreach_lerp_(
            [self._mean[i] for i in self._moving], [self._live[i] for i in self._moving], weight
        )
        for i in self._copied:
            self._mean[i].copy_(self._live[i])

    @torch.no_grad()
    def adopt(self) -> None:
        """Give the module the average; after it, both are equal."""
        for live, mean in zip(self._live, self._mean, strict=True):
            live.copy_(mean)

    @torch.no_grad()
    def restart(self) -> None:
        """Begin again at the module's present values."""
        self.steps = 0
        for live, mean in zip(self._live, self._mean, strict=True):
            mean.copy_(live)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the module for the length of a block."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        """Swap the average and the module's values, bit for bit; a second call swaps them back."""
        for live, mean in zip(self._live, self._mean, strict=True):
            kept = live.clone()
            live.copy_(mean)
            mean.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the average by name and the steps taken."""
        return {"steps": self.steps, "values": dict(zip(self._names, self._mean, strict=True))}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved average.

        Args:
            state: From ``state_dict`` of an average of the same module.
        """
        self.steps = state["steps"]
        for name, mean in zip(self._names, self._mean, strict=True):
            mean.copy_(state["values"][name])
