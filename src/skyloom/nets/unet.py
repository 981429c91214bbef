"""A U-Net (Ronneberger et al. 2015, arXiv:1505.04597): from maps to maps of the same size.

A contracting path of blocks of two convolutions, each but the last followed by a maximum over 2 × 2 pixels,
and an expanding path that doubles the map and joins it with what the contracting path knew at that size. A
last 1 × 1 convolution, without an activation, gives the fields.

A transposed convolution of stride 2 gives the four pixels that one becomes weights of their own, which
prints a grid on the output. Interpolation followed by a convolution treats all pixels alike and prints none
(Odena et al. 2016, doi:10.23915/distill.00003): that is ``up="bilinear"``.

With ``width=8, depth=4, padding="zeros", residual=False, up="transposed"`` it is the network of the
cosmic-ray study (the U-Net of elektronn3 with a batch norm after each up-convolution): 121,497 parameters for
one field to one field, 483,377 at 16 and 1,928,289 at 32. A periodic map wants ``circular`` padding.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.layers import check_maps, wrap

Padding = Literal["circular", "reflect", "zeros"]
Norm = Literal["batch", "group", "none"]
Doubling = Literal["transposed", "bilinear"]


class Conv3(nn.Module):
    """A 3 × 3 convolution that keeps the size of the map.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        padding: What lies beyond an edge: the opposite side, the mirror image, or zeros.

    Example:
        >>> conv, x = Conv3(1, 2, "circular"), torch.rand(1, 1, 8, 8)
        >>> torch.allclose(conv(x.roll(3, -1)), conv(x).roll(3, -1), atol=1e-6)
        True
    """

    def __init__(self, in_channels: int, out_channels: int, padding: Padding) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1 if padding == "zeros" else 0)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve ``(B, in_channels, H, W)`` into ``(B, out_channels, H, W)``."""
        if self.padding == "circular":
            maps = wrap(maps, 1)
        elif self.padding == "reflect":
            maps = pad(maps, (1, 1, 1, 1), mode="reflect")
        features: Tensor = self.conv(maps)
        return features


class Block(nn.Module):
    """Two convolutions, each with its normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        padding: As in ``Conv3``.
        norm: ``batch``, ``group`` or ``none``.
        residual: Add the input, through a 1 × 1 convolution where the channels differ, before the last ReLU.

    Example:
        >>> Block(1, 4, padding="circular", norm="batch", residual=True)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self, in_channels: int, channels: int, *, padding: Padding, norm: Norm, residual: bool
    ) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv3(in_channels, channels, padding), normalisation(norm, channels)
        self.conv2, self.norm2 = Conv3(channels, channels, padding), normalisation(norm, channels)
        self.skip: nn.Module | None = None
        if residual:
            same = in_channels == channels
            self.skip = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, channels, H, W)``."""
        features = self.norm1(self.conv1(maps)).relu()
        features = self.norm2(self.conv2(features))
        if self.skip is not None:
            features = features + self.skip(maps)
        output: Tensor = features.relu()
        return output


