r"""A conditional density flow: exact likelihoods of tables and of small maps.

An invertible map takes what was seen to a standard normal, given the conditions ``c``:

.. math:: \log q(x | c) = \log N(z; 0, 1) + \log |\partial z / \partial x|, \qquad z = f(x; c)

First affine autoregressive layers take out what a mean and a width that follow the conditions explain
(Papamakarios et al. 2017, arXiv:1705.07057), then rational-quadratic splines take the rest (Durkan et al.
2019, arXiv:1906.04032). The loss is the mean of ``-log q`` [nats]; a sample costs one inverse.

An angle given by its cosine and sine lies on a circle, where no density in the plane exists. Such a pair is
moved to ``r (cos, sin)`` with ``ln r ~ N(0, spread²)`` anew in every step, and samples are brought back to
the circle. The loss is then a bound on that of the angle [per rad] itself,

.. math:: \log q(\varphi) \ge \langle \log q(r \cos\varphi, r \sin\varphi) + \log r - \log p(r) \rangle_r .
"""

from __future__ import annotations

import math
from typing import Any

import torch
import zuko
from torch import Tensor
from zuko.flows.autoregressive import MaskedAutoregressiveTransform

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.methods.base import NoisyLearner, prediction_mode
from skyloom.methods.generative.base import Generative
from skyloom.methods.generative.denoising import Generators, Step, gaussian

LARGEST = 400
"""Numbers of a sample, at most: each is drawn after those before it, and a layer knows all their pairs."""
_ROUND = 1e-3  # how far from the circle cosine and sine may lie


