r"""Grad-CAM: which features of the last convolution speak for the answer, and where (arXiv:1610.02391).

.. math:: a(\mathbf u) = \sum_f \langle \partial F / \partial A_f \rangle_{\mathbf u} \, A_f(\mathbf u)

with the maps ``A_f`` of the layer, smoothly enlarged to the input. As coarse as that layer's pixels.
"""

from __future__ import annotations

import captum.attr
import torch
import xarray as xr
from torch import Tensor, nn

from skyloom.errors import UsageError, nearest
from skyloom.explain.context import Context
from skyloom.explain.handling import attributed, differentiable, in_pieces
from skyloom.explain.layers import Call, calls, last_convolution, refuse_reuse
from skyloom.methods import Method


def grad_cam(
    net: nn.Module, maps: Tensor, target: int, *, layer: str | None = None, positive: bool = False
) -> tuple[Tensor, str]:
    """Return the weighted features of a layer, at the size of the maps.

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``; never written to.
        target: Index of the output.
        layer: Name of the layer, as ``named_modules`` gives it; None takes the last convolution whose output
            is still a map.
        positive: Keep only what speaks for the output, as in the paper.

    Returns:
        Attributions of shape ``(B, 1, H, W)``, and the name of the layer.

    Raises:
        UsageError: There is no such layer, its output is no map, or it runs more than once for each map.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten())
        >>> grad_cam(net, torch.ones(1, 1, 2, 2), 0)[1]
        '0'
    """
    refuse_reuse(net, maps, "grad_cam")
    chosen = last_convolution(net, maps) if layer is None else _named(net, maps, layer)

    def attribute(part: Tensor) -> Tensor:
        found = tool.attribute(part, target=target, relu_attributions=positive)
        large: Tensor = captum.attr.LayerAttribution.interpolate(
            found.detach(), tuple(maps.shape[2:]), "bilinear"
        )
        return large

    with differentiable(net):
        tool = captum.attr.LayerGradCam(net, chosen.layer)
        return in_pieces(attribute, maps), chosen.name


class GradCam:
    """Where the features of the last convolution speak for (positive) or against the answer.

    It sees places, not pixels: a total stride of 8 gives blocks of 8 pixels. Pooling that does more than
    average (a spread, a maximum) is taken for its slope. There is no baseline, and no sum to check.

    Args:
        layer: Name of the layer; None takes the last convolution whose output is still a map.
        positive: Keep only what speaks for the answer, as in the paper; of use for classes.

    Example:
        >>> GradCam(layer="net.stem.0.conv").layer
        'net.stem.0.conv'
    """

    def __init__(self, *, layer: str | None = None, positive: bool = False) -> None:
        self.layer, self.positive = layer, positive

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return the attributions ``(sample, 1, y, x)``; see `grad_cam` for errors."""
        context.name_of(target)
        found, layer = grad_cam(method, maps, target, layer=self.layer, positive=self.positive)
        return attributed("grad_cam", found, maps, context, target, layer=layer, positive=self.positive)


def _named(net: nn.Module, maps: Tensor, name: str) -> Call:
    ran = {call.name: call for call in calls(net, maps) if len(call.shape) == 4 and min(call.shape[2:]) > 1}
    if name not in ran:
        raise UsageError(f"grad_cam: no layer {name!r} gives a map", hint=nearest(name, ran))
    return ran[name]
