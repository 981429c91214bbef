r"""Linear theory and collapsed fractions of a flat cold-dark-matter universe.

Lengths are comoving Mpc, masses solar masses, wavenumbers 1/Mpc; nothing is per ``h``. The transfer
function is the no-wiggle form of Eisenstein & Hu (1998, eqs. 26 and 28-31). The Sheth-Tormen mass
function has the constants of Jenkins et al. (2001), as 21cmFAST uses them, so that its collapsed fraction
is a closed form in the peak height.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad, trapezoid
from scipy.special import erfc, gamma, gammaincc

from skyloom.errors import DataError

CRITICAL_DENSITY = 2.77536627e11  #: [h^2 Msun / Mpc^3]
DELTA_C = 1.686  #: linear overdensity of spherical collapse
SHETH_TORMEN = {"A": 0.353, "a": 0.73, "p": 0.175}  #: Jenkins et al. (2001)


def top_hat(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the Fourier transform of a spherical top hat at ``x = k R``.

    Args:
        x: Wavenumber times radius, any shape.

    Returns:
        Window, the shape of ``x``; one at zero.

    Example:
        >>> float(top_hat(np.array(0.0)))
        1.0
    """
    x = np.asarray(x)
    safe = np.where(x > 1e-3, x, 1.0)
    window = 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3
    return np.where(x > 1e-3, window, 1 - x**2 / 10)


@dataclass(frozen=True)
class Cosmology:
    """A flat universe of cold dark matter, baryons and a cosmological constant.

    Args:
        Omega_m: Matter density today over critical.
        Omega_b: Baryon density today over critical.
        h: Hubble constant / (100 km/s/Mpc).
        sigma_8: Rms linear density contrast today in spheres of 8 Mpc/h.
        n_s: Spectral index.

    Example:
        >>> planck = Cosmology()
        >>> round(float(planck.sigma(8 / planck.h)), 4)
        0.8102
    """

    Omega_m: float = 0.30964
    Omega_b: float = 0.04897
    h: float = 0.6766
    sigma_8: float = 0.8102
    n_s: float = 0.9665

    def __post_init__(self) -> None:
        if not 0 < self.Omega_b < self.Omega_m <= 1:
            raise DataError(
                f"Omega_b = {self.Omega_b} and Omega_m = {self.Omega_m}: need 0 < Omega_b < Omega_m <= 1"
            )

    @property
    def mean_density(self) -> float:
        """Comoving matter density [Msun / Mpc^3]."""
        return CRITICAL_DENSITY * self.h**2 * self.Omega_m

    def transfer(self, k: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the no-wiggle transfer function at ``k`` [1/Mpc] (Eisenstein & Hu 1998)."""
        theta = 2.7255 / 2.7
        m, b = self.Omega_m * self.h**2, self.Omega_b * self.h**2
        ratio = self.Omega_b / self.Omega_m
        s = 44.5 * np.log(9.83 / m) / np.sqrt(1 + 10 * b**0.75)
        alpha = 1 - 0.328 * np.log(431 * m) * ratio + 0.38 * np.log(22.3 * m) * ratio**2
        shape = self.Omega_m * self.h * (alpha + (1 - alpha) / (1 + (0.43 * k * s) ** 4))
        q = k / self.h * theta**2 / shape
        L = np.log(2 * np.e + 1.8 * q)
        return np.asarray(L / (L + (14.2 + 731 / (1 + 62.5 * q)) * q**2))

    @cached_property
    def _amplitude(self) -> float:
        k = np.geomspace(1e-5, 1e2, 4000)
        shape = k**self.n_s * self.transfer(k) ** 2
        variance = trapezoid(shape * top_hat(k * 8 / self.h) ** 2 * k**3 / (2 * np.pi**2), np.log(k))
        return float(self.sigma_8**2 / variance)

    def power(self, k: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the linear P(k) today [Mpc^3] at ``k`` [1/Mpc]."""
        return self._amplitude * k**self.n_s * self.transfer(k) ** 2

    def sigma(self, R: float | NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the rms linear contrast today in top-hat spheres of comoving radius ``R`` [Mpc]."""
        R = np.asarray(R, dtype=float)
        k = np.geomspace(1e-5, 2e3, 3000)
        integrand = self.power(k) * k**3 / (2 * np.pi**2)
        variance = trapezoid(integrand * top_hat(R[..., None] * k) ** 2, np.log(k), axis=-1)
        return np.asarray(np.sqrt(variance))

    def growth(self, z: float) -> float:
        """Return the linear growth factor at redshift ``z``, one today (Heath 1977)."""
        return self._heath(1 / (1 + z)) / self._heath(1.0)

    def growth_rate(self, z: float) -> float:
        r"""Return :math:`f = \mathrm{d}\ln D/\mathrm{d}\ln a` at redshift ``z``, from the same integral.

        Example:
            >>> round(Cosmology().growth_rate(0.0), 3)  # about Omega_m^0.55
            0.522
        """
        a = 1 / (1 + z)
        square = self.expansion(z) ** 2
        slope = -1.5 * self.Omega_m / a**3 / square  # d ln E / d ln a
        return float(slope + 1 / (a**2 * square * self._heath(a)))

    def expansion(self, z: float) -> float:
        """Return ``E = H / H0`` at redshift ``z``."""
        return float(np.sqrt(self.Omega_m * (1 + z) ** 3 + 1 - self.Omega_m))

    def _heath(self, a: float) -> float:
        """Return the growing mode, without its constant: ``E`` times the integral of ``(a E)^-3``."""
        integral = quad(lambda x: (self.Omega_m / x + (1 - self.Omega_m) * x**2) ** -1.5, 0, a)[0]
        return self.expansion(1 / a - 1) * float(integral)

    def radius(self, mass: float) -> float:
        """Return the comoving radius [Mpc] that holds ``mass`` [Msun] at the mean density."""
        return float((3 * mass / (4 * np.pi * self.mean_density)) ** (1 / 3))

    def virial_mass(self, temperature: float, z: float, *, mu: float = 0.59) -> float:
        """Return the halo mass [Msun] of virial ``temperature`` [K] (Barkana & Loeb 2001, eq. 26)."""
        matter = self.Omega_m * (1 + z) ** 3
        Omega_z = matter / (matter + 1 - self.Omega_m)
        d = Omega_z - 1
        overdensity = 18 * np.pi**2 + 82 * d - 39 * d**2
        contrast = self.Omega_m / Omega_z * overdensity / (18 * np.pi**2)
        scaled = temperature / 1.98e4 * (0.6 / mu) * 10 / (1 + z)
        return float(1e8 / self.h * scaled**1.5 / np.sqrt(contrast))

    def collapsed_fraction(self, mass: float, z: float) -> float:
        r"""Return the Sheth-Tormen fraction of matter in haloes above ``mass`` [Msun].

        With :math:`x = \sqrt{a}\,\delta_c / (\sigma D)`,
        :math:`f = A [\mathrm{erfc}(x/\sqrt2) + 2^{-p}\,\Gamma(1/2-p, x^2/2)/\sqrt\pi]`.
        """
        A, a, p = SHETH_TORMEN["A"], SHETH_TORMEN["a"], SHETH_TORMEN["p"]
        x = np.sqrt(a) * DELTA_C / (self.sigma(self.radius(mass)) * self.growth(z))
        order = 0.5 - p
        tail = 2**-p * gammaincc(order, x**2 / 2) * gamma(order) / np.sqrt(np.pi)
        return float(A * (erfc(x / np.sqrt(2)) + tail))
