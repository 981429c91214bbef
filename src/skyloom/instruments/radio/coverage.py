r"""How often an interferometer measures each wave of a map, and with how much noise.

A pair of stations at ``(u, v)`` wavelengths measures the wave :math:`e^{2\pi i (ul + vm)}` of the sky. On the
grid of a map of angular side :math:`\theta` a cell has the side :math:`1/\theta`; :math:`N_v` visibilities
fall into it and its conjugate. One of bandwidth B and time t has, in brightness temperature times solid angle
and in each of its real and imaginary part, the noise :math:`\lambda^2 T_\mathrm{sys} / (A \sqrt{2 B t})`
(radiometer equation; Thompson, Moran & Swenson 2017, ch. 6); the mean of :math:`N_v` of them has that over
:math:`\sqrt{N_v}`. With equal :math:`N_v` in all cells the pixels of the map then have

.. math:: \sigma_T = \frac{\lambda^2 T_\mathrm{sys}}{A\, \Omega \sqrt{n_\mathrm{pol} N (N - 1) B t}},

the sensitivity of the whole array to a beam of solid angle Ω, one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.instruments.radio.arrays import LIGHT, Array

Weighting = Literal["natural", "uniform"]
SECONDS = 3600.0
STEPS = 60  # hour angles of a track; a baseline moves by less than a cell between them


@dataclass(frozen=True)
class Coverage:
    """What is measured of the waves of a map.

    Args:
        visibilities: Independent measurements of each wave, shape ``(N, N)`` in the order of ``fft2``.
        noise: Noise of one in each part [K sr].
        side: Angular side of the map [rad].
    """

    visibilities: NDArray[np.float64]
    noise: float
    side: float

    def weights(self, weighting: Weighting) -> NDArray[np.float64]:
        """Return the factor of each wave in the map: at most 1, and 0 for waves that are not measured.

        Args:
            weighting: ``natural`` weighs a wave by its visibilities, for the least noise: the beam of the
                whole array. ``uniform`` leaves every wave that is measured as it is, however noisy.
        """
        if weighting == "uniform":
            return self.seen.astype(float)
        return np.asarray(self.visibilities / max(float(self.visibilities.max()), 1.0))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Waves that are measured at all; never the mean of the map."""
        return np.asarray(self.visibilities > 0)


@lru_cache(maxsize=8)
def coverage(
    array: Array,
    *,
    size: int,
    side: float,
    frequency: float,
    bandwidth: float,
    hours: float,
    track: float = 6.0,
    declination: float = -30.0,
    polarisations: int = 2,
    seed: int = 0,
) -> Coverage:
    """Return how often an array measures the waves of a map.

    Args:
        array: The array.
        size: Pixels a side.
        side: Angular side of the map [rad].
        frequency: Frequency of the channel [Hz].
        bandwidth: Its width [Hz].
        hours: Observing time in all [h].
        track: Hours a day, about the meridian [h].
        declination: Of the field [deg].
        polarisations: Of the receivers, averaged.
        seed: Draws the positions of the stations.

    Raises:
        UsageError: A time or width is not positive.

    Example:
        >>> from skyloom.instruments.radio import ARRAYS
        >>> c = coverage(ARRAYS["ska_low"], size=32, side=0.01, frequency=150e6, bandwidth=1e5, hours=1000)
        >>> bool(c.seen[0, 0]), bool(c.seen[0, 1])
        (False, True)
    """
    for name, value in (("bandwidth", bandwidth), ("hours", hours), ("track", track), ("side", side)):
        if not value > 0:
            raise UsageError(f"{name} of an observation is {value}", hint="give more than 0")
    wavelength = LIGHT / frequency
    u, v = _tracks(array.positions(seed) / wavelength, array.latitude, declination, track)
    cells = np.rint(np.stack([v, u]) * side).astype(int)
    inside = (np.abs(cells) < size // 2).all(axis=0) & (cells != 0).any(axis=0)
    rows, columns = cells[:, inside]
    counts = np.zeros((size, size))
    # A baseline is also its conjugate: the sky is real, and both cells hold the same number.
    for sign in (1, -1):
        np.add.at(counts, (sign * rows % size, sign * columns % size), 1.0)
    each = hours * SECONDS / STEPS
    noise = wavelength**2 * array.system_temperature(frequency)
    noise /= array.effective_area(frequency) * np.sqrt(2 * bandwidth * each)
    visibilities = counts * polarisations
    visibilities.setflags(write=False)  # the answer is kept for whoever asks again
    return Coverage(visibilities, float(noise), side)


def _tracks(
    positions: NDArray[np.float64], latitude: float, declination: float, hours: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return u and v of all pairs at all hour angles, in the unit of the positions."""
    first, second = np.triu_indices(len(positions), 1)
    east, north = (positions[second] - positions[first]).T
    sin, cos = np.sin(np.radians(latitude)), np.cos(np.radians(latitude))
    x, y, z = -sin * north, east, cos * north
    angle = np.radians(15.0 * hours * (np.arange(STEPS) + 0.5 - STEPS / 2) / STEPS)[:, None]
    sin, cos = np.sin(np.radians(declination)), np.cos(np.radians(declination))
    u = np.sin(angle) * x + np.cos(angle) * y
    v = -sin * np.cos(angle) * x + sin * np.sin(angle) * y + cos * z
    return u.ravel(), v.ravel()
