r"""The transforms of maps, and the pipelines that apply them in order, fitted on the training side only.

``fit`` streams over batches, so the maps need not fit in memory; moments are merged by Chan's pairwise update

.. math:: M_2 = M_{2,a} + M_{2,b} + (\bar b - \bar a)^2 \, n_a n_b / (n_a + n_b),

which holds where the mean is much larger than the spread. A fitted pipeline remembers the digest of the ids
that it was fitted on, so that the audit of a split can prove that no other side was looked at.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError, nearest
from skyloom.fields.invertible import Batches, Carry, Maps, Transform, positive, unfittable


class Log10(Transform):
    """Decimal logarithm; values below the floor count as the floor.

    Args:
        floor: The smallest value kept, in the field's unit, more than 0.

    Raises:
        UsageError: The floor is not a positive number.

    Example:
        >>> Log10(floor=0.01).apply(np.array([[[100.0, 0.0]]]))[0].tolist()
        [[[2.0, -2.0]]]
    """

    def __init__(self, *, floor: float) -> None:
        self.floor = positive("floor", floor)

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return ``log10(max(maps, floor))``."""
        return np.log10(np.maximum(maps, self.floor)), {}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return ``10 ** maps``."""
        return np.asarray(np.power(10.0, maps, dtype=maps.dtype))


class Asinh(Transform):
    """Inverse hyperbolic sine: linear within the scale, logarithmic beyond, and at home with both signs.

    Args:
        scale: Where the linear part ends, in the field's unit, more than 0.

    Raises:
        UsageError: The scale is not a positive number.

    Example:
        >>> Asinh(scale=2.0).apply(np.array([[[-2.0, 0.0]]]))[0].round(4).tolist()
        [[[-0.8814, 0.0]]]
    """

    def __init__(self, *, scale: float) -> None:
        self.scale = positive("scale", scale)

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return ``asinh(maps / scale)``."""
        return np.arcsinh(maps / self.scale), {}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return ``scale * sinh(maps)``."""
        return np.asarray(np.sinh(maps) * self.scale)


class Standardise(Transform):
    """Shift and scale to mean 0 and variance 1 over all pixels of the training maps.

    Example:
        >>> maps = np.array([[[1.0, 3.0]], [[5.0, 7.0]]])
        >>> fitted = Standardise().fit(lambda: iter([maps]))
        >>> fitted.state()["mean"], fitted.apply(maps)[0].sum().item()
        (4.0, 0.0)
    """

    learns = ("mean", "sd")

    def learn(self, batches: Iterable[Maps]) -> dict[str, float]:
        """Return mean and standard deviation, in the field's unit."""
        count, mean, M2 = 0, 0.0, 0.0
        for batch in batches:
            n = batch.size
            if n == 0:
                continue
            batch_mean = float(batch.mean(dtype=np.float64))
            shift = batch_mean - mean
            M2 += float(
                np.square(np.subtract(batch, batch_mean, dtype=np.float64)).sum()
            ) + shift**2 * count * n / (count + n)
            mean += shift * n / (count + n)
            count += n
        if count == 0 or M2 == 0.0:
            raise unfittable(self, "every pixel is the same" if count else "no map was given")
        return {"mean": mean, "sd": math.sqrt(M2 / count)}

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return ``(maps - mean) / sd``."""
        state = self.state()
        return (maps - state["mean"]) / state["sd"], {}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return ``maps * sd + mean``."""
        state = self.state()
        return maps * state["sd"] + state["mean"]


class MinMax(Transform):
    """Stretch the range of the training maps to a given one; other maps may reach beyond it.

    Args:
        low: What the smallest training value becomes.
        high: What the largest becomes.

    Raises:
        UsageError: ``low`` is not below ``high``.

    Example:
        >>> maps = np.array([[[1.0, 3.0]]])
        >>> MinMax(low=-1.0).fit(lambda: iter([maps])).apply(maps)[0].tolist()
        [[[-1.0, 1.0]]]
    """

    learns = ("minimum", "maximum")

    def __init__(self, *, low: float = 0.0, high: float = 1.0) -> None:
        if not low < high:
            raise UsageError(f"low is {low!r} and high is {high!r}, allowed: low < high")
        self.low, self.high = low, high

    def learn(self, batches: Iterable[Maps]) -> dict[str, float]:
        """Return the smallest and the largest value, in the field's unit."""
        ends = [(float(batch.min()), float(batch.max())) for batch in batches if batch.size]
        minimum = min((low for low, _ in ends), default=0.0)
        maximum = max((high for _, high in ends), default=0.0)
        if not minimum < maximum:
            raise unfittable(self, "every pixel is the same" if ends else "no map was given")
        return {"minimum": minimum, "maximum": maximum}

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return the maps on the new range."""
        state = self.state()
        slope = (self.high - self.low) / (state["maximum"] - state["minimum"])
        return (maps - state["minimum"]) * slope + self.low, {}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return the maps on their own range."""
        state = self.state()
        slope = (state["maximum"] - state["minimum"]) / (self.high - self.low)
        return (maps - self.low) * slope + state["minimum"]


