r"""A Gaussian beam of a stated full width, and what it makes of maps.

.. math:: B(r) = e^{-4 \ln 2\, r^2/\theta^2}, \qquad \Omega_B = \frac{\pi\, \theta^2}{4 \ln 2}

A map in kelvin is convolved with the beam over its integral, and keeps its mean; a map in Jy per pixel with
the beam itself, and becomes one in Jy per beam, whose sum times pixels over beams is the flux.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Literal

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import UsageError
from skyloom.fields.filters import Removing
from skyloom.fields.invertible import Maps, positive
from skyloom.instruments.radio.line import sight

Unit = Literal["Mpc", "arcsec", "arcmin"]
RADIANS = {"arcsec": pi / 648_000, "arcmin": pi / 10_800}

SIGMA = 1 / sqrt(8 * log(2))  #: standard deviation over full width at half maximum
REACH = 6  # standard deviations beyond which a beam of double precision has nothing left


def beam_area(fwhm: float) -> float:
    """Return the solid angle of a beam, in the square of the unit of its width.

    Args:
        fwhm: Full width at half maximum, any unit.

    Example:
        >>> round(beam_area(1.0), 4)
        1.1331
    """
    return pi * fwhm**2 / (4 * log(2))


def beam_margin(fwhm: float) -> int:
    """Return the pixels that an open map has to grow on each side to lose nothing.

    Args:
        fwhm: Full width at half maximum [pixels].
    """
    return int(np.ceil(REACH * SIGMA * fwhm))


def convolved(maps: ArrayLike, fwhm: float, *, periodic: bool) -> NDArray[np.float64]:
    """Convolve maps with a beam of unit integral.

    Args:
        maps: Shape ``(..., H, W)``, any unit.
        fwhm: Full width at half maximum [pixels].
        periodic: Whether opposite edges touch; beyond an open edge there is nothing, and the map does not
            grow: what the beam carries over the edge is lost.

    Returns:
        The same shape and unit.

    Raises:
        UsageError: The width is not positive.

    Example:
        >>> point = np.zeros((32, 32)); point[16, 16] = 1.0
        >>> seen = convolved(point, 6.0, periodic=True)
        >>> round(float(seen[16, 19] / seen[16, 16]), 6), round(float(seen.sum()), 12)
        (0.5, 1.0)
    """
    if not fwhm > 0:
        raise UsageError(f"the beam is {fwhm} pixels wide", hint="give more than 0")
    values = np.asarray(maps, float)
    H, W = values.shape[-2:]
    grown = 0 if periodic else beam_margin(fwhm)
    shape = (H + grown, W + grown)
    frequencies = (scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1])[None, :])
    square = frequencies[0] ** 2 + frequencies[1] ** 2
    gain = np.exp(-2 * pi**2 * (SIGMA * fwhm) ** 2 * square)
    waves = scipy.fft.rfft2(values, s=shape)
    return np.asarray(scipy.fft.irfft2(waves * gain, s=shape)[..., :H, :W])


def beam_pixels(
    fwhm: float,
    unit: Unit,
    *,
    pixel: float,
    redshift: float | None = None,
    distance: float | None = None,
    comoving: bool = False,
) -> float:
    """Return the full width of a beam in pixels.

    Args:
        fwhm: Full width at half maximum [unit].
        unit: A length, or an angle.
        pixel: Side of a pixel [Mpc].
        redshift: Of the source, for an angle.
        distance: Luminosity distance [Mpc], for an angle; left out, that of the redshift.
        comoving: Whether lengths are comoving, for an angle.

    Raises:
        UsageError: Nothing tells the distance that an angle needs.

    Example:
        >>> beam_pixels(2.0, "Mpc", pixel=0.5)
        4.0
        >>> round(beam_pixels(20.626, "arcsec", pixel=1e-4, distance=1.0), 3)
        1.0
    """
    if unit == "Mpc":
        return fwhm / pixel
    return fwhm * RADIANS[unit] / sight(redshift, distance).angle(pixel, comoving=comoving)


class Beam(Removing):
    """What a round Gaussian beam leaves of a map.

    Args:
        fwhm: Full width at half maximum [unit].
        unit: ``Mpc``, ``arcsec`` or ``arcmin``.
        box: Side of a map [Mpc].
        redshift: Of the source; an angle needs it, or the distance.
        distance: Luminosity distance [Mpc]; null for that of the redshift.
        comoving: Whether ``box`` is comoving.
        per_beam: Turn Jy per pixel into Jy per beam; if not, the map keeps its unit, K or any other, and its
            mean.
        periodic: Whether opposite edges touch; beyond an open edge there is nothing.

    Raises:
        UsageError: A number is not positive, or nothing tells the distance that an angle needs.

    Example:
        >>> point = np.zeros((1, 16, 16)); point[0, 8, 8] = 2.0  # Jy in a pixel
        >>> float(Beam(fwhm=4.0, box=16.0, per_beam=True).apply(point)[0].max().round(3))
        2.0
    """

    def __init__(
        self,
        *,
        fwhm: float,
        unit: Unit = "Mpc",
        box: float,
        redshift: float | None = None,
        distance: float | None = None,
        comoving: bool = False,
        per_beam: bool = False,
        periodic: bool = True,
    ) -> None:
        self.per_beam, self.periodic = per_beam, periodic
        self.share = beam_pixels(
            positive("fwhm", fwhm), unit, pixel=positive("box", box), redshift=redshift, distance=distance,
            comoving=comoving,
        )  # fmt: skip

    def left(self, maps: Maps) -> Maps:
        """Return the maps as the beam leaves them, shape ``(..., H, W)``."""
        width = self.share * maps.shape[-1]
        seen = convolved(maps, width, periodic=self.periodic) * (beam_area(width) if self.per_beam else 1.0)
        return seen.astype(maps.dtype)
