"""The VGG of the neutral-fraction tutorial and of Hassan, Andrianomena & Doughty (2020, arXiv:1907.07787).

``[Conv 3×3 c, Conv 3×3 c, BatchNorm, ReLU, MaxPool 2]`` for ``c = 32, 64, 128``, the same without the pooling
for 256, then three ``[Dense 1024, BatchNorm, ReLU]`` and a last ``Dense``. The first convolution of each pair
is linear, nothing has a bias, and kernels **and** the shifts of the normalisation start from Keras' Glorot
normal. At 200 × 200 with one output: 167,116,000 trainable parameters, 163,840,000 of them in the first dense
layer.

Features are flattened in the order ``(H, W, C)``, which is Keras' own: its weights fit without a permutation,
and a channels-last tensor is flattened without a copy.
"""

from __future__ import annotations

from torch import Tensor, nn

from skyloom.errors import ShapeError
from skyloom.nets.layers import check_maps, keras_glorot_normal_

KERAS_EPSILON = 1e-3


class VGG(nn.Module):
    """Pairs of convolutions, pooled between, and a dense head.

    Args:
        in_channels: Channels of the maps.
        out_features: Numbers returned for a map.
        size: Side length of the maps, pixels.
        widths: Channels of each pair of convolutions; there is a pooling after every pair but the last.
        dense: Widths of the dense layers before the last.
        batch_norm_momentum: Weight of the newest batch in the running mean and variance (Keras calls
            ``1 - 0.1 = 0.9`` its momentum).

    Raises:
        ShapeError: The map is too small to be pooled ``len(widths) - 1`` times.

    Example:
        >>> import torch
        >>> net = VGG(1, 2, 16, widths=[4, 8], dense=[16])
        >>> net(torch.zeros(3, 1, 16, 16)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        widths: list[int] = [32, 64, 128, 256],  # noqa: B006 - read, never written
        dense: list[int] = [1024, 1024, 1024],  # noqa: B006
        batch_norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        poolings = len(widths) - 1
        if size < 2**poolings:
            raise ShapeError(
                f"vgg with {len(widths)} widths needs {2**poolings} pixels a side or more, found {size}",
                hint="shorten `widths` or use larger maps",
            )
        self.in_channels, self.size = in_channels, size
        self.features = nn.Sequential()
        channels = in_channels
        for stage, width in enumerate(widths):
            self.features.append(nn.Conv2d(channels, width, 3, padding="same", bias=False))
            self.features.append(nn.Conv2d(width, width, 3, padding="same", bias=False))
            self.features.append(nn.BatchNorm2d(width, eps=KERAS_EPSILON, momentum=batch_norm_momentum))
            self.features.append(nn.ReLU())
            if stage < poolings:
                self.features.append(nn.MaxPool2d(2))
            channels = width
        self.head = nn.Sequential()
        flat = channels * (size // 2**poolings) ** 2
        for width in dense:
            self.head.append(nn.Linear(flat, width, bias=False))
            self.head.append(nn.BatchNorm1d(width, eps=KERAS_EPSILON, momentum=batch_norm_momentum))
            self.head.append(nn.ReLU())
            flat = width
        self.head.append(nn.Linear(flat, out_features, bias=False))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew, as the tutorial's Keras does."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                area = layer.kernel_size[0] * layer.kernel_size[1]
                keras_glorot_normal_(layer.weight, area * layer.in_channels, area * layer.out_channels)
            elif isinstance(layer, nn.Linear):
                keras_glorot_normal_(layer.weight, layer.in_features, layer.out_features)
            elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
                layer.reset_parameters()
                keras_glorot_normal_(layer.bias, layer.num_features, layer.num_features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, size, size)`` to ``(B, out_features)``."""
        check_maps(maps, self.in_channels, self.size, "vgg")
        features: Tensor = self.features(maps)
        output: Tensor = self.head(features.permute(0, 2, 3, 1).flatten(1))
        return output