class DensityFlow(NoisyLearner, Generative):
    """Density flow of tables and small maps with conditions.

    Args:
        in_channels: Channels of the maps: the variables of a table.
        out_features: Number of conditions, 0 or more.
        size: Side length of the maps, 1 for a table.
        affine: Affine layers, which follow the conditions.
        splines: Spline layers behind them, which act within five units and leave what lies beyond unchanged.
        bins: Pieces of each spline.
        hidden: Widths of the dense layers in each layer of the flow.
        coupling: Whether half of the numbers are drawn together given the other half, two passes a layer,
            rather than one after another.
        circles: Pairs of channels that are cosine and sine of one angle; they must come without transforms.
        spread: Width of the logarithm of the radius that is given to them.

    Raises:
        UsageError: There is no layer, a channel of a circle is unknown, or ``spread`` is not positive.
        ShapeError: The samples have more than 400 numbers.

    Example:
        >>> method = DensityFlow(3, 2, 1, hidden=[8])
        >>> conditions = torch.zeros(5, 2)
        >>> drawn = method.sample(conditions)
        >>> tuple(drawn.shape), tuple(method.log_prob(drawn, conditions).shape)
        ((5, 3, 1, 1), (5,))
    """

    name = "density_flow"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        affine: int = 1,
        splines: int = 3,
        bins: int = 8,
        hidden: list[int] = [64, 64],  # noqa: B006 - read, never written
        coupling: bool = False,
        circles: list[list[int]] = [],  # noqa: B006
        spread: float = 0.1,
    ) -> None:
        arguments: dict[str, Any] = {
            "affine": affine,
            "splines": splines,
            "bins": bins,
            "hidden": list(hidden),
            "coupling": coupling,
            "circles": [list(pair) for pair in circles],
            "spread": spread,
        }
        super().__init__(in_channels, out_features, size, arguments)
        D = in_channels * size**2
        if D > LARGEST:
            raise ShapeError(
                f"method 'density_flow': {in_channels} maps of {size} × {size} are {D} numbers, allowed: at"
                f" most {LARGEST}",
                hint="take smaller maps, or another method: diffusion, flow_matching",
            )
        _check_circles(circles, in_channels, spread)
        self.circles, self.spread = [tuple(pair) for pair in circles], float(spread)
        self.flow = make_flow(
            D, out_features, affine=affine, splines=splines, bins=bins, hidden=hidden, coupling=coupling
        )

    def log_prob(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Return the log density of maps as they are, in the plane where a pair is a circle.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.

        Returns:
            Shape ``(B,)`` [nats].
        """
        log_density: Tensor = self._flow(conditions).log_prob(maps.flatten(1))
        return log_density

    def bound(self, maps: Tensor, conditions: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the log density with angles for circles: exact without these, else an estimated bound.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
            generator: Source of the radii; None for torch's own.

        Returns:
            Shape ``(B,)`` [nats].

        Raises:
            DataError: A pair of channels is no cosine and sine.
        """
        moved, gained = maps, maps.new_zeros(len(maps))
        for pair in self.circles:
            x, y = (maps[:, channel] for channel in pair)
            off = float((torch.hypot(x, y) - 1).abs().max())
            if off > _ROUND:
                raise DataError(
                    f"method 'density_flow': channels {pair[0]} and {pair[1]} lie {off:.3g} off the unit"
                    " circle, so they are no cosine and sine",
                    hint="give these fields no transforms, or leave the pair out of circles",
                )
            e = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            r = torch.exp(self.spread * e)
            moved = moved.clone()
            moved[:, pair[0]], moved[:, pair[1]] = r * x, r * y
            # log r - log p(r), with p(r) = N(e) / (spread r)
            ratio = 2 * self.spread * e + e.square() / 2 + math.log(math.sqrt(2 * math.pi) * self.spread)
            gained = gained + ratio.flatten(1).sum(dim=1)
        return self.log_prob(moved, conditions) + gained

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of ``-log q`` [nats] twice: it is minimised and logged."""
        loss = -self.bound(maps, targets).mean()
        return loss, loss

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the mean of ``-log q`` [nats]; see `NoisyLearner.validated`."""
        return {"loss": -self.bound(maps, targets, generator).mean()}

    def sample(
        self,
        conditions: Tensor,
        *,
        generator: Generators | None = None,
        steps: int | None = None,
        done: Step | None = None,
    ) -> Tensor:
        """Draw maps; see `Generative.sample`. A flow draws in one step, whatever ``steps`` says."""
        self.check_conditions(conditions)
        if steps is not None and steps < 1:
            raise UsageError(f"a sampler of {steps} steps", hint="give 1, or leave it out")
        B, (C, H, W) = len(conditions), self.shape
        with prediction_mode(self), torch.no_grad():
            z = gaussian((B, C * H * W), conditions, generator)
            maps: Tensor = self._flow(conditions).transform.inv(z).reshape(B, C, H, W)
            for pair in self.circles:
                r = torch.hypot(maps[:, pair[0]], maps[:, pair[1]]).clamp(min=1e-12)
                for channel in pair:
                    maps[:, channel] = maps[:, channel] / r
        if done is not None:
            done(1, 1)
        return maps

    def _flow(self, conditions: Tensor) -> Any:
        return self.flow(conditions if self.out_features else None)


def make_flow(
    D: int, conditions: int, *, affine: int, splines: int, bins: int, hidden: list[int], coupling: bool
) -> zuko.lazy.Flow:
    """Return a flow of ``D`` numbers: affine autoregressive layers, spline layers behind them.

    Args:
        D: Numbers of a sample.
        conditions: Numbers that it is given, may be 0.
        affine: As in `DensityFlow`.
        splines: As in `DensityFlow`.
        bins: As in `DensityFlow`.
        hidden: As in `DensityFlow`.
        coupling: As in `DensityFlow`.

    Raises:
        UsageError: There is no layer, or fewer than two bins.

    Example:
        >>> flow = make_flow(3, 2, affine=1, splines=1, bins=4, hidden=[8], coupling=False)
        >>> flow(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3)).shape
        torch.Size([5])
    """
    if affine < 0 or splines < 0 or affine + splines < 1 or bins < 2:
        raise UsageError(
            f"a density flow of {affine} affine and {splines} spline layers of {bins} bins",
            hint="one layer at least, and two bins or more",
        )
    dense: dict[str, Any] = {"hidden_features": tuple(hidden), "activation": torch.nn.ELU}
    passes = 2 if coupling else None
    layers = []
    for place in range(affine + splines):
        order = torch.arange(D) if place % 2 == 0 else torch.arange(D).flip(0)
        options = {**dense, "order": order, "passes": passes} if D > 1 else dict(dense)
        if place >= affine:
            options |= _splines(bins)
        layers.append(MaskedAutoregressiveTransform(D, conditions, **options))
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(D), torch.ones(D), buffer=True
    )
    return zuko.lazy.Flow(layers, base)


def _splines(bins: int) -> dict[str, Any]:
    """The rational-quadratic splines of zuko's NSF: widths, heights and inner slopes."""
    return {"univariate": zuko.transforms.MonotonicRQSTransform, "shapes": [(bins,), (bins,), (bins - 1,)]}


def _check_circles(circles: list[list[int]], channels: int, spread: float) -> None:
    used = [channel for pair in circles for channel in pair]
    wrong = [pair for pair in circles if len(pair) != 2]
    if wrong or len(set(used)) < len(used) or not all(0 <= channel < channels for channel in used):
        raise UsageError(
            f"method 'density_flow': circles are {circles}",
            hint=f"pairs of channels from 0 to {channels - 1}, each in one pair, e.g. [[4, 5]]",
        )
    if not spread > 0:
        raise UsageError(f"method 'density_flow': spread is {spread!r}", hint="more than 0, e.g. 0.1")
