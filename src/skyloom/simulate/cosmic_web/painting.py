r"""Gas, temperature, neutral hydrogen and magnetic field, painted on dark matter.

The relations have plausible shapes and are fitted to no simulation. :math:`\Delta` is the density of matter
over its mean, :math:`\sigma` its velocity dispersion in a cell. Gas follows matter; in dense cells a share of
it cools, :math:`c = \Delta\,e^{-\Delta_*/\Delta}`. Of that, supernovae throw out :math:`\eta/(1+\eta)`,

.. math:: \eta = \frac{A_\mathrm{SN1}}{A_\mathrm{SN2}^2}
   \frac{\sigma_\mathrm{SN}^2}{\sigma^2 + \sigma_\mathrm{SN}^2/10}, \qquad
   d = A_\mathrm{AGN1}\,\frac{\sigma^2}{\sigma_\mathrm{AGN}^2},

and of the rest black holes :math:`d/(1+d)`. It lands in a ball whose radius is in proportion to
:math:`A_\mathrm{SN2}` or :math:`A_\mathrm{AGN2}`; there the energy of the feedback heats the gas and
magnetises it. Gas is moved, never lost or turned into stars.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from skyloom.simulate.cosmology import CRITICAL_DENSITY, Cosmology

Array = NDArray[Any]

DENSE = 25.0  #: Delta_*: density over the mean from which gas cools
SHALLOW = 80.0  #: sigma_SN: dispersion of wells that supernovae empty [km/s]
DEEP = 130.0  #: sigma_AGN: dispersion of wells that black holes empty [km/s]
REACH_SN = 0.9  #: radius of supernova winds [Mpc/h]
REACH_AGN = 1.2  #: radius of black-hole outflows [Mpc/h]
HEAT_SN = 3e5  #: energy of supernovae per gas that cools, as a temperature [K]
HEAT_AGN = 6e7  #: energy of black holes per gas that cools in a deep well, as a temperature [K]
PHOTOHEATED = 1e4  #: temperature of gas at mean density [K]
VIRIAL = 71.5  #: mu m_p / k_B for mu = 0.59 [K / (km/s)^2]
HYDROGEN = 0.76  #: share of hydrogen in gas
THIN = 2e-6  #: neutral share at mean density and 10^4 K under the ultraviolet background of today
SHIELDED = 120.0  #: density over the mean at which gas of 10^4 K shields itself
SEED_FIELD = 1e-14  #: magnetic field at mean density [G]
DYNAMO = 0.05  #: share of turbulent energy in the field of dense gas
DYNAMO_DENSITY = 20.0  #: density over the mean from which the dynamo works
WIND_FIELD = 0.002  #: share of the energy of feedback in the field
GRAMS = 6.768e-41  #: one Msun/Mpc^3 [g/cm^3]
LEAST = 1e-4  #: gas density over the mean in cells that hold no particle
FINE = 4  #: points along a cell at which a ball is sampled


class Painted(NamedTuple):
    """Cubes ``(N, N, N)``, axes z, y, x."""

    Mtot: Array
    """Density of matter [Msun/Mpc^3]."""
    Mgas: Array
    """Density of gas [Msun/Mpc^3]."""
    HI: Array
    """Density of neutral hydrogen [Msun/Mpc^3]."""
    T: Array
    """Temperature of the gas [K]."""
    B: Array
    """Strength of the magnetic field [G]."""


def paint(
    Delta: Array,
    sigma: Array,
    cosmology: Cosmology,
    *,
    cell: float,
    A_SN1: float = 1.0,
    A_AGN1: float = 1.0,
    A_SN2: float = 1.0,
    A_AGN2: float = 1.0,
) -> Painted:
    """Paint the gas of a box.

    Args:
        Delta: Density of matter over its mean, shape ``(N, N, N)``.
        sigma: Velocity dispersion of matter along one axis [km/s], the same shape.
        cosmology: Background.
        cell: Comoving side of a cell [Mpc].
        A_SN1: Energy of supernovae, 1 is fiducial.
        A_AGN1: Energy of black holes.
        A_SN2: Speed of supernova winds: farther, and less mass for the same energy.
        A_AGN2: Reach of black-hole outflows.

    Returns:
        Cubes of the shape given. The mean of ``Mgas`` is that of baryons.

    Example:
        >>> from skyloom.simulate.cosmic_web import cosmology
        >>> empty = paint(np.ones((8, 8, 8)), np.zeros((8, 8, 8)), cosmology(), cell=0.6)
        >>> print(f"{empty.T.mean():.1f} K, {empty.B.mean():.1e} G")  # at mean density hardly any feedback
        10000.0 K, 1.0e-14 G
    """
    N, unit = len(Delta), cosmology.h * cell
    by_SN = ball(N, REACH_SN * A_SN2 / unit)
    by_AGN = ball(N, REACH_AGN * A_AGN2 / unit)
    square = sigma**2
    cool = Delta * np.exp(-DENSE / np.maximum(Delta, 1e-3))
    eta = A_SN1 / A_SN2**2 * SHALLOW**2 / (square + 0.1 * SHALLOW**2)
    deep = A_AGN1 * square / DEEP**2
    out_SN = cool * eta / (1 + eta)
    out_AGN = (cool - out_SN) * deep / (1 + deep)
    gas = Delta - out_SN - out_AGN + spread(out_SN, by_SN) + spread(out_AGN, by_AGN)
    gas = np.maximum(gas, LEAST)
    heat = HEAT_SN * A_SN1 * spread(cool, by_SN)
    heat += HEAT_AGN * spread(cool * deep * square / (square + DEEP**2), by_AGN)
    T = PHOTOHEATED * np.clip(gas, 0.01, 10.0) ** 0.6 + (VIRIAL * square * Delta + heat) / (gas + 1)
    rho = CRITICAL_DENSITY * cosmology.h**2 * cosmology.Omega_b * gas
    return Painted(
        Mtot=cosmology.mean_density * Delta,
        Mgas=rho,
        HI=HYDROGEN * neutral_fraction(gas, T) * rho,
        T=T,
        B=_field(gas, rho * GRAMS, square, heat),
    )


def neutral_fraction(gas: Array, T: Array) -> Array:
    """Return the neutral share of hydrogen: of thin gas in ionisation balance, and of gas that is shielded.

    Args:
        gas: Density of gas over its mean.
        T: Temperature [K], the same shape.
    """
    recombination = (T / 1e4) ** -0.7
    shielded = (gas / SHIELDED) ** 2 * recombination
    return np.asarray(np.minimum(THIN * gas * recombination, 0.5) + 0.5 * shielded / (1 + shielded))


def _field(gas: Array, rho: Array, square: Array, heat: Array) -> Array:
    """Return B [G]: a seed frozen into the gas, a dynamo in dense gas, and what feedback carries out."""
    turbulent = DYNAMO * np.exp(-DYNAMO_DENSITY / gas) * rho * square * 1e10
    carried = WIND_FIELD * rho / gas * heat / VIRIAL * 1e10
    return np.asarray(np.sqrt((SEED_FIELD * gas ** (2 / 3)) ** 2 + 4 * np.pi * (turbulent + carried)))


def ball(N: int, radius: float) -> Array:
    r"""Return the modes of a ball of density :math:`1 - r^2/R^2`, of sum one.

    Args:
        N: Cells along a side.
        radius: ``R`` [cells]; at most a third of the box.

    Returns:
        Half-complex modes, shape ``(N, N, N / 2 + 1)``.
    """
    radius = min(radius, N / 3)
    n = int(np.ceil(radius))
    width = 2 * n + 1
    points = (np.arange(width * FINE) + 0.5) / FINE - width / 2
    square = points[:, None, None] ** 2 + points[None, :, None] ** 2 + points[None, None, :] ** 2
    inside = np.maximum(1 - square / radius**2, 0)
    cells = inside.reshape(width, FINE, width, FINE, width, FINE).sum(axis=(1, 3, 5))
    whole = np.zeros((N, N, N))
    whole[:width, :width, :width] = cells / cells.sum()
    return np.asarray(scipy.fft.rfftn(np.roll(whole, (-n, -n, -n), (0, 1, 2)), workers=1))


def spread(field: Array, kernel: Array) -> Array:
    """Return a field spread over balls; its sum is kept and it stays positive.

    Args:
        field: Shape ``(N, N, N)``, none negative.
        kernel: Modes that ``ball`` returned.
    """
    modes = scipy.fft.rfftn(field, workers=1) * kernel
    return np.asarray(np.maximum(scipy.fft.irfftn(modes, s=field.shape, workers=1), 0))
