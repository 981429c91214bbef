"""A network: the power spectrum of a map, then dense layers.

It sees nothing but two-point statistics, so what a convolutional network gains over it is what lies beyond
them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skyloom.nets.layers import check_maps


class SpectrumMLP(nn.Module):
    """Dense layers on the logarithm of the azimuthal power spectrum of each channel.

    Args:
        in_channels: Channels of the maps.
        out_features: Numbers that the network gives.
        size: Side length of the maps, pixels.
        width: Neurons of the two hidden layers.

    Example:
        >>> SpectrumMLP(1, 2, 16, width=8)(torch.rand(3, 1, 16, 16)).shape
        torch.Size([3, 2])
    """

    def __init__(self, in_channels: int, out_features: int, size: int, *, width: int = 32) -> None:
        super().__init__()
        self.in_channels, self.size = in_channels, size
        k = torch.fft.fftfreq(size, 1 / size)
        ring = (k[:, None] ** 2 + k[None] ** 2).sqrt().round().long().flatten()
        bins = size // 2
        average = torch.zeros(bins, size * size)
        inside = (ring >= 1) & (ring <= bins)
        average[ring[inside] - 1, inside.nonzero().squeeze(1)] = 1.0
        self.register_buffer("average", average / average.sum(1, keepdim=True))
        self.layers = nn.Sequential(
            nn.BatchNorm1d(in_channels * bins),  # over the batch: the level of a spectrum tells
            nn.Linear(in_channels * bins, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, out_features),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, size, size)`` to ``(B, out_features)``."""
        check_maps(maps, self.in_channels, self.size, "spectrum_mlp")
        power = torch.fft.fft2(maps, norm="ortho").abs().square().flatten(2)
        spectra = (power @ self.average.T).clamp(min=1e-12).log()
        found: Tensor = self.layers(spectra.flatten(1))
        return found