class Equalise(Transform):
    """Equalise the histogram of each map, so that its values are spread evenly over 0 to 1.

    The map's own cumulative distribution, linear between quantiles, takes values to ranks. Equal values (an
    ionised region is exactly 0 mK) share the middle of their ranks, so the relation is monotone and inverts.

    Args:
        bins: Pieces of the cumulative distribution.

    Raises:
        UsageError: ``bins`` is less than 1.

    Example:
        >>> Equalise(bins=4).apply(np.array([[[1.0, 10.0, 100.0, 1000.0, 1e4]]]))[0].tolist()
        [[[0.0, 0.25, 0.5, 0.75, 1.0]]]
    """

    carries = ("knots", "levels", "count")

    def __init__(self, *, bins: int = 256) -> None:
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        self.bins = bins

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return ranks, and of each map ``count`` pairs of ``knots`` (values) and ``levels`` (ranks)."""
        n, ranks = len(maps), np.linspace(0.0, 1.0, self.bins + 1)
        ordered = np.sort(maps.reshape(n, -1), axis=1).astype(np.float64)
        below = np.floor(place := ranks * (ordered.shape[1] - 1)).astype(int)
        above = np.minimum(below + 1, ordered.shape[1] - 1)
        quantiles = ordered[:, below] + (place - below) * (ordered[:, above] - ordered[:, below])
        knots, levels, count = np.zeros_like(quantiles), np.zeros_like(quantiles), np.zeros(n, int)
        equalised = np.empty_like(maps)
        for row, values in enumerate(maps):
            own, shared = np.unique(quantiles[row], return_inverse=True)
            count[row] = c = own.size
            knots[row, :c], levels[row, :c] = own, np.bincount(shared, weights=ranks) / np.bincount(shared)
            equalised[row] = np.interp(values, own, levels[row, :c])
        return equalised, {"knots": knots, "levels": levels, "count": count}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return values; ranks beyond those of the map take its extremes."""
        restored = np.empty_like(maps)
        for row, (values, count) in enumerate(zip(maps, carry["count"], strict=True)):
            restored[row] = np.interp(values, carry["levels"][row, :count], carry["knots"][row, :count])
        return restored


class RemoveMean(Transform):
    """Subtract each map's own mean, the part that an interferometer does not see.

    Example:
        >>> values, carry = RemoveMean().apply(np.array([[[1.0, 3.0]]]))
        >>> values.tolist(), carry["mean"].tolist()
        ([[[-1.0, 1.0]]], [2.0])
    """

    carries = ("mean",)

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return the maps without their means, and the means ``(n,)``."""
        mean = maps.mean(axis=(1, 2), dtype=np.float64)
        return maps - mean[:, None, None].astype(maps.dtype), {"mean": mean}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return the maps with their means."""
        return np.asarray(np.add(maps, carry["mean"][:, None, None], dtype=maps.dtype))


def ids_digest(ids: Iterable[str]) -> str:
    """Return the sha256 of a set of sample ids, in any order.

    Args:
        ids: Sample ids.

    Example:
        >>> ids_digest(["b", "a"]) == ids_digest(["a", "b"]) != ids_digest(["ab"])
        True
    """
    return hashlib.sha256(json.dumps(sorted(str(name) for name in ids)).encode()).hexdigest()


