"""A stored toy set, audited, with fitted transforms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from skyloom.fields import example, store
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.loading import MapDataModule
from skyloom.recipe import Train
from skyloom.splits import ByGroup, audit, fingerprint


@pytest.fixture(scope="session")
def sky(tmp_path_factory):
    """30 maps of 8² in three shards, of ten simulations: 18 train, 6 validate, 6 test."""
    ds = example(groups=10, per_group=3, size=8)
    folder = tmp_path_factory.mktemp("sky") / "set"
    store.write(ds, folder, shard_size=12)
    split = ByGroup(fractions={"train": 0.6, "validation": 0.2, "test": 0.2}).assign(ds)
    audited = audit(ds, split, fingerprints=fingerprint(ds["T_b"].values))
    train = ds.sel(sample=list(audited.ids("train")))
    transforms = FieldTransforms({"T_b": Pipeline(["standardise"]), "neutral_fraction": Pipeline([])}).fit(
        lambda: iter([{name: train[name].values for name in ("T_b", "neutral_fraction")}]),
        audited.ids("train"),
    )
    targets = ds["x_HI"].values[:, None].astype(np.float32)
    return SimpleNamespace(
        ds=ds,
        folder=folder,
        reader=store.Reader(folder),
        audited=audited,
        transforms=transforms,
        targets=targets,
    )


@pytest.fixture
def module(sky):
    """Make a data module of the toy set, with some settings changed."""

    def make(*, settings=None, **options) -> MapDataModule:
        train = Train(**{"batch_size": 4, "seed": 5} | (settings or {}))
        arguments = {
            "reader": sky.reader,
            "audited": sky.audited,
            "transforms": sky.transforms,
            "targets": sky.targets,
        }
        return MapDataModule(**(arguments | {"settings": train} | options))

    return make
