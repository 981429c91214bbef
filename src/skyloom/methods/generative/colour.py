r"""Noise of the colour of the maps: a Gaussian field with their power and cross spectra.

A path from white noise to maps of steep spectra forms the large scales first and the small ones in the last
few steps, each with an error of the network's; that of the sky's fields falls by a factor of a thousand
between the first and the last mode. A path that begins as a Gaussian field

.. math:: \tilde n_i(\mathbf k) = \sum_j \big(S(k)^{1/2}\big)_{ij} \, \tilde w_j(\mathbf k), \qquad
          S_{ij}(k) = \langle \tilde x_i \tilde x_j^* \rangle ,

``w`` white, has every mode above the noise at the same time, and is right in its two-point statistics before
anything is learnt: what a network is asked for is what makes the maps differ from a Gaussian field, and what
the conditions change. Maps are taken for periodic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from skyloom.errors import DataError
from skyloom.methods.base import Batch

_LEAST = 1e-8  # of the largest eigenvalue of all, below which there is only rounding
Reduce = Callable[[Tensor], Tensor]


class Colour(nn.Module):
    """Turns white noise into noise of the spectra that were learnt; before that it stays white.

    Args:
        channels: Channels ``C`` of the maps.
        size: Side length ``N`` of the maps, pixels.

    Example:
        >>> maps = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> colour = Colour(2, 8)
        >>> torch.allclose(colour(maps), maps, atol=1e-5)
        True
        >>> colour.learn([{"maps": 3 * maps.roll(1, 1)}])
        >>> round(float(colour(maps).std()), 1)
        3.0
    """

    root: Tensor
    ring: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        k = torch.fft.fftfreq(size, 1 / size)
        self.register_buffer("ring", torch.hypot(k[:, None], k[None, :]).round().long(), persistent=False)
        self.register_buffer("root", torch.eye(channels).repeat(int(self.ring.max()) + 1, 1, 1))

    @torch.no_grad()
    def learn(self, batches: Iterable[Batch], reduce: Reduce | None = None) -> None:
        """Learn the spectra of maps.

        Args:
            batches: With ``maps`` ``(B, C, N, N)``, standardised.
            reduce: Sums a tensor over the processes of a training; None where there is one.

        Raises:
            DataError: There is no map, or one is not finite.
        """
        rings, C, _ = self.root.shape
        index = self.ring.flatten().cpu()
        total, count = torch.zeros(rings, C, C, dtype=torch.float64), torch.zeros(rings, dtype=torch.float64)
        for batch in batches:
            modes = torch.fft.fft2(batch["maps"].cpu().double(), norm="ortho").flatten(2)
            # The imaginary part of a ring is zero: a mode and its mirror image bring opposite ones.
            power = torch.einsum("bim,bjm->mij", modes, modes.conj()).real
            total.index_add_(0, index, power)
            count.index_add_(0, index, torch.full_like(index, len(modes), dtype=torch.float64))
        if reduce is not None:
            total, count = (reduce(part.to(self.root.device)).cpu() for part in (total, count))
        if not count.all() or not torch.isfinite(total).all():
            raise DataError("the spectra of the maps cannot be learnt: there is no map, or one is not finite")
        values, vectors = torch.linalg.eigh(total / count[:, None, None])
        values = values.clamp(min=_LEAST * float(values.max()))
        self.root.copy_(vectors @ torch.diag_embed(values.sqrt()) @ vectors.mT)

    def forward(self, white: Tensor) -> Tensor:
        """Colour white noise ``(B, C, N, N)``; the same shape and precision."""
        modes = torch.fft.rfft2(white.float(), norm="ortho")
        root = self.root[self.ring[:, : modes.shape[-1]]].to(modes)
        coloured: Tensor = torch.fft.irfft2(
            torch.einsum("yxij,bjyx->biyx", root, modes), s=white.shape[-2:], norm="ortho"
        )
        return coloured.to(white)
