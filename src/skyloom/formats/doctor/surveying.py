"""One pass over the maps of a set: a few numbers of every map, whatever the size of the set.

Blocks of samples are read one after the other, so memory is bounded by a block and by about a hundred bytes a
map.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skyloom.splits.fingerprint import PLAIN, fingerprint

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

BLOCK_BYTES = 32_000_000  #: of a field, read at once


@dataclass
class FieldSurvey:
    """What one pass learned of a field of ``n`` samples; NaN where a sample holds no finite value."""

    name: str
    units: str | None
    long_name: str
    shape: tuple[int, ...]
    dtype: str
    mean: Array
    """Mean of the finite values of every sample, shape ``(n,)``."""
    sd: Array
    """Their standard deviation, shape ``(n,)``."""
    minimum: Array
    maximum: Array
    bad: Array
    """Values of every sample that are not finite, shape ``(n,)``."""
    lowest: float = math.inf
    highest: float = -math.inf
    at_lowest: int = 0
    """Values equal to the lowest of all."""
    at_highest: int = 0
    count: int = 0
    """Finite values of all samples."""
    total_mean: float = math.nan
    total_sd: float = math.nan
    digests: list[str] = field(default_factory=list)
    """Of the values of every sample, bit by bit."""
    prints: list[str] = field(default_factory=list)
    """Fingerprints that know turned, flipped, rolled and rescaled maps; empty where they are no maps."""

    @property
    def maps(self) -> bool:
        """Whether samples are maps or cubes, not single numbers."""
        return len(self.shape) > 1


def survey(ds: xr.Dataset, progress: Callable[[int, int], None] | None = None) -> list[FieldSurvey]:
    """Look at every value of every field once.

    Args:
        ds: A field set, lazy or not.
        progress: Called with the number of samples done and to do, over all fields.

    Returns:
        One survey a field, in the order of the set.

    Example:
        >>> from skyloom.fields import example
        >>> T_b, x_HI = survey(example(groups=2, per_group=2))
        >>> T_b.name, T_b.units, T_b.mean.shape, int(T_b.bad.sum())
        ('T_b', 'mK', (4,), 0)
    """
    n, done = ds.sizes["sample"], 0
    found = []
    for name, array in ds.data_vars.items():
        result = _empty(str(name), array)
        sums = _Sums()
        for rows, block in _blocks(array):
            _look(result, sums, rows, block)
            done += rows.stop - rows.start
            if progress is not None:
                progress(done, n * len(ds.data_vars))
        result.total_mean, result.total_sd, result.count = sums.mean, sums.sd, sums.count
        found.append(result)
    return found


class _Sums:
    """Mean and sd over blocks, about a value of the data: the spread of a large mean stays exact."""

    def __init__(self) -> None:
        self.count, self.total, self.square, self.shift = 0, 0.0, 0.0, math.nan

    def add(self, values: Array) -> None:
        if not values.size:
            return
        if not self.count:
            self.shift = float(values.flat[0])
        apart = values - self.shift
        self.count += values.size
        self.total += float(apart.sum())
        self.square += float(np.square(apart).sum())

    @property
    def mean(self) -> float:
        return self.shift + self.total / self.count if self.count else math.nan

    @property
    def sd(self) -> float:
        if not self.count:
            return math.nan
        return math.sqrt(max(self.square / self.count - (self.total / self.count) ** 2, 0.0))


def _empty(name: str, array: xr.DataArray) -> FieldSurvey:
    n = array.sizes["sample"]
    units = array.attrs.get("units")
    mean, sd, minimum, maximum = (np.full(n, np.nan) for _ in range(4))
    return FieldSurvey(
        name=name,
        units=units if isinstance(units, str) else None,
        long_name=str(array.attrs.get("long_name", name)),
        shape=array.shape,
        dtype=str(array.dtype),
        mean=mean,
        sd=sd,
        minimum=minimum,
        maximum=maximum,
        bad=np.zeros(n, dtype=np.int64),
    )


def _blocks(array: xr.DataArray) -> Iterator[tuple[slice, Array]]:
    n = array.sizes["sample"]
    step = max(1, BLOCK_BYTES // max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, np.asarray(array[rows].values)


def _look(result: FieldSurvey, sums: _Sums, rows: slice, block: Array) -> None:
    flat = block.reshape(len(block), -1).astype(np.float64)
    finite = np.isfinite(flat)
    number = finite.sum(axis=1)
    result.bad[rows] = flat.shape[1] - number
    some, safe = number > 0, np.maximum(number, 1)
    mean = np.where(finite, flat, 0.0).sum(axis=1) / safe
    apart = np.where(finite, flat, mean[:, None]) - mean[:, None]
    sd = np.sqrt(np.square(apart).sum(axis=1) / safe)
    low = np.where(finite, flat, np.inf).min(axis=1, initial=np.inf)
    high = np.where(finite, flat, -np.inf).max(axis=1, initial=-np.inf)
    for target, values in zip(
        (result.mean, result.sd, result.minimum, result.maximum), (mean, sd, low, high), strict=True
    ):
        target[rows] = np.where(some, values, np.nan)
    values = flat[finite]
    sums.add(values)
    _extremes(result, values)
    if result.maps:
        bits = [hashlib.blake2b(one.tobytes(), digest_size=16) for one in block]
        result.digests += [digest.hexdigest() for digest in bits]
    if block.ndim == 3:
        texts = np.full(len(block), f"{PLAIN}:{PLAIN}:{PLAIN}", dtype="U98")
        usable = result.bad[rows] == 0
        if usable.any():
            texts[usable] = fingerprint(block[usable])
        result.prints += texts.tolist()


def _extremes(result: FieldSurvey, values: Array) -> None:
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if low < result.lowest:
        result.lowest, result.at_lowest = low, 0
    if high > result.highest:
        result.highest, result.at_highest = high, 0
    result.at_lowest += int((values == result.lowest).sum())
    result.at_highest += int((values == result.highest).sum())
