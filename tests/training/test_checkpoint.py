from __future__ import annotations

import math
import pickle
import random

import numpy as np
import pytest
import torch

from skyloom.errors import DataError
from skyloom.training import rng
from skyloom.training.checkpoint import Generations, load_checkpoint, save_checkpoint
from skyloom.training.log import Log
from skyloom.training.stopping import Stopping


def test_what_is_saved_comes_back(tmp_path):
    layout = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    state = {"w": layout, "n": (1, None, [2.5, "a"]), "big": 1 << 70}
    save_checkpoint(tmp_path / "a.pt", state)
    found = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(found["w"], layout)
    assert found["w"].stride() == layout.stride()
    assert (found["n"], found["big"]) == (state["n"], state["big"])


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_flipped_bit_is_seen_anywhere(tmp_path, place):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"w": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_cut_file_is_seen(tmp_path, length):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"w": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="is damaged"):
        load_checkpoint(path)


def test_an_absent_file(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_checkpoint(tmp_path / "a.pt")


class Hostile:
    def __reduce__(self):
        return (open, ("/tmp/never-made-by-skyloom", "w"))


def test_nothing_is_run(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"x": Hostile()})
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed"):
        load_checkpoint(tmp_path / "a.pt")


def test_generations_drop_the_old_and_the_damaged_new(tmp_path):
    generations = Generations(tmp_path, keep=2)
    assert generations.load() is None
    for step in (5, 10, 15):
        generations.save(step, {"step": step})
    (tmp_path / "step-0000000015.pt").write_bytes(b"damaged")
    with pytest.warns(RuntimeWarning, match="going back to the one before"):
        assert generations.load() == {"step": 10}
    generations.save(12, {"step": 12})
    assert [path.stem[-2:] for path in generations.paths()] == ["12", "10"]


def test_generators_come_back():
    with rng.kept_generators():
        rng.seed_epoch(0, 1, 0)
        state = rng.generator_state()
        path_free = torch.rand(3), random.random(), np.random.rand(3)  # noqa: NPY002
        rng.set_generator_state(state)
        again = torch.rand(3), random.random(), np.random.rand(3)  # noqa: NPY002
    assert torch.equal(path_free[0], again[0])
    assert path_free[1] == again[1]
    assert np.array_equal(path_free[2], again[2])


def test_the_state_of_generators_survives_the_file(tmp_path):
    with rng.kept_generators():
        rng.seed_epoch(7, 0, 0)
        np.random.normal()  # noqa: NPY002 - leaves the second normal of a pair in the state
        save_checkpoint(tmp_path / "a.pt", rng.generator_state())
        drawn = np.random.normal(), random.random(), torch.rand(1)  # noqa: NPY002
        rng.set_generator_state(load_checkpoint(tmp_path / "a.pt"))
        assert drawn == (np.random.normal(), random.random(), torch.rand(1))  # noqa: NPY002


def test_every_epoch_process_and_seed_draws_its_own():
    drawn = set()
    with rng.kept_generators():
        for seed, epoch, rank in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
            rng.seed_epoch(seed, epoch, rank)
            drawn.add((torch.rand(1).item(), random.random()))
    assert len(drawn) == 4


def test_the_log_keeps_bits_and_gains_columns():
    log = Log()
    log.add({"step": 1, "epoch": 1, "train/loss": math.pi})
    log.add({"step": 2, "epoch": 1, "train/loss": 0.1 + 0.2, "validation/z": 1.0, "validation/a": 2.0})
    head, first, second = Log(log.text()).text().splitlines()
    assert head == "step,epoch,train/loss,validation/a,validation/z"
    assert float(first.split(",")[2]) == math.pi
    assert second == "2,1,0.30000000000000004,2.0,1.0"


def test_stopping_waits_for_a_strictly_lower_loss():
    stopping = Stopping(patience=3)
    answers = [stopping.improves(loss, epoch) for epoch, loss in enumerate([1.0, 1.0, 2.0, 0.5, 0.6], 1)]
    assert answers == [True, False, False, True, False]
    assert (stopping.best, stopping.best_epoch, stopping.waited, stopping.done) == (0.5, 4, 1, False)
    assert Stopping(**stopping.state_dict()) == stopping
    assert not Stopping(patience=None, waited=1000).done
