"""Boxes and light cones through a telescope: noise as the radiometer has it, each layer its own."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import registry
from skyloom.errors import ShapeError, UnitError, UsageError
from skyloom.instruments.base import Scene
from skyloom.instruments.radio import ARRAYS, Telescope, channel, coverage, noise_cube
from skyloom.instruments.radio.arrays import LINE
from skyloom.instruments.radio.beam import Beam

N = 16
LOW = ARRAYS["ska_low"]
BOX = {"size": N, "box": 300.0, "depth": 4.0}
SCENE = Scene(300.0, 8.0, True, "mK")


def expected_rms(redshift, hours=1000.0):
    """Of a map whose waves have the noise σ_V over the root of their visibilities, by Parseval."""
    side, bandwidth = channel(redshift, BOX["box"], BOX["depth"])
    seen = coverage(LOW, size=N, side=side, frequency=LINE / (1 + redshift), bandwidth=bandwidth, hours=hours)
    n = seen.visibilities[seen.seen]
    return seen.noise * np.sqrt((2 / n).sum()) / side**2


def test_the_rms_of_a_layer_is_that_of_the_radiometer():
    cone = noise_cube(LOW, [7.0] * 40 + [10.0] * 40, seed=1, **BOX)
    assert cone[:40].std() == pytest.approx(expected_rms(7.0), rel=0.03)
    assert cone[40:].std() == pytest.approx(expected_rms(10.0), rel=0.03)
    quick = noise_cube(LOW, [7.0] * 4, seed=1, hours=250.0, **BOX)
    np.testing.assert_allclose(quick, 2 * cone[:4], rtol=1e-9)


def test_layers_are_independent_and_follow_the_seed():
    first, again, other = (noise_cube(LOW, [8.0] * 30, seed=seed, **BOX) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    neighbours = (first[1:] * first[:-1]).mean() / first.var()
    assert abs(neighbours) < 0.05
    assert abs((first * other).mean()) / first.var() < 0.05
    # A shorter cone is the beginning of a longer one.
    np.testing.assert_array_equal(noise_cube(LOW, [8.0] * 3, seed=1, **BOX), first[:3])


def test_a_cube_through_the_telescope_is_its_layers_with_noise_in_the_units_of_the_field():
    cube = np.random.default_rng(0).normal(size=(N, N, N))
    quiet = Telescope(hours=None, weighting="uniform").observe(cube, SCENE, seed=0)
    np.testing.assert_allclose(quiet.mean(axis=(1, 2)), 0, atol=1e-12)
    loud = Telescope(hours=100.0, weighting="uniform").observe(cube, SCENE, seed=0)
    noise = noise_cube(LOW, [8.0] * N, size=N, box=300.0, depth=300.0 / N, hours=100.0, seed=0)
    np.testing.assert_allclose(loud - quiet, noise * 1e3, atol=1e-9)
    kelvin = Telescope(hours=100.0, weighting="uniform").observe(cube, Scene(300.0, 8.0, True, "K"), seed=0)
    np.testing.assert_allclose(kelvin - quiet, noise, atol=1e-12)
    one = Telescope(hours=100.0, depth=300.0 / N, weighting="uniform").observe(cube[0], SCENE, seed=0)
    np.testing.assert_allclose(one, loud[0], atol=1e-9)


@pytest.mark.parametrize("name", registry.names("instrument"))
def test_every_instrument_leaves_shape_precision_and_argument_and_follows_its_seed(name):
    needed = {"beam": {"fwhm": 120.0}}
    made = registry.build({"name": name, **needed.get(name, {})}, "instrument")
    cube = np.random.default_rng(0).normal(size=(N, N, N)).astype(np.float32)
    before = cube.copy()
    seen = made.observe(cube, SCENE, seed=5)
    assert seen.shape == cube.shape and seen.dtype == cube.dtype and np.isfinite(seen).all()
    np.testing.assert_array_equal(cube, before)
    np.testing.assert_array_equal(made.observe(cube, SCENE, seed=5), seen)
    assert not np.array_equal(seen, cube)
    with pytest.raises(ShapeError, match=f"instrument '{name}'"):
        made.observe(np.zeros((4, 4, 8)), SCENE, seed=0)


def test_the_beam_of_an_angle_is_that_of_a_length_at_its_distance():
    point = np.zeros((1, N, N))
    point[0, 8, 8] = 1.0
    side, _ = channel(8.0, 300.0, 1.0)
    angle = 4 / N * side * 180 / np.pi * 60  # four pixels [arcmin]
    by_length = Beam(fwhm=4 * 300.0 / N, box=300.0).apply(point)[0]
    by_angle = Beam(fwhm=angle, unit="arcmin", box=300.0, redshift=8.0, comoving=True).apply(point)[0]
    np.testing.assert_allclose(by_angle, by_length, rtol=1e-5)
    cube = registry.build({"name": "beam", "fwhm": angle}, "instrument").observe(point, SCENE, seed=0)
    np.testing.assert_allclose(cube, by_length, rtol=1e-5)
    assert by_length.sum() == pytest.approx(1.0)
    # In Jy per beam a point keeps its height.
    per_beam = Beam(fwhm=4 * 300.0 / N, box=300.0, per_beam=True).apply(point)[0]
    assert per_beam.max() == pytest.approx(1.0, rel=1e-3)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="depth is None for 2 axes"):
        Telescope().observe(np.zeros((N, N)), SCENE, seed=0)
    with pytest.raises(UnitError, match="'Msun'"):
        Telescope().observe(np.zeros((N, N, N)), Scene(300.0, 8.0, True, "Msun"), seed=0)
    with pytest.raises(UsageError, match="hours is 0"):
        Telescope(hours=0.0)
    with pytest.raises(UsageError, match="fwhm is 0"):
        registry.build({"name": "beam", "fwhm": 0.0}, "instrument")
    with pytest.raises(UsageError, match="nothing tells how far"):
        Beam(fwhm=1.0, unit="arcsec", box=1.0)
    with pytest.raises(ShapeError, match="redshift of one layer"):
        noise_cube(LOW, [], **BOX)
