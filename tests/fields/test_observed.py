"""Observed maps become maps of the training: averages are kept, masks weigh nothing, the rest is refused."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError
from skyloom.fields import build
from skyloom.fields.observed import Trained, windows

N = 24
VALUES = np.random.default_rng(0).normal(3.0, 1.0, (1, N, N)).astype(np.float32)
TRAINED = Trained(pixel=2.0, size=12, unit="Mpc", periodic=True)


def observed(values=VALUES, box_size=24.0, unit="Mpc", periodic=False):
    return build(
        {"T_b": (values, "mK", "T")}, ids=["sky"], groups=["sky"], seeds=[0], box_size=box_size,
        box_size_unit=unit, periodic=periodic, suite="sky", realism="simulation",
    )  # fmt: skip


def test_two_by_two_pixels_become_their_mean():
    cut, told = windows(observed(), TRAINED)
    expected = VALUES.reshape(1, 12, 2, 12, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(cut["T_b"].values, expected, rtol=1e-6)
    assert cut.attrs["box_size"] == 24.0
    assert cut.attrs["parent_size"] == 24.0
    assert told == ["the map has edges; the run was trained on periodic boxes, whose opposite edges touch"]


def test_pixels_that_do_not_divide_take_the_share_that_they_cover():
    # A pixel of 1.5: halves of a pixel, three by three, make a new one.
    halves = VALUES.repeat(2, axis=1).repeat(2, axis=2)
    cut, _ = windows(observed(), Trained(1.5, 16, "Mpc", periodic=False))
    expected = halves.reshape(1, 16, 3, 16, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(cut["T_b"].values, expected, rtol=1e-5)


def test_equal_pixels_are_left_alone_and_windows_lie_about_the_centre():
    cut, _ = windows(observed(), Trained(1.0, 11, "Mpc", periodic=False))
    assert cut["sample"].values.tolist() == [f"sky-w{y:03d}-{x:03d}" for y in (1, 12) for x in (1, 12)]
    np.testing.assert_array_equal(cut["T_b"].values[1], VALUES[0, 1:12, 12:23])


def test_what_is_masked_weighs_nothing():
    mask = np.ones((N, N), bool)
    mask[3, 5] = mask[8:10, 8:10] = False
    spoiled = VALUES.copy()
    spoiled[0, ~mask] = 1e9
    cut, told = windows(observed(spoiled), TRAINED, mask=mask)
    clean, _ = windows(observed(), TRAINED)
    new = cut["T_b"].values[0]
    # One pixel of four is missing: the mean of three. Four of four: the mean of the window.
    three = VALUES[0, 2:4, 4:6].sum() - VALUES[0, 3, 5]
    assert new[1, 2] == pytest.approx(three / 3, rel=1e-5)
    others = np.delete(new.ravel(), 4 * 12 + 4)
    assert new[4, 4] == pytest.approx(others.mean(), rel=1e-5)
    untouched = np.ones((12, 12), bool)
    untouched[1, 2] = untouched[4, 4] = False
    np.testing.assert_allclose(new[untouched], clean["T_b"].values[0][untouched], rtol=1e-6)
    assert "masked pixels, up to 0.7% of a window, are filled with its mean" in told
    spoiled[0, ~mask] = np.nan
    np.testing.assert_array_equal(windows(observed(spoiled), TRAINED)[0]["T_b"].values, cut["T_b"].values)


def test_windows_with_large_holes_are_left_out():
    mask = np.ones((N, N), bool)
    mask[:6, :6] = False  # a quarter of the first window
    cut, told = windows(observed(), Trained(1.0, 12, "Mpc", periodic=False), mask=mask)
    assert cut.sizes["sample"] == 3
    assert told == ["1 of 4 windows are left out: more than 10% is masked"]


def test_lengths_are_converted():
    cut, _ = windows(observed(box_size=24_000.0, unit="kpc"), TRAINED)
    assert (cut.attrs["box_size"], cut.attrs["box_size_unit"]) == (24.0, "Mpc")


def test_a_beam_is_told_or_refused():
    assert any("a beam of 3 Mpc, 1.5 pixels" in line for line in windows(observed(), TRAINED, beam=3.0)[1])
    with pytest.raises(DataError, match="the beam is 5 pixels of the training wide"):
        windows(observed(), TRAINED, beam=10.0)
    smoothed = Trained(2.0, 12, "Mpc", periodic=True, smoothing=2.2)
    assert windows(observed(), smoothed, beam=10.0)[0].sizes["sample"] == 1
    with pytest.raises(DataError, match="the beam is 5 pixels"):
        windows(observed().assign_attrs(beam_pixels=10.0), TRAINED)  # pixels of the map, half as wide


@pytest.mark.parametrize(
    ("changes", "trained", "error", "message"),
    [
        ({"unit": ""}, TRAINED, DataError, r"say how large it is|side of the map is 24 pixels"),
        ({"box_size": 60.0}, TRAINED, DataError, r"pixels of 2\.5 Mpc.*trained on 2: .*not resolved"),
        ({"box_size": 18.0}, TRAINED, ShapeError, r"18 Mpc wide.*trained on 24"),
    ],
)
def test_what_the_run_has_not_seen_is_refused(changes, trained, error, message):
    with pytest.raises(error, match=message):
        windows(observed(**changes), trained)


def test_a_map_without_light_and_a_foreign_mask_are_refused():
    with pytest.raises(DataError, match="each window of the map is masked"):
        windows(observed(np.full_like(VALUES, np.nan)), TRAINED)
    with pytest.raises(ShapeError, match=r"the mask is of shape \(3, 3\)"):
        windows(observed(), TRAINED, mask=np.ones((3, 3), bool))
