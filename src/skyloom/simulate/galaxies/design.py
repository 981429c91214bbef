r"""Which galaxies a set holds: every property drawn from a stated distribution.

Halo masses are even in the logarithm. What a halo holds follows from it, each with its own scatter: stars by
Moster, Naab & White (2013), sizes by the spin (Mo, Mao & White 1998), concentrations by Dutton & Macciò
(2014). Gas shares, heights, arms, clumps, field strengths and metallicities were chosen by hand to be of the
order of those of nearby spirals; ``docs/explanation/galaxy-simulator.md`` lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.errors import UsageError

CRITICAL = 277.536627  #: critical density over h² [Msun/kpc³]
HUBBLE, OMEGA_M, OMEGA_L, BARYONS = 0.6774, 0.3089, 0.6911, 0.157
"""Hubble constant, matter, dark energy and baryonic share of IllustrisTNG (Planck 2016)."""
LOG_M_HALO = (11.2, 12.6)  #: range of log10 of halo masses / Msun


@dataclass(frozen=True)
class Galaxy:
    """One model galaxy; lengths in kpc, masses in Msun.

    Args:
        index: Its number.
        seed: Of its particles.
        M_dark: Dark matter, a whole number of particles.
        M_disc: Stars of the disc, clumps among them.
        M_bulge: Stars of the bulge.
        M_gas: Gas of the disc, clumps among it.
        M_corona: Gas of the corona.
        concentration: Of the dark halo.
        R_virial: Radius inside which the mean density is 200 times critical.
        R_stars: Scale length of the stellar disc.
        R_gas: Scale length of the gas disc.
        R_bulge: Scale length of the bulge.
        z_stars: Scale height of the stellar disc.
        dispersion: Of the disc's gas, thermal and turbulent [km/s].
        arms: Number of arms.
        pitch: Of the arms [degrees].
        contrast: Relative amplitude of the arms in the gas; half of it in the stars.
        lopsided: Relative amplitude of the gas disc's first harmonic.
        phases: Of the arms and of the first harmonic [rad].
        clumps: Number of clumps.
        clump_gas: Share of the disc's gas that is in clumps.
        clump_stars: Share of the disc's stars that is in clumps.
        clump_size: Standard deviation of a clump.
        field: Field strength at one hydrogen atom per cm³ [microgauss].
        metallicity: At the scale length of the stellar disc, by mass.
        gradient: Fall of the metallicity [dex per scale length].
    """

    index: int
    seed: int
    M_dark: float
    M_disc: float
    M_bulge: float
    M_gas: float
    M_corona: float
    concentration: float
    R_virial: float
    R_stars: float
    R_gas: float
    R_bulge: float
    z_stars: float
    dispersion: float
    arms: int
    pitch: float
    contrast: float
    lopsided: float
    phases: tuple[float, float]
    clumps: int
    clump_gas: float
    clump_stars: float
    clump_size: float
    field: float
    metallicity: float
    gradient: float

    @property
    def M_star(self) -> float:
        """All stars [Msun]."""
        return self.M_disc + self.M_bulge

    @property
    def M_total(self) -> float:
        """Everything inside the virial radius [Msun]."""
        return self.M_dark + self.M_star + self.M_gas + self.M_corona


def design(galaxies: int, *, dark_particle: float, seed: int = 0) -> list[Galaxy]:
    """Return the galaxies of a set; the first ones do not depend on how many follow.

    Args:
        galaxies: How many.
        dark_particle: Mass of a particle of dark matter [Msun].
        seed: Another seed, other galaxies.

    Raises:
        UsageError: There is no galaxy, or a halo would have fewer than a hundred dark particles.

    Example:
        >>> few, more = design(2, dark_particle=1e8), design(3, dark_particle=1e8)
        >>> few == more[:2], few[0].M_total > few[0].M_dark > few[0].M_star
        (True, True)
    """
    most = 10 ** LOG_M_HALO[0] / 200
    if galaxies < 1 or not 0 < dark_particle <= most:
        raise UsageError(
            f"{galaxies} galaxies of dark particles of {dark_particle:g} Msun",
            hint=f"allowed: one galaxy or more, particles of up to {most:.3g} Msun",
        )
    return [_drawn(index, dark_particle, seed) for index in range(galaxies)]


def stellar_mass(M_halo: float) -> float:
    """Return the mean stellar mass of a halo [Msun] (Moster, Naab & White 2013, table 1, at z = 0).

    Args:
        M_halo: [Msun].
    """
    m = M_halo / 10**11.590
    return float(2 * 0.0351 * M_halo / (m**-1.376 + m**0.608))


def _drawn(index: int, dark_particle: float, seed: int) -> Galaxy:
    """Draw one galaxy; the order of the draws is part of the definition."""
    rng = np.random.default_rng([seed, index])

    def scattered(value: float, dex: float) -> float:
        return float(value * 10 ** (dex * np.clip(rng.standard_normal(), -2.5, 2.5)))

    M_halo = 10 ** rng.uniform(*LOG_M_HALO)
    M_star = scattered(stellar_mass(M_halo), 0.15)
    bulge = rng.uniform(0, 0.4)
    M_gas = scattered(M_star * 10 ** (0.3 - 0.6 * (np.log10(M_star) - 9)), 0.25)
    M_corona = rng.uniform(0.1, 0.4) * BARYONS * M_halo
    # Dark particles have one mass, so dark matter comes in whole numbers of them.
    M_dark = round((M_halo - M_star - M_gas - M_corona) / dark_particle) * dark_particle
    total = M_dark + M_star + M_gas + M_corona
    R_virial = float(np.cbrt(3 * total / (800 * np.pi * CRITICAL * HUBBLE**2)))
    R_stars = scattered(0.027, 0.15) / np.sqrt(2) * R_virial
    return Galaxy(
        index=index, seed=int(rng.integers(2**31)),
        M_dark=M_dark, M_disc=M_star * (1 - bulge), M_bulge=M_star * bulge, M_gas=M_gas, M_corona=M_corona,
        concentration=scattered(10 ** (0.905 - 0.101 * np.log10(M_halo * HUBBLE / 1e12)), 0.11),
        R_virial=R_virial, R_stars=R_stars, R_gas=R_stars * rng.uniform(1.4, 2.2),
        R_bulge=R_stars * rng.uniform(0.08, 0.2), z_stars=R_stars * rng.uniform(0.08, 0.16),
        dispersion=rng.uniform(8, 12),
        arms=int(rng.integers(2, 5)), pitch=rng.uniform(10, 30), contrast=rng.uniform(0.1, 0.6),
        lopsided=rng.uniform(0, 0.3), phases=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
        clumps=int(rng.integers(4, 25)), clump_gas=rng.uniform(0.02, 0.12),
        clump_stars=rng.uniform(0.005, 0.03), clump_size=R_stars * rng.uniform(0.05, 0.12),
        field=scattered(5, 0.15),
        metallicity=scattered(0.0127 * 10 ** (0.3 * (np.log10(M_star) - 10.5)), 0.1),
        gradient=rng.uniform(0.05, 0.2),
    )  # fmt: skip
