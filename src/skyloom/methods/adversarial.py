r"""Two players: a generator that makes maps, and a critic that tells them from real ones.

Goodfellow et al. 2014, arXiv:1406.2661. Scores are logits, high for real. What the players minimise, with
scores ``r`` of real maps and ``f`` of generated ones:

=================  ==========================================  ===================  =====================
loss               critic                                      generator            source
=================  ==========================================  ===================  =====================
``bce``            softplus(-r) + softplus(f)                  softplus(-f)         arXiv:1406.2661
``least_squares``  ((r - 1)² + f²) / 2                         (f - 1)² / 2         arXiv:1611.04076
``hinge``          max(0, 1 - r) + max(0, 1 + f)               -f                   arXiv:1705.02894
``wasserstein``    f - r                                       -f                   arXiv:1701.07875
=================  ==========================================  ===================  =====================

Both play in **one** step of one optimiser: their losses are added, the critic's on generated maps that are
cut from the generator, the generator's with the critic's weights frozen, so neither feels the other's
gradient. The generator moves at each ``critic_steps``-th step only; at the others it has no gradient at all,
which optimisers pass over. So a training with two players is averaged, saved, resumed and shared over
processes as any other is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import Batch, Learner

Loss = Literal["bce", "least_squares", "hinge", "wasserstein"]
Penalty = Literal["none", "interpolated", "real"]
Critic = Callable[[Tensor], Tensor]


def critic_loss(loss: Loss, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return what the critic minimises, shape ``()``.

    Args:
        loss: As this module names them.
        real: Scores of real maps, any shape.
        fake: Scores of generated maps.
        smoothing: Real maps count as real with a weight of ``1 - smoothing`` and as generated with the rest
            (one-sided label smoothing, Salimans et al. 2016, arXiv:1606.03498). Of ``hinge`` the margins are
            drawn evenly between ``1 - smoothing`` and 1, as FastGAN does; of ``wasserstein`` it must be 0.

    Example:
        >>> critic_loss("hinge", torch.tensor([2.0, 0.5]), torch.tensor([-1.0])).item()
        0.25
    """
    if loss == "bce":
        return ((1 - smoothing) * softplus(-real) + smoothing * softplus(real)).mean() + softplus(fake).mean()
    if loss == "least_squares":
        return 0.5 * ((real - (1 - smoothing)).square().mean() + fake.square().mean())
    if loss == "hinge":
        r, f = (1 - smoothing * torch.rand_like(scores) if smoothing else 1.0 for scores in (real, fake))
        return relu(r - real).mean() + relu(f + fake).mean()
    return fake.mean() - real.mean()


def generator_loss(loss: Loss, fake: Tensor) -> Tensor:
    """Return what the generator minimises, shape ``()``.

    Args:
        loss: As this module names them.
        fake: Scores of generated maps, any shape.

    Example:
        >>> generator_loss("least_squares", torch.tensor([3.0])).item()
        2.0
    """
    if loss == "bce":
        return softplus(-fake).mean()
    if loss == "least_squares":
        return 0.5 * (fake - 1).square().mean()
    return -fake.mean()


def told_apart(real: Tensor, fake: Tensor, *, paired: bool) -> Tensor:
    """Return how often a critic scores a true map above a generated one, shape ``()``.

    One half is a guess: the critic knows nothing that the generator does not. One is a critic that is never
    deceived; where it stays there and the generator learns no more, the generator is lost. Mean scores tell
    less: those of patches that are empty in both are equal, and there are many of them.

    Args:
        real: Scores of true maps, shape ``(B, ...)``; those of a map are averaged.
        fake: Scores of generated maps, as many.
        paired: Whether map ``i`` of both has the same input, so that only these two are compared.

    Example:
        >>> real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])
        >>> told_apart(real, fake, paired=True).item(), told_apart(real, fake, paired=False).item()
        (1.0, 0.75)
    """
    r, f = (scores.reshape(len(scores), -1).mean(1) for scores in (real, fake))
    above = r - f if paired else r[:, None] - f[None]
    return torch.heaviside(above, above.new_tensor(0.5)).mean()


def interpolated_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Return ``<(|slope| - 1)²>`` of the critic between pairs of real and generated maps.

    Gulrajani et al. 2017, arXiv:1704.00028.

    Args:
        critic: Scores of maps.
        real: Shape ``(B, C, H, W)``.
        fake: Shape ``(B, C, H, W)``.

    Returns:
        Shape ``()``.

    Example:
        >>> steep = lambda maps: 3 * maps.flatten(1).sum(1)  # a slope of 3 √4 on maps of four pixels
        >>> interpolated_penalty(steep, torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)).item()
        25.0
    """
    share = torch.rand((len(real), *[1] * (real.ndim - 1)), dtype=real.dtype, device=real.device)
    between = torch.lerp(real.detach(), fake.detach(), share)
    return (_slopes(critic, between) - 1).square().mean()


def real_penalty(critic: Critic, real: Tensor) -> Tensor:
    """Return half the mean square slope of the critic at real maps (R1; Mescheder et al. 2018, 1801.04406).

    Args:
        critic: Scores of maps.
        real: Shape ``(B, C, H, W)``.

    Example:
        >>> real_penalty(lambda maps: 3 * maps.flatten(1).sum(1), torch.zeros(2, 1, 2, 2)).item()
        18.0
    """
    return 0.5 * _slopes(critic, real).square().mean()


def _slopes(critic: Critic, maps: Tensor) -> Tensor:
    maps = maps.detach().requires_grad_()
    with torch.enable_grad():
        # A patch critic has many scores a map: their mean is its score.
        scores = critic(maps).reshape(len(maps), -1).mean(1)
        (slopes,) = torch.autograd.grad(scores.sum(), maps, create_graph=True)
    # The root of nothing has no slope: a critic that is flat would give NaN.
    return (slopes.flatten(1).square().sum(1) + 1e-12).sqrt()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Pass gradients through a module and leave none on its weights, within a block.

    Example:
        >>> layer, x = nn.Linear(1, 1), torch.ones(1, requires_grad=True)
        >>> with frozen(layer):
        ...     layer(x).sum().backward()
        >>> layer.weight.grad is None, x.grad is None
        (True, False)
    """
    moving = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in moving:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in moving:
            weight.requires_grad_(True)


