"""Point estimates and moment networks.

`MeanSquared` learns the posterior mean. `Moments` learns mean and variance of each parameter's marginal
posterior: the expected Gaussian score ``log σ² + (θ - μ)² / σ²`` is least, for any posterior, at its own mean
and variance, the two moments of Jeffrey & Wandelt (2020, arXiv:2011.05991).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import Method, Net, prediction_mode

LARGEST_LOG_VARIANCE = 12.0


class MeanSquared(Method):
    """Least squares: one number for each parameter and no error.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of targets.
        size: Side length of the maps, pixels.
        net: The network.

    Example:
        >>> method = MeanSquared(1, 2, 16, net={"name": "resnet", "width": 4})
        >>> sorted(method.predict(torch.zeros(3, 1, 16, 16)))
        ['mean']
    """

    name = "mean_squared"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "resnet"},  # noqa: B006 - read, never written
    ) -> None:
        arguments: dict[str, Any] = {"net": registry.resolve(net, "net")}
        super().__init__(in_channels, out_features, size, arguments)
        self.net = registry.build(net, "net", data=(in_channels, out_features, size))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the predicted mean, standardised, ``(B, P)``."""
        mean: Tensor = self.net(maps)
        return mean

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean square twice: it is minimised and logged."""
        loss = (self(maps) - targets).square().mean()
        return loss, loss

    def predict(
        self, maps: Tensor, *, draws: int = 0, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Predict ``mean``.

        Raises:
            UsageError: Samples are asked for; this method has no error to draw from.
        """
        if draws:
            raise UsageError(
                f"method 'mean_squared' has no posterior to draw {draws} samples from",
                hint="use method 'moments' or 'posterior'",
            )
        with prediction_mode(self), torch.no_grad():
            return {"mean": self(maps)}


class Moments(Method):
    r"""Moment network: mean and error of each parameter.

    Minimises the β-weighted Gaussian score of Seitzer et al. (2022, arXiv:2203.09168),

    .. math:: \Big\langle \lfloor\sigma^{2\beta}\rfloor \,
              \tfrac12 \big[\log\sigma^2 + (\theta - \mu)^2 / \sigma^2\big] \Big\rangle ,

    with the weight in half brackets held constant, so that the best mean and variance for a map do not
    change, but maps that are badly fitted early on keep their share of the gradient. The unweighted score (β
    = 0) is logged, in nats per parameter and without its constant :math:`\tfrac12\log 2\pi`: it compares
    epochs fairly.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of targets.
        size: Side length of the maps, pixels.
        net: The network; it returns ``2 P`` numbers.
        beta: From 0 (plain Gaussian score) to 1 (the mean learns as in least squares).

    Raises:
        UsageError: ``beta`` is not between 0 and 1.

    Example:
        >>> method = Moments(1, 2, 16, net={"name": "resnet", "width": 4})
        >>> prediction = method.predict(torch.zeros(3, 1, 16, 16), draws=5)
        >>> {name: tuple(value.shape) for name, value in prediction.items()}
        {'mean': (3, 2), 'sd': (3, 2), 'samples': (3, 5, 2)}
    """

    name = "moments"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "resnet"},  # noqa: B006 - read, never written
        beta: float = 0.5,
    ) -> None:
        if not 0 <= beta <= 1:
            raise UsageError(f"method 'moments' needs beta between 0 and 1, found {beta}", hint="try 0.5")
        arguments: dict[str, Any] = {"net": registry.resolve(net, "net"), "beta": beta}
        super().__init__(in_channels, out_features, size, arguments)
        self.beta = beta
        self.net = registry.build(net, "net", data=(in_channels, 2 * out_features, size))

    def moments(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance, standardised, each ``(B, P)``."""
        mean, raw = self.net(maps).chunk(2, dim=1)
        # A smooth bound: the exponential can neither overflow nor lose its gradient.
        return mean, LARGEST_LOG_VARIANCE * torch.tanh(raw / LARGEST_LOG_VARIANCE)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the predicted mean, standardised, ``(B, P)``."""
        return self.moments(maps)[0]

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the β-weighted Gaussian score and the plain one."""
        mean, log_variance = self.moments(maps)
        score = 0.5 * (log_variance + (targets - mean).square() * torch.exp(-log_variance))
        weight = torch.exp(self.beta * log_variance.detach())
        return (weight * score).mean(), score.mean()

    def predict(
        self, maps: Tensor, *, draws: int = 0, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Predict ``mean`` and ``sd``; ``samples`` are independent Gaussians of these."""
        with prediction_mode(self), torch.no_grad():
            mean, log_variance = self.moments(maps)
        prediction = {"mean": mean, "sd": torch.exp(0.5 * log_variance)}
        if draws:
            noise = standard_normal((draws, *mean.shape), mean, generator).movedim(0, 1)
            prediction["samples"] = mean[:, None] + prediction["sd"][:, None] * noise
        return prediction


def standard_normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard normal numbers on the device and in the precision of another tensor.

    Args:
        shape: Shape wanted.
        like: Gives device and precision.
        generator: Source of the numbers; None starts one from seed 0.

    Returns:
        The numbers, of ``shape``, dimensionless.

    Example:
        >>> torch.equal(*(standard_normal((2,), torch.zeros(1), None) for _ in range(2)))
        True
    """
    if generator is None:
        generator = torch.Generator(like.device).manual_seed(0)
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
