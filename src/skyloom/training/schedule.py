"""The learning rate as a function of the step, and the optimiser that follows it.

A schedule is stepped after every optimiser step and depends on the step and the planned total alone, so that
a resumed training goes on along the same curve. With ``s`` steps done of ``S``:

* ``constant``: factor 1.
* ``cosine``: a linear rise over the first 3 % of the steps (100 at most), then half a cosine to 1 % of the
  rate (Loshchilov & Hutter 2017, arXiv:1608.03983). The rise lets an adaptive optimiser fill its averages.
* ``one_cycle``: PyTorch's own, up over 30 % of the steps and down to nothing, with the momentum moving the
  other way (Smith & Topin 2018, arXiv:1708.07120).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from skyloom import registry
from skyloom.errors import UsageError, nearest
from skyloom.methods.optimisers import Weights

SCHEDULES = ("cosine", "one_cycle", "constant")
WARM_UP_FRACTION = 0.03
WARM_UP_STEPS = 100
COSINE_FLOOR = 0.01


def cosine_factor(step: int, total: int) -> float:
    """Return the factor of the learning rate at a step of the cosine schedule.

    Args:
        step: Optimiser steps already done, from 0.
        total: Optimiser steps planned.

    Returns:
        A number in (0, 1]: 1 where the rise ends, ``COSINE_FLOOR`` at the end.

    Example:
        >>> [round(cosine_factor(step, 1000), 3) for step in (0, 29, 30, 515, 1000)]
        [0.033, 1.0, 1.0, 0.505, 0.01]
    """
    rise = min(WARM_UP_STEPS, int(WARM_UP_FRACTION * total))
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, total - rise))
    return COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * done))


def make_schedule(name: str, optimiser: Optimizer, total: int) -> LRScheduler:
    """Make a schedule for an optimiser, to be stepped after each of its steps.

    Args:
        name: One of ``SCHEDULES``.
        optimiser: The optimiser; its learning rate is the highest that is reached.
        total: Optimiser steps planned, 1 or more.

    Returns:
        The scheduler.

    Raises:
        UsageError: There is no schedule of this name.

    Example:
        >>> import torch
        >>> optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
        >>> make_schedule("constant", optimiser, 10).get_last_lr()
        [0.2]
    """
    if name == "constant":
        return LambdaLR(optimiser, _one)
    if name == "cosine":
        return LambdaLR(optimiser, partial(cosine_factor, total=total))
    if name == "one_cycle":
        # One step more than planned: PyTorch leaves its curve at the last one.
        highest = [group["lr"] for group in optimiser.param_groups]
        return OneCycleLR(optimiser, max_lr=highest, total_steps=total + 1)
    raise UsageError(f"train.schedule is {name!r}", hint=nearest(name, SCHEDULES))


def optimisation(
    optimiser: dict[str, Any] | str, schedule: str, steps: Callable[[], int]
) -> Callable[[Weights], dict[str, Any]]:
    """Return what a method needs as its ``optimisation``: parameters in, Lightning's configuration out.

    Args:
        optimiser: A component of the kind ``optimiser``, as in a recipe.
        schedule: One of ``SCHEDULES``.
        steps: Tells the optimiser steps planned; asked when the training begins, once the data are known.

    Returns:
        A function for ``configure_optimizers``.

    Raises:
        RegistryError: There is no such optimiser.
        UsageError: There is no such schedule.

    Example:
        >>> import torch
        >>> configure = optimisation({"name": "adamw", "lr": 1e-3}, "constant", lambda: 10)
        >>> configure([torch.nn.Parameter(torch.zeros(1))])["lr_scheduler"]["interval"]
        'step'
    """
    if schedule not in SCHEDULES:
        raise UsageError(f"train.schedule is {schedule!r}", hint=nearest(schedule, SCHEDULES))

    def configure(parameters: Weights) -> dict[str, Any]:
        built: Optimizer = registry.build(optimiser, "optimiser")(parameters)
        curve = make_schedule(schedule, built, max(1, steps()))
        return {"optimizer": built, "lr_scheduler": {"scheduler": curve, "interval": "step"}}

    return configure


def _one(step: int) -> float:
    return 1.0
