r"""Gravitational lensing by a projected mass: convergence, deflection and shear, by Fourier transform.

.. math:: \kappa = \Sigma / \Sigma_\mathrm{cr}, \quad
          \Sigma_\mathrm{cr} = \frac{c^2}{4 \pi G} \frac{D_s}{D_l D_{ls}}, \quad
          \nabla^2 \psi = 2 \kappa, \quad \boldsymbol\alpha = \nabla \psi

(Bartelmann & Schneider 2001, arXiv:astro-ph/9912508). An isolated lens is set in the middle of a map of four
times the area, and the deflection is the convolution of κ with that of a point, so that the copies of a
periodic transform do not pull:

.. math:: \boldsymbol\alpha(\mathbf x) = \frac{1}{\pi} \int \kappa(\mathbf x')\,
          \frac{\mathbf x - \mathbf x'}{|\mathbf x - \mathbf x'|^2}\, d^2x'
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError

FACTOR = 1.6628e18  # c² / (4 π G) [Msun / Mpc]


class Lens(NamedTuple):
    """A lens on the grid of its mass: convergence ``(N, N)`` and deflection ``(2, N, N)`` along x and y."""

    convergence: NDArray[np.float64]
    deflection: NDArray[np.float64]


def critical_density(z_lens: float, z_source: float) -> float:
    """Return the critical surface density [Msun / kpc²], in the cosmology of Planck 2018.

    Args:
        z_lens: Redshift of the lens, more than 0.
        z_source: Redshift of the source, more than that of the lens.

    Raises:
        UsageError: The source does not lie behind the lens.

    Example:
        >>> 1e9 < critical_density(0.5, 2.0) < 3e9
        True
    """
    if not 0 < z_lens < z_source:
        raise UsageError(
            f"a lens at redshift {z_lens} and a source at {z_source}", hint="the source lies behind the lens"
        )
    from astropy import units as u
    from astropy.cosmology import Planck18

    near, far = (Planck18.angular_diameter_distance(z).to_value(u.Mpc) for z in (z_lens, z_source))
    # In flat space comoving distances subtract.
    between = far - near * (1 + z_lens) / (1 + z_source)
    return float(FACTOR * far / (near * between) * 1e-6)


def lens(surface_density: NDArray[np.floating], critical: float, pixel: float) -> Lens:
    """Return convergence and deflection of an isolated projected mass.

    Args:
        surface_density: Shape ``(N, N)``, rows along y.
        critical: Critical surface density, in the same unit.
        pixel: Side of a pixel, in any unit of length or angle.

    Returns:
        κ, and the deflection in the unit of the pixel.

    Raises:
        ShapeError: The map is no square.
        UsageError: The critical density or the pixel is not positive.

    Example:
        >>> point = np.zeros((32, 32))
        >>> point[16, 16] = np.pi  # 1/π of it, over the distance
        >>> round(float(lens(point, 1.0, 1.0).deflection[0, 16, 20]), 3)
        0.25
    """
    sigma = np.asarray(surface_density, float)
    if sigma.ndim != 2 or sigma.shape[0] != sigma.shape[1]:
        raise ShapeError(f"a mass of shape {sigma.shape}", hint="give one square map")
    for name, value in (("critical density", critical), ("pixel", pixel)):
        if not value > 0:
            raise UsageError(f"the {name} is {value}", hint="give more than 0")
    N = len(sigma)
    kappa = sigma / critical
    offset = np.fft.fftfreq(2 * N, 1 / (2 * N))
    x, y = offset[None, :], offset[:, None]
    square = x**2 + y**2
    square[0, 0] = 1.0  # a pixel does not pull itself: its numerator is zero
    spread = np.fft.rfft2(kappa, s=(2 * N, 2 * N))
    pulls = [np.fft.irfft2(spread * np.fft.rfft2(part / square), s=(2 * N, 2 * N))[:N, :N] for part in (x, y)]
    return Lens(kappa, np.stack(pulls) * pixel / np.pi)