class Resize(nn.Module):
    """Double the map by bilinear interpolation, and a 3 × 3 convolution.

    Args:
        in_channels: Channels of the smaller map.
        channels: Channels of the larger one.
        padding: As in ``Conv3``.

    Example:
        >>> resize, x = Resize(1, 2, "circular"), torch.rand(1, 1, 4, 4)
        >>> torch.allclose(resize(x.roll(1, -1)), resize(x).roll(2, -1), atol=1e-6)
        True
    """

    def __init__(self, in_channels: int, channels: int, padding: Padding) -> None:
        super().__init__()
        self.padding, self.conv = padding, Conv3(in_channels, channels, padding)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, channels, 2H, 2W)``."""
        if self.padding == "circular":
            larger = interpolate(wrap(maps, 1), scale_factor=2.0, mode="bilinear")[..., 2:-2, 2:-2]
        else:  # beyond an edge the last pixel goes on
            larger = interpolate(maps, scale_factor=2.0, mode="bilinear")
        features: Tensor = self.conv(larger)
        return features


class Up(nn.Module):
    """Double the map, normalise, join it with the features of that size, and a block.

    Args:
        in_channels: Channels of the smaller map.
        channels: Channels of the larger one, and of the output.
        padding: As in ``Conv3``.
        norm: ``batch``, ``group`` or ``none``.
        residual: As in ``Block``.
        up: As in ``UNet``.
        dropout: Share of the output that is dropped.

    Example:
        >>> up = Up(8, 4, padding="zeros", norm="batch", residual=False, up="bilinear")
        >>> up(torch.zeros(1, 8, 4, 4), torch.zeros(1, 4, 8, 8)).shape
        torch.Size([1, 4, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        padding: Padding,
        norm: Norm,
        residual: bool,
        up: Doubling,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = (
            nn.ConvTranspose2d(in_channels, channels, 2, stride=2)
            if up == "transposed"
            else Resize(in_channels, channels, padding)
        )
        self.norm = normalisation(norm, channels)
        self.block = Block(2 * channels, channels, padding=padding, norm=norm, residual=residual)
        self.drop = nn.Dropout(dropout)

    def forward(self, maps: Tensor, beside: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` and ``(B, channels, 2H, 2W)`` to ``(B, channels, 2H, 2W)``."""
        larger = self.norm(self.conv(maps)).relu()
        output: Tensor = self.drop(self.block(torch.cat((larger, beside), dim=1)))
        return output


class UNet(nn.Module):
    """U-Net from maps to maps of the same size.

    Args:
        in_channels: Channels of the maps.
        out_features: Fields that it gives.
        size: Side length of the maps, pixels, a multiple of ``2 ** (depth - 1)``; maps of other multiples are
            accepted later.
        width: Channels of the first block; doubled in each deeper one.
        depth: Blocks of the contracting path; the map is halved between any two.
        padding: ``circular`` for periodic maps, ``reflect`` for others; ``zeros`` as in the published one.
        norm: ``batch``, ``group`` where batches are small, or ``none``.
        residual: Whether each block adds its input to its output.
        up: How the map is doubled: ``bilinear``, which prints no grid on the output, or ``transposed``, as in
            the published one.
        dropout: Share of the features that is dropped at each size of the expanding path but the last.

    Attributes:
        gives: ``fields``: the output is ``(B, out_features, H, W)``, not ``(B, out_features)``.

    Raises:
        ShapeError: The size cannot be halved as often as the depth needs.
        UsageError: ``width`` or ``depth`` is less than 1.

    Example:
        >>> net = UNet(1, 1, 48, width=8, depth=4, padding="zeros", residual=False, up="transposed")
        >>> sum(weight.numel() for weight in net.parameters())
        121497
    """

    gives: ClassVar[str] = "fields"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        width: int = 16,
        depth: int = 4,
        padding: Padding = "circular",
        norm: Norm = "batch",
        residual: bool = True,
        up: Doubling = "bilinear",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth)):
            if value < 1:
                raise UsageError(f"unet needs a {name} of 1 or more, found {value}")
        self.in_channels, self.step = in_channels, 2 ** (depth - 1)
        self._check_size(size, size)
        widths = [width * 2**level for level in range(depth)]
        inputs = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(
            Block(into, out, padding=padding, norm=norm, residual=residual)
            for into, out in zip(inputs, widths, strict=True)
        )
        self.up = nn.ModuleList(
            Up(
                2 * out,
                out,
                padding=padding,
                norm=norm,
                residual=residual,
                up=up,
                dropout=0.0 if out == width else dropout,
            )
            for out in widths[-2::-1]
        )
        self.last = nn.Conv2d(width, out_features, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_features, H, W)``."""
        check_maps(maps, self.in_channels, None, "unet")
        self._check_size(*maps.shape[-2:])
        known: list[Tensor] = []
        for level, block in enumerate(self.down):
            maps = block(maps if level == 0 else nn.functional.max_pool2d(maps, 2))
            known.append(maps)
        for up, beside in zip(self.up, reversed(known[:-1]), strict=True):
            maps = up(maps, beside)
        output: Tensor = self.last(maps)
        return output

    def _check_size(self, H: int, W: int) -> None:
        if H % self.step or W % self.step or not H or not W:
            raise ShapeError(
                f"unet halves the map until one pixel in {self.step} is left; maps of {H} × {W} pixels do "
                f"not allow it",
                hint=f"use sides that are multiples of {self.step}, or a smaller depth",
            )


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """Return a normalisation layer: over the batch, over up to eight groups of channels in a map, or none.

    Args:
        kind: ``batch``, ``group`` or ``none``.
        channels: Channels to normalise.

    Example:
        >>> normalisation("none", 3)(torch.ones(1)).item()
        1.0
    """
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(next(g for g in (8, 4, 2, 1) if channels % g == 0), channels)
