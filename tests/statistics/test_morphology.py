"""Concentration, asymmetry and clumpiness against closed forms and symmetries."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import UsageError
from skyloom.statistics.morphology import CAS, morphology
from skyloom.statistics.profiles import mass_radius

NOISE = np.random.default_rng(32).lognormal(size=(2, 24, 24))


def radius(N: int, centre: tuple[float, float]) -> np.ndarray:
    y, x = np.indices((N, N))
    return np.hypot(y - centre[0], x - centre[1])


def test_concentrations_in_closed_form() -> None:
    r = radius(192, (95.5, 95.5))
    # Disc: r80 / r20 = 2. Gaussian: sqrt(ln 5 / ln 1.25). Exponential: 1 - (1 + x) e^-x is 0.2 at
    # x = 0.824388 and 0.8 at x = 2.994308.
    disc, gauss, exponential = (r < 60).astype(float), np.exp(-(r**2) / 800), np.exp(-r / 10)
    truth = [2.0, np.sqrt(np.log(5) / np.log(1.25)), 2.994308 / 0.824388]
    found = morphology(np.stack([disc, gauss, exponential]), 192.0)
    np.testing.assert_allclose(found.concentration, 5 * np.log10(truth), atol=0.012)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("centre", [(15.5, 15.5), (16.0, 14.5), (15.0, 16.0)])
def test_a_map_that_a_half_turn_does_not_change_has_no_asymmetry(centre, periodic) -> None:
    y, x = np.indices((32, 32))
    bar = np.exp(-((y - centre[0]) ** 2) / 4 - ((x - centre[1]) ** 2) / 18)
    found = morphology(bar, 32.0, periodic=periodic)
    # What a map that is not periodic cuts off on one side only is all that is left.
    assert float(found.asymmetry) < 1e-5
    assert float(found.centre_offset) < 0.01


def test_two_unequal_points_by_hand() -> None:
    # Masses 3 and 1 at distance 8. About the larger: |1| and its mirror image, 2 of 4. About the middle:
    # |3 - 1| twice, 4 of 4. So the least is 0.5, where the centre of mass is 2 away.
    points = np.zeros((32, 32))
    points[12, 16], points[20, 16] = 3.0, 1.0
    fixed = morphology(points, 32.0, periodic=False, minimise=False)
    assert float(fixed.asymmetry) == pytest.approx(2.0)  # about (14, 16) no point meets another
    blurred = np.exp(-(radius(32, (12, 16)) ** 2) / 8) * 3 + np.exp(-(radius(32, (20, 16)) ** 2) / 8)
    found = morphology(blurred, 32.0, periodic=False)
    assert float(found.asymmetry) == pytest.approx(0.5, abs=0.03)
    assert float(found.centre_offset) == pytest.approx(2.0, abs=0.05)


def test_clumps_on_an_even_floor_by_hand() -> None:
    # Clumps of height a on a floor of 1 stand a (1 - 1/w²) above their running mean of w² pixels; all other
    # pixels lie at or below theirs. The heavy pixel in the middle fixes the centre and lies within w.
    N, a, w = 32, 10.0, 5.0
    field = np.ones((N, N))
    field[16, 16] += 50.0
    for y, x in ((8, 8), (8, 24), (24, 8), (24, 24)):
        field[y, x] += a
    found = morphology(field, float(N), smoothing=w / float(mass_radius(field, float(N), fraction=0.8)))
    y, x = (np.indices((N, N)) - 16 + 16) % N - 16
    mass = field[np.hypot(y, x) > w].sum()
    assert float(found.clumpiness) == pytest.approx(10 * 4 * a * (1 - 1 / w**2) / mass, rel=1e-9)
    assert float(morphology(np.ones((N, N)), 32.0).clumpiness) < 1e-9


def test_turns_flips_rolls_and_units_change_nothing() -> None:
    before = morphology(NOISE, 24.0)
    for changed in (
        NOISE[:, ::-1],
        np.rot90(NOISE, axes=(1, 2)),
        np.roll(NOISE, (5, 11), axis=(1, 2)),
        7 * NOISE,
    ):
        for old, new in zip(before, morphology(changed, 24.0), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-9)
    longer = morphology(NOISE, 24000.0)
    np.testing.assert_allclose(longer.centre_offset, 1000 * before.centre_offset, rtol=1e-9)
    np.testing.assert_allclose(longer.clumpiness, before.clumpiness, rtol=1e-9)


def test_the_sought_centre_is_never_worse() -> None:
    assert (morphology(NOISE, 24.0).asymmetry <= morphology(NOISE, 24.0, minimise=False).asymmetry).all()


def test_no_mass_no_morphology() -> None:
    found = morphology(np.stack([np.zeros((8, 8)), -np.ones((8, 8)), np.ones((8, 8))]), 8.0)
    for values in found:
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2])


def test_a_filter_needs_a_width() -> None:
    for call in (lambda: CAS(smoothing=0.0), lambda: morphology(NOISE, 24.0, smoothing=-1.0)):
        with pytest.raises(UsageError, match="smoothing is"):
            call()
