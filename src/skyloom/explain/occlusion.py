"""Occlusion: cover a patch of the map and see how far the answer moves (Zeiler & Fergus 2014)."""

from __future__ import annotations

from typing import Any, Literal

import captum.attr
import torch
import xarray as xr
from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.explain.context import Context
from skyloom.explain.handling import MAPS_AT_ONCE, attributed, in_pieces
from skyloom.methods import Method, prediction_mode


def occlusion(
    net: nn.Module,
    maps: Tensor,
    target: int,
    *,
    size: int,
    stride: int,
    fill: float | Literal["mean"] = "mean",
) -> Tensor:
    """Return ``F(x) - F(x covered)``, for each pixel the mean over the patches that cover it.

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``; never written to.
        target: Index of the output.
        size: Side of the square patch [pixels]; it covers all channels.
        stride: Step between patches [pixels], at most ``size``; the last ones are cut by the edge.
        fill: What stands in the patch: a standardised value, or the mean of each channel of the map.

    Returns:
        Shape ``(B, 1, H, W)``, in the unit of the output: channels are covered together.

    Raises:
        UsageError: The patch is larger than the map, or patches leave pixels between them.

    Example:
        >>> maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
        >>> occlusion(nn.Flatten(), maps, 3, size=1, stride=1).tolist()  # the mean is 3
        [[[[0.0, 0.0], [0.0, 3.0]]]]
    """
    C, H, W = maps.shape[1:]
    if not 1 <= stride <= size <= min(H, W):
        raise UsageError(
            f"occlusion: size is {size} and stride {stride} on maps of {H} x {W} pixels",
            hint="allowed: 1 <= stride <= size <= side of the map",
        )

    def attribute(part: Tensor) -> Tensor:
        level = part.detach().mean(dim=(-2, -1), keepdim=True).expand_as(part) if fill == "mean" else fill
        found: Tensor = tool.attribute(
            part.detach(),
            sliding_window_shapes=(C, size, size),
            strides=(C, stride, stride),
            baselines=level,
            target=target,
            perturbations_per_eval=max(1, MAPS_AT_ONCE // len(part)),
        )
        return found[:, :1]

    with prediction_mode(net), torch.no_grad():
        tool = captum.attr.Occlusion(net)
        return in_pieces(attribute, maps)


class Occlusion:
    """Cover one patch after the other: where does the answer come from?

    Unlike a slope it is a real experiment, but on maps with a hole, which the network has never seen; and two
    patches that tell the same are both found unimportant. The baseline is the map itself.

    Args:
        size: Side of the patch [pixels].
        stride: Step between patches [pixels]; None gives ``size``, patches side by side.
        fill: A standardised value, or ``mean``: of each channel of the map, so that no square stands out.

    Raises:
        UsageError: The size or the stride is less than 1, or the stride more than the size.

    Example:
        >>> Occlusion(size=4).stride
        4
    """

    def __init__(
        self, *, size: int = 8, stride: int | None = None, fill: float | Literal["mean"] = "mean"
    ) -> None:
        self.size, self.stride, self.fill = size, size if stride is None else stride, fill
        if not 1 <= self.stride <= size:
            raise UsageError(
                f"occlusion: size is {size} and stride {self.stride}", hint="allowed: 1 <= stride <= size"
            )

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return the changes of the standardised target; see `occlusion` for errors."""
        context.name_of(target)
        settings: dict[str, Any] = {"size": self.size, "stride": self.stride, "fill": self.fill}
        found = occlusion(method, maps, target, **settings)
        largest = float(found.abs().amax(dim=(1, 2, 3)).mean())
        return attributed("occlusion", found, maps, context, target, **settings, largest_change=largest)
