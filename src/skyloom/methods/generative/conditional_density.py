r"""A density flow from fields to fields: an exact likelihood of the target, block by block.

A network makes of the input ``x`` a mean map :math:`\mu` of each target and feature maps ``h``. The target is
cut into blocks of ``b × b`` pixels, and the density of a block, all its pixels and targets together, is a
flow that sees the features over the same block (of the layers that `density_flow` has):

.. math:: \log q(y | x) = \sum_\mathrm{blocks} \log q\big(y_b - \mu_b \,|\, \mu_b, h_b\big)

Within a block pixels may depend on each other in any way; those of different blocks do so through the
features alone. With ``block`` the side of the map there is one joint density, for small maps; with 1 every
pixel has its own.

Where a target is constant, as an empty sky, it has no density, and the likelihood would grow without end on
ever narrower peaks. Noise of width ``soften`` is therefore added to the targets in training, and the draws
have it too.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.methods.base import FieldMethod, Net, NoisyLearner
from skyloom.methods.generative.denoising import gaussian
from skyloom.methods.generative.density_flow import LARGEST, make_flow
from skyloom.methods.regression import check_gives_fields


class ConditionalDensity(NoisyLearner, FieldMethod):
    """Density flow from fields to fields.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: The network that reads the input; one that gives fields.
        features: Feature maps beside the means.
        block: Side of a block, pixels.
        soften: Width of the noise on the targets in training, in units of the transformed targets.
        affine: Affine layers of the flow.
        splines: Spline layers behind them, which act within five units.
        bins: Pieces of each spline.
        hidden: Widths of the dense layers in each layer of the flow.
        coupling: Whether half of a block is drawn together given the other half, rather than one pixel after
            another.
        draws: Samples of each map that an evaluation takes; its mean is the answer for pixels.

    Raises:
        UsageError: The network gives no fields, or a number is out of range.
        ShapeError: Blocks do not tile the map, or have more than 400 numbers.

    Example:
        >>> net = {"name": "unet", "width": 4, "depth": 2}
        >>> method = ConditionalDensity(1, 2, 8, net=net, features=2, block=2, splines=1, hidden=[8])
        >>> maps, fields = torch.zeros(3, 1, 8, 8), torch.zeros(3, 2, 8, 8)
        >>> method.log_prob(maps, fields).shape, method.predict(maps, draws=4)["samples"].shape
        (torch.Size([3]), torch.Size([3, 4, 2, 8, 8]))
    """

    name = "conditional_density"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "unet"},  # noqa: B006 - read, never written
        features: int = 8,
        block: int = 4,
        soften: float = 0.02,
        affine: int = 1,
        splines: int = 2,
        bins: int = 8,
        hidden: list[int] = [64, 64],  # noqa: B006 - read, never written
        coupling: bool = False,
        draws: int = 8,
    ) -> None:
        check_gives_fields(net, self.name)
        if features < 0 or draws < 1 or not (math.isfinite(soften) and soften >= 0):
            raise UsageError(
                f"method 'conditional_density': features is {features}, draws {draws}, soften {soften:g}",
                hint="allowed: draws of 1 or more, the others of 0 or more",
            )
        D = out_features * block**2
        if block < 1 or size % block or D > LARGEST:
            raise ShapeError(
                f"method 'conditional_density': blocks of {block} × {block} pixels in maps of {size}, of"
                f" {D} numbers each",
                hint=f"the block must divide the map and hold at most {LARGEST} numbers",
            )
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "features": features,
            "block": block,
            "soften": soften,
            "affine": affine,
            "splines": splines,
            "bins": bins,
            "hidden": list(hidden),
            "coupling": coupling,
            "draws": draws,
        }
        super().__init__(in_channels, out_features, size, arguments)
        self.block, self.soften, self.draws = block, float(soften), draws
        self.net = registry.build(net, "net", data=(in_channels, out_features + features, size))
        conditions = (out_features + features) * block**2
        self.flow = make_flow(
            D, conditions, affine=affine, splines=splines, bins=bins, hidden=hidden, coupling=coupling
        )

    def log_prob(self, maps: Tensor, fields: Tensor) -> Tensor:
        """Return the log density of targets given the maps, shape ``(B,)`` [nats].

        Args:
            maps: Shape ``(B, C, H, W)``, transformed.
            fields: Shape ``(B, P, H, W)``, transformed.
        """
        told = self.net(maps)
        left = self.blocks(fields - told[:, : self.out_features])
        density: Tensor = self.flow(self.blocks(told)).log_prob(left)
        return density.reshape(len(maps), -1).sum(dim=1)

    def blocks(self, maps: Tensor) -> Tensor:
        """Cut maps ``(B, C, H, W)`` into blocks, a row each, ``(B H W / b², C b²)``."""
        cut = pixel_unshuffle(maps, self.block)
        return cut.permute(0, 2, 3, 1).reshape(-1, cut.shape[1])

    def joined(self, blocks: Tensor, shape: torch.Size) -> Tensor:
        """Put blocks together to maps of a shape ``(B, P, H, W)``."""
        B, P, H, W = shape
        cut = blocks.reshape(B, H // self.block, W // self.block, P * self.block**2)
        return pixel_shuffle(cut.permute(0, 3, 1, 2), self.block)

    def error(self, maps: Tensor, targets: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the mean of ``-log q`` of softened targets [nats per pixel and target], shape ``()``."""
        e = torch.randn(targets.shape, generator=generator, dtype=targets.dtype, device=targets.device)
        return -self.log_prob(maps, targets + self.soften * e).mean() / targets[0].numel()

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of ``-log q`` [nats per pixel and target] twice: it is minimised and logged."""
        loss = self.error(maps, targets, None)
        return loss, loss

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the mean of ``-log q`` [nats per pixel and target]; see `NoisyLearner.validated`."""
        return {"loss": self.error(maps, targets, generator)}

    def forward(self, maps: Tensor) -> Tensor:
        """Return the target at the middle of the flow's normal distribution, ``(B, P, H, W)``."""
        return self._drawn(maps, maps.new_zeros)

    def draw(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return one sample for each map; see `FieldMethod.draw`."""
        return self._drawn(maps, lambda shape: gaussian(shape, maps, generator))

    def _drawn(self, maps: Tensor, noise: Any) -> Tensor:
        told = self.net(maps)
        conditions, mean = self.blocks(told), told[:, : self.out_features]
        z = noise((len(conditions), self.out_features * self.block**2))
        fields: Tensor = mean + self.joined(self.flow(conditions).transform.inv(z), mean.shape)
        return fields
