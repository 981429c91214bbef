"""What instruments share that see whole cubes, before maps are cut from them.

A transform sees the map that a network will see. What mixes the layers of a cube, such as foregrounds, and
what is to be cut along with it, such as noise, is done to the cube: components of the kind ``instrument``,
applied by the format ``observed`` to a field set. They are told by the set how large a sample is and how far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skyloom.errors import ShapeError

Cube = NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """What an instrument is told of a sample.

    Args:
        side: Comoving side of its map or cube [Mpc].
        redshift: Of the 21-cm line, more than 0; one for all layers.
        periodic: Whether opposite faces touch.
        units: Unit of its values.
    """

    side: float
    redshift: float
    periodic: bool
    units: str


class Instrument(ABC):
    """Base of the components of kind ``instrument``."""

    @abstractmethod
    def observe(self, sky: Cube, scene: Scene, *, seed: int) -> Cube:
        """Return what is seen of a map or cube.

        Args:
            sky: Shape ``(H, W)`` or ``(D, H, W)``; the first of three axes is the line of sight.
            scene: What the set tells of it.
            seed: Everything drawn follows from it.

        Returns:
            The same shape and unit.

        Raises:
            ShapeError: The instrument needs a cube, or squares.
        """


def layers(sky: Cube, name: str) -> Cube:
    """Return a map or cube as layers ``(D, N, N)``.

    Args:
        sky: Shape ``(H, W)`` or ``(D, H, W)``.
        name: Of the instrument, for the message.

    Raises:
        ShapeError: It is neither, or its layers are no squares.
    """
    if sky.ndim not in (2, 3) or sky.shape[-1] != sky.shape[-2]:
        raise ShapeError(f"instrument {name!r}: a sky of shape {sky.shape}, allowed: (N, N) or (D, N, N)")
    return sky.reshape(-1, *sky.shape[-2:])
