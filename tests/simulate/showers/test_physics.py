"""Closed forms of air showers against integrals, limits and each other; the cascade against known laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from skyloom.simulate.showers import physics
from skyloom.simulate.showers.cascade import (
    CONVERSION,
    GAMMA,
    LENGTH_NUCLEON,
    PROTON,
    SPACE,
    shower,
)
from skyloom.simulate.showers.generate import cosine_of, power_law


@pytest.mark.parametrize("s", [0.6, 1.0, 1.4, 2.0])
@pytest.mark.parametrize("r_M", [physics.R_M, physics.R_ENERGY])
def test_the_lateral_function_integrates_to_one_electron(s, r_M):
    # r = r_M x / (1 - x) takes the plane to the unit interval
    def ring(x):
        r = r_M * x / (1 - x)
        return physics.nkg(r, s, r_M) * 2 * math.pi * r * r_M / (1 - x) ** 2

    assert quad(ring, 0, 1, limit=500)[0] == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("E", [50.0, 1e3, 1e5])
def test_a_cascade_is_largest_at_its_depth_and_of_age_one_there(E):
    y = math.log(E / physics.E_C)
    depth = np.linspace(0.2 * y, 2.5 * y, 20_001)
    number = [physics.greisen(t, y) for t in depth]
    # d ln N / dt = 1 - 3/2 ln s - 3 y / (t + 2 y) is zero at s = 1, t = y
    assert depth[int(np.argmax(number))] == pytest.approx(y, abs=2 * (depth[1] - depth[0]))
    assert physics.age(y, y) == 1
    assert max(number) == pytest.approx(0.31 / math.sqrt(y) * E / physics.E_C, rel=1e-7)


def test_the_energy_left_is_what_electrons_will_lose():
    """Late in a cascade N falls as exp(λ t), so about E_c / |λ| is left for each electron."""
    y, t = math.log(1e4 / physics.E_C), 30.0
    s = physics.age(t, y)
    slope = 1 - 1.5 * math.log(s) - 3 * y / (t + 2 * y)
    # the exact slope of Greisen's form, and steeper farther down: a little less is left
    left = physics.energy_per_electron(t, y)
    assert 0.8 < left * abs(slope) / physics.E_C < 1.0
    whole = quad(lambda x: physics.greisen(x, y), t, 300)[0]
    assert left == pytest.approx(physics.E_C * whole / physics.greisen(t, y), rel=0.01)


def test_depth_and_height_agree_with_the_standard_atmosphere():
    """Standard Atmosphere 1976: pressure over g, at 8, 10, 12 and 15 km [g/cm²]; the array is at 4.1 km."""
    assert physics.slant_depth(0.5) == 2 * physics.slant_depth(1.0) == 1274
    for height, depth in ((8000, 363.5), (10_000, 270.2), (12_000, 197.8), (15_000, 123.5)):
        assert physics.distance_above(depth, 1.0) == pytest.approx(height - 4100, rel=0.05)
    # along a slanted axis the same vertical depth is farther by the secant
    assert physics.distance_above(200.0 / 0.6, 0.6) == pytest.approx(physics.distance_above(200.0, 1.0) / 0.6)


def test_a_front_is_a_sphere_with_a_tangent_plane():
    assert physics.curvature(0.0, 5000.0) == 0
    assert physics.curvature(100.0, 5000.0) == pytest.approx(100**2 / (2 * 5000 * physics.C), rel=1e-3)


def test_energies_and_angles_follow_their_distributions():
    u = (np.arange(20_000) + 0.5) / 20_000
    energy = np.array([power_law(x, 1.0, 100.0, 2.0) for x in u])
    # share above E of E^-2 between 1 and 100: (1/E - 1/100) / (1 - 1/100)
    for E in (2.0, 10.0, 50.0):
        assert (energy > E).mean() == pytest.approx((1 / E - 0.01) / 0.99, abs=1e-4)
    cosine = np.array([cosine_of(x, 0.5) for x in u])
    # the integral of cos sin from 0 to θ, over that to 60°: sin² θ / sin² 60°
    for theta in (20, 40):
        share = (np.degrees(np.arccos(cosine)) < theta).mean()
        assert share == pytest.approx(np.sin(np.radians(theta)) ** 2 / 0.75, abs=1e-3)


def thrown(species, E, count, seed=0):
    rng, sub, muon = np.random.default_rng(seed), np.empty((SPACE, 4)), np.empty((SPACE, 2))
    cascades, muons = [], []
    for _ in range(count):
        n, m = shower(rng, species, E, 1.0, sub, muon)
        cascades.append(sub[:n].copy())
        muons.append(muon[:m].copy())
    return cascades, muons


def test_the_first_photon_converts_after_its_mean_free_path():
    cascades, _ = thrown(GAMMA, 50.0, 3000)
    # those that pass 637 g/cm² without converting are one in 8e5
    depth = np.array([found[0, 1] for found in cascades if len(found)])
    assert depth.mean() == pytest.approx(CONVERSION, abs=4 * CONVERSION / math.sqrt(3000))


def test_protons_go_deeper_before_they_interact_and_give_part_of_their_energy_to_light():
    cascades, _ = thrown(PROTON, 1000.0, 800)
    first = np.array([found[:, 1].min() for found in cascades if len(found)])
    assert first.mean() > LENGTH_NUCLEON
    share = np.array([found[:, 0].sum() for found in cascades]) / 1000.0
    # never more than there was; a third of each generation at least, and less than all
    assert share.max() <= 1 + 1e-9
    assert 0.35 < share.mean() < 0.75


def test_muons_grow_with_energy_as_a_cascade_of_pions_says_and_photons_have_few():
    """Matthews 2005: N_mu = (E / 20 GeV)^0.85, without losses in the air; with them the slope is less."""
    low, high = (np.mean([len(m) for m in thrown(PROTON, E, 400)[1]]) for E in (1e3, 1e4))
    assert low == pytest.approx((1e3 / 20) ** 0.85, rel=0.15)
    assert high == pytest.approx((1e4 / 20) ** 0.85, rel=0.2)
    assert 0.7 < math.log10(high / low) < 0.9
    photons = np.mean([len(m) for m in thrown(GAMMA, 1e4, 1500)[1]])
    # the docs state two in a hundred at 10 TeV
    assert 0.01 < photons / high < 0.03


def test_muons_and_clumps_lie_about_the_axis_and_spread_with_kicks():
    cascades, muons = thrown(PROTON, 3000.0, 400)
    place = np.concatenate([found[:, 2:] for found in cascades])
    far = np.concatenate(muons)
    assert np.abs(np.median(far, axis=0)).max() < 5
    # muons come from higher up and with less energy than what makes light at the ground
    assert np.median(np.hypot(*far.T)) > 20
    assert len(place) > len(far) / 10
