r"""From maps to whole numbers and back, for a network that gives probabilities of whole numbers.

A channel is a **value**, a **hit** (whether there is a value at a pixel) or a **detector** (whether there
could be one). With ``L`` levels between the smallest and the largest value of a hit on the train side,

.. math:: k = \mathrm{round}\left((L - 1) \frac{x - x_\min}{x_\max - x_\min}\right), \qquad
          x = x_\min + \frac{k}{L - 1} (x_\max - x_\min) ,

so that ``k`` comes back as it was and ``x`` to within half a step. A value beyond those bounds takes the
level at the end, whose cell reaches to infinity; such values are counted, never dropped in silence. Where
there is no hit, a value channel holds one number, which is learnt too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from skyloom.errors import DataError, UsageError

Role = Literal["value", "hit", "detector"]
TOLERANCE = 1e-4  #: of what must be constant, in units of the range of its channel


class Pixels(NamedTuple):
    """Maps as whole numbers."""

    levels: Tensor
    """Levels of the value channels, shape ``(B, C, H, W)``; 0 where there is no hit."""
    hit: Tensor
    """Whether there are values, booleans of shape ``(B, H, W)``."""
    clipped: Tensor
    """How many values of each map lay beyond the bounds, shape ``(B,)``."""


class Quantiser(nn.Module):
    """Turns channels of maps into whole numbers and back; what it learns is saved with the weights.

    Args:
        roles: What each channel is.
        counts: Levels of each value channel.
        size: Side length of the maps, pixels.

    Raises:
        UsageError: There is no value channel, or more than one hit or detector, or the levels do not fit.

    Example:
        >>> quantiser = Quantiser(["value", "hit"], [5], 2)
        >>> maps = torch.tensor([[[[0.0, 8.0], [4.0, -9.0]], [[1.0, 1.0], [1.0, 0.0]]]])
        >>> quantiser.learn([{"maps": maps}])
        >>> found = quantiser(maps)
        >>> found.levels[0, 0].tolist(), quantiser.restore(found.levels, found.hit).equal(maps)
        ([[0.0, 4.0], [2.0, 0.0]], True)
    """

    low: Tensor
    high: Tensor
    empty: Tensor
    detector: Tensor
    learnt: Tensor

    def __init__(self, roles: list[Role], counts: list[int], size: int) -> None:
        super().__init__()
        self.values = [c for c, role in enumerate(roles) if role == "value"]
        for role in ("hit", "detector"):
            if roles.count(role) > 1:
                raise UsageError(f"pixelcnn: roles {roles} name {role!r} more than once")
        if not self.values or len(counts) != len(self.values) or min(counts) < 2:
            raise UsageError(
                f"pixelcnn: roles {roles} with levels {counts}",
                hint="at least one channel is a value, and each value has 2 levels or more",
            )
        self.hit = roles.index("hit") if "hit" in roles else None
        self.mask = roles.index("detector") if "detector" in roles else None
        self.roles, self.counts = roles, counts
        for name in ("low", "high", "empty"):
            self.register_buffer(name, torch.zeros(len(roles)))
        self.register_buffer("detector", torch.ones(size, size, dtype=torch.bool))
        self.register_buffer("learnt", torch.tensor(False))

    @property
    def pixels(self) -> int:
        """Pixels that show a detector."""
        return int(self.detector.sum())

    @torch.no_grad()
    def learn(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Learn bounds and masks from the train side.

        Args:
            batches: With ``maps`` ``(B, C, H, W)``; gone through twice.

        Raises:
            DataError: A channel is constant, the detector changes from map to map, there is a hit without a
                detector, or a value channel is not constant where there is no hit.
        """
        everywhere = [self._ends(batch["maps"].transpose(0, 1).flatten(1), None) for batch in batches]
        self._take(everywhere, [c for c, role in enumerate(self.roles) if role != "value"])
        hits, others, first = [], [], None
        for batch in batches:
            maps = batch["maps"].to(self.low)
            first = self._mask(maps[:1])[0] if first is None else first
            hit = self._hit(maps)
            if not (self._mask(maps) == first).all() or (hit & ~first).any():
                raise DataError(
                    "pixelcnn: the map of the detector is not the same for all events, or there is a hit"
                    " without a detector",
                    hint="take events of one layout; treat dead channels as pixels without a hit",
                )
            flat = maps.transpose(0, 1).flatten(1)
            hits.append(self._ends(flat, hit.flatten()))
            others.append(self._ends(flat, ~hit.flatten()))
        if first is None:
            raise DataError("pixelcnn: there is no map to learn from")
        self.detector.copy_(first)
        self._take(hits, self.values)
        low, high = self._joined(others)
        for c in self.values:
            if self.hit is not None and high[c] - low[c] > TOLERANCE * (self.high[c] - self.low[c]):
                raise DataError(
                    f"pixelcnn: channel {c} has values from {low[c]:g} to {high[c]:g} where there is no hit",
                    hint="a value channel holds one number there",
                )
            self.empty[c] = torch.where(low[c].isfinite(), low[c], self.low[c])
        self.learnt.fill_(True)

    def forward(self, maps: Tensor) -> Pixels:
        """Return maps as whole numbers.

        Args:
            maps: Shape ``(B, C, H, W)``, as those that it learnt from.

        Raises:
            UsageError: Nothing was learnt yet.
        """
        self.refuse_unlearnt()
        hit = self._hit(maps) & self.detector
        low, high = (ends[self.values].view(1, -1, 1, 1) for ends in (self.low, self.high))
        tops = torch.tensor(self.counts, device=maps.device, dtype=maps.dtype).view(1, -1, 1, 1) - 1
        levels = ((maps[:, self.values] - low) / (high - low) * tops).round()
        inside = levels.clamp(min=torch.zeros_like(tops), max=tops)
        beyond = ((levels != inside) & hit.unsqueeze(1)).sum(dim=(1, 2, 3))
        return Pixels(torch.where(hit.unsqueeze(1), inside, 0.0), hit, beyond)

    def refuse_unlearnt(self) -> None:
        """Raise UsageError unless the bounds are known."""
        if not self.learnt:
            raise UsageError(
                "pixelcnn does not know the bounds of its values yet",
                hint="call method.prepare(batches of the train side); a data module does so by itself",
            )

    def restore(self, levels: Tensor, hit: Tensor) -> Tensor:
        """Return the maps that whole numbers stand for, all channels.

        Args:
            levels: Shape ``(B, C, H, W)``.
            hit: Booleans, shape ``(B, H, W)``.
        """
        B, _, H, W = levels.shape
        maps = levels.new_zeros(B, len(self.roles), H, W)
        for place, c in enumerate(self.values):
            step = (self.high[c] - self.low[c]) / (self.counts[place] - 1)
            maps[:, c] = torch.where(hit, self.low[c] + step * levels[:, place], self.empty[c])
        for channel, shown in ((self.hit, hit), (self.mask, self.detector.expand_as(hit))):
            if channel is not None:
                maps[:, channel] = torch.where(shown, self.high[channel], self.low[channel])
        return maps

    def _hit(self, maps: Tensor) -> Tensor:
        if self.hit is None:
            return self._mask(maps)
        return maps[:, self.hit] > 0.5 * (self.low[self.hit] + self.high[self.hit])

    def _mask(self, maps: Tensor) -> Tensor:
        if self.mask is None:
            return torch.ones_like(maps[:, 0], dtype=torch.bool)
        return maps[:, self.mask] > 0.5 * (self.low[self.mask] + self.high[self.mask])

    def _ends(self, flat: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of each channel ``(C, n)``, infinite where nothing is seen."""
        none = flat.new_full((), torch.inf)
        if seen is None:
            return flat.amin(dim=1), flat.amax(dim=1)
        return torch.where(seen, flat, none).amin(dim=1), torch.where(seen, flat, -none).amax(dim=1)

    def _joined(self, ends: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Join what batches, and other processes, have seen."""
        low = torch.stack([one for one, _ in ends]).amin(dim=0)
        high = torch.stack([one for _, one in ends]).amax(dim=0)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(low, torch.distributed.ReduceOp.MIN)
            torch.distributed.all_reduce(high, torch.distributed.ReduceOp.MAX)
        return low, high

    def _take(self, ends: list[tuple[Tensor, Tensor]], channels: list[int]) -> None:
        if not ends:
            raise DataError("pixelcnn: there is no map to learn from")
        low, high = self._joined(ends)
        for c in channels:
            if not low[c] < high[c]:
                raise DataError(
                    f"pixelcnn: channel {c}, a {self.roles[c]}, is the same everywhere on the train side",
                    hint="leave it out of data.fields, or change its role",
                )
            self.low[c], self.high[c] = low[c], high[c]
