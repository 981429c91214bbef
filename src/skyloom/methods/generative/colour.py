r"""Noise of the colour of the maps: a Gaussian field with their power and cross spectra, at their conditions.

A path from white noise to maps of steep spectra forms the large scales first and the small ones in the last
few steps, each with an error of the network's; that of the sky's fields falls by a factor of a thousand
between the first and the last mode. Here maps are written as

.. math:: \tilde x_i(\mathbf k) = \mu_i(c)\,\delta_{\mathbf k} + a_i(k, c)\, \tilde y_i(\mathbf k), \qquad
          \tilde n_i(\mathbf k) = \sum_j \big(S(k)^{1/2}\big)_{ij} \, \tilde w_j(\mathbf k), \qquad
          S_{ij}(k) = \langle \tilde y_i \tilde y_j^* \rangle ,

``w`` white, ``\mu`` and ``ln a`` of second order in each of the conditions ``c`` and fitted by least squares.
A path from ``n`` to ``y`` has every mode above the noise at the same time, and is right in its two-point
statistics before a network has learnt anything: what it is asked for is what makes maps differ from a
Gaussian field. Its error is weighed by ``S^{-1/2}``, so that no scale rules all others. Maps are periodic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from skyloom.errors import DataError
from skyloom.methods.base import Batch

_LEAST = 1e-8  # of the largest eigenvalue of all, below which there is only rounding
_FAINT = 1e-12  # of a power, so that an empty map has a logarithm
Reduce = Callable[[Tensor], Tensor]


class Colour(nn.Module):
    """Spectra of maps that were learnt; before that noise is white, and maps stay as they are.

    Args:
        channels: Channels ``C`` of the maps.
        conditions: Number of conditions ``P``.
        size: Side length ``N`` of the maps, pixels.

    Example:
        >>> maps = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> colour = Colour(2, 0, 8)
        >>> torch.allclose(colour(maps), maps, atol=1e-5)
        True
        >>> colour.learn([{"maps": 3 * maps.roll(1, 1), "targets": torch.zeros(64, 0)}])
        >>> round(float(colour(maps).std()), 1)
        3.0
    """

    root: Tensor
    flat: Tensor
    shift: Tensor
    slope: Tensor
    ring: Tensor

    def __init__(self, channels: int, conditions: int, size: int) -> None:
        super().__init__()
        k = torch.fft.fftfreq(size, 1 / size)
        ring = torch.hypot(k[:, None], k[None, :]).round().long()
        rings, features = int(ring.max()) + 1, 1 + 2 * conditions
        self.register_buffer("ring", ring, persistent=False)
        for name in ("root", "flat"):
            self.register_buffer(name, torch.eye(channels).repeat(rings, 1, 1))
        self.register_buffer("shift", torch.zeros(features, channels))
        self.register_buffer("slope", torch.zeros(features, channels, rings))

    @torch.no_grad()
    def learn(self, batches: Iterable[Batch], reduce: Reduce | None = None) -> None:
        """Learn how means and powers follow the conditions, then the spectra of what is left.

        Args:
            batches: With ``maps`` ``(B, C, N, N)`` and ``targets`` ``(B, P)``, standardised; gone through
                twice.
            reduce: Sums a tensor over the processes of a training; None where there is one.

        Raises:
            DataError: There is no map, or one is not finite.
        """
        features, channels, rings = self.slope.shape
        square = torch.zeros(features, features, dtype=torch.float64)
        product = torch.zeros(features, channels * (1 + rings), dtype=torch.float64)
        for batch in batches:
            maps, told = batch["maps"].cpu().double(), _features(batch["targets"].cpu().double())
            logs = self._ring_means(_modes(maps).abs().square()).clamp(min=_FAINT).log()
            square += told.T @ told
            product += told.T @ torch.cat((maps.mean(dim=(2, 3)), logs.flatten(1)), dim=1)
        square, product = self._summed(reduce, square, product)
        fitted = torch.linalg.pinv(square, hermitian=True) @ product
        slope = fitted[:, channels:].reshape(self.slope.shape)
        # The mean of a map has no power of its own, and what is the same at all conditions is told by S.
        slope[0], slope[..., 0] = 0, 0
        self.shift.copy_(fitted[:, :channels])
        self.slope.copy_(0.5 * slope)
        total = torch.zeros(rings, channels, channels, dtype=torch.float64)
        count = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            modes = _modes(self.normalised(batch["maps"].to(self.root), batch["targets"].to(self.root)))
            modes = modes.cpu().to(torch.complex128)
            # The imaginary part of a ring is zero: a mode and its mirror image bring opposite ones.
            power = torch.einsum("biyx,bjyx->ijyx", modes, modes.conj()).real
            total += self._ring_means(power).permute(2, 0, 1)
            count += len(modes)
        total, count = self._summed(reduce, total, count)
        if not count or not torch.isfinite(total).all():
            raise DataError("the spectra of the maps cannot be learnt: there is no map, or one is not finite")
        values, vectors = torch.linalg.eigh(total / count)
        values = values.clamp(min=_LEAST * float(values.max()))
        for name, power_of in (("root", 0.5), ("flat", -0.5)):
            getattr(self, name).copy_(vectors @ torch.diag_embed(values**power_of) @ vectors.mT)

    def forward(self, white: Tensor) -> Tensor:
        """Colour white noise ``(B, C, N, N)``; the same shape and precision."""
        return self._mixed(white, self.root)

    def whitened(self, errors: Tensor) -> Tensor:
        """Take the colour out of errors ``(B, C, N, N)``."""
        return self._mixed(errors, self.flat)

    def normalised(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Take out of maps ``(B, C, N, N)`` how their means and powers follow the conditions ``(B, P)``."""
        mean, amplitude = self._at(conditions)
        return _maps(_modes(maps.float() - mean) / amplitude, maps)

    def restored(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Undo `normalised`."""
        mean, amplitude = self._at(conditions)
        return _maps(_modes(maps.float()) * amplitude, maps) + mean.to(maps)

    def _at(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Means ``(B, C, 1, 1)`` and amplitudes of modes ``(B, C, N, N / 2 + 1)``."""
        told = _features(conditions.to(self.shift))
        amplitude = torch.einsum("bf,fcr->bcr", told, self.slope).exp()
        half = self.ring[:, : self.ring.shape[1] // 2 + 1]
        return (told @ self.shift)[:, :, None, None], amplitude[..., half]

    def _mixed(self, maps: Tensor, matrices: Tensor) -> Tensor:
        half = self.ring[:, : self.ring.shape[1] // 2 + 1]
        modes = _modes(maps.float())
        return _maps(torch.einsum("yxij,bjyx->biyx", matrices[half].to(modes), modes), maps)

    def _ring_means(self, power: Tensor) -> Tensor:
        """Means over rings ``(..., R)`` of half-complex squares ``(..., N, N / 2 + 1)``."""
        N = self.ring.shape[0]
        half = self.ring[:, : N // 2 + 1].cpu()
        # Modes between the first and the last column stand for their mirror images too.
        column = torch.arange(N // 2 + 1)
        weight = torch.where((column == 0) | (2 * column == N), 1.0, 2.0).to(power).expand(half.shape)
        sums = torch.zeros((*power.shape[:-2], self.root.shape[0]), dtype=power.dtype)
        sums.index_add_(-1, half.flatten(), (power * weight).flatten(-2))
        counts = torch.zeros(self.root.shape[0]).to(power).index_add_(0, half.flatten(), weight.flatten())
        return sums / counts

    def _summed(self, reduce: Reduce | None, *parts: Tensor) -> list[Tensor]:
        return list(parts) if reduce is None else [reduce(p.to(self.root.device)).cpu() for p in parts]


def _features(conditions: Tensor) -> Tensor:
    return torch.cat((conditions.new_ones(len(conditions), 1), conditions, conditions**2), dim=1)


def _modes(maps: Tensor) -> Tensor:
    modes: Tensor = torch.fft.rfft2(maps, norm="ortho")
    return modes


def _maps(modes: Tensor, like: Tensor) -> Tensor:
    maps: Tensor = torch.fft.irfft2(modes, s=like.shape[-2:], norm="ortho")
    return maps.to(like)
