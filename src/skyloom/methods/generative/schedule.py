r"""How a map turns into noise: ``x_t = alpha(t) x_0 + sigma(t) noise``, ``t`` from 0 (map) to 1 (noise).

A diffusion keeps the variance: ``alpha^2 + sigma^2 = 1``. Sampling starts from pure noise, so nothing of
the map may be left at the end: ``alpha(1)^2`` is the share of the map's variance that still is. 100 steps
with the usual betas leave 36 % of it, and a network trained so has never seen what sampling begins with (Lin
et al. 2023, arXiv:2305.08891). Schedules here refuse more than 0.1 %. Maps are standardised, not forced into
a range, and nothing is clipped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from skyloom.errors import UsageError

LEFT = 1e-3  #: largest share of the map's variance that may be left at the end
_OFFSET = 0.008  # of the cosine: the first step is not too small
_LARGEST_BETA = 0.999
_POWERS = {"uniform": 1, "quadratic": 2}
Spacing = Literal["uniform", "quadratic"]


class Schedule(ABC):
    """Amplitudes of map and noise over time."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Return the amplitude of the map at times ``t``, in their shape."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Return the amplitude of the noise at times ``t``, in their shape."""

    def instants(self, steps: int, spacing: Spacing = "uniform") -> list[float]:
        """Return the times that a sampler walks through, from 1 to 0.

        Args:
            steps: Steps, one less than times.
            spacing: ``uniform``, or ``quadratic``: closer to each other where little noise is left, since
                faint structures appear there (Song et al. 2020, arXiv:2010.02502).

        Example:
            >>> Straight().instants(4), Straight().instants(4, "quadratic")
            ([1.0, 0.75, 0.5, 0.25, 0.0], [1.0, 0.5625, 0.25, 0.0625, 0.0])
        """
        return [(1 - k / steps) ** _POWERS[spacing] for k in range(steps + 1)]

    @abstractmethod
    def times(self, u: Tensor) -> Tensor:
        """Turn uniform numbers within [0, 1) into times to train on."""


class Diffusion(Schedule):
    r"""The discrete schedule of a DDPM (Ho et al. 2020, arXiv:2006.11239): time goes in ``steps``.

    .. math:: \alpha(i / T)^2 = \bar\alpha_i = \prod_{j \le i} (1 - \beta_j)

    Args:
        kind: ``cosine`` (Nichol & Dhariwal 2021, arXiv:2102.09672), or ``linear``, betas from 1e-4 to 0.02 at
            1000 steps, scaled as their number changes.
        steps: Number of steps ``T``.

    Raises:
        UsageError: More than 0.1 % of the map is left at the end.

    Example:
        >>> schedule = Diffusion("linear", 1000)
        >>> end = torch.tensor(1.0)
        >>> bool(schedule.alpha(end) ** 2 < 1e-3), float(schedule.alpha(torch.tensor(0.0)))
        (True, 1.0)
    """

    def __init__(self, kind: Literal["cosine", "linear"] = "cosine", steps: int = 1000) -> None:
        if steps < 1:
            raise UsageError(f"a diffusion of {steps} steps", hint="take 1000")
        step = torch.arange(steps, dtype=torch.float64)
        if kind == "linear":
            betas = (1e-4 + (0.02 - 1e-4) * step / max(steps - 1, 1)) * (1000 / steps)
        else:
            betas = 1 - _cosine((step + 1) / steps) / _cosine(step / steps)
        kept = torch.cumprod(1 - betas.clamp(max=_LARGEST_BETA), dim=0)
        if kept[-1] >= LEFT:
            raise UsageError(
                f"after {steps} steps of a {kind} schedule {float(kept[-1]):.2g} of the map's variance is"
                f" left, allowed: less than {LEFT:g}",
                hint="take 1000 steps, or the cosine schedule",
            )
        self.steps = steps
        self.alpha_bar = torch.cat((torch.ones(1, dtype=torch.float64), kept))

    def alpha(self, t: Tensor) -> Tensor:
        """Return the amplitude of the map."""
        return self._at(t).sqrt().to(t.dtype)

    def sigma(self, t: Tensor) -> Tensor:
        """Return the amplitude of the noise."""
        return (1 - self._at(t)).sqrt().to(t.dtype)

    def times(self, u: Tensor) -> Tensor:
        """Return the times of steps 1 to ``T``, equally likely."""
        return (torch.floor(u * self.steps) + 1) / self.steps

    def instants(self, steps: int, spacing: Spacing = "uniform") -> list[float]:
        """Return times of whole steps, each once: fewer than asked for where these lie too close.

        Example:
            >>> Diffusion("cosine", 100).instants(5, "quadratic")
            [1.0, 0.64, 0.36, 0.16, 0.04, 0.0]
            >>> len(Diffusion("cosine", 100).instants(50, "quadratic"))
            45
        """
        whole = [round(t * self.steps) for t in super().instants(steps, spacing)]
        return [step / self.steps for step in dict.fromkeys(whole)]

    def _at(self, t: Tensor) -> Tensor:
        return self.alpha_bar.to(t.device)[torch.round(t * self.steps).long()]


class Straight(Schedule):
    """The straight path of flow matching (Lipman et al. 2022, arXiv:2210.02747): nothing is left at the end.

    Example:
        >>> t = torch.tensor([0.0, 0.25, 1.0])
        >>> Straight().alpha(t).tolist(), Straight().sigma(t).tolist()
        ([1.0, 0.75, 0.0], [0.0, 0.25, 1.0])
    """

    def alpha(self, t: Tensor) -> Tensor:
        """Return ``1 - t``."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """Return ``t``."""
        return t

    def times(self, u: Tensor) -> Tensor:
        """Return the uniform numbers themselves."""
        return u


class Circle(Schedule):
    """A quarter of a circle: map and noise of one variance keep it at all times (arXiv:2209.15571).

    Where noise has the spectra of the maps the best speed of a Gaussian field is zero, so that no step of a
    sampler, however long, changes it.

    Example:
        >>> t = torch.tensor([0.0, 0.5])
        >>> [round(value, 3) for value in (Circle().alpha(t) ** 2).tolist()]
        [1.0, 0.5]
    """

    def alpha(self, t: Tensor) -> Tensor:
        """Return ``cos(pi t / 2)``."""
        return torch.cos(0.5 * math.pi * t)

    def sigma(self, t: Tensor) -> Tensor:
        """Return ``sin(pi t / 2)``."""
        return torch.sin(0.5 * math.pi * t)

    def times(self, u: Tensor) -> Tensor:
        """Return the uniform numbers themselves."""
        return u


def _cosine(t: Tensor) -> Tensor:
    return torch.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
