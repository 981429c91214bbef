r"""Closed forms of air-shower physics at HAWC's altitude, compiled: depth, profiles, front.

Depths are slant depths :math:`X` [g/cm²] along the axis, energies in GeV, lengths in m, times in ns.
Constants: radiation length and critical energy of air from the Review of Particle Physics (tables of atomic
and nuclear properties); the depth of the array from its altitude of 4100 m; Molière radius there as the
observatory uses it (Abeysekara et al. 2017, ApJ 843, 39). Longitudinal: Greisen 1956, Prog. Cosmic Ray
Phys. 3, 1, in the form of Lipari 2009, PRD 79, 063001. Lateral: Kamata & Nishimura 1958, Prog. Theor. Phys.
Suppl. 6, 93, and Greisen. Thickness of the front: Linsley 1986, J. Phys. G 12, 51.
"""

from __future__ import annotations

import math

import numba

compiled = numba.njit(cache=True, error_model="numpy")

X0 = 36.62
"""Radiation length of air [g/cm²]."""
E_C = 0.08792
"""Critical energy of electrons in air [GeV]."""
X_GROUND = 637.0
"""Vertical depth of the array, 4100 m above the sea [g/cm²]."""
H = 6800.0
"""Scale height of the atmosphere between 4 and 15 km: depth falls as exp(-h / H) [m]."""
R_M = 120.0
"""Molière radius at the array [m]."""
C = 0.299792458
"""Speed of light [m/ns]."""
R_ENERGY = 30.0
"""The same for the energy, which keeps closer to the axis than the electrons do: tuned, see the docs [m]."""
LATERAL_AGES = (0.4, 2.1)
"""Ages between which the lateral function is used; it has no integral from 2.25 on."""
NEAREST = 2.0
"""Distances below this count as this [m]: a tank averages over its width."""


@compiled
def slant_depth(cosine: float) -> float:
    """Return the depth of the array along an axis [g/cm²]: the vertical one over cos θ.

    Args:
        cosine: Of the zenith angle; above about 0.3, below which the curvature of the Earth counts.

    Example:
        >>> round(slant_depth(0.5))
        1274
    """
    return X_GROUND / cosine


@compiled
def distance_above(X: float, cosine: float) -> float:
    """Return how far from the ground the axis is at a depth [m], in an isothermal atmosphere.

    Args:
        X: Slant depth [g/cm²].
        cosine: Of the zenith angle.

    Example:
        >>> round(distance_above(637.0 / 2.718281828, 1.0))
        6800
    """
    return H * math.log(X_GROUND / (X * cosine)) / cosine


@compiled
def age(t: float, y: float) -> float:
    r"""Return the age :math:`s = 3t / (t + 2y)` of a cascade: 1 where it is largest.

    Args:
        t: Depth from its start in radiation lengths.
        y: Logarithm of energy over critical energy.

    Example:
        >>> age(10.0, 10.0)
        1.0
    """
    return 3 * t / (t + 2 * y)


@compiled
def greisen(t: float, y: float) -> float:
    r"""Return the number of electrons of an electromagnetic cascade.

    .. math:: N = \frac{0.31}{\sqrt y} \exp\left[t\,(1 - \tfrac32 \ln s)\right], \qquad y = \ln(E / E_c).

    Args:
        t: Depth from its start in radiation lengths, above 0.
        y: Logarithm of energy over critical energy, above 0.

    Example:
        >>> y = math.log(1000 / E_C)
        >>> round(greisen(y, y) / (0.31 / math.sqrt(y) * math.exp(y)), 12)
        1.0
    """
    return 0.31 / math.sqrt(y) * math.exp(t * (1 - 1.5 * math.log(age(t, y))))


@compiled
def energy_per_electron(t: float, y: float) -> float:
    r"""Return the energy that a cascade still has, over its number of electrons [GeV].

    What it has is what its electrons will yet lose, :math:`E_c \int_t^\infty N\,dt' / N(t)`: photons carry
    most of it.

    Args:
        t: Depth from the start in radiation lengths, above 0.
        y: Logarithm of energy over critical energy, above 0.

    Example:
        >>> 0.2 < energy_per_electron(16.0, math.log(1000 / E_C)) < 0.4
        True
    """
    first = greisen(t, y)
    whole, last = 0.0, first
    for _ in range(200):
        t += 0.5
        now = greisen(t, y)
        whole += 0.25 * (last + now)
        last = now
        if age(t, y) > 1 and now < 1e-3 * first:
            break
    energy: float = E_C * whole / first
    return energy


@compiled
def nkg_norm(s: float, r_M: float) -> float:
    """Return the factor in front of ``nkg`` [1/m²], for ages below 2.25."""
    factor: float = math.gamma(4.5 - s) / (math.gamma(s) * math.gamma(4.5 - 2 * s)) / (2 * math.pi * r_M**2)
    return factor


@compiled
def nkg(r: float, s: float, r_M: float = R_M) -> float:
    r"""Return the density of electrons at a distance from the axis, for one in all [1/m²].

    .. math:: \rho(r) = \frac{\Gamma(4.5 - s)}{2\pi r_M^2\,\Gamma(s)\,\Gamma(4.5 - 2s)}
              \left(\frac{r}{r_M}\right)^{s - 2} \left(1 + \frac{r}{r_M}\right)^{s - 4.5} .

    Args:
        r: Distance from the axis in the plane across it [m].
        s: Age, below 2.25.
        r_M: Scale radius [m].

    Example:
        >>> nkg(10.0, 1.2) > nkg(100.0, 1.2)
        True
    """
    x = r / r_M
    density: float = nkg_norm(s, r_M) * x ** (s - 2) * (1 + x) ** (s - 4.5)
    return density


@compiled
def thickness(r: float) -> float:
    r"""Return the spread of arrival times of particles, :math:`2.6\,(1 + r / 30\,\mathrm{m})^{1.5}` [ns].

    Args:
        r: Distance from the axis [m].

    Example:
        >>> thickness(0.0), round(thickness(90.0), 1)
        (2.6, 20.8)
    """
    spread: float = 2.6 * (1 + r / 30.0) ** 1.5
    return spread


@compiled
def curvature(r: float, radius: float) -> float:
    """Return how late a spherical front is at a distance from the axis, against its tangent plane [ns].

    Args:
        r: Distance from the axis [m].
        radius: Distance to where the front seems to come from, the maximum of the shower [m].

    Example:
        >>> round(curvature(100.0, 5000.0), 2)
        3.34
    """
    late: float = (math.sqrt(radius**2 + r**2) - radius) / C
    return late
