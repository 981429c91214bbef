"""An import on a cluster is whole in the end, and the same bytes, though a worker was killed half-way."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import h5py
import numpy as np
import pytest

from skyloom import api, formats
from skyloom.api import importing
from skyloom.errors import DataError
from skyloom.fields import store

SNAPSHOTS, SHARD = 200, 8


def write_snapshots(folder: Path) -> None:
    """Small Athena++ snapshots of ten runs: the density of number ``n`` is n + 1 + x."""
    x = np.broadcast_to((np.arange(4) + 0.5) / 4, (4, 4, 4))
    for n in range(SNAPSHOTS):
        path = folder / f"run{n // 20}" / f"turb.out1.{n % 20:05d}.athdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["prim"] = (n + 1 + x)[None, None].astype(np.float32)
            file["Levels"] = np.zeros(1, ">i4")
            file["LogicalLocations"] = np.zeros((1, 3), ">i8")
            file.attrs.update(
                Coordinates=np.bytes_(b"cartesian"),
                DatasetNames=np.array(["prim"], dtype="S21"),
                VariableNames=np.array(["rho"], dtype="S21"),
                NumVariables=np.array([1], dtype=">i4"),
                MaxLevel=np.int32(0),
                MeshBlockSize=np.array([4, 4, 4], dtype=">i4"),
                NumMeshBlocks=np.int32(1),
                RootGridSize=np.array([4, 4, 4], dtype=">i4"),
                Time=np.float32(n % 20),
            )
            for axis in (1, 2, 3):
                file.attrs[f"RootGridX{axis}"] = np.array([0.0, 1.0, 1.0], dtype=np.float32)


def deadly(marker: Path, value: float):
    """Return a function of a block that kills its process the first time it meets a value."""

    def read(block: np.ndarray) -> np.ndarray:
        if np.any(np.isclose(block, value)):
            try:
                with marker.open("x") as file:
                    file.write(str(os.getpid()))
            except FileExistsError:
                return block
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    return read


@pytest.fixture
def by_value() -> Iterator[None]:
    """Send functions of this module to workers as they are: these cannot import it, and need not."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.slow
@pytest.mark.usefixtures("by_value")
def test_an_import_survives_the_death_of_a_worker(tmp_path, monkeypatch):
    from distributed import LocalCluster

    write_snapshots(tmp_path / "snapshots")
    api.import_(tmp_path / "snapshots", tmp_path / "serial", shard_size=SHARD, progress="quiet")
    marker, read = tmp_path / "killed", formats.read

    def deadly_read(path, **options):
        ds = read(path, **options)
        # Number 100, in the middle of a shard: the run's files are read in the order of their names.
        kill = deadly(marker, 100 + 1 + 0.125)
        return ds.assign(density=ds["density"].copy(data=ds["density"].data.map_blocks(kill, dtype="f4")))

    monkeypatch.setattr(importing.formats, "read", deadly_read)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        before = {worker.pid for worker in cluster.workers.values()}
        api.import_(
            tmp_path / "snapshots",
            tmp_path / "set",
            shard_size=SHARD,
            scheduler=cluster.scheduler_address,
            progress="quiet",
        )
    assert int(marker.read_text()) in before
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("serial", "set")]
    # Digests of the bytes of every shard.
    assert manifests[0] == manifests[1]
    ds = store.open(tmp_path / "set")
    assert ds.sizes["sample"] == SNAPSHOTS and len(manifests[1]["shards"]) == SNAPSHOTS / SHARD
    np.testing.assert_array_equal(ds["density"].values[:, 0, 0, 0], np.arange(SNAPSHOTS) + 1.125)
    assert not list((tmp_path / "set").glob(".*"))


def test_a_scheduler_that_is_not_there_is_named(tmp_path, monkeypatch):
    write_snapshots(tmp_path / "snapshots")
    monkeypatch.setattr(importing, "ANSWERS_WITHIN", 0.2)
    with pytest.raises(DataError, match=r"tcp://127\.0\.0\.1:1 does not answer"):
        api.import_(tmp_path / "snapshots", tmp_path / "set", scheduler="tcp://127.0.0.1:1")
    assert not (tmp_path / "set").exists()
