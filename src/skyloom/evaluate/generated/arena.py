"""Everything is held against the same half of the real set, in equal numbers, and that again and again.

The real set is split by group into two halves, alike in their parameters where the generated samples are at
the parameters of the real ones; otherwise these differ by chance, and so do those of the halves. Half A is
the reference; against it stand, thinned to equal numbers: half B (**real against real**, the floor), the
generated samples, and each baseline. Over many such splits the floor has a mean and a range; a generated set
whose score reaches into it cannot be told from real by it. Estimates that are off for few samples are off
alike for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from skyloom.evaluate.floors import halves
from skyloom.evaluate.generated.sample import Ensemble
from skyloom.statistics.grouped import jackknifed

Better = Literal["less", "more", "both"]
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
INSIDE = 0.95  #: share of the real-against-real scores inside the floor's range
NORMAL = 1.96
BLOCKS = 10  #: blocks of groups that the jackknife leaves out, in each ensemble


@dataclass(frozen=True)
class Split:
    """One split: rows of the joint table."""

    reference: np.ndarray
    others: Mapping[str, np.ndarray]
    """``real`` (the other half), ``generated`` and each baseline."""


@dataclass(frozen=True)
class Told:
    """What a row of the scorecard says of itself."""

    key: str
    section: str
    label: str
    unit: str = ""
    better: Better = "less"
    of: str = ""
    least: float = 0.0
    most: float = np.inf


class Arena:
    """The ensembles, one after another in a joint table, and how they are held against each other.

    Args:
        real: The real ensemble.
        generated: The generated one.
        baselines: Baselines, each of the samples of the real ensemble in their order.
        splits: Number of splits of the real set.
        seed: Seed of the splits.
    """

    def __init__(
        self,
        real: Ensemble,
        generated: Ensemble,
        baselines: Mapping[str, Ensemble],
        *,
        splits: int,
        seed: int,
    ) -> None:
        self.ensembles = [real, generated, *baselines.values()]
        self.names = ["real", "generated", *baselines]
        self.starts = dict(
            zip(self.names, np.cumsum([0, *map(len, self.ensembles[:-1])]).tolist(), strict=True)
        )
        # Names of groups become numbers; equal names in two ensembles are one group.
        groups = np.concatenate([ensemble.groups for ensemble in self.ensembles])
        self.groups = np.unique(groups, return_inverse=True)[1].ravel()
        self.theta = np.concatenate([ensemble.theta for ensemble in self.ensembles])
        rng = np.random.default_rng(seed)
        self.splits = [self._split(real, generated, list(baselines), rng) for _ in range(splits)]

    @property
    def size(self) -> int:
        """Samples of every contestant in a comparison."""
        return len(self.splits[0].others["generated"])

    def rows(self, name: str) -> np.ndarray:
        """Rows of an ensemble in the joint table."""
        start = self.starts[name]
        return np.arange(start, start + len(self.ensembles[self.names.index(name)]))

    def _split(
        self, real: Ensemble, generated: Ensemble, baselines: Sequence[str], rng: np.random.Generator
    ) -> Split:
        same = real.theta.shape[1] > 0 and {*map(tuple, generated.theta)} <= {*map(tuple, real.theta)}
        first = halves(real.groups, real.theta if same else None, seed=int(rng.integers(2**31)))
        other = np.flatnonzero(~first)
        size = min(len(other), len(generated))
        kept = np.sort(rng.choice(other, size, replace=False))
        drawn = np.sort(rng.choice(len(generated), size, replace=False))
        # A baseline made from half B knows nothing of half A.
        others = {"real": kept, "generated": self.starts["generated"] + drawn}
        others |= {name: self.starts[name] + kept for name in baselines}
        return Split(np.flatnonzero(first), others)

    def contest(
        self,
        measure: Measure,
        told: Sequence[Told],
        *,
        splits: int | None = None,
        blocks: int = BLOCKS,
    ) -> list[dict[str, Any]]:
        """Hold every contestant against the reference, split by split.

        Args:
            measure: Function of the rows of the reference and of another, shape ``(len(told),)``.
            told: What each of its numbers is.
            splits: At most so many splits; None for all. For measures that take long.
            blocks: Blocks of groups that the jackknife leaves out.

        Returns:
            A row of the scorecard for each number: ``generated`` and ``floor`` with ``value``, ``low`` and
            ``high``, ``baselines``, and ``real``: True where the generated score lies in the floor's range,
            False where its whole interval lies outside, None where that is open or not known.
        """
        found = {
            name: np.stack([measure(split.reference, split.others[name]) for split in self.splits[:splits]])
            for name in self.splits[0].others
        }
        first = self.splits[0]
        rows = first.reference, first.others["generated"]
        error = (
            NORMAL
            * jackknifed(
                lambda i, j: measure(rows[0][i], rows[1][j]),
                self.groups[rows[0]],
                self.groups[rows[1]],
                blocks=blocks,
            ).error
        )
        return [
            _row(
                one,
                {name: values[:, column] for name, values in found.items()},
                float(np.ravel(error)[column]),
            )
            for column, one in enumerate(told)
        ]


def _row(told: Told, found: Mapping[str, np.ndarray], error: float) -> dict[str, Any]:
    value = _mean(found["generated"])
    floor = found["real"][np.isfinite(found["real"])]
    tail = (1 - INSIDE) / (2 if told.better == "both" else 1)
    low, high = (float(np.quantile(floor, q)) if floor.size else np.nan for q in (tail, 1 - tail))
    known = bool(np.isfinite(value) and floor.size)
    reach = error if np.isfinite(error) else 0.0

    def within(by: float) -> bool:
        below, above = value - by <= high, value + by >= low
        return bool({"less": below, "more": above, "both": below and above}[told.better])

    real = None
    if known and (within(0.0) or not within(reach)):
        real = within(0.0)
    return {
        "key": told.key,
        "section": told.section,
        "of": told.of,
        "label": told.label,
        "unit": told.unit,
        "better": told.better,
        "generated": {
            "value": value,
            "low": float(max(value - error, told.least)) if np.isfinite(error) else np.nan,
            "high": float(min(value + error, told.most)) if np.isfinite(error) else np.nan,
        },
        "floor": {"value": _mean(floor), "low": low, "high": high},
        "baselines": {
            name: {"value": _mean(values)}
            for name, values in found.items()
            if name not in ("real", "generated")
        },
        "real": real,
    }


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
