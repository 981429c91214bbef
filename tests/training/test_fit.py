"""What a training does and leaves behind, on the small training of ``worker.py``: ten steps an epoch."""

from __future__ import annotations

import csv
import errno
import math
import random
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from skyloom import registry
from skyloom.errors import DataError, DivergedError, UsageError
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.training import checkpoint, fit, read_header, rebuild
from skyloom.training.trainer import threads


def rows(folder) -> list[dict[str, float]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file)]


def loss(method, maps, targets) -> float:
    with torch.no_grad():
        return float(method.losses(maps, targets)[1])


@pytest.fixture
def method():
    torch.manual_seed(3)
    net = {"name": "resnet", "width": 4, "blocks": [1]}
    return registry.build({"name": "mean_squared", "net": net}, "method", data=(1, 1, 8))


@pytest.fixture
def run(worker, method, tmp_path):
    """Train ``method`` in ``tmp_path`` with other settings and return what came out."""

    def start(**settings):
        wanted = Train(**{"batch_size": 8, "optimiser": {"name": "sgd", "lr": 0.01}} | settings)
        return fit(method, worker.data(wanted), wanted, RunFolder(tmp_path), progress="quiet")

    return start


def test_the_best_weights_have_the_validation_loss_that_is_told(worker, run, method, tmp_path):
    fitted = run(epochs=3, ema=0.8)
    (side,) = worker.data(Train()).val_dataloader()
    found = loss(method, side["maps"], side["targets"])
    assert found == pytest.approx(fitted.validation_loss, rel=1e-6)
    table = {row["epoch"]: row["validation/loss"] for row in rows(tmp_path) if "validation/loss" in row}
    assert fitted.validation_loss == min(table.values()) == table[fitted.best_epoch]
    header = read_header(tmp_path / "weights/best.safetensors")
    assert (header["epoch"], header["averaged"]) == (fitted.best_epoch, True)
    assert header["validation_loss"] == fitted.validation_loss
    assert not method.training
    again = rebuild(tmp_path / "weights/best.safetensors")
    assert loss(again, side["maps"], side["targets"]) == pytest.approx(found, rel=1e-6)


def test_the_steps_are_those_of_a_loop_by_hand(worker, method, run, tmp_path):
    # Plain gradient descent, without anything that draws: the same numbers from six lines.
    net = {"name": "resnet", "width": 4, "blocks": [1]}
    twin = registry.build({"name": "mean_squared", "net": net}, "method", data=(1, 1, 8))
    twin.load_state_dict(method.state_dict())
    run(epochs=2, schedule="constant", log_every=4, gradient_clip=0.3)

    batches = worker.data(Train(batch_size=8)).train_dataloader()
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.01)
    losses = []
    for epoch in range(2):
        batches.batch_sampler.set_epoch(epoch)
        for batch in batches:
            value = (twin(batch["maps"]) - batch["targets"]).square().mean()
            optimiser.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.3)
            optimiser.step()
            losses.append(value.item())
    last = load_file(tmp_path / "weights/last.safetensors")
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(last[name], value, rtol=2e-4, atol=1e-6)
    table = rows(tmp_path)
    assert [row["step"] for row in table] == [4, 8, 10, 12, 16, 20]
    assert [row["epoch"] for row in table] == [1, 1, 1, 2, 2, 2]
    assert {row["lr"] for row in table} == {0.01}
    means = [
        np.mean(losses[low:high]) for low, high in [(0, 4), (4, 8), (8, 10), (10, 12), (12, 16), (16, 20)]
    ]
    assert [row["train/loss"] for row in table] == pytest.approx(means, rel=1e-4)
    epochs = [row["train/loss_epoch"] for row in table if "train/loss_epoch" in row]
    assert epochs == pytest.approx([np.mean(losses[:10]), np.mean(losses[10:])], rel=1e-4)


def test_samples_are_drawn_from_the_averaged_weights_and_change_nothing(worker, method, run, tmp_path):
    before = {name: value.clone() for name, value in method.state_dict().items()}
    run(epochs=4, ema=0.8)
    plain = {name: load_file(tmp_path / f"weights/{name}.safetensors") for name in ("best", "last")}
    method.load_state_dict(before)
    drawn = {}

    def artist(module, epoch):
        assert module.training
        drawn[epoch] = {name: value.clone() for name, value in module.state_dict().items()}
        torch.rand(3)  # what it draws from the global generator is not missed
        saved = load_file(folder.path / "weights/last.safetensors")
        assert all(torch.equal(saved[name], value) for name, value in drawn[epoch].items())

    folder = RunFolder(tmp_path / "drawn")
    wanted = Train(batch_size=8, optimiser={"name": "sgd", "lr": 0.01}, epochs=4, ema=0.8, draw_every=2)
    fit(method, worker.data(wanted), wanted, folder, progress="quiet", artist=artist)
    assert sorted(drawn) == [2, 4]
    for name, weights in plain.items():
        found = load_file(folder.path / f"weights/{name}.safetensors")
        assert all(torch.equal(found[key], value) for key, value in weights.items())


