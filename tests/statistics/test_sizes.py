"""Size distributions against chords of discs and balls, exact volumes, tools21cm and symmetries."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import (
    FriendsOfFriends,
    MeanFreePath,
    connected_regions,
    friends_of_friends,
    mean_free_path,
)

RNG = np.random.default_rng(32)


def distance(N: int, dims: int, period: float, shift: float = 0.3) -> np.ndarray:
    """Distance of every pixel of a box of side N from the nearest point of a cubic lattice."""
    axis = (np.arange(N) + shift) % period - period / 2
    return np.sqrt(sum(np.square(a) for a in np.meshgrid(*[axis] * dims, indexing="ij")))


def longer(s: np.ndarray, dims: int) -> np.ndarray:
    """P(length > 2 R s) from a random point of a disc or ball to its rim, in a random direction.

    The density of the length is P(chord > length) over the mean chord, π R / 2 or 4 R / 3; chords of random
    lines exceed 2 R s with the probability √(1 - s²) or 1 - s².
    """
    if dims == 2:
        return 1 - 2 / np.pi * (s * np.sqrt(1 - s**2) + np.arcsin(s))
    return 1 - 1.5 * (s - s**3 / 3)


@pytest.mark.parametrize(
    ("dims", "N", "period", "R"), [(2, 64, 64.0, 25.0), (2, 96, 32.0, 13.0), (3, 32, 32.0, 13.0)]
)
def test_free_paths_in_discs_and_balls(dims: int, N: int, period: float, R: float) -> None:
    box = N / 2
    paths = mean_free_path(distance(N, dims, period), box, threshold=R, dims=dims)
    mean = {2: 8 / (3 * np.pi), 3: 3 / 4}[dims] * R / 2
    assert paths.mean == pytest.approx(mean, rel=0.03)  # the pixels' corners shorten some
    width = np.log(paths.length[1] / paths.length[0])
    edges = paths.length * np.exp(0.5 * width)
    cumulative = longer(np.array(0.5 / (2 * R)), dims) - np.cumsum(paths.density * width)
    s = edges * 2 / (2 * R)
    inside = s < 1
    np.testing.assert_allclose(cumulative[inside], longer(s[inside], dims), atol=0.02)
    assert paths.density[s > 1.05 * np.exp(width)].max(initial=0.0) == 0.0


def test_free_path_across_a_slab() -> None:
    # From the depth u w in a slab of width w at the angle θ to its normal: u w / cos θ.
    N, w = 64, 8
    field = np.ones((N, N))
    field[:, 20 : 20 + w] = 0.0
    paths = mean_free_path(field, float(N), threshold=0.5, rays=3000, bins=12)
    edges = np.geomspace(0.5, np.sqrt(2) * N, 13)
    u, theta = np.meshgrid((np.arange(800) + 0.5) / 800, (np.arange(800) + 0.5) / 800 * np.pi / 2)
    truth = np.histogram(u * w / np.cos(theta), edges)[0] / u.size / np.diff(np.log(edges))
    np.testing.assert_allclose(paths.density, truth, atol=0.02)


def test_rays_go_on_through_a_periodic_face() -> None:
    field = distance(32, 2, 32.0)
    whole = mean_free_path(field, 1.0, threshold=10.0)
    cut = mean_free_path(np.roll(field, 16, axis=1), 1.0, threshold=10.0)
    opened = mean_free_path(np.roll(field, 16, axis=1), 1.0, threshold=10.0, periodic=False)
    np.testing.assert_allclose(cut.density, whole.density, rtol=1e-12)
    assert opened.mean < 0.8 * whole.mean


@pytest.mark.parametrize("dims", [2, 3])
def test_a_ray_ends_at_an_open_face_as_at_a_wall(dims: int) -> None:
    field = RNG.standard_normal((8,) * dims)
    walled = np.pad(field, 1, constant_values=9.0)
    opened = mean_free_path(field, 8.0, threshold=1.0, periodic=False, dims=dims)
    closed = mean_free_path(walled, 10.0, threshold=1.0, dims=dims)
    assert opened.mean == pytest.approx(closed.mean, rel=1e-12)


def test_a_box_without_an_end_and_without_a_region() -> None:
    full = mean_free_path(np.zeros((8, 8)), 8.0, threshold=0.5)
    assert full.density.tolist() == [0.0] * 24
    assert full.mean == pytest.approx(8 * np.sqrt(2))
    none = mean_free_path(np.ones((8, 8)), 8.0, threshold=0.5)
    assert none.density.tolist() == [0.0] * 24
    assert np.isnan(none.mean)
    assert (full.fraction, none.fraction) == (1.0, 0.0)
    empty = friends_of_friends(np.ones((8, 8)), 8.0, threshold=0.5)
    assert (empty.regions, empty.largest, empty.fraction, empty.density.sum()) == (0, 0.0, 0.0, 0.0)


def test_seed_changes_little_and_repeats() -> None:
    field = distance(32, 2, 16.0)
    one, again, other = (mean_free_path(field, 1.0, threshold=6.0, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.density, again.density)
    assert not np.array_equal(one.density, other.density)
    assert other.mean == pytest.approx(float(one.mean), rel=0.02)


@pytest.mark.parametrize(("dims", "N", "period", "R"), [(2, 64, 16.0, 6.0), (3, 32, 16.0, 6.0)])
def test_volumes_of_a_lattice_are_exact(dims: int, N: int, period: float, R: float) -> None:
    # The discs are cut by the faces; each is as large as the pixels that lie within R of its centre.
    field = np.roll(distance(N, dims, period), 8, axis=0)
    pixels = int((distance(16, dims, 16.0) < R).sum())
    sizes = connected_regions(field < R)[1]
    assert sizes.tolist() == [pixels] * (N // 16) ** dims
    regions = friends_of_friends(field, float(2 * N), threshold=R, dims=dims)
    width = np.log(regions.volume[1] / regions.volume[0])
    here = int(regions.density.argmax())
    assert regions.density[here] * width == pytest.approx(1.0)
    assert abs(np.log(regions.volume[here] / (pixels * 2**dims))) <= width / 2
    assert regions.regions == len(sizes)
    assert regions.largest == pytest.approx(1 / len(sizes))
    assert regions.fraction == pytest.approx(pixels * len(sizes) / N**dims)


def test_weights_of_two_regions() -> None:
    # 1 and 15 pixels of 64: of the 16 pixels 1/16 and 15/16 lie in regions of these sizes.
    field = np.ones((8, 8))
    field[0, 0] = 0.0
    field[3:6, 2:7] = 0.0
    regions = friends_of_friends(field, 8.0, threshold=0.5, bins=6, periodic=False)
    share = regions.density * np.log(2.0)
    np.testing.assert_allclose(share, [1 / 16, 0, 0, 15 / 16, 0, 0], atol=1e-12)
    assert (int(regions.regions), float(regions.largest)) == (2, 15 / 16)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(12, 12), (7, 7, 7), (5, 9)])
def test_regions_are_those_of_a_flood(shape: tuple[int, ...], periodic: bool) -> None:
    inside = RNG.random(shape) < 0.5
    labels, sizes = connected_regions(inside, periodic=periodic)
    np.testing.assert_array_equal(labels > 0, inside)
    np.testing.assert_array_equal(sizes, np.bincount(labels.ravel())[1:])
    left = {tuple(map(int, p)) for p in np.argwhere(inside)}
    while left:
        first = left.pop()
        flood, edge = {first}, [first]
        while edge:
            at = edge.pop()
            for axis in range(len(shape)):
                for step in (-1, 1):
                    to = list(at)
                    to[axis] += step
                    if periodic:
                        to[axis] %= shape[axis]
                    if tuple(to) in left:
                        left.remove(tuple(to))
                        flood.add(tuple(to))
                        edge.append(tuple(to))
        number = {int(labels[p]) for p in flood}
        assert len(number) == 1
        assert sizes[number.pop() - 1] == len(flood)


@pytest.mark.parametrize("dims", [2, 3])
def test_islands_are_the_bubbles_of_the_negative(dims: int) -> None:
    field = RNG.standard_normal((10,) * dims)
    for function in (mean_free_path, friends_of_friends):
        islands = function(field, 5.0, threshold=0.3, above=True, dims=dims)
        bubbles = function(-field, 5.0, threshold=-0.3, dims=dims)
        for a, b in zip(islands, bubbles, strict=True):
            np.testing.assert_array_equal(a, b)
        rest = function(field, 5.0, threshold=0.3, dims=dims)
        assert rest.fraction + islands.fraction == pytest.approx(1.0)


SYMMETRIES = {
    "turn": lambda m: np.rot90(m, axes=(-2, -1)),
    "flip": lambda m: m[..., ::-1],
    "swap": lambda m: np.swapaxes(m, -1, -2),
    "roll": lambda m: np.roll(m, (3, 5), axis=(-2, -1)),
}


@pytest.mark.parametrize("function", [mean_free_path, friends_of_friends])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", SYMMETRIES)
def test_symmetries(name: str, dims: int, function) -> None:
    field = RNG.standard_normal((2, *(9,) * dims))
    before, after = (function(f, 5.0, threshold=0.2, dims=dims) for f in (field, SYMMETRIES[name](field)))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-11)


def test_cubes_turn_about_every_axis() -> None:
    field = RNG.standard_normal((8, 8, 8))
    before = mean_free_path(field, 1.0, threshold=0.5, dims=3).density
    for order in ((2, 0, 1), (1, 2, 0), (0, 2, 1)):
        after = mean_free_path(field.transpose(order), 1.0, threshold=0.5, dims=3).density
        np.testing.assert_allclose(after, before, rtol=1e-12)


def test_sizes_scale_with_the_box() -> None:
    field = RNG.standard_normal((2, 8, 8, 8))
    for function in (mean_free_path, friends_of_friends):
        small, large = (function(field, b, threshold=0.0, dims=3) for b in (1.0, 2.0))
        power = 1 if function is mean_free_path else 3
        np.testing.assert_allclose(large[0], 2.0**power * small[0], rtol=1e-12)
        np.testing.assert_array_equal(large.density, small.density)


def test_agrees_with_tools21cm() -> None:
    peer = pytest.importorskip("tools21cm", exc_type=ImportError)
    rng = np.random.default_rng(5)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((64, 64))) * np.exp(-((k * 20) ** 2))).real
    state = np.random.get_state()  # noqa: NPY002 - theirs is the global generator
    _, density = peer.mfp(field, xth=0.0, boxsize=64.0, iterations=200_000, verbose=False)
    np.random.set_state(state)  # noqa: NPY002
    # They count whole steps of one pixel that a ray survives: half a pixel less than its length on average.
    theirs = density.sum() + 0.5
    ours = mean_free_path(field, 64.0, threshold=0.0, above=True, periodic=False)
    assert theirs == pytest.approx(float(ours.mean), rel=0.03)
    np.testing.assert_array_equal(
        np.sort(peer.fof(field, xth=0.0)[1]), np.sort(connected_regions(field >= 0, periodic=False)[1])
    )


@pytest.mark.parametrize("function", [mean_free_path, friends_of_friends])
@pytest.mark.parametrize(
    ("field", "arguments", "error", "text"),
    [
        (np.ones((8, 7)), {}, ShapeError, r"\(8, 7\)"),
        (np.full((8, 8), np.nan), {}, DataError, "1 of 1"),
        (np.ones((8, 8)), {"box": 0.0}, UsageError, "box is 0.0"),
        (np.ones((8, 8)), {"bins": 0}, UsageError, "bins is 0"),
        (np.ones((8, 8)), {"threshold": np.nan}, UsageError, "threshold is nan"),
        (np.ones((8, 8)), {"dims": 1}, UsageError, "dims is 1"),
    ],
)
def test_wrong_arguments(function, field, arguments: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        function(field, **{"box": 1.0, "threshold": 0.5, **arguments})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mean_free_path(np.ones((8, 8)), 1.0, threshold=0.5, rays=0), "rays is 0"),
        (lambda: MeanFreePath(rays=0), "rays is 0"),
        (lambda: MeanFreePath(bins=0), "bins is 0"),
        (lambda: FriendsOfFriends(threshold=np.inf), "threshold is inf"),
    ],
)
def test_wrong_choices(call, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        call()


def test_regions_of_no_booleans_are_refused() -> None:
    with pytest.raises(ShapeError, match="float64"):
        connected_regions(np.ones((4, 4)))
