r"""A variational autoencoder from fields to fields (Sohn et al. 2015, NeurIPS 28).

A network makes the target ``y`` of the input ``x`` and of a few random numbers ``z``, which it sees as
constant maps; in training an encoder, which sees input and target, tells which ``z`` may have made it. The
loss is that of `skyloom.methods.generative.vae`, per pixel of the target:

.. math:: \Big\langle \tfrac{(y - \hat y(x, z))^2}{2 s_c^2} + \ln s_c \Big\rangle
          + \frac{\beta}{N} \, \mathrm{KL}\big(q(z | x, y) \,\|\, \mathcal N(0, 1)\big)

The noise is of the whole map: it can say how bright or how extended a target is that the input leaves open,
not where each clump lies. A draw is the mean :math:`\hat y(x, z)` for a ``z`` of the prior; what ``z`` does
not tell, the error :math:`s_c` of the pixels, is not in it, so the draws are too sure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import FieldMethod, Net
from skyloom.methods.generative.denoising import gaussian
from skyloom.methods.generative.vae import Bounded, evidence, gaussian_of
from skyloom.methods.regression import check_gives_fields


class ConditionalVAE(Bounded, FieldMethod):
    """Variational autoencoder from fields to fields.

    Logged in validation are ``error``, the mean square error of the target with its own noise, and ``kl``,
    what the encoder tells of a target beyond the input [nats]: at 0 all draws are one map.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of target fields ``P``.
        size: Side length of the maps, pixels.
        net: The decoder; a network that gives fields.
        encoder: The encoder; a network that gives numbers.
        noise: Random numbers of a map.
        beta: Weight of what the encoder tells.
        draws: Samples of each map that an evaluation takes; its mean is the answer for pixels.

    Raises:
        UsageError: The decoder gives no fields, or a number is out of range.

    Example:
        >>> net, encoder = {"name": "unet", "width": 4, "depth": 2}, {"name": "cmd_cnn", "width": 2}
        >>> method = ConditionalVAE(1, 2, 16, net=net, encoder=encoder, noise=4)
        >>> method.predict(torch.zeros(3, 1, 16, 16), draws=5)["samples"].shape
        torch.Size([3, 5, 2, 16, 16])
    """

    name = "conditional_vae"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "unet"},  # noqa: B006 - read, never written
        encoder: Net = {"name": "cmd_cnn", "dropout": 0.0},  # noqa: B006 - read, never written
        noise: int = 16,
        beta: float = 1.0,
        draws: int = 8,
    ) -> None:
        check_gives_fields(net, self.name)
        if not (beta >= 0 and noise >= 1 and draws >= 1):
            raise UsageError(
                f"method 'conditional_vae': beta is {beta:g}, noise {noise}, draws {draws}",
                hint="allowed: a beta of 0 or more, of which 1 is the evidence bound; the others 1 or more",
            )
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "encoder": registry.resolve(encoder, "net"),
            "noise": noise,
            "beta": beta,
            "draws": draws,
        }
        super().__init__(in_channels, out_features, size, arguments)
        self.noise, self.beta, self.draws = noise, beta, draws
        self.net = registry.build(net, "net", data=(in_channels + noise, out_features, size))
        self.encoder = registry.build(encoder, "net", data=(in_channels + out_features, 2 * noise, size))
        self.log_error = torch.nn.Parameter(torch.zeros(out_features, 1, 1))

    def decoded(self, maps: Tensor, z: Tensor) -> Tensor:
        """Return the target for an input and its noise, ``(B, P, H, W)``.

        Args:
            maps: Shape ``(B, C, H, W)``, transformed.
            z: Shape ``(B, noise)``.
        """
        told = z[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        fields: Tensor = self.net(torch.cat((maps, told), dim=1))
        return fields

    def bound(
        self, maps: Tensor, targets: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the parts of the bound of targets given the maps; see `Bounded.bound`."""
        mean, log_variance = gaussian_of(self.encoder(torch.cat((maps, targets), dim=1)))
        e = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        drawn = self.decoded(maps, mean + torch.exp(0.5 * log_variance) * e)
        return evidence(targets, drawn, self.log_error, mean, log_variance, self.beta)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the target at the middle of the noise, ``(B, P, H, W)``."""
        return self.decoded(maps, maps.new_zeros(len(maps), self.noise))

    def draw(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return one sample for each map; see `FieldMethod.draw`."""
        return self.decoded(maps, gaussian((len(maps), self.noise), maps, generator))
