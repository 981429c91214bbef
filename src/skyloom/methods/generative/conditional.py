r"""Diffusion and flow matching from fields to fields: samples of the target, given the input.

The network sees the input map beside the noisy target, so what it learns to take noise from is ``p(y | x)``:
its samples differ where the input leaves the target open, and each has the power of a true map (Saharia et
al. 2022, arXiv:2104.07636). Schedule, denoiser and sampler are those of the emulators.

At the end of the path nothing is left of the target, and the best answer there is the mean of the target
given the input: what a regression gives. `forward` is that one step, and has a gradient.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import FieldMethod, NoisyLearner
from skyloom.methods.generative.base import DenoiserNet
from skyloom.methods.generative.denoising import (
    Denoised,
    Denoiser,
    Target,
    amplitudes,
    ddim,
    denoised,
    gaussian,
    noised,
    ode,
)
from skyloom.methods.generative.schedule import Diffusion, Schedule, Spacing, Straight


class Stepwise(NoisyLearner, FieldMethod):
    """Base of the methods that reach the target in steps, by a network that sees where it is and when.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        arguments: The recipe arguments; ``net``, ``steps`` and ``draws`` are used here.
        channels: Channels that the network sees.

    Raises:
        UsageError: Fewer than one step or draw.
    """

    def __init__(
        self, in_channels: int, out_features: int, size: int, arguments: dict[str, Any], *, channels: int
    ) -> None:
        super().__init__(in_channels, out_features, size, arguments)
        for name in ("steps", "draws"):
            if arguments[name] < 1:
                raise UsageError(f"method {self.name!r}: {name} is {arguments[name]}, allowed: 1 or more")
        self.steps, self.draws = int(arguments["steps"]), int(arguments["draws"])
        self.net = registry.build(arguments["net"], "denoiser", data=(channels, 0, size))

    def given(self, seen: Tensor, t: Tensor) -> Tensor:
        """Return the first ``P`` channels that the network makes of what it sees, at times ``(B,)``."""
        nothing = seen.new_zeros(len(seen), 0)
        everyone = torch.ones(len(seen), dtype=torch.bool, device=seen.device)
        fields: Tensor = self.net(seen, t, nothing, known=everyone)
        return fields[:, : self.out_features]

    @abstractmethod
    def error(self, maps: Tensor, targets: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the mean square error of the network's target, at random times.

        Args:
            maps: Shape ``(B, C, H, W)``, transformed.
            targets: Shape ``(B, P, H, W)``, transformed.
            generator: Source of times and noise; None for torch's own.
        """

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error at random times twice: it is minimised and logged."""
        loss = self.error(maps, targets, None)
        return loss, loss

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss; see `NoisyLearner.validated`."""
        return {"loss": self.error(maps, targets, generator)}


