r"""Probabilities of integers: a mixture of logistic distributions, cut into cells.

Salimans et al. 2017, arXiv:1701.05517. The ``L`` levels of a channel lie at
:math:`x_k = 2k / (L - 1) - 1`, the middles of cells of half width :math:`h = 1 / (L - 1)`; the first and
the last cell reach to infinity, so that

.. math:: P(x) = \sum_m \pi_m \prod_c \left[ \sigma\!\left(\frac{x_c + h - \mu_{cm}}{s_{cm}}\right)
                 - \sigma\!\left(\frac{x_c - h - \mu_{cm}}{s_{cm}}\right) \right]

sums to 1 over the levels without any remainder. The mean of a channel moves with the channels before it,
:math:`\mu_{cm} + \sum_{b < c} \tanh(r_{cbm})\, x_b`; all channels of a pixel share the component ``m``. With
:math:`\sigma(a) - \sigma(b) = \sigma(a)\, \sigma(-b)\, (1 - e^{b - a})` no small difference is ever taken.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LOG_SCALE = -7.0  #: the smallest log of a scale, as in the paper


class Components(NamedTuple):
    """Numbers of the ``M`` components at each pixel."""

    logits: Tensor
    """Shape ``(B, M, ...)``."""
    means: Tensor
    """Shape ``(B, C, M, ...)``."""
    log_scales: Tensor
    """Shape ``(B, C, M, ...)``."""
    slopes: Tensor
    """How the means move with earlier channels, shape ``(B, C (C - 1) / 2, M, ...)``, in (-1, 1)."""


def outputs(channels: int, mixtures: int) -> int:
    """Return how many numbers describe a pixel.

    Args:
        channels: Channels ``C``.
        mixtures: Components ``M``.

    Example:
        >>> outputs(1, 10), outputs(2, 10)
        (30, 60)
    """
    return mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)


def components(numbers: Tensor, channels: int) -> Components:
    """Name the outputs of a network.

    Args:
        numbers: Shape ``(B, outputs(C, M), ...)``.
        channels: Channels ``C``.
    """
    parts = 1 + 2 * channels + channels * (channels - 1) // 2
    wide = numbers.to(torch.promote_types(numbers.dtype, torch.float32))
    split = wide.reshape(len(wide), parts, -1, *wide.shape[2:])
    means, scales, slopes = split[:, 1:].tensor_split((channels, 2 * channels), dim=1)
    return Components(split[:, 0], means, scales.clamp(min=LOG_SCALE), slopes.tanh())


def _shifts(of: Components, values: list[Tensor], channel: int) -> Tensor:
    """Mean of a channel in each component, moved by the values ``(B, ...)`` of the channels before it."""
    mean = of.means[:, channel]
    first = channel * (channel - 1) // 2
    for before in range(channel):
        mean = mean + of.slopes[:, first + before] * values[before].unsqueeze(1)
    return mean


def log_prob(of: Components, levels: Tensor, counts: list[int]) -> Tensor:
    """Return the log of the probability of pixels.

    Args:
        of: The components.
        levels: Whole numbers from 0 to ``counts[c] - 1``, shape ``(B, C, ...)``.
        counts: Levels ``L`` of each channel.

    Returns:
        Nats, shape ``(B, ...)``.

    Example:
        >>> numbers = torch.zeros(1, outputs(1, 2))
        >>> P = [log_prob(components(numbers, 1), torch.tensor([[k]]), [3]).exp().item() for k in range(3)]
        >>> round(sum(P), 6), round(P[0], 4)  # the lowest cell ends at -1/2
        (1.0, 0.3775)
    """
    total = of.logits.log_softmax(dim=1)
    values = [centre(levels[:, c].to(total.dtype), count) for c, count in enumerate(counts)]
    for c, count in enumerate(counts):
        half = 1 / (count - 1)
        sharpness = torch.exp(-of.log_scales[:, c])
        off = values[c].unsqueeze(1) - _shifts(of, values, c)
        above, below = (off + half) * sharpness, (off - half) * sharpness
        upper, lower = logsigmoid(above), logsigmoid(-below)
        inner = upper + lower + torch.log(-torch.expm1(-2 * half * sharpness))
        level = levels[:, c].unsqueeze(1)
        total = total + torch.where(level == 0, upper, torch.where(level == count - 1, lower, inner))
    return total.logsumexp(dim=1)


def draw(numbers: Tensor, noise: Tensor, counts: list[int]) -> Tensor:
    """Draw pixels.

    Args:
        numbers: Outputs of a network, shape ``(B, outputs(C, M))``.
        noise: Uniform numbers, one for the component and one for each channel, shape ``(B, 1 + C)``.
        counts: Levels ``L`` of each channel.

    Returns:
        Whole numbers, shape ``(B, C)``, in the precision of the outputs.
    """
    C = len(counts)
    split = numbers.reshape(len(numbers), 1 + 2 * C + C * (C - 1) // 2, -1)
    below = split[:, 0].softmax(dim=1).cumsum(dim=1)[:, :-1] < noise[:, :1]
    chosen = below.sum(dim=1)[:, None, None].expand(-1, split.shape[1], 1)
    # Of the components only the one chosen; it keeps an axis of length 1.
    of = components(split.gather(2, chosen).flatten(1), C)
    spread = torch.logit(noise[:, 1:]) * of.log_scales[..., 0].exp()
    values: list[Tensor] = []
    levels: list[Tensor] = []
    for c, count in enumerate(counts):
        x = _shifts(of, values, c)[:, 0] + spread[:, c]
        levels.append(((x + 1) * (0.5 * (count - 1))).round().clamp(0, count - 1))
        values.append(centre(levels[c], count))
    return torch.stack(levels, dim=1)


def centre(level: Tensor, count: int) -> Tensor:
    """Return where the middle of a cell lies, from -1 to 1.

    Args:
        level: From 0 to ``count - 1``.
        count: Levels.

    Example:
        >>> centre(torch.arange(3.0), 3).tolist()
        [-1.0, 0.0, 1.0]
    """
    return level * (2 / (count - 1)) - 1
