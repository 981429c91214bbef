"""The gas by itself: waves, shocks, what is conserved, and no axis better than another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from skyloom.errors import DivergedError
from skyloom.simulate.turbulence.grid import Grid
from skyloom.simulate.turbulence.mhd import Gas


def run(gas, until):
    time = 0.0
    while time < until * (1 - 1e-12):
        dt = min(gas.longest_step(), until - time)
        gas.step(dt)
        time += dt


def stirred(N=16, seed=0, speed=1.0):
    """A box in disorder: smooth random velocities, a mean field along x with a random potential on top."""
    rng = np.random.default_rng(seed)

    def smooth():
        noise = gaussian_filter(rng.standard_normal((N, N, N)), 2, mode="wrap")
        return noise / noise.std()

    potential = [0.1 * smooth() for _ in range(3)]
    field = []
    for d in range(3):
        e, f = (d + 1) % 3, (d + 2) % 3
        along_e = np.roll(potential[f], -1, 2 - e) - potential[f]
        field.append(along_e - np.roll(potential[e], -1, 2 - f) + potential[e])
    field[0] = field[0] + 0.5
    density = np.exp(0.3 * smooth())
    velocity = np.stack([speed * smooth() for _ in range(3)])
    return Grid((N, N, N), 1 / N), density, velocity, np.stack(field)


def plane_wave(kind, N, amplitude=1e-5):
    """An eigenmode along x of gas with the field (1, 1/2, 0), and its speed from the dispersion relation.

    Linear equations at unit density: c dr = dv_x, c dv_y = -B_x dB_y, c dB_y = B_y dv_x - B_x dv_y.
    """
    Bx, By = 1.0, 0.5
    total = 1 + Bx**2 + By**2
    wave = amplitude * np.sin(2 * np.pi * (np.arange(N) + 0.5) / N)
    density = np.ones((4, 4, N))
    velocity, field = np.zeros((3, 4, 4, N)), np.zeros((3, 4, 4, N))
    field[0], field[1] = Bx, By
    if kind == "alfven":
        c = Bx
        velocity[2] += wave
        field[2] -= wave
    else:
        c = np.sqrt((total + (1 if kind == "fast" else -1) * np.sqrt(total**2 - 4 * Bx**2)) / 2)
        density += wave
        across = By * c**2 / (c**2 - Bx**2) * wave
        velocity[0] += c * wave
        velocity[1] -= Bx / c * across
        field[1] += across
    return Gas(Grid((4, 4, N), 1 / N), density, velocity, field), c


@pytest.mark.parametrize("kind", ["alfven", "slow", "fast"])
def test_linear_waves_come_back_after_a_period_to_second_order(kind):
    errors = []
    for N in (32, 64):
        gas, c = plane_wave(kind, N)
        before = gas.primitive.copy()
        run(gas, 1 / c)  # the box is one wavelength
        errors.append(np.abs(gas.primitive - before).mean() / np.abs(before - before.mean(1)[:, None]).mean())
    assert errors[1] < 0.02
    assert np.log2(errors[0] / errors[1]) > 1.9


def test_a_polarised_alfven_wave_across_the_grid_converges_to_second_order():
    """The circularly polarised wave is an exact solution at any amplitude; here it runs along (1, 2)."""
    errors = []
    for N in (8, 16):
        grid = Grid((4, N, 2 * N), 1 / N)
        k = np.array([np.pi, 2 * np.pi])
        n = k / np.hypot(*k)
        x, y = np.meshgrid(np.arange(2 * N + 1) / N, np.arange(N + 1) / N)
        A = n[0] * y - n[1] * x + 0.1 / np.hypot(*k) * np.cos(k[0] * x + k[1] * y)
        xc, yc, _ = grid.centres()
        phase = k[0] * xc + k[1] * yc + np.zeros(grid.shape)
        field, velocity = np.zeros((3, *grid.shape)), np.zeros((3, *grid.shape))
        field[0] = (A[1:, :-1] - A[:-1, :-1]) * N
        field[1] = -(A[:-1, 1:] - A[:-1, :-1]) * N
        field[2] = 0.1 * np.cos(phase)
        velocity[0], velocity[1] = 0.1 * n[1] * np.sin(phase), -0.1 * n[0] * np.sin(phase)
        velocity[2] = -field[2]
        gas = Gas(grid, np.ones(grid.shape), velocity, field)
        run(gas, 2 * np.pi / np.hypot(*k))  # unit Alfven speed
        errors.append(np.abs(gas.velocity - velocity).mean())
        assert np.abs(gas.divergence()).max() < 1e-12
    assert np.log2(errors[0] / errors[1]) > 1.7


def riemann(left, right, b):
    """The isothermal tube across a field ``b`` times the density: rarefaction, plateau, shock, exactly.

    The field only adds to the pressure, p = rho + b^2 rho^2 / 2, with the wave speed c^2 = 1 + b^2 rho.
    """

    def pressure(rho):
        return rho + b**2 * rho**2 / 2

    def rarefied(rho):
        return quad(lambda r: np.sqrt(1 + b**2 * r) / r, rho, left)[0]

    def shocked(rho):
        return np.sqrt((pressure(rho) - pressure(right)) * (1 / right - 1 / rho))

    middle = brentq(lambda rho: rarefied(rho) - shocked(rho), right * (1 + 1e-9), left)
    u = shocked(middle)
    front = middle * u / (middle - right)

    def density(speed):
        if speed > front:
            return right
        if speed > u - np.sqrt(1 + b**2 * middle):
            return middle
        if speed < -np.sqrt(1 + b**2 * left):
            return left
        return brentq(lambda rho: rarefied(rho) - np.sqrt(1 + b**2 * rho) - speed, middle, left)

    return density, u, front


@pytest.mark.parametrize("b", [0.0, 1.0])
def test_a_shock_tube_follows_the_exact_solution(b):
    N, t = 256, 0.1
    grid = Grid((4, 4, N), 1 / N)
    x = grid.centres()[0].ravel()
    density = np.where(x < 0.5, 1.0, 0.1) * np.ones((4, 4, N))
    field = np.zeros((3, 4, 4, N))
    field[1] = b * density
    gas = Gas(grid, density, np.zeros_like(field), field)
    run(gas, t)
    exact, u, front = riemann(1.0, 0.1, b)
    inside = (x > 0.25) & (x < 0.5 + 1.2 * front * t)  # away from the tube's mirror image at x = 0
    expected = np.array([exact((place - 0.5) / t) for place in x[inside]])
    found = gas.density[0, 0]
    # A front spread over two cells of a hundred, each wrong by a quarter of the jump, is half a per cent.
    assert np.abs(found[inside] - expected).mean() / expected.mean() < 0.01
    # The front itself is where the density passes half way, and the gas behind it has the exact speed.
    middle = np.interp(0.5 + 0.5 * (u + front) * t, x, found)
    below = np.flatnonzero(inside & (found > 0.5 * (middle + 0.1)))[-1]
    assert x[below] == pytest.approx(0.5 + front * t, abs=1.5 / N)
    assert np.interp(0.5 + 0.5 * (u + front) * t, x, gas.velocity[0, 0, 0]) == pytest.approx(u, rel=2e-3)
    np.testing.assert_allclose(gas.field[1], b * gas.density, atol=1e-12)


def test_a_shear_layer_at_rest_along_the_field_is_kept():
    grid = Grid((4, 4, 16), 1 / 16)
    velocity, field = np.zeros((3, 4, 4, 16)), np.zeros((3, 4, 4, 16))
    velocity[1, ..., :8], field[1] = 1.0, 1.0
    gas = Gas(grid, np.ones(grid.shape), velocity, field)
    run(gas, 0.2)
    np.testing.assert_array_equal(gas.velocity, velocity)


def test_mass_momentum_and_the_absence_of_monopoles_are_kept_to_rounding():
    gas = Gas(*stirred())
    mass, momentum = gas.density.mean(), gas.momentum.mean((1, 2, 3))
    flux = gas.grid.inside(gas.faces).mean((1, 2, 3))
    assert np.abs(gas.divergence()).max() < 1e-12
    for _ in range(20):
        gas.step(gas.longest_step())
    assert gas.density.std() > 0.3  # it did move
    assert gas.density.mean() == pytest.approx(mass, rel=1e-14)
    np.testing.assert_allclose(gas.momentum.mean((1, 2, 3)), momentum, atol=1e-14)
    np.testing.assert_allclose(gas.grid.inside(gas.faces).mean((1, 2, 3)), flux, atol=1e-14)
    assert np.abs(gas.divergence()).max() < 1e-12


def turned(cube):
    """The same cube after x became y, y became z and z became x."""
    return cube.transpose(1, 2, 0)


def turned_vector(cubes):
    return np.stack([turned(cubes[d]) for d in (2, 0, 1)])


def test_no_axis_is_better_than_another():
    grid, density, velocity, field = stirred()
    one = Gas(grid, density, velocity, field)
    two = Gas(grid, turned(density), turned_vector(velocity), turned_vector(field))
    for _ in range(5):
        one.step(0.005)
        two.step(0.005)
    np.testing.assert_allclose(two.density, turned(one.density), rtol=1e-12)
    np.testing.assert_allclose(two.velocity, turned_vector(one.velocity), atol=1e-12)
    np.testing.assert_allclose(two.field, turned_vector(one.field), atol=1e-12)


def test_the_mirror_image_moves_as_the_mirror_image():
    """Reflect x: polar vectors turn their x component, the field (axial) turns the other two."""
    grid, density, velocity, field = stirred()
    one = Gas(grid, density, velocity, field)
    sign = np.array([-1.0, 1.0, 1.0])[:, None, None, None]
    faces = -sign * field[..., ::-1]
    faces[0] = np.roll(faces[0], 1, axis=-1)  # the lower face of a cell becomes its upper one
    two = Gas(grid, density[..., ::-1], sign * velocity[..., ::-1], faces)
    for _ in range(5):
        one.step(0.005)
        two.step(0.005)
    np.testing.assert_allclose(two.density, one.density[..., ::-1], rtol=1e-12)
    np.testing.assert_allclose(two.velocity, sign * one.velocity[..., ::-1], atol=1e-12)


def test_a_step_that_empties_a_cell_is_an_error_that_says_what_to_do():
    grid, density, velocity, field = stirred(speed=5.0)
    gas = Gas(grid, density, velocity, field)
    with pytest.raises(DivergedError, match=r"density.*\n.*drive it less"):
        for _ in range(20):
            gas.step(0.05)
