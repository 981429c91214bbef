"""Networks whose output is itself a map: explain one region of it by the regions of the input.

A discriminator that judges patches (PatchGAN) returns a map of scores, a translator a map of another field.
`OutputRegion` makes one number of them, the mean over a region, and every attribution takes it from there:

    net = OutputRegion(discriminator)                            # the mean of the score map
    corner = OutputRegion(generator, rows=(0, 8), columns=(0, 8))  # one corner of the translated map
    a = gradient_shap(corner, maps, baselines, 0, generator=generator)
    outer_share(a.numpy())                                       # is it the edges that it looks at?

Outside the receptive field of the region the attribution is exactly zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skyloom.errors import ShapeError, UsageError


class OutputRegion(nn.Module):
    """A network, followed by the mean of its output map over a region.

    Args:
        net: Maps ``(B, C, H, W)`` to maps ``(B, K, h, w)``; its weights stay its own.
        rows: First row of the region and the row after its last; None takes all.
        columns: First column and the column after the last; None takes all.
        mask: Instead of rows and columns: pixels of the region, of the shape ``(h, w)`` of the output.

    Raises:
        UsageError: A mask and rows or columns are given, or the region is empty.

    Example:
        >>> net = OutputRegion(nn.Identity(), rows=(0, 1))
        >>> net(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])).tolist()
        [[2.0]]
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        rows: tuple[int, int] | None = None,
        columns: tuple[int, int] | None = None,
        mask: Sequence[Sequence[bool]] | Tensor | None = None,
    ) -> None:
        super().__init__()
        if mask is not None and (rows is not None or columns is not None):
            raise UsageError("a region is given by a mask, or by rows and columns, not by both")
        for name, ends in (("rows", rows), ("columns", columns)):
            if ends is not None and not 0 <= ends[0] < ends[1]:
                raise UsageError(f"the {name} of the region are {ends}", hint="allowed: 0 <= first < end")
        self.net, self.rows, self.columns = net, rows, columns
        self.mask = None if mask is None else torch.as_tensor(mask, dtype=torch.bool)
        if self.mask is not None and not self.mask.any():
            raise UsageError("the mask of the region holds no pixel")
        self.train(net.training)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the mean over the region of each output channel, ``(B, K)``.

        Raises:
            ShapeError: The output is no map, or the region does not lie within it.
        """
        output: Tensor = self.net(maps)
        if output.ndim != 4:
            raise ShapeError(f"the output has shape {tuple(output.shape)}, allowed: a map (B, K, h, w)")
        h, w = output.shape[2:]
        if self.mask is not None:
            if self.mask.shape != (h, w):
                raise ShapeError(f"the mask has shape {tuple(self.mask.shape)}, the output map {(h, w)}")
            return output[..., self.mask.to(output.device)].mean(dim=-1)
        rows, columns = self.rows or (0, h), self.columns or (0, w)
        if rows[1] > h or columns[1] > w:
            raise ShapeError(f"the region ends at {(rows[1], columns[1])}, the output map at {(h, w)}")
        return output[..., slice(*rows), slice(*columns)].mean(dim=(-2, -1))
