"""Interventions: take one kind of information out of the *raw* maps and see whether the score notices.

The changed maps go through the transforms that were fitted in training and are scored again. A score that
stays shows that the network did not need what was removed. A score that drops has two readings: the network
needs it, or the changed maps lie outside what it has ever seen. The squared correlation, which forgives a
shifted or stretched prediction, is therefore given beside the score.

Intervals are bootstraps over groups (simulations), paired: every version is judged on the same resampled
groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from skyloom.errors import UsageError
from skyloom.explain.context import Context, Score, finish
from skyloom.fields.interventions import equalise, flatten_spectrum, remove_mean, shuffle_phases, smooth
from skyloom.methods import Method

Change = Callable[[NDArray[Any]], NDArray[Any]]
LEVELS = (0.025, 0.975)


def rescore(
    method: Method,
    changes: Sequence[Change],
    dim: tuple[str, Sequence[Any]],
    target: int,
    *,
    bootstrap: int,
    generator: torch.Generator,
    context: Context,
) -> xr.Dataset:
    """Score a method on several versions of the same raw maps.

    Args:
        method: The trained method.
        changes: Each turns raw maps ``(B, C, H, W)`` into another version of them; the first is the
            reference.
        dim: Name and values of the dimension that counts the versions.
        target: Index of the target.
        bootstrap: Resamples of the groups.
        generator: Source of the resamples.
        context: Truth, raw maps, transforms and groups.

    Returns:
        Along ``dim``: ``score``, its 95 % interval ``low`` and ``high``, ``correlation_squared``, and
        ``drop``, the score of the reference less this one, with ``drop_low`` and ``drop_high``; and ``mean
        (dim, sample)``, the standardised predictions or the probabilities of the class. Intervals are NaN for
        a single group.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> raw = np.random.default_rng(0).random((4, 1, 16, 16), dtype=np.float32)
        >>> context = Context(np.arange(4.0)[:, None], raw, torch.from_numpy, ["x_HI"])
        >>> ds = rescore(method, [lambda m: m], ("version", ["as it is"]), 0, bootstrap=10,
        ...     generator=torch.Generator(), context=context)
        >>> float(ds["drop"][0])
        0.0
    """
    versions = (standardised(method, change(context.raw), context) for change in changes)
    answers = np.stack([context.answers(method, maps) for maps in versions])
    means, truth = answers[..., target], context.truth[:, target]
    judged, seen = context.judged(context.truth, target), context.judged(answers, target)
    scores = np.array([context.score(judged, answer) for answer in seen])
    resampled = resample(context.score, judged, seen, context.groups, bootstrap, generator)
    drops = resampled[:1] - resampled
    low, high = interval(resampled)
    drop_low, drop_high = interval(drops)
    name, values = dim
    return xr.Dataset(
        {
            "score": (name, scores),
            "low": (name, low),
            "high": (name, high),
            "correlation_squared": (name, [correlation(truth, mean) ** 2 for mean in means]),
            "drop": (name, scores[0] - scores),
            "drop_low": (name, drop_low),
            "drop_high": (name, drop_high),
            "mean": ((name, "sample"), means),
            "truth": ("sample", truth),
        },
        coords={name: list(values)},
        attrs={"score": context.score_name},
    )


class Intervention(ABC):
    """Several versions of the same maps, scored side by side: what all interventions share.

    Args:
        bootstrap: Resamples of the groups for the intervals.
    """

    name: ClassVar[str]
    dim: ClassVar[str] = "version"
    labels: Sequence[Any] = ("own", "changed")

    def __init__(self, *, bootstrap: int = 500) -> None:
        self.bootstrap = bootstrap

    @abstractmethod
    def changes(self, generator: torch.Generator, context: Context) -> list[Change]:
        """Return what makes each version of the raw maps, in the order of ``labels``."""

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return the score of each version; see `rescore` for the variables."""
        context.name_of(target)
        ds = rescore(
            method,
            self.changes(generator, context),
            (self.dim, self.labels),
            target,
            bootstrap=self.bootstrap,
            generator=generator,
            context=context,
        )
        return finish(ds, self.name, context, target, {"score": context.score_name, **self.summary(ds)})

    def summary(self, ds: xr.Dataset) -> dict[str, Any]:
        """Return the score of each version by its label."""
        return dict(zip(self.labels, ds["score"].values.tolist(), strict=True))


class Smooth(Intervention):
    """Smooth the maps more and more: at which scale is the answer?

    Args:
        widths: Standard deviations of the Gaussian, pixels; 0 leaves the maps as they are and is added as the
            reference where it is missing.
        bootstrap: Resamples of the groups for the intervals.

    Raises:
        UsageError: A width is negative.

    Example:
        >>> Smooth(widths=[4.0, 2.0]).widths
        [0.0, 2.0, 4.0]
    """

    name, dim = "smooth", "width"

    def __init__(
        self,
        *,
        widths: list[float] = [0.0, 1.0, 2.0, 4.0, 8.0],  # noqa: B006 - read, never written
        bootstrap: int = 500,
    ) -> None:
        super().__init__(bootstrap=bootstrap)
        if min(widths, default=0.0) < 0:
            raise UsageError(f"smooth needs widths of 0 pixels or more, found {widths}", hint="try [0, 2, 4]")
        self.labels = self.widths = sorted({0.0, *(float(width) for width in widths)})

    def changes(self, generator: torch.Generator, context: Context) -> list[Change]:
        """Return one Gaussian for each width [pixels]."""
        return [partial(smooth, width_pixels=width, periodic=context.periodic) for width in self.widths]

    def summary(self, ds: xr.Dataset) -> dict[str, Any]:
        """Return the score at each width, and the first width that costs half of it."""
        ds["width"].attrs.update(units="pixel", long_name="width of the Gaussian")
        half = ds["width"].where(ds["drop"] > 0.5 * ds["score"][0], drop=True)
        return {
            "widths": self.widths,
            "scores": ds["score"].values.tolist(),
            "half_lost_at": float(half[0]) if half.size and float(ds["score"][0]) > 0 else None,
        }


