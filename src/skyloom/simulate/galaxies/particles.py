"""The particles of a model galaxy, in physical kpc, Msun, km/s and microgauss, about its centre.

The particles of a part add up to its mass exactly; but for the corona's they have one mass. A cell of gas
carries the density that the model has at its place; its volume is mass over density, as that of a Voronoi
cell is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from skyloom.fields.particles import neighbour_radius
from skyloom.formats.illustris.hydrogen import GAMMA, molecular_share
from skyloom.simulate.galaxies import gas as state
from skyloom.simulate.galaxies import profiles
from skyloom.simulate.galaxies.design import Galaxy
from skyloom.simulate.galaxies.profiles import G
from skyloom.simulate.galaxies.structure import Structure

Array = NDArray[Any]
_X = np.linspace(0, profiles.DISC_END, 4001)
_DISC = profiles.disc_share(_X)
_HELIUM = 1.16  #: electrons per hydrogen atom of ionised gas, helium once ionised


def counts(galaxy: Galaxy, *, gas: int, stars: int, dark_particle: float) -> dict[str, int]:
    """Return how many particles each part of a galaxy has.

    Args:
        galaxy: Its properties.
        gas: Cells of gas.
        stars: Particles of stars.
        dark_particle: Mass of a particle of dark matter [Msun].

    Returns:
        Part -> number: ``disc``, ``clumps`` and ``corona`` of the gas, ``star_disc``, ``star_clumps`` and
        ``bulge`` of the stars, and ``dark``.
    """
    corona, clumps = gas // 4, max(round(0.8 * gas * galaxy.clump_gas), 1)
    bulge = max(round(stars * galaxy.M_bulge / galaxy.M_star), 1)
    star_clumps = max(round(stars * galaxy.clump_stars), 1)
    return {
        "disc": gas - corona - clumps, "clumps": clumps, "corona": corona,
        "star_disc": stars - bulge - star_clumps, "star_clumps": star_clumps, "bulge": bulge,
        "dark": round(galaxy.M_dark / dark_particle),
    }  # fmt: skip


def make(galaxy: Galaxy, numbers: Mapping[str, int]) -> dict[str, dict[str, Array]]:
    """Return the particles of a galaxy.

    Args:
        galaxy: Its properties.
        numbers: As ``counts`` gives them.

    Returns:
        ``gas``, ``dark_matter`` and ``stars`` -> fields by TNG's names, in kpc, Msun, Msun/kpc³, km/s, km²/s²
        and microgauss.
    """
    structure = Structure(galaxy)
    return {
        "gas": _gas(structure, numbers),
        "dark_matter": _dark(galaxy, numbers["dark"]),
        "stars": _stars(structure, numbers),
    }


def circular_speed_squared(galaxy: Galaxy, R: Array) -> Array:
    """Return the squared circular speed in the plane [km²/s²], the thin discs' from their own closed form.

    Args:
        galaxy: Its properties.
        R: Distance from the axis [kpc].
    """
    g, r = galaxy, np.maximum(R, 1e-3)
    radii, inside, _ = profiles.corona_shells(g.concentration, g.R_virial)
    round_mass = (
        g.M_dark * profiles.nfw_share(r, g.concentration, g.R_virial)
        + g.M_bulge * profiles.bulge_share(r, g.R_bulge)
        + g.M_corona * np.interp(r, radii, inside)
    )
    discs = profiles.disc_speed_squared(r, g.M_disc, g.R_stars) + profiles.disc_speed_squared(
        r, g.M_gas, g.R_gas
    )
    return np.asarray(G * round_mass / r + discs)


def _gas(structure: Structure, numbers: Mapping[str, int]) -> dict[str, Array]:
    g = structure.galaxy
    rng = np.random.default_rng([g.seed, 1])
    disc = _disc(structure, numbers["disc"], rng, gas=True)
    clumps = _clumps(structure, numbers["clumps"], rng)
    corona, weights = _corona(g, numbers["corona"], rng)
    cold = np.concatenate([disc, clumps])
    density = np.concatenate(
        [structure.gas_density(cold), structure.corona_density(np.linalg.norm(corona, axis=1))]
    )
    # The corona is as hot as makes it stay up: the squared dispersion is that of the halo's circular speed.
    sigma2 = np.repeat([g.dispersion**2, G * g.M_total / g.R_virial], [len(cold), len(corona)])
    is_cold = np.arange(len(sigma2)) < len(cold)
    neutral = state.neutral_share(density, np.where(is_cold, 1e4, 1e6))
    positions = np.concatenate([cold, corona])
    R = np.hypot(positions[:, 0], positions[:, 1])
    parts = [g.M_gas * (1 - g.clump_gas) / len(disc), g.M_gas * g.clump_gas / len(clumps)]
    masses = np.repeat(parts, [len(disc), len(clumps)])
    fields = {
        "Coordinates": positions,
        "Velocities": _gas_velocities(g, positions, is_cold, rng),
        "Masses": np.concatenate([masses, g.M_corona * weights]),
        "Density": density,
        "InternalEnergy": sigma2 / (GAMMA - 1),
        "ElectronAbundance": _HELIUM * (1 - neutral),
        "NeutralHydrogenAbundance": neutral,
        "GFM_Metallicity": np.where(is_cold, metallicity(g, R), 0.3 * g.metallicity)
        * 10 ** (0.05 * rng.standard_normal(len(R))),
        "MagneticField": state.field_strength(density, g.field)[:, None] * _directions(g, positions, rng),
    }
    molecules = fields["Masses"] * state.X_H * neutral * molecular_share(fields, "blitz_rosolowsky")
    forming = is_cold & (density * state.ATOMS > state.THRESHOLD)
    return {**fields, "StarFormationRate": np.where(forming, molecules / state.DEPLETION, 0.0)}


def metallicity(galaxy: Galaxy, R: Array) -> Array:
    """Return the metallicity of the disc by mass, an exponential fall; the inner half length is flat.

    Args:
        galaxy: Its properties.
        R: Distance from the axis [kpc].
    """
    x = np.maximum(R / galaxy.R_stars, 0.5)
    return np.asarray(galaxy.metallicity * 10 ** (-galaxy.gradient * (x - 1)))


def _disc(structure: Structure, count: int, rng: np.random.Generator, *, gas: bool) -> Array:
    """Place particles of a disc."""
    g = structure.galaxy
    u = profiles.spread(count, 3, rng)
    R = np.interp(u[:, 0], _DISC, _X) * (g.R_gas if gas else g.R_stars)
    phi = structure.azimuth(R, u[:, 1], gas=gas)
    height = structure.gas_height(R, phi) if gas else np.full_like(R, g.z_stars)
    z = height * np.arctanh(np.clip(2 * u[:, 2] - 1, -1 + 1e-9, 1 - 1e-9))
    return np.stack([R * np.cos(phi), R * np.sin(phi), z], axis=1)


def _clumps(structure: Structure, count: int, rng: np.random.Generator) -> Array:
    """Place particles of clumps, each a Gaussian ball; how many a clump has goes by its mass."""
    g = structure.galaxy
    of = np.searchsorted(np.cumsum(structure.clump_shares), (np.arange(count) + 0.5) / count)
    ball = special.ndtri(np.clip(profiles.spread(count, 3, rng), 1e-6, 1 - 1e-6)) * g.clump_size
    return np.asarray(structure.clumps[np.minimum(of, g.clumps - 1)] + ball)


def _round(radii: Array, u: Array) -> Array:
    """Return points at distances, in the directions that two even numbers give."""
    cosine, phi = 2 * u[:, 0] - 1, 2 * np.pi * u[:, 1]
    sine = np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1) * radii[:, None]


def _corona(g: Galaxy, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Place cells of the corona, and share its mass among them; they are lighter where it is denser."""
    u = profiles.spread(count, 3, rng)
    radii, inside, _ = profiles.corona_shells(g.concentration, g.R_virial)
    return _round(profiles.inverse(u[:, 0] ** 3, radii, inside), u[:, 1:]), u[:, 0] ** 2 / (
        u[:, 0] ** 2
    ).sum()


