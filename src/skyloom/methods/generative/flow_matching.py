"""Flow matching: straight paths from noise to maps, followed as an ordinary differential equation.

Lipman et al. 2022, arXiv:2210.02747; Liu et al. 2022, arXiv:2209.03003. From noise of the colour of the maps
the path is a quarter of a circle, along which a Gaussian field stays what it is; see `Colour` and `Circle`.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from skyloom import registry
from skyloom.methods.generative.base import DenoiserNet, Denoising, Noise
from skyloom.methods.generative.denoising import Denoiser, Generators, Step, Target, ode
from skyloom.methods.generative.schedule import Circle, Schedule, Straight


class FlowMatching(Denoising):
    """Flow matching of maps with conditions.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        net: The denoiser; it learns the speed along the path.
        noise: Where the path begins: ``white`` noise, or ``coloured`` as a Gaussian field with the power and
            cross spectra that the train side has at these conditions, hidden ones or not.
        drop: Share of the training in which conditions are hidden, for guidance.
        steps: Steps of the sampler.
        solver: ``heun`` (two calls of the network a step) or ``euler`` (one).
        guidance: 1 follows the conditions, more exaggerates them, 0 ignores them.

    Raises:
        UsageError: A number is out of range.

    Example:
        >>> import torch
        >>> net = {"name": "unet", "width": 8, "multiples": [1, 2]}
        >>> FlowMatching(1, 2, 8, net=net, steps=2).sample(torch.zeros(3, 2)).shape
        torch.Size([3, 1, 8, 8])
    """

    name = "flow_matching"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: DenoiserNet = {"name": "unet"},  # noqa: B006 - read, never written
        noise: Noise = "white",
        drop: float = 0.1,
        steps: int = 25,
        solver: Literal["heun", "euler"] = "heun",
        guidance: float = 1.0,
    ) -> None:
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "denoiser"),
            "noise": noise,
            "drop": drop,
            "steps": steps,
            "solver": solver,
            "guidance": guidance,
        }
        path: tuple[Schedule, Target] = (
            (Circle(), "velocity") if noise == "coloured" else (Straight(), "flow")
        )
        super().__init__(in_channels, out_features, size, arguments, schedule=path[0], target=path[1])
        self.solver = solver

    def walk(
        self,
        denoise: Denoiser,
        x: Tensor,
        *,
        steps: int,
        generator: Generators | None,
        done: Step | None,
    ) -> Tensor:
        """Solve the equation of the flow."""
        path: Literal["straight", "circle"] = "straight" if self.colour is None else "circle"
        return ode(denoise, x, steps=steps, order=self.solver, path=path, done=done)
