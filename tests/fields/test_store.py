"""The store: what goes in comes out, in any order, from any process, and damage is named."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.errors import FieldSetError, MissingDependencyError, StoreError, UsageError
from skyloom.fields import store

SMALL = fields.example(groups=5, per_group=4, size=8)
N = SMALL.sizes["sample"]


def stored(folder: Path, **options) -> Path:
    store.write(SMALL, folder / "set", shard_size=6, **options)  # 6, 6, 6 and 2 samples
    return folder / "set"


@pytest.fixture(scope="module", params=store.shard.COMPRESSIONS)
def folder(request, tmp_path_factory) -> Path:
    return stored(tmp_path_factory.mktemp("stored"), compression=request.param)


def test_what_goes_in_comes_out(folder):
    ds = store.open(folder).load()
    xr.testing.assert_identical(ds, SMALL)
    for name, column in SMALL.coords.items():
        assert ds[name].dtype.kind == column.dtype.kind
        assert {key: type(value) for key, value in ds[name].attrs.items()} == {
            key: type(value) for key, value in column.attrs.items()
        }
    assert [type(ds.attrs[key]) for key in ds.attrs] == [type(value) for value in SMALL.attrs.values()]


def test_shards_open_in_plain_xarray(folder):
    import hdf5plugin  # noqa: F401

    shards = sorted(folder.glob("*.nc"))
    assert len(shards) == 4
    with xr.open_dataset(shards[1], engine="h5netcdf") as one:
        xr.testing.assert_identical(one.load(), SMALL.isel(sample=slice(6, 12)))
    with xr.open_mfdataset(shards, engine="h5netcdf", combine="nested", concat_dim="sample") as ds:
        xr.testing.assert_identical(ds.load(), SMALL)


def test_rows_come_in_the_order_asked_for(folder):
    asked = ([19, 0, 7, 7, 6, 5, 12, 18], [], [3], list(range(N)), list(range(N))[::-1])
    with store.Reader(folder) as reader:
        for rows in (np.array(rows, int) for rows in asked):
            for field in ("T_b", "neutral_fraction"):
                np.testing.assert_array_equal(reader.read(field, rows), SMALL[field].values[rows])


def test_the_reader_knows_everything_but_the_maps(folder):
    reader = store.Reader(folder)
    assert reader.fields == ["T_b", "neutral_fraction"]
    assert reader.shape("T_b") == (8, 8)
    assert reader.dims("T_b") == ("sample", "y", "x")
    assert reader.field_attrs("T_b") == SMALL["T_b"].attrs
    assert reader.attrs == SMALL.attrs
    np.testing.assert_array_equal(reader.ids, SMALL["sample"].values)
    xr.testing.assert_identical(reader.table, SMALL.drop_vars(reader.fields))
    assert reader.ids_digest == fields.transforms.ids_digest(SMALL["sample"].values)


@pytest.mark.parametrize("compression", store.shard.COMPRESSIONS)
def test_half_precision_on_disk_is_single_in_memory(tmp_path, compression):
    folder = stored(tmp_path, compression=compression, dtype="float16")
    rows = np.array([13, 2, 3])
    expected = SMALL["T_b"].values.astype(np.float16).astype(np.float32)
    with store.Reader(folder) as reader:
        values = reader.read("T_b", rows)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, expected[rows])
    np.testing.assert_array_equal(store.open(folder)["T_b"].values, expected)
    with h5py.File(folder / "shard-00000.nc") as file:
        assert file["T_b"].dtype == np.float16


def test_a_map_a_chunk_or_contiguous(tmp_path):
    for compression, chunks in (("none", None), ("blosc", (1, 8, 8)), ("deflate", (1, 8, 8))):
        folder = stored(tmp_path / compression, compression=compression)
        with h5py.File(folder / "shard-00000.nc") as file:
            assert file["T_b"].chunks == chunks


def test_cubes_and_plain_numbers(tmp_path):
    rng = np.random.default_rng(0)
    ds = fields.build(
        {
            "delta": (rng.normal(size=(5, 3, 4, 4)).astype(np.float32), "", "density contrast"),
            "charge": (rng.normal(size=5), "", "charge"),
        },
        ids=list("abcde"),
        groups=list("abcde"),
        seeds=np.arange(5),
        box_size=1.0,
        suite="demo",
        realism="toy",
    )
    store.write(ds, tmp_path / "set", shard_size=2, compression="blosc")
    reader = store.Reader(tmp_path / "set")
    rows = np.array([4, 0, 3])
    np.testing.assert_array_equal(reader.read("delta", rows), ds["delta"].values[rows])
    np.testing.assert_array_equal(reader.read("charge", rows), ds["charge"].values[rows].astype(np.float32))


def test_a_lazy_set_is_computed_shard_by_shard(tmp_path):
    alive, most = set(), 0

    def block(block_info=None):
        nonlocal most
        start = block_info[None]["array-location"][0][0]
        alive.add(start)
        most = max(most, len(alive))
        return SMALL["T_b"].values[start : start + 2]

    lazy = SMALL[["T_b"]].copy()
    values = da.map_blocks(block, chunks=((2,) * 10, (8,), (8,)), dtype=np.float32)
    lazy["T_b"] = (("sample", "y", "x"), values, SMALL["T_b"].attrs)
    seen = []

    def progress(done, total):
        seen.append((done, total, len(alive)))
        alive.clear()

    with dask.config.set(scheduler="synchronous"):
        store.write(lazy, tmp_path / "set", shard_size=4, progress=progress)
    # Each shard of four samples asks for its own two blocks and no others.
    assert seen == [(done, 5, 2) for done in range(1, 6)]
    assert most == 2
    xr.testing.assert_identical(store.open(tmp_path / "set").load(), SMALL[["T_b"]])


def test_shards_at_once_give_the_same_bytes(tmp_path):
    store.write(SMALL, tmp_path / "one", shard_size=3)
    store.write(SMALL.chunk(sample=2), tmp_path / "many", shard_size=3, workers=3)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def _write_some(folder, indices):
    writer = store.ShardWriter(folder, SMALL)
    for index in indices:
        writer.write(index, SMALL.isel(sample=slice(4 * index, 4 * index + 4)))


def test_processes_write_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_write_some, args=(tmp_path / "set", part)) for part in ([0, 2], [1, 4, 3])
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    writer = store.ShardWriter(tmp_path / "set", SMALL)
    assert writer.done() == {0, 1, 2, 3, 4}
    writer.finish(shards=5)
    xr.testing.assert_identical(store.open(tmp_path / "set").load(), SMALL)
    store.verify(tmp_path / "set")


def test_the_writer_crosses_processes(tmp_path):
    writer = pickle.loads(pickle.dumps(store.ShardWriter(tmp_path / "set", SMALL)))
    writer.write(0, SMALL)
    writer.finish()
    assert len(store.Reader(tmp_path / "set")) == N


def _put(reader, rows, queue):
    queue.put(reader.read("T_b", rows))


def test_a_reader_in_use_goes_through_a_fork(folder):
    reader, rows = store.Reader(folder), np.array([15, 1])
    reader.read("T_b", rows)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=_put, args=(reader, rows, queue))
    worker.start()
    np.testing.assert_array_equal(queue.get(timeout=60), SMALL["T_b"].values[rows])
    worker.join()
    assert worker.exitcode == 0
    np.testing.assert_array_equal(reader.read("T_b", rows), SMALL["T_b"].values[rows])


def test_a_reader_in_use_goes_to_a_spawned_process(tmp_path):
    rows = np.array([15, 1])
    readers = [store.Reader(stored(tmp_path / name, compression=name)) for name in ("none", "blosc")]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for reader in readers:
            reader.read("T_b", rows)
            np.testing.assert_array_equal(
                pool.submit(reader.read, "T_b", rows).result(), SMALL["T_b"].values[rows]
            )


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_closed_reader_leaves_no_descriptor_open(folder):
    gone = store.Reader(folder)
    before = descriptors()
    with store.Reader(folder) as reader:
        reader.read("T_b", np.arange(N))
        assert descriptors() > before
    assert descriptors() == before
    gone.close()


def test_more_shards_than_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr(store.reader, "_MOST_OPEN", 2)
    folder = stored(tmp_path)
    with store.Reader(folder) as reader:
        for _ in range(2):
            np.testing.assert_array_equal(reader.read("T_b", np.arange(N)), SMALL["T_b"].values)
        assert len(reader._open) == 2


@pytest.mark.parametrize(
    ("field", "rows", "message"),
    [
        ("T_B", [0], "did you mean 'T_b'"),
        ("T_b", [0, N], "rows go from 0 to 20"),
        ("T_b", [-1], "rows go from -1 to -1"),
        ("T_b", [[0]], r"shape \(1, 1\)"),
        ("T_b", [True], "bool"),
    ],
)
def test_a_wrong_request_is_named(folder, field, rows, message):
    with pytest.raises(UsageError, match=message):
        store.Reader(folder).read(field, np.array(rows))


def test_zarr_holds_the_same(folder, tmp_path):
    store.export_zarr(folder, tmp_path / "set.zarr")
    with xr.open_zarr(tmp_path / "set.zarr") as ds:
        xr.testing.assert_identical(ds.load(), SMALL)
    with pytest.raises(StoreError, match="exists already"):
        store.export_zarr(folder, tmp_path / "set.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zarr"]


def test_a_missing_zarr_names_the_extra(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match=r"skyloom\[zarr\]"):
        store.export_zarr(folder, tmp_path / "set.zarr")


def test_a_broken_set_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(FieldSetError):
        store.write(SMALL.drop_vars("group"), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "blosk"}, "did you mean 'blosc'"),
        ({"dtype": "float61"}, "allowed: float16, float32, float64"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        store.write(SMALL, tmp_path / "set", **options)


def test_the_manifest_lists_size_samples_and_digest(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [shard["samples"] for shard in manifest["shards"]] == [6, 6, 6, 2]
    for shard in manifest["shards"]:
        assert (folder / shard["file"]).stat().st_size == shard["bytes"]
    assert manifest["attrs"] == SMALL.attrs
    with pytest.raises(StoreError, match="no such folder"):
        store.Reader(folder / "none")
