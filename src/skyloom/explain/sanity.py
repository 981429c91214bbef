"""Does an attribution show what was learned, or only what any network of this shape would highlight?

Adebayo et al. (2018, arXiv:1810.03292): attribute again with a twin that cannot know the answer, because its
weights are random, or because it learned permuted labels. If the two attributions rank the pixels alike, the
picture comes from the map and the architecture, not from what was learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.explain.context import Context, finish
from skyloom.explain.handling import seeded
from skyloom.methods import Method, rebuild
from skyloom.registry import Kind

Attribution = Annotated[dict[str, Any], Kind("explanation")]
SUSPICIOUS = 0.5
AT_CHANCE = 0.25  #: share of the way from chance to the trained score that a twin may come


def spearman(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rank correlation of the absolute values, map by map.

    Args:
        first: Attributions, shape ``(B, ...)``.
        second: Attributions, the same shape.

    Returns:
        Shape ``(B,)``, -1 to 1; ties share their mean rank; NaN where one side is constant.

    Example:
        >>> a = np.array([[1.0, -2.0, 3.0]])
        >>> spearman(a, a**2).round(12).tolist(), spearman(a, 1 / a).round(12).tolist()
        ([1.0], [-1.0])
    """
    ranks = [stats.rankdata(np.abs(side).reshape(len(side), -1), axis=1) for side in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    norm = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    undefined = np.full(len(a), np.nan)
    return np.asarray(np.divide((a * b).sum(axis=1), norm, out=undefined, where=norm > 0))


class RandomisedWeights:
    """Compare an attribution with that of untrained twins.

    The result holds ``correlation`` ``(twin, sample)``, Spearman's rank correlation of the absolute
    attributions. Its median over all is in the summary; above 0.5 the attribution is called suspicious.

    Args:
        attribution: The explanation on trial; it must return ``attribution``.
        twins: Networks of the same shape with random weights.

    Raises:
        UsageError: Fewer than one twin.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> maps = torch.rand(2, 1, 16, 16)
        >>> context = Context(np.zeros((2, 1)), maps.numpy(), torch.from_numpy, ["x_HI"])
        >>> ds = RandomisedWeights(twins=3).explain(
        ...     method, maps, 0, generator=torch.Generator().manual_seed(0), context=context)
        >>> dict(ds["correlation"].sizes)
        {'twin': 3, 'sample': 2}
    """

    def __init__(
        self,
        *,
        attribution: Attribution = {"name": "saliency"},  # noqa: B006 - read, never written
        twins: int = 2,
    ) -> None:
        if twins < 1:
            raise UsageError(f"randomised_weights needs at least one twin, found {twins}", hint="try 2")
        self.attribution = attribution
        self.twins = twins

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return the rank correlations; see `Explanation.explain`.

        Raises:
            UsageError: The explanation on trial does not attribute pixels.
        """
        context.name_of(target)
        trial = _Trial(self.attribution, "randomised_weights", method, maps, target, generator, context)
        rows = [trial.against(untrained_twin(method, generator)) for _ in range(self.twins)]
        ds, facts = trial.judged(rows)
        return finish(ds, "randomised_weights", context, target, facts)


class RandomisedLabels:
    """Compare an attribution with that of twins which learned the labels of other maps.

    Each twin has the shape of the method and learns, from random weights, the given maps with permuted truth,
    by the method's own loss and optimiser, in a plain loop without validation. It may learn which maps have
    structure, but nothing about the target. The result holds ``correlation`` ``(twin, sample)`` as for
    `RandomisedWeights`, and ``score`` ``(twin)`` on the true labels, which must stand at ``chance`` (that of
    the mean truth): if it does not, truth reaches the network by another way.

    Args:
        attribution: The explanation on trial; it must return ``attribution``.
        twins: Networks that learn permuted labels.
        epochs: Passes over the maps.
        batch_size: Maps in a step.

    Raises:
        UsageError: A number is less than 1.

    Example:
        >>> RandomisedLabels(epochs=5).epochs
        5
    """

    def __init__(
        self,
        *,
        attribution: Attribution = {"name": "saliency"},  # noqa: B006 - read, never written
        twins: int = 1,
        epochs: int = 20,
        batch_size: int = 32,
    ) -> None:
        for name, value in (("twins", twins), ("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise UsageError(f"randomised_labels needs {name} of 1 or more, found {value}")
        self.attribution, self.twins = attribution, twins
        self.epochs, self.batch_size = epochs, batch_size

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return rank correlations and scores; see `Explanation.explain`.

        Raises:
            UsageError: The explanation on trial does not attribute pixels.
        """
        context.name_of(target)
        trial = _Trial(self.attribution, "randomised_labels", method, maps, target, generator, context)
        truth = context.judged(context.truth, target)
        rows, scores = [], []
        for _ in range(self.twins):
            twin = untrained_twin(method, generator)
            final = self._teach(twin, maps, context, generator)
            rows.append(trial.against(twin))
            scores.append(context.score(truth, context.judged(context.answers(twin, maps), target)))
        ds, facts = trial.judged(rows)
        ds["score"] = ("twin", scores)
        chance = context.score(truth, np.broadcast_to(truth.mean(axis=0), truth.shape))
        own = context.score(truth, context.judged(context.answers(method, maps), target))
        facts |= {
            "epochs": self.epochs,
            "loss": final,
            "score": context.score_name,
            "trained": own,
            "permuted": float(np.mean(scores)),
            "chance": chance,
            "at_chance": bool(np.mean(scores) - chance <= AT_CHANCE * max(own - chance, 0.0)),
        }
        return finish(ds, "randomised_labels", context, target, facts)

    def _teach(self, twin: Method, maps: Tensor, context: Context, generator: torch.Generator) -> float:
        """Train a twin on permuted labels and return its last loss."""
        order = torch.randperm(len(maps), generator=generator, device=generator.device)
        labels = torch.from_numpy(np.asarray(context.truth)[order.cpu().numpy()]).to(maps)
        optimiser = registry.build("adamw", "optimiser")(list(twin.parameters()))
        twin.train()
        with seeded(generator), torch.enable_grad():
            for _ in range(self.epochs):
                for rows in torch.split(torch.randperm(len(maps)), self.batch_size):
                    if len(rows) == 1 and len(maps) > 1:
                        continue  # batch norm has no spread of one map
                    optimiser.zero_grad()
                    loss = twin.losses(maps[rows.to(maps.device)], labels[rows.to(maps.device)])[0]
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
        twin.eval()
        return float(loss.detach())


@dataclass(frozen=True)
class _Trial:
    """An attribution on trial, and how that of a twin compares with it."""

    attribution: dict[str, Any]
    check: str
    method: Method
    maps: Tensor
    target: int
    generator: torch.Generator
    context: Context

    def __post_init__(self) -> None:
        name = registry.resolve(self.attribution, "explanation")["name"]
        if "attribution" not in self._trained:
            raise UsageError(
                f"{self.check} cannot judge {name!r}, which attributes no pixels",
                hint="use saliency, integrated_gradients, gradient_shap, occlusion or grad_cam",
            )

    @cached_property
    def _trained(self) -> xr.Dataset:
        return self._of(self.method)

    def _of(self, method: Method) -> xr.Dataset:
        tool = registry.build(self.attribution, "explanation")
        settings = {"generator": self.generator, "context": self.context}
        found: xr.Dataset = tool.explain(method, self.maps, self.target, **settings)
        return found

    def against(self, twin: Method) -> NDArray[np.float64]:
        """Return the rank correlation of each map with the attribution of a twin, shape ``(B,)``."""
        return spearman(self._trained["attribution"].values, self._of(twin)["attribution"].values)

    def judged(self, rows: list[NDArray[np.float64]]) -> tuple[xr.Dataset, dict[str, Any]]:
        """Return the correlations, one row a twin, and what they say."""
        ds = xr.Dataset({"correlation": (("twin", "sample"), np.stack(rows))})
        known = bool(ds["correlation"].notnull().any())
        median = float(np.nanmedian(ds["correlation"])) if known else float("nan")
        return ds, {
            "attribution": registry.resolve(self.attribution, "explanation"),
            "twins": len(rows),
            "median": median,
            "suspicious": median > SUSPICIOUS,
        }


def untrained_twin(method: Method, generator: torch.Generator) -> Method:
    """Make a method of the same shape whose weights are as before any training.

    Args:
        method: The trained method.
        generator: Gives the seed; the global random state is left as it was.

    Returns:
        The twin, on the same device.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> twin = untrained_twin(method, torch.Generator().manual_seed(0))
        >>> twin.spec == method.spec, torch.equal(twin.net.head.weight, method.net.head.weight)
        (True, False)
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        twin: Method = rebuild(method.spec)
    return twin.to(method.device)
