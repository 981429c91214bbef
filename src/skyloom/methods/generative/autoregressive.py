"""PixelCNN++: the probability of a map, pixel by pixel, and maps drawn in that order.

Salimans et al. 2017, arXiv:1701.05517. At each pixel of a detector the network, which knows the pixels before
it, gives the probability of a hit, and of a pixel with a hit that of its values, channel after channel, as
whole numbers. Pixels without a detector are neither judged nor drawn. The probability is that of the whole
numbers themselves; nothing is smoothed, so its bits can be compared with those of any other code of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from skyloom.errors import UsageError
from skyloom.methods.base import Batch, prediction_mode
from skyloom.methods.generative import autoregressive_mixture as mixture
from skyloom.methods.generative.autoregressive_quantiser import Pixels, Quantiser, Role
from skyloom.methods.generative.autoregressive_sampling import draw, largest_batch, uniform
from skyloom.methods.generative.base import Generative
from skyloom.methods.generative.denoising import Generators, Step
from skyloom.nets.pixelcnn import PixelCNN

INITIAL = 64  #: maps by which gains and biases of the network are set before the training


class Bits(NamedTuple):
    """What maps cost, each of shape ``(B,)``."""

    bits: Tensor
    """Bits of the whole map."""
    clipped: Tensor
    """Values beyond the bounds of the train side."""
    values: Tensor
    """Values altogether."""


class Autoregressive(Generative):
    """PixelCNN++ of maps of hits, or of any maps, with conditions.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        roles: What each channel is, in the order of the recipe's fields: ``value``, ``hit`` (whether there is
            a value at a pixel) or ``detector`` (whether there could be one); null for values only.
        levels: Whole numbers that a value may take; one number, or one for each value channel.
        mixtures: Logistic distributions in the mixture.
        nr_resnet: Pairs of gated blocks at each resolution.
        nr_filters: Channels of the features.
        scales: Resolutions; each but the first halves the map.
        dropout: Share of features dropped in each block.
        precision: In which maps are drawn. In ``double`` a map practically never depends on those drawn
            beside it; in ``single``, which takes about half the time, rounding may now and then change a
            level, and with it what comes after.

    Raises:
        UsageError: The roles do not fit the channels, or a number is out of range.

    Example:
        >>> method = Autoregressive(2, 0, 8, roles=["value", "hit"], levels=16, nr_resnet=1, nr_filters=4)
        >>> maps = torch.randn(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> maps[:, 1] = (maps[:, 1] > 0).float()
        >>> maps[:, 0] *= maps[:, 1]
        >>> method.prepare([{"maps": maps, "targets": torch.zeros(20, 0)}])
        >>> method.sample(torch.zeros(3, 0)).shape
        torch.Size([3, 2, 8, 8])
    """

    name = "pixelcnn"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        roles: list[Role] | None = None,
        levels: int | list[int] = 256,
        mixtures: int = 10,
        nr_resnet: int = 5,
        nr_filters: int = 160,
        scales: int = 3,
        dropout: float = 0.5,
        precision: Literal["single", "double"] = "double",
    ) -> None:
        arguments: dict[str, Any] = {
            "roles": roles,
            "levels": levels,
            "mixtures": mixtures,
            "nr_resnet": nr_resnet,
            "nr_filters": nr_filters,
            "scales": scales,
            "dropout": dropout,
            "precision": precision,
        }
        super().__init__(in_channels, out_features, size, arguments)
        known: list[Role] = ["value"] * in_channels if roles is None else list(roles)
        if len(known) != in_channels:
            raise UsageError(
                f"pixelcnn: {len(known)} roles for {in_channels} channels: {known}",
                hint="give one role for each of data.fields, in their order",
            )
        if mixtures < 1:
            raise UsageError(f"pixelcnn: mixtures is {mixtures}", hint="give 1 or more, e.g. 10")
        C = known.count("value")
        self.quantiser = Quantiser(known, [levels] * C if isinstance(levels, int) else levels, size)
        self.has_hits = self.quantiser.hit is not None
        self.precision = torch.float64 if precision == "double" else torch.float32
        self.net = PixelCNN(
            C + self.has_hits + (self.quantiser.mask is not None),
            mixture.outputs(C, mixtures) + self.has_hits,
            out_features,
            size,
            nr_resnet=nr_resnet,
            nr_filters=nr_filters,
            scales=scales,
            dropout=dropout,
        )

    @property
    def dimensions(self) -> int:
        """Random numbers of a map: of each pixel with a detector whether it is hit, and its values."""
        return self.quantiser.pixels * (len(self.quantiser.counts) + self.has_hits)

    @property
    def at_once(self) -> int:
        """Maps that are best drawn together: as many as half of the free memory holds."""
        return largest_batch(self, self.precision)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Learn the bounds of the values and the masks, and set gains and biases of the network.

        Args:
            batches: The train side, ``maps`` and ``targets``; gone through more than once.

        Raises:
            DataError: As `Quantiser.learn`.
        """
        self.quantiser.learn(batches)
        first = next(iter(batches))
        maps, conditions = (first[key][:INITIAL].to(self.quantiser.low) for key in ("maps", "targets"))
        pixels = self.quantiser(maps)
        self.net.initialise(self.encoded(pixels.levels, pixels.hit, self.quantiser.detector), conditions)

    def on_fit_start(self) -> None:
        """Prepare from the data module of the training; a resumed one then takes up what it had."""
        loader = getattr(getattr(self.trainer, "datamodule", None), "loader", None)
        if loader is not None:
            self.prepare(loader("train"))

    def encoded(self, levels: Tensor, hit: Tensor, detector: Tensor) -> Tensor:
        """Return what the network sees: values from -1 to 1, and 0 where there is no hit; the masks.

        Args:
            levels: Shape ``(B, C, ...)``.
            hit: Booleans, shape ``(B, ...)``.
            detector: Booleans, shape ``(...)``.
        """
        values = [mixture.centre(levels[:, c], count) for c, count in enumerate(self.quantiser.counts)]
        parts = [torch.where(hit, value, 0.0) for value in values]
        if self.has_hits:
            parts.append(hit.to(levels))
        if self.quantiser.mask is not None:
            parts.append(detector.to(levels).expand(hit.shape))
        return torch.stack(parts, dim=1)

    def log_prob(self, maps: Tensor, conditions: Tensor) -> Tensor:
        """Return the log of the probability of maps, as whole numbers.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.

        Returns:
            Nats, shape ``(B,)``.
        """
        return self._log_prob(self.quantiser(maps), conditions)

    def _log_prob(self, pixels: Pixels, conditions: Tensor) -> Tensor:
        numbers = self.net(self.encoded(pixels.levels, pixels.hit, self.quantiser.detector), conditions)
        of = mixture.components(numbers[:, self.has_hits :], len(self.quantiser.counts))
        values = mixture.log_prob(of, pixels.levels, self.quantiser.counts)
        if not self.has_hits:
            return torch.where(pixels.hit, values, 0.0).sum(dim=(1, 2))
        logit = numbers[:, 0].to(values.dtype)
        of_pixel = torch.where(pixels.hit, logsigmoid(logit) + values, logsigmoid(-logit))
        return torch.where(self.quantiser.detector, of_pixel, 0.0).sum(dim=(1, 2))

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bits per dimension, twice."""
        bits = -self.log_prob(maps, targets).mean() / (math.log(2) * self.dimensions)
        return bits, bits

    def bits(self, maps: Tensor, conditions: Tensor) -> Bits:
        """Return the bits of maps as whole numbers, without gradients.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            conditions: Shape ``(B, P)``, standardised.
        """
        with prediction_mode(self), torch.no_grad():
            pixels = self.quantiser(maps)
            bits = -self._log_prob(pixels, conditions) / math.log(2)
        return Bits(bits, pixels.clipped, pixels.hit.sum(dim=(1, 2)) * len(self.quantiser.counts))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the bits and the share of values that lay beyond the bounds of the train side."""
        maps, targets = self.check(batch)
        found = self.bits(maps, targets)
        bits = found.bits.mean()
        told = {
            "loss": bits / self.dimensions,
            "bits_per_pixel": bits / self.quantiser.pixels,
            "clipped": found.clipped.sum().to(bits) / found.values.sum().clamp(min=1),
        }
        self.log_validation(told, len(maps))

    def sample(
        self,
        conditions: Tensor,
        *,
        generator: Generators | None = None,
        steps: int | None = None,
        done: Step | None = None,
    ) -> Tensor:
        """Draw maps; see `Generative.sample`. A step is a row of pixels, and there are always all of them."""
        self.check_conditions(conditions)
        if steps is not None and steps < 1:
            raise UsageError(f"a sampler of {steps} steps", hint="give 1 or more, or leave it out")
        self.quantiser.refuse_unlearnt()
        noise = self.noise(conditions, generator)
        at_once = self.at_once
        rows, count = self.shape[1], -(-len(noise) // at_once)
        parts = []
        with prediction_mode(self), torch.no_grad():
            for part in range(count):
                here = slice(part * at_once, (part + 1) * at_once)

                def step(row: int, _: int, part: int = part) -> None:
                    if done is not None:
                        done(part * rows + row, count * rows)

                pixels = draw(self, noise[here], conditions[here], done=step)
                parts.append(self.quantiser.restore(pixels.levels, pixels.hit))
        return torch.cat(parts).to(self.quantiser.low)

    def noise(self, conditions: Tensor, generators: Generators | None) -> Tensor:
        """Draw the uniform numbers that maps follow from.

        Args:
            conditions: Of ``B`` maps, on the device of the weights.
            generators: One source, or one for each map; None starts one from seed 0.

        Returns:
            For every pixel one for the hit, one for the component, one for each value channel, shape
            ``(B, H, W, 2 + C)``, in the precision in which maps are drawn.

        Raises:
            UsageError: There are not as many generators as maps.
        """
        size = self.shape[1]
        shape = (size, size, 2 + len(self.quantiser.counts))
        return uniform(len(conditions), shape, generators, device=conditions.device, dtype=self.precision)

    def decide(self, numbers: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draw one pixel of each map.

        Args:
            numbers: Outputs of the network at the pixel, shape ``(B, outputs)``.
            noise: Uniform numbers, shape ``(B, 2 + C)``.

        Returns:
            Levels ``(B, C)``, 0 without a hit, and whether there is a hit, ``(B,)``.
        """
        levels = mixture.draw(numbers[:, self.has_hits :], noise[:, 1:], self.quantiser.counts)
        if not self.has_hits:
            return levels, torch.ones_like(noise[:, 0], dtype=torch.bool)
        hit = noise[:, 0] < torch.sigmoid(numbers[:, 0])
        return levels * hit.unsqueeze(1), hit
