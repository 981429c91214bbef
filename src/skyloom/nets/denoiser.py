"""The network behind a diffusion or a flow: maps, a time and conditions in, maps out.

It is the U-Net of diffusers (``UNet2DModel``: residual blocks with group norm, the time added as an
embedding; Ho et al. 2020, arXiv:2006.11239). What is ours: conditions of any kind, added to the
embedding of the time; convolutions that wrap around a periodic map; and ``patch``, which folds blocks of
pixels into channels, so that the network works on a smaller map (Hoogeboom et al. 2023, arXiv:2301.11093).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.layers import check_maps, wrap

TIME_SCALE = 1000.0  # the sinusoids of the time embedding were made for steps from 0 to 1000


class DenoisingUNet(nn.Module):
    """U-Net of a noisy map, a time between 0 and 1, and conditions.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers ``P`` that describe what is wanted of each map; may be 0.
        size: Side length of the maps, pixels.
        width: Channels at the finest level.
        multiples: Channels of each level, in multiples of the width; each level halves the map.
        blocks: Residual blocks in each level.
        attention: Self-attention at the coarsest level.
        patch: Side of the blocks of pixels that become channels; 1 for none.
        padding: ``circular`` for a periodic map, ``zeros`` for one with edges.
        dropout: Share of features dropped in each residual block.

    Raises:
        UsageError: The size cannot be halved so often, or there is no level.
        ShapeError: From ``forward``: the inputs do not fit.

    Example:
        >>> net = DenoisingUNet(1, 2, 16, width=8, multiples=[1, 2])
        >>> x, t, c = torch.zeros(3, 1, 16, 16), torch.full((3,), 0.5), torch.zeros(3, 2)
        >>> net(x, t, c, known=torch.tensor([True, True, False])).shape
        torch.Size([3, 1, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        width: int = 32,
        multiples: list[int] = [1, 2, 3],  # noqa: B006 - read, never written
        blocks: int = 1,
        attention: bool = True,
        patch: int = 1,
        padding: Literal["circular", "zeros"] = "circular",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stride = patch * 2 ** max(len(multiples) - 1, 0)
        if not multiples or size % stride:
            raise UsageError(
                f"denoiser 'unet' cannot halve maps of {size} pixels in patches of {patch}"
                f" {len(multiples) - 1} times",
                hint=f"the size must be a multiple of {stride}: give fewer multiples or another patch",
            )
        from diffusers import UNet2DModel

        self.in_channels, self.conditions, self.size, self.patch = in_channels, conditions, size, patch
        levels, channels = len(multiples), [width * multiple for multiple in multiples]
        down, up = ["DownBlock2D"] * levels, ["UpBlock2D"] * levels
        if attention:
            down[-1], up[0] = "AttnDownBlock2D", "AttnUpBlock2D"
        groups = next(g for g in (8, 4, 2, 1) if all(count % g == 0 for count in channels))
        folded = in_channels * patch**2
        self.unet = UNet2DModel(
            sample_size=size // patch,
            in_channels=folded,
            out_channels=folded,
            layers_per_block=blocks,
            block_out_channels=tuple(channels),
            down_block_types=tuple(down),
            up_block_types=tuple(up),
            add_attention=attention,
            attention_head_dim=groups,
            norm_num_groups=groups,
            dropout=dropout,
            class_embed_type="identity",
        )
        embedding = 4 * channels[0]  # as wide as diffusers makes that of the time
        self.condition: nn.Module | None = None
        if conditions:
            self.condition = nn.Sequential(
                nn.Linear(conditions, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
            )
        self.unknown = nn.Parameter(torch.zeros(embedding))
        # Nothing is known at first: the network begins at zero, the mean of standardised maps.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        if padding == "circular":
            for layer in self.unet.modules():
                if isinstance(layer, nn.Conv2d) and layer.padding != (0, 0):
                    # Three times as fast as torch's own circular padding.
                    layer.register_forward_pre_hook(partial(_wrapped, layer.kernel_size[0] // 2))
                    layer.padding = (0, 0)

    def forward(self, x: Tensor, t: Tensor, conditions: Tensor, *, known: Tensor) -> Tensor:
        """Return maps of the shape of ``x``.

        Args:
            x: Noisy maps, shape ``(B, C, H, W)``, standardised.
            t: Times from 0 (clean) to 1 (noise), shape ``(B,)``.
            conditions: Shape ``(B, P)``, standardised.
            known: Whether each map is to follow its conditions, shape ``(B,)``, bool.
        """
        check_maps(x, self.in_channels, self.size, "denoiser unet")
        if conditions.shape != (len(x), self.conditions) or t.shape != (len(x),):
            raise ShapeError(
                f"times {tuple(t.shape)} and conditions {tuple(conditions.shape)} for {len(x)} maps;"
                f" ({len(x)},) and ({len(x)}, {self.conditions}) were expected",
                hint="give one time and all conditions for each map",
            )
        embedded = self.unknown.expand(len(x), -1)
        if self.condition is not None:
            embedded = torch.where(known[:, None], self.condition(conditions), embedded)
        folded = pixel_unshuffle(x, self.patch)
        maps: Tensor = self.unet(folded, TIME_SCALE * t, class_labels=embedded).sample
        return pixel_shuffle(maps, self.patch)


def _wrapped(margin: int, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Wrap the input of a convolution around a periodic map."""
    return wrap(inputs[0], margin), *inputs[1:]