class Conditional(Stepwise):
    """Base of the methods that walk from noise to the target, beside the input.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        arguments: The recipe arguments; those of `Stepwise` are used.
        schedule: How targets turn into noise.
        target: What the network gives.
    """

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        arguments: dict[str, Any],
        *,
        schedule: Schedule,
        target: Target,
    ) -> None:
        super().__init__(in_channels, out_features, size, arguments, channels=out_features + in_channels)
        self.schedule, self.target = schedule, target

    def error(self, maps: Tensor, targets: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the mean square error of the network's target; see `Stepwise.error`."""
        x, t, wanted = noised(self.schedule, self.target, targets, generator)
        return (self.given(torch.cat((x, maps), dim=1), t) - wanted).square().mean()

    def denoiser(self, maps: Tensor) -> Denoiser:
        """Return the network as a denoiser of targets beside these maps ``(B, C, H, W)``."""

        def denoise(x: Tensor, t: Tensor) -> Denoised:
            given = self.given(torch.cat((x, maps), dim=1), t)
            return denoised(self.target, given, x, *amplitudes(self.schedule, t, x))

        return denoise

    @abstractmethod
    def walk(self, denoise: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        """Walk from noise to the target."""

    def noise(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return where walks for these maps begin, ``(B, P, H, W)``."""
        return gaussian((len(maps), self.out_features, *maps.shape[2:]), maps, generator)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the mean of the target, in one step from one and the same noise, ``(B, P, H, W)``."""
        x = self.noise(maps[:1], torch.Generator(maps.device).manual_seed(0)).expand(len(maps), -1, -1, -1)
        return self.denoiser(maps)(x, maps.new_ones(len(maps))).x_0

    def draw(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return one sample for each map; see `FieldMethod.draw`."""
        return self.walk(self.denoiser(maps), self.noise(maps, generator), generator)


class ConditionalDiffusion(Conditional):
    """Denoising diffusion from fields to fields, trained as a DDPM and sampled by DDIM.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: The denoiser; it learns the velocity, which is sound at both ends of the path.
        schedule: ``cosine`` or ``linear``; either ends with less than 0.1 % of the target.
        noise_steps: Steps of the schedule.
        steps: Steps of the sampler.
        spacing: ``quadratic``, closer where little noise is left, or ``uniform``.
        eta: Fresh noise in each of them, from 0 (DDIM) to 1 (DDPM).
        draws: Samples of each map that an evaluation takes; its mean is the answer for pixels.

    Raises:
        UsageError: A number is out of range.

    Example:
        >>> net = {"name": "unet", "width": 8, "multiples": [1, 2]}
        >>> method = ConditionalDiffusion(2, 1, 8, net=net, steps=2)
        >>> method.predict(torch.zeros(3, 2, 8, 8), draws=4)["samples"].shape
        torch.Size([3, 4, 1, 8, 8])
    """

    name = "conditional_diffusion"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: DenoiserNet = {"name": "unet"},  # noqa: B006 - read, never written
        schedule: Literal["cosine", "linear"] = "cosine",
        noise_steps: int = 1000,
        steps: int = 25,
        spacing: Spacing = "quadratic",
        eta: float = 0.0,
        draws: int = 8,
    ) -> None:
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "denoiser"),
            "schedule": schedule,
            "noise_steps": noise_steps,
            "steps": steps,
            "spacing": spacing,
            "eta": eta,
            "draws": draws,
        }
        path = Diffusion(schedule, noise_steps)
        super().__init__(in_channels, out_features, size, arguments, schedule=path, target="velocity")
        self.spacing, self.eta = spacing, eta

    def walk(self, denoise: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        """Walk by DDIM."""
        options: dict[str, Any] = {"spacing": self.spacing, "eta": self.eta, "generator": generator}
        return ddim(denoise, self.schedule, x, steps=self.steps, **options)


class ConditionalFlow(Conditional):
    """Flow matching from fields to fields: straight paths from noise to the target.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: The denoiser; it learns the speed along the path.
        steps: Steps of the sampler.
        solver: ``heun`` (two calls of the network a step) or ``euler`` (one).
        draws: Samples of each map that an evaluation takes; its mean is the answer for pixels.

    Raises:
        UsageError: A number is out of range.

    Example:
        >>> net = {"name": "unet", "width": 8, "multiples": [1, 2]}
        >>> ConditionalFlow(1, 2, 8, net=net, steps=2).predict(torch.zeros(3, 1, 8, 8))["mean"].shape
        torch.Size([3, 2, 8, 8])
    """

    name = "conditional_flow"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: DenoiserNet = {"name": "unet"},  # noqa: B006 - read, never written
        steps: int = 12,
        solver: Literal["heun", "euler"] = "heun",
        draws: int = 8,
    ) -> None:
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "denoiser"),
            "steps": steps,
            "solver": solver,
            "draws": draws,
        }
        super().__init__(in_channels, out_features, size, arguments, schedule=Straight(), target="flow")
        self.solver = solver

    def walk(self, denoise: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        """Solve the equation of the flow."""
        return ode(denoise, x, steps=self.steps, order=self.solver)