def _dark(g: Galaxy, count: int) -> dict[str, Array]:
    rng = np.random.default_rng([g.seed, 2])
    u = profiles.spread(count, 3, rng)
    radii = np.concatenate([[0], np.geomspace(1e-4, 1, 2000)]) * g.R_virial
    share = profiles.nfw_share(radii, g.concentration, g.R_virial)
    r = profiles.inverse(u[:, 0], radii, share)
    positions = _round(r, u[:, 1:])
    sigma = np.sqrt(circular_speed_squared(g, r) / 2)  # that of an isothermal sphere
    return {
        "Coordinates": positions,
        "Velocities": sigma[:, None] * rng.standard_normal((count, 3)),
        "SubfindHsml": neighbour_radius(positions, neighbours=64),
    }


def _stars(structure: Structure, numbers: Mapping[str, int]) -> dict[str, Array]:
    g = structure.galaxy
    rng = np.random.default_rng([g.seed, 3])
    parts = [numbers[name] for name in ("star_disc", "star_clumps", "bulge")]
    disc = _disc(structure, parts[0], rng, gas=False)
    clumps = _clumps(structure, parts[1], rng)
    u = profiles.spread(parts[2], 3, rng)
    edge = np.sqrt(u[:, 0]) * profiles.BULGE_END / (1 + profiles.BULGE_END)
    bulge = _round(g.R_bulge * edge / (1 - edge), u[:, 1:])
    positions = np.concatenate([disc, clumps, bulge])
    flat = np.arange(len(positions)) < parts[0] + parts[1]
    R = np.hypot(positions[:, 0], positions[:, 1])
    sigma = np.where(flat, structure.star_dispersion(R), 0.0)
    sigma = np.where(flat, sigma, np.sqrt(circular_speed_squared(g, np.linalg.norm(positions, axis=1)) / 2))
    turning = np.sqrt(np.maximum(circular_speed_squared(g, R) - sigma**2 * R / g.R_stars, 0)) * flat
    velocities = turning[:, None] * _tangent(positions) + sigma[:, None] * rng.standard_normal((len(R), 3))
    born = np.concatenate([rng.uniform(0.4, 0.95, parts[0]), rng.uniform(0.98, 1, parts[1])])
    masses = [g.M_disc * (1 - g.clump_stars), g.M_disc * g.clump_stars, g.M_bulge]
    return {
        "Coordinates": positions,
        "Velocities": velocities,
        "Masses": np.repeat([mass / count for mass, count in zip(masses, parts, strict=True)], parts),
        "GFM_StellarFormationTime": np.concatenate([born, rng.uniform(0.2, 0.5, parts[2])]),
        "GFM_Metallicity": metallicity(g, R) * 10 ** (0.1 * rng.standard_normal(len(R))),
        "StellarHsml": neighbour_radius(positions, neighbours=32),
    }


