r"""Closed forms of the parts of a model galaxy: enclosed masses, circular speeds, where a share of mass ends.

Lengths in kpc, masses in Msun, speeds in km/s. Discs are exponential (Freeman 1970), the dark halo is that of
Navarro, Frenk & White (1997) cut at its virial radius, the bulge that of Hernquist (1990) cut at twenty scale
lengths, the corona is isothermal gas at rest in the halo's potential (Makino, Sasaki & Suto 1998),
:math:`\rho \propto (1+x)^{b/x}` with :math:`x = r/r_s`. Particles are placed by the inverse of the
cumulative mass at evenly spread numbers, not at random ones, so that maps carry little shot noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.stats import qmc

Array = NDArray[Any]
G = 4.30091e-6  #: [kpc km²/s²/Msun]
DISC_END, BULGE_END = 8.0, 20.0  #: where discs and bulges end, in scale lengths


def spread(count: int, dimensions: int, rng: np.random.Generator) -> Array:
    """Return points that fill a cube evenly but without a pattern: the first of a scrambled Sobol sequence.

    Args:
        count: How many.
        dimensions: Of the cube.
        rng: Scrambles it.

    Returns:
        From 0 to 1, shape ``(count, dimensions)``.

    Example:
        >>> points = spread(1000, 3, np.random.default_rng(0))
        >>> bool(abs(points.mean(axis=0) - 0.5).max() < 0.01)
        True
    """
    sequence = qmc.Sobol(dimensions, scramble=True, rng=rng)
    return np.asarray(sequence.random_base2(max(count - 1, 1).bit_length())[:count])


def disc_share(x: ArrayLike) -> Array:
    """Return the share of an exponential disc's mass inside ``x`` scale lengths; 1 at ``DISC_END``."""
    x = np.asarray(x, dtype=np.float64)
    return np.asarray((1 - (1 + x) * np.exp(-x)) / (1 - (1 + DISC_END) * np.exp(-DISC_END)))


def disc_column(R: ArrayLike, mass: float, length: float) -> Array:
    """Return the column density of an exponential disc [Msun/kpc²].

    Args:
        R: Distance from the axis [kpc].
        mass: Of the disc [Msun].
        length: Its scale length [kpc].
    """
    x = np.asarray(R) / length
    whole = 2 * np.pi * length**2 * (1 - (1 + DISC_END) * np.exp(-DISC_END))
    return np.where(x <= DISC_END, mass / whole * np.exp(-x), 0.0)


def nfw_share(r: ArrayLike, concentration: float, virial: float) -> Array:
    """Return the share of a halo's mass inside ``r`` [kpc]; 1 at the virial radius [kpc] and beyond."""

    def inner(x: Array) -> Array:
        return np.asarray(np.log1p(x) - x / (1 + x))

    x = np.minimum(np.asarray(r, dtype=np.float64) / virial, 1) * concentration
    return inner(x) / inner(np.asarray(concentration))


def nfw_density(r: ArrayLike, mass: float, concentration: float, virial: float) -> Array:
    """Return the density of a halo of a mass inside its virial radius [Msun/kpc³]."""
    scale = virial / concentration
    x = np.asarray(r, dtype=np.float64) / scale
    norm = 4 * np.pi * scale**3 * (np.log1p(concentration) - concentration / (1 + concentration))
    return np.asarray(mass / norm / (x * (1 + x) ** 2))


def bulge_share(r: ArrayLike, length: float) -> Array:
    """Return the share of a Hernquist bulge's mass inside ``r`` [kpc]; 1 at ``BULGE_END`` scale lengths."""
    x = np.minimum(np.asarray(r, dtype=np.float64) / length, BULGE_END)
    return np.asarray((x / (1 + x)) ** 2 * ((1 + BULGE_END) / BULGE_END) ** 2)


def corona_shape(r: ArrayLike, concentration: float, virial: float) -> Array:
    r"""Return the density of gas at rest in a halo, over that at its centre.

    :math:`\rho/\rho_0 = e^{-b}(1+x)^{b/x}`, with :math:`b = c / (\ln(1+c) - c/(1+c))` for gas whose
    temperature is :math:`k_B T = \mu m_p v_{200}^2`.

    Args:
        r: [kpc].
        concentration: Of the halo.
        virial: Its radius [kpc].
    """
    x = np.maximum(np.asarray(r, dtype=np.float64) * concentration / virial, 1e-6)
    b = concentration / (np.log1p(concentration) - concentration / (1 + concentration))
    return np.asarray(np.exp(b * (np.log1p(x) / x - 1)))


def corona_shells(concentration: float, virial: float) -> tuple[Array, Array, float]:
    """Return radii [kpc], the share of the corona's mass inside each, and its shape's integral [kpc³]."""
    r = np.linspace(0, virial, 2001)
    shell = 4 * np.pi * r**2 * corona_shape(r, concentration, virial)
    inside = np.concatenate([[0], np.cumsum((shell[1:] + shell[:-1]) / 2 * np.diff(r))])
    return r, inside / inside[-1], float(inside[-1])


def inverse(share: Array, radii: Array, shares: Array) -> Array:
    """Return the radius that holds a share of the mass, from a table that rises."""
    return np.asarray(np.interp(share, shares, radii))


def disc_speed_squared(R: ArrayLike, mass: float, length: float) -> Array:
    """Return the squared circular speed in the plane of a thin exponential disc [km²/s²] (Freeman 1970)."""
    y = np.maximum(np.asarray(R, dtype=np.float64) / (2 * length), 1e-6)
    kernel = special.i0(y) * special.k0(y) - special.i1(y) * special.k1(y)
    return np.asarray(2 * G * mass / length * y**2 * kernel)
