"""Cross spectrum and coherence against closed forms and sampled truth; memory, threads, peers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from scipy.stats import chi2, kstest

from skyloom.errors import ShapeError
from skyloom.statistics import coherence, cross_spectrum, fourier, power_spectrum

RNG = np.random.default_rng(26)


def noise(dims: int, N: int, maps: int) -> np.ndarray:
    return RNG.standard_normal((maps, *(N,) * dims))


@pytest.mark.parametrize(("dims", "N", "maps"), [(2, 32, 60), (3, 12, 40)])
def test_power_of_every_ring_has_its_chi_squared(dims: int, N: int, maps: int) -> None:
    # Of white noise, modes * P / <P> is a sum of `modes` squares of independent unit Gaussians: modes / 2
    # complex modes, each counted with its mirror image. Over maps and rings its probabilities are uniform.
    s = power_spectrum(noise(dims, N, maps), 7.0, bins=6, dims=dims)
    expected = (7.0 / N) ** dims
    assert kstest(chi2.cdf(s.modes * s.power / expected, s.modes).ravel(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("dims", "N", "maps"), [(2, 32, 100), (3, 12, 60)])
def test_scaled_field_with_noise(dims: int, N: int, maps: int) -> None:
    # y = a x + s n: P_xy = a P, with the variance (2 a² + s²) P² / modes a map, and r = a / sqrt(a² + s²)
    # with (1 - r²)² / modes (Fisher); r of a ring is biased low by r (1 - r²) / (2 modes).
    a, s, box = -0.7, 1.3, 5.0
    x, P = noise(dims, N, maps), (5.0 / N) ** dims
    y = a * x + s * noise(dims, N, maps) + 40.0
    cross = cross_spectrum(x, y, box, bins=5, dims=dims)
    z = (cross.power.mean(axis=0) - a * P) / (P * np.sqrt((2 * a**2 + s**2) / cross.modes / maps))
    assert 1e-3 < chi2.sf(np.square(z).sum(), 5) < 1 - 1e-3
    r = coherence(x, y, box, bins=5, dims=dims)
    truth = a / np.hypot(a, s)
    mean = truth * (1 - (1 - truth**2) / (2 * r.modes))
    z = (r.r.mean(axis=0) - mean) / ((1 - truth**2) / np.sqrt(r.modes * maps))
    assert 1e-3 < chi2.sf(np.square(z).sum(), 5) < 1 - 1e-3


@pytest.mark.parametrize("shift", [0.0, 0.5, np.pi / 2, np.pi])
def test_two_waves_out_of_step(shift: float) -> None:
    # Waves A cos(kx), B cos(kx + shift): the cross power is A B cos(shift) / 2 of the volume, r = cos(shift).
    N, box, A, B, n = 32, 10.0, 2.0, 3.0, 5
    x = 2 * np.pi * n * np.arange(N) / N + np.zeros((N, 1))
    s = cross_spectrum(A * np.cos(x), B * np.cos(x + shift), box, bins=15)
    expected = box**2 * A * B * np.cos(shift) / 2 / s.modes[n - 1]
    assert s.power[n - 1] == pytest.approx(expected, abs=1e-12 * box**2)
    r = coherence(A * np.cos(x), B * np.cos(x + shift), box, bins=15).r[n - 1]
    assert r == pytest.approx(np.cos(shift), abs=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("dims", [2, 3])
def test_algebra(dims: int, periodic: bool) -> None:
    x, y = noise(dims, 12, 2)
    options = {"periodic": periodic, "bins": 4, "dims": dims}
    P_x, P_y, P_sum = (power_spectrum(f, 3.0, **options).power for f in (x, y, x + y))
    P_xy = cross_spectrum(x, y, 3.0, **options)
    np.testing.assert_allclose(cross_spectrum(x, x, 3.0, **options).power, P_x, rtol=1e-12)
    np.testing.assert_allclose(cross_spectrum(y, x, 3.0, **options).power, P_xy.power, rtol=1e-12)
    np.testing.assert_allclose(P_x + P_y + 2 * P_xy.power, P_sum, rtol=1e-11)
    r = coherence(x, y, 3.0, **options)
    np.testing.assert_allclose(r.r, P_xy.power / np.sqrt(P_x * P_y), rtol=1e-12)
    np.testing.assert_array_equal(r.modes, P_xy.modes)
    np.testing.assert_array_equal(r.k, P_xy.k)


@pytest.mark.parametrize(
    "change", [lambda m: np.rot90(m, axes=(-2, -1)), lambda m: m[..., ::-1], lambda m: np.roll(m, 3, axis=-2)]
)
@pytest.mark.parametrize("dims", [2, 3])
def test_symmetries_and_units(change: Callable[[np.ndarray], np.ndarray], dims: int) -> None:
    x, y = noise(dims, 10, 2)
    before = cross_spectrum(x, y, 3.0, bins=3, dims=dims).power
    after = cross_spectrum(2e-9 * change(x), 3e5 * change(y), 3.0 * 70, bins=3, dims=dims).power
    np.testing.assert_allclose(after, 6e-4 * 70**dims * before, rtol=1e-9)
    r = coherence(x, y, 3.0, bins=3, dims=dims).r
    again = coherence(2e-100 * change(x), -3e-120 * change(y), 3.0 * 70, bins=3, dims=dims).r
    np.testing.assert_allclose(again, -r, rtol=1e-9)


def test_batch_precision_and_threads() -> None:
    x, y = noise(2, 16, 14).reshape(2, 7, 16, 16)
    whole = coherence(x, y, 1.0, bins=3).r
    loop = [coherence(a, b, 1.0, bins=3).r for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(whole, loop, rtol=1e-12)
    single = coherence(x.astype(np.float32), y.astype(np.float32), 1.0, bins=3).r
    np.testing.assert_allclose(single, whole, atol=1e-6)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = noise(2, 16, 20)
    monkeypatch.setattr(fourier, "_CHUNK", 600)
    alone = power_spectrum(maps, 1.0, bins=3).power
    with scipy.fft.set_workers(2):
        np.testing.assert_array_equal(power_spectrum(maps, 1.0, bins=3).power, alone)


def test_slabs_change_no_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = noise(3, 10, 2)
    whole = cross_spectrum(x, y, 1.0, bins=3, dims=3).power
    monkeypatch.setattr(fourier, "_SLAB", 200)
    fourier._summing.cache_clear()
    np.testing.assert_allclose(cross_spectrum(x, y, 1.0, bins=3, dims=3).power, whole, rtol=1e-12)
    fourier._summing.cache_clear()


def test_a_field_without_power_has_no_coherence() -> None:
    assert np.isnan(coherence(np.ones((8, 8)), RNG.standard_normal((8, 8)), 1.0, bins=2).r).all()


def test_fields_of_two_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"cross_spectrum .* \(8, 8\) and \(6, 6\)"):
        cross_spectrum(np.ones((8, 8)), np.ones((6, 6)), 1.0)
    with pytest.raises(ShapeError, match=r"coherence .* \(2, 8, 8\) and \(8, 8\)"):
        coherence(np.ones((2, 8, 8)), np.ones((8, 8)), 1.0)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", ["power", "cross", "coherence"])
@pytest.mark.parametrize("shape", [(1, 80, 80, 80), (1, 700, 700), (300, 64, 64)])
def test_peak_memory_stays_below_four_double_copies(
    shape: tuple[int, ...], name: str, periodic: bool, precision: type
) -> None:
    dims, x = len(shape) - 1, np.ones(shape, precision)
    x[:, ::2] = 0.0
    fields = [x] if name == "power" else [x, x]
    do = {"power": power_spectrum, "cross": cross_spectrum, "coherence": coherence}[name]
    fourier.rings.cache_clear()
    fourier._summing.cache_clear()
    tracemalloc.start()
    try:
        do(*fields, 1.0, periodic=periodic, dims=dims)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 8 * x.size * len(fields)


def ours_in_single_rings(field: np.ndarray, box: float) -> np.ndarray:
    """The power in rings one fundamental mode wide, without the last, where we count Nyquist."""
    return power_spectrum(field, box, bins=field.shape[-1] // 2 - 1, dims=field.ndim).power[:-1]


@pytest.fixture(params=["map", "cube", "21cmFAST"])
def same_input(request: pytest.FixtureRequest) -> np.ndarray:
    if request.param == "21cmFAST":
        folder: Path = request.getfixturevalue("shared_data") / "reionisation"
        return np.load(folder / "21cmfast_v4_brightness_temp.npz")["brightness_temp"]
    shape = (64, 64) if request.param == "map" else (24, 24, 24)
    return RNG.standard_normal(shape).cumsum(axis=0).astype(np.float32)


def test_pylians_finds_the_same_power(same_input: np.ndarray) -> None:
    pylians = pytest.importorskip("Pk_library", reason="Pylians is not installed: pip install cython Pylians")
    ours = ours_in_single_rings(same_input, 50.0)
    if same_input.ndim == 2:
        theirs = pylians.Pk_plane(same_input, 50.0, "None", 1, verbose=False).Pk
    else:
        theirs = pylians.Pk(same_input, 50.0, 0, "None", 1, verbose=False).Pk[:, 0]
    np.testing.assert_allclose(theirs[: len(ours)], ours, rtol=1e-5)


def test_powerbox_finds_the_same_power(same_input: np.ndarray) -> None:
    powerbox = pytest.importorskip("powerbox", reason="powerbox is not installed: pip install powerbox")
    ours = ours_in_single_rings(same_input, 50.0)
    # A hair lower, so that rounding puts no mode of an edge below it.
    edges = 2 * np.pi / 50.0 * np.arange(1, same_input.shape[-1] // 2 + 1) * (1 - 1e-9)
    theirs = powerbox.get_power(same_input, 50.0, bins=edges, bins_upto_boxlen=True).power
    np.testing.assert_allclose(theirs[: len(ours)], ours, rtol=1e-5)
