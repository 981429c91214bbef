"""The power spectrum against closed forms, a brute-force sum, sampled truth and its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import CoherenceSpectrum, PowerSpectrum, power_spectrum

RNG = np.random.default_rng(20)


def wavenumbers(N: int, dims: int) -> np.ndarray:
    """Distance of every mode of ``fftn`` from the origin, in fundamental modes."""
    axis = np.fft.fftfreq(N, 1 / N)
    return np.sqrt(sum(np.square(a) for a in np.meshgrid(*[axis] * dims, indexing="ij")))


def brute_force(field: np.ndarray, box: float, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The definition, mode by mode, over the full transform."""
    N, dims = field.shape[-1], field.ndim
    n = wavenumbers(N, dims)
    square = np.abs(np.fft.fftn(field)) ** 2 * box**dims / N ** (2 * dims)
    edges = np.linspace(1, N / 2, bins + 1)
    k, power, modes = [], [], []
    for i in range(bins):
        last = i == bins - 1
        inside = (n >= edges[i]) & ((n <= edges[i + 1]) if last else (n < edges[i + 1]))
        modes.append(inside.sum())
        power.append(square[inside].mean() if inside.any() else np.nan)
        k.append((n[inside].mean() if inside.any() else (edges[i] + edges[i + 1]) / 2) * 2 * np.pi / box)
    return np.array(k), np.array(power), np.array(modes)


@pytest.mark.parametrize(("dims", "N", "bins"), [(2, 16, 5), (2, 15, 4), (2, 16, 24), (3, 8, 3), (3, 9, 4)])
def test_agrees_with_the_definition(dims: int, N: int, bins: int) -> None:
    field = RNG.standard_normal((N,) * dims)
    s = power_spectrum(field, 7.5, bins=bins, dims=dims)
    k, power, modes = brute_force(field, 7.5, bins)
    np.testing.assert_array_equal(s.modes, modes)
    np.testing.assert_allclose(s.k, k, rtol=1e-13)
    np.testing.assert_allclose(s.power, power, rtol=1e-11)


@pytest.mark.parametrize(("dims", "N"), [(2, 64), (3, 16)])
def test_plane_wave(dims: int, N: int) -> None:
    # A cos(k x) has |delta_k| = A N^dims / 2 at two modes, so their bin holds V A² / 2 over its modes.
    A, n, box = 3.0, 5, 20.0
    wave = A * np.cos(2 * np.pi * n * np.arange(N) / N + 0.3) * np.ones((N,) * dims)
    s = power_spectrum(wave, box, bins=6, dims=dims)
    edges = np.linspace(1, N / 2, 7)
    here = np.searchsorted(edges, n, side="right") - 1
    expected = np.zeros(6)
    expected[here] = box**dims * A**2 / 2 / s.modes[here]
    np.testing.assert_allclose(s.power, expected, atol=1e-18 * expected.max() + 1e-20)


@pytest.mark.parametrize("dims", [2, 3])
def test_parseval(dims: int) -> None:
    # Of a field without modes beyond Nyquist, the bins hold everything: sum P modes = V variance.
    N, box = 16, 3.0
    modes = np.fft.fftn(RNG.standard_normal((N,) * dims))
    n = wavenumbers(N, dims)
    modes[(n > N / 2) | (n == 0)] = 0
    field = np.fft.ifftn(modes).real
    s = power_spectrum(field, box, bins=7, dims=dims)
    assert np.nansum(s.power * s.modes) == pytest.approx(box**dims * field.var(), rel=1e-12)


@pytest.mark.parametrize(("dims", "N", "maps"), [(2, 32, 64), (3, 12, 48)])
def test_gaussian_field_of_known_power(dims: int, N: int, maps: int) -> None:
    # White noise has <|w_k|²> = N^dims; times sqrt(P N^dims / V) it has the power P. A bin of m modes (mirror
    # images counted) then scatters with the variance 2 sum P² / m², and the mean over maps is Gaussian.
    box, bins = 100.0, 8
    n = wavenumbers(N, dims)
    P = 1.0 / np.maximum(2 * np.pi * n / box, 1e-9) ** 2
    P[(0,) * dims] = 0.0
    axes = tuple(range(1, dims + 1))
    white = np.fft.fftn(RNG.standard_normal((maps, *(N,) * dims)), axes=axes)
    fields = np.fft.ifftn(white * np.sqrt(P * N**dims / box**dims), axes=axes).real
    s = power_spectrum(fields, box, bins=bins, dims=dims)
    edges = np.linspace(1, N / 2, bins + 1)
    z = []
    for i in range(bins):
        inside = (n >= edges[i]) & ((n < edges[i + 1]) if i < bins - 1 else (n <= edges[i + 1]))
        sd = np.sqrt(2 * np.square(P[inside]).sum() / maps) / inside.sum()
        z.append((s.power[:, i].mean() - P[inside].mean()) / sd)
    assert 1e-3 < chi2.sf(np.square(z).sum(), bins) < 1 - 1e-3


