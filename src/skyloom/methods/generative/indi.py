r"""Inversion by direct iteration (Delbracio & Milanfar 2023, arXiv:2303.11435): from the input to the target.

The path begins at the input ``y`` itself, with a little noise, and not in pure noise:

.. math:: x_t = (1 - t)\, x + t\,(y + \epsilon n), \qquad
          x_{t-\delta} = \tfrac{\delta}{t} F(x_t, t) + \bigl(1 - \tfrac{\delta}{t}\bigr) x_t ,

where the network ``F`` learns the mean of ``x`` given ``x_t``, at all times up to and including 1. This is
Euler's method along a straight path whose far end is ``y + ε n``. One step gives ``F(y, 1)``, the regression;
more steps trade its error for the sharpness of true maps. With ``ε = 0`` there is one answer, no samples.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.generative.base import DenoiserNet
from skyloom.methods.generative.conditional import Stepwise
from skyloom.methods.generative.denoising import Denoised, amplitudes, gaussian, ode, spread
from skyloom.methods.generative.schedule import Straight


class InDI(Stepwise):
    """Direct iteration from an input field to a target field.

    Args:
        in_channels: Channels of the maps; as many as there are targets.
        out_features: Number of target fields ``P``; channel ``i`` of the input becomes target ``i``.
        size: Side length of the maps, pixels.
        net: The network ``F``.
        noise: ε, sd of the noise on the input, in units of the transformed maps.
        steps: Steps of the iteration; 1 is the regression.
        draws: Samples of each map that an evaluation takes, where there is noise.

    Raises:
        UsageError: There are more inputs than targets, or fewer; or a number is out of range.

    Example:
        >>> net = {"name": "unet", "width": 8, "multiples": [1, 2]}
        >>> InDI(1, 1, 8, net=net, steps=2).predict(torch.zeros(3, 1, 8, 8))["mean"].shape
        torch.Size([3, 1, 8, 8])
    """

    name = "indi"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: DenoiserNet = {"name": "unet"},  # noqa: B006 - read, never written
        noise: float = 0.1,
        steps: int = 10,
        draws: int = 8,
    ) -> None:
        if in_channels != out_features:
            raise UsageError(
                f"method 'indi' walks from the input to the target; {in_channels} channels cannot become"
                f" {out_features}",
                hint="name as many inputs as targets, or use conditional_flow",
            )
        if not (math.isfinite(noise) and noise >= 0):
            raise UsageError(f"method 'indi': noise is {noise}, allowed: 0 or more")
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "denoiser"),
            "noise": noise,
            "steps": steps,
            "draws": draws,
        }
        super().__init__(in_channels, out_features, size, arguments, channels=in_channels)
        self.noise, self.schedule = noise, Straight()
        if noise == 0:
            self.draws = 0

    def error(self, maps: Tensor, targets: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the mean square error of the clean target; see `Stepwise.error`."""
        t = 1 - spread(len(maps), maps, generator).to(maps.dtype)  # within (0, 1]: the first step is learnt
        n = torch.randn(maps.shape, dtype=maps.dtype, generator=generator, device=maps.device)
        alpha, sigma = amplitudes(self.schedule, t, maps)
        x_t = alpha * targets + sigma * (maps + self.noise * n)
        return (self.given(x_t, t) - targets).square().mean()

    def forward(self, maps: Tensor) -> Tensor:
        """Return the target by direct iteration without noise, ``(B, P, H, W)``."""
        return self.iterate(maps)

    def draw(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return one sample for each map; see `FieldMethod.draw`."""
        if self.noise == 0:
            return super().draw(maps, generator)
        return self.iterate(maps + self.noise * gaussian(tuple(maps.shape), maps, generator))

    def iterate(self, x: Tensor) -> Tensor:
        """Walk from the input ``(B, C, H, W)`` to the target in ``steps``."""

        def denoise(x_t: Tensor, t: Tensor) -> Denoised:
            clean = self.given(x_t, t)
            alpha, sigma = amplitudes(self.schedule, t, x_t)
            return Denoised(clean, (x_t - alpha * clean) / sigma)

        return ode(denoise, x, steps=self.steps, order="euler")
