r"""A Gaussian beam of a stated full width, and what it makes of maps.

.. math:: B(r) = e^{-4 \ln 2\, r^2/\theta^2}, \qquad \Omega_B = \frac{\pi\, \theta^2}{4 \ln 2}

A map in kelvin is convolved with the beam over its integral, and keeps its mean; a map in Jy per pixel with
the beam itself, and becomes one in Jy per beam, whose sum times pixels over beams is the flux.
"""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import UsageError

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
