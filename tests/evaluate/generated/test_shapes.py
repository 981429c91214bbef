"""Profile and shape of translated objects: known changes of an exponential disc give known scores."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.evaluate.generated import judge_pairs
from skyloom.evaluate.generated.shapes import RINGS, SCORES, Shapes, holds_objects
from skyloom.fields import build

N, BOX, LENGTH = 48, 48.0, 3.0


def discs(count=4, shift=0):
    """Exponential discs of different brightness."""
    y, x = np.indices((N, N)) - (N - 1) / 2
    disc = np.exp(-np.hypot(y, x - shift) / LENGTH)
    return disc * np.arange(1.0, count + 1)[:, None, None]


def as_set(maps, groups=None):
    n = len(maps)
    return build(
        {"HI": (maps.astype(np.float64), "Msun / kpc2", "atomic hydrogen")},
        ids=[f"m{i}" for i in range(n)], groups=groups or [f"g{i}" for i in range(n)], seeds=range(n),
        box_size=BOX, box_size_unit="kpc", periodic=False, suite="discs", realism="toy",
    )  # fmt: skip


def test_a_brighter_map_has_the_wrong_mass_and_the_right_shape():
    errors = Shapes(discs(), BOX).errors(1.25 * discs())
    for name in ("total_error", "profile_error", "growth_error"):
        np.testing.assert_allclose(errors[name], 0.25, rtol=1e-9)
    for name in ("asymmetry_error", "clumpiness_error", "centre_offset"):
        np.testing.assert_allclose(errors[name], 0, atol=1e-9)


def test_a_shifted_map_has_the_right_mass_and_shape_in_the_wrong_place():
    errors = Shapes(discs(), BOX).errors(discs(shift=2))
    np.testing.assert_allclose(errors["centre_offset"], 2.0, atol=0.03)
    np.testing.assert_allclose(errors["total_error"], 0, atol=1e-3)
    np.testing.assert_allclose(errors["asymmetry_error"], 0, atol=0.02)  # turned about its own centre


def test_three_arms_are_an_asymmetry_and_leave_the_centre():
    """Turned by half a turn, 1 + a cos 3 phi becomes 1 - a cos 3 phi: A = <|2 a cos 3 phi|> = 4 a / pi."""
    y, x = np.indices((N, N)) - (N - 1) / 2
    arms = discs(1) * (1 + 0.5 * np.cos(3 * np.arctan2(y, x)))
    errors = Shapes(discs(1), BOX).errors(arms)
    assert errors["asymmetry_error"][0] == pytest.approx(4 * 0.5 / np.pi, rel=0.02)
    assert errors["total_error"][0] == pytest.approx(0, abs=1e-9)
    assert errors["centre_offset"][0] == pytest.approx(0, abs=0.02)  # the grid is square
    assert errors["profile_error"][0] < 0.02


def test_growth_is_that_of_an_exponential_disc():
    curves = Shapes(discs(), BOX).curves(discs())
    x = np.arange(1, RINGS + 1) * BOX / 2 / RINGS / LENGTH
    inside = 1 - (1 + x) * np.exp(-x)
    np.testing.assert_allclose(curves["growth"], inside / inside[-1], atol=5e-3)
    known = np.isfinite(curves["residual"]).all(axis=0)
    assert known[: RINGS // 2].all()
    assert not known[-1]  # exp(-8) is fainter than a thousandth
    np.testing.assert_allclose(curves["residual"][:, known], 0, atol=1e-9)
    np.testing.assert_allclose(curves["map_total"], discs().sum(axis=(1, 2)))


def test_a_map_without_mass_counts_as_round_and_in_the_middle():
    errors = Shapes(discs(1), BOX).errors(np.zeros((1, N, N)))
    assert errors["total_error"][0] == 1
    assert errors["centre_offset"][0] == pytest.approx(0, abs=1e-6)


def test_errors_are_over_galaxies_and_baselines_stand_beside():
    truth = as_set(np.concatenate([discs(), discs()]), groups=["a", "b", "c", "d"] * 2)
    other = truth.copy(deep=True)
    other["HI"].values[:4] *= 1.2
    other["HI"].values[4:] *= 0.8
    card = judge_pairs(truth, other, inputs=truth, train=(truth, truth), bootstrap=100)
    row = card.row("HI.total_error")
    # Every galaxy has the same error, so drawing galaxies changes nothing.
    for end in ("value", "low", "high"):
        assert row["generated"][end] == pytest.approx(0.2)
    assert row["better"] == "less"
    assert row["baselines"]["constant"]["value"] > row["baselines"]["per_pixel"]["value"]
    assert card.row("HI.centre_offset")["unit"] == "kpc"
    totals = card.curves["HI.map_total"].sel(beside="generated").values
    np.testing.assert_allclose(totals[0], 1.2 * discs()[0].sum())
    assert card.curves["HI.map_total"].attrs["units"] == "Msun"


def test_boxes_and_signed_fields_hold_no_objects(real):
    assert not holds_objects(discs(), periodic=True)
    assert not holds_objects(discs() - 0.1, periodic=False)
    card = judge_pairs(real, real, fields=["gas"], bootstrap=20)
    assert all(card.row(f"gas.{name}") is None for name in SCORES)
    assert "beside" not in card.curves.dims
