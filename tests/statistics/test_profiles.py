"""Profiles about a centre against closed forms, and what turning, moving and rescaling must do to them."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics.profiles import RadialProfile, mass_radius, radial_profile, radius_of
from skyloom.statistics.rings import disc_overlap, mass_centre, ring_shares

NOISE = np.random.default_rng(31).lognormal(size=(3, 16, 16))


def grid(N: int, centre: tuple[float, float]) -> np.ndarray:
    """Distances [pixels] from a centre given as an index."""
    y, x = np.indices((N, N))
    return np.hypot(y - centre[0], x - centre[1])


def test_the_share_of_a_pixel_in_a_disc_by_hand_and_by_counting() -> None:
    # A quarter disc in the pixel at its corner; half of a pixel that the diameter of a huge disc cuts.
    assert disc_overlap(np.array(0.5), np.array(0.5), 1.0) == pytest.approx(np.pi / 4, rel=1e-13)
    assert disc_overlap(np.array(0.0), np.array(1e4), 1e4) == pytest.approx(0.5, abs=1e-4)
    rng = np.random.default_rng(3)
    points = (np.arange(400) + 0.5) / 400 - 0.5
    for y, x, radius in rng.uniform(0.2, 3.0, size=(20, 3)) * [1, -1, 1]:
        counted = np.mean(np.hypot(y + points[:, None], x + points) < radius)
        assert disc_overlap(np.array(y), np.array(x), radius) == pytest.approx(counted, abs=2e-4)


@pytest.mark.parametrize("centre", [(7.5, 7.5), (7.0, 8.0), (1.3, 14.9)])
def test_rings_have_the_area_of_rings_wherever_the_centre_is(centre) -> None:
    edges = np.array([0.0, 0.3, 2.0, 2.4, 7.5])
    shares = ring_shares(16, np.array(centre), edges, periodic=True)
    np.testing.assert_allclose(shares.sum(axis=1), np.pi * np.diff(edges**2), rtol=1e-12)
    assert shares.min() > -1e-12


def test_a_plane_has_its_central_value_in_every_ring() -> None:
    # By symmetry the mean of a linear function over a ring is its value at the centre.
    y, x = np.indices((32, 32)) + 0.5
    p = radial_profile(3.0 + 0.2 * y - 0.1 * x, 32.0, [16.0, 17.0], periodic=False, bins=5, r_max=14.0)
    np.testing.assert_allclose(p.mean, 3.0 + 0.2 * 16.0 - 0.1 * 17.0, rtol=1e-12)


def test_a_parabola_gains_half_the_square_of_the_radius() -> None:
    # Mean of r² over a disc is R²/2. Taking it at the pixels' centres loses their second moment, 1/6 pixel²,
    # and gains about 1/3 on the rim, where the share inside lies nearer than the centre of the pixel.
    p = radial_profile(grid(64, (31.5, 31.5)) ** 2, 64.0, [32.0, 32.0], bins=1, r_max=25.0)
    assert float(p.mean[0]) == pytest.approx(25.0**2 / 2 + 1 / 6, abs=0.1)


def test_mass_within_a_radius_of_an_exponential_disc() -> None:
    # M(<r) = 2 π h² (1 - (1 + x) e^-x), x = r / h.
    h, pixel = 8.0, 0.5
    p = radial_profile(
        np.exp(-grid(256, (127.5, 127.5)) * pixel / h), 128.0, [64.0, 64.0], bins=8, r_max=60.0
    )
    x = (p.radius + p.radius[0]) / h
    np.testing.assert_allclose(p.enclosed, 2 * np.pi * h**2 * (1 - (1 + x) * np.exp(-x)), rtol=2e-3)
    np.testing.assert_allclose(p.mean[1:], np.exp(-p.radius[1:] / h), rtol=0.08)


def test_half_mass_radii_in_closed_form() -> None:
    disc = (grid(128, (63.5, 63.5)) < 40).astype(float)
    assert float(mass_radius(disc, 128.0)) == pytest.approx(40 / np.sqrt(2), rel=3e-3)
    gauss = np.exp(-(grid(128, (63.5, 63.5)) ** 2) / (2 * 10.0**2))
    assert float(mass_radius(gauss, 128.0)) == pytest.approx(10 * np.sqrt(2 * np.log(2)), rel=3e-3)
    # 1 - (1 + x) e^-x = 0.5 at x = 1.67835.
    exponential = np.exp(-grid(256, (127.5, 127.5)) / 10)
    assert float(mass_radius(exponential, 256.0)) == pytest.approx(16.7835, rel=5e-3)


def test_a_growth_curve_that_dips_is_crossed_the_first_time() -> None:
    # Radii 1, 2, 3; half of the last value, 2, is reached between r = 0 and r = 1 at area 2/3.
    assert float(radius_of(np.array([3.0, 2.0, 4.0]), 3.0, 0.5)) == pytest.approx(np.sqrt(2 / 3))
    assert np.isnan(radius_of(np.array([1.0, -1.0]), 2.0, 0.5))


def test_the_centre_of_mass_follows_a_shift_and_knows_the_torus() -> None:
    blob = np.exp(-(grid(32, (16.0, 16.0)) ** 2) / 8)[None]
    for shift in ((0, 0), (5, -9), (16, 15)):
        moved = np.roll(blob, shift, axis=(1, 2))
        found = mass_centre(moved, periodic=True)[0]
        assert ((found >= 0) & (found < 32)).all()
        np.testing.assert_allclose((found - 16 - shift + 16) % 32, 16, atol=1e-6)
    np.testing.assert_allclose(mass_centre(blob, periodic=False)[0], [16, 16], atol=1e-6)


def test_a_profile_follows_a_shift_of_the_centre() -> None:
    there = radial_profile(NOISE[0], 8.0, [2.0, 3.0], bins=4)
    moved = radial_profile(np.roll(NOISE[0], (3, 6), axis=(0, 1)), 8.0, [3.5, 6.0], bins=4)  # pixels of 0.5
    np.testing.assert_allclose(moved.mean, there.mean, rtol=1e-12)
    each = radial_profile(NOISE, 8.0, np.array([[2.0, 3.0], [1.0, 1.0], [2.0, 3.0]]), bins=4)
    np.testing.assert_allclose(each.mean[0], there.mean, rtol=1e-12)


def test_units_of_length_and_field_scale_the_profile() -> None:
    old, new = radial_profile(NOISE, 8.0), radial_profile(5 * NOISE, 8000.0)
    np.testing.assert_allclose(new.radius, 1000 * old.radius)
    np.testing.assert_allclose(new.mean, 5 * old.mean, rtol=1e-10)
    np.testing.assert_allclose(new.enclosed, 5e6 * old.enclosed, rtol=1e-10)


def test_a_ring_beyond_the_edge_counts_only_what_the_map_holds() -> None:
    p = radial_profile(np.ones((8, 8)), 8.0, [0.0, 0.0], periodic=False, bins=2, r_max=8.0)
    np.testing.assert_allclose(p.enclosed, np.pi / 4 * np.array([16.0, 64.0]), rtol=1e-12)
    np.testing.assert_allclose(p.mean, 1.0)
    outside = radial_profile(np.ones((8, 8)), 8.0, [0.0, 0.0], periodic=False, bins=4, r_max=40.0)
    assert np.isnan(outside.mean[-1])


def test_cubes_bin_cells_by_their_centres() -> None:
    N = 12
    z, y, x = np.indices((N, N, N)) - 5.5
    p = radial_profile(np.ones((2, N, N, N)), 12.0, [6.0, 6.0, 6.0], dims=3, bins=5, r_max=5.0)
    r = np.sqrt(z**2 + y**2 + x**2)
    np.testing.assert_array_equal(p.pixels[0], np.histogram(r, np.arange(6.0))[0])
    assert p.enclosed[1, -1] == (r < 5).sum()


def test_without_a_positive_sum_there_is_no_centre_of_mass() -> None:
    maps = np.stack([-NOISE[0], NOISE[0]])
    p = radial_profile(maps, 8.0, periodic=False, bins=3)
    assert np.isnan(p.mean[0]).all()
    assert np.isfinite(p.mean[1]).all()
    assert np.isnan(mass_radius(maps, 8.0, periodic=False)[0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"r_max is 4\.0, allowed: 0 < r_max <= 3\.75"):
        radial_profile(NOISE, 8.0, r_max=4.0)
    with pytest.raises(ShapeError, match=r"centres of shape \(3,\), allowed: \(2,\) or \(3, 2\)"):
        radial_profile(NOISE, 8.0, [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="NaN or infinity in 1 of 1"):
        radial_profile(np.full((4, 4), np.inf), 8.0)
    with pytest.raises(UsageError, match="fraction is 1"):
        mass_radius(NOISE, 8.0, fraction=1)
    with pytest.raises(UsageError, match="bins is 0"):
        RadialProfile(bins=0)


def test_the_component_takes_maps_and_cubes_about_the_middle() -> None:
    cubes = np.ones((1, 8, 8, 8), np.float32)
    ds = RadialProfile(bins=3, centre="middle").compute(cubes, 8.0, True, "mK", box_unit="Mpc")
    assert ds["enclosed"].attrs["units"] == "Mpc3 mK"
    np.testing.assert_allclose(ds["profile"], 1.0)
