r"""Fields from fields against a critic that sees both (pix2pix; Isola et al. 2017, arXiv:1611.07004).

The generator is held to the truth by an absolute error, and to what true maps look like by a critic of
patches that sees the input beside the target, true or generated:

.. math:: \lambda\,\langle |y - G(x)| \rangle + \ell_G\bigl(D(x, G(x))\bigr)

With ``perceptual`` the maps are also compared as the critic sees them, by the features of all its layers
(Larsen et al. 2016, arXiv:1512.09300; Wang et al. 2018, arXiv:1711.11585). From a coarse map of a field to
the field itself that is adversarial super-resolution (SRGAN; Ledig et al. 2017, arXiv:1609.04802), whose own
features, of a network for photographs, know nothing of the sky.

With ``mismatched`` the critic is also shown the target of another map beside the input, as a map that is
not true (Reed et al. 2016, arXiv:1605.05396). Where the input tells nearly all of the target, translations
are soon too good for a critic that has seen no other false maps, and it forgets what it knew.

An absolute error alone is least at the median of what the input leaves open, which is smooth. The published
generator has no noise but its dropout, on also when it is used: with ``net.dropout`` and ``draws`` it has
samples. How both players move in one step is told in `skyloom.methods.adversarial`.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.adversarial import (
    Adversarial,
    Critic,
    Loss,
    Penalty,
    frozen,
    generator_loss,
    told_apart,
)
from skyloom.methods.base import Batch, FieldMethod, Net, prediction_mode
from skyloom.methods.generative.likeness import likeness
from skyloom.methods.regression import check_gives_fields
from skyloom.registry import Kind

PatchCritic = Annotated[dict[str, Any], Kind("critic")]


class Pix2Pix(Adversarial, FieldMethod):
    """A generator of fields from fields that learns from pairs, against a critic.

    Logged are ``critic``, ``generator``, ``l1`` and the critic's mean scores of true and generated maps in
    training. In validation: ``loss``, the mean absolute error, by which weights are chosen, ``distance``
    between true and generated maps, ``spread``, which falls towards 0 in a mode collapse, and ``told``, how
    often the critic tells a true map from its translation: 0.5 is a critic that has learnt nothing.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: The generator; a network that gives fields.
        critic: The critic of input and target together.
        loss: ``bce`` as published, ``least_squares``, ``hinge`` or ``wasserstein``.
        l1: λ, the weight of the absolute error.
        mismatched: Whether targets of other maps of the batch count as false for the critic, too.
        perceptual: Weight of the absolute difference of the critic's features of true and generated maps.
        penalty: On the critic's slope: ``none``, ``interpolated`` or ``real``.
        penalty_weight: Its weight.
        smoothing: One-sided label smoothing.
        critic_steps: Steps of the critic for one of the generator.
        critic_rate: Learning rate of the critic in units of the generator's; published is half its loss.
        draws: Samples of each map that an evaluation takes, by the dropout of ``net``; 0 for one answer,
            with dropout off.

    Raises:
        UsageError: The network gives no fields, draws are asked of one without dropout, or ``perceptual`` of
            a critic that shows no features.

    Example:
        >>> net, critic = {"name": "unet", "width": 4, "depth": 2}, {"name": "patchgan", "width": 4}
        >>> Pix2Pix(1, 2, 16, net=net, critic=critic).predict(torch.zeros(3, 1, 16, 16))["mean"].shape
        torch.Size([3, 2, 16, 16])
    """

    name = "pix2pix"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "unet"},  # noqa: B006 - read, never written
        critic: PatchCritic = {"name": "patchgan"},  # noqa: B006 - read, never written
        loss: Loss = "bce",
        l1: float = 100.0,
        mismatched: bool = False,
        perceptual: float = 0.0,
        penalty: Penalty = "none",
        penalty_weight: float = 10.0,
        smoothing: float = 0.0,
        critic_steps: int = 1,
        critic_rate: float = 0.5,
        draws: int = 0,
    ) -> None:
        check_gives_fields(net, self.name)
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "critic": registry.resolve(critic, "critic"),
            "loss": loss,
            "l1": l1,
            "mismatched": mismatched,
            "perceptual": perceptual,
            "penalty": penalty,
            "penalty_weight": penalty_weight,
            "smoothing": smoothing,
            "critic_steps": critic_steps,
            "critic_rate": critic_rate,
            "draws": draws,
        }
        super().__init__(in_channels, out_features, size, arguments)
        if min(l1, perceptual, draws) < 0:
            raise UsageError(
                f"method 'pix2pix': l1 is {l1:g}, perceptual {perceptual:g} and draws {draws}",
                hint="allowed: 0 or more",
            )
        self.l1, self.perceptual, self.draws, self.mismatched = l1, perceptual, draws, mismatched
        self.net = registry.build(net, "net", data=(in_channels, out_features, size))
        self.critic = registry.build(critic, "critic", data=(in_channels + out_features, 0, size))
        if perceptual and not hasattr(self.critic, "features"):
            raise UsageError(
                f"method 'pix2pix': critic {registry.resolve(critic, 'critic')['name']!r} shows no features",
                hint="use critic: {name: patchgan}, or leave out method.perceptual",
            )
        if draws:
            self.noisy()

    @property
    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The generator, and the critic."""
        return [self.net], [self.critic]

    def noisy(self) -> list[nn.Dropout]:
        """Return the dropout layers of the generator, its only noise.

        Raises:
            UsageError: There is none.
        """
        found = [layer for layer in self.net.modules() if isinstance(layer, nn.Dropout) and layer.p > 0]
        if not found:
            raise UsageError(
                "method 'pix2pix' has samples by the dropout of its network, and there is none",
                hint="--set method.net.dropout=0.5, or leave out method.draws",
            )
        return found

    def forward(self, maps: Tensor) -> Tensor:
        """Return the generated fields, transformed, ``(B, P, H, W)``."""
        fields: Tensor = self.net(maps)
        return fields

    def scores(self, maps: Tensor) -> Critic:
        """Return the critic of targets beside these maps ``(B, C, H, W)``."""
        return lambda fields: self.critic(torch.cat((maps, fields), dim=1), maps.new_zeros(len(maps), 0))

    def play(self, maps: Tensor, targets: Tensor, generating: bool) -> dict[str, Tensor]:
        """Return both players' losses on a batch; see `Adversarial.play`."""
        with torch.set_grad_enabled(generating and torch.is_grad_enabled()):
            fake = self.net(maps)
        wrong = targets.roll(1, 0) if self.mismatched else None
        moves = self.judge(self.scores(maps), targets, fake, wrong=wrong)
        if generating:
            moves["l1"] = (fake - targets).abs().mean()
            with frozen(self.critic):
                fooled = generator_loss(self.loss, self.scores(maps)(fake))
            moves["generator"] = fooled + self.l1 * moves["l1"]
            if self.perceptual:
                moves["perceptual"] = self.unlike(maps, targets, fake)
                moves["generator"] = moves["generator"] + self.perceptual * moves["perceptual"]
        return moves

    def unlike(self, maps: Tensor, targets: Tensor, fake: Tensor) -> Tensor:
        """Return the mean absolute difference of the critic's features, over its layers, shape ``()``.

        Args:
            maps: Inputs, shape ``(B, C, H, W)``.
            targets: True targets, shape ``(B, P, H, W)``.
            fake: Generated ones.
        """
        nothing = maps.new_zeros(len(maps), 0)
        with frozen(self.critic):
            seen, wanted = (
                self.critic.features(torch.cat((maps, fields), dim=1), nothing) for fields in (fake, targets)
            )
        layers = [(one - other.detach()).abs().mean() for one, other in zip(seen, wanted, strict=True)]
        return torch.stack(layers).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log ``validation/loss``, ``validation/distance``, ``validation/spread`` and ``validation/told``."""
        maps, targets = self.check(batch)
        with prediction_mode(self):
            given = self(maps)
            critic = self.scores(maps)
            told = told_apart(critic(targets), critic(given), paired=True)
        distance, spread = likeness(targets, given, maps.new_zeros(len(maps), 0))
        error = (given - targets).abs().mean()
        found = {"loss": error, "distance": distance, "spread": spread, "told": told}
        self.log_validation(found, len(maps))

    def draw(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return one sample for each map, dropout on; see `FieldMethod.draw`."""
        layers = self.noisy()
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[maps.device] if maps.is_cuda else []):
            torch.manual_seed(seed)
            try:
                for layer in layers:
                    layer.train()
                return self.forward(maps)
            finally:
                for layer in layers:
                    layer.eval()
