r"""A critic of patches (PatchGAN; Isola et al. 2017, arXiv:1611.07004): a map of scores, one for each patch.

``n`` convolutions of 4 × 4 pixels with a step of 2, then two with a step of 1. A score of the last sees a
patch of ``r`` pixels on each side,

.. math:: r_n = 9 \cdot 2^n - 2 = 16, 34, 70, 142, 286 \quad (n = 1 \dots 5),

or one pixel, by 1 × 1 convolutions. The published 70 suits maps of 256 pixels: of a map of 64 it sees all,
and the critic is one of whole maps. Left open, the patch is the largest that spans at most 30 % of the map.

Weights begin as He et al. (2015, arXiv:1502.01852) say for this activation, so that scores vary as the maps
do also where nothing is normalised: torch's own beginning takes a third of the spread away in every layer.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.layers import check_maps, wrap

FIELDS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}  #: pixels that a score sees, to steps of 2
SHARE = 0.3
SLOPE = 0.2  #: of the activation below 0
Padding = Literal["circular", "reflect", "zeros"]
Norm = Literal["instance", "batch", "none"]


class PaddedConv(nn.Module):
    """A convolution that knows what lies beyond the edge of a map.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Width of the kernel, pixels.
        margin: Rows and columns added on each side.
        stride: Step of the kernel, pixels.
        padding: What is added: the opposite side, the mirror image, or zeros.

    Example:
        >>> conv, x = PaddedConv(1, 2, 4, margin=1, stride=2, padding="circular"), torch.rand(1, 1, 8, 8)
        >>> torch.allclose(conv(x.roll(2, -1)), conv(x).roll(1, -1), atol=1e-6)
        True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        margin: int,
        stride: int = 1,
        padding: Padding,
    ) -> None:
        super().__init__()
        self.margin, self.padding = margin, padding
        own = margin if padding == "zeros" else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=own)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve ``(B, in_channels, H, W)``."""
        if self.padding == "circular":
            maps = wrap(maps, self.margin)
        elif self.padding == "reflect" and self.margin:
            maps = pad(maps, (self.margin,) * 4, mode="reflect")
        features: Tensor = self.conv(maps)
        return features


def norm_of(kind: Norm, channels: int) -> nn.Module:
    """Return a normalisation layer over each map, over the batch, or none.

    Args:
        kind: ``instance``, ``batch`` or ``none``.
        channels: Channels to normalise.

    Example:
        >>> norm_of("none", 3)(torch.ones(1)).item()
        1.0
    """
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=True)


class PatchGAN(nn.Module):
    """A score for each patch of a map.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers that describe each map, seen as constant channels; may be 0.
        size: Side length of the maps, pixels.
        receptive_field: Side of the patch that a score sees, pixels: 1, 16, 34, 70, 142 or 286; None for the
            largest that spans at most 30 % of the map, 16 at least.
        width: Channels of the first layer; doubled in each of the next, eightfold at most.
        norm: ``instance``, each map by itself; ``batch``; or ``none``. Real and generated maps are scored
            apart, so ``batch`` hides from the critic what whole batches have in common, such as their mean.
        padding: ``circular`` for periodic maps, ``reflect`` or ``zeros`` for others.

    Raises:
        UsageError: There is no such receptive field.
        ShapeError: The map is too small for it.

    Example:
        >>> critic = PatchGAN(2, 0, 32, width=8)
        >>> critic.receptive_field, critic(torch.zeros(3, 2, 32, 32), torch.zeros(3, 0)).shape
        (16, torch.Size([3, 1, 14, 14]))
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        receptive_field: int | None = None,
        width: int = 64,
        norm: Norm = "instance",
        padding: Padding = "circular",
    ) -> None:
        super().__init__()
        if receptive_field is None:
            receptive_field = max(field for field in FIELDS if field <= max(16, SHARE * size))
        if receptive_field not in FIELDS:
            raise UsageError(
                f"critic 'patchgan': a receptive field of {receptive_field} pixels",
                hint=f"allowed: {', '.join(map(str, FIELDS))}",
            )
        halvings = FIELDS[receptive_field]
        if size < 2**halvings * 4 and halvings:
            raise ShapeError(
                f"critic 'patchgan': maps of {size} pixels are too small for patches of {receptive_field}",
                hint=f"use maps of {2**halvings * 4} pixels or more, or a smaller receptive_field",
            )
        self.in_channels, self.receptive_field = in_channels, receptive_field
        sides = [(4, 1, 2)] * halvings + [(4, 1, 1)] * 2 if halvings else [(1, 0, 1)] * 3
        widths = [width * min(2**level, 8) for level in range(len(sides) - 1)] + [1]
        inputs = [in_channels + conditions, *widths[:-1]]
        convs = [
            PaddedConv(into, out, kernel, margin=margin, stride=stride, padding=padding)
            for into, out, (kernel, margin, stride) in zip(inputs, widths, sides, strict=True)
        ]
        for layer in convs:
            nn.init.kaiming_normal_(layer.conv.weight, a=SLOPE)
            if layer.conv.bias is not None:
                nn.init.zeros_(layer.conv.bias)
        self.convs = nn.ModuleList(convs)
        # As published, neither the first layer nor the scores are normalised.
        self.norms = nn.ModuleList(
            norm_of("none" if level == 0 else norm, out) for level, out in enumerate(widths[:-1])
        )

    def forward(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Return scores ``(B, 1, h, w)``, high for real.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
        """
        scores: Tensor = self.convs[-1](self.features(maps, conditions)[-1])
        return scores

    def features(self, maps: Tensor, conditions: Tensor) -> list[Tensor]:
        """Return what each layer but the last makes of maps, each ``(B, channels, h, w)``; as `forward`."""
        check_maps(maps, self.in_channels, None, "critic patchgan")
        constant = conditions[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        last, found = torch.cat((maps, constant), dim=1), []
        for conv, norm in zip(self.convs, self.norms, strict=False):
            last = leaky_relu(norm(conv(last)), SLOPE)
            found.append(last)
        return found
