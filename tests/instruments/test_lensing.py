"""Lenses whose deflection is known: a point, an isothermal sphere, a sheet within a circle."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import ShapeError, UsageError
from skyloom.instruments.lensing import critical_density, lens

N, PIXEL = 256, 0.1
x = (np.arange(N) - N / 2) * PIXEL
R = np.hypot(x[None, :], x[:, None])


def radial(deflection):
    with np.errstate(invalid="ignore"):
        return np.where(R > 0, (deflection[0] * x[None, :] + deflection[1] * x[:, None]) / R, 0.0)


def test_an_isothermal_sphere_deflects_by_its_einstein_radius_everywhere():
    """κ = θ_E / 2r within a disc: |α| = θ_E inside, at every radius (its mass grows with r)."""
    theta_e, edge = 2.0, 10.0
    fine = 8  # pixels are averaged over the cusp
    steps = ((np.arange(fine) + 0.5) / fine - 0.5) * PIXEL
    along = (x[:, None] + steps).ravel()
    sub = np.hypot(along[None, :], along[:, None]).reshape(N, fine, N, fine)
    kappa = np.where(sub < edge, theta_e / (2 * sub), 0.0).mean(axis=(1, 3))
    pulled = radial(lens(kappa, 1.0, PIXEL).deflection)
    inside = (R > 1.0) & (R < 9.0)
    np.testing.assert_allclose(pulled[inside], theta_e, rtol=0.01)
    outside = (R > 11.0) & (R < 12.5)
    np.testing.assert_allclose(pulled[outside], theta_e * edge / R[outside], rtol=0.01)


def test_a_disc_deflects_as_its_mass_within():
    kappa = np.where(R < 5.0, 0.5, 0.0)
    pulled = radial(lens(3 * kappa, 3.0, PIXEL).deflection)
    inside, outside = (R > 1) & (R < 4.5), (R > 6) & (R < 12)
    np.testing.assert_allclose(pulled[inside], 0.5 * R[inside], rtol=0.02)
    mass = kappa.sum() * PIXEL**2
    np.testing.assert_allclose(pulled[outside], mass / (np.pi * R[outside]), rtol=0.01)


def test_the_divergence_of_the_deflection_is_twice_the_convergence():
    kappa = np.exp(-(R**2) / 8)
    found = lens(kappa, 1.0, PIXEL)
    div = np.gradient(found.deflection[0], PIXEL, axis=1) + np.gradient(found.deflection[1], PIXEL, axis=0)
    middle = slice(40, -40)
    np.testing.assert_allclose(
        div[middle, middle], 2 * kappa[middle, middle], atol=3e-3
    )  # central differences


def test_the_critical_density_is_that_of_the_textbook():
    """c²/4πG is 1.6628e18 Msun/Mpc; a source far behind gives the smallest value at half the way."""
    near, half, far = (critical_density(z, 3.0) for z in (0.05, 0.5, 2.5))
    assert half < near
    assert half < far
    from astropy import constants, units

    factor = (constants.c**2 / (4 * np.pi * constants.G)).to_value(units.Msun / units.Mpc)
    from skyloom.instruments.lensing import FACTOR

    assert pytest.approx(factor, rel=1e-3) == FACTOR


def test_what_is_no_lens_is_refused():
    with pytest.raises(UsageError, match="behind the lens"):
        critical_density(2.0, 1.0)
    with pytest.raises(ShapeError, match=r"shape \(2, 3\)"):
        lens(np.zeros((2, 3)), 1.0, 1.0)
    with pytest.raises(UsageError, match="the pixel is 0"):
        lens(np.zeros((2, 2)), 1.0, 0.0)
