"""The store when things go wrong: each a clear error, and nothing that was finished is lost."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.errors import StoreError, UsageError
from skyloom.fields import store

SMALL = fields.example(groups=5, per_group=4, size=8)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "set"
    store.write(SMALL, folder, shard_size=8)  # three shards
    return folder


@pytest.fixture
def folder(good, tmp_path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "set"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_flipped_bit_is_found(folder):
    shard = folder / "shard-00001.nc"
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(StoreError, match=r"shard-00001\.nc is damaged") as caught:
        store.verify(folder)
    assert "shard-00000" not in str(caught.value)


def test_every_bad_shard_is_listed_at_once(folder):
    (folder / "shard-00000.nc").unlink()
    shard = folder / "shard-00002.nc"
    shard.write_bytes(shard.read_bytes()[:-1])
    for look in (store.verify, store.Reader, store.open):
        with pytest.raises(StoreError, match=r"shard-00000\.nc is missing\n.*shard-00002\.nc is truncated"):
            look(folder)


def test_a_shard_that_grew_is_refused(folder):
    with (folder / "shard-00000.nc").open("ab") as file:
        file.write(b"more")
    with pytest.raises(StoreError, match="were written"):
        store.Reader(folder)


def test_a_shard_that_is_no_hdf5_is_named(folder):
    shard = folder / "shard-00001.nc"
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(StoreError, match=r"shard-00001\.nc cannot be opened as HDF5"):
        store.Reader(folder)


def test_a_shard_cut_under_a_reader_is_an_error_and_no_crash(folder):
    reader = store.Reader(folder)
    reader.read("T_b", [9])
    shard = folder / "shard-00001.nc"
    with shard.open("r+b") as file:
        file.truncate(4096)
    with pytest.raises(StoreError, match=r"shard-00001\.nc.*shrunk"):
        reader.read("T_b", [9])
    shard.unlink()
    with pytest.raises(StoreError, match="cannot be opened"):
        store.Reader.read(_fresh(reader), "T_b", [9])


def _fresh(reader):
    reader.close()
    return reader


def test_a_damaged_chunk_is_named(tmp_path):
    store.write(SMALL, tmp_path / "set", compression="deflate")
    reader = store.Reader(tmp_path / "set")
    shard = tmp_path / "set" / "shard-00000.nc"
    import h5py

    with h5py.File(shard) as file:
        chunk = file["T_b"].id.get_chunk_info(3)
    content = bytearray(shard.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    shard.write_bytes(content)
    with pytest.raises(StoreError, match="'T_b' cannot be read"):
        reader.read("T_b", [3])


def test_no_manifest(folder):
    (folder / "manifest.json").unlink()
    for look in (store.Reader, store.verify, store.open):
        with pytest.raises(StoreError, match=r"no manifest\.json"):
            look(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not a manifest"),
        ('{"layout": 2}', "has layout 2, this version of Skyloom reads layout 1"),
        ('{"layout": 1, "shards": []}', "is damaged"),
        ('{"layout": 1, "shards": [{"name": "a"}]}', "is damaged"),
    ],
)
def test_a_wrong_manifest(folder, content, message):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        store.Reader(folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_with_nan_is_refused_by_name(tmp_path, bad):
    ds = SMALL.copy(deep=True)
    ds["neutral_fraction"][13, 2, 5] = bad
    ds["neutral_fraction"][15, 0, 0] = bad
    name = str(ds["sample"].values[13])
    with pytest.raises(StoreError, match=f"'neutral_fraction' of the sample '{name}' holds {bad}.*1 more"):
        store.write(ds, tmp_path / "set", shard_size=8)
    store.write(SMALL, tmp_path / "set", shard_size=8)  # the good shard before it stands; the rest follows
    xr.testing.assert_identical(store.open(tmp_path / "set").load(), SMALL)


def test_nan_may_be_allowed_infinity_not(tmp_path):
    ds = SMALL.copy(deep=True)
    ds["T_b"][3, 2, 5] = np.nan
    store.write(ds, tmp_path / "set", allow_nan=True)
    xr.testing.assert_identical(store.open(tmp_path / "set").load(), ds)
    ds["T_b"][3, 2, 5] = np.inf
    with pytest.raises(StoreError, match="holds inf"):
        store.write(ds, tmp_path / "other", allow_nan=True)


def test_a_value_too_large_for_half_precision_is_refused(tmp_path):
    ds = SMALL.copy(deep=True)
    ds["T_b"][3, 2, 5] = 1e5  # the largest float16 is 65504
    with pytest.raises(StoreError, match="holds 100000, too large for float16"):
        store.write(ds, tmp_path / "set", dtype="float16")


def half(folder: Path) -> store.ShardWriter:
    """Write shards 0 and 2 of five, as an import that was stopped."""
    writer = store.ShardWriter(folder, SMALL, identity="one")
    for index in (2, 0):
        writer.write(index, SMALL.isel(sample=slice(4 * index, 4 * index + 4)))
    return writer


def test_an_unfinished_set_is_not_read_as_a_whole_one(tmp_path):
    half(tmp_path / "set")
    with pytest.raises(StoreError, match="has not finished"):
        store.Reader(tmp_path / "set")
    with pytest.raises(StoreError, match="shards 1 are missing"):
        store.ShardWriter(tmp_path / "set", SMALL, identity="one").finish()
    with pytest.raises(StoreError, match="shards 1, 3, 4 are missing"):
        store.ShardWriter(tmp_path / "set", SMALL, identity="one").finish(shards=5)


def test_an_import_goes_on_where_it_stopped(tmp_path):
    half(tmp_path / "set")
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "set").glob("*.nc")}
    (tmp_path / "set" / ".shard-00001.nc.0a.part").write_bytes(b"half")  # what a killed process leaves
    writer = store.ShardWriter(tmp_path / "set", SMALL, identity="one")
    assert writer.done() == {0, 2}
    for index in {0, 1, 2, 3, 4} - writer.done():
        writer.write(index, SMALL.isel(sample=slice(4 * index, 4 * index + 4)))
    writer.finish(shards=5)
    assert names(tmp_path / "set") == ["manifest.json", *(f"shard-{i:05d}.nc" for i in range(5))]
    assert all((tmp_path / "set" / name).stat().st_mtime_ns == time for name, time in kept.items())
    xr.testing.assert_identical(store.open(tmp_path / "set").load(), SMALL)
    store.verify(tmp_path / "set")
    assert writer.done() == {0, 1, 2, 3, 4}
    writer.finish()
    with pytest.raises(UsageError, match="is finished"):
        writer.write(5, SMALL)


def test_a_shard_whose_note_or_file_is_lost_is_written_again(tmp_path):
    writer = half(tmp_path / "set")
    (tmp_path / "set" / "shard-00002.nc").write_bytes(b"cut")
    assert writer.done() == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": "two"}, "identity is 'two', the folder has 'one'"),
        ({"compression": "blosc"}, "compression is 'blosc', the folder has 'none'"),
        ({"dtype": "float16"}, "fields.T_b.dtype is 'float16'"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_another_set_does_not_go_into_the_folder(tmp_path, change, message, finished):
    writer = half(tmp_path / "set")
    if finished:
        writer.write(1, SMALL.isel(sample=slice(4, 8)))
        writer.finish()
    with pytest.raises(StoreError, match=message):
        store.ShardWriter(tmp_path / "set", SMALL, **({"identity": "one"} | change))


def test_other_samples_do_not_continue_a_set(tmp_path):
    store.write(SMALL, tmp_path / "set")
    store.write(SMALL, tmp_path / "set")  # the same ones: nothing is left to do
    with pytest.raises(StoreError, match="identity"):
        store.write(SMALL.isel(sample=slice(0, 8)), tmp_path / "set")


def test_a_shard_must_fit_the_template(tmp_path):
    writer = store.ShardWriter(tmp_path / "set", SMALL)
    with pytest.raises(StoreError, match=r"shard 0 .*fields\.neutral_fraction is None"):
        writer.write(0, SMALL[["T_b"]])
    with pytest.raises(StoreError, match=r"shard 0 .*fields\.T_b\.shape"):
        writer.write(0, SMALL.isel(y=slice(4), x=slice(4)))
    with pytest.raises(StoreError, match=r"attrs\.suite is 'other'"):
        writer.write(0, SMALL.assign_attrs(suite="other"))
    with pytest.raises(UsageError, match="0 or more"):
        writer.write(-1, SMALL)
    with pytest.raises(StoreError, match="no shard was written"):
        writer.finish()


def test_ids_are_unique_across_shards(tmp_path):
    writer = store.ShardWriter(tmp_path / "set", SMALL)
    writer.write(0, SMALL.isel(sample=slice(0, 4)))
    writer.write(1, SMALL.isel(sample=slice(3, 6)))
    with pytest.raises(StoreError, match=str(SMALL["sample"].values[3])):
        writer.finish()


@pytest.mark.parametrize("value", [True, np.nan, [1, 2], None])
def test_an_attribute_that_cannot_be_kept_exactly_is_refused(tmp_path, value):
    ds = SMALL.copy()
    ds["T_b"].attrs["odd"] = value
    with pytest.raises(StoreError, match="'odd' of T_b"):
        store.write(ds, tmp_path / "set")


def test_integers_are_no_field(tmp_path):
    ds = SMALL[["T_b"]].astype(np.int32)
    ds["T_b"].attrs.update(SMALL["T_b"].attrs)
    with pytest.raises(StoreError, match="type int32"):
        store.write(ds, tmp_path / "set")


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    writer = half(tmp_path / "set")
    before = {p.name: p.read_bytes() for p in (tmp_path / "set").glob("*.nc")}

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            self.file.write(content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

    import contextlib

    from skyloom.fields.store import writer as module

    real = module.atomic_write

    @contextlib.contextmanager
    def full(path):
        with real(path) as file:
            yield Full(file)

    monkeypatch.setattr(module, "atomic_write", full)
    with pytest.raises(StoreError, match=r"shard-00001\.nc: no space is left.*\n.*goes on where it stopped"):
        writer.write(1, SMALL.isel(sample=slice(4, 8)))
    monkeypatch.undo()
    assert names(tmp_path / "set") == [".unfinished", "shard-00000.nc", "shard-00002.nc"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "set").glob("*.nc")} == before
    assert writer.done() == {0, 2}


def test_a_file_size_limit_keeps_what_is_finished(tmp_path):
    script = """
        import resource, sys
        from skyloom import fields
        from skyloom.errors import StoreError
        from skyloom.fields import store

        ds = fields.example(groups=5, per_group=4, size=8)
        writer = store.ShardWriter(sys.argv[1], ds)
        writer.write(0, ds.isel(sample=slice(0, 4)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            writer.write(1, ds.isel(sample=slice(4, 8)))
        except StoreError as error:
            print(error)
            sys.exit(error.exit_code)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "set")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (4, "")
    assert "shard-00001.nc" in run.stdout
    assert "goes on where it stopped" in run.stdout
    assert names(tmp_path / "set") == [".unfinished", "shard-00000.nc"]
    writer = store.ShardWriter(tmp_path / "set", SMALL)
    assert writer.done() == {0}
    for index in range(1, 5):
        writer.write(index, SMALL.isel(sample=slice(4 * index, 4 * index + 4)))
    writer.finish(shards=5)
    xr.testing.assert_identical(store.open(tmp_path / "set").load(), SMALL)


def test_a_manifest_of_today_keeps_its_form(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest) == {
        "layout",
        "ids_digest",
        "attrs",
        "fields",
        "coordinates",
        "compression",
        "identity",
        "shards",
    }
    assert manifest["layout"] == 1
    assert manifest["attrs"]["convention"] == "skyloom-1"
    assert manifest["fields"]["T_b"]["shape"] == [8, 8]
