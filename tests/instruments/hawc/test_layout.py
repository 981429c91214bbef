"""The rebuilt layout against the survey, the map against the published table."""

import numpy as np
import pytest

from skyloom.errors import FormatError, ShapeError, UsageError
from skyloom.instruments.hawc import (
    Layout,
    default_layout,
    detector_mask,
    grid_ids,
    layout_of_hits,
    pixels,
    read_survey,
)


def test_the_map_is_the_published_one(shared_data):
    known = np.loadtxt(
        shared_data / "hawc" / "hawc_gridid_to_40x40.csv", delimiter=",", skiprows=1, dtype=int
    )
    assert len(known) == 1193
    assert np.array_equal(pixels()[known[:, 0]], known[:, 1:])
    assert (np.delete(pixels(), known[:, 0], axis=0) == -1).all()


def test_the_inverse_of_the_map_and_its_masks():
    ids = np.flatnonzero(pixels()[:, 0] >= 0)
    column, row = pixels()[ids].T
    assert np.array_equal(grid_ids()[row, column], ids) and (grid_ids() > 0).sum() == 1193
    assert detector_mask().sum() == 40 * 40 - 407  # 407 pixels show nothing, as published
    dead = detector_mask(dead=[9])
    assert not dead[38, 18] and (detector_mask() & ~dead).sum() == 1
    with pytest.raises(UsageError, match="no grid id 1201"):
        detector_mask(dead=[1201])


def test_the_rebuilt_layout_has_the_published_structure():
    layout = default_layout()
    tanks = layout.position.reshape(300, 4, 3)
    apart = np.linalg.norm(tanks - tanks[:, 2:3], axis=2)
    assert np.allclose(apart, [1.85, 1.85, 0.0, 1.85])
    sides = np.linalg.norm(tanks[:, [0, 1, 3]] - tanks[:, [1, 3, 0]], axis=2)
    assert np.allclose(sides, 1.85 * np.sqrt(3))  # an equilateral triangle
    middle = tanks[:, 2, :2]
    distance = np.linalg.norm(middle[:, None] - middle[None], axis=2) + 1e9 * np.eye(300)
    assert distance.min() > 7.3  # tanks do not overlap
    assert np.isclose(distance.min(), 7.9)
    assert np.allclose(layout.position.mean(axis=0)[:2], [35, 248], atol=2)  # published centre
    low, high = layout.position[:, :2].min(axis=0), layout.position[:, :2].max(axis=0)
    assert np.allclose(low, [-58, 176], atol=1.0) and np.allclose(high, [128, 318], atol=1.2)


def test_the_rebuilt_layout_lies_where_the_survey_has_it(shared_data):
    survey, rebuilt = read_survey(shared_data / "hawc" / "pmt-layout-03.txt"), default_layout()
    assert np.array_equal(survey.grid_id, rebuilt.grid_id)
    apart = np.linalg.norm((survey.position - rebuilt.position)[2::4, :2], axis=1)  # middle PMTs
    house = np.arange(116, 144)  # tanks of the two rows at the counting house
    assert apart[house].max() < 1.0 and np.delete(apart, house).max() < 0.25
    # each outer PMT stands where one of the three of its tank stands
    theirs, ours = (layout.position.reshape(300, 4, 3)[:, [0, 1, 3], :2] for layout in (survey, rebuilt))
    nearest = np.linalg.norm(theirs[:, :, None] - ours[:, None], axis=3).min(axis=2)
    assert np.median(nearest) < 0.2


def test_the_tank_numbers_of_the_survey_are_those_of_the_grid(shared_data):
    survey = read_survey(shared_data / "hawc" / "pmt-layout-03.txt").table()
    for line in (shared_data / "hawc" / "tank-layout-03.txt").read_text().splitlines():
        _, tank, *xyz = line.split()
        assert np.allclose(survey[4 * int(tank) - 1], 0.01 * np.array(xyz, dtype=float), atol=0.01)


def test_the_layout_of_hits_leaves_out_what_was_never_set():
    position = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0], [3.0, 4.0, 0.5], [1.0, 2.0, 0.5], [9.0, 9.0, 9.0]])
    layout = layout_of_hits(np.array([20, 21, 10, 20, 0]), position)
    assert layout.grid_id.tolist() == [10, 20] and layout.position[0].tolist() == [3.0, 4.0, 0.5]
    assert np.isnan(layout.table()[21]).all()
    with pytest.raises(FormatError, match="grid id 20 has two positions"):
        layout_of_hits(np.array([20, 20]), position[[0, 2]])


def test_dead_channels_and_wrong_shapes():
    layout = default_layout().without([1, 1200])
    assert len(layout) == 1198 and np.isnan(layout.table()[1200]).all()
    with pytest.raises(ShapeError, match="allowed"):
        Layout(np.arange(1, 3), np.zeros((2, 2)))


@pytest.mark.parametrize(
    "line",
    [
        "E9A E9 1 1 1 2",
        "E9A A1 1 1 1 2 3",
        "E9A E9 1 5 1 2 3",
        "E9A E9 1 x 1 2 3",
        "E9A E9 1 1 1 2 nan",
        "E9A",
    ],
)
def test_a_survey_that_is_none(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"E9B E9 1 2 100 200 50\n{line}\n")
    with pytest.raises(FormatError, match="line 2"):
        read_survey(tmp_path / "a.txt")
    with pytest.raises(FormatError, match="cannot be read"):
        read_survey(tmp_path / "b.txt")
