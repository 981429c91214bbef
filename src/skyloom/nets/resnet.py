"""A residual network for periodic maps (He et al. 2015, arXiv:1512.03385), small enough for a CPU.

The skips average before they subsample, as in ResNet-D (He et al. 2018, arXiv:1812.01187). A 5 × 5 stem of
stride 2, four stages of basic blocks (the later three halve the map and double the channels), then the mean
and the standard deviation of each feature over the map, and one linear layer. A strided network is
equivariant to shifts by multiples of its total stride, so with circular padding the output is *invariant* to
rolls of a periodic map by multiples of ``ResNet.stride`` where that divides the size. ``d4_average`` makes it
invariant to flips and quarter turns too, at prediction.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from skyloom.errors import ShapeError, UsageError, nearest
from skyloom.nets.layers import PeriodicConv2d, check_maps, dihedral

VARIANCE_FLOOR = 1e-4
SMALLEST_MAP = 8


def normalisation(kind: str, channels: int) -> nn.Module:
    """Return a normalisation layer: over the batch, or over up to eight groups of channels in each map.

    Args:
        kind: ``batch`` or ``group``.
        channels: Channels to normalise.

    Raises:
        UsageError: The kind is unknown.

    Example:
        >>> normalisation("group", 32).num_groups
        8
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        groups = next(g for g in (8, 4, 2, 1) if channels % g == 0)
        return nn.GroupNorm(groups, channels)
    raise UsageError(f"resnet has no norm {kind!r}", hint=nearest(kind, ("batch", "group")))


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions added to their input.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Step of the first convolution, pixels.
        circular: Whether the map is periodic.
        norm: ``batch`` or ``group``.

    Example:
        >>> BasicBlock(4, 8, stride=2, circular=True, norm="batch")(torch.zeros(2, 4, 8, 8)).shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, circular: bool, norm: str) -> None:
        super().__init__()
        self.conv1 = PeriodicConv2d(in_channels, channels, 3, stride=stride, circular=circular)
        self.norm1 = normalisation(norm, channels)
        self.relu1 = nn.ReLU()
        self.conv2 = PeriodicConv2d(channels, channels, 3, circular=circular)
        self.norm2 = normalisation(norm, channels)
        self.relu2 = nn.ReLU()
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            # A strided 1 × 1 convolution would skip three pixels in four: average them first, as ResNet-D
            # does.
            self.skip = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(in_channels, channels, 1, bias=False),
                normalisation(norm, channels),
            )
        # A block that starts as the identity trains steadily from the first step (Goyal et al. 2017,
        # arXiv:1706.02677).
        nn.init.zeros_(self.norm2.weight)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, channels, H / stride, W / stride)``."""
        features = self.relu1(self.norm1(self.conv1(maps)))
        features = self.norm2(self.conv2(features))
        output: Tensor = self.relu2(features + self.skip(maps))
        return output


class ResNet(nn.Module):
    """Residual network with mean and spread pooling.

    Args:
        in_channels: Channels of the maps.
        out_features: Numbers returned for a map.
        size: Side length of the maps, pixels; other sizes are accepted later, the pooling takes any.
        width: Channels of the stem and the first stage; doubled in each later stage.
        blocks: Basic blocks in each stage.
        circular: Pad with the opposite face, for periodic maps; otherwise with zeros.
        norm: ``batch``, or ``group`` where batches are small or the result must not depend on them.
        dropout: Probability of dropping a pooled feature in training.
        d4_average: At prediction, average the output over the eight flips and quarter turns (8 × the time).

    Attributes:
        stride: Total stride, pixels.

    Raises:
        ShapeError: The maps are smaller than 8 pixels a side.
        UsageError: ``norm`` or ``blocks`` is wrong.

    Example:
        >>> net = ResNet(1, 2, 32, width=4, d4_average=True).eval()
        >>> x = torch.rand(3, 1, 32, 32)
        >>> torch.allclose(net(x), net(x.rot90(1, (-2, -1)).roll(16, -1)), atol=1e-6)
        True
    """

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        width: int = 32,
        blocks: list[int] = [1, 1, 1, 1],  # noqa: B006 - read, never written
        circular: bool = True,
        norm: Literal["batch", "group"] = "batch",
        dropout: float = 0.0,
        d4_average: bool = False,
    ) -> None:
        super().__init__()
        if size < SMALLEST_MAP:
            raise ShapeError(
                f"resnet needs maps of at least {SMALLEST_MAP} pixels a side, found {size}",
                hint="use larger maps",
            )
        if not blocks or min(blocks) < 1:
            raise UsageError(
                f"resnet needs at least one block in each stage, found blocks={blocks}",
                hint="write e.g. [1, 1, 1, 1]",
            )
        self.in_channels, self.d4_average = in_channels, d4_average
        self.stride = 2 ** len(blocks)
        self.stem = nn.Sequential(
            PeriodicConv2d(in_channels, width, 5, stride=2, circular=circular),
            normalisation(norm, width),
            nn.ReLU(),
        )
        self.stages = nn.Sequential()
        channels = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage and not block else 1
                out = width * 2**stage
                self.stages.append(BasicBlock(channels, out, stride=stride, circular=circular, norm=norm))
                channels = out
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * channels, out_features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_features)``."""
        check_maps(maps, self.in_channels, None, "resnet")
        if self.training or not self.d4_average:
            return self.once(maps)
        return torch.stack([self.once(dihedral(maps, element)) for element in range(8)]).mean(dim=0)

    def once(self, maps: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_features)``, in this orientation only."""
        features = self.stages(self.stem(maps))
        variance, mean = torch.var_mean(features, dim=(-2, -1), correction=0)
        # The floor keeps the slope of the root finite where a feature is constant over the map.
        pooled = torch.cat((mean, (variance + VARIANCE_FLOOR).sqrt()), dim=1)
        output: Tensor = self.head(self.dropout(pooled))
        return output
