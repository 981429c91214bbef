"""What all invertible transforms share: checks, fitting, state and carry.

A transform has three parts: constructor arguments (from the recipe), a **state** learnt from the training
maps (JSON numbers, e.g. a mean), and a **carry**, what ``apply`` took out of each map and ``inverse`` puts
back (e.g. the map's own mean). A transform never changes its argument: ``fit`` returns a fitted copy.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields.maps import checked

Maps = NDArray[Any]
Carry = dict[str, NDArray[Any]]
Batches = Callable[[], Iterator[Maps]]


class Transform(ABC):
    """What all transforms share: checks, fitting and state; a new one writes ``forward`` and ``backward``."""

    learns: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers that ``fit`` learns."""
    carries: ClassVar[tuple[str, ...]] = ()
    """Names of what ``apply`` takes out of each map."""
    keeps_order: ClassVar[bool] = True
    """Whether the larger of two pixels of a map stays the larger one."""

    redraws: bool = False
    """Whether every epoch of the training shall see a draw of its own, such as of noise."""

    _state: Mapping[str, float] | None = None

    @abstractmethod
    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Transform checked maps, shape ``(n, H, W)``."""

    @abstractmethod
    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Undo ``forward``."""

    def learn(self, batches: Iterable[Maps]) -> dict[str, float]:
        """Return the numbers named in ``learns`` from checked maps."""
        raise NotImplementedError

    def in_epoch(self, epoch: int) -> Self:
        """Return the transform as an epoch of the training has it: itself, where it draws nothing.

        Args:
            epoch: From 0, which is also that of all that is no training.
        """
        return self

    def fit(self, batches: Batches) -> Self:
        """Return a copy fitted on maps.

        Args:
            batches: Called once or not at all; iterates over arrays of shape ``(n, H, W)``.

        Raises:
            DataError: There is no map, or what there is cannot be fitted.
            ShapeError: A batch has another shape.
        """
        state = self.learn(checked(batch, f"{self._name}.fit") for batch in batches()) if self.learns else {}
        return self.restored(state)

    def apply(self, values: Maps) -> tuple[Maps, Carry]:
        """Transform maps.

        Args:
            values: Maps, shape ``(n, H, W)``.

        Returns:
            The transformed maps, same shape and precision, and the carry that ``inverse`` needs.

        Raises:
            UsageError: The transform was not fitted.
            DataError: A value is NaN or infinite.
            ShapeError: The array has another shape.
        """
        self.state()
        return self.forward(checked(values, f"{self._name}.apply"))

    def inverse(self, values: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Undo ``apply``.

        Args:
            values: Transformed maps, shape ``(n, H, W)``.
            carry: What ``apply`` returned beside them, or a stand-in with one entry a map.

        Returns:
            Maps in the field's own unit, same shape and precision.

        Raises:
            UsageError: The transform was not fitted, or the carry lacks a part.
            DataError: A value is NaN or infinite.
            ShapeError: The array has another shape, or the carry belongs to another number of maps.
        """
        self.state()
        maps = checked(values, f"{self._name}.inverse")
        for name in self.carries:
            if name not in carry:
                raise UsageError(
                    f"{self._name}.inverse needs {name!r} of every map, the carry holds {sorted(carry)}",
                    hint="keep the carry that apply returns, or give what stands in its place",
                )
            if len(carry[name]) != len(maps):
                raise ShapeError(f"{self._name}.inverse: {len(maps)} maps, but {len(carry[name])} {name!r}")
        return self.backward(maps, carry)

    def state(self) -> dict[str, float]:
        """Return the fitted numbers.

        Raises:
            UsageError: The transform was not fitted.
        """
        if self._state is None:
            if self.learns:
                raise UsageError(f"{self._name} was not fitted", hint="call fit with the training maps first")
            return {}
        return dict(self._state)

    def restored(self, state: Mapping[str, float]) -> Self:
        """Return a copy that has a state.

        Args:
            state: What ``state()`` returned.

        Raises:
            DataError: The state has other names, or a value is not a finite number.
        """
        if sorted(state) != sorted(self.learns) or not all(map(math.isfinite, state.values())):
            raise DataError(
                f"{self._name} cannot have the state {dict(state)}, its names: {sorted(self.learns)}"
            )
        fitted = copy.copy(self)
        fitted._state = dict(state)
        return fitted

    @property
    def _name(self) -> str:
        return type(self).__name__


def positive(name: str, value: float) -> float:
    """Return an argument that must be a positive number; UsageError names it otherwise."""
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} is {value!r}, allowed: a number more than 0")
    return float(value)


def unfittable(transform: Transform, why: str) -> DataError:
    """Return the error of a transform that cannot be fitted."""
    return DataError(
        f"{type(transform).__name__} cannot be fitted: {why}",
        hint="look at the training side of the split, and at the field",
    )
