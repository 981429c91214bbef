"""The bispectrum against a sum over triangles, closed phases, a known skewness, scatter, symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import TriangleBispectrum, bispectrum, equilateral, isosceles, squeezed

RNG = np.random.default_rng(31)


def brute_force(field: np.ndarray, sides: tuple[float, ...], width: float) -> tuple[float, int]:
    """Mean product and number of ordered triples of modes, in whole fundamental modes, that sum to zero."""
    N, dims = field.shape[-1], field.ndim
    modes = np.fft.fftn(field)
    axis = range(-((N - 1) // 2), (N + 1) // 2)
    vectors = list(itertools.product(axis, repeat=dims))
    length = {v: float(np.sqrt(sum(c * c for c in v))) for v in vectors}
    shells = [
        [v for v in vectors if side - width / 2 <= length[v] < side + width / 2 and any(v)] for side in sides
    ]
    third, total, count = set(shells[2]), 0.0, 0
    for a in shells[0]:
        for b in shells[1]:
            c = tuple(-i - j for i, j in zip(a, b, strict=True))
            if c in third:
                total += (modes[a] * modes[b] * modes[c]).real
                count += 1
    return (total / count if count else np.nan), count


@pytest.mark.parametrize(
    ("dims", "N", "width", "sides"),
    [
        (2, 12, 2.0, [(3, 3, 3), (5, 5, 5), (5, 4, 2), (4, 4, 0.5), (5, 1, 1)]),
        (2, 11, 1.0, [(3, 3, 3), (5, 5, 3)]),
        (3, 8, 1.5, [(2, 2, 2), (3.2, 3.2, 3.2), (3, 2, 2.5)]),
    ],
)
def test_agrees_with_a_sum_over_triangles(dims: int, N: int, width: float, sides: list) -> None:
    # Some of these reach beyond a third of the grid, where triangles that close across its edge lie in wait.
    field, box = RNG.standard_normal((N,) * dims), 5.0
    result = bispectrum(field, box, np.array(sides) * 2 * np.pi / box, width=width, dims=dims)
    expected = [brute_force(field, triangle, width) for triangle in sides]
    np.testing.assert_array_equal(result.triangles, [count for _, count in expected])
    scale = box ** (2 * dims) / N ** (3 * dims)
    np.testing.assert_allclose(result.B, [scale * mean for mean, _ in expected], rtol=1e-9)
    assert sum(count == 0 for _, count in expected) == (dims == 2 and N == 12)  # 5, 1, 1 does not close


@pytest.mark.parametrize("phase", [0.0, 1.0, np.pi / 2])
def test_three_waves_with_closed_phases(phase: float) -> None:
    # A_i cos(k_i x + phi_i) has delta_k = N_pix A_i exp(i phi_i) / 2 at k_i. With k1 + k2 + k3 = 0 the shells
    # hold this triangle and its mirror image: B = V² A1 A2 A3 cos(phi1 + phi2 + phi3) / 4 over the triangles.
    N, box, A = 32, 20.0, (2.0, 3.0, 0.5)
    waves = np.array([(3, 0), (4, 6), (-7, -6)])
    x = np.stack(np.meshgrid(np.arange(N), np.arange(N), indexing="ij"), axis=-1) * 2 * np.pi / N
    phases = (0.4, -1.0, phase + 0.6)
    field = sum(a * np.cos(x @ k + phi) for a, k, phi in zip(A, waves, phases, strict=True))
    sides = np.linalg.norm(waves, axis=1)[None] * 2 * np.pi / box
    result = bispectrum(field, box, sides, width=1.0)
    expected = box**4 * np.prod(A) * np.cos(phase) / 4 / result.triangles
    np.testing.assert_allclose(result.B, expected, atol=1e-12 * box**4)


@pytest.mark.parametrize(("dims", "N", "maps"), [(2, 32, 300), (3, 16, 60)])
def test_local_skewness_has_the_bispectrum_of_tree_level(dims: int, N: int, maps: int) -> None:
    # x = g + f (g² - <g²>) has B = 2 f (P1 P2 + P2 P3 + P3 P1) to first order in f, so Q = 2 f. The part of B
    # that is even in f, noise of the Gaussian field, goes out of half the difference between f and -f.
    f, axes = 0.01, tuple(range(1, dims + 1))
    modes = np.fft.fftn(RNG.standard_normal((maps, *(N,) * dims)), axes=axes)
    axis = np.fft.fftfreq(N, 1 / N)
    n = np.sqrt(sum(np.square(a) for a in np.meshgrid(*[axis] * dims, indexing="ij")))
    modes[:, (n > N / 4) | (n == 0)] = 0  # g² then ends at Nyquist
    g = np.fft.ifftn(modes, axes=axes).real
    g /= g.std()
    box, k = 10.0, 2 * np.pi / 10.0
    top = N / 4 - 0.5
    sides = np.concatenate(
        [equilateral([0.6 * top * k, top * k]), isosceles(0.5 * top * k, [0.3, 1.5, 2.5]),
         squeezed(1.5 * k, [top * k])]
    )  # fmt: skip
    up, down = (bispectrum(g + s * f * g**2, box, sides, width=1.0, dims=dims) for s in (1, -1))
    plain = bispectrum(g, box, sides, width=1.0, dims=dims)
    ratio = 0.5 * (up.B - down.B) / (plain.B / plain.Q)
    error = ratio.std(axis=0, ddof=1) / np.sqrt(maps)
    assert (np.abs(ratio.mean(axis=0) - 2 * f) < 4 * error).all()
    assert (error < 0.15 * 2 * f).all()


@pytest.mark.parametrize(("dims", "N", "maps"), [(2, 24, 300), (3, 12, 100)])
def test_white_noise_scatters_about_zero_as_theory_says(dims: int, N: int, maps: int) -> None:
    # var B = s V P1 P2 P3 / triangles, s = 1, 2, 6 for no, two, three equal sides.
    box, P = 3.0, (3.0 / N) ** dims
    sides = np.array([[5, 5, 5], [5, 5, 3], [5, 4, 2]]) * 2 * np.pi / box * N / 24
    result = bispectrum(RNG.standard_normal((maps, *(N,) * dims)), box, sides, width=1.0, dims=dims)
    sd = np.sqrt(np.array([6, 2, 1]) * box**dims * P**3 / result.triangles)
    z = result.B / sd
    assert 1e-3 < chi2.sf(maps * np.square(z.mean(axis=0)).sum(), 3) < 1 - 1e-3
    # The kurtosis of a sum over many triangles is small: the sd of a variance is sqrt(2 / maps) of it.
    np.testing.assert_allclose(z.var(axis=0), 1, atol=5 * np.sqrt(2 / maps))


SYMMETRIES = {
    "turn": lambda m: np.rot90(m, axes=(-2, -1)),
    "flip": lambda m: m[..., ::-1, :],
    "roll": lambda m: np.roll(m, (3, 5), axis=(-2, -1)),
    "shift of the mean": lambda m: m + 12.0,
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "periodic"), [(n, p) for n in SYMMETRIES for p in (True, False) if p or n != "roll"]
)
def test_symmetries(name: str, periodic: bool, dims: int) -> None:
    field = np.exp(0.5 * RNG.standard_normal((2, *(12,) * dims)))
    sides = np.array([[3.0, 3.0, 3.0], [4.0, 3.0, 2.0]])
    before = bispectrum(field, 2 * np.pi, sides, periodic=periodic, dims=dims)
    after = bispectrum(SYMMETRIES[name](field), 2 * np.pi, sides, periodic=periodic, dims=dims)
    np.testing.assert_allclose(after.B, before.B, rtol=1e-9)
    np.testing.assert_allclose(after.Q, before.Q, rtol=1e-9)


def test_order_of_the_sides_and_sign_of_the_field() -> None:
    field = np.exp(RNG.standard_normal((16, 16)))
    orders = np.array(list(itertools.permutations([2.0, 3.0, 4.0])))
    B = bispectrum(field, 2 * np.pi, orders).B
    np.testing.assert_allclose(B, B[0], rtol=1e-9)
    np.testing.assert_allclose(bispectrum(-field, 2 * np.pi, orders).B, -B, rtol=1e-9)


@pytest.mark.parametrize("dims", [2, 3])
def test_change_of_units(dims: int) -> None:
    field, sides = np.exp(RNG.standard_normal((10,) * dims)), np.array([[2.0, 2.0, 2.0], [3.0, 2.0, 4.0]])
    u, length = 7e-3, 1.7e4
    old = bispectrum(field, 2 * np.pi, sides, dims=dims)
    new = bispectrum(u * field, 2 * np.pi * length, sides / length, dims=dims)
    np.testing.assert_array_equal(new.triangles, old.triangles)
    np.testing.assert_allclose(new.k, old.k / length, rtol=1e-12)
    np.testing.assert_allclose(new.B, u**3 * length ** (2 * dims) * old.B, rtol=1e-9)
    np.testing.assert_allclose(new.Q, old.Q / u, rtol=1e-9)


def test_window_keeps_the_bispectrum_of_white_noise() -> None:
    # Independent pixels of third moment m have B = m V² / N_pix² at every triangle: 2 for an exponential.
    N, box, maps = 32, 4.0, 400
    fields = RNG.exponential(size=(maps, N, N))
    for periodic in (True, False):
        B = bispectrum(fields, box, equilateral([8.0, 12.0]), periodic=periodic).B
        error = B.std(axis=0) / np.sqrt(maps)
        assert (np.abs(B.mean(axis=0) - 2 * box**4 / N**4) < 4 * error).all()


def test_batches_single_precision_and_any_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    fields, sides = np.exp(RNG.standard_normal((3, 2, 12, 12))), np.array([[2.0, 3.0, 4.0], [3.0, 3.0, 3.0]])
    whole = bispectrum(fields, 2 * np.pi, sides)
    one_by_one = [[bispectrum(m, 2 * np.pi, sides).B for m in row] for row in fields]
    np.testing.assert_allclose(whole.B, one_by_one, rtol=1e-9)
    monkeypatch.setattr("skyloom.statistics.three_point._CHUNK", 300)
    np.testing.assert_allclose(bispectrum(fields, 2 * np.pi, sides).B, whole.B, rtol=1e-9)
    assert bispectrum(fields[:0], 2 * np.pi, sides).B.shape == (0, 2, 2)
    for unit in (1e-30, 1.0, 1e36):
        single = bispectrum((unit * fields).astype(np.float32), 2 * np.pi, sides)
        atol = 1e-5 * np.abs(whole.B).max()
        np.testing.assert_allclose(single.B / unit**3, whole.B, atol=atol, rtol=0)


@pytest.mark.parametrize(
    ("field", "arguments", "error", "text"),
    [
        (np.ones((8, 6)), {}, ShapeError, r"\(8, 6\)"),
        (np.full((8, 8), np.inf), {}, DataError, "1 of 1"),
        (np.ones((8, 8)), {"box": -1.0}, UsageError, "box is -1.0"),
        (np.ones((8, 8)), {"width": 0.0}, UsageError, "width is 0.0"),
        (np.ones((8, 8)), {"triangles": np.ones((3, 2))}, ShapeError, r"\(3, 2\), allowed: \(T, 3\)"),
        (np.ones((8, 8)), {"triangles": np.full((1, 3), 3.5)}, UsageError, r"3.5, allowed: 0 to 3"),
        (np.ones((8, 8)), {"triangles": np.full((1, 3), np.nan)}, UsageError, "a side is nan"),
    ],
)
def test_wrong_arguments(field: np.ndarray, arguments: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        bispectrum(field, **{"box": 2 * np.pi, "triangles": np.full((1, 3), 2.0), **arguments})


@pytest.mark.parametrize("shape", ["equilateral", "isosceles", "squeezed"])
@pytest.mark.parametrize("dims", [2, 3])
def test_component_gives_the_triangles_of_its_shape(shape: str, dims: int) -> None:
    cubes = np.exp(RNG.standard_normal((2, *(12,) * dims)))
    ds = TriangleBispectrum(shape=shape, bins=3).compute(cubes, 6.0, True, "mK", box_unit="kpc")
    k_F = 2 * np.pi / 6
    k = k_F * np.array([2.0, 3.5, 5.0])
    sides = {
        "equilateral": equilateral(k),
        "squeezed": squeezed(2 * k_F, k),
        "isosceles": isosceles(2.5 * k_F, np.pi * np.array([1, 3, 5]) / 6),
    }[shape]
    np.testing.assert_allclose(ds["B"].values, bispectrum(cubes, 6.0, sides, dims=dims).B, rtol=1e-9)
    assert ds["B"].attrs["units"] == f"kpc{2 * dims} mK3" and ds["Q"].attrs["units"] == "1 / mK"


def test_component_refuses_what_it_cannot_do() -> None:
    with pytest.raises(UsageError, match="shape is 'flat', allowed: equilateral"):
        TriangleBispectrum(shape="flat")
    with pytest.raises(ShapeError, match="5 pixels a side, allowed: 6 or more"):
        TriangleBispectrum().compute(np.ones((1, 5, 5)), 1.0, True, "mK")
