r"""Fields from fields without pairs (CycleGAN; Zhu et al. 2017, arXiv:1703.10593).

Two generators, ``G`` from inputs to targets and ``F`` back, each against a critic that knows one side only:

.. math:: \ell_G(D_y(G(x))) + \ell_G(D_x(F(y))) + \lambda \bigl(\langle |F(G(x)) - x| \rangle
          + \langle |G(F(y)) - y| \rangle\bigr) + \lambda\,\iota\, \bigl(\langle |G(y) - y| \rangle
          + \langle |F(x) - x| \rangle\bigr)

**Unpaired** is meant: in each training step the targets of the batch are shuffled, so that no loss sees a
true pair, and in validation no loss compares one. What remains is that both sides of a batch are the same
objects in another order. Scores of the evaluation use the pairs, as they do for every translation.
"""

from __future__ import annotations

from typing import Any

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
from skyloom.methods.pix2pix import PatchCritic
from skyloom.methods.regression import check_gives_fields


class Pool(nn.Module):
    """Generated maps of earlier steps, which the critic sees again (Shrivastava et al. 2017).

    Of each map that comes, when the pool is full, half are kept in the place of an older one, which is given
    out instead (arXiv:1612.07828). It lies in buffers, so that a resumed training goes on with the same maps.

    Args:
        count: Maps that it holds; 0 gives every map back.
        channels: Channels of the maps.
        size: Side length of the maps, pixels.

    Example:
        >>> pool, maps = Pool(2, 1, 4), torch.ones(3, 1, 4, 4)
        >>> torch.equal(pool(maps), maps), int(pool.held)
        (True, 2)
    """

    maps: Tensor
    held: Tensor

    def __init__(self, count: int, channels: int, size: int) -> None:
        super().__init__()
        self.register_buffer("maps", torch.zeros(count, channels, size, size))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, maps: Tensor) -> Tensor:
        """Take in maps ``(B, C, H, W)`` and return as many, of now and of earlier."""
        given, count = maps.clone(), len(self.maps)
        for place, one in enumerate(maps):
            if int(self.held) < count:
                self.maps[int(self.held)] = one
                self.held += 1
            elif count and torch.rand(()) < 0.5:
                older = int(torch.randint(count, ()))
                given[place] = self.maps[older]
                self.maps[older] = one
        return given