def _tangent(positions: Array) -> Array:
    """Return unit vectors along the sense of rotation, anticlockwise seen from above."""
    R = np.maximum(np.hypot(positions[:, 0], positions[:, 1]), 1e-9)
    return np.stack([-positions[:, 1] / R, positions[:, 0] / R, np.zeros_like(R)], axis=1)


def _gas_velocities(g: Galaxy, positions: Array, is_cold: Array, rng: np.random.Generator) -> Array:
    """Rotation, less what the pressure carries, and turbulence; the corona does not turn."""
    R = np.hypot(positions[:, 0], positions[:, 1])
    turning = np.sqrt(np.maximum(circular_speed_squared(g, R) - g.dispersion**2 * R / g.R_gas, 0)) * is_cold
    turbulent = np.where(is_cold, 0.6 * g.dispersion, 20.0)
    return turning[:, None] * _tangent(positions) + turbulent[:, None] * rng.standard_normal((len(R), 3))


def _directions(g: Galaxy, positions: Array, rng: np.random.Generator) -> Array:
    """Return unit vectors of the field: along the arms, and as much again at random."""
    tangent = _tangent(positions)
    outward = np.stack([-tangent[:, 1], tangent[:, 0], np.zeros(len(tangent))], axis=1)
    pitch = np.radians(g.pitch)
    ordered = np.cos(pitch) * tangent + np.sin(pitch) * outward
    vectors = ordered + rng.standard_normal(ordered.shape) / np.sqrt(3)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