@pytest.mark.parametrize("periodic", [True, False])
def test_white_noise_has_the_power_of_its_variance(periodic: bool) -> None:
    # sigma² V / N_pix at every k; the window takes modes away but not power.
    N, box, sigma, maps = 32, 16.0, 2.0, 200
    fields = sigma * RNG.standard_normal((maps, N, N))
    s = power_spectrum(fields, box, periodic=periodic, bins=4)
    error = s.power.std(axis=0) / np.sqrt(maps)
    z = (s.power.mean(axis=0) - sigma**2 * box**2 / N**2) / error
    assert np.abs(z[1 - periodic :]).max() < 4  # subtracting the windowed mean takes power from the first bin


def test_window_stops_the_leak_of_an_open_map() -> None:
    # Half a wave too many: without a window its jump at the edge leaks to all k as 1/k².
    wave = np.cos(2 * np.pi * 3.5 * (np.arange(64) + 0.5) / 64 + 0.7)[:, None] * np.ones(64)
    leaked = power_spectrum(wave, 64.0, bins=8).power[-1]
    assert power_spectrum(wave, 64.0, bins=8, periodic=False).power[-1] < 1e-4 * leaked


SYMMETRIES = {
    "turn": lambda m: np.rot90(m, axes=(-2, -1)),
    "flip rows": lambda m: m[..., ::-1, :],
    "flip columns": lambda m: m[..., ::-1],
    "roll": lambda m: np.roll(m, (3, 5), axis=(-2, -1)),
    "change of sign": lambda m: -m,
    "shift of the mean": lambda m: m + 12.0,
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "periodic"), [(n, p) for n in SYMMETRIES for p in (True, False) if p or n != "roll"]
)
def test_symmetries(name: str, periodic: bool, dims: int) -> None:
    field = RNG.standard_normal((2, *(12,) * dims))
    before = power_spectrum(field, 5.0, periodic=periodic, bins=4, dims=dims).power
    after = power_spectrum(SYMMETRIES[name](field), 5.0, periodic=periodic, bins=4, dims=dims).power
    np.testing.assert_allclose(after, before, rtol=1e-9)


@settings(max_examples=40)
@given(
    u=st.floats(1e-3, 1e3),
    length=st.floats(1e-3, 1e3),
    dims=st.sampled_from([2, 3]),
    bins=st.integers(1, 9),
    periodic=st.booleans(),
)
def test_change_of_units(u: float, length: float, dims: int, bins: int, periodic: bool) -> None:
    field = np.random.default_rng(1).standard_normal((8,) * dims)
    old = power_spectrum(field, 10.0, periodic=periodic, bins=bins, dims=dims)
    new = power_spectrum(u * field, 10.0 * length, periodic=periodic, bins=bins, dims=dims)
    np.testing.assert_array_equal(new.modes, old.modes)
    np.testing.assert_allclose(new.k, old.k / length, rtol=1e-12)
    np.testing.assert_allclose(new.power, u**2 * length**dims * old.power, rtol=1e-9)


def test_batches_of_any_shape_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = RNG.standard_normal((3, 2, 8, 8))
    whole = power_spectrum(fields, 1.0, bins=3).power
    assert whole.shape == (3, 2, 3)
    one_by_one = [[power_spectrum(m, 1.0, bins=3).power for m in row] for row in fields]
    np.testing.assert_allclose(whole, one_by_one, rtol=1e-12)
    monkeypatch.setattr("skyloom.statistics.fourier._CHUNK", 100)
    np.testing.assert_allclose(power_spectrum(fields, 1.0, bins=3).power, whole, rtol=1e-12)
    assert power_spectrum(fields[:0], 1.0, bins=3).power.shape == (0, 2, 3)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_single_precision_keeps_what_the_pixels_keep(mean: float, periodic: bool) -> None:
    # The transform adds rounding of 1e-7 of a mode of unit variance, whatever the mean was.
    field = (RNG.standard_normal((3, 64, 64)) + mean).astype(np.float32)
    exact = power_spectrum(field.astype(np.float64), 1.0, periodic=periodic).power
    np.testing.assert_allclose(power_spectrum(field, 1.0, periodic=periodic).power, exact, rtol=3e-6)


