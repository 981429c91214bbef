"""An autoencoder of maps: a map in, a smaller map of a few channels out, and back.

It is the variational autoencoder of diffusers (``AutoencoderKL``, as in latent diffusion, Rombach et al.
2022, arXiv:2112.10752): the encoder gives a mean and a log-variance for every latent number, the decoder sees
a draw of these. What is ours: convolutions that wrap around a periodic map, those of stride 2 included, which
diffusers pads with zeros on two sides of four; and no attention unless asked for.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.nets.layers import check_maps

_LOG_VARIANCES = (-30.0, 20.0)  # those of diffusers: beyond them exp() leaves single precision


class KLAutoencoder(nn.Module):
    """Autoencoder of maps, with a Gaussian for every latent number.

    Args:
        in_channels: Channels of the maps.
        size: Side length of the maps, pixels.
        width: Channels at the finest level; doubled at each coarser one.
        halvings: How often the map is halved; 0 keeps its size.
        channels: Channels of the latent map.
        blocks: Residual blocks in each level.
        attention: Self-attention at the coarsest level.
        padding: ``circular`` for a periodic map, ``zeros`` for one with edges.

    Attributes:
        latent: Channels and side length of the latent map.

    Raises:
        UsageError: The size cannot be halved so often, or there is no channel.

    Example:
        >>> import torch
        >>> net = KLAutoencoder(1, 16, width=8, halvings=2, channels=3)
        >>> mean, log_variance = net.encode(torch.zeros(2, 1, 16, 16))
        >>> mean.shape, net.decode(mean).shape
        (torch.Size([2, 3, 4, 4]), torch.Size([2, 1, 16, 16]))
    """

    def __init__(
        self,
        in_channels: int,
        size: int,
        *,
        width: int = 32,
        halvings: int = 2,
        channels: int = 4,
        blocks: int = 1,
        attention: bool = False,
        padding: Literal["circular", "zeros"] = "circular",
    ) -> None:
        super().__init__()
        if min(width, channels, blocks) < 1 or halvings < 0:
            raise UsageError(
                f"autoencoder 'kl' of width {width}, {channels} channels, {blocks} blocks and {halvings}"
                " halvings",
                hint="width, channels and blocks of 1 or more, halvings of 0 or more",
            )
        if size % 2**halvings:
            raise UsageError(
                f"autoencoder 'kl' cannot halve maps of {size} pixels {halvings} times",
                hint=f"the size must be a multiple of {2**halvings}: give fewer halvings",
            )
        from diffusers import AutoencoderKL

        self.in_channels, self.size, self.latent = in_channels, size, (channels, size // 2**halvings)
        levels = halvings + 1
        self.vae = AutoencoderKL(
            in_channels=in_channels,
            out_channels=in_channels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(width * 2**level for level in range(levels)),
            layers_per_block=blocks,
            latent_channels=channels,
            norm_num_groups=next(groups for groups in (8, 4, 2, 1) if width % groups == 0),
            sample_size=size,
            mid_block_add_attention=attention,
        )
        if padding == "circular":
            _wrap_around(self.vae)

    def encode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the latent maps.

        Args:
            maps: Shape ``(B, in_channels, size, size)``, standardised.

        Returns:
            Each ``(B, channels, size / 2^halvings, size / 2^halvings)``.
        """
        check_maps(maps, self.in_channels, self.size, "autoencoder kl")
        mean, log_variance = self.vae.quant_conv(self.vae.encoder(maps)).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCES)

    def decode(self, latent: Tensor) -> Tensor:
        """Return the maps ``(B, in_channels, size, size)`` that latent maps stand for."""
        maps: Tensor = self.vae.decoder(self.vae.post_quant_conv(latent))
        return maps


def _wrap_around(net: nn.Module) -> None:
    """Make every convolution of a network of diffusers periodic."""
    from diffusers.models.downsampling import Downsample2D

    for layer in net.modules():
        if isinstance(layer, Downsample2D):
            old = layer.conv
            layer.padding = 1  # diffusers pads by itself where this is 0
            layer.conv = nn.Conv2d(old.in_channels, old.out_channels, 3, stride=2, padding=1)
            layer.conv.load_state_dict(old.state_dict())
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer.padding != (0, 0):
            layer.padding_mode = "circular"


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return the Kullback-Leibler divergence of Gaussians from the standard one, summed, shape ``()``.

    .. math:: \tfrac12 \sum (\mu^2 + \sigma^2 - 1 - \ln \sigma^2)

    Args:
        mean: Any shape.
        log_variance: The same shape.

    Example:
        >>> import torch
        >>> gaussian_divergence(torch.tensor([0.0, 2.0]), torch.zeros(2)).item()
        2.0
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
