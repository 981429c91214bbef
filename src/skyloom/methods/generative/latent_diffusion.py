r"""Latent diffusion: an autoencoder packs maps into smaller ones, and a diffusion learns to draw those.

Rombach et al. 2022, arXiv:2112.10752. One training has two stages. In the first, a share of the epochs, the
autoencoder alone is trained by the square error of its maps, plus ``kl`` times the divergence of its latent
Gaussians from standard ones, a map's number. Then it is frozen, at its averaged weights where the training
averages any; mean and standard deviation of each latent channel over the training maps are measured once and
kept with the weights; and the denoiser learns the latent maps, standardised by them, for the schedule expects
mean 0 and variance 1.

``validation/loss`` is the error of the reconstruction in the first stage and that of the denoiser in the
second. The two do not compare, so the choice of the best weights begins anew with the second stage. What the
autoencoder loses no diffusion brings back: ``validation/reconstruction`` in the log tells how much it is, in
units of the maps' variance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import Batch, prediction_mode
from skyloom.methods.generative.base import DenoiserNet
from skyloom.methods.generative.diffusion import DDPM
from skyloom.methods.generative.schedule import Spacing
from skyloom.nets.autoencoder import gaussian_divergence
from skyloom.registry import Kind

Autoencoder = Annotated[dict[str, Any], Kind("autoencoder")]
_LEAST_SD = 1e-6  # of a latent channel that says nothing


class LatentDiffusion(DDPM):
    """Diffusion of maps with conditions, in the latent space of an autoencoder.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        net: The denoiser, of the latent maps.
        autoencoder: What packs the maps.
        share: Share of the epochs in which the autoencoder is trained.
        kl: Weight of the divergence of its latent Gaussians.
        prediction: What the denoiser learns: the ``velocity`` or the ``noise``.
        schedule: ``cosine`` or ``linear``; either ends with less than 0.1 % of the map.
        noise_steps: Steps of the schedule.
        drop: Share of the training in which conditions are hidden, for guidance.
        steps: Steps of the sampler.
        spacing: ``quadratic``, closer where little noise is left, or ``uniform``.
        eta: Fresh noise in each of them, from 0 (DDIM) to 1 (DDPM).
        guidance: 1 follows the conditions, more exaggerates them, 0 ignores them.

    Raises:
        UsageError: A number is out of range.

    Example:
        >>> net = {"name": "unet", "width": 8, "multiples": [1, 2]}
        >>> autoencoder = {"name": "kl", "width": 8, "halvings": 1}
        >>> method = LatentDiffusion(1, 2, 8, net=net, autoencoder=autoencoder, steps=2)
        >>> method.net_data, method.sample(torch.zeros(3, 2)).shape
        ((4, 2, 4), torch.Size([3, 1, 8, 8]))
    """

    name = "latent_diffusion"
    stage: Tensor
    latent_mean: Tensor
    latent_sd: Tensor

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: DenoiserNet = {"name": "unet"},  # noqa: B006 - read, never written
        autoencoder: Autoencoder = {"name": "kl"},  # noqa: B006 - read, never written
        share: float = 0.3,
        kl: float = 1e-4,
        prediction: Literal["velocity", "noise"] = "velocity",
        schedule: Literal["cosine", "linear"] = "cosine",
        noise_steps: int = 1000,
        drop: float = 0.1,
        steps: int = 50,
        spacing: Spacing = "quadratic",
        eta: float = 0.0,
        guidance: float = 1.0,
    ) -> None:
        if not 0 < share < 1 or kl < 0:
            raise UsageError(
                f"latent_diffusion: share is {share}, kl is {kl}",
                hint="a share of the epochs between 0 and 1, e.g. 0.3, and a weight of 0 or more",
            )
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "denoiser"),
            "autoencoder": registry.resolve(autoencoder, "autoencoder"),
            "share": share,
            "kl": kl,
            "prediction": prediction,
            "schedule": schedule,
            "noise_steps": noise_steps,
            "drop": drop,
            "steps": steps,
            "spacing": spacing,
            "eta": eta,
            "guidance": guidance,
        }
        packing = registry.build(autoencoder, "autoencoder", data=(in_channels, size))
        super().__init__(in_channels, out_features, size, arguments, space=packing.latent)
        self.autoencoder, self.share, self.kl = packing, share, kl
        channels = packing.latent[0]
        self.register_buffer("stage", torch.zeros((), dtype=torch.int64))
        self.register_buffer("latent_mean", torch.zeros(channels, 1, 1))
        self.register_buffer("latent_sd", torch.ones(channels, 1, 1))

    def stages(self, epochs: int) -> tuple[int, ...]:
        """Return the epoch at which the denoiser's turn comes.

        Raises:
            UsageError: There are fewer than two epochs.
        """
        if epochs < 2:
            raise UsageError(
                f"train.epochs is {epochs}, and latent_diffusion trains in two stages",
                hint="--set train.epochs=2 is the least",
            )
        return (min(max(1, round(self.share * epochs)), epochs - 1),)

    def begin_stage(self, batches: Iterable[Batch]) -> None:
        """Freeze the autoencoder and measure its latent maps.

        Args:
            batches: The train side, every map once, not augmented.
        """
        totals = torch.zeros(3, *self.latent_mean.shape, dtype=torch.float64)
        with prediction_mode(self), torch.no_grad():
            for batch in batches:
                z = self.autoencoder.encode(batch["maps"].to(self.latent_mean))[0].cpu().double()
                parts = torch.ones_like(z), z, z.square()
                totals += torch.stack([part.sum((0, 2, 3))[:, None, None] for part in parts])
        if self._trainer is not None and self.trainer.world_size > 1:
            totals = self.trainer.strategy.reduce(totals.to(self.device), reduce_op="sum").cpu()
        count, total, squares = totals
        mean = total / count
        self.latent_mean.copy_(mean)
        self.latent_sd.copy_((squares / count - mean.square()).clamp(min=_LEAST_SD**2).sqrt())
        self.stage.fill_(1)

    def on_fit_start(self) -> None:
        """Refuse a strategy that waits for gradients of the part that is not trained.

        Raises:
            UsageError: Several processes train without ``find_unused_parameters``.
        """
        self.refuse_to_wait(
            "latent_diffusion trains its two networks one after the other, which the strategy of several"
            " processes has to be told"
        )

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of the stage, twice."""
        if int(self.stage):
            return super().losses(maps, targets)
        mean, log_variance = self.autoencoder.encode(maps)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        error = (self.autoencoder.decode(z) - maps).square().mean()
        loss = error + self.kl * gaussian_divergence(mean, log_variance) / maps.numel()
        return loss, loss

    def error(self, x_0: Tensor, conditions: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the denoiser's mean square error on the latent maps of ``x_0``; see `Denoising.error`."""
        return super().error(self.encoded(x_0), conditions, generator)

    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss of the stage and, in the first, the error of the ``reconstruction``."""
        if int(self.stage):
            return super().validated(maps, targets, generator)
        error = (self.decoded(self.encoded(maps)) - maps).square().mean()
        return {"loss": error, "reconstruction": error}

    def encoded(self, maps: Tensor) -> Tensor:
        """Return the latent maps, standardised, without gradients.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
        """
        with torch.no_grad():
            z: Tensor = (self.autoencoder.encode(maps)[0] - self.latent_mean) / self.latent_sd
        return z

    def decoded(self, x: Tensor) -> Tensor:
        """Return the maps that standardised latent maps stand for."""
        maps: Tensor = self.autoencoder.decode(x * self.latent_sd + self.latent_mean)
        return maps
