"""Attribution by gradients: which pixels move the prediction.

The method answers in prediction mode, so each map is explained as if it came alone. Attribution libraries set
``requires_grad`` on the tensor that they are given: they are given copies, in pieces, so that memory is
bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import captum.attr
import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from skyloom.errors import UsageError
from skyloom.explain.context import Context, finish
from skyloom.methods import Method, prediction_mode

MAPS_AT_ONCE = 64
DIMS = ("sample", "channel", "y", "x")


@contextmanager
def differentiable(method: Method) -> Iterator[None]:
    """Let gradients reach the maps only: prediction mode, weights frozen, all restored afterwards.

    Args:
        method: The trained method.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> with differentiable(method):
        ...     any(weight.requires_grad for weight in method.parameters())
        False
        >>> all(weight.requires_grad for weight in method.parameters())
        True
    """
    before = [(weight, weight.requires_grad) for weight in method.parameters()]
    try:
        for weight, _ in before:
            weight.requires_grad_(False)
        with prediction_mode(method), torch.enable_grad():
            yield
    finally:
        for weight, required in before:
            weight.requires_grad_(required)


class Saliency:
    """Size of the slope of the prediction with respect to each pixel (Simonyan et al. 2013, arXiv:1312.6034).

    The result holds ``attribution`` ``(sample, channel, y, x)``, standardised target per standardised pixel,
    and the standardised ``maps``.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> maps = torch.rand(2, 1, 16, 16)
        >>> context = Context(np.zeros((2, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
        >>> ds = Saliency().explain(method, maps, 0, generator=torch.Generator(), context=context)
        >>> dict(ds["attribution"].sizes)
        {'sample': 2, 'channel': 1, 'y': 16, 'x': 16}
    """

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return the absolute slopes; see `Explanation.explain`."""
        context.name_of(target)
        with differentiable(method):
            tool = captum.attr.Saliency(method)
            parts = [
                tool.attribute(copy_of(part), target=target, abs=True)
                for part in torch.split(maps, MAPS_AT_ONCE)
            ]
        slopes = array(torch.cat(parts))
        ds = xr.Dataset({"attribution": (DIMS, slopes), "maps": (DIMS, array(maps))})
        return finish(
            ds, "saliency", context, target, {"samples": len(maps), "mean_slope": float(slopes.mean())}
        )


class IntegratedGradients:
    r"""Slopes summed along the straight line from an empty map (Sundararajan et al. 2017, arXiv:1703.01365).

    .. math:: a_i = (x_i - x'_i) \int_0^1 \partial_i F\big(x' + t\,(x - x')\big) \, dt ,
              \qquad \sum_i a_i = F(x) - F(x')

    The baseline ``x'`` is the map of zeros in standardised units: for a field that is standardised, a map
    without structure at the mean of the training maps. The sum on the right is exact only for many steps;
    ``gap`` is what is missing for each map, in units of the standardised target. Take more steps until it is
    small beside ``change``.

    Args:
        steps: Gauss–Legendre points along the line.

    Raises:
        UsageError: Fewer than one step.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> maps = torch.rand(2, 1, 16, 16)
        >>> context = Context(np.zeros((2, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
        >>> ds = IntegratedGradients(steps=64).explain(
        ...     method, maps, 0, generator=torch.Generator(), context=context)
        >>> bool((abs(ds["gap"]) < 0.05 * abs(ds["change"])).all())
        True
    """

    def __init__(self, *, steps: int = 32) -> None:
        if steps < 1:
            raise UsageError(f"integrated_gradients needs at least one step, found {steps}", hint="try 32")
        self.steps = steps

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return ``attribution`` and, for each map, ``change = F(x) - F(0)`` and ``gap``."""
        context.name_of(target)
        parts, changes = [], []
        with differentiable(method):
            tool = captum.attr.IntegratedGradients(method)
            for part in torch.split(maps, MAPS_AT_ONCE):
                copy = copy_of(part)
                parts.append(
                    tool.attribute(
                        copy,
                        baselines=torch.zeros_like(part),
                        target=target,
                        n_steps=self.steps,
                        internal_batch_size=max(MAPS_AT_ONCE, len(part)),
                    )
                )
                with torch.no_grad():
                    changes.append((method(part) - method(torch.zeros_like(part[:1])))[:, target])
        attribution, change = array(torch.cat(parts)), array(torch.cat(changes))
        gap = attribution.sum(axis=(1, 2, 3), dtype=np.float64) - change
        ds = xr.Dataset(
            {
                "attribution": (DIMS, attribution),
                "maps": (DIMS, array(maps)),
                "change": ("sample", change),
                "gap": ("sample", gap),
            }
        )
        moved = float(np.sqrt(np.square(change, dtype=np.float64).mean()))
        rms = float(np.sqrt(np.square(gap).mean()))
        summary = {
            "samples": len(maps),
            "steps": self.steps,
            "baseline": "zero map in standardised units",
            "gap_rms": rms,
            "gap_largest": float(np.abs(gap).max()),
            "gap_relative": rms / moved if moved > 0 else float("nan"),
        }
        return finish(ds, "integrated_gradients", context, target, summary)


def copy_of(maps: Tensor) -> Tensor:
    """Return a copy that may be asked for gradients, and leaves the original alone.

    Args:
        maps: Any tensor.

    Example:
        >>> maps = torch.zeros(2)
        >>> copy_of(maps).requires_grad, maps.requires_grad
        (True, False)
    """
    return maps.detach().clone().requires_grad_()


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Return the values as a single-precision array on the host.

    Args:
        tensor: Any tensor.

    Example:
        >>> array(torch.zeros(2, dtype=torch.float64)).dtype
        dtype('float32')
    """
    return np.asarray(tensor.detach().to("cpu", torch.float32).numpy())
