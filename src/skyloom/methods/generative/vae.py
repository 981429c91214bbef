r"""A variational autoencoder of maps with conditions (Kingma & Welling 2013, arXiv:1312.6114).

The generator draws a map from noise ``z`` and the conditions; an encoder, which sees map and conditions,
tells which noise may have made it. What is minimised, per pixel of all channels, is

.. math:: \Big\langle \tfrac{(x - \hat x)^2}{2 s_c^2} + \ln s_c \Big\rangle
          + \frac{\beta}{N} \sum_i \mathrm{KL}\big(\mathcal N(\mu_i, \sigma_i^2) \,\|\, \mathcal N(0, 1)\big)

with an error ``s_c`` of each channel that is learnt, so that nobody has to weigh the two terms against each
other; with ``beta`` 1 it is the evidence bound, with more the noise says less (Higgins et al. 2017). A map
that is drawn is the mean :math:`\hat x`: smooth where the noise does not say enough, of less power than a
true map.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import Net, NoisyLearner
from skyloom.methods.generative.adversarial import GeneratorNet
from skyloom.methods.generative.one_pass import OnePass

LARGEST = 8.0  #: of the logarithm of a variance; beyond it lies only overflow


def gaussian_of(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and bounded logarithm of the variance, each ``(B, noise)``, from outputs of an encoder.

    Args:
        outputs: Shape ``(B, 2 noise)``.

    Example:
        >>> [part.tolist() for part in gaussian_of(torch.tensor([[1.0, 0.0]]))]
        [[[1.0]], [[0.0]]]
    """
    mean, raw = outputs.chunk(2, dim=1)
    return mean, LARGEST * torch.tanh(raw / LARGEST)


def evidence(
    maps: Tensor, drawn: Tensor, log_error: Tensor, mean: Tensor, log_variance: Tensor, beta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is minimised, the mean square error, and the sum of the KL terms, each ``()``.

    Args:
        maps: The truth, shape ``(B, C, H, W)``.
        drawn: What the decoder makes of one draw of the noise, the same shape.
        log_error: ln s of each channel, shape ``(C, 1, 1)``.
        mean: Of the noise, by the encoder, shape ``(B, noise)``.
        log_variance: Of the noise, the same shape.
        beta: Weight of what the encoder tells.

    Example:
        >>> maps, told = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1)
        >>> [part.item() for part in evidence(maps, maps + 2, torch.zeros(1, 1, 1), told + 4, told, 1.0)]
        [4.0, 4.0, 8.0]
    """
    square = (maps - drawn).square()
    likely = (0.5 * square * torch.exp(-2 * log_error) + log_error).mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
    return likely + beta * kl / maps[0].numel(), square.mean(), kl


class Bounded(NoisyLearner):
    """Base of the methods that minimise the bound of a variational autoencoder."""

    @abstractmethod
    def bound(
        self, maps: Tensor, targets: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is minimised, the mean square error, and the sum of the KL terms, each ``()``.

        Args:
            maps: As the task gives them, standardised.
            targets: As the task gives them, standardised.
            generator: Source of the noise; None for torch's own.
        """

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bound twice: it is minimised and logged."""
        loss, _, _ = self.bound(maps, targets, None)
        return loss, loss

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the bound, the error and what the encoder tells; see `NoisyLearner.validated`."""
        return dict(zip(("loss", "error", "kl"), self.bound(maps, targets, generator), strict=True))


class VAE(Bounded, OnePass):
    """Variational autoencoder of maps with conditions.

    Logged in validation are ``error``, the mean square error of maps drawn again, and ``kl``, what the
    encoder tells of a map [nats].

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        net: The generator.
        encoder: The encoder; it sees the conditions as constant maps.
        beta: Weight of what the encoder tells.

    Raises:
        UsageError: ``beta`` is negative.

    Example:
        >>> method = VAE(1, 2, 16, net={"name": "perceptron"}, encoder={"name": "cmd_cnn", "width": 2})
        >>> method.sample(torch.zeros(3, 2)).shape
        torch.Size([3, 1, 16, 16])
    """

    name = "vae"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: GeneratorNet = {"name": "perceptron"},  # noqa: B006 - read, never written
        encoder: Net = {"name": "cmd_cnn", "dropout": 0.0},  # noqa: B006 - read, never written
        beta: float = 1.0,
    ) -> None:
        if beta < 0:
            raise UsageError(
                f"method 'vae': beta is {beta:g}", hint="give 0 or more; 1 is the evidence bound"
            )
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "generator"),
            "encoder": registry.resolve(encoder, "net"),
            "beta": beta,
        }
        super().__init__(in_channels, out_features, size, arguments)
        self.beta = beta
        self.net = registry.build(net, "generator", data=(in_channels, out_features, size))
        (count,) = self.net.noise_shape
        self.encoder = registry.build(encoder, "net", data=(in_channels + out_features, 2 * count, size))
        self.log_error = torch.nn.Parameter(torch.zeros(in_channels, 1, 1))

    def encoded(self, maps: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the noise of maps, each ``(B, noise)``.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
        """
        told = conditions[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return gaussian_of(self.encoder(torch.cat((maps, told), dim=1)))

    def bound(
        self, maps: Tensor, targets: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the parts of the bound of maps with the conditions ``targets``; see `Bounded.bound`."""
        mean, log_variance = self.encoded(maps, targets)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        drawn = self.net(mean + torch.exp(0.5 * log_variance) * noise, targets)
        return evidence(maps, drawn, self.log_error, mean, log_variance, self.beta)
