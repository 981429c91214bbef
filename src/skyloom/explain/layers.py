"""Which layers of a network run, how often, and on what: found by sending one map through."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.explain.handling import differentiable


@dataclass(frozen=True)
class Call:
    """One layer that ran: its name in the network, the module, and the shape of what it returned."""

    name: str
    layer: nn.Module
    shape: tuple[int, ...]


def calls(net: nn.Module, maps: Tensor) -> list[Call]:
    """Return the layers without layers of their own, in the order in which they run.

    Args:
        net: The network.
        maps: Shape ``(B, C, H, W)``; the first map is sent through.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 1))
        >>> [call.name for call in calls(net, torch.zeros(1, 1, 4, 4))]
        ['0', '1', '2']
    """
    found: list[Call] = []

    def note(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            found.append(Call(name, layer, tuple(output.shape)))

    with differentiable(net), torch.no_grad():
        for name, layer in net.named_modules():
            if not any(layer.children()):
                layer.register_forward_hook(partial(note, name))
        net(maps[:1])
    return found


def refuse_reuse(net: nn.Module, maps: Tensor, explanation: str) -> None:
    """Refuse a network in which a layer runs more than once for one map: hooks would see the last run only.

    Args:
        net: The network.
        maps: Shape ``(B, C, H, W)``; the first map is sent through.
        explanation: Who asks, for the message.

    Raises:
        UsageError: A layer runs more than once; the message names it.

    Example:
        >>> refuse_reuse(nn.Flatten(), torch.zeros(1, 1, 4, 4), "demo")
    """
    often = [name for name, count in Counter(call.name for call in calls(net, maps)).items() if count > 1]
    if often:
        raise UsageError(
            f"{explanation} needs a network whose layers run once for each map; "
            f"{often[0] or 'it'!r} runs more often",
            hint="give each use its own module (resnet: d4_average: false), or use integrated_gradients",
        )


def last_convolution(net: nn.Module, maps: Tensor) -> Call:
    """Return the convolution that runs last and still gives a map of more than one pixel.

    Kernels of one pixel, which only mix channels (the shortcut of a residual block), are passed over where
    there are others.

    Args:
        net: The network.
        maps: Shape ``(B, C, H, W)``; the first map is sent through.

    Raises:
        UsageError: There is none.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 1, 1), nn.Flatten())
        >>> last_convolution(net, torch.zeros(1, 1, 4, 4)).name
        '0'
    """
    convolutions = [call for call in calls(net, maps) if isinstance(call.layer, nn.Conv2d)]
    spatial = [call for call in convolutions if min(call.shape[2:]) > 1]
    if not spatial:
        found = ", ".join(f"{call.name} {call.shape[2:]}" for call in convolutions) or "no convolution"
        raise UsageError(
            f"grad_cam needs a convolution whose output is a map; found {found}",
            hint="use saliency or occlusion for this network",
        )
    wide = [call for call in spatial if max(call.layer.kernel_size) > 1]  # type: ignore[arg-type]
    return (wide or spatial)[-1]