class FlattenSpectrum(Intervention):
    """Give every map a white power spectrum at its own mean and variance: is the answer in the phases?

    Args:
        bootstrap: Resamples of the groups for the intervals.

    Example:
        >>> FlattenSpectrum(bootstrap=100).bootstrap
        100
    """

    name, dim, labels = "flatten_spectrum", "spectrum", ("own", "flat")

    def changes(self, generator: torch.Generator, context: Context) -> list[Change]:
        """Return the maps as they are, and with a flat spectrum."""
        return [np.asarray, flatten_spectrum]


class ShufflePhases(Intervention):
    """Turn all phases by random angles: is the power spectrum enough?

    The same angles for all channels of a map, so cross spectra are kept too. Where the score stays, two-point
    statistics would have done; where it falls, the answer is in the shapes.

    Args:
        bootstrap: Resamples of the groups for the intervals.

    Example:
        >>> ShufflePhases(bootstrap=100).bootstrap
        100
    """

    name = "shuffle_phases"

    def changes(self, generator: torch.Generator, context: Context) -> list[Change]:
        """Return the maps as they are, and with shuffled phases."""
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        return [np.asarray, partial(shuffle_phases, seed=seed, shared=True)]


class Equalise(Intervention):
    """Give all maps the same histogram of pixels: is the answer in the one-point distribution?

    Args:
        bootstrap: Resamples of the groups for the intervals.

    Example:
        >>> Equalise(bootstrap=100).bootstrap
        100
    """

    name = "equalise"

    def changes(self, generator: torch.Generator, context: Context) -> list[Change]:
        """Return the maps as they are, and equalised."""
        return [np.asarray, equalise]


class RemoveMean(Intervention):
    """Shift all maps to one mean: is the answer in the mean, which an interferometer does not measure?

    A network that was trained behind the transform ``remove_mean`` cannot notice.

    Args:
        bootstrap: Resamples of the groups for the intervals.

    Example:
        >>> RemoveMean(bootstrap=100).bootstrap
        100
    """

    name = "remove_mean"

    def changes(self, generator: torch.Generator, context: Context) -> list[Change]:
        """Return the maps as they are, and at one mean."""
        return [np.asarray, remove_mean]


def standardised(method: Method, raw: NDArray[Any], context: Context) -> Tensor:
    """Return raw maps as the method takes them, where the method is.

    Args:
        method: The trained method.
        raw: Maps in physical units, shape ``(B, C, H, W)``.
        context: Gives the transforms.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> context = Context(np.zeros((2, 1)), np.zeros((2, 1, 8, 8)), torch.from_numpy, ["x_HI"])
        >>> standardised(method, context.raw, context).device.type
        'cpu'
    """
    device = next((weight.device for weight in method.parameters()), torch.device("cpu"))
    return context.transform(raw).to(device)


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Pearson's correlation, NaN where one side does not vary.

    Args:
        first: Shape ``(B,)``.
        second: Shape ``(B,)``.

    Example:
        >>> round(correlation(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])), 12)
        1.0
    """
    a, b = first - first.mean(), second - second.mean()
    norm = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float(a @ b) / norm if norm > 0 else float("nan")


def resample(
    score: Score,
    truth: NDArray[Any],
    means: NDArray[Any],
    groups: NDArray[Any] | None,
    bootstrap: int,
    generator: torch.Generator,
) -> NDArray[np.float64]:
    """Score every version on the same resampled groups.

    Args:
        score: Judges truth and prediction of some maps.
        truth: Shape ``(B,)``, or ``(B, P)`` for a joint score.
        means: Predictions of ``V`` versions, shape ``(V, B)`` or ``(V, B, P)``.
        groups: Shape ``(B,)``; None where every map is its own group.
        bootstrap: Number of resamples.
        generator: Source of the draws.

    Returns:
        Shape ``(V, bootstrap)``; NaN for a single group, and where a resample has no spread to explain.

    Example:
        >>> from skyloom.explain.context import r2
        >>> truth = np.arange(9.0)
        >>> resample(r2, truth, truth[None], None, 3, torch.Generator().manual_seed(0)).tolist()
        [[1.0, 1.0, 1.0]]
    """
    labels = np.arange(len(truth)) if groups is None else groups
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if len(members) < 2 or bootstrap < 1:
        return np.full((len(means), 1), np.nan)
    shape = (bootstrap, len(members))
    draws = torch.randint(len(members), shape, generator=generator, device=generator.device)
    scores = np.empty((len(means), bootstrap))
    for column, draw in enumerate(draws.cpu().numpy()):
        rows = np.concatenate([members[member] for member in draw])
        scores[:, column] = [score(truth[rows], mean[rows]) for mean in means]
    return scores


def interval(resampled: NDArray[Any]) -> NDArray[np.float64]:
    """Return the 2.5 and 97.5 percentiles of the resamples that could be scored.

    Args:
        resampled: Shape ``(V, bootstrap)``.

    Returns:
        Shape ``(2, V)``; NaN where no resample could be scored.

    Example:
        >>> interval(np.array([[0.0, 1.0, np.nan], [np.nan] * 3])).round(3).tolist()
        [[0.025, nan], [0.975, nan]]
    """
    rows = (row[np.isfinite(row)] for row in resampled)
    return np.stack([np.quantile(row, LEVELS) if row.size else np.full(2, np.nan) for row in rows], axis=1)
