"""Optimisers as components: the recipe chooses the settings, the weights come at the call.

A fused optimiser reads and writes each weight once a step, where the plain one makes a pass for each
operation; on a CPU the step of a large dense layer is bound by exactly that traffic. It is chosen wherever
torch has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

FUSED_DEVICES = {"cpu", "cuda"}
Weights = Iterable[nn.Parameter] | Iterable[dict[str, Any]]  # or groups, ``{"params": [...], "rate": 1.0}``


def can_fuse(weights: Iterable[nn.Parameter]) -> bool:
    """Return whether torch has a fused step for these weights.

    Args:
        weights: Any number of weights, anywhere.

    Example:
        >>> can_fuse([nn.Parameter(torch.zeros(2))]), can_fuse([nn.Parameter(torch.zeros(2, device="meta"))])
        (True, False)
    """
    return all(w.device.type in FUSED_DEVICES and w.is_floating_point() for w in weights)


def grouped(weights: Weights, lr: float) -> list[dict[str, Any]]:
    """Return groups of weights with a learning rate each.

    Args:
        weights: Weights, which make one group, or groups; ``rate`` multiplies the learning rate of a group.
        lr: The learning rate.

    Example:
        >>> w = nn.Parameter(torch.zeros(2))
        >>> [group["lr"] for group in grouped([{"params": [w]}, {"params": [w], "rate": 2.0}], 0.1)]
        [0.1, 0.2]
    """
    listed: list[Any] = list(weights)
    if not all(isinstance(group, dict) for group in listed):
        listed = [{"params": listed}]
    return [{"params": group["params"], "lr": lr * group.get("rate", 1.0)} for group in listed]


class Adam:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980).

    Args:
        lr: Learning rate.
        betas: Decay of the running mean of the gradient and of its square, each step.
        eps: Added to the root of the mean square.
        fused: One pass over the weights; None uses it where torch has it.

    Example:
        >>> Adam(lr=0.01)([nn.Parameter(torch.zeros(2))]).defaults["lr"]
        0.01
    """

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        betas: list[float] = [0.9, 0.999],  # noqa: B006 - read, never written
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        self.lr, self.betas, self.eps, self.fused = lr, (betas[0], betas[1]), eps, fused

    def __call__(self, weights: Weights) -> torch.optim.Optimizer:
        """Return the optimiser of these weights."""
        groups = grouped(weights, self.lr)
        fused = self.fused
        if fused is None:
            fused = can_fuse(weight for group in groups for weight in group["params"])
        return torch.optim.Adam(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=fused)


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017, arXiv:1711.05101).

    Args:
        lr: Learning rate.
        weight_decay: Each step shrinks a weight by ``lr * weight_decay`` of itself.
        betas: Decay of the running mean of the gradient and of its square, each step.
        eps: Added to the root of the mean square.
        fused: One pass over the weights; None uses it where torch has it.

    Example:
        >>> AdamW()([nn.Parameter(torch.zeros(2))]).defaults["fused"]
        True
    """

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        betas: list[float] = [0.9, 0.999],  # noqa: B006 - read, never written
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        self.lr, self.weight_decay, self.betas, self.eps = lr, weight_decay, (betas[0], betas[1]), eps
        self.fused = fused

    def __call__(self, weights: Weights) -> torch.optim.Optimizer:
        """Return the optimiser of these weights."""
        groups = grouped(weights, self.lr)
        fused = self.fused
        if fused is None:
            fused = can_fuse(weight for group in groups for weight in group["params"])
        return torch.optim.AdamW(
            groups, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=fused
        )


class SGD:
    """Stochastic gradient descent.

    Args:
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        nesterov: Look ahead along the momentum.
        weight_decay: Each step shrinks a weight by ``lr * weight_decay`` of itself.
        fused: One pass over the weights; None uses it where torch has it.

    Example:
        >>> SGD(lr=0.1, momentum=0.9)([nn.Parameter(torch.zeros(2))]).defaults["momentum"]
        0.9
    """

    def __init__(
        self,
        *,
        lr: float = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        fused: bool | None = None,
    ) -> None:
        self.lr, self.momentum, self.nesterov, self.weight_decay = lr, momentum, nesterov, weight_decay
        self.fused = fused

    def __call__(self, weights: Weights) -> torch.optim.Optimizer:
        """Return the optimiser of these weights."""
        groups = grouped(weights, self.lr)
        fused = self.fused
        if fused is None:
            fused = can_fuse(weight for group in groups for weight in group["params"])
        return torch.optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=fused,
        )
