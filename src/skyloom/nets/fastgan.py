"""The two players of FastGAN, for periodic maps with conditions (Liu et al. 2021, arXiv:2101.04775).

The generator begins with 4 × 4 pixels and doubles them; features of a small map switch channels of one
sixteen times as large on and off (skip-layer excitation). What is told of a map enters by the normalisation:
every channel is standardised over the batch, then scaled and shifted as the conditions say (de Vries et al.
2017, arXiv:1707.00683), so the latent numbers stay what they are: chance. The critic looks at the map and at
its half-size copy; from the last features of each a small decoder must draw the half-size map again, which
keeps a critic that sees few maps from learning them by heart. Conditions enter its score by projection
(Miyato & Koyama 2018, arXiv:1802.05637). Of the paper's critic its own excitations and the decoder of a
random part are left out, and normalisation over the batch, which would forbid gradient penalties. Padding is
circular.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, glu, interpolate, leaky_relu
from torch.nn.utils.parametrizations import spectral_norm as normalised

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.layers import check_maps, wrap

SMALLEST = 4  #: pixels along a side that the generator begins with
SKIP = 16  #: how much larger the map is whose channels an excitation switches
SIZES = (16, 32, 64, 128, 256)
SLOPE = 0.2
LAST = 8  #: pixels along a side of the critic's last features


class FastGANGenerator(nn.Module):
    """Noise and conditions in, maps out.

    The noise of a map is one vector: the latent numbers, then a map of noise for each doubling, which is
    added to the features there with weights that are learnt.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers ``P`` that describe what is wanted of each map; may be 0.
        size: Side length of the maps, pixels: 16, 32, 64, 128 or 256.
        width: Channels of the full-size map; twice as many at half the size, and so on.
        largest: Most channels at any size.
        latent: Latent numbers.
        embedding: Numbers that the conditions become before they scale and shift channels.
        spectral_norm: Keep every convolution from stretching any direction (arXiv:1802.05957).

    Raises:
        UsageError: The size is another one.

    Example:
        >>> net = FastGANGenerator(3, 2, 32, width=4, latent=8)
        >>> net(torch.zeros(5, *net.noise_shape), torch.zeros(5, 2)).shape
        torch.Size([5, 3, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        width: int = 16,
        largest: int = 256,
        latent: int = 64,
        embedding: int = 32,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        _check_size("generator", size)
        self.conditions, self.latent = conditions, latent
        self.sizes = [side for side in (SMALLEST, 8, *SIZES) if side <= size]
        channels = {side: min(width * size // side, largest) for side in self.sizes}
        self.noise_shape = (latent + sum(side**2 for side in self.sizes[1:]),)
        self.embed = _embedding(conditions, embedding)
        told = embedding if conditions else 0
        first = nn.ConvTranspose2d(latent, 2 * channels[SMALLEST], SMALLEST, bias=False)
        self.first = normalised(first) if spectral_norm else first
        self.first_norm = ConditionalNorm(2 * channels[SMALLEST], told)
        self.ups, self.skips = nn.ModuleDict(), nn.ModuleDict()
        for small, side in zip(self.sizes, self.sizes[1:], strict=False):
            # Every other doubling has a second convolution, as in the paper.
            twice = self.sizes.index(side) % 2 == 1
            self.ups[str(side)] = _Up(channels[small], channels[side], told, twice, spectral_norm)
            low = max(side // SKIP, SMALLEST)
            if side // low >= SKIP or side == size:
                self.skips[str(side)] = _Excitation(channels[low], channels[side], spectral_norm)
        self.last = _Conv(channels[size], in_channels, 3, spectral_norm=spectral_norm)

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Return maps, shape ``(B, C, H, W)``.

        Args:
            noise: Shape ``(B, *noise_shape)``, standard normal.
            conditions: Shape ``(B, P)``, standardised.

        Raises:
            ShapeError: The noise or the conditions have another shape.
        """
        if noise.shape[1:] != self.noise_shape or conditions.shape != (len(noise), self.conditions):
            raise ShapeError(
                f"noise {tuple(noise.shape)} and conditions {tuple(conditions.shape)}, expected"
                f" (B, {self.noise_shape[0]}) and (B, {self.conditions})"
            )
        parts = torch.split(noise, [self.latent, *(side**2 for side in self.sizes[1:])], dim=1)
        told = self.embed(conditions)
        features = glu(self.first_norm(self.first(parts[0][:, :, None, None]), told), dim=1)
        kept = {SMALLEST: features}
        for side, part in zip(self.sizes[1:], parts[1:], strict=True):
            features = self.ups[str(side)](features, told, part.reshape(-1, 1, side, side))
            if str(side) in self.skips:
                features = self.skips[str(side)](kept[max(side // SKIP, SMALLEST)], features)
            kept[side] = features
        maps: Tensor = self.last(features)
        return maps


class FastGANCritic(nn.Module):
    """Scores of maps with their conditions, at two sizes, and what it draws again from its features.

    Args:
        in_channels: Channels of the maps.
        conditions: Numbers that describe each map; may be 0.
        size: Side length of the maps, pixels: 16, 32, 64, 128 or 256.
        width: Channels of the full-size map; twice as many at half the size, and so on.
        largest: Most channels at any size.
        embedding: Numbers that the conditions become before they are projected on.
        spectral_norm: Keep every convolution from stretching any direction (arXiv:1802.05957).

    Raises:
        UsageError: The size is another one.

    Example:
        >>> net = FastGANCritic(3, 2, 32, width=4)
        >>> scores, lesson = net.with_lesson(torch.zeros(5, 3, 32, 32), torch.zeros(5, 2))
        >>> scores.shape, lesson.shape
        (torch.Size([5, 128]), torch.Size([]))
    """

    def __init__(
        self,
        in_channels: int,
        conditions: int,
        size: int,
        *,
        width: int = 16,
        largest: int = 256,
        embedding: int = 32,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        _check_size("critic", size)
        self.in_channels, self.size = in_channels, size
        self.embed = _embedding(conditions, embedding)
        told = embedding if conditions else 0
        self.eyes: Any = nn.ModuleList(
            _Eye(in_channels, side, size, width, largest, told, spectral_norm) for side in (size, size // 2)
        )

    def forward(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Return scores, shape ``(B, 128)``: of 8 × 8 parts at each size, high for real.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
        """
        return self._looked_at(maps, conditions)[0]

    def with_lesson(self, maps: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores, and the mean absolute error of the half-size maps drawn again, shape ``()``."""
        scores, features, half = self._looked_at(maps, conditions)
        drawn = [eye.decoder(seen) for eye, seen in zip(self.eyes, features, strict=True)]
        return scores, torch.stack([(one - half).abs().mean() for one in drawn]).mean()

    def _looked_at(self, maps: Tensor, conditions: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        check_maps(maps, self.in_channels, self.size, "critic fastgan")
        told, half = self.embed(conditions), avg_pool2d(maps, 2)
        features = [eye.encoder(view) for eye, view in zip(self.eyes, (maps, half), strict=True)]
        scores = [eye.score(seen, told) for eye, seen in zip(self.eyes, features, strict=True)]
        return torch.cat(scores, dim=1), features, half


class ConditionalNorm(nn.Module):
    """Standardise channels over the batch, then scale and shift them as the conditions say.

    Args:
        channels: Channels.
        told: Numbers that the conditions became; 0 for a scale and a shift that are learnt.

    Example:
        >>> norm = ConditionalNorm(4, 0)
        >>> maps = norm(3.0 + torch.randn(64, 4, 2, 2), torch.zeros(64, 0))
        >>> bool(maps.mean().abs() < 1e-5)
        True
    """

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not told)
        self.affine = nn.Linear(told, 2 * channels) if told else None
        if self.affine is not None:
            nn.init.normal_(self.affine.weight, std=0.02)
            nn.init.zeros_(self.affine.bias)

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        """Return maps of the shape given."""
        plain: Tensor = self.norm(maps)
        if self.affine is None:
            return plain
        scale, shift = self.affine(told)[:, :, None, None].chunk(2, dim=1)
        placed: Tensor = plain * (1 + scale) + shift
        return placed


class _Conv(nn.Module):
    """A convolution of a periodic map."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        bias: bool = True,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        # A kernel of 4 and stride 2 begins one pixel before the map, as its usual padding of 1 does.
        self.margin = kernel // 2 if kernel % 2 else 1
        layer = nn.Conv2d(in_channels, channels, kernel, stride=stride, bias=bias)
        nn.init.orthogonal_(layer.weight)
        self.layer = normalised(layer) if spectral_norm else layer

    def forward(self, maps: Tensor) -> Tensor:
        convolved: Tensor = self.layer(wrap(maps, self.margin))
        return convolved


class _Up(nn.Module):
    """Twice as many pixels: nearest neighbours, a convolution or two, noise, normalisation, gates."""

    def __init__(self, in_channels: int, channels: int, told: int, twice: bool, spectral_norm: bool) -> None:
        super().__init__()
        inputs = [in_channels, channels] if twice else [in_channels]
        options: dict[str, Any] = {"bias": False, "spectral_norm": spectral_norm}
        self.convs = nn.ModuleList(_Conv(count, 2 * channels, 3, **options) for count in inputs)
        self.norms = nn.ModuleList(ConditionalNorm(2 * channels, told) for _ in inputs)
        self.noise = nn.Parameter(torch.zeros(2 * channels, 1, 1))

    def forward(self, maps: Tensor, told: Tensor, noise: Tensor) -> Tensor:
        maps = interpolate(maps, scale_factor=2)
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            maps = conv(maps)
            if place == 0:
                maps = maps + self.noise * noise
            maps = glu(norm(maps, told), dim=1)
        return maps


class _Excitation(nn.Module):
    """Channels of a large map, switched by what is seen in a small one."""

    def __init__(self, in_channels: int, channels: int, spectral_norm: bool) -> None:
        super().__init__()
        layers = [nn.Conv2d(in_channels, channels, SMALLEST, bias=False), nn.Conv2d(channels, channels, 1)]
        first, second = (normalised(layer) if spectral_norm else layer for layer in layers)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(SMALLEST), first, nn.SiLU(), second, nn.Sigmoid())

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        switched: Tensor = large * self.gate(small)
        return switched


class _Eye(nn.Module):
    """The critic at one size: features of 8 × 8 pixels, their scores, and a decoder to half the full size."""

    def __init__(
        self,
        in_channels: int,
        side: int,
        size: int,
        width: int,
        largest: int,
        told: int,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        counts = {s: min(width * size // s, largest) for s in (LAST, *SIZES)}
        layers: list[nn.Module] = [_Conv(in_channels, counts[side], 3, spectral_norm=spectral_norm)]
        while side > LAST:
            layers.append(_Down(counts[side], counts[side // 2], spectral_norm))
            side //= 2
        self.encoder = nn.Sequential(*layers, nn.LeakyReLU(SLOPE))
        last, half = counts[LAST], size // 2
        self.head = _Conv(last, 1, 3, spectral_norm=spectral_norm)
        projection = nn.Linear(told, last, bias=False) if told else None
        self.projection = normalised(projection) if projection and spectral_norm else projection
        drawing: list[nn.Module] = []
        side, before = LAST, last
        while side < half:
            side *= 2
            drawing += [
                nn.Upsample(scale_factor=2),
                _Conv(before, 2 * width, 3, spectral_norm=False),
                nn.GLU(1),
            ]
            before = width
        self.decoder = nn.Sequential(*drawing, _Conv(before, in_channels, 3, spectral_norm=False))

    def score(self, features: Tensor, told: Tensor) -> Tensor:
        """Return scores of the parts, shape ``(B, 64)``."""
        scores: Tensor = self.head(features).flatten(1)
        if self.projection is None:
            return scores
        # The mean over the parts is one look at the map: it belongs to the score of each.
        fits: Tensor = (self.projection(told) * features.mean(dim=(2, 3))).sum(dim=1, keepdim=True)
        return scores + fits


class _Down(nn.Module):
    """Half as many pixels, by two convolutions beside an average and one of a single pixel."""

    def __init__(self, in_channels: int, channels: int, spectral_norm: bool) -> None:
        super().__init__()
        self.one = _Conv(in_channels, channels, 4, stride=2, spectral_norm=spectral_norm)
        self.two = _Conv(channels, channels, 3, spectral_norm=spectral_norm)
        direct = nn.Conv2d(in_channels, channels, 1)
        self.direct = normalised(direct) if spectral_norm else direct

    def forward(self, maps: Tensor) -> Tensor:
        maps = leaky_relu(maps, SLOPE)
        main = self.two(leaky_relu(self.one(maps), SLOPE))
        halved: Tensor = 0.5 * (main + self.direct(avg_pool2d(maps, 2)))
        return halved


def _embedding(conditions: int, width: int) -> nn.Module:
    if not conditions:
        return nn.Identity()
    return nn.Sequential(nn.Linear(conditions, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())


def _check_size(player: str, size: int) -> None:
    if size not in SIZES:
        raise UsageError(
            f"{player} 'fastgan' makes no maps of {size} pixels",
            hint=f"allowed: {', '.join(map(str, SIZES))}",
        )
