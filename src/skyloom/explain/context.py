"""What an explanation may know beside the network: truth, raw maps, their transforms, independent groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from skyloom.errors import ShapeError, UsageError
from skyloom.methods import Method

PREDICTED_AT_ONCE = 64
Score = Callable[[NDArray[Any], NDArray[Any]], float]


def r2(truth: NDArray[Any], prediction: NDArray[Any]) -> float:
    """Return the share of the variance of the truth that a prediction explains, at most 1.

    Args:
        truth: Shape ``(B,)``, any unit.
        prediction: Shape ``(B,)``, the same unit.

    Returns:
        ``1 - Σ (truth - prediction)² / Σ (truth - <truth>)²``; NaN where the truth does not vary.

    Example:
        >>> r2(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]))
        0.5
    """
    variance = float(np.square(truth - truth.mean()).sum())
    return 1 - float(np.square(truth - prediction).sum()) / variance if variance > 0 else float("nan")


def class_probability(truth: NDArray[Any], prediction: NDArray[Any]) -> float:
    """Return the mean probability of a class on the maps that belong to it.

    Args:
        truth: 1 for maps of the class, else 0, shape ``(B,)``.
        prediction: Probability of the class, shape ``(B,)``.

    Returns:
        0 to 1; NaN where no map belongs to the class.

    Example:
        >>> class_probability(np.array([1, 1, 0]), np.array([0.9, 0.5, 0.4]))
        0.7
    """
    own = prediction[truth > 0.5]
    return float(own.mean()) if own.size else float("nan")


def accuracy(truth: NDArray[Any], prediction: NDArray[Any]) -> float:
    """Return the share of maps whose most probable class is their own; a ``joint`` score.

    Args:
        truth: One-hot, shape ``(B, K)``.
        prediction: Probabilities, shape ``(B, K)``.

    Example:
        >>> accuracy(np.eye(2), np.array([[0.6, 0.4], [0.7, 0.3]]))
        0.5
    """
    return float((truth.argmax(axis=1) == prediction.argmax(axis=1)).mean())


@dataclass(frozen=True)
class Context:
    """The maps under study and what is known about them.

    Args:
        truth: Targets, standardised as the method predicts them, shape ``(B, P)``.
        raw: Maps in physical units before any transform, shape ``(B, C, H, W)``.
        transform: Turns raw maps ``(B, C, H, W)`` into the standardised tensor that the method takes.
        parameters: Names of the ``P`` targets.
        groups: The independent unit to which each map belongs (its simulation), shape ``(B,)``; None where
            every map is independent.
        score: Judges one target; larger is better.
        score_name: Its name.
        periodic: Whether opposite edges of a map touch.
        classes: The method is a classifier: its outputs are logits ``(B, P)``, it predicts probabilities,
            ``parameters`` names the classes and ``truth`` is one-hot. Give a score that suits:
            `class_probability`, or `accuracy`, which is joint.
        joint: The score judges all targets at once, ``(B, P)``, not the one explained, ``(B,)``.

    Raises:
        ShapeError: The parts are not of one length ``B``, or there are not ``P`` names.

    Example:
        >>> context = Context(np.zeros((2, 1)), np.zeros((2, 1, 8, 8)), torch.from_numpy, ["x_HI"])
        >>> context.parameters
        ['x_HI']
    """

    truth: NDArray[Any]
    raw: NDArray[Any]
    transform: Callable[[NDArray[Any]], Tensor]
    parameters: Sequence[str]
    groups: NDArray[Any] | None = None
    score: Score = r2
    score_name: str = "r2"
    periodic: bool = True
    classes: bool = False
    joint: bool = False

    def __post_init__(self) -> None:
        lengths = {"truth": len(self.truth), "raw": len(self.raw)}
        if self.groups is not None:
            lengths["groups"] = len(self.groups)
        if len(set(lengths.values())) > 1 or self.truth.shape[1:] != (len(self.parameters),):
            raise ShapeError(
                "an explanation needs truth (B, P), raw (B, C, H, W), groups (B,) and P names; "
                f"found {lengths} maps, truth of shape {self.truth.shape} and {len(self.parameters)} names",
                hint="take all of them from the same rows of the same field set",
            )

    def name_of(self, target: int) -> str:
        """Return the name of a target.

        Raises:
            UsageError: There is no such target.
        """
        if not 0 <= target < len(self.parameters):
            raise UsageError(
                f"there is no target {target}",
                hint=f"allowed: 0 to {len(self.parameters) - 1}, for {', '.join(self.parameters)}",
            )
        return self.parameters[target]

    def judged(self, values: NDArray[Any], target: int) -> NDArray[Any]:
        """Return of truths or answers ``(..., B, P)`` what the score sees: all, or those of one target."""
        return values if self.joint else values[..., target]

    def answers(self, method: Method, maps: Tensor) -> NDArray[np.float64]:
        """Return what the method says of standardised maps, as scores see it.

        Args:
            method: The trained method.
            maps: Standardised maps, shape ``(B, C, H, W)``.

        Returns:
            Predicted means, standardised, or probabilities of the classes, shape ``(B, P)``.
        """
        parts = [method.predict(part)["mean"] for part in torch.split(maps, PREDICTED_AT_ONCE)]
        return np.asarray(torch.cat(parts).cpu().numpy(), dtype=np.float64)


class Explanation(Protocol):
    """What every component of the kind ``explanation`` offers."""

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Explain one target of a trained method.

        Args:
            method: The trained method; its weights, gradients and modes are left as they are.
            maps: Standardised maps, shape ``(B, C, H, W)``; never written to.
            target: Index of the target, 0 to ``P - 1``.
            generator: Source of all random numbers.
            context: Truth, raw maps and groups, of the same ``B`` maps.

        Returns:
            The explanation, with ``attrs["summary"]`` as JSON.
        """


