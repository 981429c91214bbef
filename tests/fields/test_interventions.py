"""Interventions against closed forms: what they take away is gone, what they leave is untouched."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields.interventions import flatten_spectrum, smooth

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
    "change", [lambda m: smooth(m, 1.0), lambda m: smooth(m, 1.0, False), flatten_spectrum]
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
