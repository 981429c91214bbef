"""What every generator is: a method that learns maps given conditions, and draws new ones.

All have one interface, ``sample(conditions, generator=...)``. Those that denoise share the rest: conditions
are hidden from the network in a share of the training, so that it knows the maps of all conditions together
as well, and samples can be pushed away from those (classifier-free guidance, Ho & Salimans 2022,
arXiv:2207.12598).
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.methods.base import Learner, NoisyLearner, prediction_mode
from skyloom.methods.generative.colour import Colour
from skyloom.methods.generative.denoising import (
    Denoised,
    Denoiser,
    Generators,
    Step,
    Target,
    amplitudes,
    denoised,
    gaussian,
    learnt,
    noised,
)
from skyloom.methods.generative.schedule import Schedule
from skyloom.registry import Kind

DenoiserNet = Annotated[dict[str, Any], Kind("denoiser")]
Noise = Literal["white", "coloured"]


class Generative(Learner):
    """Base of the generators.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions ``P``.
        size: Side length of the maps, pixels.
        arguments: The recipe arguments, JSON values with every default written out.
    """

    answers: ClassVar[tuple[str, ...]] = ("ensembles",)

    def __init__(self, in_channels: int, out_features: int, size: int, arguments: dict[str, Any]) -> None:
        super().__init__(in_channels, out_features, size, arguments)
        self.shape = (in_channels, size, size)

    @property
    def at_once(self) -> int | None:
        """Maps that are best drawn together, None where the method does not know."""
        return None

    @abstractmethod
    def sample(
        self,
        conditions: Tensor,
        *,
        generator: Generators | None = None,
        steps: int | None = None,
        done: Step | None = None,
    ) -> Tensor:
        """Draw a map for each row of conditions, without gradients.

        Args:
            conditions: Shape ``(B, P)``, standardised, on the device of the weights.
            generator: Source of the noise, or one for each map; None starts one from seed 0.
            steps: Steps of the sampler; None for those of the recipe.
            done: Called with (steps done, steps).

        Returns:
            Maps, shape ``(B, C, H, W)``, standardised.

        Raises:
            ShapeError: The conditions are not ``(B, P)``.
            UsageError: Fewer than one step.
        """

    def check_conditions(self, conditions: Tensor) -> None:
        """Raise ShapeError unless the conditions are ``(B, P)``."""
        if conditions.ndim != 2 or conditions.shape[1] != self.out_features:
            raise ShapeError(
                f"method {self.name!r} was built for conditions of shape (B, {self.out_features}), found"
                f" {tuple(conditions.shape)}",
                hint="give every parameter, and one column for each class",
            )


class Denoising(NoisyLearner, Generative):
    """Base of the generators that learn to take noise away.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions ``P``.
        size: Side length of the maps, pixels.
        arguments: As above; ``net``, ``drop``, ``steps``, ``guidance`` and, where there is one, ``noise`` are
            used here.
        schedule: How maps turn into noise.
        target: What the network gives.
        space: Channels and side length of what is denoised, where this is not the maps themselves.

    Raises:
        UsageError: ``drop`` is not a share, or guidance is asked for without it.
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
        space: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(in_channels, out_features, size, arguments)
        self.space = (in_channels, size) if space is None else space
        self.schedule, self.target = schedule, target
        self.drop, self.steps = float(arguments["drop"]), int(arguments["steps"])
        self.guidance = float(arguments["guidance"])
        if not 0 <= self.drop <= 1:
            raise UsageError(f"drop is {self.drop}", hint="a share of the training between 0 and 1, e.g. 0.1")
        if self.drop == 0 and self.guidance != 1:
            raise UsageError(
                f"guidance is {self.guidance:g} and drop is 0: the network never learns to do without"
                " conditions",
                hint="drop them in a share of the training, e.g. drop: 0.1",
            )
        self.net = registry.build(arguments["net"], "denoiser", data=self.net_data)
        channels, _, size = self.net_data
        self.colour = Colour(channels, out_features, size) if arguments.get("noise") == "coloured" else None

    def on_fit_start(self) -> None:
        """Learn the colour of the noise from the data module of the training."""
        loader = getattr(getattr(self.trainer, "datamodule", None), "loader", None)
        if self.colour is not None and loader is not None:
            reduce = partial(self.trainer.strategy.reduce, reduce_op="sum")
            self.colour.learn(loader("train"), reduce if self.trainer.world_size > 1 else None)

    @property
    def net_data(self) -> tuple[int, int, int]:
        """Channels, conditions and size that the network is built for."""
        channels, size = self.space
        return channels, self.out_features, size

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean square error of the network's target, at random times, twice."""
        loss = self.error(maps, targets, None)
        return loss, loss

    def error(self, x_0: Tensor, conditions: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the mean square error of the network's target, at the times of `noised`.

        With coloured noise it is that of normalised maps, weighed alike at all scales; see `Colour`.

        Args:
            x_0: Maps, shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
            generator: Source of times, noise and what is dropped; None for torch's own.
        """
        x_0 = x_0 if self.colour is None else self.colour.normalised(x_0, conditions)
        x, t, wanted = noised(self.schedule, self.target, x_0, generator, self.colour)
        known = torch.rand(len(x_0), generator=generator, device=x_0.device) >= self.drop
        error = self.given(x, t, conditions, known) - wanted
        return (error if self.colour is None else self.colour.whitened(error)).square().mean()

    def given(self, x: Tensor, t: Tensor, conditions: Tensor, known: Tensor) -> Tensor:
        """Return the target as the network sees it; with coloured noise it adds to that of a Gaussian field.

        Args:
            x: Noisy maps, shape ``(B, C, H, W)``.
            t: Times, shape ``(B,)``.
            conditions: Shape ``(B, P)``, standardised.
            known: Whether each map is to follow its conditions, shape ``(B,)``, bool.
        """
        given: Tensor = self.net(x, t, conditions, known=known)
        if self.colour is None:
            return given
        # Of a field of the colour of the noise x_0 and noise are known in every mode up to their sum.
        alpha, sigma = amplitudes(self.schedule, t, x)
        share = x / (alpha**2 + sigma**2)
        return given + learnt(self.target, alpha * share, sigma * share, alpha, sigma)

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss; see `NoisyLearner.validated`."""
        return {"loss": self.error(maps, targets, generator)}

    def denoiser(self, conditions: Tensor, guidance: float) -> Denoiser:
        """Return the network as a denoiser of maps with these conditions.

        Args:
            conditions: Shape ``(B, P)``, standardised.
            guidance: Weight ``w`` of ``unconditional + w (conditional - unconditional)``: 0 ignores the
                conditions, 1 follows them, more exaggerates.
        """
        everyone = torch.ones(len(conditions), dtype=torch.bool, device=conditions.device)

        def denoise(x: Tensor, t: Tensor) -> Denoised:
            if guidance in (0.0, 1.0):
                given = self.given(x, t, conditions, everyone == bool(guidance))
            else:
                twice = torch.cat((x, x)), torch.cat((t, t)), torch.cat((conditions, conditions))
                follow, free = self.given(*twice, torch.cat((everyone, ~everyone))).chunk(2)
                given = free + guidance * (follow - free)
            alpha, sigma = amplitudes(self.schedule, t, x)
            return denoised(self.target, given, x, alpha, sigma)

        return denoise

    @abstractmethod
    def walk(
        self,
        denoise: Denoiser,
        x: Tensor,
        *,
        steps: int,
        generator: Generators | None,
        done: Step | None,
    ) -> Tensor:
        """Walk from noise to maps."""

    def decoded(self, x: Tensor) -> Tensor:
        """Return the maps that the end of the walk stands for."""
        return x

    def sample(
        self,
        conditions: Tensor,
        *,
        generator: Generators | None = None,
        steps: int | None = None,
        done: Step | None = None,
    ) -> Tensor:
        """Draw maps; see `Generative.sample`."""
        self.check_conditions(conditions)
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise UsageError(f"a sampler of {steps} steps", hint="give 1 or more, e.g. 50")
        channels, _, size = self.net_data
        if generator is None:
            generator = torch.Generator(conditions.device).manual_seed(0)
        with prediction_mode(self), torch.no_grad():
            x = gaussian((len(conditions), channels, size, size), conditions, generator)
            x = x if self.colour is None else self.colour(x)
            walked = self.walk(
                self.denoiser(conditions, self.guidance), x, steps=steps, generator=generator, done=done
            )
            walked = walked if self.colour is None else self.colour.restored(walked, conditions)
            return self.decoded(walked)
