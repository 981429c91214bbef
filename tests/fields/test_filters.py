"""Filters of single maps: what they take out is gone, and comes back."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import UsageError
from skyloom.fields.filters import FilterBand, FlattenSpectrum, Smooth
from skyloom.fields.transforms import Pipeline

MAPS = np.random.default_rng(60).lognormal(0.0, 0.7, (3, 16, 16))


def amplitudes(maps):
    return np.abs(np.fft.fft2(maps - maps.mean(axis=(1, 2), keepdims=True)))


def test_flattening_each_mode_is_the_inverse_transform_of_the_phases_alone() -> None:
    flat, _ = FlattenSpectrum(each_mode=True).apply(MAPS)
    modes = np.fft.fft2(MAPS - MAPS.mean(axis=(1, 2), keepdims=True))
    modes[:, 0, 0] = 1.0
    phases = modes / np.abs(modes)
    phases[:, 0, 0] = 0.0
    alone = np.fft.ifft2(phases).real
    alone *= MAPS.std(axis=(1, 2), keepdims=True) / alone.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(flat, alone + MAPS.mean(axis=(1, 2), keepdims=True), atol=1e-12)


def test_flattening_rings_leaves_the_scatter_within_a_ring() -> None:
    rings, each = (amplitudes(FlattenSpectrum(each_mode=m).apply(MAPS)[0]) for m in (False, True))
    fundamental = (rings[:, 1, 0], rings[:, 0, 1])
    assert not np.allclose(*fundamental)
    np.testing.assert_allclose(each[:, 1, 0], each[:, 0, 1], rtol=1e-9)
    # Mean power of the ring of the fundamental mode (two waves along an axis, two diagonal) is that of all.
    powers = [rings[:, y, x] ** 2 for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))]
    np.testing.assert_allclose(np.mean(powers, axis=0), MAPS.var(axis=(1, 2)) * 16**4 / 255, rtol=0.02)


def test_a_checkerboard_does_not_survive_what_large_waves_do() -> None:
    y, x = np.indices((32, 32))
    wave = np.cos(2 * np.pi * 2 * x / 32)[None]
    noise = (-1.0) ** (x + y)[None]
    smoothed, _ = Smooth(width=1.0).apply(wave + noise)
    gain = np.exp(-2 * np.pi**2 * np.array([(2 / 32) ** 2, 0.5]))  # of the wave and of (1/2, 1/2) per pixel
    np.testing.assert_allclose(smoothed, gain[0] * wave + gain[1] * noise, atol=1e-12)
    np.testing.assert_allclose(FilterBand(high=12).apply(wave + noise)[0], wave, atol=1e-12)


def test_windows_are_filtered_as_windows_and_all_is_undone_in_a_pipeline() -> None:
    specs = [
        {"name": "log10", "floor": 1e-3},
        {"name": "smooth", "width": 1.5, "periodic": False},
        "equalise",
    ]
    pipeline = Pipeline(specs).fit(lambda: iter([MAPS]), ids=["a", "b", "c"])
    values, carry = pipeline.apply(MAPS)
    np.testing.assert_allclose(pipeline.inverse(values, carry), MAPS, rtol=1e-9)
    step = np.where(np.arange(16) < 8, 0.0, 1.0) * np.ones((1, 16, 1))
    edges = [Smooth(width=1.0, periodic=p).apply(step)[0][0, 0, 0] for p in (True, False)]
    assert edges[0] > 0.2 and edges[1] < 1e-6  # the far edge is felt only where it touches


@pytest.mark.parametrize("make", [lambda: Smooth(width=0.0), lambda: FilterBand(low=3.0, high=3.0)])
def test_empty_filters_are_refused(make) -> None:
    with pytest.raises(UsageError, match="allowed"):
        make()
