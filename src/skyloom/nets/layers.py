"""Pieces that networks share: periodic convolution, Keras' initialisers, the eight symmetries of a square.

A periodic box has no edge, so a convolution that pads with zeros shows the network a wall that is not there.
`PeriodicConv2d` pads with the opposite face instead, by its own `wrap`: ``torch.nn.functional.pad`` drops the
channels-last layout, and the gradient of a concatenation costs seven times what it has to.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from skyloom.errors import ShapeError

# Keras draws "Glorot normal" from a normal cut at two standard deviations, widened so that the cut one has
# unit variance.
TRUNCATED_NORMAL_SD = 0.87962566103423978


class _Wrap(torch.autograd.Function):
    """Periodic padding that copies the map once on the way out and once on the way back."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, width: int) -> Tensor:
        ctx.width = width
        B, C, H, W = maps.shape
        last = maps.is_contiguous(memory_format=torch.channels_last)
        padded = torch.empty(
            (B, C, H + 2 * width, W + 2 * width),
            dtype=maps.dtype,
            device=maps.device,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )
        rows = padded[:, :, width:-width]
        rows[..., width:-width] = maps
        rows[..., :width] = maps[..., -width:]
        rows[..., -width:] = maps[..., :width]
        padded[:, :, :width] = padded[:, :, H : H + width]
        padded[:, :, -width:] = padded[:, :, width : 2 * width]
        return padded

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Add what fell on the padding to the pixels that it was copied from."""
        width: int = ctx.width
        inner = slope[:, :, width:-width, width:-width].clone()
        for there, here in ((slice(-width, None), slice(0, width)), (slice(0, width), slice(-width, None))):
            inner[..., there] += slope[:, :, width:-width, here]
            inner[:, :, there] += slope[:, :, here, width:-width]
            inner[:, :, there, -width:] += slope[:, :, here, :width]
            inner[:, :, there, :width] += slope[:, :, here, -width:]
        return inner, None


def wrap(maps: Tensor, width: int) -> Tensor:
    """Pad the last two axes with what lies beyond the opposite face of a periodic box.

    Args:
        maps: Shape ``(B, C, H, W)``, any unit; its memory layout is kept.
        width: Rows and columns added on each side, at most ``min(H, W)``.

    Returns:
        Shape ``(B, C, H + 2 width, W + 2 width)``, in the same unit.

    Raises:
        ShapeError: The map is smaller than the padding.

    Example:
        >>> wrap(torch.arange(4.0).reshape(1, 1, 2, 2), 1)[0, 0, 1].tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    if width == 0:
        return maps
    if min(maps.shape[-2:]) < width:
        raise ShapeError(
            f"a map of shape {tuple(maps.shape[-2:])} cannot be wrapped by {width} pixels",
            hint="use maps of at least that many pixels, or a network with fewer stages",
        )
    if torch.is_grad_enabled() and maps.requires_grad:
        wrapped: Tensor = _Wrap.apply(maps, width)  # type: ignore[no-untyped-call]
        return wrapped
    # Without a gradient the plain operations are as fast, and every exporter knows them.
    maps = torch.cat((maps[..., -width:, :], maps, maps[..., :width, :]), dim=-2)
    return torch.cat((maps[..., -width:], maps, maps[..., :width]), dim=-1)


class PeriodicConv2d(nn.Module):
    """Convolution without bias that keeps ``H / stride`` pixels, on a periodic or a bounded map.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd width of the kernel, pixels.
        stride: Step of the kernel, pixels. Shifting a periodic input by a multiple of ``stride`` shifts the
            output.
        circular: Pad with the opposite face; otherwise with zeros.

    Example:
        >>> conv = PeriodicConv2d(1, 2, 3)
        >>> x = torch.rand(1, 1, 8, 8)
        >>> torch.allclose(conv(x.roll(3, -1)), conv(x).roll(3, -1), atol=1e-6)
        True
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, circular: bool = True
    ) -> None:
        super().__init__()
        self.margin = kernel_size // 2 if circular else 0
        padding = 0 if circular else kernel_size // 2
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve ``(B, C, H, W)`` into ``(B, out_channels, H / stride, W / stride)``, rounded up."""
        features: Tensor = self.conv(wrap(maps, self.margin))
        return features


def dihedral(maps: Tensor, element: int) -> Tensor:
    """Apply one of the eight symmetries of the square, D4: quarter turns, then for 4 to 7 a flip.

    Args:
        maps: Shape ``(..., H, H)``, any unit.
        element: 0 to 7; 0 leaves the map as it is.

    Returns:
        The turned map, same shape and unit.

    Example:
        >>> m = torch.tensor([[1, 2], [3, 4]])
        >>> [dihedral(m, e).flatten().tolist() for e in (0, 1, 4)]
        [[1, 2, 3, 4], [2, 4, 1, 3], [2, 1, 4, 3]]
    """
    turned = torch.rot90(maps, element % 4, dims=(-2, -1))
    return turned.flip(-1) if element >= 4 else turned


def keras_glorot_normal_(tensor: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Fill a tensor in place as ``keras.initializers.GlorotNormal`` does (Glorot & Bengio 2010).

    Args:
        tensor: Any shape.
        fan_in: Inputs that reach one output; for a vector of ``n``, Keras takes ``n``.
        fan_out: Outputs that one input reaches; for a vector of ``n``, Keras takes ``n``.

    Returns:
        The same tensor: variance ``2 / (fan_in + fan_out)``, cut at two standard deviations of the wider
        normal.

    Example:
        >>> w = keras_glorot_normal_(torch.empty(1000, 1000), 1000, 1000)
        >>> bool(abs(w.var() * 1000 - 1) < 0.01)
        True
    """
    sd = math.sqrt(2.0 / (fan_in + fan_out)) / TRUNCATED_NORMAL_SD
    with torch.no_grad():
        return nn.init.trunc_normal_(tensor, std=sd, a=-2 * sd, b=2 * sd)


def check_maps(maps: Tensor, in_channels: int, size: int | None, net: str) -> None:
    """Refuse a batch that the network was not built for.

    Args:
        maps: The batch.
        in_channels: Channels that the network expects.
        size: Side length that it expects, pixels, or None for any.
        net: The network's name, for the message.

    Raises:
        ShapeError: The batch is not ``(B, in_channels, size, size)``.

    Example:
        >>> check_maps(torch.zeros(2, 1, 8, 8), 1, 8, "vgg")
    """
    right = maps.ndim == 4 and maps.shape[1] == in_channels
    if right and size is not None:
        right = tuple(maps.shape[2:]) == (size, size)
    if not right:
        wanted = f"(B, {in_channels}, H, W)" if size is None else f"(B, {in_channels}, {size}, {size})"
        raise ShapeError(
            f"{net} was built for maps of shape {wanted}, found {tuple(maps.shape)}",
            hint="build the network again with the channels and the size of these maps",
        )
