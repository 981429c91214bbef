r"""Fields from fields by regression: a network learns the map of each target, pixel by pixel.

The mean square is least at the conditional mean of the target, given all that the network sees. Where the
input leaves much open that mean is smooth: it has less power than any true map, and no loss of this module
can change that. The structural similarity (Wang et al. 2004) asks for the right local contrast; the loss of
the cosmic-ray study is ``mse + ssim * (1 - SSIM)`` on equalised maps, whose span is 1.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.methods.base import FieldMethod, Net

WINDOW = 11  # pixels of the window of the structural similarity


class Regression(FieldMethod):
    r"""Regression from fields to fields.

    .. math:: \big\langle \ell(y - \hat y) \big\rangle + \alpha\,(1 - \mathrm{SSIM}), \qquad
              \ell(r) = r^2, \quad |r| \quad \text{or} \quad \sqrt{r^2 + \epsilon^2}

    The last is Charbonnier's (Charbonnier et al. 1994), an absolute value that is smooth at zero; both of
    these are ruled less by the brightest pixels, and are least at the median.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: The network; one that gives fields, such as ``unet``.
        loss: ``mse``, ``l1`` or ``charbonnier``.
        softening: ε of ``charbonnier``, in units of the transformed target.
        ssim: α, the weight of ``1 - SSIM``; 0 leaves it out.
        span: Range of the transformed targets that SSIM takes; 1 for equalised maps, a few for standardised.

    Raises:
        UsageError: The network gives no fields, or a number is out of range.
        ShapeError: The maps are smaller than the window of SSIM.

    Example:
        >>> import torch
        >>> method = Regression(1, 2, 16, net={"name": "unet", "width": 4, "depth": 2}, ssim=0.1)
        >>> method.predict(torch.zeros(3, 1, 16, 16))["mean"].shape
        torch.Size([3, 2, 16, 16])
    """

    name = "regression"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "unet"},  # noqa: B006 - read, never written
        loss: Literal["mse", "l1", "charbonnier"] = "mse",
        softening: float = 0.1,
        ssim: float = 0.0,
        span: float = 1.0,
    ) -> None:
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "loss": loss,
            "softening": softening,
            "ssim": ssim,
            "span": span,
        }
        super().__init__(in_channels, out_features, size, arguments)
        check_gives_fields(net, self.name)
        for key, value, least in (
            ("ssim", ssim, 0.0),
            ("softening", softening, 1e-12),
            ("span", span, 1e-12),
        ):
            if not (math.isfinite(value) and value >= least):
                what = "0 or more" if least == 0 else "more than 0"
                raise UsageError(f"method 'regression': {key} is {value}, allowed: {what}")
        if ssim and size < WINDOW:
            raise ShapeError(
                f"SSIM looks through a window of {WINDOW} pixels, the maps have {size}",
                hint="leave out method.ssim",
            )
        self.loss, self.softening, self.ssim, self.span = loss, softening, ssim, span
        self.net = registry.build(net, "net", data=(in_channels, out_features, size))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the predicted fields, transformed, ``(B, P, H, W)``."""
        fields: Tensor = self.net(maps)
        return fields

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss twice: it is minimised and logged."""
        given = self(maps)
        left = given - targets
        if self.loss == "mse":
            loss = left.square().mean()
        elif self.loss == "l1":
            loss = left.abs().mean()
        else:
            loss = (left.square() + self.softening**2).sqrt().mean()
        if self.ssim:
            alike = structural_similarity_index_measure(given.float(), targets.float(), data_range=self.span)
            loss = loss + self.ssim * (1 - alike)  # type: ignore[operator]
        return loss, loss


def check_gives_fields(net: dict[str, Any] | str, method: str) -> None:
    """Raise unless a network gives maps.

    Args:
        net: The network, as a recipe names it.
        method: What needs the maps, for the message.

    Raises:
        UsageError: It gives numbers; the message names those that give maps.

    Example:
        >>> check_gives_fields({"name": "unet"}, "regression")
    """
    name = net if isinstance(net, str) else net["name"]
    able = [
        known
        for known in registry.names("net")
        if getattr(registry.get(known, "net"), "gives", "features") == "fields"
    ]
    registry.get(name, "net")
    if name not in able:
        raise UsageError(
            f"method {method!r} needs a network that gives maps, {name!r} gives numbers",
            hint=f"use one of {', '.join(able)}",
        )
