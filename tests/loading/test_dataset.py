"""Batches hold the right maps, transformed, moved as the sky is moved."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from skyloom import fields
from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields import store
from skyloom.fields.invertible import Transform
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.loading import Augment, Channel, MapDataset, whole_batch
from skyloom.loading.dataset import channels
from skyloom.loading.sampler import Batch

ROWS = np.array([2, 29, 11, 12, 7])


@pytest.mark.parametrize("cached", [False, True])
def test_a_batch_is_what_the_field_set_holds(sky, cached):
    data = MapDataset(sky.reader, ROWS, sky.transforms, sky.targets, cached=cached)
    batch = data.__getitems__([4, 0, 1])
    rows = [7, 2, 29]
    values, _ = sky.transforms.apply({name: sky.ds[name].values[rows] for name in data.fields})
    expected = np.stack([values["T_b"], values["neutral_fraction"]], axis=1)
    np.testing.assert_array_equal(batch["maps"].numpy(), expected.astype(np.float32))
    np.testing.assert_array_equal(batch["targets"].numpy(), sky.targets[rows])
    assert batch["row"].tolist() == rows
    assert [part.dtype for part in batch.values()] == [torch.float32, torch.float32, torch.int64]
    one = data[4]
    assert torch.equal(one["maps"], batch["maps"][0])
    assert one["row"].item() == 7
    assert data.nbytes == 5 * 2 * 8 * 8 * 4


def test_any_loader_can_be_used(sky):
    data = MapDataset(sky.reader, ROWS, sky.transforms, sky.targets)
    batches = list(DataLoader(data, batch_size=2, collate_fn=whole_batch))
    assert [batch["row"].tolist() for batch in batches] == [[2, 29], [11, 12], [7]]


@pytest.mark.parametrize("cached", [False, True])
def test_the_epoch_of_the_batch_moves_the_maps(sky, cached):
    augment = Augment(channels(sky.reader, ["T_b", "neutral_fraction"]), (8, 8), True, kinds=["roll"], seed=1)
    still = MapDataset(sky.reader, ROWS, sky.transforms, sky.targets).__getitems__([0, 3])["maps"].numpy()
    data = MapDataset(sky.reader, ROWS, sky.transforms, sky.targets, augment=augment, cached=cached)
    for epoch in (0, 4, 0):
        moved = data.__getitems__(Batch([0, 3], epoch))["maps"].numpy()
        np.testing.assert_array_equal(moved, augment(still, np.array([2, 12]), epoch))


@pytest.mark.parametrize("cached", [False, True])
def test_a_vector_changes_sign_before_a_transform_that_is_not_odd(tmp_path, cached):
    values = np.random.default_rng(0).normal(3.0, 1.0, (6, 4, 4)).astype(np.float32)
    ds = fields.build(
        {"B_x": (values, "uG", "field"), "B_y": (2 * values, "uG", "field")},
        ids=list("abcdef"),
        groups=list("abcdef"),
        seeds=np.arange(6),
        box_size=1.0,
        suite="demo",
        realism="toy",
        ranks={"B_x": (1, "x"), "B_y": (1, "y")},
    )
    store.write(ds, tmp_path / "set")
    reader = store.Reader(tmp_path / "set")
    assert channels(reader, ["B_x", "B_y"]) == [Channel("B_x", 1, "x"), Channel("B_y", 1, "y")]
    transforms = FieldTransforms({"B_x": Pipeline(["standardise"]), "B_y": Pipeline(["standardise"])}).fit(
        lambda: iter([{name: ds[name].values for name in ("B_x", "B_y")}]), ds["sample"].values
    )
    augment = Augment(channels(reader, ["B_x", "B_y"]), (4, 4), True, kinds=["flip", "turn"])
    data = MapDataset(reader, np.arange(6), transforms, np.zeros((6, 1)), augment=augment, cached=cached)
    raw = augment(np.stack([values, 2 * values], axis=1), np.arange(6), 3)
    expected, _ = transforms.apply({"B_x": raw[:, 0], "B_y": raw[:, 1]})
    found = data.__getitems__(Batch(range(6), 3))["maps"].numpy()
    np.testing.assert_allclose(found, np.stack([expected["B_x"], expected["B_y"]], axis=1), rtol=1e-6)
    # Of the mean of 3, -3 and 6, -6 are left where a component points the other way.
    assert (found[:, 0].mean(axis=(1, 2)) < -1).any()


def test_a_target_that_is_not_finite_is_named(sky):
    targets = sky.targets.copy()
    targets[[11, 7]] = np.nan
    name = str(sky.reader.ids[11])
    with pytest.raises(DataError, match=f"'{name}' are .nan. .and of 1 more"):
        MapDataset(sky.reader, ROWS, sky.transforms, targets)
    MapDataset(sky.reader, ROWS[:2], sky.transforms, targets)


def test_targets_of_another_set_are_refused(sky):
    for targets in (sky.targets[:-1], sky.targets[:, 0]):
        with pytest.raises(ShapeError, match=r"expected: \(30, P\)"):
            MapDataset(sky.reader, ROWS, sky.transforms, targets)


def test_fields_must_be_maps_that_exist(sky):
    with pytest.raises(UsageError, match="no field is named"):
        MapDataset(sky.reader, ROWS, FieldTransforms({}), sky.targets)
    with pytest.raises(UsageError, match="did you mean 'T_b'"):
        MapDataset(sky.reader, ROWS, FieldTransforms({"T_B": Pipeline([])}), sky.targets)


def test_cubes_are_refused(tmp_path):
    ds = fields.build(
        {"delta": (np.zeros((2, 4, 4, 4), np.float32), "", "contrast")},
        ids=["a", "b"],
        groups=["a", "b"],
        seeds=[0, 1],
        box_size=1.0,
        suite="demo",
        realism="toy",
    )
    store.write(ds, tmp_path / "set")
    with pytest.raises(ShapeError, match=r"delta \(4, 4, 4\)"):
        MapDataset(
            store.Reader(tmp_path / "set"), [0], FieldTransforms({"delta": Pipeline([])}), np.zeros((2, 1))
        )


class Counter(Transform):
    """Adds the epoch to every pixel."""

    redraws, epoch = True, 0

    def in_epoch(self, epoch):
        drawn = copy.copy(self)
        drawn.epoch = epoch
        return drawn

    def forward(self, maps):
        return maps + np.float32(100 * self.epoch), {}

    def backward(self, maps, carry):
        return maps


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("augmented", [False, True])
def test_transforms_that_draw_are_those_of_the_epoch_on_the_train_side_alone(sky, cached, augmented):
    pipeline = Pipeline([]).fit(lambda: iter(()), ids=["a"])
    pipeline._steps = [Counter()]
    transforms = FieldTransforms({"T_b": pipeline})
    kinds = {"augment": Augment([Channel("T_b")], (8, 8), True, kinds=["roll"])} if augmented else {}
    train = MapDataset(sky.reader, ROWS, transforms, sky.targets, cached=cached, redraw=True, **kinds)
    other = MapDataset(sky.reader, ROWS, transforms, sky.targets, cached=cached, **kinds)
    raw = sky.ds["T_b"].values[ROWS].mean()
    for epoch in (0, 3, 1):
        batch = Batch(range(5), epoch)
        assert train.__getitems__(batch)["maps"].mean().item() == pytest.approx(raw + 100 * epoch, rel=1e-5)
        assert other.__getitems__(batch)["maps"].mean().item() == pytest.approx(raw, rel=1e-5)
