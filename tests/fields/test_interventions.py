"""Interventions against closed forms: what they take away is gone, what they leave is untouched."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields.interventions import (
    equalise,
    filter_band,
    flatten_spectrum,
    remove_mean,
    shuffle_phases,
    smooth,
)

RNG = np.random.default_rng(40)
MAPS = RNG.lognormal(0.0, 0.7, (2, 3, 16, 16))


@pytest.mark.parametrize(("n", "width"), [(1, 0.5), (3, 2.0), (8, 1.0)])
def test_plane_wave_is_damped_by_the_gaussian_of_its_frequency(n: int, width: float) -> None:
    wave = np.cos(2 * np.pi * n * np.arange(32) / 32)[:, None] * np.ones(32)
    gain = np.exp(-2 * np.pi**2 * width**2 * (n / 32) ** 2)
    np.testing.assert_allclose(smooth(5.0 + wave, width), 5.0 + gain * wave, atol=1e-13)


def test_smoothing_twice_adds_the_squares_of_the_widths() -> None:
    np.testing.assert_allclose(smooth(smooth(MAPS, 3.0), 4.0), smooth(MAPS, 5.0), atol=1e-12)


@pytest.mark.parametrize("shift", [(3, 0), (5, 11)])
def test_periodic_smoothing_rolls_with_the_map(shift: tuple[int, int]) -> None:
    rolled = smooth(np.roll(MAPS, shift, axis=(-2, -1)), 1.5)
    np.testing.assert_allclose(rolled, np.roll(smooth(MAPS, 1.5), shift, axis=(-2, -1)), atol=1e-12)


def test_open_map_is_smoothed_without_touching_the_other_edge() -> None:
    half = np.zeros((32, 32))
    half[:, 16:] = 1.0
    opened, closed = smooth(half, 2.0, periodic=False), smooth(half, 2.0)
    assert opened[0, 0] < 1e-6 and opened[0, -1] > 1 - 1e-6
    assert closed[0, 0] == pytest.approx(0.4, abs=0.1)  # half a pixel from a wrapped step
    np.testing.assert_allclose(opened[:, 8:24], closed[:, 8:24], atol=1e-3)
    assert smooth(MAPS, 2.0, periodic=False).shape == MAPS.shape


def test_no_width_is_a_copy() -> None:
    same = smooth(MAPS, 0)
    np.testing.assert_array_equal(same, MAPS)
    assert not np.shares_memory(same, MAPS)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: smooth(m, 1.0),
        lambda m: smooth(m, 1.0, False),
        flatten_spectrum,
        lambda m: shuffle_phases(m, seed=0),
        lambda m: filter_band(m, 2, 4),
        lambda m: filter_band(m, 2, 4, keep=False, periodic=False),
    ],
)
def test_precision_mean_and_argument_are_kept(change) -> None:
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
        maps = MAPS.astype(dtype)
        before = maps.copy()
        changed = change(maps)
        assert changed.dtype == dtype
        np.testing.assert_array_equal(maps, before)
        np.testing.assert_allclose(changed.mean((-2, -1)), maps.mean((-2, -1)), rtol=tolerance)


def rings(N: int) -> np.ndarray:
    f = np.fft.fftfreq(N, 1 / N)
    return np.rint(np.hypot(f[:, None], f[None, :])).astype(int)


def test_flat_spectrum_phases_and_variance() -> None:
    white = flatten_spectrum(MAPS)
    np.testing.assert_allclose(white.var((-2, -1)), MAPS.var((-2, -1)), rtol=1e-12)
    before, after = np.fft.fft2(MAPS), np.fft.fft2(white)
    ring = rings(16)
    power = np.abs(after) ** 2
    # Flat: with the mean aside, every ring has the power of variance × N_pix² / (modes outside the origin).
    for r in range(1, ring.max() + 1):
        expected = MAPS.var((-2, -1)) * 16**4 / (16**2 - 1)
        np.testing.assert_allclose(power[..., ring == r].mean(-1), expected, rtol=1e-9)
    turned = np.angle(after * before.conj())[..., ring > 0]
    np.testing.assert_allclose(turned, 0.0, atol=1e-9)


def test_flattening_twice_changes_nothing_and_units_follow() -> None:
    white = flatten_spectrum(MAPS)
    np.testing.assert_allclose(flatten_spectrum(white), white, atol=1e-10)
    np.testing.assert_allclose(flatten_spectrum(1000.0 * MAPS + 3.0), 1000.0 * white + 3.0, rtol=1e-9)
    np.testing.assert_allclose(flatten_spectrum(MAPS[..., ::-1]), white[..., ::-1], atol=1e-10)


def test_empty_rings_stay_empty() -> None:
    # A plane wave has one ring; bringing up the rounding noise of the others would make a map of noise.
    wave = 2.0 + np.cos(2 * np.pi * 3 * np.arange(32) / 32)[:, None] * np.ones(32)
    for dtype in (np.float32, np.float64):
        np.testing.assert_allclose(flatten_spectrum(wave.astype(dtype)), wave, atol=1e-4)
    np.testing.assert_array_equal(flatten_spectrum(np.full((8, 8), 3.0)), np.full((8, 8), 3.0))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: smooth(MAPS, -1.0), UsageError, "width_pixels is -1.0"),
        (lambda: smooth(MAPS, float("nan")), UsageError, "width_pixels is nan"),
        (lambda: smooth(np.ones(4), 1.0), ShapeError, r"shape \(4,\), allowed: \(\.\.\., H, W\)"),
        (lambda: flatten_spectrum(np.full((2, 4, 4), np.inf)), DataError, r"2 of 2 maps, the first at \[0\]"),
    ],
)
def test_wrong_arguments(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(16, 16), (15, 15), (8, 13)])
def test_shuffled_phases_keep_the_power_of_every_mode(dtype, shape) -> None:
    maps = RNG.lognormal(0.0, 0.7, (2, 3, *shape)).astype(dtype)
    shuffled = shuffle_phases(maps, seed=3)
    before, after = np.abs(np.fft.fft2(maps)), np.abs(np.fft.fft2(shuffled))
    np.testing.assert_allclose(after, before, rtol=1e-12 if dtype == np.float64 else 1e-4, atol=1e-3)
    np.testing.assert_allclose(shuffled.mean((-2, -1)), maps.mean((-2, -1)), rtol=1e-5)
    # Lognormal maps are skewed, a sum of waves of random phases is not: the scatter of the skewness of 256
    # independent values is (6 / 256)^1/2 = 0.15; lognormal of 0.7 has 2.9.
    skewness = ((shuffled - shuffled.mean()) ** 3).mean() / shuffled.std() ** 3
    assert abs(skewness) < 0.6 < ((maps - maps.mean()) ** 3).mean() / maps.std() ** 3


def test_phases_are_uniform_seeded_and_each_maps_own() -> None:
    shuffled = shuffle_phases(MAPS, seed=0)
    np.testing.assert_array_equal(shuffled, shuffle_phases(MAPS, seed=0))
    assert not np.allclose(shuffled, shuffle_phases(MAPS, seed=1))
    turn = np.fft.rfft2(shuffled)[..., 1:8] * np.fft.rfft2(MAPS)[..., 1:8].conj()
    unit = turn / np.abs(turn)
    # 672 free phases: their mean scatters by 672^-1/2 = 0.04 about zero.
    assert abs(unit.mean()) < 4 * 0.04
    assert abs((unit[0, 0] * unit[0, 1].conj()).mean()) < 4 / np.sqrt(unit[0, 0].size)


def test_shared_phases_keep_cross_spectra() -> None:
    shuffled = shuffle_phases(MAPS, seed=0, shared=True)
    before, after = np.fft.fft2(MAPS), np.fft.fft2(shuffled)
    cross = [modes[:, 0] * modes[:, 1].conj() for modes in (before, after)]
    np.testing.assert_allclose(cross[1], cross[0], atol=1e-9 * np.abs(cross[0]).max())
    alone = np.fft.fft2(shuffle_phases(MAPS, seed=0))
    assert not np.allclose(alone[:, 0] * alone[:, 1].conj(), cross[0])


def test_equalised_maps_have_one_histogram_and_their_own_order() -> None:
    maps = MAPS * np.array([1.0, 7.0])[:, None, None, None] + 2.0
    equal = equalise(maps)
    values = np.sort(equal.reshape(2, 3, -1), axis=-1)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
    np.testing.assert_allclose(values[0], np.sort(maps.reshape(2, 3, -1), axis=-1).mean(0), rtol=1e-12)
    order, kept = (np.argsort(m.reshape(2, 3, -1), axis=-1) for m in (maps, equal))
    np.testing.assert_array_equal(kept, order)
    np.testing.assert_allclose(equalise(equal), equal, rtol=1e-12)


def test_equal_pixels_stay_equal_when_equalised() -> None:
    maps = np.array([[[0.0, 0.0], [0.0, 4.0]], [[1.0, 2.0], [3.0, 8.0]]])
    # Mean values by rank: 0.5, 1, 1.5, 6; the plateau of three takes their mean, 1.
    np.testing.assert_allclose(equalise(maps), [[[1.0, 1.0], [1.0, 6.0]], [[0.5, 1.0], [1.5, 6.0]]])


def test_removing_the_mean_leaves_all_differences() -> None:
    maps = MAPS + np.array([0.0, 100.0])[:, None, None, None]
    level = remove_mean(maps)
    np.testing.assert_allclose(level.mean((-2, -1)), np.tile(maps.mean((0, -2, -1)), (2, 1)), rtol=1e-12)
    np.testing.assert_allclose(np.diff(level, axis=-1), np.diff(maps, axis=-1), atol=1e-11)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(16, 16), (12, 17)])
def test_bands_add_up_to_the_map_and_do_not_overlap(periodic, shape) -> None:
    maps = RNG.lognormal(0.0, 0.7, (2, *shape))
    mean = maps.mean((-2, -1), keepdims=True)
    edges = [0, 2, 4, np.inf]
    parts = [filter_band(maps, *band, periodic=periodic) - mean for band in pairwise(edges)]
    np.testing.assert_allclose(mean + sum(parts), maps, atol=1e-12)
    without = filter_band(maps, 2, 4, keep=False, periodic=periodic)
    np.testing.assert_allclose(without, maps - parts[1], atol=1e-12)
    for i in range(3):
        for j in range(i):
            assert abs((parts[i] * parts[j]).sum()) < 1e-9
    np.testing.assert_allclose(filter_band(parts[1], 2, 4, periodic=periodic), parts[1], atol=1e-12)


def test_half_waves_belong_to_their_band_on_an_open_map() -> None:
    wave = np.cos(np.pi * 5 * (np.arange(32) + 0.5) / 32) * np.ones((32, 1))  # 2.5 waves along the side
    np.testing.assert_allclose(filter_band(wave, 2.5, 2.6, periodic=False), wave, atol=1e-13)
    np.testing.assert_allclose(filter_band(wave, 2.6, 99, periodic=False), 0, atol=1e-13)
    # The step between its edges spreads over all wavenumbers if the map is taken for periodic.
    assert np.abs(filter_band(wave, 4, 99)).max() > 0.1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: filter_band(MAPS, 4, 4), UsageError, "4 to 4, allowed: 0 <= low < high"),
        (lambda: filter_band(MAPS, -1, 4), UsageError, "-1 to 4"),
        (lambda: equalise(MAPS[0, 0]), ShapeError, r"equalise .* \(16, 16\), allowed: \(n, "),
        (lambda: remove_mean(MAPS[0, 0]), ShapeError, "remove_mean"),
        (
            lambda: shuffle_phases(MAPS[0, 0], seed=0, shared=True),
            ShapeError,
            r"allowed: \(\.\.\., C, H, W\)",
        ),
    ],
)
def test_wrong_arguments_of_the_others(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
