"""Attribution by gradients: which pixels move the prediction.

The functions take any module from maps ``(B, C, H, W)`` to outputs ``(B, P)``: a method, a classifier's
logits, or an output map of which `skyloom.explain.regions` makes one number. The network answers in
prediction mode, so each map is explained as if it came alone.
"""

from __future__ import annotations

from typing import Literal

import captum.attr
import torch
import xarray as xr
from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.explain.context import Context
from skyloom.explain.handling import (
    MAPS_AT_ONCE,
    answers,
    array,
    attributed,
    completeness,
    differentiable,
    in_pieces,
)
from skyloom.methods import Method

MOST_STEPS = 512


def saliency(net: nn.Module, maps: Tensor, target: int | None) -> Tensor:
    """Return the size of the slope of an output with respect to each pixel.

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``; never written to.
        target: Index of the output; None takes the largest output of each map, its predicted class.

    Returns:
        Shape ``(B, C, H, W)``, output per unit of the maps.

    Example:
        >>> saliency(nn.Flatten(), torch.zeros(1, 1, 2, 2), 3).tolist()
        [[[[0.0, 0.0], [0.0, 1.0]]]]
    """

    def attribute(part: Tensor) -> Tensor:
        chosen = target
        if chosen is None:
            with torch.no_grad():
                chosen = net(part).argmax(dim=1)
        slopes: Tensor = tool.attribute(part, target=chosen, abs=True)
        return slopes

    with differentiable(net):
        tool = captum.attr.Saliency(net)
        return in_pieces(attribute, maps)


def integrated_gradients(
    net: nn.Module, maps: Tensor, target: int, *, steps: int = 32, times_maps: bool = True
) -> Tensor:
    """Return slopes averaged along the straight line from the map of zeros, see `IntegratedGradients`.

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``; never written to.
        target: Index of the output.
        steps: Gauss–Legendre points along the line.
        times_maps: Multiply by the maps, so that the sum is the change of the output.

    Returns:
        Shape ``(B, C, H, W)``.

    Example:
        >>> integrated_gradients(nn.Flatten(), torch.full((1, 1, 1, 2), 3.0), 1, steps=1).tolist()
        [[[[0.0, 3.0]]]]
    """

    def attribute(part: Tensor) -> Tensor:
        found: Tensor = tool.attribute(
            part,
            baselines=torch.zeros_like(part),
            target=target,
            n_steps=steps,
            internal_batch_size=max(MAPS_AT_ONCE, len(part)),
        )
        return found

    with differentiable(net):
        tool = captum.attr.IntegratedGradients(net, multiply_by_inputs=times_maps)
        return in_pieces(attribute, maps)


class Saliency:
    """Size of the slope of the prediction with respect to each pixel (Simonyan et al. 2013, arXiv:1312.6034).

    The result holds ``attribution`` ``(sample, channel, y, x)``, standardised target (of a classifier: logit)
    per standardised pixel, and the standardised ``maps``. There is no baseline: a slope says what a small
    change would do, not what the map has done.

    Args:
        of: ``target`` explains the target asked for; ``predicted`` the largest output of each map, which for
            a classifier is the class that it predicts.

    Example:
        >>> import numpy as np
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> maps = torch.rand(2, 1, 16, 16)
        >>> context = Context(np.zeros((2, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
        >>> ds = Saliency().explain(method, maps, 0, generator=torch.Generator(), context=context)
        >>> dict(ds["attribution"].sizes)
        {'sample': 2, 'channel': 1, 'y': 16, 'x': 16}
    """

    def __init__(self, *, of: Literal["target", "predicted"] = "target") -> None:
        self.of = of

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return the absolute slopes; see `Explanation.explain`.

        Raises:
            UsageError: The predicted class is asked for, but the targets are no classes.
        """
        context.name_of(target)
        if self.of == "predicted" and not context.classes:
            raise UsageError(
                f"saliency of the predicted class needs classes; {', '.join(context.parameters)} are values",
                hint="drop of: predicted",
            )
        slopes = saliency(method, maps, None if self.of == "predicted" else target)
        mean = float(slopes.abs().mean())
        return attributed("saliency", slopes, maps, context, target, of=self.of, mean_slope=mean)


class IntegratedGradients:
    r"""Slopes summed along the straight line from an empty map (Sundararajan et al. 2017, arXiv:1703.01365).

    .. math:: a_i = (x_i - x'_i) \int_0^1 \partial_i F\big(x' + t\,(x - x')\big) \, dt ,
              \qquad \sum_i a_i = F(x) - F(x')

    The baseline ``x'`` is the map of zeros in standardised units: for a field that is standardised, a map
    without structure at the mean of the training maps. The sum on the right is exact only for many steps;
    ``gap`` is what is missing for each map, in units of the standardised target. With instance normalisation
    32 steps miss a tenth or more of the change: give a ``tolerance`` there.

    Args:
        steps: Gauss–Legendre points along the line.
        tolerance: Double the steps until the rms gap is below this share of the rms change, or there are 512;
            None takes ``steps`` as they are.

    Raises:
        UsageError: Fewer than one step, or a tolerance that is not positive.

    Example:
        >>> import numpy as np
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> maps = torch.rand(2, 1, 16, 16)
        >>> context = Context(np.zeros((2, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
        >>> ds = IntegratedGradients(steps=64).explain(
        ...     method, maps, 0, generator=torch.Generator(), context=context)
        >>> bool((abs(ds["gap"]) < 0.05 * abs(ds["change"])).all())
        True
    """

    def __init__(self, *, steps: int = 32, tolerance: float | None = None) -> None:
        if steps < 1:
            raise UsageError(f"integrated_gradients needs at least one step, found {steps}", hint="try 32")
        if tolerance is not None and not tolerance > 0:
            raise UsageError(
                f"integrated_gradients needs a tolerance above 0, found {tolerance}",
                hint="try 0.01, one percent",
            )
        self.steps, self.tolerance = steps, tolerance

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return ``attribution`` and, for each map, ``change = F(x) - F(0)`` and ``gap``."""
        context.name_of(target)
        change = answers(method, maps, target) - answers(method, torch.zeros_like(maps[:1]), target)
        steps = self.steps
        attribution = integrated_gradients(method, maps, target, steps=steps)
        while self.tolerance is not None and 2 * steps <= MOST_STEPS:
            gap = completeness(array(attribution), array(change))[1]["gap_relative"]
            # NaN, where nothing changes, is no reason to go on.
            if not gap > self.tolerance:
                break
            steps *= 2
            attribution = integrated_gradients(method, maps, target, steps=steps)
        facts = {"steps": steps, "baseline": "zero map in standardised units"}
        return attributed("integrated_gradients", attribution, maps, context, target, change=change, **facts)
