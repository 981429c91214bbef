"""Denoising diffusion: trained as a DDPM, sampled by DDIM.

Ho et al. 2020, arXiv:2006.11239; Song et al. 2020, arXiv:2010.02502.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from skyloom import registry
from skyloom.methods.generative.base import DenoiserNet, Denoising, Noise
from skyloom.methods.generative.denoising import Denoiser, Generators, Step, ddim
from skyloom.methods.generative.schedule import Diffusion as Schedule
from skyloom.methods.generative.schedule import Spacing


class DDPM(Denoising):
    """Base of the diffusions: trained as a DDPM of the maps or of what stands for them, sampled by DDIM.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        arguments: As `Denoising`; ``schedule``, ``noise_steps``, ``prediction``, ``spacing`` and ``eta`` are
            used here.
        space: As `Denoising`.
    """

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        arguments: dict[str, Any],
        *,
        space: tuple[int, int] | None = None,
    ) -> None:
        schedule = Schedule(arguments["schedule"], arguments["noise_steps"])
        target = arguments["prediction"]
        super().__init__(
            in_channels, out_features, size, arguments, schedule=schedule, target=target, space=space
        )
        self.spacing, self.eta = arguments["spacing"], arguments["eta"]

    def walk(
        self,
        denoise: Denoiser,
        x: Tensor,
        *,
        steps: int,
        generator: Generators | None,
        done: Step | None,
    ) -> Tensor:
        """Walk by DDIM."""
        options: dict[str, Any] = {
            "spacing": self.spacing,
            "eta": self.eta,
            "generator": generator,
            "colour": self.colour,
        }
        return ddim(denoise, self.schedule, x, steps=steps, done=done, **options)


class Diffusion(DDPM):
    """Diffusion of maps with conditions.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of conditions.
        size: Side length of the maps, pixels.
        net: The denoiser.
        noise: Where the path begins: ``white`` noise, or ``coloured`` as a Gaussian field with the power and
            cross spectra that the train side has at these conditions, hidden ones or not.
        prediction: What it learns: the ``velocity`` or the ``noise``.
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
        >>> import torch
        >>> method = Diffusion(1, 2, 8, net={"name": "unet", "width": 8, "multiples": [1, 2]}, steps=2)
        >>> method.sample(torch.zeros(3, 2)).shape
        torch.Size([3, 1, 8, 8])
    """

    name = "diffusion"

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: DenoiserNet = {"name": "unet"},  # noqa: B006 - read, never written
        noise: Noise = "white",
        prediction: Literal["velocity", "noise"] = "velocity",
        schedule: Literal["cosine", "linear"] = "cosine",
        noise_steps: int = 1000,
        drop: float = 0.1,
        steps: int = 50,
        spacing: Spacing = "quadratic",
        eta: float = 0.0,
        guidance: float = 1.0,
    ) -> None:
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "denoiser"),
            "noise": noise,
            "prediction": prediction,
            "schedule": schedule,
            "noise_steps": noise_steps,
            "drop": drop,
            "steps": steps,
            "spacing": spacing,
            "eta": eta,
            "guidance": guidance,
        }
        super().__init__(in_channels, out_features, size, arguments)
