"""PixelCNN++: a network whose output at a pixel depends on the pixels before it, and on nothing else.

Salimans et al. 2017, arXiv:1701.05517, written from the paper. Pixels are read row by row, from the left. Two
streams run side by side: ``u`` sees the rows above, by kernels that reach up (down-shifted), and ``v`` also
the same row to the left, by kernels that reach up and left (down-right-shifted). Both are chains of gated
residual blocks at several resolutions; the way back up takes in what the way down left at each resolution.
Weights are normalised (Salimans & Kingma 2016, arXiv:1602.07868), conditions are added inside every block.

A kernel of ``h × w`` reaches over the ``h - 1`` rows above, and either ``(w - 1) / 2`` columns on each side
or ``w - 1`` columns to the left. Beyond the edges all is 0, so an input of ones tells where they are.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skyloom.errors import ShapeError, UsageError

Reach = Literal["up", "up_left"]


def concat_elu(x: Tensor) -> Tensor:
    """Return ``elu(x)`` and ``elu(-x)``, one behind the other along the channels.

    Args:
        x: Shape ``(B, C, ...)``.

    Example:
        >>> concat_elu(torch.tensor([[2.0]])).tolist() == [[2.0, torch.expm1(torch.tensor(-2.0)).item()]]
        True
    """
    return F.elu(torch.cat((x, -x), dim=1))


class NormedConv(nn.Module):
    r"""Convolution of the pixels above, or above and to the left, whose weights are normalised.

    .. math:: W = g \, V / \lVert V \rVert, \text{ a norm and a gain for each output channel.}

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Rows and columns.
        reach: ``up``, the columns on both sides; ``up_left``, those to the left.
        stride: Step in both directions. Output ``(r, c)`` stands where input ``(stride r, stride c)`` is.
        scale: Spread of the outputs that ``initialise`` aims at.

    Example:
        >>> conv = NormedConv(1, 1, (2, 2), reach="up_left")
        >>> x = torch.zeros(1, 1, 4, 4)
        >>> x[0, 0, 1, 1] = 1.0
        >>> (conv(x) - conv(0 * x))[0, 0].ne(0).int().tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        *,
        reach: Reach = "up",
        stride: int = 1,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.stride, self.scale = stride, scale
        rows, columns = kernel
        self.left = columns - 1 if reach == "up_left" else (columns - 1) // 2
        self.padding = rows - 1, self.left
        self.direction = nn.Parameter(0.05 * torch.randn(out_channels, in_channels, rows, columns))
        self.gain = nn.Parameter(torch.ones(out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.initialising = False

    def weight(self) -> Tensor:
        """Return the weights, shape ``(out_channels, in_channels, rows, columns)``."""
        return _normed(self.direction, self.gain)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(B, in_channels, H, W)`` into ``(B, out_channels, H / stride, W / stride)``."""
        H, W = (-(-side // self.stride) for side in x.shape[2:])
        found = F.conv2d(x, self.weight(), self.bias, self.stride, self.padding)
        if self.initialising:
            return _initialised(self, found[:, :, :H, :W], self.scale)
        return found[:, :, :H, :W]


class NormedTransposedConv(nn.Module):
    """Transposed convolution with normalised weights that doubles a map.

    Output ``(i, j)`` takes from the input at ``i // 2`` in its column or, with the reach ``up``, also in the
    column on its other side.

    Args:
        channels: Channels of input and output.
        reach: As in `NormedConv`; the kernel is 2 × 3 for ``up`` and 2 × 2 for ``up_left``.
    """

    def __init__(self, channels: int, *, reach: Reach) -> None:
        super().__init__()
        columns = 3 if reach == "up" else 2
        self.left = columns - 2
        self.direction = nn.Parameter(0.05 * torch.randn(channels, channels, 2, columns))
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.initialising = False

    def weight(self) -> Tensor:
        """Return the weights, shape ``(in, out, rows, columns)``."""
        return _normed(self.direction.transpose(0, 1), self.gain).transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``(B, C, H, W)`` into ``(B, C, 2 H, 2 W)``."""
        found: Tensor = F.conv_transpose2d(x, self.weight(), self.bias, 2)
        found = found[..., self.left : self.left + 2 * x.shape[3]]
        return _initialised(self, found, 1.0) if self.initialising else found


def _normed(direction: Tensor, gain: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(direction, dim=(1, 2, 3), keepdim=True)
    return direction * (gain.view(-1, 1, 1, 1) / norm)


@torch.no_grad()
def _initialised(conv: NormedConv | NormedTransposedConv, found: Tensor, scale: float) -> Tensor:
    """Set gain and bias so that each channel has mean 0 and the given spread over this batch."""
    mean, sd = found.mean(dim=(0, 2, 3)), found.std(dim=(0, 2, 3), correction=0)
    factor = scale / sd.clamp(min=0.1)  # what is constant in this batch need not be so in others
    conv.bias.copy_((conv.bias - mean) * factor)
    conv.gain.mul_(factor)
    shape = (1, -1, 1, 1)
    return (found - mean.view(shape)) * factor.view(shape)


class GatedBlock(nn.Module):
    """Gated residual block: ``x + a sigmoid(b)``, with ``a, b`` from two convolutions and the conditions.

    Args:
        filters: Channels ``F``.
        reach: That of its convolutions: 2 × 3 for ``up``, 2 × 2 for ``up_left``.
        beside: Tensors of ``2 F`` channels, those of ``concat_elu``, that it takes in.
        conditions: Numbers ``P`` that describe a map.
        dropout: Share of features dropped between the convolutions.
    """

    def __init__(self, filters: int, *, reach: Reach, beside: int, conditions: int, dropout: float) -> None:
        super().__init__()
        kernel = (2, 3) if reach == "up" else (2, 2)
        self.first = NormedConv(2 * filters, filters, kernel, reach=reach)
        self.beside = NormedConv(2 * filters * beside, filters, (1, 1)) if beside else None
        self.dropout = nn.Dropout(dropout)
        self.second = NormedConv(2 * filters, 2 * filters, kernel, reach=reach, scale=0.1)
        self.condition = nn.Linear(conditions, 2 * filters, bias=False) if conditions else None

    def forward(self, x: Tensor, active: Tensor, beside: list[Tensor], conditions: Tensor) -> Tensor:
        """Return the next features.

        Args:
            x: Shape ``(B, F, H, W)``.
            active: ``concat_elu(x)``, shape ``(B, 2 F, H, W)``.
            beside: What it takes in, shape ``(B, 2 F, H, W)`` each.
            conditions: Shape ``(B, P)``.
        """
        c = self.first(active)
        if self.beside is not None:
            c = c + self.beside(beside[0] if len(beside) == 1 else torch.cat(beside, dim=1))
        c = self.second(self.dropout(concat_elu(c)))
        if self.condition is not None:
            c = c + self.condition(conditions)[:, :, None, None]
        return x + F.glu(c, dim=1)


class Pair(NamedTuple):
    """Features of the two streams with their activations."""

    u: Tensor
    v: Tensor
    active_u: Tensor
    active_v: Tensor

    @classmethod
    def of(cls, u: Tensor, v: Tensor) -> Pair:
        """Activate both."""
        return cls(u, v, concat_elu(u), concat_elu(v))


class PairBlock(nn.Module):
    """A block of each stream: ``v`` takes in ``u``, and on the way up both what was left on the way down.

    Args:
        filters: Channels ``F``.
        skip: Whether there is something left from the way down.
        conditions: Numbers ``P`` that describe a map.
        dropout: Share of features dropped.
    """

    def __init__(self, filters: int, *, skip: bool, conditions: int, dropout: float) -> None:
        super().__init__()
        self.u = GatedBlock(filters, reach="up", beside=skip, conditions=conditions, dropout=dropout)
        self.v = GatedBlock(filters, reach="up_left", beside=1 + skip, conditions=conditions, dropout=dropout)

    def forward(self, x: Pair, left: Pair | None, conditions: Tensor) -> Pair:
        """Return the next features of both streams."""
        beside = [] if left is None else [left.active_u]
        u = self.u(x.u, x.active_u, beside, conditions)
        active_u = concat_elu(u)
        beside = [active_u] if left is None else [active_u, left.active_v]
        v = self.v(x.v, x.active_v, beside, conditions)
        return Pair(u, v, active_u, concat_elu(v))


class PixelCNN(nn.Module):
    """PixelCNN++ with one output for each pixel, which knows the pixels before it.

    Args:
        in_channels: Channels of the input, that of ones not counted.
        out_channels: Outputs at each pixel.
        conditions: Numbers ``P`` that describe a map; may be 0.
        size: Side length of the maps, pixels.
        nr_resnet: Pairs of gated blocks at each resolution.
        nr_filters: Channels ``F`` of both streams.
        scales: Resolutions; each but the first halves the map.
        dropout: Share of features dropped in each block.

    Raises:
        UsageError: The size cannot be halved so often, or a number is out of range.
        ShapeError: From ``forward``: the inputs do not fit.

    Example:
        >>> net = PixelCNN(1, 3, 2, 8, nr_resnet=1, nr_filters=4, scales=2)
        >>> net(torch.zeros(5, 1, 8, 8), torch.zeros(5, 2)).shape
        torch.Size([5, 3, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conditions: int,
        size: int,
        *,
        nr_resnet: int = 5,
        nr_filters: int = 160,
        scales: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        for name, value in (("nr_resnet", nr_resnet), ("nr_filters", nr_filters), ("scales", scales)):
            if value < 1:
                raise UsageError(f"pixelcnn: {name} is {value}", hint="give 1 or more")
        if size % 2 ** (scales - 1):
            raise UsageError(
                f"pixelcnn cannot halve maps of {size} pixels {scales - 1} times",
                hint=f"the size must be a multiple of {2 ** (scales - 1)}: give fewer scales",
            )
        self.in_channels, self.out_channels, self.conditions = in_channels, out_channels, conditions
        self.size, self.filters, self.scales = size, nr_filters, scales
        C, F_ = in_channels + 1, nr_filters

        def blocks(count: int, skip: bool) -> nn.ModuleList:
            made = [PairBlock(F_, skip=skip, conditions=conditions, dropout=dropout) for _ in range(count)]
            return nn.ModuleList(made)

        self.above = NormedConv(C, F_, (2, 3))
        self.above_near = NormedConv(C, F_, (1, 3))
        self.left = NormedConv(C, F_, (2, 1), reach="up_left")
        self.down: Any = nn.ModuleList(blocks(nr_resnet, skip=False) for _ in range(scales))
        self.halve_u: Any = nn.ModuleList(NormedConv(F_, F_, (2, 3), stride=2) for _ in range(scales - 1))
        self.halve_v: Any = nn.ModuleList(
            NormedConv(F_, F_, (2, 2), reach="up_left", stride=2) for _ in range(scales - 1)
        )
        # From the coarsest scale on: there the last features of the way down are the first of the way up.
        self.up: Any = nn.ModuleList(blocks(nr_resnet + (k > 0), skip=True) for k in range(scales))
        self.double_u: Any = nn.ModuleList(NormedTransposedConv(F_, reach="up") for _ in range(scales - 1))
        self.double_v: Any = nn.ModuleList(
            NormedTransposedConv(F_, reach="up_left") for _ in range(scales - 1)
        )
        self.head = NormedConv(2 * F_, out_channels, (1, 1), scale=0.1)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        """Return the outputs of every pixel, shape ``(B, out_channels, H, W)``.

        Args:
            x: Maps, shape ``(B, in_channels, H, W)``, of order 1.
            conditions: Shape ``(B, P)``, standardised.
        """
        if x.shape[1:] != (self.in_channels, self.size, self.size):
            wanted = f"(B, {self.in_channels}, {self.size}, {self.size})"
            raise ShapeError(f"pixelcnn was built for maps of shape {wanted}, found {tuple(x.shape)}")
        x = torch.cat((x, torch.ones_like(x[:, :1])), dim=1)
        above, before = shift_down(x), F.pad(x, (1, -1))
        here = Pair.of(self.above(above), self.above_near(above) + self.left(before))
        left = [here]
        for scale, blocks in enumerate(self.down):
            if scale:
                here = Pair.of(self.halve_u[scale - 1](here.u), self.halve_v[scale - 1](here.v))
                left.append(here)
            for block in blocks:
                here = block(here, None, conditions)
                left.append(here)
        here = left.pop()
        for step, blocks in enumerate(self.up):
            if step:
                here = Pair.of(self.double_u[step - 1](here.u), self.double_v[step - 1](here.v))
            for block in blocks:
                here = block(here, left.pop(), conditions)
        outputs: Tensor = self.head(here.active_v)
        return outputs

    @torch.no_grad()
    def initialise(self, x: Tensor, conditions: Tensor) -> None:
        """Set gains and biases by a batch, so that features begin with mean 0 and variance 1 in it.

        Args:
            x: As ``forward`` takes it.
            conditions: As ``forward`` takes them.
        """
        convs = [m for m in self.modules() if isinstance(m, NormedConv | NormedTransposedConv)]
        training = self.training
        self.eval()
        for conv in convs:
            conv.initialising = True
        try:
            self(x, conditions)
        finally:
            for conv in convs:
                conv.initialising = False
            self.train(training)


def shift_down(x: Tensor) -> Tensor:
    """Move maps ``(..., H, W)`` one row down; the first row becomes 0.

    Example:
        >>> shift_down(torch.tensor([[1.0], [2.0]])).tolist()
        [[0.0], [1.0]]
    """
    return F.pad(x, (0, 0, 1, -1))
