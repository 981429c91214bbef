"""Projections: totals under rotation, means, one grid for all, sizes and selections."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import ShapeError, UsageError
from skyloom.fields.particles import View, neighbour_radius, project, random_rotation, taper, volume_radius


def galaxy(n=800, seed=0):
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, 1, (n, 3)).clip(-2.5, 2.5)
    return positions, rng.uniform(0.01, 0.4, n), rng.random(n)


@pytest.mark.parametrize("way", ["exact", "nested"])
def test_a_uniform_temperature_is_uniform_whatever_weighs_it(way):
    positions, radii, mass = galaxy()
    view = View(centre=(0, 0, 0), width=6.0, pixels=32, rotation=random_rotation(1))
    warm = np.full(len(mass), 12_345.0)
    maps = project(
        positions, radii, view,
        sums={"gas": mass}, means={"by_mass": (warm, "gas"), "by_volume": (warm, "volume")}, way=way,
    )  # fmt: skip
    for name in ("by_mass", "by_volume"):
        seen = maps[name][np.isfinite(maps[name])]
        np.testing.assert_allclose(seen, 12_345.0, rtol=1e-9)
        assert len(seen) > 300


def test_two_particles_on_one_line_of_sight_are_weighed():
    view = View(centre=(0, 0, 0), width=1.0, pixels=1)
    maps = project(
        [[0, 0, -3], [0, 0, 3]], [0.1, 0.2], view,
        sums={"m": [3.0, 1.0]}, means={"T": ([10.0, 20.0], "m"), "Tv": ([10.0, 20.0], "volume")},
    )  # fmt: skip
    assert maps["T"][0, 0] == pytest.approx((3 * 10 + 20) / 4)
    assert maps["Tv"][0, 0] == pytest.approx((1 * 10 + 8 * 20) / 9)  # volumes are 1 to 8
    assert maps["m"][0, 0] == pytest.approx(4.0)


def test_totals_do_not_depend_on_the_direction():
    positions, radii, mass = galaxy()
    totals = []
    for seed in range(4):
        view = View(centre=(0, 0, 0), width=12.0, pixels=40, rotation=random_rotation(seed))
        totals.append(project(positions, radii, view, sums={"m": mass})["m"].sum() * view.pixel**2)
    np.testing.assert_allclose(totals, mass.sum(), rtol=1e-9)


def test_directions_are_uniform_on_the_sphere_and_around_it():
    R = np.array([random_rotation(seed) for seed in range(4000)])
    # Every column is a uniform direction: mean 0 with σ = 1/sqrt(3 n), <x_i x_j> = δ/3; <tr²> = 1.
    assert np.abs(R.mean(axis=0)).max() < 4.5 / np.sqrt(3 * 4000)
    np.testing.assert_allclose(np.einsum("nij,nkj->ik", R, R) / 4000, np.eye(3), atol=1e-12)
    np.testing.assert_allclose((R[:, :, 2] ** 2).mean(axis=0), 1 / 3, atol=4 * np.sqrt(4 / 45 / 4000))
    assert (np.trace(R, axis1=1, axis2=2) ** 2).mean() == pytest.approx(1.0, abs=0.1)


def test_all_domains_stand_on_one_grid():
    """Two kinds of particles at the same places give the same centroid and, scaled, the same map."""
    positions, radii, mass = galaxy(200)
    view = View(centre=(0.013, -0.007, 0), width=6.5, pixels=50)
    one = project(positions, radii, view, sums={"gas": mass})["gas"]
    other = project(positions[::-1], radii[::-1], view, sums={"hi": 7 * mass[::-1]})["hi"]
    np.testing.assert_allclose(other, 7 * one, rtol=1e-9, atol=1e-12)
    narrow = project(positions, radii * 1e-6, view, sums={"gas": mass})["gas"]
    at = (np.arange(50) + 0.5 - 25) * view.pixel
    for image in (one, narrow):  # the mass's own centre, to the pixel's resolution / sqrt(n)
        found = [(image.sum(axis) * at).sum() / image.sum() for axis in (0, 1)]
        truth = (positions * mass[:, None]).sum(0)[:2] / mass.sum() - np.array(view.centre[:2])
        np.testing.assert_allclose(found, truth, atol=4 * view.pixel / np.sqrt(12 * 200))


def test_a_halo_across_the_edge_of_the_box_is_whole():
    positions, radii, mass = galaxy()
    box = 20.0
    middle, corner = (
        project(
            (positions + at) % box, radii, View(centre=(at,) * 3, width=8.0, pixels=32),
            sums={"m": mass}, box=box,
        )["m"]
        for at in (10.0, 0.0)
    )  # fmt: skip
    np.testing.assert_allclose(corner, middle, atol=1e-9 * middle.max())


def test_a_view_of_the_whole_box_is_periodic():
    view = View(centre=(5.0, 5.0, 5.0), width=10.0, pixels=20)
    image = project([[0.1, 5.0, 5.0]], [1.0], view, sums={"m": [1.0]}, box=10.0)["m"]
    assert image.sum() * view.pixel**2 == pytest.approx(1.0)
    assert image[:, -1].sum() > 0  # it goes on at the right edge
    with pytest.raises(UsageError, match="the periodic box 9"):
        project([[0.1, 5.0, 5.0]], [1.0], view, sums={"m": [1.0]}, box=9.0)


def test_radii_follow_volumes_and_neighbours():
    axis = np.arange(6.0)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(neighbour_radius(grid, neighbours=6, box=6.0), 1.0)  # six at distance 1
    np.testing.assert_allclose(neighbour_radius(grid, neighbours=18, box=6.0), np.sqrt(2))
    assert volume_radius([1.0])[0] == pytest.approx((3 / (4 * np.pi)) ** (1 / 3))


def test_a_taper_is_smooth_and_spherical():
    r = np.linspace(0, 12, 1001)
    w = taper(r, 10.0, share=0.2)
    assert (w[r <= 8] == 1).all() and (w[r >= 10] == 0).all() and (np.diff(w) <= 0).all()
    assert np.abs(np.diff(w)).max() < np.pi / 4 * (r[1] - r[0]) * 1.001  # slope π / (2 × 2)


def test_errors_say_what_is_wrong():
    view = View(centre=(0, 0, 0), width=1.0, pixels=2)
    with pytest.raises(UsageError, match="weighted by 'mas'"):
        project([[0, 0, 0]], [1.0], view, sums={"mass": [1.0]}, means={"T": ([1.0], "mas")})
    with pytest.raises(UsageError, match="as a sum and as a mean"):
        project([[0, 0, 0]], [1.0], view, sums={"m": [1.0]}, means={"m": ([1.0], "m")})
    with pytest.raises(ShapeError, match=r"'m' has the shape \(2,\)"):
        project([[0, 0, 0]], [1.0], view, sums={"m": [1.0, 2.0]})
    with pytest.raises(UsageError, match="no rotation"):
        View(centre=(0, 0, 0), width=1.0, pixels=2, rotation=((0, 1, -1), (0, 1, 1), (0, 0, 1)))
    with pytest.raises(UsageError, match="share 2"):
        taper([1.0], 1.0, share=2)
