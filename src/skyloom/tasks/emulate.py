"""Emulate: new maps of a sky with these parameters, or of this class.

A generator learns maps given conditions: parameters of the table, standardised on the train side as ``infer``
does, cosine and sine of angles, and one column for each class of a label, as ``classify`` does. What it draws
comes back in the units of the fields, so every transform must be undone without the map that it was applied
to: what takes something out of each map and puts it back later (its mean, its histogram) has nothing to put
back into a new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr

from skyloom import fields, registry
from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields.making import Label, build
from skyloom.fields.transforms import ids_digest
from skyloom.registry import Kind
from skyloom.tasks.classify import Classify
from skyloom.tasks.drawable import masked, refuse_empty_without_mask
from skyloom.tasks.infer import Infer
from skyloom.units import convert

Condition = float | int | str
Statistic = Annotated[dict[str, Any], Kind("statistic")]
Source = str | dict[str, Any]
ARGUMENTS = (
    "parameters",
    "angles",
    "label",
    "samples",
    "statistics",
    "independent",
    "mask",
    "empty",
    "fixed",
    "one_parameter",
    "judge",
    "judge_steps",
)
_KEPT = ("units", "long_name", "role", "classes", "low", "high")


class Emulate:
    """Draw maps at given parameters.

    Args:
        parameters: Parameters and labels of the table that are conditions, as numbers.
        angles: Those that are angles which come round again, such as an azimuth.
        label: A label of the table whose classes are conditions.
        samples: Maps drawn to judge a side; null for as many as it has.
        statistics: Components that the scorecard compares; null for its usual ones.
        independent: What the scorecard splits the real maps by: their ``group``, the simulation; or, where
            there are too few of these, their ``parent``, each snapshot counted for itself. Snapshots of one
            simulation resemble each other, so the range of real against real is then too narrow, which is
            hard on the generator.
        mask: A field of zeros and ones, such as the hits of a detector, that is drawn as such; null for none.
        empty: What other fields hold where the mask is 0, in their units.
        fixed: A set at one parameter point, such as CAMELS's CV: the variance of the statistics between
            generated maps is held against that between its maps. The name of a ``set`` of the recipe's own
            source, or a whole source.
        one_parameter: A set in which one parameter is varied at a time, such as CAMELS's 1P, for the
            response of the statistics; null for the response on the judged side itself.
        judge: Folder of a run of task ``infer`` that reads the parameters off generated maps; null for a
            network that learns to on the train side.
        judge_steps: Optimiser steps of that network's training.

    Raises:
        UsageError: A condition is named twice, or a number is out of range.
        RegistryError: A source is unknown, or has other arguments.

    Example:
        >>> role = {"role": "parameter", "units": ""}
        >>> table = xr.Dataset(coords={"sample": ["a", "b"], "group": ("sample", ["g", "h"]),
        ...     "sigma_8": ("sample", [0.7, 0.9], role), "transport": ("sample", [0.0, 2.0], role)})
        >>> task = Emulate(parameters=["sigma_8"], label="transport").fit(table)
        >>> task.columns, task.targets(table).tolist()
        (['sigma_8', '0', '2'], [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
        >>> task.conditions([{"sigma_8": 0.8, "transport": 2}]).tolist()
        [[0.0, 0.0, 1.0]]
    """

    answers: ClassVar[str] = "ensembles"
    levels: tuple[float, ...] = ()

    def __init__(
        self,
        *,
        parameters: list[str] = [],  # noqa: B006 - read, never written
        angles: list[str] = [],  # noqa: B006 - read, never written
        label: str | None = None,
        samples: int | None = None,
        statistics: list[Statistic] | None = None,
        independent: Literal["group", "parent"] = "group",
        mask: str | None = None,
        empty: dict[str, float] = {},  # noqa: B006 - read, never written
        fixed: Source | None = None,
        one_parameter: Source | None = None,
        judge: str | None = None,
        judge_steps: int = 400,
    ) -> None:
        names = [*parameters, *angles, *([] if label is None else [label])]
        if len(set(names)) < len(names):
            raise UsageError(
                f"task emulate: the conditions are {names}; each may stand once",
                hint="a label is given by its classes or as a number, not both",
            )
        if samples is not None and samples < 1:
            raise UsageError(f"task emulate: samples is {samples}", hint="give 1 or more, or null")
        if judge_steps < 1:
            raise UsageError(f"task emulate: judge_steps is {judge_steps}", hint="give 1 or more")
        self.parameters, self.angles, self.label = list(parameters), list(angles), label
        self.samples = samples
        self.statistics, self.independent = statistics, independent
        for source in (fixed, one_parameter):
            if isinstance(source, dict):
                registry.resolve(source, "format", "simulator")
        self.fixed, self.one_parameter = fixed, one_parameter
        refuse_empty_without_mask(mask, empty)
        self.mask, self.empty = mask, dict(empty)
        self.judge, self.judge_steps = judge, judge_steps
        self._numbers: Infer | None = None
        self._classes: Classify | None = None
        self._about: dict[str, dict[str, Any]] = {}
        self._digest = ""

    @property
    def names(self) -> list[str]:
        """Names of the conditions: the parameters, the angles, then the label."""
        return [*self.parameters, *self.angles, *([] if self.label is None else [self.label])]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the targets; those of the classes only after ``fit``."""
        turns = [f"{turn} {name}" for name in self.angles for turn in ("cos", "sin")]
        return [*self.parameters, *turns, *([] if self._classes is None else self._classes.columns)]

    @property
    def score_names(self) -> list[str]:
        """None: an ensemble is judged by a scorecard, not sample by sample."""
        return []

    @property
    def digest(self) -> str:
        """Digest of the ids that the conditions were fitted on; empty before ``fit``."""
        return self._digest

    def fit(self, table: xr.Dataset) -> Self:
        """Return a copy of this task whose conditions are known.

        Args:
            table: Coordinates of the train samples, and of no others.

        Raises:
            DataError: A condition is missing, not finite, or the same in all samples.
            UnitError: An angle is in no unit of angles.
        """
        fitted = self._copy()
        if self.parameters:
            fitted._numbers = Infer(parameters=self.parameters).fit(table)
        if self.label is not None:
            fitted._classes = Classify(label=self.label).fit(table)
        if self.angles:
            Infer(parameters=self.angles).truth(table)  # tells of what is missing
        fitted._about = {
            name: {key: value for key, value in table[name].attrs.items() if key in _KEPT}
            for name in self.names
        }
        fitted._digest = ids_digest(table["sample"].values)
        fitted._turns(table)  # tells of what is no angle
        return fitted

    def targets(self, table: xr.Dataset) -> np.ndarray:
        """Return the conditions of a table, float32 of shape ``(n, P)``; parameters standardised.

        Args:
            table: Coordinates of ``n`` samples; angles in the unit of the train side.

        Raises:
            UsageError: The task is not fitted.
            DataError: A condition is missing or not finite, or of a class that the train side lacks.
        """
        self._check_fitted()
        numbers, classes = (
            [] if part is None else [part.targets(table)] for part in (self._numbers, self._classes)
        )
        parts = [*numbers, *self._turns(table), *classes]
        nothing = np.zeros((table.sizes["sample"], 0), np.float32)
        return np.concatenate([nothing, *parts], axis=1)

    def conditions(self, points: Sequence[Mapping[str, Condition]]) -> np.ndarray:
        """Return conditions that a user gives, as ``targets`` would.

        Args:
            points: Of each map every condition by name, in its unit; a class by name or code.

        Returns:
            Shape ``(n, P)``, float32.

        Raises:
            UsageError: A condition is missing, unknown, no number, or no class.
        """
        return self.targets(self.table(points))

    def table(self, points: Sequence[Mapping[str, Condition]], *, first: int = 0) -> xr.Dataset:
        """Return a table of new samples with these conditions; errors as ``conditions``.

        Args:
            points: As there.
            first: Number of the first sample; ids and seeds follow from it.
        """
        self._check_fitted()
        for point in points:
            for name in point:
                if name not in self.names:
                    raise UsageError(
                        f"{name!r} is no condition of this emulator", hint=nearest(name, self.names)
                    )
        numbers = np.arange(first, first + len(points))
        coords: dict[str, Any] = {
            "sample": [f"generated-{number:06d}" for number in numbers],
            "seed": ("sample", numbers),
        }
        for name in self.names:
            values = [self._value(name, point) for point in points]
            coords[name] = ("sample", np.array(values, float), dict(self._about[name]))
        return xr.Dataset(coords=coords)

    def words(self, point: Mapping[str, float]) -> str:
        """Return a point in words, its class by name.

        Args:
            point: Every condition by name; a class by code.
        """
        named = {code: word for word, code in self._codes().items()}
        told = [f"{name} {point[name]:.3g}" for name in (*self.parameters, *self.angles)]
        if self.label is not None:
            told.append(str(named.get(int(point[self.label]), point[self.label])))
        return ", ".join(told) or "no condition"

    def interpret(
        self, outputs: Mapping[str, np.ndarray], table: xr.Dataset, *, side: str = "", leaky: bool = False
    ) -> xr.Dataset:
        """Return generated maps as a field set.

        Args:
            outputs: Maps of each field in its unit, shape ``(n, H, W)``.
            table: The samples with their conditions, as ``table`` makes it. Its attributes tell of the maps:
                ``fields`` (JSON: name to attributes), ``suite``, ``realism``, ``box_size``,
                ``box_size_unit`` and ``periodic``.
            side: Stored in the attributes.
            leaky: Stored in the attributes.

        Returns:
            A field set in which every sample is its own group.

        Raises:
            FieldSetError: The parts do not make a field set.
        """
        about = json.loads(table.attrs["fields"])
        if self.mask is not None:
            outputs = masked(outputs, self.mask, self.empty)
        ids = [str(name) for name in table["sample"].values]
        found = build(
            {
                name: (values.astype(np.float32), about[name]["units"], about[name].get("long_name", name))
                for name, values in outputs.items()
            },
            ids=ids,
            groups=ids,
            seeds=table["seed"].values,
            box_size=float(table.attrs["box_size"]),
            box_size_unit=str(table.attrs["box_size_unit"]),
            periodic=bool(table.attrs["periodic"]),
            suite=str(table.attrs["suite"]),
            realism=str(table.attrs["realism"]),
            labels={name: _label(table[name]) for name in self.names},
        )
        return found.assign_attrs(side=side, leaky=int(leaky))

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values.

        Raises:
            UsageError: The task is not fitted.
        """
        self._check_fitted()
        return {
            "name": "emulate",
            **self._arguments(),
            "numbers": None if self._numbers is None else self._numbers.state(),
            "classes": None if self._classes is None else self._classes.state(),
            "about": self._about,
            "fitted_on": self._digest,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted task from its state."""
        task = cls(**{key: state[key] for key in ARGUMENTS if key in state})
        task._numbers = None if state["numbers"] is None else Infer.from_state(state["numbers"])
        task._classes = None if state["classes"] is None else Classify.from_state(state["classes"])
        task._about, task._digest = dict(state["about"]), str(state["fitted_on"])
        return task

    def _copy(self) -> Self:
        return type(self)(**self._arguments())

    def _arguments(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ARGUMENTS}

    def _check_fitted(self) -> None:
        if not self._digest:
            raise UsageError(
                "task emulate is not fitted: its conditions are not known",
                hint="use task = task.fit(table of the train side), or Emulate.from_state",
            )

    def _turns(self, table: xr.Dataset) -> list[np.ndarray]:
        """Cosine and sine of each angle, shape ``(n, 2)``."""
        if not self.angles:
            return []
        angles = Infer(parameters=self.angles).truth(table).T
        units = [str(self._about[name].get("units", "")) for name in self.angles]
        turned = [convert(angle, unit, "rad") for angle, unit in zip(angles, units, strict=True)]
        return [np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32) for angle in turned]

    def _value(self, name: str, point: Mapping[str, Condition]) -> float:
        """A condition as a number; of a class its code."""
        if name not in point:
            raise UsageError(
                f"the condition {name!r} is not given; this emulator needs {', '.join(self.names)}",
                hint=f'for instance --parameters "{name}=..."',
            )
        given, codes = point[name], self._codes() if name == self.label else {}
        if str(given) in codes:
            return float(codes[str(given)])
        try:
            value = float(given)
        except ValueError:
            allowed = nearest(str(given), codes) if codes else "give a number"
            raise UsageError(f"the condition {name!r} is {given!r}", hint=allowed) from None
        if codes and value not in codes.values():
            classes = ", ".join(f"{word} ({code})" for word, code in codes.items())
            raise UsageError(
                f"the condition {name!r} is {given!r}, a class that was not trained on", hint=classes
            )
        return value

    def _codes(self) -> dict[str, int]:
        """Class names to codes."""
        if self._classes is None:
            return {}
        return dict(zip(self._classes.columns, self._classes.state()["codes"], strict=True))


def conditions_of(table: xr.Dataset, names: Sequence[str]) -> list[dict[str, float]]:
    """Return the conditions of each sample of a table, for ``Emulate.table``.

    Args:
        table: Coordinates of ``n`` samples.
        names: Names of the conditions.

    Raises:
        DataError: One is not in the table.
    """
    known = fields.parameters(table)
    for name in names:
        if name not in known:
            raise DataError(f"the condition {name!r} is not in the table", hint=nearest(name, known))
    columns = {name: np.asarray(table[name].values, float).tolist() for name in names}
    return [{name: columns[name][row] for name in names} for row in range(table.sizes["sample"])]


def _label(column: xr.DataArray) -> Label:
    attrs = column.attrs
    classes = json.loads(attrs["classes"]) if "classes" in attrs else None
    return Label(
        column.values,
        attrs["role"],
        attrs.get("units", ""),
        attrs.get("long_name", ""),
        attrs.get("low"),
        attrs.get("high"),
        None if classes is None else {int(code): word for code, word in classes.items()},
    )
