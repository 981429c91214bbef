"""What a critic of patches looks at, of true maps, of generated ones and of maps of another kind.

A discriminator that tells true from generated maps by how they were cut out looks at their corners, as that
of the first galaxy translation did. `CriticScore` makes one number of its map of scores, so that every
attribution takes it as it takes a network: the share of the attribution in the outer tenth
(``outer_tenth``, 36 % if it is even) then says whether it is the edge that is judged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skyloom.errors import UsageError

KINDS = ("truth", "generated", "input")


class CriticScore(nn.Module):
    """The mean score of a critic for a translation, as a network of one output.

    Args:
        method: A trained method of task ``translate`` with a critic: ``pix2pix`` or ``cyclegan``.

    Raises:
        UsageError: The method has no critic.

    Example:
        >>> from skyloom.methods.pix2pix import Pix2Pix
        >>> net, critic = {"name": "unet", "width": 4, "depth": 2}, {"name": "patchgan", "width": 4}
        >>> score = CriticScore(Pix2Pix(1, 1, 16, net=net, critic=critic))
        >>> score(torch.zeros(3, 2, 16, 16)).shape
        torch.Size([3, 1])
    """

    def __init__(self, method: Any) -> None:
        super().__init__()
        if not hasattr(method, "scores"):
            raise UsageError(
                f"method {method.name!r} has no critic to explain",
                hint="explain a run of pix2pix or cyclegan, or leave out explain",
            )
        self.method, self.fields = method, int(method.out_features)
        self.train(method.training)

    def forward(self, seen: Tensor) -> Tensor:
        """Return the mean score ``(B, 1)``, high for true.

        Args:
            seen: Target fields and then the inputs beside them, transformed, shape ``(B, P + C, H, W)``.
        """
        fields, maps = seen[:, : self.fields], seen[:, self.fields :]
        scores: Tensor = self.method.scores(maps)(fields)
        return scores.flatten(1).mean(dim=1, keepdim=True)


def judged_maps(method: Any, maps: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return what a critic may be shown: true targets, generated ones, and the input in their place.

    Args:
        method: As of `CriticScore`.
        maps: Inputs, transformed, shape ``(B, C, H, W)``.
        truth: True targets, transformed, shape ``(B, P, H, W)``.

    Returns:
        By the names of `KINDS` targets and inputs together, shape ``(B, P + C, H, W)``; ``input``, a map of
        the wrong domain, only where there are as many inputs as targets.
    """
    shown = {"truth": truth, "generated": method.predict(maps)["mean"]}
    if maps.shape[1] == truth.shape[1]:
        shown["input"] = maps
    return {kind: torch.cat((fields, maps), dim=1) for kind, fields in shown.items()}
