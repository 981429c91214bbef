"""A map is known again after what augmentation and rescaling do, and mistaken for no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.errors import DataError, ShapeError
from skyloom.splits import fingerprint
from skyloom.splits.fingerprint import twin_parts


def are_twins(a: np.ndarray, b: np.ndarray) -> bool:
    one, other = fingerprint([a])[0], fingerprint([b])[0]
    return bool(set(twin_parts(one)) & set(twin_parts(other)))


@settings(max_examples=50)
@given(
    st.integers(0, 2**32),
    st.integers(-20, 20),
    st.integers(-20, 20),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_every_roll_flip_and_turn_gives_the_same_text(
    seed: int, down: int, right: int, turns: int, flip: bool, coarse: bool
) -> None:
    image = np.random.default_rng(seed).normal(size=(12, 12)).astype(np.float32)
    if coarse:
        image = np.round(image, 1)
    twin = np.rot90(np.roll(image, (down, right), (0, 1)), turns)
    twin = twin[::-1] if flip else twin
    assert fingerprint([twin])[0] == fingerprint([image])[0]


@pytest.mark.parametrize(
    "rescale",
    [
        lambda image: image * np.float32(0.37) + np.float32(11.3),
        lambda image: (image - image.mean()) / image.std(),
        lambda image: (image - image.min()) / np.ptp(image),
        lambda image: -image,
        lambda image: -3 * image + 2,
        lambda image: np.log10(image - image.min() + 1),
        lambda image: np.arcsinh(image / 2),
        lambda image: image.astype(np.float64) / 1000,
        lambda image: image.argsort(axis=None).argsort().reshape(image.shape) / image.size,
    ],
    ids=["affine", "standardised", "min-max", "sign", "sign and unit", "log10", "asinh", "unit", "equalised"],
)
def test_a_rescaled_turned_copy_is_a_twin(rescale: object) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        image = rng.normal(20, 5, size=(32, 32)).astype(np.float32)
        twin = np.rot90(np.roll(rescale(image), (3, 30), (0, 1)))[::-1]  # type: ignore[operator]
        assert are_twins(image, twin)


def test_maps_with_the_same_values_in_another_order_are_no_twins() -> None:
    """A histogram cannot tell these apart; the places of the pixels can."""
    rng = np.random.default_rng(1)
    image = rng.normal(size=(16, 16))
    assert not are_twins(image, rng.permutation(image.ravel()).reshape(16, 16))
    binary = (image > 0).astype(float)
    assert not are_twins(binary, rng.permutation(binary.ravel()).reshape(16, 16))


def test_two_equal_spots_are_told_apart_by_their_distance() -> None:
    """A spot of 5×5 and its copy 6..16 pixels away, on a torus of 33: no distance is another's mirror."""
    spot = np.random.default_rng(0).normal(size=(5, 5))
    maps = np.zeros((11, 33, 33))
    maps[:, :5, :5] = spot
    for row, distance in enumerate(range(6, 17)):
        maps[row, distance : distance + 5, :5] = spot
    parts = [part for text in fingerprint(maps) for part in set(twin_parts(text))]
    assert len(parts) == len(set(parts)) >= 22


def test_plain_maps_have_no_text_to_agree_on() -> None:
    disc = np.zeros((64, 64))
    disc[:8, :8] = 1.0  # 64 of 4096 pixels, below 2 %
    assert fingerprint([np.zeros((64, 64)), np.full((64, 64), 7.0), disc]).tolist() == ["-:-:-"] * 3
    half = (np.arange(64)[:, None] < 32) * np.ones((64, 64))
    value, lower, upper = fingerprint([half])[0].split(":")
    assert value != "-", "half of the pixels: enough to compare values"
    assert (lower, upper) == ("-", "-"), "two values say nothing that a rescaling would leave"


def test_minus_zero_is_zero() -> None:
    image = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    image[0] = 0.0
    signed = image.copy()
    signed[0] = -0.0
    assert fingerprint([image])[0] == fingerprint([signed])[0]


def test_the_precision_of_storage_does_not_matter_above_half() -> None:
    image = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert fingerprint([image.astype(np.float64)])[0] == fingerprint([image])[0]


def test_maps_of_many_chunks_are_fingerprinted_one_by_one() -> None:
    maps = np.random.default_rng(0).normal(size=(40, 64, 64))  # 16 fit into a chunk
    together = fingerprint(maps)
    assert len(set(together.tolist())) == 40
    assert together[37] == fingerprint(maps[37:38])[0]
    assert fingerprint(np.zeros((0, 4, 4))).shape == (0,)


def test_oblong_maps_turn_too() -> None:
    image = np.random.default_rng(0).normal(size=(8, 20))
    assert fingerprint([image])[0] == fingerprint([np.rot90(image)])[0]
    assert not are_twins(np.arange(64.0).reshape(8, 8), np.arange(64.0).reshape(4, 16))


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"shape \(4, 4\)"):
        fingerprint(np.zeros((4, 4)))
    bad = np.zeros((3, 4, 4))
    bad[1, 0, 0] = np.nan
    with pytest.raises(DataError, match="1 maps hold NaN or infinity, the first is 1"):
        fingerprint(bad)


def test_no_two_maps_of_real_simulations_are_taken_for_twins(shared_data: Path) -> None:
    """264 maps of twelve 21cmFAST simulations, both fields: 34,716 pairs each."""
    with np.load(shared_data / "reionisation" / "eor_21cmfast_64.npz") as file:
        for name in ("tb_mK", "xhi"):
            parts = [part for text in fingerprint(file[name]) for part in set(twin_parts(text))]
            assert len(parts) == len(set(parts))
            assert len(parts) > 700, "at most a few of the 3 * 264 parts are plain"