class Adversarial(Learner):
    """Base of the methods with two players.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions or of target fields.
        size: Side length of the maps, pixels.
        arguments: The recipe arguments, every default written out; ``loss``, ``penalty``,
            ``penalty_weight``, ``smoothing``, ``critic_steps`` and ``critic_rate`` are used here.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(self, in_channels: int, out_features: int, size: int, arguments: dict[str, Any]) -> None:
        super().__init__(in_channels, out_features, size, arguments)
        self.loss: Loss = arguments["loss"]
        self.penalty: Penalty = arguments["penalty"]
        self.penalty_weight, self.smoothing = (
            float(arguments["penalty_weight"]),
            float(arguments["smoothing"]),
        )
        self.critic_steps, self.critic_rate = int(arguments["critic_steps"]), float(arguments["critic_rate"])
        for key, value, right, allowed in (
            ("critic_steps", self.critic_steps, self.critic_steps >= 1, "1 or more"),
            ("critic_rate", self.critic_rate, self.critic_rate > 0, "more than 0"),
            ("penalty_weight", self.penalty_weight, self.penalty_weight >= 0, "0 or more"),
            ("smoothing", self.smoothing, 0 <= self.smoothing < 0.5, "0 to 0.5"),
        ):
            if not right:
                raise UsageError(f"method {self.name!r}: {key} is {value:g}", hint=f"allowed: {allowed}")
        if self.smoothing and self.loss == "wasserstein":
            raise UsageError(
                f"method {self.name!r}: smoothing is {self.smoothing:g}, and {self.loss!r} has no labels",
                hint="leave out method.smoothing, or use loss: bce",
            )

    @property
    @abstractmethod
    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The modules that generate, and those that criticise."""

    @abstractmethod
    def play(self, maps: Tensor, targets: Tensor, generating: bool) -> dict[str, Tensor]:
        """Return what each player minimises on a batch, and what else is logged, each of shape ``()``.

        Args:
            maps: As the task gives them, standardised.
            targets: As the task gives them, standardised.
            generating: Whether the generator moves in this step.

        Returns:
            ``critic``, and ``generator`` where it moves; further names are logged only.
        """

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the sum of both players' losses and log them."""
        maps, targets = self.check(batch)
        moves = self.play(maps, targets, generating=(self.global_step + 1) % self.critic_steps == 0)
        loss = moves["critic"] + moves["generator"] if "generator" in moves else moves["critic"]
        for name, value in {"loss": loss, **moves}.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(maps))
        return loss

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of both players' losses, twice."""
        moves = self.play(maps, targets, generating=True)
        loss = moves["critic"] + moves["generator"]
        return loss, loss

    def judge(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        *,
        on_real: Tensor | None = None,
        wrong: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the critic's part of a step: its loss with the penalty, and its mean scores.

        Args:
            critic: Scores of maps.
            real: Shape ``(B, C, H, W)``.
            fake: The same, cut from the generator here.
            on_real: Scores of the real maps, where they are known already.
            wrong: Other maps that are no real ones here, as many; their scores count as much as those of the
                generated ones, and both together as much as those of the real ones.
        """
        fake = fake.detach()
        on_real, on_fake = critic(real) if on_real is None else on_real, critic(fake)
        told: dict[str, Tensor] = {}
        on_false = on_fake
        if wrong is not None:
            on_wrong = critic(wrong)
            told, on_false = {"score_wrong": on_wrong.mean()}, torch.cat((on_fake, on_wrong))
        loss = critic_loss(self.loss, on_real, on_false, self.smoothing)
        if self.penalty != "none" and self.penalty_weight:
            steep = (
                interpolated_penalty(critic, real, fake)
                if self.penalty == "interpolated"
                else real_penalty(critic, real)
            )
            loss = loss + self.penalty_weight * steep
        return {"critic": loss, "score_real": on_real.mean(), "score_fake": on_fake.mean(), **told}

    def configure_optimizers(self) -> Any:
        """Return one optimiser of two groups: the generators' weights, and the critics' at their own rate."""
        generating, criticising = (
            [weight for module in side for weight in module.parameters() if weight.requires_grad]
            for side in self.players
        )
        groups: list[dict[str, Any]] = [
            {"params": generating},
            {"params": criticising, "rate": self.critic_rate},
        ]
        if self.optimisation is not None:
            return self.optimisation(groups)
        return registry.build("adam", "optimiser")(groups)

    def on_fit_start(self) -> None:
        """Refuse processes that would wait for the gradient of a player at rest.

        Raises:
            UsageError: The strategy expects a gradient for every weight in every step.
        """
        if self.critic_steps > 1:
            self.refuse_to_wait(
                f"method {self.name!r}: with critic_steps {self.critic_steps} the generator has no gradient"
                " in some steps, and this strategy waits for it"
            )
