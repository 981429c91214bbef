"""Augmentation moves the sky: pixels, spectra and the sense of vectors are kept, by a known chance."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import ShapeError, UsageError
from skyloom.loading import Augment, Channel
from skyloom.loading.augment import KINDS

N = 8
ROWS = np.arange(200)
SCALAR = [Channel("T_b")]
VECTORS = [Channel("B_x", 1, "x"), Channel("v_y", 1, "y")]


def noise(channels: int = 1, shape: tuple[int, int] = (N, N)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(ROWS), channels, *shape)).astype(np.float32)


def numbered(shape: tuple[int, int] = (N, N)) -> np.ndarray:
    """Every pixel of a map has its own number, so that a moved map tells how it was moved."""
    return np.broadcast_to(
        np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape), (len(ROWS), 1, *shape)
    ).copy()


@pytest.mark.parametrize("kinds", [[kind] for kind in KINDS] + [list(KINDS)])
def test_pixels_and_spectrum_are_kept(kinds):
    maps = noise()
    moved = Augment(SCALAR, (N, N), True, kinds=kinds)(maps, ROWS, 0)
    np.testing.assert_array_equal(np.sort(moved.reshape(200, -1)), np.sort(maps.reshape(200, -1)))
    # A roll turns phases; flips and turns permute wave vectors of one length: power of every |k| is kept.
    k = np.fft.fftfreq(N, 1 / N)
    k2 = (k[:, None] ** 2 + k[None, :] ** 2).astype(int).ravel()

    def power(values):
        return np.array([np.bincount(k2, (np.abs(np.fft.fft2(m[0])) ** 2).ravel()) for m in values])

    np.testing.assert_allclose(
        power(moved.astype(np.float64)), power(maps.astype(np.float64)), rtol=1e-5, atol=1e-9
    )
    assert not np.array_equal(moved, maps)


def one_of(moved: np.ndarray, allowed: list[np.ndarray]) -> list[int]:
    found = [[np.array_equal(one[0], other) for other in allowed] for one in moved]
    assert (np.sum(found, axis=1) == 1).all()
    return np.argmax(found, axis=1).tolist()


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        ("turn", [np.rot90(numbered()[0, 0], k) for k in range(4)]),
        ("flip", [numbered()[0, 0][::y, ::x] for y in (1, -1) for x in (1, -1)]),
        ("roll", [np.roll(numbered()[0, 0], (y, x), (0, 1)) for y in range(N) for x in range(N)]),
    ],
)
def test_each_kind_draws_all_its_elements_equally_often(kind, allowed):
    rows = np.arange(6400)
    maps = np.broadcast_to(numbered()[:1], (6400, 1, N, N))
    counts = np.bincount(one_of(Augment(SCALAR, (N, N), True, kinds=[kind])(maps, rows, 0), allowed))
    expected = 6400 / len(allowed)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    freedom = len(allowed) - 1
    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_flips_and_turns_together_are_the_eight_of_the_square():
    square = numbered()[0, 0]
    allowed = [np.rot90(square if side else square.T, k) for side in (0, 1) for k in range(4)]
    found = one_of(Augment(SCALAR, (N, N), False, kinds=["flip", "turn"])(numbered(), ROWS, 0), allowed)
    assert set(found) == set(range(8))


def test_maps_that_are_not_square_are_flipped_and_rolled():
    shape = (4, 6)
    allowed = [
        np.roll(numbered(shape)[0, 0][::y, ::x], (dy, dx), (0, 1))
        for y in (1, -1)
        for x in (1, -1)
        for dy in range(4)
        for dx in range(6)
    ]
    one_of(Augment(SCALAR, shape, True, kinds=["flip", "roll"])(numbered(shape), ROWS, 0), allowed)


def gradient(phi: np.ndarray) -> list[np.ndarray]:
    """Central differences on a periodic map: derivatives along x (last axis) and y."""
    return [(np.roll(phi, -1, axis) - np.roll(phi, 1, axis)) / 2 for axis in (-1, -2)]


def test_vectors_and_tensors_move_with_the_sky():
    # The derivatives of the moved potential are the moved derivatives: only with every sign right.
    phi = np.random.default_rng(0).integers(-8, 8, (len(ROWS), N, N)).astype(np.float32)
    v_x, v_y = gradient(phi)
    t_xx, t_xy = gradient(v_x)
    t_yy = gradient(v_y)[1]
    channels = [
        Channel("v_y", 1, "y"),
        Channel("phi"),
        Channel("v_x", 1, "x"),
        Channel("v_z", 1, "z"),
        Channel("t_xx", 2, "xx"),
        Channel("t_xy", 2, "xy"),
        Channel("t_yy", 2, "yy"),
        Channel("t_xz", 2, "xz"),
        Channel("t_yz", 2, "yz"),
    ]
    maps = np.stack([v_y, phi, v_x, phi**2, t_xx, t_xy, t_yy, phi * v_x, phi * v_y], axis=1)
    augment = Augment(channels, (N, N), True, kinds=KINDS)
    assert not augment.keeps_values
    moved = augment(maps, ROWS, 3)
    phi = moved[:, 1]
    v_x, v_y = gradient(phi)
    t_xx, t_xy = gradient(v_x)
    expected = np.stack([v_y, phi, v_x, phi**2, t_xx, t_xy, gradient(v_y)[1], phi * v_x, phi * v_y], axis=1)
    np.testing.assert_array_equal(moved, expected)


def test_a_flip_changes_the_sign_of_the_component_along_it():
    maps = np.ones((200, 2, N, N), np.float32)
    augment = Augment([Channel("B_x", 1, "x"), Channel("B_y", 1, "y")], (N, N), True, kinds=["flip"])
    moves = augment.moves(ROWS, 0)
    signs = augment(maps, ROWS, 0)[:, :, 0, 0]
    np.testing.assert_array_equal(signs[:, 0], np.where(moves.flip_x, -1, 1))
    np.testing.assert_array_equal(signs[:, 1], np.where(moves.flip_y, -1, 1))


def test_what_happens_follows_from_seed_epoch_and_row_alone():
    maps = noise()
    augment = Augment(SCALAR, (N, N), True, kinds=KINDS, seed=7)
    moved = augment(maps, ROWS, 2)
    order = np.random.default_rng(1).permutation(len(ROWS))
    np.testing.assert_array_equal(augment(maps[order], ROWS[order], 2), moved[order])
    alone = Augment(SCALAR, (N, N), True, kinds=KINDS, seed=7)(maps[17:18], ROWS[17:18], 2)
    np.testing.assert_array_equal(alone[0], moved[17])
    for seed, epoch in ((7, 3), (8, 2)):
        other = Augment(SCALAR, (N, N), True, kinds=KINDS, seed=seed)(maps, ROWS, epoch)
        same = [np.array_equal(a, b) for a, b in zip(moved, other, strict=True)]
        # Eight elements and N² rolls: two draws agree once in 512, and 200 of them hardly five times.
        assert sum(same) < 5


def test_the_input_is_not_written_to():
    maps = noise()
    before = maps.copy()
    Augment([Channel("B_x", 1, "x")], (N, N), True, kinds=["flip"])(maps, ROWS, 0)
    np.testing.assert_array_equal(maps, before)


def test_no_kind_does_nothing():
    maps = noise()
    np.testing.assert_array_equal(
        Augment(SCALAR, (4, 6), False, kinds=[])(maps[..., :4, :6], ROWS, 0), maps[..., :4, :6]
    )


@pytest.mark.parametrize(
    ("channels", "shape", "periodic", "kinds", "error", "message"),
    [
        (SCALAR, (N, N), True, ["trun"], UsageError, "did you mean 'turn'"),
        (SCALAR, (N, N), False, ["roll"], UsageError, "not periodic"),
        (SCALAR, (N, 6), True, ["turn"], ShapeError, "8 × 6"),
        (
            [Channel("B_x", 1, "x"), Channel("v_y", 1, "y")],
            (N, N),
            True,
            ["turn"],
            UsageError,
            "add the field B_y",
        ),
    ],
)
def test_what_would_not_be_the_same_sky_is_refused(channels, shape, periodic, kinds, error, message):
    with pytest.raises(error, match=message):
        Augment(channels, shape, periodic, kinds=kinds)


def test_other_maps_than_announced_are_refused():
    with pytest.raises(ShapeError, match=r"\(200, 1, 8, 8\)"):
        Augment([*SCALAR, Channel("delta")], (N, N), True, kinds=["flip"])(noise(), ROWS, 0)


@pytest.mark.parametrize(
    ("name", "component", "base"),
    [
        ("B_x", "x", "B"),
        ("vx", "x", "v"),
        ("shear-xy", "xy", "shear"),
        ("Bx_x", "x", "Bx"),
        ("flux", "y", "flux"),
    ],
)
def test_components_share_a_base(name, component, base):
    assert Channel(name, len(component), component).base == base
