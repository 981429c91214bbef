r"""Arrays of antennas as a few stated numbers; positions are drawn, not surveyed.

SKA-Low-like: 512 stations of effective area 962 m² × min(1, (110 MHz/ν)²) and a system temperature of
:math:`1.1\, T_\mathrm{sky} + 40` K with :math:`T_\mathrm{sky} = 60\, (\lambda/\mathrm{m})^{2.55}` K
(Mellema et al. 2013, arXiv:1210.0197). SKA-Mid-like: 197 dishes of 15 m, aperture efficiency 0.78, 20 K
(Braun et al. 2019, arXiv:1912.12699). Both have a Gaussian core, whose width is a setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

LIGHT = 299_792_458.0  # speed of light [m/s]
LINE = 1420.405751768e6  # rest frequency of the 21-cm line [Hz]


@dataclass(frozen=True)
class Array:
    """An array of equal stations.

    Args:
        stations: Their number.
        area: Effective area of one [m²], at ``reference`` and below.
        reference: Frequency above which the area falls as its inverse square [Hz]; infinite for dishes.
        receiver: Receiver temperature [K].
        sky: Share of the sky's temperature that is added to it.
        core: Standard deviation of the positions along each axis [m].
        latitude: Of the site [deg].

    Example:
        >>> ARRAYS["ska_low"].system_temperature(150e6) > ARRAYS["ska_mid"].system_temperature(1.4e9)
        True
    """

    stations: int
    area: float
    reference: float
    receiver: float
    sky: float
    core: float
    latitude: float

    def effective_area(self, frequency: float) -> float:
        """Return the effective area of a station [m²] at a frequency [Hz]."""
        return self.area * min(1.0, (self.reference / frequency) ** 2)

    def system_temperature(self, frequency: float) -> float:
        """Return the system temperature [K] at a frequency [Hz]."""
        return float(self.receiver + self.sky * 60.0 * (LIGHT / frequency) ** 2.55)

    def positions(self, seed: int = 0) -> NDArray[np.float64]:
        """Draw the stations, east and north of the centre, shape ``(stations, 2)`` [m]."""
        return np.random.default_rng(seed).normal(0.0, self.core, (self.stations, 2))


ARRAYS: Mapping[str, Array] = MappingProxyType(
    {
        "ska_low": Array(512, 962.0, 110e6, 40.0, 1.1, 400.0, -26.8),
        "ska_mid": Array(197, 0.78 * np.pi * 7.5**2, np.inf, 20.0, 0.0, 1000.0, -30.7),
    }
)
