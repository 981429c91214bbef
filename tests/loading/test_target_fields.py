"""Fields as targets: they come beside the maps, move with them, and never among the inputs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom import fields
from skyloom.errors import UsageError
from skyloom.fields import store
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.loading import Augment, MapDataModule, MapDataset
from skyloom.loading.dataset import channels, stacked_fields
from skyloom.loading.sampler import Batch
from skyloom.recipe import Train
from skyloom.splits import ByGroup, audit, fingerprint

N, SIDE = 12, 8


def slope(phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of periodic maps along x and y, by central differences: a polar vector."""
    return tuple((np.roll(phi, -1, axis) - np.roll(phi, 1, axis)) / 2 for axis in (-1, -2))


@pytest.fixture(scope="module")
def hills(tmp_path_factory):
    """A potential and its gradient: wherever the sky is moved, one tells the other."""
    phi = np.random.default_rng(0).normal(size=(N, SIDE, SIDE)).astype(np.float32)
    g_x, g_y = slope(phi)
    ds = fields.build(
        {name: (values, "", name) for name, values in (("g_x", g_x), ("phi", phi), ("g_y", g_y))},
        ids=[f"s{i}" for i in range(N)],
        groups=[f"g{i // 2}" for i in range(N)],
        seeds=np.arange(N) // 2,
        box_size=1.0,
        box_size_unit="",
        suite="hills",
        realism="toy",
        ranks={"g_x": (1, "x"), "g_y": (1, "y")},
    )
    folder = tmp_path_factory.mktemp("hills") / "set"
    store.write(ds, folder)
    return store.Reader(folder)


def dataset(reader, kinds, *, seed=0, cached=False, steps=()):
    transforms = FieldTransforms({name: Pipeline(list(steps)) for name in ("phi", "g_x", "g_y")}).fit(
        lambda: iter([{name: reader.read(name, np.arange(N)) for name in ("phi", "g_x", "g_y")}]), ["a"]
    )
    targets = ["g_x", "g_y"]
    known = channels(reader, stacked_fields(transforms, targets))
    augment = Augment(known, (SIDE, SIDE), True, kinds=kinds, seed=seed) if kinds else None
    return MapDataset(
        reader, np.arange(N), transforms, None, target_fields=targets, augment=augment, cached=cached
    )


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(["roll", "flip", "turn"]), unique=True),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 50),
    cached=st.booleans(),
)
def test_the_gradient_of_a_moved_map_is_the_moved_gradient(hills, kinds, seed, epoch, cached):
    batch = dataset(hills, kinds, seed=seed, cached=cached).__getitems__(Batch(range(N), epoch))
    maps, targets = batch["maps"].numpy(), batch["targets"].numpy()
    assert maps.shape == (N, 1, SIDE, SIDE) and targets.shape == (N, 2, SIDE, SIDE)
    np.testing.assert_allclose(targets, np.concatenate([slope(maps)[0], slope(maps)[1]], axis=1), atol=1e-6)


def test_each_field_has_its_own_transforms_and_they_come_after_the_moves(hills):
    plain, scaled = (
        dataset(hills, ["flip", "turn"], steps=steps).__getitems__(Batch(range(N), 3))
        for steps in ((), ("standardise",))
    )
    for name in ("maps", "targets"):
        for channel in range(plain[name].shape[1]):
            raw, own = plain[name][:, channel], scaled[name][:, channel]
            # Over the whole set mean 0 and variance 1, and a straight line of what was moved.
            assert own.double().std(correction=0).item() == pytest.approx(1, abs=0.02)
            line = torch.stack([raw.flatten(), torch.ones(raw.numel())], dim=1)
            left = torch.linalg.lstsq(line, own.flatten()[:, None]).residuals
            assert left.numel() == 0 or left.item() < 1e-6


def test_two_ranks_share_what_one_process_would_see(hills):
    """Each rank has its half of every batch, inputs and targets moved as in one process."""
    names = ("phi", "g_x", "g_y")
    ds = store.open(hills.folder)
    split = ByGroup(fractions={"train": 0.67, "validation": 0.17, "test": 0.16}).assign(ds)
    audited = audit(ds, split, fingerprints=fingerprint(ds["phi"].values))
    train = [row for row, name in enumerate(hills.ids.tolist()) if name in audited.ids("train")]
    transforms = FieldTransforms({name: Pipeline(["standardise"]) for name in names}).fit(
        lambda: iter([{name: hills.read(name, np.array(train)) for name in names}]), audited.ids("train")
    )

    def batches(batch_size, rank=0, world=1):
        wanted = Train(batch_size=batch_size, augment=["roll", "flip", "turn"], seed=3)
        data = MapDataModule(hills, audited, transforms, None, wanted, target_fields=["g_x", "g_y"])
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world, training=False)
        return list(data.train_dataloader())

    whole = batches(4)
    assert len(whole) == 2 and whole[0]["targets"].shape == (4, 2, SIDE, SIDE)
    for one, first, second in zip(whole, batches(2, 0, 2), batches(2, 1, 2), strict=True):
        rows = torch.cat([first["row"], second["row"]])
        assert sorted(rows.tolist()) == sorted(one["row"].tolist())
        place = [one["row"].tolist().index(row) for row in rows.tolist()]
        for name in ("maps", "targets"):
            assert torch.equal(torch.cat([first[name], second[name]]), one[name][place])


def test_no_target_is_among_the_inputs(hills):
    data = dataset(hills, [])
    batch = data.__getitems__(range(N))
    np.testing.assert_array_equal(batch["maps"][:, 0].numpy(), hills.read("phi", np.arange(N)))
    assert data.nbytes == N * 3 * SIDE * SIDE * 4
    transforms = data.transforms
    with pytest.raises(UsageError, match="none is left for the network to see"):
        MapDataset(hills, np.arange(N), transforms, None, target_fields=["phi", "g_x", "g_y"])
    with pytest.raises(UsageError, match="'phy' has no transforms"):
        MapDataset(hills, np.arange(N), transforms, None, target_fields=["phy"])
    for targets, named in ((None, []), (np.zeros((N, 1)), ["g_x"])):
        with pytest.raises(UsageError, match="either numbers or fields"):
            MapDataset(hills, np.arange(N), transforms, targets, target_fields=named)


def test_a_turn_needs_both_components_wherever_they_stand(hills):
    transforms = FieldTransforms({name: Pipeline([]) for name in ("phi", "g_x")})
    with pytest.raises(UsageError, match="add the field g_y"):
        Augment(
            channels(hills, stacked_fields(transforms, ["g_x"])), (SIDE, SIDE), True, kinds=["turn"], seed=0
        )
