"""The model galaxy: its parts against closed forms, the state of its gas against the laws that it cites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate

from skyloom.errors import UsageError
from skyloom.formats.illustris.hydrogen import molecular_share, neutral_mass
from skyloom.simulate.galaxies import gas, particles, profiles
from skyloom.simulate.galaxies.design import CRITICAL, HUBBLE, design, stellar_mass
from skyloom.simulate.galaxies.profiles import G
from skyloom.simulate.galaxies.structure import Structure

GALAXY = design(1, dark_particle=1e8)[0]
SMOOTH = replace(GALAXY, contrast=0.0, lopsided=0.0, clump_gas=1e-9, clump_stars=1e-9)


def made(galaxy=GALAXY, **numbers):
    return particles.make(
        galaxy, particles.counts(galaxy, **{"gas": 3000, "stars": 2000, "dark_particle": 1e8, **numbers})
    )


@pytest.fixture(scope="module")
def galaxy():
    return made()


def test_shares_are_the_integrals_of_their_densities():
    def halo(r):
        return 4 * np.pi * r**2 * profiles.nfw_density(r, 1.0, 8.0, 100.0)

    for r in (5.0, 40.0, 100.0):
        assert profiles.nfw_share(r, 8.0, 100.0) == pytest.approx(integrate.quad(halo, 0, r)[0], rel=1e-8)

    def disc(R):
        return 2 * np.pi * R * profiles.disc_column(R, 1.0, 3.0)

    assert profiles.disc_share(2.0) == pytest.approx(integrate.quad(disc, 0, 6.0)[0], rel=1e-8)
    assert profiles.bulge_share(2.0 * profiles.BULGE_END, 2.0) == pytest.approx(1.0)
    # Half the mass of an uncut Hernquist bulge lies inside (1 + sqrt 2) a.
    half = (profiles.BULGE_END / (1 + profiles.BULGE_END)) ** 2 * profiles.bulge_share(1 + np.sqrt(2), 1.0)
    assert half == pytest.approx(0.5)


def test_an_exponential_disc_turns_fastest_at_two_scale_lengths():
    R = np.linspace(1, 10, 2001)
    v2 = profiles.disc_speed_squared(R, 1e10, 2.0)
    assert R[v2.argmax()] == pytest.approx(2 * 2.15, abs=0.02)  # Freeman 1970
    # Far out it is a point.
    assert profiles.disc_speed_squared(200.0, 1e10, 2.0) == pytest.approx(G * 1e10 / 200, rel=1e-3)


def test_the_corona_is_in_hydrostatic_balance():
    """d ln rho / dr = -v_c² / (r sigma²), in the halo alone, with sigma the circular speed at its edge."""
    c, R = 9.0, 150.0
    for r in (2.0, 20.0, 120.0):
        e = 1e-4 * r
        slope = np.diff(np.log(profiles.corona_shape([r - e, r + e], c, R)))[0] / (2 * e)
        assert slope == pytest.approx(-profiles.nfw_share(r, c, R) * R / r**2, rel=1e-5)


def test_parts_add_up_to_the_masses_that_were_drawn(galaxy):
    g = GALAXY
    assert galaxy["gas"]["Masses"].sum() == pytest.approx(g.M_gas + g.M_corona, rel=1e-12)
    assert galaxy["stars"]["Masses"].sum() == pytest.approx(g.M_star, rel=1e-12)
    assert len(galaxy["dark_matter"]["Coordinates"]) * 1e8 == pytest.approx(g.M_dark, rel=1e-12)
    assert g.M_total == pytest.approx(800 / 3 * np.pi * CRITICAL * HUBBLE**2 * g.R_virial**3, rel=1e-12)


def test_particles_follow_the_profiles(galaxy):
    r = np.linalg.norm(galaxy["dark_matter"]["Coordinates"], axis=1)
    for radius in (20.0, 60.0, 150.0):
        share = profiles.nfw_share(radius, GALAXY.concentration, GALAXY.R_virial)
        assert (r < radius).mean() == pytest.approx(float(share), abs=2e-3)
    # sech²: a share tanh(1) lies within one scale height.
    stars = made(SMOOTH)["stars"]["Coordinates"]
    flat = particles.counts(SMOOTH, gas=3000, stars=2000, dark_particle=1e8)["star_disc"]
    assert (np.abs(stars[:flat, 2]) < SMOOTH.z_stars).mean() == pytest.approx(np.tanh(1), abs=5e-3)


def test_arms_have_the_amplitude_and_the_pitch_that_were_set():
    bold = replace(SMOOTH, contrast=0.4, arms=3)
    structure = Structure(bold)
    R = np.full(20_000, 2.0 * bold.R_gas)
    phi = structure.azimuth(R, (np.arange(len(R)) + 0.5) / len(R), gas=True)
    A, _, psi = structure.contrast(R, gas=True)
    # <cos m (phi - psi)> of 1 + A cos m (phi - psi) is A / 2.
    assert np.cos(3 * (phi - psi)).mean() == pytest.approx(A[0] / 2, abs=1e-4)
    assert A[0] == pytest.approx(0.4, abs=1e-6)
    phase = structure.contrast(np.array([5.0, 5.0 * np.e]), gas=True)[2]
    assert np.tan(np.radians(bold.pitch)) == pytest.approx(1 / np.diff(phase)[0])
    ring = structure.relative(R, np.linspace(0, 2 * np.pi, len(R), endpoint=False), gas=True)
    assert ring.mean() == pytest.approx(1.0, abs=1e-9)


def test_pressure_in_the_plane_carries_gas_and_stars():
    """Without a halo it is Elmegreen's pi G / 2 Sigma (Sigma + Sigma_stars sigma / sigma_stars)."""
    bare = replace(SMOOTH, M_dark=1e-3)
    structure, R, phi = Structure(bare), np.array([2.0, 6.0]), np.zeros(2)
    gas_column = structure.gas_column(R, phi)
    stars = profiles.disc_column(R, bare.M_disc, bare.R_stars)
    ratio = bare.dispersion / structure.star_dispersion(R)
    P = structure.gas_density(np.stack([R, 0 * R, 0 * R], axis=1)) * bare.dispersion**2
    np.testing.assert_allclose(P, np.pi * G / 2 * gas_column * (gas_column + ratio * stars), rtol=1e-6)
    # The halo presses too.
    assert (Structure(SMOOTH).gas_density(np.stack([R, 0 * R, 0 * R], 1)) * bare.dispersion**2 > P).all()


