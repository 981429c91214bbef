r"""Shapley values of pixels, approximated (Lundberg & Lee 2017, arXiv:1705.07874).

Both explanations share the change of the answer among the pixels, between the map and the *average answer* of
some other maps, the baselines ``b``:

.. math:: \sum_i a_i = F(x) - \langle F(b) \rangle_b ,

and for a linear network ``a_i = w_i (x_i - <b_i>)``. The baselines are standardised maps drawn, by the
generator, from those under study, so a map is compared with others of its kind and not with an empty one.
"""

from __future__ import annotations

import warnings

import captum.attr
import torch
import xarray as xr
from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.explain.context import Context
from skyloom.explain.handling import answers, attributed, differentiable, in_pieces, seeded
from skyloom.explain.layers import refuse_reuse
from skyloom.methods import Method

BASELINES = 16
_UNSOUND = (
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)


def gradient_shap(
    net: nn.Module,
    maps: Tensor,
    baselines: Tensor,
    target: int,
    *,
    draws: int = 32,
    generator: torch.Generator,
) -> Tensor:
    """Return slopes at random points between each map and random baselines, times their difference.

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``; never written to.
        baselines: Shape ``(b, C, H, W)``.
        target: Index of the output.
        draws: Random points for each map; the error of the estimate falls with their root.
        generator: Source of the points.

    Returns:
        Shape ``(B, C, H, W)``.

    Example:
        >>> maps, black = torch.full((1, 1, 1, 2), 3.0), torch.zeros(1, 1, 1, 2)
        >>> gradient_shap(nn.Flatten(), maps, black, 1, draws=2, generator=torch.Generator()).tolist()
        [[[[0.0, 3.0]]]]
    """

    def attribute(part: Tensor) -> Tensor:
        found: Tensor = tool.attribute(part, baselines=baselines, target=target, n_samples=draws, stdevs=0.0)
        return found

    with differentiable(net), seeded(generator):
        tool = captum.attr.GradientShap(net)
        return in_pieces(attribute, maps, draws)


def deep_lift_shap(net: nn.Module, maps: Tensor, baselines: Tensor, target: int) -> Tensor:
    """Return DeepLIFT's rescale rule, averaged over all baselines (Shrikumar et al. 2017, arXiv:1704.02685).

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``; never written to.
        baselines: Shape ``(b, C, H, W)``.
        target: Index of the output.

    Returns:
        Shape ``(B, C, H, W)``.

    Raises:
        UsageError: The network normalises by statistics of the map itself, or uses a module twice.

    Example:
        >>> maps, black = torch.full((1, 1, 1, 2), 3.0), torch.zeros(1, 1, 1, 2)
        >>> deep_lift_shap(nn.Flatten(), maps, black, 1).tolist()
        [[[[0.0, 3.0]]]]
    """
    refuse_unsound(net, maps)

    def attribute(part: Tensor) -> Tensor:
        found: Tensor = tool.attribute(part, baselines=baselines, target=target)
        return found

    if len(baselines) == 1:
        baselines = baselines.expand(2, -1, -1, -1)  # captum wants a distribution; the mean is the same
    with differentiable(net), warnings.catch_warnings():
        # Captum tells of every hook that it hangs and takes down again.
        warnings.filterwarnings("ignore", "Setting forward, backward hooks")
        tool = captum.attr.DeepLiftShap(net)
        return in_pieces(attribute, maps, len(baselines))


def refuse_unsound(net: nn.Module, maps: Tensor) -> None:
    """Refuse a network for which DeepLIFT gives wrong numbers without saying so.

    The rescale rule multiplies slopes layer by layer, which holds where a layer treats each value alone. A
    norm over the map itself mixes its pixels: the error is then as large as the answer. Batch norm in
    prediction mode is a fixed straight line, and allowed.

    Args:
        net: The network.
        maps: Some maps, shape ``(B, C, H, W)``; the first is sent through.

    Raises:
        UsageError: A layer normalises by instance, group or layer, or a module runs more than once.

    Example:
        >>> refuse_unsound(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), torch.zeros(1, 1, 8, 8))
    """
    for name, layer in net.named_modules():
        if isinstance(layer, _UNSOUND):
            raise UsageError(
                f"deep_lift_shap is invalid for this network: {name or 'it'} is {type(layer).__name__}, "
                "which normalises by the map itself, and the error is as large as the answer",
                hint="use gradient_shap or integrated_gradients, or a network with batch norm",
            )
    refuse_reuse(net, maps, "deep_lift_shap")


def drawn(maps: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw baselines from the maps, without putting any back.

    Args:
        maps: Shape ``(B, C, H, W)``.
        count: How many; all maps where there are fewer.
        generator: Source of the choice.

    Returns:
        A copy of shape ``(min(count, B), C, H, W)``.

    Example:
        >>> len(drawn(torch.zeros(3, 1, 2, 2), 16, torch.Generator()))
        3
    """
    order = torch.randperm(len(maps), generator=generator, device=generator.device)[:count]
    return maps[order.to(maps.device)].detach().clone()


class GradientShap:
    """Expected gradients: slopes between the map and other maps, at random points (Erion et al. 2021).

    Runs with every network. The estimate is a Monte-Carlo mean: ``gap`` shows, for each map, how far its sum
    is from the change that it explains.

    Args:
        baselines: Maps drawn as baselines.
        draws: Random points for each map.

    Raises:
        UsageError: Fewer than one baseline or draw.

    Example:
        >>> GradientShap(draws=64).draws
        64
    """

    def __init__(self, *, baselines: int = BASELINES, draws: int = 32) -> None:
        _positive("gradient_shap", baselines=baselines, draws=draws)
        self.baselines, self.draws = baselines, draws

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return ``attribution``, ``change = F(x) - <F(b)>`` and ``gap``; see `Explanation.explain`."""
        context.name_of(target)
        baselines = drawn(maps, self.baselines, generator)
        found = gradient_shap(method, maps, baselines, target, draws=self.draws, generator=generator)
        change = answers(method, maps, target) - answers(method, baselines, target).mean()
        facts = {"draws": self.draws, "baseline": _said(baselines)}
        return attributed("gradient_shap", found, maps, context, target, change=change, **facts)


class DeepLiftShap:
    """DeepLIFT averaged over other maps as baselines; exact sums where every layer treats values one by one.

    Refused where a layer normalises by the map itself (instance, group, layer norm). What is not a module
    (a spread that is computed in ``forward``, as in the pooling of ``resnet``) counts as straight: look at
    ``gap_relative`` before you believe the picture.

    Args:
        baselines: Maps drawn as baselines.

    Raises:
        UsageError: Fewer than one baseline.

    Example:
        >>> DeepLiftShap(baselines=4).baselines
        4
    """

    def __init__(self, *, baselines: int = BASELINES) -> None:
        _positive("deep_lift_shap", baselines=baselines)
        self.baselines = baselines

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return ``attribution``, ``change = F(x) - <F(b)>`` and ``gap``; see `deep_lift_shap` for errors."""
        context.name_of(target)
        baselines = drawn(maps, self.baselines, generator)
        found = deep_lift_shap(method, maps, baselines, target)
        change = answers(method, maps, target) - answers(method, baselines, target).mean()
        return attributed(
            "deep_lift_shap", found, maps, context, target, change=change, baseline=_said(baselines)
        )


def _said(baselines: Tensor) -> str:
    return f"average answer of {len(baselines)} of the maps"


def _positive(name: str, **counts: int) -> None:
    for what, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} needs {what} of 1 or more, found {count}", hint="try 16")
