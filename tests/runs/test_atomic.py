"""A file is there whole or not at all, whatever goes wrong while it is written."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from skyloom.errors import DataError, UsageError
from skyloom.runs import (
    atomic_path,
    atomic_write,
    jsonable,
    read_json,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with atomic_write(target) as file:
        file.write(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_text_keeps_its_line_ends_and_letters(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("σ\r\nµ\n")
    assert (tmp_path / "a.txt").read_bytes() == "σ\r\nµ\n".encode()
    assert write_text(tmp_path / "b.txt", "σ\r\nµ\n").read_bytes() == "σ\r\nµ\n".encode()


def test_another_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'ab'.*\n.*'wb'"):
        atomic_write(tmp_path / "a", "ab")  # type: ignore[call-overload]


def test_a_failing_block_keeps_the_old_file(tmp_path: Path) -> None:
    target = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_write(target, "w") as file:
        file.write("half")
        file.flush()
        1 / 0  # noqa: B018
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_keyboard_interrupt_keeps_the_old_file(tmp_path: Path) -> None:
    target = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt), atomic_write(target, "w"):
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
def test_a_failure_of_the_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    target = write_bytes(tmp_path / "weights.bin", b"old")

    def fails(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(DataError, match=r"cannot write .*weights.bin: .*\n  → ") as caught:
        write_bytes(target, b"new")
    assert isinstance(caught.value.__cause__, OSError)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["weights.bin"]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError("Can't write data (file write failed: errno = 28, error message = '...')"), "no space"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space"),
        (RuntimeError("I/O error: File too large (os error 27)"), "larger than the system allows"),
    ],
)
def test_a_library_that_reports_a_full_disk_in_words_is_understood(
    tmp_path: Path, error: Exception, cause: str
) -> None:
    with pytest.raises(DataError, match=f"a.h5: .*{cause}"), atomic_path(tmp_path / "a.h5"):
        raise error
    assert names(tmp_path) == []


def test_a_failure_on_another_file_is_not_blamed_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError), atomic_write(tmp_path / "a") as file:
        write_text(tmp_path / "other", "")
        file.write((tmp_path / "other" / "b").read_bytes())
    with pytest.raises(OSError, match="broken pipe"), atomic_write(tmp_path / "a"):
        raise OSError(errno.EPIPE, "broken pipe")


def test_a_real_file_size_limit_is_a_data_error(tmp_path: Path) -> None:
    """A limit of 64 kB against 256 kB, by a plain file and by HDF5, in a process of its own."""
    script = """
        import resource, signal, sys
        import h5py, numpy as np
        from skyloom.errors import DataError
        from skyloom.runs import atomic_path, write_bytes
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
        try:
            write_bytes(sys.argv[1] + "/a.bin", bytes(2**18))
        except DataError as error:
            print(error.message)
        try:
            with atomic_path(sys.argv[1] + "/a.h5") as path, h5py.File(path, "w") as file:
                file["a"] = np.zeros(2**15)
        except DataError as error:
            print(error.message)
    """
    (tmp_path / "a.bin").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    why = "it is larger than the system allows a file to be"
    assert done.stdout.splitlines() == [
        f"cannot write {tmp_path}/a.bin: {why}",
        f"cannot write {tmp_path}/a.h5: {why}",
    ]
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_path_that_cannot_be_is_explained(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "")
    (tmp_path / "folder").mkdir()
    for path, why in [
        ("file/a", "a part of its path is a file"),
        ("file/a/b", "a part"),
        ("folder", "a folder stands"),
    ]:
        with pytest.raises(DataError, match=why):
            write_text(tmp_path / path, "")
    assert names(tmp_path) == ["file", "folder"]


def test_a_library_can_write_by_name(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.h5"
    with atomic_path(target) as path, h5py.File(path, "w") as file:
        file["a"] = np.arange(3)
        assert not target.exists()
    with h5py.File(target) as file:
        assert file["a"][:].tolist() == [0, 1, 2]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing was written for .*a.h5"), atomic_path(tmp_path / "a.h5"):
        pass


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    written = write_text(tmp_path / "atomic", "")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_file_and_folder_are_synchronised_before_and_after_the_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    real = os.fsync

    def watched(handle: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(handle).st_mode), (tmp_path / "a").exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", watched)
    write_text(tmp_path / "a", "x")
    assert seen == [(False, False), (True, True)]


def test_a_folder_that_cannot_be_synchronised_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not on this file system")

    monkeypatch.setattr(os, "fsync", only_files)
    assert write_text(tmp_path / "a", "x").read_text() == "x"


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    script = """
        import sys
        from skyloom.runs import write_text
        for _ in range(20):
            write_text(sys.argv[1], sys.argv[2] * 100_000)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a")]
    running = [subprocess.Popen([*command, letter]) for letter in "xyz"]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert (tmp_path / "a").read_text() in {letter * 100_000 for letter in "xyz"}
    assert names(tmp_path) == ["a"]


def test_json_is_strict_and_unpacks_numpy(tmp_path: Path) -> None:
    content = {
        "value": np.float32(0.25),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "bad": [np.nan, -np.inf, np.float64("inf")],
        "array": np.array([[1.0, np.nan]]),
        "names": np.array(["a", "b"]),
        7: (1, None),
        "path": Path("a/b"),
        "σ": "σ",
    }
    path = write_json(tmp_path / "a.json", content)
    assert read_json(path) == {
        "value": 0.25,
        "count": 3,
        "flag": True,
        "bad": [None, None, None],
        "array": [[1.0, None]],
        "names": ["a", "b"],
        "7": [1, None],
        "path": "a/b",
        "σ": "σ",
    }
    assert "NaN" not in path.read_text()
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_what_json_cannot_hold_is_named() -> None:
    with pytest.raises(DataError, match=r"scores.r2\[1\] is a set"):
        jsonable({"scores": {"r2": [0, {1}]}})
    with pytest.raises(DataError, match=r"scores has the key \(1, 2\)"):
        jsonable({"scores": {(1, 2): 0}})
    with pytest.raises(DataError, match="the key True"):
        jsonable({True: 0})


def test_json_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*a.json"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(DataError, match=r"a.json is damaged"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="cannot read"):
        read_json(tmp_path)


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from skyloom.runs import atomic_write
        with atomic_write(sys.argv[1]) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    target = tmp_path / "state" / "a.bin"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(target)], check=False)
    assert done.returncode == -9
    assert not target.exists()
    assert len(remove_leftovers(tmp_path)) == 1
    assert names(target.parent) == []