def test_the_share_of_atoms_at_a_point_is_that_of_the_pressure_law():
    """By hand at 2 kpc in the plane, beside what our reader makes of the cell that the file would hold."""
    structure = Structure(SMOOTH)
    rho = structure.gas_density(np.array([[2.0, 0.0, 0.0]]))
    cell = {"Masses": np.ones(1), "Density": rho, "InternalEnergy": np.array([1.5 * SMOOTH.dispersion**2])}
    grams = float(rho[0]) * 1.989e33 / 3.085678e21**3
    P = grams * (SMOOTH.dispersion * 1e5) ** 2 / 1.380649e-16  # [K/cm³]
    R = (P / 4.3e4) ** 0.92
    assert 1 - molecular_share(cell, "blitz_rosolowsky")[0] == pytest.approx(1 / (1 + R), rel=1e-6)


def test_neutral_gas_is_in_balance_with_the_background():
    n = np.geomspace(1e-5, 10, 30)
    eta = gas.neutral_share(n / gas.ATOMS, np.full(30, 1e4))
    x = n / gas.SHIELDED
    rate = gas.PHOTOIONISATION * (0.98 * (1 + x**1.64) ** -2.28 + 0.02 * (1 + x) ** -0.84)
    np.testing.assert_allclose((1 - eta) ** 2 * n * gas.RECOMBINATION, eta * rate, rtol=1e-9)
    assert (np.diff(eta) > 0).all()
    assert gas.neutral_share(np.array([1.0]), np.array([1e6]))[0] == 0


def test_the_field_is_frozen_into_the_gas(galaxy):
    cells = galaxy["gas"]
    strength = np.linalg.norm(cells["MagneticField"], axis=1)
    slope, height = np.polyfit(np.log(cells["Density"] * gas.ATOMS), np.log(strength), 1)
    assert slope == pytest.approx(2 / 3, abs=1e-10)
    assert np.exp(height) == pytest.approx(GALAXY.field, rel=1e-9)


def test_gas_turns_at_the_circular_speed_less_its_pressure(galaxy):
    cells = galaxy["gas"]
    x, v = cells["Coordinates"], cells["Velocities"]
    R = np.hypot(x[:, 0], x[:, 1])
    cold = cells["NeutralHydrogenAbundance"] > 0.5
    wanted = particles.circular_speed_squared(GALAXY, R) - GALAXY.dispersion**2 * R / GALAXY.R_gas
    turning = (x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0]) / R
    left = (turning - np.sqrt(np.maximum(wanted, 0)))[cold]
    assert left.std() == pytest.approx(0.6 * GALAXY.dispersion, rel=0.05)
    assert abs(left.mean()) < 4 * left.std() / np.sqrt(cold.sum())


def test_metals_fall_by_the_gradient(galaxy):
    R = np.array([1.0, 2.0]) * GALAXY.R_stars
    Z = particles.metallicity(GALAXY, R)
    assert np.log10(Z[0] / Z[1]) == pytest.approx(GALAXY.gradient)
    assert Z[0] == pytest.approx(GALAXY.metallicity)


def test_stars_form_from_molecules_above_the_threshold(galaxy):
    cells = galaxy["gas"]
    forming = cells["StarFormationRate"] > 0
    assert forming.any()
    assert (cells["Density"][forming] * gas.ATOMS > gas.THRESHOLD).all()
    molecules = neutral_mass(cells, two_phase=False) * molecular_share(cells, "blitz_rosolowsky")
    np.testing.assert_allclose(cells["StarFormationRate"][forming] * 2e9, molecules[forming], rtol=1e-9)


def test_halos_are_drawn_evenly_and_stars_follow_them():
    drawn = design(200, dark_particle=1e8, seed=3)
    log_M = np.log10([galaxy.M_total for galaxy in drawn])
    assert log_M.mean() == pytest.approx(11.9, abs=3 * 1.4 / np.sqrt(12 * 200))
    scatter = np.log10([g.M_star / stellar_mass(g.M_total) for g in drawn])
    assert scatter.std() == pytest.approx(0.15, rel=0.15)
    # The relation's ratio at its knee 10^11.59: N = 0.0351.
    assert stellar_mass(10**11.59) / 10**11.59 == pytest.approx(0.0351)


def test_settings_that_cannot_work_are_refused():
    for wrong in ({"galaxies": 0, "dark_particle": 1e8}, {"galaxies": 1, "dark_particle": 1e10}):
        with pytest.raises(UsageError, match="allowed"):
            design(**wrong)
