"""Anyone's arrays: every kind of file gives the same maps, and what does not belong together is refused."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from skyloom import fields, formats, registry
from skyloom.errors import FormatError, UsageError
from skyloom.formats.arrays import Arrays

MAPS = np.random.default_rng(0).normal(size=(6, 8, 8)).astype(np.float32)
TABLE = pd.DataFrame(
    {
        "run": ["a", "a", "b", "b", "c", "c"],
        "beta": [0.1, 0.1, 0.2, 0.2, 0.3, 0.3],
        "transport": ["none", "none", "slow", "slow", "fast", "fast"],
        "rms": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "z": [7.0] * 6,
    }
)


def write_npy(path):
    np.save(path / "T.npy", MAPS)
    return path / "T.npy"


def write_npz(path):
    np.savez(path / "T.npz", T=MAPS, seeds=np.arange(6))
    return path / "T.npz"


def write_hdf5(path):
    with h5py.File(path / "T.h5", "w") as file:
        file["deep/T"] = MAPS.astype(">f8")
        file["deep/T"].attrs["units"] = "mK"
        file["words"] = "nothing"
    return path / "T.h5"


def write_netcdf(path):
    xr.Dataset({"T": (("n", "y", "x"), MAPS, {"units": "mK"})}).to_netcdf(path / "T.nc", engine="scipy")
    return path / "T.nc"


def write_netcdf4(path):
    xr.Dataset({"T": (("n", "y", "x"), MAPS, {"units": "mK"})}).to_netcdf(path / "T.nc", engine="h5netcdf")
    return path / "T.nc"


@pytest.fixture
def table(tmp_path):
    TABLE.to_csv(tmp_path / "p.csv", index=False)
    return tmp_path / "p.csv"


@pytest.mark.parametrize("write", [write_npy, write_npz, write_hdf5, write_netcdf, write_netcdf4])
def test_every_kind_of_file_gives_the_same_maps(tmp_path, write):
    ds = Arrays(path=str(write(tmp_path)), independent=True).read()
    (name,) = fields.fields(ds)
    assert hasattr(ds[name].data, "dask")
    np.testing.assert_array_equal(ds[name].values.astype(np.float32), MAPS)
    assert ds[name].attrs["units"] == ("" if write in (write_npy, write_npz) else "mK")
    assert len(set(ds["seed"].values.tolist())) == 6
    assert json.loads(ds.attrs["provenance"])["inputs"][0]["bytes"] > MAPS.nbytes


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "hash"])
def test_a_table_gives_groups_parameters_classes_and_labels(tmp_path, kind):
    write_npy(tmp_path)
    name = "p.txt" if kind == "hash" else f"p.{kind}"
    separator = {"csv": ",", "tsv": "\t"}.get(kind, " ")
    text = TABLE.to_csv(index=False, sep=separator)
    (tmp_path / name).write_text(f"# {text}" if kind == "hash" else text)
    ds = Arrays(
        path=str(tmp_path / "T.npy"), table=name, group="run", labels=["rms"], redshift="z",
        units={"T": "mK", "beta": ""}, box_size=100.0, box_size_unit="Mpc",
    ).read()  # fmt: skip
    assert ds["group"].values.tolist() == TABLE["run"].tolist()
    assert ds["seed"].values[0] == ds["seed"].values[1] != ds["seed"].values[2]
    np.testing.assert_array_equal(ds["beta"].values, TABLE["beta"])
    assert (ds["beta"].attrs["role"], ds["rms"].attrs["role"]) == ("parameter", "label")
    assert (ds["beta"].attrs["low"], ds["beta"].attrs["high"]) == (0.1, 0.3)
    words = json.loads(ds["transport"].attrs["classes"])
    assert [words[str(int(code))] for code in ds["transport"].values] == TABLE["transport"].tolist()
    assert ds["redshift"].values.tolist() == TABLE["z"].tolist()
    assert ds.attrs["box_size"] == 100.0


def test_fields_are_named_from_several_files(tmp_path):
    write_npz(tmp_path)
    write_hdf5(tmp_path)
    ds = Arrays(path=str(tmp_path), fields={"one": "T.npz:T", "two": "T.h5"}, independent=True).read()
    np.testing.assert_array_equal(ds["one"].values, ds["two"].values.astype(np.float32))


def test_one_map_and_cubes(tmp_path):
    np.save(tmp_path / "one.npy", MAPS[0])
    one = formats.read(tmp_path / "one.npy")
    np.testing.assert_array_equal(one["one"].values, MAPS[:1])
    cubes = np.arange(2 * 4**3, dtype=np.int16).reshape(2, 4, 4, 4)
    np.save(tmp_path / "cubes.npy", cubes)
    ds = Arrays(path=str(tmp_path / "cubes.npy"), independent=True).read()
    assert ds["cubes"].dims == ("sample", "z", "y", "x")
    np.testing.assert_array_equal(ds["cubes"].values, cubes)


def test_a_large_file_is_read_a_part_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("skyloom.formats.arrays.files.CHUNK_BYTES", 2 * MAPS[0].nbytes)
    ds = Arrays(path=str(write_npy(tmp_path)), independent=True).read()
    assert ds["T"].chunks[0] == (2, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing says which of the 6 maps"),
        ({"table": "p.csv"}, r"a column of the table \(run, beta"),
        ({"table": "p.csv", "group": "runs"}, "no column 'runs'"),
        ({"table": "q.csv", "group": "run"}, "no such table"),
        ({"group": "run"}, "no table"),
        ({"table": "short.csv", "group": "run"}, "5 rows for 6 maps"),
        ({"table": "gap.csv", "group": "run"}, "row 2 has no value of 'beta'"),
        ({"table": "T.npy", "group": "run"}, "holds no table"),
        ({"fields": {"T": "U"}, "independent": True}, "no array 'U'"),
        ({"table": "p.csv", "group": "run", "labels": ["rm"]}, "no column 'rm'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, table, arguments, message):
    TABLE[:5].to_csv(tmp_path / "short.csv", index=False)
    TABLE.assign(beta=[0.1, 0.1, None, 0.2, 0.3, 0.3]).to_csv(tmp_path / "gap.csv", index=False)
    with pytest.raises(FormatError, match=message):
        Arrays(path=str(write_npy(tmp_path)), **arguments).read()


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = write_npy(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FormatError, match=r"T\.npy: cannot be read"):
        Arrays(path=str(path), independent=True).read()
    np.save(tmp_path / "line.npy", np.zeros(5))
    with pytest.raises(FormatError, match="no array of two dimensions"):
        Arrays(path=str(tmp_path / "line.npy"), independent=True).read()
    np.save(tmp_path / "long.npy", np.zeros((3, 4, 5)))
    with pytest.raises(FormatError, match=r"shape \(3, 4, 5\)"):
        Arrays(path=str(tmp_path / "long.npy"), independent=True).read()
    np.save(tmp_path / "things.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    with pytest.raises(FormatError, match=r"things\.npy"):
        Arrays(path=str(tmp_path / "things.npy"), independent=True).read()
    with pytest.raises(UsageError, match="group is 'run' and independent"):
        Arrays(path=str(path), group="run", independent=True)


def test_it_is_recognised_and_leaves_others_alone(tmp_path):
    assert formats.recognise(write_npy(tmp_path)) == "arrays"
    camels = tmp_path / "Maps_HI_IllustrisTNG_LH_z=0.00.npy"
    camels.write_bytes((tmp_path / "T.npy").read_bytes())
    assert Arrays.sniff(camels) and formats.recognise(camels) == "camels"
    assert "arrays" in registry.names("format")
