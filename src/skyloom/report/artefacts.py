"""Reads a run folder for the report: every artefact as plain values, None where it is not there.

Only files of the folder are read; nothing is computed anew. A file that is there and cannot be read is an
error that names it, since a page that quietly leaves a damaged file out would look complete.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr

from skyloom.errors import DataError
from skyloom.runs import RunFolder

NAN = float("nan")


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval over groups.

    Args:
        value: The score; the mean over training seeds where there were several. NaN if undefined.
        low: Lower bound, NaN where there is none.
        high: Upper bound.
        seeds: The score of each training seed, empty for one seed.
        effective: How many independent maps would give its error; NaN where that is not known.
    """

    value: float
    low: float = NAN
    high: float = NAN
    seeds: tuple[float, ...] = ()
    effective: float = NAN

    @classmethod
    def read(cls, node: Mapping[str, Any] | None) -> Self | None:
        """Read a score of ``metrics.json``; None where it is absent or undefined.

        Example:
            >>> Score.read({"value": 0.5, "low": None, "high": None}).value
            0.5
        """
        if not node or node.get("value") is None:
            return None
        source = node.get("seeds") or node
        values = [_number(value) for value in source.get("values", [])]
        value = _number(source.get("mean", source.get("value")))
        low, high = _number(source.get("low")), _number(source.get("high"))
        return cls(value, low, high, tuple(values), _number(node.get("effective")))

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def holds(self, nominal: float) -> bool | None:
        """Whether a nominal value lies inside the interval; None without one."""
        return self.low <= nominal <= self.high if self.bounded else None


@dataclass(frozen=True)
class Judged:
    """The scores of one parameter on one side.

    Args:
        name: The parameter.
        unit: Its unit.
        scores: Score name to the network's score.
        baselines: Baseline to its scores.
        floors: Floor (the best that can be reached) to its scores.
        headline: Name of the score that is looked at first.
        classes: What the scorecard says of classes: ``classes``, ``confusion`` and ``reliability``; empty
            for a parameter.
    """

    name: str
    unit: str
    scores: Mapping[str, Score]
    baselines: Mapping[str, Mapping[str, Score]]
    floors: Mapping[str, Mapping[str, Score]]
    headline: str = "r2"
    classes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> Score | None:
        """The network's score to look at first."""
        return self.scores.get(self.headline)

    def rivals(self, kind: str) -> dict[str, Score]:
        """That score of the ``baselines`` or ``floors`` that have it, by name."""
        found: Mapping[str, Mapping[str, Score]] = getattr(self, kind)
        return {name: scores[self.headline] for name, scores in found.items() if self.headline in scores}


