"""Light, charge, time, trigger and the simple reconstruction, against closed forms and ideal events."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skyloom.instruments.hawc import default_layout
from skyloom.simulate.showers import physics
from skyloom.simulate.showers.cascade import GAMMA, PROTON
from skyloom.simulate.showers.detector import add_noise, axes, trigger
from skyloom.simulate.showers.generate import Beam, throw
from skyloom.simulate.showers.reconstruction import _lateness, _profile, fit_core, reconstruct
from skyloom.statistics.shower_front import fit_front

LAYOUT = default_layout()
TANK, KIND = np.divmod(LAYOUT.grid_id - 1, 4)
CENTRE = LAYOUT.position[:, :2].mean(axis=0)
BEAM = Beam(2000.0, 20_000.0, 2.0, math.cos(math.radians(40)), 60.0, 0.1, 1.0, 25e-6, 150.0, 400.0, 28, 150.0)


def events(species, count, seed=0, beam=BEAM):
    codes = np.full(count, species)
    return throw(np.random.default_rng(seed), codes, LAYOUT.position, TANK, KIND == 2, beam)


@pytest.fixture(scope="module")
def both():
    return {species: events(species, 150) for species in (GAMMA, PROTON)}


def test_axes_are_a_right_handed_frame():
    frame = axes(0.7, -2.0)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)
    np.testing.assert_allclose(
        frame[0], [math.sin(0.7) * math.cos(2), -math.sin(0.7) * math.sin(2), math.cos(0.7)]
    )


def test_the_trigger_counts_within_its_window():
    charge, time = np.ones(5), np.array([0.0, 10.0, 20.0, 300.0, 310.0])
    assert trigger(charge, time, 3, 20.0) == 20.0
    assert math.isnan(trigger(charge, time, 3, 19.9))
    assert math.isnan(trigger(np.where(time == 10, 0.0, charge), time, 3, 20.0))
    assert math.isnan(trigger(charge, time, 6, 1e9))


def test_noise_has_its_rate_and_stays_in_the_window():
    charge, time = np.zeros(1200), np.zeros(1200)
    counts = []
    for seed in range(40):
        charge[:] = 0
        add_noise(np.random.default_rng(seed), charge, time, 25e-6, 150.0, 400.0)
        hit = charge > 0
        assert (time[hit] >= -150).all() and (time[hit] <= 400).all()
        counts.append(hit.sum())
    # 25 kHz for 550 ns on 1200 PMTs is 16.5; three in a hundred lie below a quarter PE, few fall together
    assert np.mean(counts) == pytest.approx(16.5 * 0.97, abs=4 * math.sqrt(16.5 / 40))


def test_events_hold_at_least_what_the_trigger_asks():
    found = events(GAMMA, 30, beam=BEAM._replace(noise=0.0, multiplicity=60))
    late = np.where(found.charge > 0, found.time, np.nan)
    within = ((late <= 0) & (late >= -150)).sum(axis=1)
    # the trigger fires when the sixtieth is in, which is time 0
    assert (within >= 60).all()
    np.testing.assert_allclose(np.nanmin(np.abs(late), axis=1), 0, atol=1e-4)


def test_an_ideal_plane_through_the_array_is_fitted_to_rounding():
    zenith, azimuth = np.array([0.05, 0.4, 0.8]), np.array([1.0, -3.0, 2.5])
    u = np.stack([axes(*pair)[0] for pair in zip(zenith, azimuth, strict=True)])
    time = -(LAYOUT.position @ u.T).T / physics.C + 77.0
    front = fit_front(time, np.ones_like(time, bool), LAYOUT.position, rejection=3.0)
    np.testing.assert_allclose(front.zenith, zenith, atol=1e-10)
    np.testing.assert_allclose(front.azimuth, azimuth, atol=1e-9)


def test_an_ideal_front_is_reconstructed_as_well_as_the_grid_of_cores_allows():
    """A front as late as the reconstruction takes it to be: what is left comes from the grid of cores."""
    rng = np.random.default_rng(3)
    zenith, azimuth = np.array([0.1, 0.6]), np.array([2.0, -2.5])
    u = np.stack([axes(*pair)[0] for pair in zip(zenith, azimuth, strict=True)])
    core = CENTRE + np.array([[10.0, -20.0], [-30.0, 15.0]])
    r = _distance(core, u)
    charge = 1000 * _profile(r) * 500
    charge = np.maximum(charge, 1.0)
    time = -(LAYOUT.position @ u.T).T / physics.C + rng.normal(0, 50, (2, 1))
    found = reconstruct(charge, time + _lateness(r, charge), LAYOUT.position, TANK)
    # the core is found on a grid of 1 m in the plane of the ground, so what is taken off is nearly right
    seen = np.stack([axes(*pair)[0] for pair in zip(found.zenith, found.azimuth, strict=True)])
    assert np.degrees(np.linalg.norm(seen - u, axis=1)).max() < 0.25
    flat = reconstruct(
        charge,
        time + _lateness(_distance(np.c_[found.core_x, found.core_y], seen), charge),
        LAYOUT.position,
        TANK,
    )
    again = np.stack([axes(*pair)[0] for pair in zip(flat.zenith, flat.azimuth, strict=True)])
    assert np.degrees(np.linalg.norm(again - u, axis=1)).max() < 0.1


def _distance(core, u):
    apart = LAYOUT.position[None, :, :2] - core[:, None]
    return np.sqrt(np.square(apart).sum(-1) - np.einsum("nma,na->nm", apart, u[:, :2]) ** 2)


def test_a_core_is_found_where_it_was_put():
    core = CENTRE + np.array([[0.0, 0.0], [40.0, -30.0], [-150.0, 60.0]])
    r = np.linalg.norm(LAYOUT.position[None, :, :2] - core[:, None], axis=2)
    found, amplitude = fit_core(2e6 * _profile(r), LAYOUT.position, TANK)
    # tanks are taken at their middle, PMTs stand 1.85 m from it; the grid has 1 m
    assert np.linalg.norm(found - core, axis=1).max() < 2.0
    np.testing.assert_allclose(amplitude, 2e6, rtol=0.05)


def test_directions_and_cores_of_photons_are_resolved(both):
    found = both[GAMMA]
    told = reconstruct(found.charge, found.time, LAYOUT.position, TANK)
    seen, true = (
        np.stack([np.sin(z) * np.cos(a), np.sin(z) * np.sin(a)])
        for z, a in ((told.zenith, told.azimuth), (found.zenith, found.azimuth))
    )
    # HAWC's ψ68 at these sizes is 0.2° to 0.7° (Abeysekara et al. 2017, table 2)
    assert np.nanpercentile(np.degrees(np.hypot(*(seen - true))), 68) < 0.8
    apart = np.hypot(told.core_x - found.core[:, 0], told.core_y - found.core[:, 1])
    assert np.percentile(apart, 68) < 10
    assert np.corrcoef(told.energy_proxy, np.log10(found.energy))[0, 1] > 0.6
    assert abs(np.median(told.energy_proxy - np.log10(found.energy))) < 0.15


def test_protons_betray_themselves(both):
    told = {s: reconstruct(e.charge, e.time, LAYOUT.position, TANK) for s, e in both.items()}
    assert np.median(told[GAMMA].compactness) > 2 * np.median(told[PROTON].compactness)
    assert np.median(told[GAMMA].PINC) < np.median(told[PROTON].PINC)
    assert both[PROTON].muons.mean() > 20 * both[GAMMA].muons.mean()


def test_fewer_come_through_more_air(both):
    """Slanted showers are absorbed, so the angles of those that trigger are nearer the zenith."""
    zenith = np.concatenate([found.zenith for found in both.values()])
    # the mean of θ under cos θ sin θ up to 40°
    theta = np.linspace(0, math.radians(40), 1001)
    weight = np.cos(theta) * np.sin(theta)
    low = events(GAMMA, 250, beam=BEAM._replace(e_min=300.0, e_max=600.0))
    assert low.zenith.mean() < np.average(theta, weights=weight) - 0.03
    assert zenith.max() <= math.radians(40)
