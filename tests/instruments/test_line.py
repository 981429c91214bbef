"""The 21-cm line: mass and flux both ways, and against temperature and constants of nature."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import constants, units

from skyloom.errors import UsageError
from skyloom.formats.illustris.hydrogen import brightness
from skyloom.instruments.radio.arrays import LIGHT, LINE
from skyloom.instruments.radio.line import (
    MASS,
    Sight,
    channels,
    flux_density,
    line_flux,
    line_mass,
    sight,
    spectra,
)


def test_the_factor_is_that_of_the_constants():
    """L = 3/4 h ν A N for a spin temperature far above hν/k, over 4 π D²: M = 16 π m_H D² F / (3 h ν A)."""
    A = 2.86888e-15 / units.s
    factor = 16 * np.pi * 1.00784 * units.u / (3 * constants.h * constants.c * A)
    found = (factor * units.Mpc**2 * units.Jy * units.km / units.s).to_value(units.Msun)
    assert found == pytest.approx(MASS, rel=1e-4)


def test_a_mass_comes_back_from_its_flux_and_redshift_narrows_the_line():
    near, far = Sight(0.0, 50.0), Sight(1.0, 50.0)
    assert line_mass(line_flux(3e9, far), far) == pytest.approx(3e9, rel=1e-14)
    # What arrives is the luminosity over 4 π D_L²: S dν. A velocity of the source is half as many Hz.
    hertz = line_flux(3e9, near) * near.frequency / LIGHT, line_flux(3e9, far) * far.frequency / LIGHT
    assert hertz[0] == pytest.approx(hertz[1], rel=1e-14)


@pytest.mark.parametrize("z", [0.0, 0.5, 3.0])
def test_a_column_has_the_flux_of_its_temperature(z):
    """The two ways meet within half a per cent, to which the 189 mK of the published formula is rounded."""
    from astropy.cosmology import Planck18

    seen = sight(z, 20.0) if z == 0 else sight(z)
    column, pixel, channel = 4e6, 2e-3, 300.0  # [Msun/kpc², Mpc, km/s]
    T_b = brightness(
        np.array(column), a=1 / (1 + z), h=Planck18.h, hubble=Planck18.H(z).value, channel=channel
    )
    by_temperature = flux_density(T_b / 1e3, seen.angle(pixel) ** 2, seen) * channel
    by_mass = line_flux(column * (pixel * 1e3) ** 2, seen)
    assert by_temperature == pytest.approx(by_mass, rel=6e-3)


def test_angles_follow_the_distance_that_they_need():
    from astropy.cosmology import Planck18

    seen = sight(redshift=2.0)
    assert seen.angle(1.0) == pytest.approx(1 / Planck18.angular_diameter_distance(2.0).value, rel=1e-9)
    assert seen.angle(1.0, comoving=True) == pytest.approx(
        1 / Planck18.comoving_distance(2.0).value, rel=1e-9
    )
    assert seen.frequency == pytest.approx(LINE / 3)


def test_spectra_keep_flux_mean_velocity_and_width():
    rng = np.random.default_rng(0)
    flux, velocity = rng.uniform(1, 2, (4, 4)), rng.uniform(-90, 90, (4, 4))
    edges = channels(400, 800.0)
    found = spectra(flux, velocity, edges, dispersion=25.0) * 2.0  # 2 km/s wide
    v = ((edges[1:] + edges[:-1]) / 2)[:, None, None]
    np.testing.assert_allclose(found.sum(0), flux, rtol=1e-12)
    np.testing.assert_allclose((v * found).sum(0) / flux, velocity, atol=1e-9)
    variance = (v**2 * found).sum(0) / flux - velocity**2
    # Sheppard: channels of width w add w²/12.
    np.testing.assert_allclose(variance, 25.0**2 + 4 / 12, rtol=1e-9)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="nothing tells how far"):
        sight(redshift=0.0)
    with pytest.raises(UsageError, match="a distance of -1"):
        sight(distance=-1.0)
    with pytest.raises(UsageError, match="a redshift of -2"):
        sight(redshift=-2.0)
    with pytest.raises(UsageError, match="0 channels over 10"):
        channels(0, 10.0)
    with pytest.raises(UsageError, match="a dispersion of 0"):
        spectra([[1.0]], [[0.0]], [0.0, 1.0], dispersion=0.0)