class Pipeline:
    """Transforms of one field, applied in order and undone in reverse.

    Args:
        specs: Transforms as a recipe names them, e.g. ``[{"name": "remove_mean"}, {"name": "standardise"}]``.

    Raises:
        RegistryError: A transform or an argument of one is unknown.

    Example:
        >>> maps = np.random.default_rng(0).normal(5.0, 2.0, (3, 8, 8))
        >>> pipeline = Pipeline(["remove_mean", "standardise"]).fit(lambda: iter([maps]), ids=["a", "b", "c"])
        >>> values, carry = pipeline.apply(maps)
        >>> np.allclose(pipeline.inverse(values, carry), maps)
        True
    """

    def __init__(self, specs: Iterable[str | dict[str, Any]]) -> None:
        from skyloom import registry

        self.specs = [registry.resolve(spec, "transform") for spec in specs]
        self._steps: list[Transform] = [registry.build(spec, "transform") for spec in self.specs]
        self._digest: str | None = None

    def fit(self, batches: Batches, ids: Iterable[str]) -> Self:
        """Return a copy whose every step is fitted on what the steps before it make of the maps ``ids``."""
        fitted = copy.copy(self)
        fitted._steps = []
        for step in self._steps:
            before = tuple(fitted._steps)
            fitted._steps.append(step.fit(partial(_through, before, batches)))
        fitted._digest = ids_digest(ids)
        return fitted

    @property
    def digest(self) -> str:
        """The sha256 of the ids fitted on, see ``ids_digest``."""
        if self._digest is None:
            raise UsageError(
                "the transforms were not fitted", hint="call fit with the training maps and their ids"
            )
        return self._digest

    def apply(self, values: Maps) -> tuple[Maps, Carry]:
        """Transform maps ``(n, H, W)``; carry keys are ``<step>.<name>``; errors as in ``Transform``."""
        _ = self.digest
        carry: Carry = {}
        for place, step in enumerate(self._steps):
            values, taken = step.apply(values)
            carry |= {f"{place}.{name}": part for name, part in taken.items()}
        return values, carry

    @property
    def redraws(self) -> bool:
        """Whether a step draws anew in every epoch of the training."""
        return any(step.redraws for step in self._steps)

    def in_epoch(self, epoch: int) -> Self:
        """Return the pipeline as an epoch of the training has it, from 0."""
        drawn = copy.copy(self)
        drawn._steps = [step.in_epoch(epoch) for step in self._steps]
        return drawn

    def inverse(self, values: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Undo ``apply``; errors as in ``Transform``."""
        _ = self.digest
        for place, step in reversed(list(enumerate(self._steps))):
            values = step.inverse(values, _below(f"{place}.", carry))
        return values

    def state(self) -> dict[str, Any]:
        """Return everything needed to rebuild the fitted pipeline, as JSON values."""
        return {"digest": self.digest, "specs": self.specs, "states": [step.state() for step in self._steps]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted pipeline from ``state()``."""
        pipeline = cls(state["specs"])
        pipeline._steps = [s.restored(own) for s, own in zip(pipeline._steps, state["states"], strict=True)]
        pipeline._digest = state["digest"]
        return pipeline


def _below(head: str, carry: Mapping[str, NDArray[Any]]) -> Carry:
    return {name.removeprefix(head): part for name, part in carry.items() if name.startswith(head)}


def _through(steps: tuple[Transform, ...], batches: Batches) -> Iterator[Maps]:
    for maps in batches():
        yield reduce(lambda values, step: step.apply(values)[0], steps, maps)


FieldBatches = Callable[[], Iterator[Mapping[str, Maps]]]


def _one(field: str, batches: FieldBatches) -> Iterator[Maps]:
    return (batch[field] for batch in batches())


class FieldTransforms:
    """The pipelines of several fields, fitted on the same maps.

    Args:
        pipelines: Field -> its pipeline.

    Example:
        >>> maps = {"T_b": np.random.default_rng(0).normal(5.0, 2.0, (2, 8, 8))}
        >>> transforms = FieldTransforms({"T_b": Pipeline(["standardise"])})
        >>> fitted = transforms.fit(lambda: iter([maps]), ids=["a", "b"])
        >>> fitted.digest == ids_digest(["a", "b"])
        True
    """

    def __init__(self, pipelines: Mapping[str, Pipeline]) -> None:
        self.pipelines = dict(pipelines)

    def fit(self, batches: FieldBatches, ids: Iterable[str]) -> FieldTransforms:
        """Return a copy fitted on batches of field -> maps ``(n, H, W)``."""
        names = list(ids)
        return FieldTransforms(
            {f: p.fit(partial(_one, f, batches), names) for f, p in self.pipelines.items()}
        )

    @property
    def digest(self) -> str:
        """The sha256 of the ids fitted on, the same for every field."""
        digests = {pipeline.digest for pipeline in self.pipelines.values()}
        if len(digests) != 1:
            raise UsageError(
                f"{len(digests)} different sets of ids were fitted on", hint="fit all fields at once"
            )
        return digests.pop()

    def apply(self, values: Mapping[str, Maps]) -> tuple[dict[str, Maps], Carry]:
        """Transform field -> maps; the carry's keys are ``<field>/<step>.<name>``."""
        transformed: dict[str, Maps] = {}
        carry: Carry = {}
        for field, maps in values.items():
            transformed[field], taken = self._of(field).apply(maps)
            carry |= {f"{field}/{name}": part for name, part in taken.items()}
        return transformed, carry

    @property
    def redraws(self) -> bool:
        """Whether a step of any field draws anew in every epoch of the training."""
        return any(pipeline.redraws for pipeline in self.pipelines.values())

    def in_epoch(self, epoch: int) -> FieldTransforms:
        """Return the pipelines as an epoch of the training has them, from 0."""
        return FieldTransforms({name: own.in_epoch(epoch) for name, own in self.pipelines.items()})

    def inverse(self, values: Mapping[str, Maps], carry: Mapping[str, NDArray[Any]]) -> dict[str, Maps]:
        """Undo ``apply``."""
        restored: dict[str, Maps] = {}
        for field, maps in values.items():
            restored[field] = self._of(field).inverse(maps, _below(f"{field}/", carry))
        return restored

    def state(self) -> dict[str, Any]:
        """Return field -> state of its pipeline, as JSON values."""
        return {field: pipeline.state() for field, pipeline in self.pipelines.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from ``state()``."""
        return cls({field: Pipeline.from_state(own) for field, own in state.items()})

    def _of(self, field: str) -> Pipeline:
        if field not in self.pipelines:
            raise UsageError(f"field {field!r} has no transforms", hint=nearest(field, self.pipelines))
        return self.pipelines[field]
