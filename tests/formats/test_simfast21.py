"""The reader of SimFast21 folders against the code's own tables, and a round trip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skyloom import fields, formats
from skyloom.errors import FormatError
from skyloom.fields import Label, build
from skyloom.formats import simfast21
from skyloom.formats.simfast21 import SimFast21


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "reionisation" / "simfast21_run"


@pytest.fixture
def cubes():
    rng = np.random.default_rng(3)
    T_b = rng.random((2, 4, 4, 4), dtype=np.float32) * 30
    neutral = rng.random((2, 4, 4, 4), dtype=np.float32)
    x_HI = neutral.mean(axis=(1, 2, 3), dtype=np.float64)
    return build(
        {"T_b": (T_b, "mK", "T"), "neutral_fraction": (neutral, "", "x")},
        ids=["a", "b"], groups=["run", "run"], seeds=[5, 5], box_size=8.0, suite="SimFast21",
        realism="semi-numerical", redshifts=[9.0, 8.0], labels={"x_HI": Label(x_HI, "label", "", "x", 0, 1)},
    )  # fmt: skip


def test_real_run_agrees_with_the_averages_that_the_code_wrote(folder):
    source = SimFast21(path=str(folder), seed=12345)
    ds = source.read()
    fields.check(ds)
    t21, x_HI = source.table("t21_av", 2), source.table("x_HI", 1)
    # deltaTb is kept in kelvin on disk and in mK here; the code prints six digits.
    np.testing.assert_allclose(ds["T_b"].mean(("z", "y", "x")), 1e3 * t21[:, 1], rtol=1e-6)
    np.testing.assert_allclose(ds["x_HI"], x_HI[:, 1], atol=1e-6)
    np.testing.assert_array_equal(ds["redshift"], [9.0, 8.0])
    assert ds.attrs["box_size"] == 40.0


def test_real_haloes_lie_in_the_box_above_the_smallest_mass(folder):
    mass, position = SimFast21(path=str(folder)).haloes(8.0)
    assert len(mass) == 6239  # the count in the first eight bytes
    assert position.min() >= 0
    assert position.max() < 40.0
    _, before = SimFast21(path=str(folder)).haloes(8.0, evolved=False)
    shift = np.abs(position - before)
    shift = np.minimum(shift, 40 - shift)
    # The Zel'dovich displacement at z = 8 is a few comoving Mpc at most.
    assert 0 < shift.max() < 8


def test_a_folder_is_recognised(folder):
    assert formats.recognise(folder) == "simfast21"


def test_round_trip_keeps_every_value_and_the_line_of_sight(cubes, tmp_path):
    simfast21.write(cubes, tmp_path)
    again = SimFast21(path=str(tmp_path), group="run", seed=5).read()
    np.testing.assert_allclose(again["T_b"], cubes["T_b"], rtol=3e-7)
    np.testing.assert_allclose(again["neutral_fraction"], cubes["neutral_fraction"], atol=1e-7)
    raw = np.fromfile(tmp_path / "deltaTb" / "deltaTb_z9.000_N4_L8.0.dat", "<f4")
    # Index i*N*N + j*N + k with k along the line of sight: k runs over z at fixed x and y.
    np.testing.assert_allclose(raw[:4] * 1e3, cubes["T_b"][0, :, 0, 0], rtol=1e-6)


def test_rows_appended_by_a_second_run_count_once(cubes, tmp_path):
    simfast21.write(cubes, tmp_path)
    tables = tmp_path / "Output_text_files"
    tables.mkdir()
    (tables / "zsim.txt").write_text("9.0\n8.0\n9.0\n8.0\n")
    (tables / "x_HI_N4_L8.0.dat").write_text("0.1\n0.2\n0.5\n0.4\n")
    table = SimFast21(path=str(tmp_path)).table("x_HI", 1)
    np.testing.assert_array_equal(table, [[9.0, 0.5], [8.0, 0.4]])


def test_a_cut_off_box_is_named_with_both_lengths(cubes, tmp_path):
    paths = simfast21.write(cubes, tmp_path)
    paths[0].write_bytes(paths[0].read_bytes()[:-4])
    with pytest.raises(FormatError, match=r"252 bytes, but N = 4 in its name asks for 256"):
        SimFast21(path=str(tmp_path)).read()


def test_a_missing_redshift_of_one_field_is_refused(cubes, tmp_path):
    paths = simfast21.write(cubes, tmp_path)
    paths[-1].unlink()
    with pytest.raises(FormatError, match="neutral_fraction has the boxes"):
        SimFast21(path=str(tmp_path)).read()


def test_a_cut_off_catalogue_is_refused(tmp_path):
    (tmp_path / "Halos").mkdir()
    path = tmp_path / "Halos" / "halonl_z9.000_N8_L8.0.dat.catalog"
    path.write_bytes(np.int64(2).tobytes() + np.zeros(4, "<f4").tobytes())
    with pytest.raises(FormatError, match="do not hold the 2 haloes"):
        SimFast21(path=str(tmp_path)).haloes(9.0)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(FormatError, match="holds no SimFast21 box"):
        SimFast21(path=str(tmp_path)).read()


def test_text_tables_that_do_not_fit_are_refused(cubes, tmp_path):
    simfast21.write(cubes, tmp_path)
    source = SimFast21(path=str(tmp_path))
    with pytest.raises(FormatError, match="no t21_av"):
        source.table("t21_av", 2)
    tables = tmp_path / "Output_text_files"
    tables.mkdir()
    (tables / "t21_av_N4_L8.0.dat").write_text("9.0 0.1 8.0")
    with pytest.raises(FormatError, match="3 numbers do not fill rows of 2"):
        source.table("t21_av", 2)
    (tables / "zsim.txt").write_text("9.0")
    (tables / "x_HI_N4_L8.0.dat").write_text("0.1 0.2")
    with pytest.raises(FormatError, match=r"2 rows, but zsim\.txt has 1"):
        source.table("x_HI", 1)


def test_maps_cannot_be_written_as_boxes(tmp_path):
    with pytest.raises(FormatError, match="holds maps"):
        simfast21.write(fields.example(), tmp_path)
