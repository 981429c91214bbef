"""Linear theory against closed forms, quadrature and numbers of 21cmFAST."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.integrate import quad

from skyloom.errors import DataError
from skyloom.simulate.cosmology import DELTA_C, SHETH_TORMEN, Cosmology, top_hat

PLANCK = Cosmology()


def test_sigma_8_is_recovered_by_another_quadrature():
    def integrand(log_k):
        k = np.exp(log_k)
        x = 8 * k / PLANCK.h
        window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
        return float(PLANCK.power(np.array(k))) * window**2 * k**3 / (2 * np.pi**2)

    # Beyond k = 30 / Mpc the window, at most 3 / x^2, leaves less than 1e-6 of the variance.
    variance = quad(integrand, np.log(1e-4), np.log(30.0), limit=2000, epsrel=1e-7)[0]
    assert np.sqrt(variance) == pytest.approx(PLANCK.sigma_8, rel=2e-4)


def test_sigma_scales_with_sigma_8_and_falls_with_radius():
    double = Cosmology(sigma_8=2 * PLANCK.sigma_8)
    radii = np.array([0.1, 1.0, 10.0, 100.0])
    np.testing.assert_allclose(double.sigma(radii), 2 * PLANCK.sigma(radii), rtol=1e-12)
    assert np.all(np.diff(PLANCK.sigma(radii)) < 0)


def test_the_top_hat_joins_its_series_and_vanishes_at_its_first_zero():
    # j1(x) / x vanishes where tan x = x: 4.493409458.
    assert abs(top_hat(np.array(4.493409458))) < 1e-9
    assert top_hat(np.array(0.999e-3)) == pytest.approx(top_hat(np.array(1.001e-3)), abs=1e-8)


@pytest.mark.parametrize("z", [0.0, 1.0, 9.0])
def test_growth_in_an_einstein_de_sitter_universe_is_the_scale_factor(z):
    assert Cosmology(Omega_m=1.0).growth(z) == pytest.approx(1 / (1 + z), rel=1e-7)


def test_growth_agrees_with_the_fit_of_carroll_press_and_turner():
    def fit(z):  # Carroll, Press & Turner (1992), eq. 29, good to a few per mille
        m = PLANCK.Omega_m * (1 + z) ** 3 / (PLANCK.Omega_m * (1 + z) ** 3 + 1 - PLANCK.Omega_m)
        v = 1 - m
        return 2.5 * m / (m ** (4 / 7) - v + (1 + m / 2) * (1 + v / 70)) / (1 + z)

    for z in (0.5, 3.0, 9.0):
        assert PLANCK.growth(z) == pytest.approx(fit(z) / fit(0.0), rel=3e-3)


def test_the_spectrum_goes_as_k_to_the_n_s_on_large_scales():
    slope = np.log(PLANCK.power(np.array(2e-6)) / PLANCK.power(np.array(1e-6))) / np.log(2)
    assert slope == pytest.approx(PLANCK.n_s, abs=1e-3)


def test_the_collapsed_fraction_is_the_integral_of_the_mass_function():
    A, a, p = SHETH_TORMEN["A"], SHETH_TORMEN["a"], SHETH_TORMEN["p"]

    def above(mass, z):  # the integral of f(nu) d ln nu over peaks higher than that of `mass`
        nu = DELTA_C / float(PLANCK.sigma(PLANCK.radius(mass)) * PLANCK.growth(z))

        def mass_function(n):
            x = np.sqrt(a) * n
            return A * np.sqrt(2 / np.pi) * (1 + x ** (-2 * p)) * x * np.exp(-(x**2) / 2) / n

        return quad(mass_function, nu, np.inf)[0]

    for mass, z in ((1e8, 6.0), (1e9, 9.0), (1e12, 0.0)):
        assert PLANCK.collapsed_fraction(mass, z) == pytest.approx(above(mass, z), rel=1e-8)


def test_a_virial_mass_by_hand():
    # Einstein-de Sitter: Omega(z) = 1 and Delta_c = 18 pi^2, so at 1 + z = 10 and mu = 0.6 it is
    # M = 1e8 / h (T / 1.98e4)^1.5.
    universe = Cosmology(Omega_m=1.0, h=0.5)
    assert universe.virial_mass(1.98e4, 9.0, mu=0.6) == pytest.approx(2e8, rel=1e-12)
    assert universe.virial_mass(4 * 1.98e4, 9.0, mu=0.6) == pytest.approx(8 * 2e8, rel=1e-12)


def test_a_sphere_holds_its_mass():
    R = PLANCK.radius(1e12)
    assert 4 / 3 * np.pi * R**3 * PLANCK.mean_density == pytest.approx(1e12, rel=1e-12)


def test_sigma_and_growth_are_those_of_21cmfast():
    p21 = pytest.importorskip("py21cmfast", reason="21cmFAST is not installed", exc_type=ImportError)
    from py21cmfast.wrapper import cfuncs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 21cmFAST reminds of its template's own choices
        inputs = p21.InputParameters.from_template("const-zeta", random_seed=1, M_MIN_in_Mass=False)
    masses = np.array([1e8, 1e10, 1e12, 1e14])
    theirs = np.asarray(cfuncs.evaluate_sigma(inputs=inputs, masses=masses)[0])
    ours = PLANCK.sigma(np.array([PLANCK.radius(m) for m in masses]))
    np.testing.assert_allclose(ours, theirs, rtol=3e-3)  # the transfer functions are two fits
    growth = cfuncs.get_growth_factor(inputs=inputs, redshift=8.0)
    assert PLANCK.growth(8.0) == pytest.approx(growth, rel=1e-3)


def test_more_baryons_than_matter_are_refused():
    with pytest.raises(DataError, match=r"Omega_b = 0.4 .* need 0 < Omega_b < Omega_m"):
        Cosmology(Omega_b=0.4)
