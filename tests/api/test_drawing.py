"""Pictures and FITS of one sample of any file."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from skyloom import api, fields, formats
from skyloom.errors import DataError, UsageError
from skyloom.fields import store


@pytest.fixture
def folder(tmp_path):
    ds = fields.example(groups=2, per_group=2, size=8)
    ds["T_b"].attrs["long_name"] = "brightness, B²/2 of Ω"
    store.write(ds, tmp_path / "set")
    return tmp_path / "set"


def test_a_picture_shows_the_map_and_one_a_field(folder, tmp_path):
    one = imread(io.BytesIO(api.draw(folder, tmp_path / "a" / "one.png", fields=["T_b"]).read_bytes()))
    both = imread(io.BytesIO(api.draw(folder, tmp_path / "both.png").read_bytes()))
    assert both.shape[1] == pytest.approx(2 * one.shape[1], abs=2)
    # The brightest pixel of the map is the brightest colour, and many more colours than paper and ink.
    assert len(np.unique(one.reshape(-1, one.shape[-1]), axis=0)) > 40


def test_the_fits_file_holds_the_sample_with_its_world(folder, tmp_path):
    name = store.open(folder)["sample"].values[2]
    path = api.draw(folder, tmp_path / "map.fits", sample=str(name))
    back, there = formats.read(path), store.open(folder)
    np.testing.assert_array_equal(back["T_b"].values[0], there["T_b"].values[2])
    assert back["T_b"].attrs["units"] == "mK"
    assert back["T_b"].attrs["long_name"] == "brightness, B^2/2 of ?"
    assert back.attrs["box_size"] == there.attrs["box_size"]
    by_place = formats.read(api.draw(folder, tmp_path / "same.fits", sample="2"))
    np.testing.assert_array_equal(by_place["T_b"].values, back["T_b"].values)


def test_a_cube_is_shown_by_its_middle(tmp_path, monkeypatch):
    cube = np.zeros((1, 6, 6, 6), np.float32)
    cube[0, 3] = 5.0
    np.save(tmp_path / "cube.npy", cube)
    shown = []
    monkeypatch.setattr("skyloom.report.figures.maps.panels", lambda figure, given, **_: shown.extend(given))
    api.draw(tmp_path / "cube.npy", tmp_path / "cube.pdf")
    assert shown[0][0].shape == (6, 6)
    assert (shown[0][0] == 5.0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"out": "a.jpg"}, UsageError, "the ending says"),
        ({"sample": "nine"}, DataError, "no sample 'nine'"),
        ({"sample": "9"}, DataError, "no sample '9'"),
        ({"fields": ["T"]}, DataError, "no field 'T'"),
    ],
)
def test_what_is_not_there_is_refused(folder, tmp_path, arguments, error, message):
    given = {"out": "a.png"} | arguments
    with pytest.raises(error, match=message):
        api.draw(folder, tmp_path / given.pop("out"), **given)