@pytest.mark.parametrize("unit", [1e-30, 1e30, 1e37])
def test_single_precision_in_any_unit(unit: float) -> None:
    # In single precision the square of a density in g/cm³ is 0, of a mass in g infinite; at 1e37 a sum too.
    field = RNG.standard_normal((32, 32))
    power = power_spectrum((unit * field).astype(np.float32), 1.0, bins=6).power
    np.testing.assert_allclose(power, unit**2 * power_spectrum(field, 1.0, bins=6).power, rtol=3e-6)


def test_half_precision_and_whole_numbers() -> None:
    field = RNG.integers(-50, 50, (16, 16))
    exact = power_spectrum(field.astype(np.float64), 1.0, bins=4).power
    np.testing.assert_array_equal(power_spectrum(field, 1.0, bins=4).power, exact)
    np.testing.assert_allclose(power_spectrum(field.astype(np.float16), 1.0, bins=4).power, exact, rtol=3e-6)


def test_argument_is_not_changed() -> None:
    field = RNG.standard_normal((8, 8))
    before = field.copy()
    power_spectrum(field, 1.0, periodic=False)
    np.testing.assert_array_equal(field, before)


@pytest.mark.parametrize(
    ("field", "arguments", "error", "text"),
    [
        (np.ones((4, 5)), {"box": 1.0}, ShapeError, r"\(4, 5\)"),
        (np.ones(4), {"box": 1.0}, ShapeError, r"\(4,\)"),
        (np.ones((2, 4, 4)), {"box": 1.0, "dims": 3}, ShapeError, r"\(2, 4, 4\).*\(\.\.\., N, N, N\)"),
        (np.full((2, 4, 4), np.nan), {"box": 1.0}, DataError, "2 of 2"),
        (np.array([["a", "b"], ["c", "d"]]), {"box": 1.0}, DataError, "type <U1"),
        (np.ones((4, 4)), {"box": 0.0}, UsageError, "box is 0.0"),
        (np.ones((4, 4)), {"box": 1.0, "bins": 0}, UsageError, "bins is 0"),
        (np.ones((4, 4)), {"box": 1.0, "dims": 4}, UsageError, "dims is 4"),
    ],
)
def test_wrong_arguments(field: np.ndarray, arguments: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        power_spectrum(field, **arguments)


def test_component_leaves_out_empty_bins() -> None:
    maps = RNG.standard_normal((3, 8, 8))
    ds = PowerSpectrum(bins=24).compute(maps, 8.0, True, "mK", box_unit="Mpc")
    s = power_spectrum(maps, 8.0, bins=24)
    filled = s.modes > 0
    assert 0 < filled.sum() < 24
    np.testing.assert_array_equal(ds["power"].values, s.power[:, filled])
    np.testing.assert_array_equal(ds["k"].values, s.k[filled])
    with pytest.raises(UsageError, match="bins is 0"):
        PowerSpectrum(bins=0)


def test_of_the_logarithm_a_unit_drops_out_and_a_power_is_a_factor() -> None:
    x, y = np.random.default_rng(5).standard_normal((2, 3, 16, 16))
    plain = PowerSpectrum(bins=4).compute(x, 16.0, True, "")["power"].values
    statistic = PowerSpectrum(bins=4, log=True)
    # log10(7 · 10^(2x)) = 2x + a constant, and a constant has no power beside k = 0.
    found = statistic.compute(7.0 * 10 ** (2 * x), 16.0, True, "mK")["log_power"]
    np.testing.assert_allclose(found.values, 4 * plain, rtol=1e-9)
    assert found.attrs["units"] == "Mpc2"
    linear = CoherenceSpectrum(bins=4).compute(x, x + y, 16.0, True, ("", ""))["r"].values
    log = CoherenceSpectrum(bins=4, log=True).compute(10**x, 3 * 10 ** (x + y), 16.0, True, ("mK", ""))
    np.testing.assert_allclose(log["log_r"].values, linear, rtol=1e-9)
    # A map with a value that has no logarithm has no spectrum; the others keep theirs.
    mixed = 10**x
    mixed[1, 3, 4] = 0.0
    rows = statistic.compute(mixed, 16.0, True, "mK")["log_power"].values
    assert np.isnan(rows[1]).all()
    np.testing.assert_allclose(rows[[0, 2]], plain[[0, 2]], rtol=1e-9)
    with pytest.raises(DataError, match="no map is positive everywhere"):
        statistic.compute(x, 16.0, True, "mK")
