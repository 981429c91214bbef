"""A training that was stopped in any way ends with the bits of one that was not."""

from __future__ import annotations

import csv
import os
import random
import signal
import time
from pathlib import Path

import pytest

from skyloom.errors import DataError, Interrupted, UsageError
from skyloom.training.checkpoint import load_checkpoint

FILES = ("weights/best.safetensors", "weights/last.safetensors")


def rows(folder: Path) -> list[dict[str, str]]:
    """The log without the column that a clock wrote."""
    with (folder / "log.csv").open(newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


def same(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert rows(one) == rows(other)


@pytest.mark.slow
def test_killed_at_random_moments(server, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    request = {"epochs": 6, "schedule": "one_cycle"}
    began = time.monotonic()
    assert server.train(folder=str(whole), **request) == 0
    length = time.monotonic() - began

    # Other moments in every run of this test: the bits may depend on none of them.
    kills = []
    while len(kills) < 6:
        process = server.start(folder=str(broken), resume=True, **request)
        kills.append(random.SystemRandom().uniform(0, 0.5 * length))
        time.sleep(kills[-1])
        os.kill(process, signal.SIGKILL)
        assert server.wait(process) in {0, -signal.SIGKILL}
    assert server.train(folder=str(broken), resume=True, **request) == 0
    same(whole, broken)


def test_sigterm_saves_the_step_and_names_the_way_on(server, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert server.train(folder=str(whole)) == 0
    process = server.start(folder=str(broken), checkpoint_every=1000)
    limit = time.monotonic() + 300
    while not (broken / "log.csv").exists():  # written at the end of the first epoch
        assert time.monotonic() < limit, server.errors.read_text()
        time.sleep(0.01)
    os.kill(process, signal.SIGTERM)
    assert server.wait(process) == Interrupted.exit_code
    assert not (broken / "timing.json").exists()
    steps = int(max((broken / "state").glob("step-*.pt")).stem.removeprefix("step-"))
    assert 10 <= steps < 40
    assert server.train(folder=str(broken), resume=True, checkpoint_every=1000) == 0
    same(whole, broken)
    said = server.errors.read_text()
    assert f"stopped by SIGTERM after step {steps}; all is saved in {broken}" in said
    assert "--resume" in said


@pytest.fixture(scope="module")
def whole(worker, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    worker.train(str(folder))
    return folder


def interrupt(worker, folder: Path, step: int, **settings) -> None:
    """Train in this process, and get a SIGTERM in the given step."""
    method_step = worker.registry.get("moments", "method").training_step

    def training_step(self, batch, batch_idx):
        if self.global_step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return method_step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.registry.get("moments", "method"), "training_step", training_step)
        with pytest.raises(Interrupted, match=f"after step {step}"):
            worker.train(str(folder), **settings)


@pytest.mark.parametrize("step", [1, 7, 10, 29, 31])
def test_stopped_in_a_step(worker, whole, tmp_path, step):
    # Ten steps an epoch: its first, one amid, its last, its last but one, the first of another.
    interrupt(worker, tmp_path, step)
    worker.train(str(tmp_path), resume=True)
    same(whole, tmp_path)


def test_stopped_in_the_last_step_is_done(worker, whole, tmp_path):
    method = worker.registry.get("moments", "method")
    before = method.training_step

    def training_step(self, batch, batch_idx):
        if self.global_step == 39:
            os.kill(os.getpid(), signal.SIGTERM)
        return before(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "training_step", training_step)
        worker.train(str(tmp_path))
    same(whole, tmp_path)


def test_a_finished_training_is_not_trained_again(worker, whole, tmp_path):
    before = {name: (whole / name).stat().st_mtime_ns for name in FILES}
    fitted = worker.train(str(whole), resume=True)
    assert (fitted.steps, fitted.epochs) == (40, 4)
    assert before == {name: (whole / name).stat().st_mtime_ns for name in FILES}


def test_a_damaged_checkpoint_is_passed_over(worker, whole, tmp_path):
    interrupt(worker, tmp_path, 17)
    newest = max((tmp_path / "state").glob("step-*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged; going back"):
        worker.train(str(tmp_path), resume=True)
    same(whole, tmp_path)


def test_all_checkpoints_damaged(worker, tmp_path):
    interrupt(worker, tmp_path, 17)
    for path in (tmp_path / "state").glob("step-*.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning), pytest.raises(DataError, match="is damaged"):
        worker.train(str(tmp_path), resume=True)


def test_two_generations_stay(worker, whole):
    paths = sorted((whole / "state").glob("step-*.pt"))
    # Every five steps within an epoch of ten, and at its end.
    assert [path.stem for path in paths] == ["step-0000000035", "step-0000000040"]
    assert load_checkpoint(paths[0])["position"] == {"epoch": 3, "batch": 5, "step": 35}
    assert load_checkpoint(paths[1])["position"] == {"epoch": 4, "batch": 0, "step": 40}


def test_other_settings_are_refused(worker, tmp_path):
    interrupt(worker, tmp_path, 3)
    with pytest.raises(UsageError, match=r"train\.batch_size was 8 and is 4"):
        worker.train(str(tmp_path), resume=True, batch_size=4)
    worker.train(str(tmp_path), resume=True, keep=3, log_every=4)


def test_a_begun_training_is_not_overwritten(worker, whole):
    with pytest.raises(UsageError, match="a training has begun"):
        worker.train(str(whole))


def test_another_network_is_refused(worker, tmp_path):
    interrupt(worker, tmp_path, 3)
    with pytest.raises(DataError, match="does not fit the method"):
        worker.train(str(tmp_path), resume=True, net={"width": 8})
