"""The tutorial's pickle: read what is a table of maps, refuse everything else before it runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skyloom import fields, formats
from skyloom.errors import FormatError
from skyloom.formats import pandas_pickle


class Hostile:
    """Runs a command when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_before_it_runs(tmp_path, protocol):
    path, mark = tmp_path / "bad.pkl", tmp_path / "it_ran"
    # The good table stands first: not even that is built.
    path.write_bytes(pickle.dumps([pd.DataFrame({"maps": [1]}), Hostile(mark)], protocol=protocol))
    with pytest.raises(FormatError, match=r"system|_reconstructor"):
        pandas_pickle.load(path)
    assert not mark.exists()


def test_names_hidden_behind_the_memo_are_found(tmp_path):
    mark = tmp_path / "it_ran"
    # os.system by strings pushed, stored, popped and recalled; then called with one argument.
    program = (
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940" + b"0" + b"h\x00h\x01\x93"
        b"\x8c" + bytes([len(f"touch {mark}")]) + f"touch {mark}".encode() + b"\x85R."
    )
    path = tmp_path / "memo.pkl"
    path.write_bytes(program)
    with pytest.raises(FormatError, match=r"posix\.system"):
        pandas_pickle.load(path)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_value_of_the_tutorials_table_arrives(tmp_path, protocol):
    rng = np.random.default_rng(1)
    maps = [rng.random((6, 6)) for _ in range(4)]
    frame = pd.DataFrame(
        {
            "maps": maps,
            "xHI": [0.1, 0.1, 0.5, 0.9],
            "redshift": [7.0, 7, 8, 9],
            "sigma8": [0.7, 0.7, 0.7, 0.8],
        }
    )
    path = tmp_path / "df_recode.gzip"
    frame.to_pickle(path, compression="gzip", protocol=protocol)
    ds = formats.read(path)
    fields.check(ds)
    np.testing.assert_allclose(ds["T_b"], np.stack(maps), rtol=1e-7)
    np.testing.assert_array_equal(ds["x_HI"], frame["xHI"])
    np.testing.assert_array_equal(ds["redshift"], frame["redshift"])
    # Equal parameters are one simulation, whatever its redshift.
    assert ds["group"].values.tolist() == ["simulation00000"] * 3 + ["simulation00001"]


def test_without_parameters_a_box_is_told_by_its_label_and_redshift(tmp_path):
    frame = pd.DataFrame({"maps": [np.eye(3)] * 3, "xHI": [0.1, 0.1, 0.1], "redshift": [7.0, 7, 8]})
    frame.to_pickle(tmp_path / "a.gzip", compression="gzip")
    ds = formats.read(tmp_path / "a.gzip")
    assert len(np.unique(ds["group"])) == 2
    # Which boxes are one simulation the file does not say: no split but a leaky one may pass.
    assert len(np.unique(ds["seed"])) == 1


def test_round_trip(tmp_path):
    ds = fields.example(groups=2)
    pandas_pickle.write(ds, tmp_path / "a.gzip")
    again = formats.read(tmp_path / "a.gzip")
    np.testing.assert_array_equal(again["T_b"], ds["T_b"])
    np.testing.assert_array_equal(again["x_HI"], ds["x_HI"])


def test_a_missing_column_is_named_with_those_found(tmp_path):
    pd.DataFrame({"maps": [np.eye(2)], "x": [1.0]}).to_pickle(tmp_path / "a.gzip", compression="gzip")
    with pytest.raises(FormatError, match=r"no column 'xHI', 'redshift'[\s\S]*columns found: maps, x"):
        formats.read(tmp_path / "a.gzip")


def test_maps_of_several_shapes_are_refused(tmp_path):
    frame = pd.DataFrame({"maps": [np.eye(2), np.eye(3)], "xHI": [0.1, 0.2], "redshift": [7.0, 8.0]})
    frame.to_pickle(tmp_path / "a.gzip", compression="gzip")
    with pytest.raises(FormatError, match="need one 2-D shape"):
        formats.read(tmp_path / "a.gzip")


def test_a_cut_off_file_is_named(tmp_path):
    ds = fields.example(groups=2)
    path = tmp_path / "a.gzip"
    pandas_pickle.write(ds, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"a\.gzip: is not a whole pickled table"):
        formats.read(path, format="pandas_pickle")


def test_another_object_is_no_table(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(FormatError, match="holds a list, not a pandas DataFrame"):
        pandas_pickle.load(tmp_path / "a.pkl")