def finish(
    ds: xr.Dataset, explanation: str, context: Context, target: int, summary: dict[str, Any]
) -> xr.Dataset:
    """Write into a result what it explains and what it found.

    Args:
        ds: The result.
        explanation: Name of the explanation in the registry.
        context: Gives the name of the target.
        target: Index of the target.
        summary: The numbers that a report quotes; NaN becomes null.

    Returns:
        A copy with the attributes ``explanation``, ``target`` and ``summary`` (JSON).

    Example:
        >>> context = Context(np.zeros((2, 1)), np.zeros((2, 1, 8, 8)), torch.from_numpy, ["x_HI"])
        >>> finish(xr.Dataset(), "smooth", context, 0, {"drop": float("nan")}).attrs["summary"]
        '{"drop": null}'
    """
    clean = json.loads(json.dumps(summary), parse_constant=lambda _: None)
    name = context.name_of(target)
    return ds.assign_attrs(explanation=explanation, target=name, summary=json.dumps(clean))


if TYPE_CHECKING:
    from skyloom.explain.bands import BandAttribution, Bands
    from skyloom.explain.grad_cam import GradCam
    from skyloom.explain.gradients import IntegratedGradients, Saliency
    from skyloom.explain.interventions import Equalise, FlattenSpectrum, RemoveMean, ShufflePhases, Smooth
    from skyloom.explain.occlusion import Occlusion
    from skyloom.explain.sanity import RandomisedLabels, RandomisedWeights
    from skyloom.explain.shap import DeepLiftShap, GradientShap

    conforming: tuple[Explanation, ...] = (
        Saliency(),
        IntegratedGradients(),
        GradientShap(),
        DeepLiftShap(),
        Occlusion(),
        GradCam(),
        Smooth(),
        FlattenSpectrum(),
        ShufflePhases(),
        Equalise(),
        RemoveMean(),
        Bands(),
        BandAttribution(),
        RandomisedWeights(),
        RandomisedLabels(),
    )
