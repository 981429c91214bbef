"""Downloads against a host that breaks off, cuts short, forgets and lies."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from skyloom.api.fetching import fetch
from skyloom.errors import DataError, UsageError
from skyloom.formats import download as module
from skyloom.formats.camels import Camels
from skyloom.formats.download import download

CONTENT = np.random.default_rng(0).bytes(300_000)


class Host(ThreadingHTTPServer):
    """Serves ``files``; the first answers break off after ``breaks[i]`` bytes; notes each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/a.npy": CONTENT}
        self.breaks: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        self.tag, self.ranges, self.status = '"one"', True, 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Host

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        host, asked = self.server, self.headers.get("Range")
        content = host.files.get(self.path)
        if content is None or host.status != 200:
            self.send_error(404 if content is None else host.status)
            return
        if not self.path.endswith("SHA256SUMS"):
            host.requests.append((self.path, asked))
        start = 0
        if asked and host.ranges and self.headers.get("If-Range") in (None, host.tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", host.tag)
        self.end_headers()
        rest = content[start:]
        if host.breaks:
            rest = rest[: host.breaks.pop(0)]
        self.wfile.write(rest)
        self.close_connection = True


@pytest.fixture
def host() -> Iterator[Host]:
    server = Host()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_broken_download_goes_on_with_the_missing_bytes(host, tmp_path):
    host.breaks = [100_000, 50_000]
    seen = []
    target = download(
        f"{host.url}/a.npy", tmp_path / "new" / "a.npy", wait=0, progress=lambda *pair: seen.append(pair)
    )
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in host.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert seen[-1] == (300_000, 300_000)
    assert [path.name for path in target.parent.iterdir()] == ["a.npy"]  # nothing is left behind
    download(f"{host.url}/a.npy", target)
    assert len(host.requests) == 3  # what is there is not asked for again


def test_another_process_goes_on_where_one_gave_up(host, tmp_path):
    host.breaks = [200_000, *[0] * module.TRIES]
    with pytest.raises(DataError, match="broken off after 200000 bytes") as caught:
        download(f"{host.url}/a.npy", tmp_path / "a.npy", wait=0)
    assert "run the same command again" in caught.value.hint
    assert not (tmp_path / "a.npy").exists()
    host.breaks, host.requests = [], []
    assert download(f"{host.url}/a.npy", tmp_path / "a.npy").read_bytes() == CONTENT
    assert host.requests == [("/a.npy", "bytes=200000-")]


@pytest.mark.parametrize("how", ["changed", "no ranges"])
def test_a_file_that_changed_or_cannot_be_continued_is_begun_anew(host, tmp_path, how):
    host.breaks = [120_000, *[0] * module.TRIES]
    with pytest.raises(DataError):
        download(f"{host.url}/a.npy", tmp_path / "a.npy", wait=0)
    host.breaks = []
    if how == "changed":
        host.files["/a.npy"], host.tag = CONTENT[::-1], '"two"'
    else:
        host.ranges = False
    assert download(f"{host.url}/a.npy", tmp_path / "a.npy", wait=0).read_bytes() == host.files["/a.npy"]


def test_a_whole_part_that_was_never_renamed_is_accepted(host, tmp_path):
    host.breaks = [299_999, *[0] * module.TRIES]
    with pytest.raises(DataError):
        download(f"{host.url}/a.npy", tmp_path / "a.npy", wait=0)
    part = tmp_path / ".a.npy.download"
    part.write_bytes(CONTENT)  # the last byte came, then the process was killed
    host.breaks = []
    assert download(f"{host.url}/a.npy", tmp_path / "a.npy", wait=0).read_bytes() == CONTENT


def test_a_wrong_digest_is_thrown_away(host, tmp_path):
    good = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(DataError, match=f"its sha256 is {good}, the host publishes 0000"):
        download(f"{host.url}/a.npy", tmp_path / "a.npy", sha256="0" * 64)
    assert not list(tmp_path.iterdir())
    download(f"{host.url}/a.npy", tmp_path / "a.npy", sha256=good)


def test_what_the_host_refuses_is_not_tried_again(host, tmp_path):
    with pytest.raises(DataError, match=r"no such file \(404\)"):
        download(f"{host.url}/b.npy", tmp_path / "b.npy")
    host.status = 403
    with pytest.raises(DataError, match=r"refuses it \(403\)"):
        download(f"{host.url}/a.npy", tmp_path / "a.npy")
    host.status = 503
    with pytest.raises(DataError, match="the host answers 503"):
        download(f"{host.url}/a.npy", tmp_path / "a.npy", wait=0)
    with pytest.raises(DataError, match="broken off after 0 bytes"):
        download("http://127.0.0.1:9/a.npy", tmp_path / "a.npy", wait=0)


def test_a_full_disk_is_said_and_what_came_is_kept(host, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(DataError, match=r"cannot write .*a.npy: No space left on device") as caught:
        download(f"{host.url}/a.npy", tmp_path / "a.npy")
    assert "what has come is kept" in caught.value.hint


def test_fetch_brings_maps_and_tables_that_the_reader_takes(host, tmp_path, monkeypatch):
    source = tmp_path / "host"
    source.mkdir()
    rng, place = np.random.default_rng(1), "/2D_maps/data/SIMBA"
    for field in ("HI", "Mgas"):
        np.save(source / f"Maps_{field}_SIMBA_CV_z=0.00.npy", rng.random((15, 8, 8)).astype(np.float32))
    (source / "params_CV_SIMBA.txt").write_text("0.3 0.8 1 1 1 1\n")
    host.files = {f"{place}/{path.name}": path.read_bytes() for path in source.iterdir()}
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name.split('/')[-1]}" for name, data in host.files.items()]
    host.files[f"{place}/SHA256SUMS"] = "\n".join(sums).encode()
    host.breaks = [10]
    monkeypatch.setenv("SKYLOOM_CAMELS_URL", host.url + "/")
    wanted = {"suite": "SIMBA", "set": "CV", "fields": ["HI", "Mgas"], "progress": "quiet"}
    fetch("camels", tmp_path / "got", **wanted)
    ds = Camels(path=str(tmp_path / "got")).read()
    assert ds["seed"].values[0] == 1
    np.testing.assert_array_equal(
        np.load(tmp_path / "got" / "Maps_HI_SIMBA_CV_z=0.00.npy"),
        np.load(source / "Maps_HI_SIMBA_CV_z=0.00.npy"),
    )
    host.files[f"{place}/SHA256SUMS"] = ("0" * 64 + "  Maps_HI_SIMBA_CV_z=0.00.npy").encode()
    with pytest.raises(DataError, match="the host publishes 0000"):
        fetch("camels", tmp_path / "other", **wanted)
    with pytest.raises(UsageError, match="has no HI"):
        fetch("camels", tmp_path, suite="Nbody_SIMBA", set="CV", fields=["HI"])
    with pytest.raises(UsageError, match="no data set is called 'cmd'"):
        fetch("cmd", Path(tmp_path), **wanted)
