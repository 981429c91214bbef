"""The benchmark network of the CAMELS Multifield Dataset, at any size of the maps.

A block is two 3 × 3 convolutions and one of 2 × 2 and stride 2, each with batch normalisation (but the very
first) and a leaky ReLU of slope 0.2; every block halves the map and doubles the channels, until 4 × 4 pixels
are left. A convolution over these and two dense layers give the answer (Villaescusa-Navarro et al. 2021,
arXiv:2109.10915 and 2109.09747). At 256 pixels it has the six blocks of that paper, at 32 three: the size of
the maps says how many. Padding is circular.
"""

from __future__ import annotations

from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.nets.layers import PeriodicConv2d, check_maps

SLOPE = 0.2
LAST = 4  #: pixels along a side that the last convolution covers


class CMDNet(nn.Module):
    """Blocks of three convolutions, halving the map until one convolution covers what is left.

    Args:
        in_channels: Channels of the maps.
        out_features: Numbers returned for a map.
        size: Side length of the maps, pixels: 8, 16, 32, ...
        width: The paper's ``hidden``: the first block has twice as many channels.
        dropout: Share of features dropped before each dense layer.

    Raises:
        UsageError: The size is no power of two, or less than 8; or the dropout is not in [0, 1).

    Example:
        >>> import torch
        >>> CMDNet(3, 12, 32, width=2)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 12])
    """

    def __init__(
        self, in_channels: int, out_features: int, size: int, *, width: int = 6, dropout: float = 0.1
    ) -> None:
        super().__init__()
        if size < 2 * LAST or size & (size - 1):
            raise UsageError(
                f"cmd_cnn halves maps until {LAST} pixels are left; it cannot take {size}",
                hint="use maps of 32, 64, 128 or 256 pixels, or the net 'resnet'",
            )
        if width < 1 or not 0 <= dropout < 1:
            raise UsageError(
                f"cmd_cnn: width {width}, dropout {dropout}", hint="at least 1, and a share below 1"
            )
        self.in_channels, self.size = in_channels, size
        self.features = nn.Sequential()
        channels, out = in_channels, 2 * width
        while size > LAST:
            self.features.append(PeriodicConv2d(channels, out, 3))
            if channels != in_channels:
                self.features.append(nn.BatchNorm2d(out))
            self.features.append(nn.LeakyReLU(SLOPE))
            self.features.extend(_normed(PeriodicConv2d(out, out, 3), out))
            self.features.extend(_normed(nn.Conv2d(out, out, 2, stride=2, bias=False), out))
            channels, out, size = out, 2 * out, size // 2
        self.features.extend(_normed(nn.Conv2d(channels, out, LAST, bias=False), out))
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(out, out // 2),
            nn.LeakyReLU(SLOPE),
            nn.Dropout(dropout),
            nn.Linear(out // 2, out_features),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, size, size)`` to ``(B, out_features)``."""
        check_maps(maps, self.in_channels, self.size, "cmd_cnn")
        output: Tensor = self.head(self.features(maps))
        return output


def _normed(layer: nn.Module, channels: int) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE)]
