"""A shared run answers as the run itself, from a folder and from a host with the hub's layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import skyloom
from skyloom import api, fields
from skyloom.errors import DataError, UsageError
from skyloom.fields import store
from skyloom.recipe import load

RECIPE = """
recipe: 1
name: toy
data: {{source: {{name: field_set, path: {path}}}, fields: {{T_b: [standardise]}}}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.2, test: 0.2}}}}
task: {{name: infer, parameters: [x_HI]}}
method: {{name: mean_squared, net: {{name: resnet, width: 4, blocks: [1]}}}}
train: {{epochs: 1, batch_size: 16}}
evaluate: {{baselines: [mean], bootstrap: 20}}
"""
COMMIT = "0" * 40


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps") / "set"
    store.write(fields.example(groups=12, per_group=2, size=16), folder)
    return folder


@pytest.fixture(scope="module")
def run(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "toy.yaml").write_text(RECIPE.format(path=maps))
    return api.run(load(folder / "toy.yaml"), folder / "toy", progress="quiet")


@pytest.fixture
def hub(run, tmp_path, monkeypatch) -> Iterator[str]:
    """A host that serves one repository as the hub does: an index by commit, then files by commit."""
    folder = api.package(run, tmp_path / "served")
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    class Hub(BaseHTTPRequestHandler):
        def reply(self, body: bytes, kind: str, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Type": kind, "Content-Length": str(len(body)), **headers
            }.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith("/api/models/me/toy"):
                if "/tree/" in path:
                    listed = [
                        {"type": "file", "path": name, "size": file.stat().st_size, "oid": COMMIT}
                        for name, file in files.items()
                    ]
                    return self.reply(json.dumps(listed).encode(), "application/json", {})
                told = {"id": "me/toy", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
                return self.reply(json.dumps(told).encode(), "application/json", {})
            name = path.removeprefix(f"/me/toy/resolve/{COMMIT}/")
            if name not in files:
                told = {"X-Error-Code": "RepoNotFound"}
                return self.reply(b"", "text/plain", told, status=404)
            body = files[name].read_bytes()
            etag = hashlib.sha256(body).hexdigest()
            return self.reply(
                body, "application/octet-stream", {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
            )

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    yield address
    server.shutdown()
    server.server_close()


def test_a_shared_folder_answers_as_the_run_and_tells_of_it(run, maps, tmp_path):
    folder = api.package(run, tmp_path / "given")
    ds = store.open(maps)
    known = skyloom.load_run(run).predict(ds)
    found = skyloom.from_pretrained(folder).predict(ds)
    np.testing.assert_array_equal(found["mean"].values, known["mean"].values)
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: skyloom")
    assert "Where" in text or "Limits" in text
    assert not (folder / "state").exists()
    assert not list(folder.rglob("*.pt"))
    with pytest.raises(UsageError, match="is not empty"):
        api.package(run, folder)


def test_it_comes_from_a_host_and_then_without_one(run, maps, hub, tmp_path, monkeypatch):
    ds = store.open(maps)
    known = skyloom.load_run(run).predict(ds)["mean"].values
    found = skyloom.from_pretrained("me/toy", cache=tmp_path / "cache").predict(ds)["mean"].values
    np.testing.assert_array_equal(found, known)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    again = skyloom.from_pretrained("me/toy", cache=tmp_path / "cache", offline=True)
    np.testing.assert_array_equal(again.predict(ds)["mean"].values, known)


def test_what_is_nowhere_is_told(hub, tmp_path):
    with pytest.raises(DataError, match="me/other: neither a folder nor a run"):
        skyloom.from_pretrained("me/other", cache=tmp_path)
    with pytest.raises(DataError, match="neither a folder nor a run"):
        skyloom.from_pretrained("no such name at all", cache=tmp_path)
    with pytest.raises(DataError, match="neither a folder nor a run"):
        skyloom.from_pretrained("me/toy", cache=tmp_path / "empty", offline=True)


def test_a_push_sends_the_package(run, monkeypatch):
    sent = {}

    class Api:
        def __init__(self, token=None):
            sent["token"] = token

        def create_repo(self, name, **settings):
            sent["repository"] = (name, settings)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            sent["files"] = {
                path.relative_to(folder_path).as_posix() for path in Path(folder_path).rglob("*")
            }
            sent["to"] = (repo_id, commit_message)
            return "address"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert skyloom.push_to_hub(run, "me/toy", private=True, token="t") == "address"
    assert sent["repository"] == ("me/toy", {"private": True, "exist_ok": True})
    assert {"README.md", "recipe.yaml", "weights/best.safetensors", "report.html"} <= sent["files"]
    assert sent["to"] == ("me/toy", "Add toy")
