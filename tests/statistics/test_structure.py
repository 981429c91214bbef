"""Structure functions against the autocorrelation, plane waves, random walks and symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gamma

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import StructureFunctions, structure_function
from skyloom.statistics.structure import lag_vectors

RNG = np.random.default_rng(33)


def over_bins(per_vector: np.ndarray, place: np.ndarray, bins: int) -> np.ndarray:
    return np.array([per_vector[place == i].mean() if (place == i).any() else np.nan for i in range(bins)])


@pytest.mark.parametrize(("dims", "N"), [(2, 24), (3, 10)])
def test_definition_pair_by_pair(dims: int, N: int) -> None:
    field = RNG.exponential(size=(N,) * dims)
    bins, orders = 5, [1, 2, 3, 5]
    s = structure_function(field, 3.0, orders=orders, bins=bins, dims=dims)
    vectors, place, _ = lag_vectors(N, dims, bins, 4)
    for i, p in enumerate(orders):
        each = [np.mean(np.abs(np.roll(field, tuple(-v), tuple(range(dims))) - field) ** p) for v in vectors]
        np.testing.assert_allclose(s.moment[i], over_bins(np.array(each), place, bins), rtol=1e-10)
    lengths = np.linalg.norm(vectors, axis=1) * 3.0 / N
    np.testing.assert_allclose(s.lag[np.unique(place)], over_bins(lengths, place, bins)[np.unique(place)])


def test_second_order_is_the_autocorrelation() -> None:
    # S_2 = 2 (ξ(0) - ξ(r)) with ξ from its own definition.
    field = RNG.standard_normal((16, 16))
    s = structure_function(field, 16.0, orders=[2], bins=6)
    vectors, place, _ = lag_vectors(16, 2, 6, 4)
    delta = field - field.mean()
    xi = np.array([np.mean(delta * np.roll(delta, tuple(-v), (0, 1))) for v in vectors])
    np.testing.assert_allclose(s.moment[0], over_bins(2 * (field.var() - xi), place, 6), rtol=1e-10)


@pytest.mark.parametrize("dims", [2, 3])
def test_plane_wave(dims: int) -> None:
    # A cos(k x) differs by 2 A sin(k r_x / 2) times a sine: S_p = |2 A sin|^p Γ((p+1)/2) / √π Γ(p/2 + 1).
    N, n, A = 16, 2, 1.5
    k = 2 * np.pi * n / N
    wave = A * np.cos(k * np.arange(N) + 0.2) * np.ones((N,) * dims)
    s = structure_function(wave, float(N), orders=[2, 4], bins=4, dims=dims)
    vectors, place, _ = lag_vectors(N, dims, 4, 4)
    for i, p in enumerate((2, 4)):
        mean = gamma((p + 1) / 2) / (np.sqrt(np.pi) * gamma(p / 2 + 1))
        each = np.abs(2 * A * np.sin(k * vectors[:, -1] / 2)) ** p * mean
        np.testing.assert_allclose(s.moment[i], over_bins(each, place, 4), rtol=1e-10)


def test_random_walk_in_an_open_box() -> None:
    # Steps of unit variance along one axis: S_2 = |r_y|, and S_4 = 3 r_y² of Gaussian steps.
    maps, N = 400, 24
    walks = np.cumsum(RNG.standard_normal((maps, N, 1)), axis=1) * np.ones(N)
    s = structure_function(walks, float(N), orders=[2, 4], bins=4, periodic=False)
    vectors, place, _ = lag_vectors(N, 2, 4, 4)
    steps = np.abs(vectors[:, 0]).astype(float)
    for i, truth in enumerate((steps, 3 * steps**2)):
        error = s.moment[:, i].std(axis=0, ddof=1) / np.sqrt(maps)
        z = (s.moment[:, i].mean(axis=0) - over_bins(truth, place, 4)) / error
        assert np.abs(z).max() < 4


@pytest.mark.parametrize("H", [1 / 3, 0.7])
def test_slope_of_fractional_brownian_maps(H: float) -> None:
    # P ~ k^-(2H + 2) in two dimensions makes S_2 ~ r^2H well inside the box; S_4 = 3 S_2² of a Gaussian.
    N, maps = 128, 12
    n = np.hypot(*np.meshgrid(np.fft.fftfreq(N, 1 / N), np.fft.fftfreq(N, 1 / N)))
    amplitude = np.where(n > 0, np.maximum(n, 1) ** -(H + 1), 0.0)
    white = np.fft.fft2(RNG.standard_normal((maps, N, N)))
    fields = np.fft.ifft2(white * amplitude).real
    s = structure_function(fields, float(N), orders=[2, 4], bins=12)
    mean = s.moment.mean(axis=0)
    inside = (s.lag > 3) & (s.lag < 16)
    slope = np.polyfit(np.log(s.lag[inside]), np.log(mean[0, inside]), 1)[0]
    # The periodic box bends the power law: the truth is that of ξ summed over its modes.
    xi = np.fft.ifft2(amplitude**2).real
    vectors, place, _ = lag_vectors(N, 2, 12, 4)
    exact = over_bins(2 * (xi[0, 0] - xi[tuple(vectors.T)]), place, 12)
    truth = np.polyfit(np.log(s.lag[inside]), np.log(exact[inside]), 1)[0]
    assert slope == pytest.approx(truth, abs=0.05)
    assert truth == pytest.approx(2 * H, abs=0.16)
    near = s.lag < 6
    assert mean[1, near] / mean[0, near] ** 2 == pytest.approx(3.0, rel=0.05)


def test_lag_vectors() -> None:
    vectors, place, lag = lag_vectors(32, 2, 8, 3)
    edges = np.geomspace(1, 16, 9)
    length = np.linalg.norm(vectors, axis=1)
    assert (length >= edges[place]).all()
    assert (length <= edges[place + 1]).all()
    both = {tuple(v) for v in vectors} | {tuple(-v) for v in vectors}
    assert len(both) == 2 * len(vectors)
    assert {(y, x) for x, y in both} == both == {(-x, y) for x, y in both}
    assert (np.diff(lag) > 0).all()


SYMMETRIES = {
    "turn": lambda m: np.rot90(m, axes=(-2, -1)),
    "flip": lambda m: m[..., ::-1],
    "roll": lambda m: np.roll(m, (3, 5), axis=(-2, -1)),
    "change of sign": lambda m: -m,
    "shift of the mean": lambda m: m + 12.0,
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "periodic"), [(n, p) for n in SYMMETRIES for p in (True, False) if p or n != "roll"]
)
def test_symmetries(name: str, periodic: bool, dims: int) -> None:
    field = RNG.standard_normal((2, *(9,) * dims))
    before, after = (
        structure_function(f, 5.0, bins=4, periodic=periodic, dims=dims).moment
        for f in (field, SYMMETRIES[name](field))
    )
    np.testing.assert_allclose(after, before, rtol=1e-10)


def test_units_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = RNG.standard_normal((3, 2, 12, 12))
    old, new = structure_function(fields, 1.0, bins=4), structure_function(10 * fields, 2.0, bins=4)
    np.testing.assert_allclose(new.lag, 2 * old.lag)
    np.testing.assert_allclose(new.moment, old.moment * 10.0 ** np.arange(1, 4)[:, None], rtol=1e-10)
    np.testing.assert_allclose(structure_function(fields[2, 1], 1.0, bins=4).moment, old.moment[2, 1])
    monkeypatch.setattr("skyloom.statistics.structure._CHUNK", 300)
    np.testing.assert_allclose(structure_function(fields, 1.0, bins=4).moment, old.moment, rtol=1e-12)


def test_component_leaves_out_empty_bins() -> None:
    maps = RNG.standard_normal((2, 8, 8))
    ds = StructureFunctions(orders=[2], bins=24).compute(maps, 8.0, True, "mK")
    s = structure_function(maps, 8.0, orders=[2], bins=24)
    filled = np.isfinite(s.moment[0, 0])
    assert 0 < filled.sum() < 24
    np.testing.assert_array_equal(ds["order_2"], s.moment[:, 0, filled])
    np.testing.assert_array_equal(ds["lag"], s.lag[filled])


@pytest.mark.parametrize(
    ("field", "arguments", "error", "text"),
    [
        (np.ones((8, 7)), {}, ShapeError, r"\(8, 7\)"),
        (np.full((8, 8), np.nan), {}, DataError, "1 of 1"),
        (np.ones((8, 8)), {"box": 0.0}, UsageError, "box is 0.0"),
        (np.ones((8, 8)), {"orders": []}, UsageError, "orders are"),
        (np.ones((8, 8)), {"orders": [2, 2]}, UsageError, "each once"),
        (np.ones((8, 8)), {"orders": [0.5]}, UsageError, "positive whole"),
        (np.ones((8, 8)), {"bins": 0}, UsageError, "bins is 0"),
        (np.ones((8, 8)), {"directions": 0}, UsageError, "directions is 0"),
    ],
)
def test_wrong_arguments(field, arguments: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        structure_function(field, **{"box": 1.0, **arguments})
