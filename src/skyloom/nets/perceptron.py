"""Fully connected players for adversarial methods: for tables of events, and for maps of few pixels.

Every pixel of every channel is a number of its own. A table is a map of one pixel with a channel for each
variable.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalised

from skyloom.errors import UsageError
from skyloom.nets.layers import check_maps

SLOPE = 0.2  # of the leaky rectifier below zero (Radford et al. 2015, arXiv:1511.06434)


class PerceptronGenerator(nn.Module):
    """Noise and conditions in, maps out, by dense layers.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers that describe what is wanted of each map; may be 0.
        size: Side length of the maps, pixels.
        latent: Numbers of noise.
        widths: Neurons of the hidden layers.
        batch_norm: Normalise each hidden layer over the batch.

    Example:
        >>> net = PerceptronGenerator(8, 3, 1, latent=4, widths=[16])
        >>> net(torch.zeros(5, 4), torch.zeros(5, 3)).shape
        torch.Size([5, 8, 1, 1])
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        latent: int = 8,
        widths: list[int] = [64, 64],  # noqa: B006 - read, never written
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        _check_widths("generator", [latent, *widths])
        self.noise_shape, self.shape = (latent,), (in_channels, size, size)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([latent + conditions, *widths]):
            layers.append(nn.Linear(inputs, outputs))
            if batch_norm:
                layers.append(nn.BatchNorm1d(outputs))
            layers.append(nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers, nn.Linear([latent + conditions, *widths][-1], prod(self.shape)))

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Return maps, shape ``(B, C, H, W)``.

        Args:
            noise: Shape ``(B, latent)``, standard normal.
            conditions: Shape ``(B, P)``, standardised.
        """
        maps: Tensor = self.layers(torch.cat((noise, conditions), 1)).reshape(-1, *self.shape)
        return maps


class PerceptronCritic(nn.Module):
    """A score of maps with their conditions, by dense layers.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers that describe each map; may be 0.
        size: Side length of the maps, pixels.
        widths: Neurons of the hidden layers.
        dropout: Share of neurons dropped after each hidden layer.
        spectral_norm: Keep every layer from stretching any direction (Miyato et al. 2018, arXiv:1802.05957).

    Example:
        >>> net = PerceptronCritic(8, 3, 1, widths=[16])
        >>> net(torch.zeros(5, 8, 1, 1), torch.zeros(5, 3)).shape
        torch.Size([5, 1])
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        widths: list[int] = [64, 64],  # noqa: B006 - read, never written
        dropout: float = 0.0,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        _check_widths("critic", widths)
        self.in_channels, self.size = in_channels, size
        layers: list[nn.Module] = []
        sizes = [in_channels * size**2 + conditions, *widths, 1]
        for inputs, outputs in pairwise(sizes):
            layer: nn.Module = nn.Linear(inputs, outputs)
            layers += [
                normalised(layer) if spectral_norm else layer,
                nn.LeakyReLU(SLOPE),
                nn.Dropout(dropout),
            ]
        self.layers = nn.Sequential(*layers[:-2])  # the score itself is neither rectified nor dropped

    def forward(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Return scores, shape ``(B, 1)``, high for real.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
        """
        check_maps(maps, self.in_channels, self.size, "critic perceptron")
        scores: Tensor = self.layers(torch.cat((maps.flatten(1), conditions), 1))
        return scores


def _check_widths(player: str, widths: list[int]) -> None:
    if any(width < 1 for width in widths):
        raise UsageError(f"{player} 'perceptron' has layers of {widths} numbers", hint="1 or more each")
