"""Rolls, flips and quarter turns of a batch of scalar maps that gradients pass through.

`skyloom.loading.augment` moves what is read; this moves what is generated too, before a critic sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Move = Literal["roll", "flip", "turn"]


def moved(maps: Tensor, kinds: Sequence[Move], generator: torch.Generator | None = None) -> Tensor:
    """Return each map moved at random over its periodic sides, flipped and turned.

    Args:
        maps: Shape ``(B, C, H, H)``, scalars.
        kinds: What is done, any of the three.
        generator: Source of the moves; None for torch's own.

    Returns:
        The same shape; a copy only where something is done.

    Example:
        >>> maps = torch.arange(32.0).reshape(2, 1, 4, 4)
        >>> found = moved(maps, ["roll", "flip", "turn"], torch.Generator().manual_seed(0))
        >>> torch.equal(found.flatten(1).sort().values, maps.flatten(1))
        True
    """
    if not kinds:
        return maps
    B, _, H, W = maps.shape
    options: dict[str, Any] = {"generator": generator, "device": maps.device}
    places = (
        torch.arange(H, device=maps.device).expand(B, H),
        torch.arange(W, device=maps.device).expand(B, W),
    )
    rows, columns = places
    if "roll" in kinds:
        rows = (rows + torch.randint(H, (B, 1), **options)) % H
        columns = (columns + torch.randint(W, (B, 1), **options)) % W
    if "flip" in kinds or "turn" in kinds:
        flips = torch.randint(2, (2, B, 1), **options).bool()
        rows = torch.where(flips[0], rows.flip(1), rows)
        columns = torch.where(flips[1], columns.flip(1), columns)
    rows, columns = rows[:, :, None], columns[:, None, :]
    if "turn" in kinds:
        # A transposition in half of the cases makes, with the flips, all eight symmetries of the square.
        swap = torch.randint(2, (B, 1, 1), **options).bool()
        rows, columns = rows.expand(B, H, W), columns.expand(B, H, W)
        rows, columns = (
            torch.where(swap, rows.transpose(1, 2), rows),
            torch.where(swap, columns.transpose(1, 2), columns),
        )
    flat = (rows * W + columns).reshape(B, 1, H * W).expand(B, maps.shape[1], H * W)
    return maps.flatten(2).gather(2, flat).reshape(maps.shape)