class Artefacts:
    """The artefacts of one run.

    Args:
        path: A run folder.

    Raises:
        DataError: The folder is no run.
    """

    def __init__(self, path: Path) -> None:
        self.run = RunFolder.open(path)
        self.path = Path(path)
        self._read: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The run's name, from the recipe or else the folder."""
        return str(self.recipe.get("name") or self.path.resolve().name)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe."""
        return self.run.recipe

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, machine, command and events."""
        return self.run.provenance

    @cached_property
    def side(self) -> str | None:
        """The side that the page speaks of: test where it was evaluated, else validation, else None."""
        return next((side for side in ("test", "validation") if self.metrics(side)), None)

    @property
    def translates(self) -> bool:
        """Whether the task gives fields, so that a prediction holds maps and no table."""
        return bool(self.recipe.get("task", {}).get("targets"))

    def metrics(self, side: str | None) -> dict[str, Any] | None:
        """The scorecard of a side."""
        return self._json(f"evaluate/{side}/metrics.json") if side else None

    def judged(self, side: str | None) -> list[Judged]:
        """The scores of every parameter on a side, in the order of the scorecard."""
        card = self.metrics(side) or {}
        return [
            Judged(
                name,
                str(entry.get("unit", "")),
                _scores(entry.get("scores", {})),
                {key: _scores(value) for key, value in entry.get("baselines", {}).items()},
                {key: _scores(value) for key, value in entry.get("floors", {}).items()},
                str(card.get("headline", "r2")),
                {key: entry[key] for key in ("classes", "confusion", "reliability") if key in entry},
            )
            for name, entry in card.get("parameters", {}).items()
        ]

    def prediction(self, side: str | None) -> xr.Dataset | None:
        """The prediction of a side."""
        return self._dataset(f"evaluate/{side}/predictions.nc") if side else None

    def examples(self, side: str | None) -> xr.Dataset | None:
        """A few samples as maps: of a translation input, truth and output; of an emulator real and drawn."""
        return self._dataset(f"evaluate/{side}/examples.nc") if side else None

    def table(self, side: str | None) -> xr.Dataset | None:
        """Histograms and conditional moments of a table that an emulator drew, beside the real one."""
        return self._dataset(f"evaluate/{side}/table.nc") if side else None

    def curves(self, side: str | None) -> xr.Dataset | None:
        """The curves by which a translation or an emulator is judged."""
        return self._dataset(f"evaluate/{side}/curves.nc") if side else None

    def statistics(self, side: str | None) -> xr.Dataset | None:
        """The summary statistics saved with a side."""
        return self._dataset(f"evaluate/{side}/statistics.nc") if side else None

    def class_statistics(self, side: str | None) -> xr.Dataset | None:
        """The same of each class, on that side and the train side together; ``side`` is the class."""
        return self._dataset(f"evaluate/{side}/class_statistics.nc") if side else None

    @cached_property
    def leaky(self) -> bool:
        """Whether anything in the folder says that the split leaks."""
        said = [self.split or {}, *(self.metrics(side) or {} for side in ("validation", "test"))]
        return any(bool(node.get("leaky")) for node in said)

    @cached_property
    def split(self) -> dict[str, Any] | None:
        """The split: sides, rule, settings."""
        return self._json("split.json")

    @cached_property
    def audit(self) -> str | None:
        """The text of the audit."""
        return self.run.read_text("audit.txt") if self.run.has("audit.txt") else None

    @cached_property
    def timing(self) -> dict[str, Any] | None:
        """Times of the training."""
        return self._json("timing.json")

    @cached_property
    def looks(self) -> dict[str, int] | None:
        """How often each side was looked at."""
        return self.run.looks() if self.run.has("looks.json") else None

    @cached_property
    def calibration(self) -> dict[str, Any] | None:
        """The conformal repair that was fitted on the validation side."""
        return self._json("calibration.json")

    @cached_property
    def log(self) -> dict[str, np.ndarray] | None:
        """Columns of the training log, NaN where a cell is empty; None without rows."""
        if not self.run.has("log.csv"):
            return None
        reader = csv.DictReader(io.StringIO(self.run.read_text("log.csv")))
        rows = list(reader)
        if not rows:
            return None
        return {name: np.array([_number(row[name]) for row in rows]) for name in reader.fieldnames or ()}

    @cached_property
    def explanations(self) -> dict[str, xr.Dataset]:
        """Name of each explanation that was computed, and its data."""
        found = {}
        for path in sorted(self.path.glob("explain/*.nc")):
            data = self._dataset(f"explain/{path.name}")
            if data is not None:
                found[path.stem] = data
        return found

    @cached_property
    def variants(self) -> dict[str, Artefacts]:
        """The variants that stand in the folder, in the order of the recipe."""
        planned = list(self.recipe.get("variants") or {})
        found = self.run.variants()
        order = [name for name in planned if name in found] + [name for name in found if name not in planned]
        return {name: Artefacts(self.run.variant(name).path) for name in order}

    def _json(self, name: str) -> dict[str, Any] | None:
        if name in self._read or not self.run.has(name):
            return self._read.get(name)
        content = self._read[name] = self.run.read_json(name)
        if not isinstance(content, dict):
            raise DataError(
                f"{self.path / name} holds no table of values", hint="run the step that writes it again"
            )
        return content

    def _dataset(self, name: str) -> xr.Dataset | None:
        if name in self._read or not self.run.has(name):
            return self._read.get(name)
        try:
            with xr.open_dataset(self.run.path_of(name), engine="h5netcdf") as data:
                self._read[name] = data.load()
                return data
        except (OSError, ValueError, KeyError) as error:
            step = "skyloom explain" if name.startswith("explain") else "skyloom evaluate"
            raise DataError(f"cannot read {self.path / name}: {error}", hint=f"run {step} again") from error


def summary(data: xr.Dataset) -> dict[str, Any]:
    """The numbers that an explanation sums itself up with.

    Example:
        >>> summary(xr.Dataset(attrs={"summary": '{"gap": 0.01}'}))
        {'gap': 0.01}
    """
    content = json.loads(data.attrs.get("summary", "{}"))
    return content if isinstance(content, dict) else {}


def _scores(node: Mapping[str, Any]) -> dict[str, Score]:
    read = {name: Score.read(value) for name, value in node.items()}
    return {name: score for name, score in read.items() if score is not None}


def _number(value: Any) -> float:
    return float(value) if value not in (None, "") else NAN
