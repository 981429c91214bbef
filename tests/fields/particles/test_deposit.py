"""Depositing: mass, place and shape of single particles and clouds, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields.particles import deposit
from skyloom.fields.particles.kernels import KERNELS, column_density, enclosed, tables
from skyloom.fields.particles.nested import _halved

WAYS = ("exact", "nested")


def cloud(n, pixels, seed=0):
    """Places and radii of particles that lie wholly inside."""
    rng = np.random.default_rng(seed)
    radii = 10 ** rng.uniform(-2, np.log10(0.2 * pixels), n)
    return radii[:, None] + (pixels - 2 * radii[:, None]) * rng.random((n, 2)), radii, rng.random((n, 2))


def centroid(image):
    """Mean place (x, y) in pixels."""
    at = np.arange(len(image)) + 0.5
    return np.array([(image.sum(0) * at).sum(), (image.sum(1) * at).sum()]) / image.sum()


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_tables_hold_the_closed_forms_of_the_kernel(kernel):
    corner = tables(kernel).corner
    # The quadrant holds a quarter; a strip up to d holds half of the mass between the planes ±d, / 2.
    assert corner[-1, -1] == pytest.approx(0.25, abs=1e-10)
    np.testing.assert_allclose(corner, corner.T, atol=1e-12)
    if kernel == "sphere":
        d = np.linspace(0, 1, corner.shape[0])
        # The sphere between the planes 0 and d has the volume π (d - d³/3) of 4π/3.
        np.testing.assert_allclose(corner[:, -1], 0.75 * (d - d**3 / 3) / 2, atol=1e-8)
        np.testing.assert_allclose(enclosed(d, kernel), 1 - (1 - d**2) ** 1.5, atol=1e-12)
    else:
        # In the middle, 2 ∫ W dq: 16/π (∫0..½ 1 - 6q² + 6q³ + ∫½..1 2 (1 - q)³) = 16/π (11/32 + 1/32),
        # 21/π (1/5 + 4/30) and 15/(4π) (1 - 1/3).
        middle = {"spline": 6, "wendland": 7, "epanechnikov": 2.5}[kernel] / np.pi
        assert column_density(np.array(0.0), kernel) == pytest.approx(middle, rel=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_mass_is_kept_at_any_resolution(kernel, way):
    places, radii, weights = cloud(400, 1.0)
    radii *= 0.999  # rounding may put the rim of one that touches the edge outside
    rtol = {"exact": 1e-9, "nested": 1e-5}[way]  # coarse cells reach a little over the edge
    for pixels in (1, 5, 32, 100):
        image = deposit(places * pixels, radii * pixels, weights, pixels=pixels, kernel=kernel, way=way)
        np.testing.assert_allclose(image.sum(axis=(1, 2)), weights.sum(axis=0), rtol=rtol)
        assert (image >= 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("radius", [0.4, 2.0, 5.9, 6.1, 14.0])
def test_a_pixel_holds_the_integral_of_the_column_density(kernel, radius):
    N = 2 * int(radius) + 8
    fine, at = (80 if N < 16 else 16), N / 2 + np.array([-0.17, 0.41])
    edges = (np.arange(N * fine) + 0.5) / fine
    s = np.hypot(edges[None, :] - at[0], edges[:, None] - at[1]) / radius
    grid = np.linspace(0, 1, 5001)
    F = np.interp(s, np.sin(grid * np.pi / 2), column_density(np.sin(grid * np.pi / 2), kernel), right=0.0)
    truth = (F / radius**2).reshape(N, fine, N, fine).mean(axis=(1, 3))
    image = deposit([at], [radius], [1.0], pixels=N, kernel=kernel)
    # The table's steps of 1/256 of the radius are seen where a pixel holds just the rim of a sphere.
    rough = kernel == "sphere" and radius > 6
    atol = 4e-3 if rough else 1.5e-3
    np.testing.assert_allclose(image, truth, atol=atol * truth.max())
    corner = image[0, 0], image[-1, -1]
    assert corner == (0.0, 0.0)  # a square stamp's corners lie beyond the rim
    assert np.sqrt(((image - truth) ** 2).sum() / (truth**2).sum()) < 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_centroid_moves_by_the_shift(kernel):
    # A map sampled at whole pixels moves its centroid by the shift up to the harmonics of the grid, which
    # fall as k^-2 for the rim of a sphere and k^-4 for the spline.
    at, limit = np.array([30.0, 31.0]), {"sphere": 6e-4, "epanechnikov": 6e-4}.get(kernel, 2e-5)
    start = centroid(deposit([at], [8.0], [1.0], pixels=64, kernel=kernel))
    for shift in ([0.1, 0.0], [0.25, 0.7], [0.5, 0.5]):
        moved = centroid(deposit([at + shift], [8.0], [1.0], pixels=64, kernel=kernel))
        np.testing.assert_allclose(moved - start, shift, atol=limit)
    np.testing.assert_allclose(start, at, atol=limit)  # and it stands where the particle does


def test_particles_smaller_than_a_pixel_lose_nothing_and_stay_in_their_pixels():
    rng = np.random.default_rng(1)
    places = rng.random((500, 2)) * 16
    image = deposit(places, np.full(500, 1e-6), np.ones(500), pixels=16)
    counts, *_ = np.histogram2d(places[:, 1], places[:, 0], bins=16, range=[[0, 16], [0, 16]])
    np.testing.assert_allclose(image, counts, atol=1e-9)


def test_a_sphere_of_many_particles_converges_to_the_closed_form():
    """The error of a ball made of small ones falls with their radius: 2ρ sqrt(R² - s²) smeared over it."""
    N, R, errors = 64, 24.0, []
    at = np.arange(N) + 0.5 - N / 2
    truth = 2 * np.sqrt(np.maximum(R**2 - at[:, None] ** 2 - at[None, :] ** 2, 0)) * 3 / (4 * np.pi * R**3)
    for spacing in (4.0, 2.0, 1.0):
        axis = np.arange(-R, R, spacing) + spacing / 2
        grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
        inside = grid[(grid**2).sum(axis=1) < R**2]
        radii = np.full(len(inside), spacing * (0.75 / np.pi) ** (1 / 3))
        weights = np.full(len(inside), spacing**3 / (4 / 3 * np.pi * R**3))
        image = deposit(inside[:, :2] + N / 2, radii, weights, pixels=N)
        errors.append(np.abs(image - truth).sum())
    assert errors[2] < 0.5 * errors[1] < 0.25 * errors[0] * 1.4
    assert errors[2] < 0.02


@pytest.mark.parametrize("way", WAYS)
def test_a_gaussian_cloud_is_its_own_profile_convolved(way):
    """Many particles at Gaussian places: the second moment is σ² + that of the kernel and the pixel."""
    n, sigma, R, N = 40_000, 6.0, 5.2, 96
    places = np.random.default_rng(2).standard_normal((n, 2)) * sigma + N / 2
    image = deposit(places, np.full(n, R), np.full(n, 1 / n), pixels=N, kernel="spline", way=way)
    at = np.arange(N) + 0.5
    moment = (image.sum(0) * (at - centroid(image)[0]) ** 2).sum() / image.sum()
    # <x²> of a ball of mass distribution W is <r²>/3; of the cubic spline with support R it is 3 R²/40,
    # and a pixel adds 1/12.
    expected = places[:, 0].var() + 3 * R**2 / 40 + 1 / 12
    assert moment == pytest.approx(expected, rel=2e-3)


def test_a_plummer_cloud_has_its_cumulative_mass():
    rng = np.random.default_rng(3)
    n, a, N = 60_000, 4.0, 128
    r = a / np.sqrt(rng.random(n) ** (-2 / 3) - 1)
    direction = rng.standard_normal((n, 3))
    places = (direction / np.linalg.norm(direction, axis=1)[:, None] * r[:, None])[:, :2] + N / 2
    image = deposit(places, np.full(n, 0.8), np.full(n, 1 / n), pixels=N)
    at = np.arange(N) + 0.5 - N / 2
    s2 = at[:, None] ** 2 + at[None, :] ** 2
    for radius in (4.0, 8.0, 16.0, 32.0):  # M(<s) = s² / (s² + a²), within four standard deviations
        truth = radius**2 / (radius**2 + a**2)
        assert image[s2 < radius**2].sum() == pytest.approx(truth, abs=4 * np.sqrt(truth / n) + 0.01)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_nested_way_agrees_with_the_exact_one(kernel):
    rng = np.random.default_rng(4)
    places = rng.normal(32, 9, (5000, 2))
    radii = 10 ** rng.uniform(0, 1.3, 5000)
    exact, nested = (deposit(places, radii, np.ones(5000), pixels=64, kernel=kernel, way=way) for way in WAYS)
    assert np.sqrt(((exact - nested) ** 2).sum() / (exact**2).sum()) < 0.01


@pytest.mark.parametrize("way", WAYS)
def test_a_periodic_map_goes_on_at_the_other_side(way):
    places, radii, weights = cloud(300, 32)
    still, moved = (
        deposit(p, radii, weights, pixels=32, periodic=True, way=way)
        for p in (places, places + np.array([5, 16]))
    )
    atol = 1e-12 if way == "exact" else 0.02 * still.max()  # coarse grids do not move by whole cells
    np.testing.assert_allclose(np.roll(still, (16, 5), (1, 2)), moved, atol=atol)
    np.testing.assert_allclose(moved.sum(axis=(1, 2)), weights.sum(axis=0), rtol=1e-9)


def test_a_particle_wider_than_the_periodic_box_is_spread_over_all_of_it():
    image = deposit([[3.0, 1.0]], [90.0], [1.0], pixels=8, kernel="spline", periodic=True)
    np.testing.assert_allclose(image, 1 / 64, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_what_lies_outside_of_an_open_map_is_left_out(way):
    image = deposit([[0.0, 8.0], [40.0, 8.0]], [5.0, 3.0], [1.0, 1.0], pixels=16, way=way)
    assert image.sum() == pytest.approx(0.5, abs=0.02)  # half of the first, nothing of the second


def test_turns_and_threads_change_nothing():
    places, radii, weights = cloud(45_000, 24)
    radii = np.minimum(radii, 2.0)
    one = deposit(places, radii, weights, pixels=24, threads=1)
    np.testing.assert_allclose(deposit(places, radii, weights, pixels=24, threads=2), one, rtol=1e-11)
    flipped = deposit(np.stack([24 - places[:, 1], places[:, 0]], axis=1), radii, weights, pixels=24)
    np.testing.assert_allclose(np.rot90(one, -1, (1, 2)), flipped, rtol=1e-9)


def test_refining_keeps_mass_signs_and_polynomials():
    x = np.linspace(1, 3, 33)
    cubes = np.diff(x**4)[None, :] / 4  # the integral of x³ over each cell
    fine = np.diff(np.linspace(1, 3, 65) ** 4)[None, :] / 4
    np.testing.assert_allclose(_halved(cubes, 1)[:, 8:-8], fine[:, 8:-8], rtol=1e-12)
    spiky = np.random.default_rng(5).standard_normal((3, 40)) ** 3
    halved = _halved(spiky, 1)
    np.testing.assert_allclose(halved[:, ::2] + halved[:, 1::2], spiky, rtol=1e-12)
    assert (np.sign(halved) * np.repeat(np.sign(spiky), 2, axis=1) >= 0).all()


def test_errors_name_the_particle_and_what_is_allowed():
    good = ([[1.0, 1.0]], [1.0], [1.0])
    with pytest.raises(ShapeError, match=r"places \(1, 2\).*radii \(2,\)"):
        deposit(good[0], [1.0, 2.0], good[2], pixels=4)
    with pytest.raises(DataError, match="particle 0 has the radius -1"):
        deposit(good[0], [-1.0], good[2], pixels=4)
    with pytest.raises(DataError, match="particle 0 has the weight nan"):
        deposit(good[0], good[1], [np.nan], pixels=4)
    for wrong in ({"kernel": "sphre"}, {"way": "quick"}, {"pixels": 0}):
        with pytest.raises(UsageError, match="allowed"):
            deposit(*good, **{"pixels": 4, **wrong})
