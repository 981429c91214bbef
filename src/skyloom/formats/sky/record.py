"""A source of the 21-cm line on the sky, as simulators and imagers take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.instruments.radio.arrays import LIGHT
from skyloom.instruments.radio.line import Sight, line_mass

KM = 1e3  # m
FIELD = 60.0
"""Side of the largest field that is written [deg]."""


@dataclass(frozen=True)
class Sky:
    """Flux densities on the sky.

    Args:
        flux: Of each pixel, shape ``(C, N, N)`` [Jy], channels by rising velocity.
        width: Width of a channel [km/s], in the frame of the source.
        pixel: Side of a pixel [deg].
        centre: Right ascension and declination of the middle [deg], ICRS.
        seen: Redshift and distance.
        periodic: Whether opposite edges touch.
        name: Of the source.

    Raises:
        ShapeError: The flux is no cube of squares.
        UsageError: The centre is no place on the sky, or the pixel too large for a flat field.

    Example:
        >>> sky = Sky(np.ones((1, 4, 4)), 500.0, 1e-3, (150.0, 2.0), Sight(0.0, 10.0), False, "halo")
        >>> f"{sky.mass:.3e}"  # 2.356e5 x 10² x 16 Jy x 500 km/s
        '1.885e+11'
    """

    flux: NDArray[np.float64]
    width: float
    pixel: float
    centre: tuple[float, float]
    seen: Sight
    periodic: bool
    name: str

    def __post_init__(self) -> None:
        if self.flux.ndim != 3 or self.flux.shape[1] != self.flux.shape[2]:
            raise ShapeError(f"flux densities of shape {self.flux.shape}", hint="give (C, N, N)")
        ra, dec = self.centre
        if not (0 <= ra < 360 and -90 <= dec <= 90):
            raise UsageError(
                f"the centre is at right ascension {ra} and declination {dec} degrees",
                hint="allowed: 0 to 360, and -90 to 90",
            )
        side = self.pixel * self.flux.shape[-1]
        if not 0 < side < FIELD:
            raise UsageError(
                f"the field measures {side:.3g} degrees, allowed: less than {FIELD}",
                hint="put it further away: a flat map is no piece of the sphere",
            )

    @property
    def total(self) -> float:
        """Flux of the line, over all pixels and channels [Jy km/s]."""
        return float(self.flux.sum() * self.width)

    @property
    def mass(self) -> float:
        """Mass of H I that the flux stands for, if thin [Msun]."""
        return float(line_mass(self.total, self.seen))

    @property
    def bandwidth(self) -> float:
        """Width of a channel [Hz]."""
        return self.seen.frequency * self.width * KM / LIGHT

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Middle of each channel, shape ``(C,)`` [Hz]."""
        C = len(self.flux)
        return np.asarray(self.seen.frequency - (np.arange(C) - (C - 1) / 2) * self.bandwidth)