def test_early_stopping_waits_for_patience(run, method, tmp_path, monkeypatch):
    planned = iter([3.0, 1.0, 2.0, 1.0, 0.1])

    def validation_step(self, batch, batch_idx):
        if batch_idx == 0:
            type(self).planned = next(planned)
        self.log("validation/loss", torch.tensor(type(self).planned), batch_size=len(batch["row"]))

    monkeypatch.setattr(type(method), "validation_step", validation_step)
    fitted = run(epochs=5, early_stopping=2)
    # 3, then 1, then two epochs that are not lower: the fifth is not trained.
    assert (fitted.epochs, fitted.steps, fitted.best_epoch, fitted.validation_loss) == (4, 40, 2, 1.0)
    best, last = (read_header(tmp_path / f"weights/{name}.safetensors") for name in ("best", "last"))
    assert (best["epoch"], last["epoch"]) == (2, 4)


def test_every_logged_score_is_in_the_log(run, method, tmp_path, monkeypatch):
    before = type(method).training_step, type(method).validation_step

    def training_step(self, batch, batch_idx):
        self.log("train/step", float(self.global_step))
        return before[0](self, batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.log("validation/rows", float(len(batch["row"])), batch_size=len(batch["row"]))
        before[1](self, batch, batch_idx)

    monkeypatch.setattr(type(method), "training_step", training_step)
    monkeypatch.setattr(type(method), "validation_step", validation_step)
    run(epochs=1, log_every=5)
    first, last = rows(tmp_path)
    assert (first["train/step"], last["train/step"]) == (2.0, 7.0)  # means of 0..4 and 5..9
    assert last["validation/rows"] == pytest.approx((8 * 8 + 7 * 7) / 15)


@pytest.mark.parametrize("precision", ["32", "bf16", "64"])
def test_precisions_leave_the_module_as_it_came(run, method, tmp_path, precision):
    fitted = run(epochs=1, precision=precision, gradient_clip=1.0, optimiser={"name": "adamw"})
    assert math.isfinite(fitted.validation_loss)
    assert {value.dtype for value in method.parameters()} == {torch.float32}
    stored = load_file(tmp_path / "weights/best.safetensors")["net.head.weight"]
    assert stored.dtype == (torch.float64 if precision == "64" else torch.float32)


@pytest.mark.parametrize("wanted", [True, False])
def test_channels_last_is_an_order_in_memory_only(run, method, tmp_path, wanted):
    run(epochs=1, channels_last=wanted)
    weights = method.net.stages[0].conv1.conv.weight
    assert weights.is_contiguous(memory_format=torch.channels_last) == wanted
    assert weights.is_contiguous() != wanted
    torch.testing.assert_close(
        weights.detach(), load_file(tmp_path / "weights/best.safetensors")["net.stages.0.conv1.conv.weight"]
    )


def test_no_global_state_is_left_behind(run):
    state = torch.get_rng_state(), random.getstate()
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run(epochs=1, threads=2)
    assert torch.get_num_threads() == 1
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()
    assert handlers == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_threads_hold_within_the_block():
    with threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1


def test_timing_is_written(run, tmp_path):
    fitted = run(epochs=2)
    timing = RunFolder(tmp_path).read_json("timing.json")
    assert (timing["steps"], timing["epochs"], timing["processes"], timing["threads"]) == (20, 2, 1, 1)
    assert timing["seconds"] == fitted.seconds > 0
    assert timing["steps_per_second"] >= 20 / fitted.seconds


def test_the_seed_decides_the_order(worker, tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        worker.train(str(folder), epochs=1, seed=seed)
    first, again, other = [(folder / "weights/last.safetensors").read_bytes() for folder in folders]
    assert first == again != other


def test_a_training_that_diverges_stops(run):
    with pytest.raises(DivergedError, match=r"train/loss is (nan|inf) at step"):
        run(epochs=2, schedule="constant", optimiser={"name": "sgd", "lr": 1e12}, log_every=1)


def test_a_method_that_does_not_validate_is_told(run, method, monkeypatch):
    monkeypatch.setattr(type(method), "validation_step", lambda self, batch, batch_idx: None)
    with pytest.raises(UsageError, match="MeanSquared logged no 'validation/loss'"):
        run(epochs=1)


def test_scores_that_are_no_means_are_refused(run, method, monkeypatch):
    monkeypatch.setattr(
        type(method),
        "validation_step",
        lambda self, batch, _: self.log("validation/most", 1.0, reduce_fx="max"),
    )
    with pytest.raises(UsageError, match=r"'validation/most' as float with reduce_fx='max'"):
        run(epochs=1)
    assert "log" not in vars(method)  # Lightning's own is back


def test_devices_that_are_not_there(run):
    with pytest.raises(UsageError, match="accelerator='tpu'"):
        run(accelerator="tpu")


def test_more_processes_than_the_recipe_asks_for(run, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    for name, value in {"WORLD_SIZE": 2, "RANK": 0, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(UsageError, match=r"torchrun started 2 processes(.|\n)*train\.devices=2"):
        run()


def test_a_full_disk_keeps_what_was_there(run, tmp_path, monkeypatch):
    before, calls = checkpoint.torch.save, []

    def full(state, file):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        before(state, file)

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(DataError, match=r"cannot write .*step-0000000010\.pt: no space is left"):
        run(epochs=2, checkpoint_every=4)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [
        "step-0000000004.pt",
        "step-0000000008.pt",
    ]
