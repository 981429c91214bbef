"""The wedge: what lies in it goes, what lies outside stays, and its slope is that of the horizon."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import ShapeError, UsageError
from skyloom.instruments.base import Scene
from skyloom.instruments.radio import Wedge, in_wedge, wedge_slope

N, SIDE = 16, 200.0
SCENE = Scene(SIDE, 8.0, True, "mK")


def wave(along, across):
    """A wave of whole numbers of periods along the line of sight and across it."""
    z, _, x = np.indices((N, N, N)) * 2 * np.pi / N
    return np.cos(along * z + across * x)


def test_a_mode_inside_goes_and_a_mode_outside_stays():
    inside, outside = wave(1, 3), 2 * wave(7, 2)
    seen = Wedge(slope=3.0).observe(inside + outside + 5.0, SCENE, seed=0)
    np.testing.assert_allclose(seen, outside, atol=1e-12)


def test_the_horizon_of_redshift_eight_by_hand():
    """D_C 9.13 Gpc and H 1021 km/s/Mpc: 9130 x 1021 / (299792 x 9); half of it at 30 degrees."""
    assert wedge_slope(8.0) == pytest.approx(9130 * 1021 / (299792 * 9), rel=0.01)
    assert wedge_slope(8.0, 30.0) == pytest.approx(wedge_slope(8.0) / 2)
    m = wedge_slope(8.0)
    seen = [np.ptp(Wedge().observe(wave(k, 2), SCENE, seed=0)) for k in (int(2 * m), int(2 * m) + 1)]
    assert seen[0] < 1e-12 and seen[1] == pytest.approx(2.0, rel=1e-9)


def test_a_buffer_reaches_further_and_constants_along_the_line_of_sight_always_go():
    fundamental = 2 * np.pi / SIDE
    mask = in_wedge((N, N, N), SIDE / N, slope=1.0, buffer=2 * fundamental)
    plain = in_wedge((N, N, N), SIDE / N, slope=1.0)
    for across in range(5):
        for along in range(7):
            assert plain[along, 0, across] == (along <= across)
            assert mask[along, 0, across] == (along <= across + 2)
    np.testing.assert_allclose(Wedge(slope=0.0).observe(wave(0, 3) + 1.0, SCENE, seed=0), 0, atol=1e-12)


def test_cutting_twice_is_cutting_once_and_rolling_goes_through():
    cube = np.random.default_rng(0).normal(size=(N, N, N))
    once = Wedge().observe(cube, SCENE, seed=0)
    np.testing.assert_allclose(Wedge().observe(once, SCENE, seed=0), once, atol=1e-12)
    rolled = Wedge().observe(np.roll(cube, (3, 5), (0, 2)), SCENE, seed=0)
    np.testing.assert_allclose(rolled, np.roll(once, (3, 5), (0, 2)), atol=1e-12)


def test_foregrounds_stand_in_the_wedge_alone_and_follow_the_seed():
    cube = np.random.default_rng(0).normal(size=(N, N, N))
    dirty = Wedge(foreground=50.0)
    seen = dirty.observe(cube, SCENE, seed=3)
    before = seen - cube
    assert np.sqrt((before**2).mean()) == pytest.approx(50.0, rel=1e-9)
    np.testing.assert_allclose(Wedge().observe(before, SCENE, seed=0), 0, atol=1e-10)
    np.testing.assert_array_equal(dirty.observe(cube, SCENE, seed=3), seen)
    other = dirty.observe(cube, SCENE, seed=4) - cube
    assert abs(np.corrcoef(before.ravel(), other.ravel())[0, 1]) < 0.1


def test_what_cannot_be_is_refused():
    with pytest.raises(ShapeError, match="has no line of sight"):
        Wedge().observe(np.zeros((N, N)), SCENE, seed=0)
    with pytest.raises(ShapeError, match="allowed"):
        Wedge().observe(np.zeros((4, 4, 6)), SCENE, seed=0)
    for name, value in (("buffer", -1.0), ("slope", -1.0), ("foreground", -1.0), ("angle", 0.0)):
        with pytest.raises(UsageError, match=name):
            Wedge(**{name: value})
    with pytest.raises(UsageError, match="redshift 0"):
        wedge_slope(0.0)
