"""What a component of the kind ``statistic`` offers: labelled summaries, a row a sample.

A component wraps a pure function of this package. Its keyword-only arguments are what a recipe may say, and
``inputs`` tells what it is a statistic of: the maps of one field (``map``), two fields on the same grid
(``pair``) or detector events (``event``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import xarray as xr
from numpy.typing import NDArray

Array = NDArray[Any]


class MapStatistic(ABC):
    """A statistic of the maps or cubes of one field."""

    inputs: ClassVar[str] = "map"

    @abstractmethod
    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the statistic of every map.

        Args:
            maps: Real values, shape ``(n, N, N)`` or, where the statistic is defined for cubes,
                ``(n, N, N, N)``, in ``units``.
            box: Side of a map [box_unit].
            periodic: Whether opposite edges touch.
            units: Unit of the values.
            box_unit: Unit of the box.

        Returns:
            Variables ``(sample, bins ...)`` with units and meaning; NaN marks a bin that holds nothing.

        Raises:
            As the function that the component wraps.
        """


class PairStatistic(ABC):
    """A statistic of two fields on the same grid."""

    inputs: ClassVar[str] = "pair"

    @abstractmethod
    def compute(
        self,
        first: Array,
        second: Array,
        box: float,
        periodic: bool,
        units: tuple[str, str],
        box_unit: str = "Mpc",
    ) -> xr.Dataset:
        """Compute the statistic of every pair of maps.

        Args:
            first: Real values, shape ``(n, N, N)`` or ``(n, N, N, N)``, in the first unit.
            second: The other field on the same pixels, in the second unit.
            box: Side of a map [box_unit].
            periodic: Whether opposite edges touch.
            units: Units of both fields.
            box_unit: Unit of the box.

        Returns:
            Variables ``(sample, bins ...)`` with units and meaning; NaN marks a bin that holds nothing.

        Raises:
            As the function that the component wraps.
        """


class EventStatistic(ABC):
    """A statistic of detector events."""

    inputs: ClassVar[str] = "event"

    @abstractmethod
    def compute(self, events: xr.Dataset) -> xr.Dataset:
        """Measure every event of a dataset; the class says what the dataset holds.

        Args:
            events: One row an event.

        Returns:
            Numbers and profiles along ``sample``.
        """
