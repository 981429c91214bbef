"""Minkowski functionals against bodies of known shape, Gaussian closed forms and symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import MinkowskiFunctionals, gaussian_minkowski, minkowski_functionals

RNG = np.random.default_rng(31)


def distance(N: int, dims: int, period: float, shift: float = 0.3) -> np.ndarray:
    """Distance of every pixel of a box of side N from the nearest point of a cubic lattice."""
    axis = (np.arange(N) + shift) % period - period / 2
    return np.sqrt(sum(np.square(a) for a in np.meshgrid(*[axis] * dims, indexing="ij")))


def at(field: np.ndarray, threshold: float, **arguments):
    return minkowski_functionals(field, thresholds=[threshold], relative=False, **arguments)


@pytest.mark.parametrize("periodic", [True, False])
def test_lattice_of_discs(periodic: bool) -> None:
    # 3 × 3 discs of radius r, one a cell: π r², 2 π r, and 1; curvature 2π.
    box, r, cell = 96.0, 12.65, 32.0**2
    m = at(-distance(192, 2, 64.0), -2 * r, box=box, periodic=periodic)
    inner = box**2 if periodic else (box * 191 / 192) ** 2  # only the blocks inside count
    assert m.volume[0] * cell == pytest.approx(np.pi * r**2, rel=0.005)
    assert m.boundary[0] * inner / 9 == pytest.approx(2 * np.pi * r, rel=0.01)
    assert m.euler[0] * inner == pytest.approx(9, rel=1e-12)
    assert m.curvature[0] * inner == pytest.approx(18 * np.pi, rel=1e-12)


def test_boundary_hardly_depends_on_the_orientation() -> None:
    # Of a straight edge at the angle θ four directions see π/8 Σ |cos(θ - i π/4)|: from 0.948 to 1.026 of it.
    y, x = np.mgrid[:128, :128] - 63.5
    for angle in np.linspace(0, np.pi, 13):
        inside = (np.abs(x * np.cos(angle) + y * np.sin(angle)) < 10) & (np.hypot(x, y) < 40)
        # Two chords of half-length √(40² - 10²) and two arcs of half-angle arcsin(10 / 40).
        length = 4 * np.sqrt(40**2 - 10**2) + 4 * 40 * np.arcsin(0.25)
        m = at(inside.astype(float), 0.5, box=128.0, periodic=False)
        assert m.boundary[0] * 127**2 == pytest.approx(length, rel=0.052)


def test_annuli_have_no_euler_characteristic() -> None:
    r = distance(64, 2, 16.0)
    m = at(-np.abs(r - 5.0), -1.5, box=64.0)
    assert m.euler[0] == 0.0
    assert m.boundary[0] * 16**2 == pytest.approx(2 * np.pi * (6.5 + 3.5), rel=0.03)


def test_lattice_of_balls() -> None:
    # One a cell of 16³: 4/3 π R³, 4 π R², the mean curvature 1/R over the surface 4 π R, and 1.
    R, box = 6.2, 16.0
    m = at(-distance(32, 3, 16.0), -R, box=box, dims=3)
    cell, r = (box / 2) ** 3, R / 2
    assert m.volume[0] * cell == pytest.approx(4 / 3 * np.pi * r**3, rel=0.01)
    assert m.boundary[0] * cell == pytest.approx(4 * np.pi * r**2, rel=0.02)
    assert m.curvature[0] * cell == pytest.approx(4 * np.pi * r, rel=0.03)
    assert m.euler[0] * cell == pytest.approx(1.0, rel=1e-12)


def test_shells_and_rings_in_three_dimensions() -> None:
    # A hollow ball has two closed surfaces, χ = 2; a solid ring has χ = 0, and so has a rod through the box.
    r = distance(32, 3, 32.0)
    shell = at(-np.abs(r - 9.0), -2.0, box=32.0, dims=3)
    assert shell.euler[0] * 32**3 == pytest.approx(2.0)
    # The inner surface is curved the other way.
    assert shell.curvature[0] * 32**3 == pytest.approx(4 * np.pi * (11 - 7), rel=0.05)
    y, x = np.mgrid[:32, :32] - 15.7
    z = np.arange(32)[:, None, None] - 15.7
    ring = at(-np.hypot(np.hypot(x, y) - 9.0, z), -3.0, box=32.0, dims=3)
    assert ring.euler[0] == 0.0
    # ∫ H dA of a ring of radii A and a is 2 π² A.
    assert ring.curvature[0] * 32**3 == pytest.approx(2 * np.pi**2 * 9.0, rel=0.03)
    rod = at(np.broadcast_to(-np.hypot(x, y), (32, 32, 32)), -6.0, box=32.0, dims=3)
    assert rod.euler[0] == 0.0
    # H = 1/2R over 2 π R L: π L. Along an axis the 13 orientations see Σ w |n_z| = 0.4634 of it for 1/2.
    assert rod.curvature[0] * 32**3 == pytest.approx(2 * 0.4634 * np.pi * 32, rel=0.01)


def gaussian_fields(maps: int, N: int, dims: int, scale: float) -> np.ndarray:
    """Fields of unit variance with the correlation exp(-r² / 2 scale²)."""
    k = 2 * np.pi * np.fft.fftfreq(N)
    square = sum(np.square(a) for a in np.meshgrid(*[k] * dims, indexing="ij"))
    amplitude = np.exp(-square * scale**2 / 4)
    axes = tuple(range(1, dims + 1))
    white = np.fft.fftn(RNG.standard_normal((maps, *(N,) * dims)), axes=axes)
    return np.fft.ifftn(white * amplitude / np.sqrt(np.square(amplitude).mean()), axes=axes).real


@pytest.mark.parametrize(("dims", "N", "maps"), [(2, 64, 120), (3, 32, 24)])
def test_gaussian_field(dims: int, N: int, maps: int) -> None:
    # A correlation exp(-r²/2s²) has <(∂x)²> = 1/s². A distance h between pixels misses a share h²/12s² of the
    # crossings (arccos ρ / π for √(-ρ'') h / π): at most 1.5 % with h = √3, s = 4; that much is allowed.
    scale, nu = 4.0, np.array([-1.5, -0.7, 0.0, 0.7, 1.5])
    fields = gaussian_fields(maps, N, dims, scale)
    m = minkowski_functionals(fields, float(N), thresholds=nu.tolist(), relative=False, dims=dims)
    truth = gaussian_minkowski(nu, 1 / scale, dims=dims)
    np.testing.assert_allclose(truth.volume, erfc(nu / np.sqrt(2)) / 2)
    for name in ("volume", "boundary", "curvature", "euler"):
        found, expected = getattr(m, name), getattr(truth, name)
        error = found.std(axis=0, ddof=1) / np.sqrt(maps)
        grid = 0.0 if name == "volume" else (0.03 if name == "euler" else 0.015) * np.abs(expected).max()
        z = (np.abs(found.mean(axis=0) - expected) - grid) / error
        assert z.max() < 3.5, (name, z)
        assert (error < 0.12 * np.abs(expected).max()).all()  # the test can fail


def test_crossings_of_the_median_on_the_grid() -> None:
    # P(x y < 0) = arccos(ρ) / π for two Gaussians: with Crofton's weights exact at any resolution.
    scale, maps, N = 1.5, 200, 32
    boundary = at(gaussian_fields(maps, N, 2, scale), 0.0, box=float(N)).boundary[:, 0]
    rate = [np.arccos(np.exp(-(h**2) / (2 * scale**2))) / np.pi / h for h in (1.0, np.sqrt(2))]
    expected = np.pi / 2 * np.mean(rate)
    assert abs(boundary.mean() - expected) < 4 * boundary.std(ddof=1) / np.sqrt(maps)


SYMMETRIES = {
    "turn": lambda m: np.rot90(m, axes=(-2, -1)),
    "flip": lambda m: m[..., ::-1],
    "roll": lambda m: np.roll(m, (3, 5), axis=(-2, -1)),
    "change of units": lambda m: 40.0 * m + 3.0,
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", SYMMETRIES)
@pytest.mark.parametrize("periodic", [True, False])
def test_symmetries(name: str, dims: int, periodic: bool) -> None:
    if name == "roll" and not periodic:
        pytest.skip("an open box cannot be rolled")
    field = RNG.standard_normal((2, *(9,) * dims))
    before, after = (
        minkowski_functionals(f, 5.0, thresholds=[-1.0, 0.1, 1.0], periodic=periodic, dims=dims)
        for f in (field, SYMMETRIES[name](field))
    )
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dims", [2, 3])
def test_complement(dims: int) -> None:
    # The rest of a periodic box has the same boundary, curved the other way; χ(rest) = (-1)^(d+1) χ.
    field = RNG.standard_normal((12,) * dims)
    above, below = (at(f, 0.4, box=3.0, dims=dims) for f in (field, 0.8 - field))
    assert below.volume[0] == pytest.approx(1 - above.volume[0])
    assert below.boundary[0] == pytest.approx(above.boundary[0])
    assert below.curvature[0] == pytest.approx(-above.curvature[0])
    assert below.euler[0] == pytest.approx((-1) ** (dims + 1) * above.euler[0])


def test_densities_scale_with_the_box() -> None:
    field = RNG.standard_normal((2, 10, 10, 10))
    small, large = (minkowski_functionals(field, b, thresholds=[0.5], dims=3) for b in (1.0, 2.0))
    for power, (a, b) in enumerate(zip(small[1:], large[1:], strict=True)):
        np.testing.assert_allclose(a, b * 2.0**power, rtol=1e-12)


def test_full_and_empty_sets_and_constant_fields() -> None:
    m = minkowski_functionals(np.full((8, 8), 0.1), 1.0, thresholds=[-1.0, 1.0])
    assert m.volume.tolist() == [1.0, 0.0]
    assert m.boundary.tolist() == [0.0, 0.0]
    assert m.euler.tolist() == [0.0, 0.0]  # a torus has none


def test_cubes_as_component() -> None:
    cubes = RNG.standard_normal((2, 8, 8, 8))
    ds = MinkowskiFunctionals(low=-1.0, high=1.0, thresholds=3, relative=False).compute(
        cubes, 8.0, True, "mK"
    )
    m = minkowski_functionals(cubes, 8.0, thresholds=[-1.0, 0.0, 1.0], relative=False, dims=3)
    np.testing.assert_array_equal(ds["curvature"], m.curvature)
    assert ds["curvature"].attrs["units"] == "1 / Mpc2"
    assert ds["euler"].attrs["units"] == "1 / Mpc3"
    assert ds["threshold"].attrs["units"] == "mK"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: at(np.ones((8, 7)), 0.0, box=1.0), ShapeError, r"\(8, 7\)"),
        (lambda: at(np.full((8, 8), np.nan), 0.0, box=1.0), DataError, "1 of 1"),
        (lambda: at(np.ones((8, 8)), 0.0, box=-1.0), UsageError, "box is -1.0"),
        (lambda: minkowski_functionals(np.ones((8, 8)), 1.0, thresholds=[1.0, 0.0]), UsageError, "rising"),
        (lambda: minkowski_functionals(np.ones((8, 8)), 1.0, thresholds=[]), UsageError, "one or more"),
        (lambda: gaussian_minkowski(np.zeros(1), 1.0, dims=1), UsageError, "dims is 1"),
        (lambda: MinkowskiFunctionals(thresholds=1), UsageError, "thresholds is 1"),
        (lambda: MinkowskiFunctionals(low=1.0, high=0.0), UsageError, "low is 1.0"),
    ],
)
def test_wrong_arguments(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
