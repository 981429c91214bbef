"""Convolutional players for adversarial methods on maps, at sizes that the recipe chooses (DCGAN).

The generator spreads noise and conditions over a coarse map and doubles it once for each further width, the
critic halves the map as often (Radford et al. 2015, arXiv:1511.06434). Borders are padded with zeros: maps of
a detector do not wrap around. A critic with a penalty on its slope must score every map by itself, so it has
no batch normalisation (Gulrajani et al. 2017, arXiv:1704.00028).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalised

from skyloom.errors import UsageError
from skyloom.nets.layers import check_maps

SLOPE = 0.2  # of the leaky rectifier below zero


class ConvolutionalGenerator(nn.Module):
    """Noise and conditions in, maps out, by convolutions that double the map.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers that describe what is wanted of each map; may be 0.
        size: Side length of the maps, pixels, a multiple of ``2 ** len(widths)``.
        latent: Numbers of noise.
        widths: Channels from the coarsest map on; the map doubles after each.
        kernel: Side of the kernels in pixels: even for ``transposed``, odd for ``nearest``.
        doubling: ``transposed`` convolutions, or ``nearest``: pixels doubled, then a convolution.
        batch_norm: Normalise each hidden layer over the batch.
        output: ``tanh`` for maps brought to -1 … 1 (transform ``min_max``), ``linear`` for standardised ones.

    Raises:
        UsageError: The size is no such multiple, or the kernel does not suit the doubling.

    Example:
        >>> net = ConvolutionalGenerator(2, 1, 40, latent=4, widths=[8, 4, 4])
        >>> net(torch.zeros(3, 4), torch.zeros(3, 1)).shape
        torch.Size([3, 2, 40, 40])
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        latent: int = 64,
        widths: list[int] = [128, 64, 32],  # noqa: B006 - read, never written
        kernel: int = 4,
        doubling: Literal["transposed", "nearest"] = "transposed",
        batch_norm: bool = True,
        output: Literal["tanh", "linear"] = "tanh",
    ) -> None:
        super().__init__()
        coarse = _coarsest("generator", size, widths)
        if latent < 1 or kernel < 2 or kernel % 2 == (doubling == "transposed"):
            raise UsageError(
                f"generator 'convolutional': latent is {latent}, kernel {kernel} with {doubling!r} doubling",
                hint="1 or more; kernels of 4 pixels for transposed, of 3 or 5 for nearest",
            )
        self.noise_shape = (latent,)
        layers: list[nn.Module] = [
            nn.Linear(latent + conditions, widths[0] * coarse**2),
            nn.Unflatten(1, (widths[0], coarse, coarse)),
        ]
        for inputs, outputs in pairwise([*widths, in_channels]):
            if batch_norm:
                layers.append(nn.BatchNorm2d(inputs))
            layers.append(nn.LeakyReLU(SLOPE))
            if doubling == "transposed":
                layers.append(nn.ConvTranspose2d(inputs, outputs, kernel, 2, kernel // 2 - 1))
            else:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2)]
        self.layers = nn.Sequential(*layers, nn.Tanh() if output == "tanh" else nn.Identity())

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Return maps, shape ``(B, C, H, W)``.

        Args:
            noise: Shape ``(B, latent)``, standard normal.
            conditions: Shape ``(B, P)``, standardised.
        """
        maps: Tensor = self.layers(torch.cat((noise, conditions), 1))
        return maps


class ConvolutionalCritic(nn.Module):
    """A score of maps with their conditions, by convolutions that halve the map.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers that describe each map; each becomes a constant channel. May be 0.
        size: Side length of the maps, pixels, a multiple of ``2 ** len(widths)``.
        widths: Channels from the finest map on; the map is halved before each.
        kernel: Side of the kernels in pixels, even.
        batch_norm: Normalise each hidden layer but the first over the batch; not with a penalty on slopes.
        spectral_norm: Keep every layer from stretching any direction (Miyato et al. 2018, arXiv:1802.05957).
        dropout: Share of features dropped before the score.

    Raises:
        UsageError: The size is no such multiple, or the kernel is odd.

    Example:
        >>> net = ConvolutionalCritic(2, 1, 40, widths=[4, 4, 8])
        >>> net(torch.zeros(3, 2, 40, 40), torch.zeros(3, 1)).shape
        torch.Size([3, 1])
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        widths: list[int] = [32, 64, 128],  # noqa: B006 - read, never written
        kernel: int = 4,
        batch_norm: bool = False,
        spectral_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        coarse = _coarsest("critic", size, widths)
        if kernel < 2 or kernel % 2:
            raise UsageError(f"critic 'convolutional': kernel is {kernel}", hint="even, e.g. 4")
        self.in_channels, self.size = in_channels, size
        layers: list[nn.Module] = []
        for place, (inputs, outputs) in enumerate(pairwise([in_channels + conditions, *widths])):
            layers.append(_maybe(nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2 - 1), spectral_norm))
            if batch_norm and place:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(SLOPE))
        last = _maybe(nn.Linear(widths[-1] * coarse**2, 1), spectral_norm)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), last)

    def forward(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Return scores, shape ``(B, 1)``, high for real.

        Args:
            maps: Shape ``(B, C, H, W)``, as the transforms give them.
            conditions: Shape ``(B, P)``, standardised.
        """
        check_maps(maps, self.in_channels, self.size, "critic convolutional")
        constant = conditions[:, :, None, None].expand(-1, -1, *maps.shape[-2:])
        scores: Tensor = self.layers(torch.cat((maps, constant), 1))
        return scores


def _maybe(layer: nn.Module, spectral: bool) -> nn.Module:
    return normalised(layer) if spectral else layer


def _coarsest(player: str, size: int, widths: list[int]) -> int:
    """Side of the coarsest map, pixels."""
    step = 2 ** len(widths)
    if not widths or min(widths) < 1 or size % step:
        raise UsageError(
            f"{player} 'convolutional' with widths {widths} needs maps of a multiple of {step} pixels,"
            f" found {size}",
            hint="a map of 40 pixels takes one to three widths, each 1 or more",
        )
    return int(size // step)
