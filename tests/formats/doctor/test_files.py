"""Damaged files are named, chunks that cut across maps are told, and real files are looked at."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from skyloom import api, fields
from skyloom.errors import DataError, FormatError, StoreError
from skyloom.fields import store
from skyloom.formats import doctor
from skyloom.formats.doctor import Finding, render
from skyloom.formats.doctor.files import waste
from skyloom.formats.doctor.findings import named


def test_every_damaged_shard_is_named(tmp_path: Path) -> None:
    store.write(fields.example(), tmp_path / "set", shard_size=6)
    assert doctor.damaged(tmp_path / "set") == []
    shards = sorted((tmp_path / "set").glob("*.nc"))
    content = bytearray(shards[0].read_bytes())
    content[len(content) // 2] ^= 1
    shards[0].write_bytes(content)
    shards[2].write_bytes(shards[2].read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"(?s)shard-00000.*shard-00002\.nc is truncated"):
        api.inspect(tmp_path / "set", progress="quiet")


def test_truncated_files_are_named_all_at_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((8, 64, 64))
    np.savez(tmp_path / "b.npz", x=np.arange(5000))
    (tmp_path / "deltaTb_z8.000_N4_L10.0.dat").write_bytes(bytes(4 * 4**3))
    (tmp_path / "notes.txt").write_text("all well")
    assert doctor.damaged(tmp_path) == []
    for name in ("a.h5", "b.npz", "deltaTb_z8.000_N4_L10.0.dat"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    faults = doctor.damaged(tmp_path)
    assert [fault.split(":")[0] for fault in faults] == ["a.h5", "b.npz", "deltaTb_z8.000_N4_L10.0.dat"]
    assert "128 bytes, its name asks for 256" in faults[2]
    with pytest.raises(FormatError, match=r"a\.h5: truncated or damaged HDF5") as caught:
        api.inspect(tmp_path / "a.h5")
    assert caught.value.exit_code == 4


def test_what_reading_a_map_costs() -> None:
    assert waste((100, 64, 64), (100, 8, 8)) == 100  # every chunk is needed for every map
    assert waste((100, 64, 64), (5, 64, 64)) == 5
    assert waste((100, 60, 60), (1, 64, 64)) == pytest.approx((64 / 60) ** 2)
    assert waste((3, 64, 64), (16, 64, 64)) == 3  # what lies beyond the data set is not read


def test_chunks_that_cut_across_maps_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "maps.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("bad", data=np.zeros((32, 16, 16), "f4"), chunks=(32, 4, 4))
        file.create_dataset("good", data=np.zeros((32, 16, 16), "f4"), chunks=(1, 16, 16))
        file["plain"] = np.zeros((32, 16, 16), "f4")
    (found,) = doctor.layout(path)
    assert found.level == "note"  # so small that it does not matter
    assert "bad (32, 16, 16) is stored in chunks of (32, 4, 4)" in found.message
    assert "32 times its bytes" in found.message
    assert f"skyloom import {path} --out FOLDER" in found.next
    monkeypatch.setattr("skyloom.formats.doctor.files.LARGE", 1000)
    assert [f.level for f in doctor.layout(path)] == ["warning"]
    with h5py.File(path, "a") as file:
        del file["bad"]
    assert [f.level for f in doctor.layout(path)] == ["ok"]


def test_wide_and_whole_numbers_are_told(tmp_path: Path) -> None:
    assert [f.level for f in doctor.types({"T_b": "float32"}, tmp_path)] == ["ok"]
    wide, whole = doctor.types({"a": "float64", "b": "int16"}, tmp_path)
    assert "a: float64 takes twice the room" in wide.message
    assert "b: int16" in whole.message
    assert "--dtype float32" in whole.next


def test_the_type_on_disk_is_told_and_import_writes_the_one_asked_for(tmp_path: Path) -> None:
    store.write(fields.example(), tmp_path / "set")
    made = api.import_(tmp_path / "set", tmp_path / "half", dtype="float16", progress="quiet")
    assert doctor.stored_types(made, store.open(made)) == {"T_b": "float16", "neutral_fraction": "float16"}


def test_findings_read_gravest_first_and_within_the_width() -> None:
    long = "word " * 60
    text = render(
        [Finding("ok", "b", ""), Finding("note", "c", long, long), Finding("error", "d", "bad")], 80
    )
    lines = text.splitlines()
    assert lines[0] == "findings: 1 error, 1 note"
    assert lines[1].startswith("  error    d            bad")
    assert lines[-1] == "  ok       b"
    assert max(map(len, lines)) <= 80
    assert render([]) == "findings: none"
    assert named("abcde") == "a, b, c and 2 more"


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "reionisation"
    run = api.inspect(folder / "simfast21_run", progress="quiet")
    assert {f.level for f in run.findings} == {"ok", "note"}
    cone = api.inspect(folder / "21cmfast_lightcone_simrun_0.h5", progress="quiet")
    # The cone repeats one box along the line of sight, so its slices come back.
    assert [f.level for f in cone.findings if f.check == "copies"] == ["note"]
    assert not any(f.level in ("error", "warning") for f in cone.findings)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        api.inspect(tmp_path / "nothing.h5")
