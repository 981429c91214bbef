r"""The gas and stellar discs of a galaxy as densities: arms, lopsidedness, clumps, and height by balance.

The gas column is :math:`\Sigma_0 e^{-R/R_g} [1 + A \cos m(\phi - \psi(R)) + A_1\cos(\phi-\phi_1)]` with
:math:`\psi = \phi_0 + \ln(R/R_g)/\tan p` and amplitudes that vanish at the centre. An isothermal layer of
dispersion :math:`\sigma` has :math:`\rho = \Sigma/(2h)\,\mathrm{sech}^2(z/h)`; its height follows from its
own weight and that of the stars (Elmegreen 1989), and from that of the dark halo around it,

.. math:: h^{-2} = \left[\frac{\pi G}{\sigma^2}\Big(\Sigma + \frac{\sigma}{\sigma_\star}\Sigma_\star\Big)
          \right]^2 + \frac{2\pi G\rho_\mathrm{dark}}{\sigma^2},

so that without a halo the pressure in the plane is :math:`\rho\sigma^2 =
\frac{\pi G}{2}\Sigma(\Sigma + \Sigma_\star\sigma/\sigma_\star)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.simulate.galaxies.design import Galaxy
from skyloom.simulate.galaxies.profiles import G, corona_shape, corona_shells, disc_column, nfw_density

Array = NDArray[Any]


class Structure:
    """The densities of one galaxy, about its centre; the discs lie in the plane z = 0.

    Args:
        galaxy: Its properties.

    Example:
        >>> from skyloom.simulate.galaxies.design import design
        >>> galaxy = design(1, dark_particle=1e8)[0]
        >>> found = Structure(galaxy)
        >>> height = found.gas_height(np.array([0.1, 20.0]), np.zeros(2))
        >>> bool(height[0] < height[1])  # the disc flares
        True
    """

    def __init__(self, galaxy: Galaxy) -> None:
        self.galaxy = galaxy
        rng = np.random.default_rng([galaxy.seed, 0])
        # Clumps lie where the gas disc has its mass, and are not all alike.
        x = np.interp(rng.random(galaxy.clumps), _INSIDE, _X)
        R = galaxy.R_gas * x
        phi = self.azimuth(R, rng.random(galaxy.clumps), gas=True)
        z = rng.normal(0, 0.3, galaxy.clumps) * self.gas_height(R, phi)
        self.clumps = np.stack([R * np.cos(phi), R * np.sin(phi), z], axis=1)
        shares = rng.lognormal(0, 0.7, galaxy.clumps)
        self.clump_shares = shares / shares.sum()
        self._corona = corona_shells(galaxy.concentration, galaxy.R_virial)[2]

    def contrast(self, R: Array, *, gas: bool) -> tuple[Array, Array, Array]:
        """Return the amplitudes of arms and lopsidedness, and the phase of the arms, at a radius [kpc]."""
        g = self.galaxy
        grown = 1 - np.exp(-((R / (0.5 * g.R_gas)) ** 2))
        lopsided = g.lopsided * grown if gas else np.zeros_like(R)
        winding = np.log(np.maximum(R, 1e-3) / g.R_gas) / np.tan(np.radians(g.pitch))
        return g.contrast * (1.0 if gas else 0.5) * grown, lopsided, g.phases[0] + winding

    def relative(self, R: Array, phi: Array, *, gas: bool) -> Array:
        """Return the column over its mean around the circle; the mean of it is 1 at every radius."""
        A, A_1, psi = self.contrast(R, gas=gas)
        m = self.galaxy.arms
        return np.asarray(1 + A * np.cos(m * (phi - psi)) + A_1 * np.cos(phi - self.galaxy.phases[1]))

    def azimuth(self, R: Array, share: Array, *, gas: bool) -> Array:
        """Return the angle up to which a share of the circle's mass lies [rad], by bisection."""
        A, A_1, psi = self.contrast(R, gas=gas)
        m, phi_1 = self.galaxy.arms, self.galaxy.phases[1]

        def mass(phi: Array) -> Array:
            arms = A / m * (np.sin(m * (phi - psi)) - np.sin(-m * psi))
            return np.asarray(phi + arms + A_1 * (np.sin(phi - phi_1) - np.sin(-phi_1)))

        low, high, wanted = np.zeros_like(R), np.full_like(R, 2 * np.pi), 2 * np.pi * share
        for _ in range(30):
            middle = (low + high) / 2
            below = mass(middle) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)

    def gas_column(self, R: Array, phi: Array) -> Array:
        """Return the column density of the gas disc without its clumps [Msun/kpc²]."""
        g = self.galaxy
        return disc_column(R, g.M_gas * (1 - g.clump_gas), g.R_gas) * self.relative(R, phi, gas=True)

    def star_dispersion(self, R: Array) -> Array:
        """Return the vertical dispersion of the stellar disc [km/s], that of a layer of one height."""
        g = self.galaxy
        return np.sqrt(np.pi * G * disc_column(R, g.M_disc, g.R_stars) * g.z_stars)

    def gas_height(self, R: Array, phi: Array) -> Array:
        """Return the scale height of the gas [kpc]."""
        g = self.galaxy
        stars = np.sqrt(disc_column(R, g.M_disc, g.R_stars) / (np.pi * G * g.z_stars))  # Sigma / sigma
        weight = np.pi * G * (self.gas_column(R, phi) / g.dispersion**2 + stars / g.dispersion)
        dark = nfw_density(np.maximum(R, 0.1), g.M_dark, g.concentration, g.R_virial)
        return np.asarray(1 / np.sqrt(weight**2 + 2 * np.pi * G * dark / g.dispersion**2))

    def gas_density(self, positions: Array) -> Array:
        """Return the density of disc and clumps [Msun/kpc³].

        Args:
            positions: About the centre, shape ``(n, 3)`` [kpc].
        """
        g = self.galaxy
        R, phi = np.hypot(positions[:, 0], positions[:, 1]), np.arctan2(positions[:, 1], positions[:, 0])
        h = self.gas_height(R, phi)
        density = (
            self.gas_column(R, phi) / (2 * h) / np.cosh(np.minimum(np.abs(positions[:, 2] / h), 300)) ** 2
        )
        peak = g.M_gas * g.clump_gas * self.clump_shares / (2 * np.pi * g.clump_size**2) ** 1.5
        for centre, height in zip(self.clumps, peak, strict=True):
            distance = ((positions - centre) ** 2).sum(axis=1)
            density = density + height * np.exp(-distance / (2 * g.clump_size**2))
        return np.asarray(density)

    def corona_density(self, r: Array) -> Array:
        """Return the density of the corona at a distance from the centre [Msun/kpc³]."""
        g = self.galaxy
        return g.M_corona / self._corona * corona_shape(r, g.concentration, g.R_virial)


_X = np.linspace(0, 4, 401)
_INSIDE = 1 - (1 + _X) * np.exp(-_X)
_INSIDE /= _INSIDE[-1]
