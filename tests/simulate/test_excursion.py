"""The excursion-set engine: closed forms, symmetries, and 21cmFAST's own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy
from scipy.special import erfc

from skyloom.errors import ShapeError
from skyloom.simulate.cosmology import DELTA_C, Cosmology
from skyloom.simulate.lagrangian import Displacements, linear_field
from skyloom.simulate.reionisation import excursion
from skyloom.simulate.reionisation.design import Point
from skyloom.simulate.reionisation.excursion import brightness_temperature, ionise
from skyloom.statistics import power_spectrum

PLANCK = Cosmology()
PARAMETERS = {"HII_EFF_FACTOR": 30.0, "ION_Tvir_MIN": 4.7, "R_BUBBLE_MAX": 15.0}
POINT = Point(index=0, seed=7, parameters=PARAMETERS, redshifts=(9.0,))


def x_HI(point=POINT, *, size=32, box_size=64.0):
    boxes = excursion.run(point, size=size, box_size=box_size)
    return [float(box.neutral_fraction.mean(dtype=float)) for box in boxes]


def linear(seed, size=32, box_size=64.0):
    return linear_field(size, box_size, np.random.default_rng(seed), PLANCK)


# --- the linear field


def test_the_field_has_the_linear_spectrum_within_sample_variance():
    box_size = 128.0
    spectra = [power_spectrum(linear(s, 64, box_size), box_size, bins=12, dims=3) for s in range(4)]
    # Half of the modes are independent, each |delta_k|^2 exponential: a relative scatter of sqrt(2 / modes).
    scatter = np.sqrt(2 / (4 * spectra[0].modes))
    expected = PLANCK.power(spectra[0].k)
    # P(k) bends inside a bin, most in the first; 3 % covers it there.
    residual = np.mean([s.power for s in spectra], axis=0) / expected - 1
    assert np.all(np.abs(residual) < 4 * scatter + np.where(np.arange(12) == 0, 0.03, 0.01))


def test_the_field_is_isotropic_and_has_no_mean():
    axes = np.zeros(3)
    for seed in range(20):
        field = linear(seed)
        assert abs(field.mean(dtype=float)) < 1e-5
        modes = np.abs(np.fft.fftn(field)) ** 2
        axes += [modes[1, 0, 0], modes[0, 1, 0], modes[0, 0, 1]]
    # Twenty exponential variables along each axis: their mean scatters by 1 / sqrt(20) = 0.22.
    assert np.all(np.abs(axes / axes.mean() - 1) < 4 * 0.22)


# --- displacements


def test_a_plane_wave_is_moved_by_its_gradient_and_has_no_second_order():
    N, L = 32, 64.0
    k = 2 * np.pi / L
    q = np.arange(N) * L / N
    wave = np.cos(k * q)[:, None, None] * np.ones((N, N, N))
    moved = Displacements(wave, L, N)
    R = (3 / (4 * np.pi)) ** (1 / 3) * L / N
    window = 3 * (np.sin(k * R) - k * R * np.cos(k * R)) / (k * R) ** 3
    # delta = -div psi, so psi = -sin(kq) / k.
    expected = -window * np.sin(k * q)[:, None, None] / k * np.ones((N, N, N))
    np.testing.assert_allclose(moved.first[0], expected, atol=1e-4)
    for other in (*moved.first[1:], *moved.second):
        assert np.abs(other).max() < 1e-4


def test_two_crossed_waves_have_the_second_order_of_the_textbook():
    N, L = 32, 64.0
    k = 2 * np.pi / L
    x = np.arange(N) * L / N
    wave = (np.cos(k * x)[:, None, None] + np.cos(k * x)[None, :, None]) * np.ones((N, N, N))
    moved = Displacements(wave, L, N)
    # phi_zz = cos kz, phi_yy = cos ky, all others 0: the source is cos kz cos ky, with wavenumber sqrt(2) k.
    R = np.sqrt(2) * k * (3 / (4 * np.pi)) ** (1 / 3) * L / N
    window = 3 * (np.sin(R) - R * np.cos(R)) / R**3
    expected = -window * np.sin(k * x)[:, None, None] * np.cos(k * x)[None, :, None] / (2 * k)
    np.testing.assert_allclose(moved.second[0], expected * np.ones((N, N, N)), atol=1e-4)
    assert np.abs(moved.second[2]).max() < 1e-4


@pytest.mark.parametrize("D", [0.0, 0.1, 1.0])
def test_mass_is_conserved(D):
    delta = Displacements(linear(3), 64.0, 16).density(D)
    assert abs(delta.mean(dtype=float)) < 1e-6
    assert delta.min() >= -1


def test_nothing_moves_before_growth():
    np.testing.assert_allclose(Displacements(linear(3), 64.0, 16).density(0.0), 0, atol=1e-6)


def test_a_shift_by_whole_cells_moves_the_box():
    field = linear(4)
    a = Displacements(field, 64.0, 16).density(0.15)
    b = Displacements(np.roll(field, (2, 4, -6), axis=(0, 1, 2)), 64.0, 16).density(0.15)
    np.testing.assert_allclose(np.roll(a, (1, 2, -3), axis=(0, 1, 2)), b, atol=2e-4)


def test_no_axis_is_special():
    field = linear(4)
    a = Displacements(field, 64.0, 16).density(0.15)
    b = Displacements(field.transpose(2, 0, 1), 64.0, 16).density(0.15)
    np.testing.assert_allclose(a.transpose(2, 0, 1), b, atol=2e-4)
    np.testing.assert_allclose(
        ionise(a, 64.0, 8.0, PLANCK, **PARAMETERS).transpose(2, 0, 1),
        ionise(np.ascontiguousarray(a.transpose(2, 0, 1)), 64.0, 8.0, PLANCK, **PARAMETERS),
        atol=2e-3,
    )


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 6), (9, 9, 9)])
def test_a_field_that_does_not_fit_is_refused(shape):
    with pytest.raises(ShapeError, match="a multiple of 4"):
        Displacements(np.zeros(shape), 64.0, 4)


# --- ionisation


def test_a_uniform_box_is_ionised_by_its_collapsed_fraction():
    z = 9.0
    M_min = PLANCK.virial_mass(10**4.7, z, mu=0.6)
    expected = 1 - 30 * PLANCK.collapsed_fraction(M_min, z)
    assert 0.5 < expected < 1
    np.testing.assert_allclose(
        ionise(np.zeros((8, 8, 8)), 16.0, z, PLANCK, **PARAMETERS), expected, rtol=1e-5
    )


def test_a_box_with_photons_enough_is_ionised_throughout():
    parameters = {**PARAMETERS, "HII_EFF_FACTOR": 1000.0}
    delta = Displacements(linear(1), 64.0, 16).density(0.14)
    assert not ionise(delta, 64.0, 8.0, PLANCK, **parameters).any()


def test_the_barrier_is_where_the_scaled_collapsed_fraction_makes_one_photon_per_atom():
    depth = np.random.default_rng(0).normal(2.0, 0.5, (32, 32, 32)).astype(np.float32)
    f = erfc(np.maximum(depth.astype(float), 0))
    for photons in (0.1, 0.5, 0.9):
        expected = photons * f / f.mean() > 1
        np.testing.assert_array_equal(depth < excursion._barrier(depth, photons), expected)


def test_one_dense_region_is_ionised_first():
    N, L, z = 32, 64.0, 9.0
    grid = np.indices((N, N, N)) - N / 2
    r = np.sqrt((grid**2).sum(0))
    height = 0.7 * DELTA_C
    delta = np.where(r < 5, height, 0.0) - height * np.mean(r < 5)
    neutral = ionise(delta, L, z, PLANCK, **PARAMETERS)
    assert not neutral[r < 3].any()
    assert neutral[r > 12].min() > 0.5


def test_partial_ionisation_conserves_photons_where_no_bubble_is():
    # With few photons no cell reaches one per atom, and the mean ionised fraction is zeta f_coll, as scaled.
    z, zeta = 9.0, 0.05
    delta = Displacements(linear(2), 64.0, 16).density(PLANCK.growth(z))
    neutral = ionise(delta, 64.0, z, PLANCK, **{**PARAMETERS, "HII_EFF_FACTOR": zeta})
    f = PLANCK.collapsed_fraction(PLANCK.virial_mass(10**4.7, z, mu=0.6), z)
    assert neutral.min() > 0
    assert 1 - neutral.mean(dtype=float) == pytest.approx(zeta * f, rel=1e-3)


def test_the_neutral_fraction_falls_with_time_and_with_efficiency():
    history = x_HI(replace(POINT, redshifts=(11.0, 10.0, 9.0, 8.0, 7.0)))
    assert np.all(np.diff(history) < 0)
    by_zeta = [
        x_HI(replace(POINT, parameters={**PARAMETERS, "HII_EFF_FACTOR": e}))[0] for e in (10.0, 30.0, 50.0)
    ]
    assert np.all(np.diff(by_zeta) < 0)
    by_T = [x_HI(replace(POINT, parameters={**PARAMETERS, "ION_Tvir_MIN": t}))[0] for t in (4.4, 4.7, 5.1)]
    assert np.all(np.diff(by_T) > 0)


def test_larger_bubbles_ionise_no_less():
    delta = Displacements(linear(2), 64.0, 16).density(PLANCK.growth(7.5))
    boxes = [ionise(delta, 64.0, 7.5, PLANCK, **{**PARAMETERS, "R_BUBBLE_MAX": R}) for R in (5.0, 10.0, 20.0)]
    assert np.all(boxes[1] <= boxes[0])
    assert np.all(boxes[2] <= boxes[1])


def test_smoothing_radii_are_a_tenth_apart_from_the_cell_up():
    radii = excursion._radii(1.24, 20.0)
    np.testing.assert_allclose(radii[:-1] / radii[1:], 1.1)
    assert radii[-1] == 1.24
    assert 20.0 / 1.1 < radii[0] <= 20.0
    np.testing.assert_allclose(excursion._radii(4.0, 3.0), [4.0])


# --- brightness


def test_the_brightness_of_a_uniform_box_by_hand():
    # Omega_b h^2 = 0.023, Omega_m h^2 = 0.15 and 1 + z = 10 leave 27 mK x_HI (1 + delta).
    universe = Cosmology(Omega_m=0.6, Omega_b=0.092, h=0.5)
    T_b = brightness_temperature(np.full((2, 2, 2), 0.5), np.full((2, 2, 2), 0.2), 9.0, universe)
    np.testing.assert_allclose(T_b, 27 * 0.5 * 1.2, rtol=1e-6)
    # It goes as the root of 1 + z.
    later = brightness_temperature(np.ones(1), np.zeros(1), 1.5, universe)
    np.testing.assert_allclose(later, 27 / 2, rtol=1e-6)


# --- the engine


def test_the_seed_alone_decides():
    point = replace(POINT, redshifts=(8.0, 9.0))
    one, two = (excursion.run(point, size=16, box_size=64.0) for _ in range(2))
    assert [box.redshift for box in one] == [9.0, 8.0]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.T_b, b.T_b)
        assert a.T_b.dtype == a.neutral_fraction.dtype == a.delta.dtype == np.float32
    # Another redshift beside it changes nothing, another seed everything.
    (alone,) = excursion.run(replace(point, redshifts=(8.0,)), size=16, box_size=64.0)
    np.testing.assert_array_equal(alone.T_b, one[1].T_b)
    (other,) = excursion.run(replace(point, seed=8, redshifts=(8.0,)), size=16, box_size=64.0)
    assert abs(np.corrcoef(other.delta.ravel(), alone.delta.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("log_T", "expected"),
    [(4.4, (0.748, 0.584, 0.284)), (4.7, (0.878, 0.782, 0.610)), (5.1, (0.966, 0.930, 0.858))],
)
def test_21cmfast_has_the_same_history(log_T, expected):
    """21cmFAST 4.1.1 at zeta = 30, 32^3 cells, 64 Mpc, one seed: z = 10, 9, 8.

    Two boxes of 64 Mpc differ by about 0.03 in x_HI half way; four of ours are averaged.
    """
    point = Point(0, 0, {**PARAMETERS, "ION_Tvir_MIN": log_T}, (10.0, 9.0, 8.0))
    ours = np.mean([x_HI(replace(point, seed=seed)) for seed in range(4)], axis=0)
    np.testing.assert_allclose(ours, expected, atol=0.05)


def test_21cmfast_agrees_cell_by_cell_on_its_own_density():
    """Ionising the evolved density of 21cmFAST gives its neutral fraction."""
    pytest.importorskip("py21cmfast", reason="21cmFAST is not installed", exc_type=ImportError)
    from skyloom.simulate.reionisation import fast21

    (theirs,) = fast21.run(replace(POINT, redshifts=(8.0,)), size=32, box_size=64.0)
    ours = ionise(theirs.delta, 64.0, 8.0, PLANCK, **PARAMETERS)
    assert abs(ours.mean(dtype=float) - theirs.neutral_fraction.mean(dtype=float)) < 2e-3
    assert np.mean((ours > 0) == (theirs.neutral_fraction > 0)) > 0.998
    T_b = brightness_temperature(theirs.neutral_fraction, theirs.delta, 8.0, PLANCK)
    np.testing.assert_allclose(T_b, theirs.T_b, rtol=2e-4, atol=1e-4)


def test_versions_name_what_decides_the_numbers():
    assert excursion.versions() == {"numpy": np.__version__, "scipy": scipy.__version__}
