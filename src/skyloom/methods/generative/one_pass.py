"""Generators that draw a map in one pass of a network ``net``, from noise and conditions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skyloom.errors import UsageError
from skyloom.methods.base import prediction_mode
from skyloom.methods.generative.base import Generative
from skyloom.methods.generative.denoising import Generators, Step, gaussian


class OnePass(Generative):
    """Base of the generators whose ``net`` is one of the kind ``generator``; arguments as `Generative`."""

    net: Any

    def sample(
        self,
        conditions: Tensor,
        *,
        generator: Generators | None = None,
        steps: int | None = None,
        done: Step | None = None,
    ) -> Tensor:
        """Draw maps in one pass of the generator; see `Generative.sample`.

        Raises:
            UsageError: More or fewer than one step are asked for.
        """
        self.check_conditions(conditions)
        if steps not in (None, 1):
            raise UsageError(
                f"a sampler of {steps} steps", hint=f"method {self.name!r} draws in one: leave it out"
            )
        with prediction_mode(self), torch.no_grad():
            noise = gaussian((len(conditions), *self.net.noise_shape), conditions, generator)
            maps: Tensor = self.net(noise, conditions)
        if done is not None:
            done(1, 1)
        return maps
