"""A chain of residual blocks between maps (Johnson et al. 2016, arXiv:1603.08155), as in CycleGAN.

A convolution of 7 × 7 pixels, two of 3 × 3 with a step of 2, ``blocks`` residual blocks, two doublings, and
one of 7 × 7 pixels. Doubled is by interpolation and a convolution, which prints no grid. There is no bounded
function at the end: fields are standardised, not images of 8 bits.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.layers import check_maps
from skyloom.nets.patchgan import Norm, PaddedConv, Padding, norm_of
from skyloom.nets.unet import Resize


class ResidualBlock(nn.Module):
    """Two convolutions, the first with a ReLU, added to the input.

    Args:
        channels: Channels of input and output.
        padding: As in ``PaddedConv``.
        norm: ``instance``, ``batch`` or ``none``.

    Example:
        >>> import torch
        >>> ResidualBlock(4, padding="reflect", norm="instance")(torch.zeros(1, 4, 8, 8)).shape
        torch.Size([1, 4, 8, 8])
    """

    def __init__(self, channels: int, *, padding: Padding, norm: Norm) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(channels, channels, 3, padding), norm_of(norm, channels)
        self.conv2, self.norm2 = _conv(channels, channels, 3, padding), norm_of(norm, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, channels, H, W)`` to the same shape."""
        output: Tensor = maps + self.norm2(self.conv2(self.norm1(self.conv1(maps)).relu()))
        return output


class ResNetFields(nn.Module):
    """Residual network from maps to maps of the same size.

    Args:
        in_channels: Channels of the maps.
        out_features: Fields that it gives.
        size: Side length of the maps, pixels, a multiple of 4; maps of other multiples are accepted later.
        width: Channels of the first layer; four times as many in the blocks.
        blocks: Residual blocks.
        norm: ``instance`` as published, which takes the mean and contrast of every map out of its features;
            ``batch``; or ``none``, which keeps amplitudes.
        padding: ``circular`` for periodic maps, ``reflect`` for others, or ``zeros``.

    Raises:
        ShapeError: The size is no multiple of 4.
        UsageError: ``width`` or ``blocks`` is less than 1.

    Example:
        >>> import torch
        >>> ResNetFields(1, 2, 16, width=4, blocks=2)(torch.zeros(3, 1, 16, 16)).shape
        torch.Size([3, 2, 16, 16])
    """

    gives: ClassVar[str] = "fields"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        padding: Padding = "reflect",
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("blocks", blocks)):
            if value < 1:
                raise UsageError(f"resnet_fields needs {name} of 1 or more, found {value}")
        self.in_channels = in_channels
        _check_size(size, size)
        layers: list[nn.Module] = [_conv(in_channels, width, 7, padding), norm_of(norm, width), nn.ReLU()]
        for wide in (2 * width, 4 * width):
            halving = PaddedConv(wide // 2, wide, 3, margin=1, stride=2, padding=padding)
            layers += [halving, norm_of(norm, wide), nn.ReLU()]
        layers += [ResidualBlock(4 * width, padding=padding, norm=norm) for _ in range(blocks)]
        for wide in (2 * width, width):
            layers += [Resize(2 * wide, wide, padding), norm_of(norm, wide), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _conv(width, out_features, 7, padding))

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_features, H, W)``."""
        check_maps(maps, self.in_channels, None, "resnet_fields")
        _check_size(*maps.shape[-2:])
        fields: Tensor = self.layers(maps)
        return fields


def _conv(in_channels: int, out_channels: int, kernel: int, padding: Padding) -> PaddedConv:
    return PaddedConv(in_channels, out_channels, kernel, margin=kernel // 2, padding=padding)


def _check_size(H: int, W: int) -> None:
    if H % 4 or W % 4 or min(H, W) < 8:
        raise ShapeError(
            f"resnet_fields halves the map twice; maps of {H} × {W} pixels do not allow it",
            hint="use sides that are multiples of 4, 8 or more",
        )
