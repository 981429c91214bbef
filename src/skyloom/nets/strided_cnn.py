"""A small network of strided convolutions, as used to tell cosmic-ray transport from maps of gas density.

``[Conv 3×3 of stride 2, BatchNorm, SiLU]`` for each width, an average over 4 × 4 parts of what is left, and
one dense layer (Bustard & Wu 2024, arXiv:2402.03518). With widths 8, 16, 32, 64, one channel and five classes
it has 29,749 weights, the paper's fiducial network; its shallower and deeper ones have more or fewer widths,
its dropout stands between the average and the dense layer, in earlier versions after every convolution.
"""

from __future__ import annotations

from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.nets.layers import check_maps


class StridedCNN(nn.Module):
    """Strided convolutions, an average over parts of the map, and a dense layer.

    Args:
        in_channels: Channels of the maps.
        out_features: Numbers returned for a map.
        size: Side length of the maps, pixels.
        widths: Channels of each convolution; each halves the map.
        parts: The average is taken over ``parts`` × ``parts`` parts of the last features.
        dropout: Share of the averaged features that is dropped in training.
        block_dropout: Share of the features dropped after each convolution.

    Raises:
        UsageError: There is no width, or a share is not in [0, 1).

    Example:
        >>> net = StridedCNN(1, 5, 128)
        >>> sum(weight.numel() for weight in net.parameters())
        29749
    """

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        widths: list[int] = [8, 16, 32, 64],  # noqa: B006 - read, never written
        parts: int = 4,
        dropout: float = 0.25,
        block_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not widths or not 0 <= dropout < 1 or not 0 <= block_dropout < 1:
            raise UsageError(
                f"strided_cnn: widths {widths}, dropout {dropout}, block_dropout {block_dropout};"
                " at least one width is needed, and shares of at least 0 and below 1",
                hint="the fiducial network has widths [8, 16, 32, 64], dropout 0.25 and block_dropout 0",
            )
        self.in_channels, self.size = in_channels, size
        self.features = nn.Sequential()
        channels = in_channels
        for width in widths:
            self.features.append(nn.Conv2d(channels, width, 3, stride=2, padding=1))
            self.features.append(nn.BatchNorm2d(width))
            self.features.append(nn.SiLU())
            if block_dropout:
                self.features.append(nn.Dropout(block_dropout))
            channels = width
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(parts), nn.Flatten(), nn.Dropout(dropout))
        self.head.append(nn.Linear(channels * parts**2, out_features))

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, size, size)`` to ``(B, out_features)``."""
        check_maps(maps, self.in_channels, self.size, "strided_cnn")
        output: Tensor = self.head(self.features(maps))
        return output
