"""Does an attribution show what was learned, or only what any network of this shape would highlight?

Adebayo et al. (2018, arXiv:1810.03292): attribute again with a twin whose weights are random. If the two
attributions rank the pixels alike, the picture comes from the map and the architecture, not from training.
"""

from __future__ import annotations

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
from skyloom.methods import Method, rebuild
from skyloom.registry import Kind

Attribution = Annotated[dict[str, Any], Kind("explanation")]
SUSPICIOUS = 0.5


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
        tool = registry.build(self.attribution, "explanation")
        settings = {"generator": generator, "context": context}
        trained = tool.explain(method, maps, target, **settings)
        if "attribution" not in trained:
            name = registry.resolve(self.attribution, "explanation")["name"]
            raise UsageError(
                f"randomised_weights cannot judge {name!r}, which attributes no pixels",
                hint="use saliency or integrated_gradients",
            )
        rows = []
        for twin in (untrained_twin(method, generator) for _ in range(self.twins)):
            random = tool.explain(twin, maps, target, **settings)
            rows.append(spearman(trained["attribution"].values, random["attribution"].values))
        ds = xr.Dataset({"correlation": (("twin", "sample"), np.stack(rows))})
        median = float(np.nanmedian(ds["correlation"])) if ds["correlation"].notnull().any() else float("nan")
        summary = {
            "attribution": registry.resolve(self.attribution, "explanation"),
            "twins": self.twins,
            "median": median,
            "suspicious": median > SUSPICIOUS,
        }
        return finish(ds, "randomised_weights", context, target, summary)


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
        twin = rebuild(method.spec)
    return twin.to(method.device)
