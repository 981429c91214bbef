"""Generative adversarial networks with conditions: a generator, a critic, a loss and a penalty, each named.

The losses and how both play in one step are told in `skyloom.methods.adversarial`. Known choices:

- DCGAN (Radford et al. 2015, arXiv:1511.06434): ``loss: bce``.
- WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028): ``loss: wasserstein``, ``penalty: interpolated``,
  ``critic_steps: 5``.
- FastGAN (Liu et al. 2021, arXiv:2101.04775): ``loss: hinge``, nets ``fastgan``, ``lesson: 1``.

Maps can be moved before the critic sees them, real and generated ones alike and with a gradient (Zhao et al.
2020, arXiv:2006.10738): then it cannot learn places, or few maps, by heart, and the generator is not taught
moves that the sky does not make. A critic with a method ``with_lesson`` learns something by itself beside its
task, from real maps; FastGAN's draws them again.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.adversarial import Adversarial, Loss, Penalty, frozen, generator_loss
from skyloom.methods.base import NoisyLearner
from skyloom.methods.generative.likeness import likeness, power_error
from skyloom.methods.generative.moves import Move, moved
from skyloom.methods.generative.one_pass import OnePass
from skyloom.registry import Kind

GeneratorNet = Annotated[dict[str, Any], Kind("generator")]
CriticNet = Annotated[dict[str, Any], Kind("critic")]


class GAN(NoisyLearner, Adversarial, OnePass):
    """A generator of maps with conditions that learns against a critic.

    Logged are ``critic``, ``generator`` and the critic's mean scores of both sides in training; and in
    validation ``loss``, the distance between generated and real maps by which weights are chosen, and
    ``spread``, which falls towards 0 in a mode collapse (see `likeness`), and of maps ``power_error``, by how
    much ln P is off.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        net: The generator.
        critic: The critic.
        loss: ``bce``, ``least_squares``, ``hinge`` or ``wasserstein``.
        penalty: On the critic's slope: ``none``, ``interpolated`` (WGAN-GP) or ``real`` (R1).
        penalty_weight: Its weight.
        smoothing: One-sided label smoothing.
        critic_steps: Steps of the critic for one of the generator.
        critic_rate: Learning rate of the critic in units of the generator's.
        moves: What is done at random to all maps that the critic sees: ``roll`` (periodic maps of scalars),
            ``flip``, ``turn``.
        lesson: Weight of what the critic learns by itself; of critics that do.

    Raises:
        UsageError: A number is out of range.

    Example:
        >>> method = GAN(8, 2, 1, net={"name": "perceptron"}, critic={"name": "perceptron"})
        >>> method.sample(torch.zeros(3, 2)).shape
        torch.Size([3, 8, 1, 1])
    """

    name = "gan"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: GeneratorNet = {"name": "perceptron"},  # noqa: B006 - read, never written
        critic: CriticNet = {"name": "perceptron"},  # noqa: B006 - read, never written
        loss: Loss = "hinge",
        penalty: Penalty = "none",
        penalty_weight: float = 10.0,
        smoothing: float = 0.0,
        critic_steps: int = 1,
        critic_rate: float = 1.0,
        moves: list[Move] = [],  # noqa: B006 - read, never written
        lesson: float = 0.0,
    ) -> None:
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "generator"),
            "critic": registry.resolve(critic, "critic"),
            "loss": loss,
            "penalty": penalty,
            "penalty_weight": penalty_weight,
            "smoothing": smoothing,
            "critic_steps": critic_steps,
            "critic_rate": critic_rate,
            "moves": list(moves),
            "lesson": lesson,
        }
        super().__init__(in_channels, out_features, size, arguments)
        data = (in_channels, out_features, size)
        self.net = registry.build(net, "generator", data=data)
        self.critic = registry.build(critic, "critic", data=data)
        self.moves, self.lesson = list(moves), lesson
        if lesson and not hasattr(self.critic, "with_lesson"):
            raise UsageError(
                f"method 'gan': lesson is {lesson:g}, and critic {critic['name']!r} learns nothing by itself",
                hint="leave out method.lesson, or take the critic fastgan",
            )

    @property
    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The generator, and the critic."""
        return [self.net], [self.critic]

    def play(self, maps: Tensor, targets: Tensor, generating: bool) -> dict[str, Tensor]:
        """Return both players' losses on a batch; see `Adversarial.play`."""
        with torch.set_grad_enabled(generating):
            noise = torch.randn((len(maps), *self.net.noise_shape), dtype=maps.dtype, device=maps.device)
            fake = self.net(noise, targets)
        real, scores = moved(maps, self.moves), None
        if self.lesson:
            scores, lesson = self.critic.with_lesson(real, targets)
        seen = self.judge(
            lambda x: self.critic(x, targets), real, moved(fake.detach(), self.moves), on_real=scores
        )
        if self.lesson:
            seen["critic"], seen["lesson"] = seen["critic"] + self.lesson * lesson, lesson
        if generating:
            with frozen(self.critic):
                seen["generator"] = generator_loss(self.loss, self.critic(moved(fake, self.moves), targets))
        return seen

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return how far drawn maps are from real ones; see `NoisyLearner.validated`."""
        fake = self.sample(targets, generator=generator)
        found = dict(zip(("loss", "spread"), likeness(maps, fake, targets), strict=True))
        if maps.shape[-1] > 1:
            found["power_error"] = power_error(maps, fake)
        return found
