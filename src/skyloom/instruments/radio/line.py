r"""The 21-cm line of sources at a distance: mass, flux and brightness temperature, and channels of velocity.

.. math:: M_\mathrm{HI} = 2.356\times10^5\, \frac{D_L^2}{1+z} \int S\, dv, \qquad
          S = \frac{2 k_B\, T_b\, \Omega}{\lambda^2}

with masses in Msun, luminosity distances in Mpc, flux densities in Jy and velocities in km/s in the frame of
the source, optically thin (Meyer et al. 2017, arXiv:1705.04210); λ is the observed wavelength and Ω the solid
angle of a pixel. Velocities are positive away from the observer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from skyloom.errors import UsageError
from skyloom.instruments.radio.arrays import LIGHT, LINE

MASS = 2.356e5
"""16 π m_H / (3 h c A) in Msun / (Mpc² Jy km/s): mass of H I over distance² and flux of the line."""
BOLTZMANN = 1.380649e3  # k_B [Jy m² / K]


@dataclass(frozen=True)
class Sight:
    """Where a source is seen.

    Args:
        redshift: Its redshift.
        distance: Luminosity distance [Mpc].

    Example:
        >>> Sight(0.0, 10.0).angle(10e-3)  # 10 kpc at 10 Mpc [rad]
        0.001
    """

    redshift: float
    distance: float

    @property
    def frequency(self) -> float:
        """Observed frequency of the line [Hz]."""
        return LINE / (1 + self.redshift)

    def angle(self, length: float, *, comoving: bool = False) -> float:
        """Return the angle of a length [Mpc] across the line of sight [rad].

        Args:
            length: Small against the distance.
            comoving: Whether the length is comoving.
        """
        z = self.redshift
        return float(length / self.distance * ((1 + z) if comoving else (1 + z) ** 2))


def sight(redshift: float | None = None, distance: float | None = None) -> Sight:
    """Return where a source is seen, in the cosmology of Planck 2018 where its distance is not given.

    Args:
        redshift: Of the source; left out, 0.
        distance: Luminosity distance [Mpc]; left out, that of the redshift.

    Raises:
        UsageError: A number is not positive, or neither tells a distance.

    Example:
        >>> sight(distance=3.2).redshift, round(sight(redshift=0.1).distance)
        (0.0, 476)
    """
    if redshift is not None and not redshift >= 0:
        raise UsageError(f"a redshift of {redshift}", hint="give 0 or more")
    if distance is not None:
        if not distance > 0:
            raise UsageError(f"a distance of {distance} Mpc", hint="give more than 0")
        return Sight(float(redshift or 0.0), float(distance))
    if not redshift:
        raise UsageError("nothing tells how far the source is", hint="give a distance, or a redshift above 0")
    from astropy import units as u
    from astropy.cosmology import Planck18

    return Sight(float(redshift), float(Planck18.luminosity_distance(redshift).to_value(u.Mpc)))


def line_flux(mass: ArrayLike, seen: Sight) -> NDArray[np.float64]:
    """Return the flux of the line of a mass of H I [Jy km/s].

    Args:
        mass: [Msun], any shape.
        seen: Where it is.

    Example:
        >>> float(line_flux(2.356e9, Sight(0.0, 10.0)))
        100.0
    """
    return np.asarray(mass, float) * (1 + seen.redshift) / (MASS * seen.distance**2)


def line_mass(flux: ArrayLike, seen: Sight) -> NDArray[np.float64]:
    """Return the mass of H I of a flux of the line [Msun]; undoes `line_flux`.

    Args:
        flux: ``∫ S dv`` [Jy km/s], any shape.
        seen: Where it is.

    Example:
        >>> float(line_mass(100.0, Sight(0.0, 10.0)))
        2356000000.0
    """
    return np.asarray(flux, float) * MASS * seen.distance**2 / (1 + seen.redshift)


def flux_density(temperature: ArrayLike, solid_angle: float, seen: Sight) -> NDArray[np.float64]:
    """Return the flux density of a brightness temperature, observed ones both [Jy].

    Args:
        temperature: [K], any shape.
        solid_angle: Of a pixel or a beam [sr].
        seen: Where the source is.

    Example:
        >>> from skyloom.instruments.radio.beam import beam_area
        >>> round(float(flux_density(606.0, beam_area(1 / 206265), Sight(0.0, 1.0))), 5)  # 1", 606 K: a mJy
        0.001
    """
    wavelength = LIGHT / seen.frequency
    return 2 * BOLTZMANN * np.asarray(temperature, float) * solid_angle / wavelength**2


def channels(count: int, band: float) -> NDArray[np.float64]:
    """Return the edges of equal channels around the velocity of the source, shape ``(count + 1,)`` [km/s].

    Args:
        count: How many.
        band: Width of all together [km/s], in the frame of the source.

    Raises:
        UsageError: There is no channel, or the band has no width.

    Example:
        >>> channels(2, 100.0).tolist()
        [-50.0, 0.0, 50.0]
    """
    if count < 1 or not band > 0:
        raise UsageError(f"{count} channels over {band} km/s", hint="give 1 or more, and more than 0")
    return np.linspace(-band / 2, band / 2, count + 1)


def spectra(
    flux: ArrayLike, velocity: ArrayLike, edges: ArrayLike, *, dispersion: float
) -> NDArray[np.float64]:
    """Spread the flux of each pixel over channels of velocity, as a Gaussian about the pixel's own velocity.

    Args:
        flux: ``∫ S dv`` of each pixel, shape ``(..., H, W)`` [Jy km/s].
        velocity: Mean along the line of sight, the same shape [km/s].
        edges: Of the channels, rising, shape ``(C + 1,)`` [km/s].
        dispersion: Standard deviation of the line of a pixel, more than 0 [km/s].

    Returns:
        Mean flux density in each channel, shape ``(C, ..., H, W)`` [Jy]; what lies beyond the band is lost.

    Raises:
        UsageError: The dispersion is not positive.

    Example:
        >>> line = spectra([[1.0]], [[0.0]], channels(3, 60.0), dispersion=5.0)
        >>> (20 * line[:, 0, 0]).round(3).tolist()  # 2 sigma to either side lie in the middle
        [0.023, 0.954, 0.023]
    """
    if not dispersion > 0:
        raise UsageError(f"a dispersion of {dispersion} km/s", hint="give more than 0")
    bounds = np.asarray(edges, float)
    S, v = np.asarray(flux, float), np.asarray(velocity, float)
    below = np.stack([0.5 * (1 + erf((edge - v) / (np.sqrt(2) * dispersion))) for edge in bounds])
    width = np.diff(bounds).reshape(-1, *(1,) * S.ndim)
    return np.asarray(np.diff(below, axis=0) * S / width)