class CycleGAN(Adversarial, FieldMethod):
    """Two generators between two kinds of fields, without pairs.

    Logged are ``critic``, ``generator``, ``cycle`` and the mean scores of either critic in training; in
    validation ``loss``, the distances between true and generated maps of both sides plus λ times the cycle's
    error, by which weights are chosen, ``spread``, which falls towards 0 in a mode collapse, and ``told``,
    how often the critic of targets scores a true map above a generated one: 0.5 is a critic that has learnt
    nothing.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: Either generator; a network that gives fields.
        critic: Either critic.
        loss: ``least_squares`` as published, ``bce``, ``hinge`` or ``wasserstein``.
        cycle: λ, the weight of the cycle's error.
        identity: ι, the weight of the error of leaving a map that is right already as it is, in units of λ;
            null for 0.5 where inputs and targets have as many channels, else 0.
        pool: Generated maps that each critic sees again.
        penalty: On the critics' slope: ``none``, ``interpolated`` or ``real``.
        penalty_weight: Its weight.
        smoothing: One-sided label smoothing.
        critic_steps: Steps of the critics for one of the generators.
        critic_rate: Learning rate of the critics in units of the generators'.

    Raises:
        UsageError: The network gives no fields, a weight is negative, or identity is asked for between
            different numbers of channels.

    Example:
        >>> net = {"name": "resnet_fields", "width": 4, "blocks": 1}
        >>> method = CycleGAN(1, 1, 16, net=net, critic={"name": "patchgan", "width": 4})
        >>> method.predict(torch.zeros(3, 1, 16, 16))["mean"].shape
        torch.Size([3, 1, 16, 16])
    """

    name = "cyclegan"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "resnet_fields"},  # noqa: B006 - read, never written
        critic: PatchCritic = {"name": "patchgan"},  # noqa: B006 - read, never written
        loss: Loss = "least_squares",
        cycle: float = 10.0,
        identity: float | None = None,
        pool: int = 50,
        penalty: Penalty = "none",
        penalty_weight: float = 10.0,
        smoothing: float = 0.0,
        critic_steps: int = 1,
        critic_rate: float = 1.0,
    ) -> None:
        check_gives_fields(net, self.name)
        alike = in_channels == out_features
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "critic": registry.resolve(critic, "critic"),
            "loss": loss,
            "cycle": cycle,
            "identity": identity,
            "pool": pool,
            "penalty": penalty,
            "penalty_weight": penalty_weight,
            "smoothing": smoothing,
            "critic_steps": critic_steps,
            "critic_rate": critic_rate,
        }
        super().__init__(in_channels, out_features, size, arguments)
        self.cycle = cycle
        self.identity = (0.5 if alike else 0.0) if identity is None else identity
        if min(cycle, self.identity, pool) < 0:
            raise UsageError(
                f"method 'cyclegan': cycle is {cycle:g}, identity {self.identity:g}, pool {pool}",
                hint="allowed: 0 or more",
            )
        if self.identity and not alike:
            raise UsageError(
                f"method 'cyclegan': identity needs as many targets as inputs, found {in_channels} and"
                f" {out_features} channels",
                hint="--set method.identity=0",
            )
        there, back = (in_channels, out_features, size), (out_features, in_channels, size)
        self.net, self.back = (registry.build(net, "net", data=data) for data in (there, back))
        self.critic, self.critic_back = (
            registry.build(critic, "critic", data=(channels, 0, size))
            for channels in (out_features, in_channels)
        )
        self.pool, self.pool_back = (Pool(pool, data[1], size) for data in (there, back))

    @property
    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Both generators, and both critics."""
        return [self.net, self.back], [self.critic, self.critic_back]

    def forward(self, maps: Tensor) -> Tensor:
        """Return the generated targets, transformed, ``(B, P, H, W)``."""
        fields: Tensor = self.net(maps)
        return fields

    def scores(self, maps: Tensor) -> Critic:
        """Return the critic of targets; it does not see the maps."""
        return _scores(self.critic)

    def play(self, maps: Tensor, targets: Tensor, generating: bool) -> dict[str, Tensor]:
        """Return both sides' losses on a batch, its pairs broken; see `Adversarial.play`."""
        targets = targets[torch.randperm(len(targets), device=targets.device)]
        with torch.set_grad_enabled(generating and torch.is_grad_enabled()):
            there, back = self.net(maps), self.back(targets)
        seen, seen_back = there.detach(), back.detach()
        if self.training:
            seen, seen_back = self.pool(seen), self.pool_back(seen_back)
        moves = self.judge(_scores(self.critic), targets, seen)
        other = self.judge(_scores(self.critic_back), maps, seen_back)
        moves["critic"] = moves["critic"] + other.pop("critic")
        moves |= {f"{name}_back": value for name, value in other.items()}
        if generating:
            moves["cycle"] = (self.back(there) - maps).abs().mean() + (self.net(back) - targets).abs().mean()
            with frozen(self.critic), frozen(self.critic_back):
                fooled = generator_loss(self.loss, _scores(self.critic)(there))
                fooled = fooled + generator_loss(self.loss, _scores(self.critic_back)(back))
            moves["generator"] = fooled + self.cycle * moves["cycle"]
            if self.identity and self.cycle:
                kept = (self.net(targets) - targets).abs().mean() + (self.back(maps) - maps).abs().mean()
                moves["generator"] = moves["generator"] + self.cycle * self.identity * kept
        return moves

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log ``validation/loss``, ``.../cycle``, ``.../spread`` and ``.../told``; pairs are not used."""
        maps, targets = self.check(batch)
        nothing = maps.new_zeros(len(maps), 0)
        with prediction_mode(self):
            there, back = self.net(maps), self.back(targets)
            cycle = (self.back(there) - maps).abs().mean() + (self.net(back) - targets).abs().mean()
            critic = self.scores(maps)
            told = told_apart(critic(targets), critic(there), paired=False)
        distance, spread = likeness(targets, there, nothing)
        other, _ = likeness(maps, back, nothing)
        found = {
            "loss": distance + other + self.cycle * cycle,
            "cycle": cycle,
            "spread": spread,
            "told": told,
        }
        self.log_validation(found, len(maps))


def _scores(critic: nn.Module) -> Critic:
    return lambda maps: critic(maps, maps.new_zeros(len(maps), 0))
