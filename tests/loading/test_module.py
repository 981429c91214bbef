"""The data module: no leak gets through it, sides are what they are, and training resumes in the middle."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from skyloom.errors import DataError, LeakError, ShapeError, UsageError
from skyloom.fields import store
from skyloom.fields.transforms import FieldTransforms, Pipeline


def rows_of(batches):
    return [batch["row"].tolist() for batch in batches]


def test_a_split_that_was_not_audited_is_refused(sky, module):
    for split in (sky.audited.split, {"train": ["a"]}, None):
        with pytest.raises(LeakError, match=f"not a {type(split).__name__}"):
            module(audited=split)


def test_transforms_fitted_on_other_samples_are_refused(sky, module):
    everything = FieldTransforms({"T_b": Pipeline(["standardise"])}).fit(
        lambda: iter([{"T_b": sky.ds["T_b"].values}]), sky.reader.ids
    )
    with pytest.raises(LeakError, match="other samples than the train side"):
        module(transforms=everything)


@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_loader_gives_each_sample_of_its_side_once_as_it_is(sky, module, side):
    data = module(settings={"augment": ["roll", "flip", "turn"]})
    batches = list(data.loader(side))
    rows = [row for batch in batches for row in batch["row"].tolist()]
    assert rows == sorted(rows)
    assert set(sky.reader.ids[rows].tolist()) == set(sky.audited.ids(side))
    maps = torch.cat([batch["maps"] for batch in batches]).numpy()
    values, _ = sky.transforms.apply(
        {name: sky.ds[name].values[rows] for name in ("T_b", "neutral_fraction")}
    )
    np.testing.assert_allclose(maps[:, 0], values["T_b"], rtol=1e-6)
    np.testing.assert_array_equal(maps[:, 1], values["neutral_fraction"])


def test_only_the_train_side_is_moved_and_shuffled(module):
    data = module(settings={"augment": ["roll", "flip", "turn"]})
    for loader, side in ((data.val_dataloader(), "validation"), (data.test_dataloader(), "test")):
        first, second = list(loader), list(loader)
        assert rows_of(first) == rows_of(second) == rows_of(data.loader(side))
        assert all(torch.equal(a["maps"], b["maps"]) for a, b in zip(first, second, strict=True))
        assert data.dataset(side).augment is None
    loader = data.train_dataloader()
    assert rows_of(loader) != rows_of(loader)


@pytest.mark.parametrize("cache_bytes", [0, 10**9])
def test_memory_does_not_change_what_is_seen(module, cache_bytes):
    settings = {"augment": ["roll", "flip", "turn"]}
    reference, data = module(settings=settings), module(settings=settings, cache_bytes=cache_bytes)
    assert data.dataset("train").cached == (cache_bytes > 0)
    for a, b in zip(reference.train_dataloader(), data.train_dataloader(), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_limit_of_memory_is_for_all_sides_together(module):
    train = 18 * 2 * 8 * 8 * 4
    data = module(cache_bytes=train + 100)
    assert [data.dataset(side).cached for side in ("train", "validation")] == [True, False]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_loader_processes_give_the_same_batches(module, start_method):
    settings = {"augment": ["roll", "flip", "turn"], "workers": 1}
    alone, data = (
        module(settings=settings),
        module(settings=settings, cache_bytes=0, start_method=start_method),
    )
    data.dataset("train")[0]  # files are open here when the others begin
    loader, reference = data.train_dataloader(), alone.train_dataloader()
    assert (loader.num_workers, reference.num_workers) == (1, 0)
    for _ in range(2):  # workers stay for the second epoch, and must know that it is another
        for a, b in zip(reference, loader, strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)
    del loader


def test_a_pass_leaves_the_generator_of_torch_alone(module):
    before = torch.random.get_rng_state()
    list(module(settings={"augment": ["roll"]}).train_dataloader())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_seed_decides_the_order(module):
    orders = [rows_of(module(settings={"seed": seed}).train_dataloader()) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_what_does_not_fill_a_batch_is_left_out_of_the_epoch(module):
    data = module()
    loader = data.train_dataloader()
    seen = [{row for batch in rows_of(loader) for row in batch} for _ in range(8)]
    assert [len(rows) for rows in seen] == [16] * 8  # of 18
    assert set.union(*seen) == set(data.rows("train").tolist())
    assert len(module(settings={"batch_size": 64}).train_dataloader()) == 1


def test_the_epoch_can_be_set(module):
    data = module()
    loader = data.train_dataloader()
    epochs = [rows_of(loader) for _ in range(3)]
    data.set_epoch(1)
    assert rows_of(loader) == epochs[1]
    other = module()
    other.set_epoch(2)
    assert rows_of(other.train_dataloader()) == epochs[2]


class Seen(LightningModule):
    """Notes the rows and maps that reach the training, and learns nothing much."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.rows, self.sums = [], []

    def training_step(self, batch, index):
        self.rows.append(batch["row"].tolist())
        self.sums.append(batch["maps"].double().mul(torch.arange(8.0)).sum().item())
        return self.layer(batch["targets"]).square().mean()

    def validation_step(self, batch, index):
        return None

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveAndStop(Callback):
    """Saves after a step and stops there, as an interruption does."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def trained(data, callbacks=(), resume=None):
    method = Seen()
    with warnings.catch_warnings():
        # Lightning looks for a resumable loader; here the data module is what resumes.
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning 2.6 with torch 2.13
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*is less than the logging interval.*")
        trainer = Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=list(callbacks),
        )
        trainer.fit(method, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
    return method


@pytest.mark.parametrize("step", [2, 6])  # in the middle of the first and of the second epoch of four batches
def test_any_trainer_resumes_in_the_middle_of_an_epoch(module, tmp_path, step):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    settings = {"augment": ["roll", "flip"]}
    whole = trained(module(settings=settings))
    assert len(whole.rows) == 12
    first = trained(module(settings=settings), [SaveAndStop(tmp_path / "state.ckpt", step)])
    data = module(settings=settings)
    rest = trained(data, resume=tmp_path / "state.ckpt")
    assert first.rows == whole.rows[:step]
    assert rest.rows == whole.rows[step:]
    assert rest.sums == whole.sums[step:]
    assert data.state_dict() == {"epoch": 2, "batch": 4}


def test_samples_that_are_not_in_the_set_are_named(sky, module, tmp_path):
    name = sky.audited.ids("train")[0]
    store.write(sky.ds.sel(sample=[i for i in sky.ds["sample"].values if i != name]), tmp_path / "set")
    data = module(reader=store.Reader(tmp_path / "set"), targets=sky.targets[:-1])
    with pytest.raises(DataError, match=f"1 of the train side are not in .*'{name}'"):
        data.train_dataloader()


def test_what_is_not_legal_for_these_maps_is_refused_at_once(sky, module, tmp_path):
    store.write(sky.ds.assign_attrs(periodic=0), tmp_path / "set")
    reader = store.Reader(tmp_path / "set")
    with pytest.raises(UsageError, match="not periodic"):
        module(reader=reader, settings={"augment": ["roll"]})
    module(reader=reader, settings={"augment": ["flip", "turn"]})
    with pytest.raises(UsageError, match="no side 'valid'"):
        module().loader("valid")
    with pytest.raises(ShapeError, match="expected"):
        module(targets=sky.targets[:, 0]).dataset("train")
