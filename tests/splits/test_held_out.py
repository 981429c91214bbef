"""Held-out runs and snapshots with a slab for validation: by hand, audited, and on the shipped runs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, LeakError, UsageError
from skyloom.fields.project import cut
from skyloom.formats.shipped import Shipped
from skyloom.splits import ByGroup, ByHeldOut, BySample, BySlab, ByTime, Split, audit

RUNS = ("a", "b", "c", "d")
CODES = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}


@pytest.fixture
def runs(make_table) -> xr.Dataset:
    """Twenty slices of 5 along z at two times in each of four runs, two of each class."""
    rows = [(run, time, 5.0 * i) for run in RUNS for time in (0.8, 1.2) for i in range(20)]
    return make_table(
        [run for run, _, _ in rows],
        parent=[f"{run} at {time}" for run, time, _ in rows],
        position=np.array([place for *_, place in rows]),
        thickness=np.full(len(rows), 5.0),
        time=np.array([time for _, time, _ in rows]),
        transport=np.array([CODES[run] for run, *_ in rows]),
    )


@pytest.fixture(scope="module")
def shipped() -> xr.Dataset:
    ds = Shipped(set="cosmic-rays-athena").read()
    maps = cut(ds[["density"]], kind="slice", axes=["x"], count=48)
    return maps.drop_vars("density")


def groups(table, split, side):
    return set(table["group"].sel(sample=list(split.sides[side])).values.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_one_run_of_every_class_is_held_out_and_the_slab_is_a_buffer_away(runs, unlike, seed):
    split = ByHeldOut(
        axis="z", buffer_share=0.1, validation=0.2, fraction=0.5, stratify="transport", seed=seed
    ).assign(runs)
    tested = groups(runs, split, "test")
    assert sorted(CODES[run] for run in tested) == [0.0, 1.0]
    assert len(split.sides["test"]) == 80
    assert groups(runs, split, "train") == groups(runs, split, "validation") == set(RUNS) - tested
    place = {side: runs["position"].sel(sample=list(split.sides[side])).values for side in split.sides}
    # Distance between slices of 5 on a circle of 100, from face to face.
    far = np.abs(place["train"][:, None] - place["validation"][None])
    assert (np.minimum(far, 100 - far) - 5).min() >= 10
    audited = audit(runs, split, fingerprints=unlike(runs))
    assert not audited.leaky and len(audited.checks) == 6


def test_named_runs_change_places(runs):
    one, other = (
        ByHeldOut(axis="z", buffer_share=0.1, runs=names).assign(runs) for names in (["a", "c"], ["b", "d"])
    )
    assert groups(runs, one, "test") == {"a", "c"} == groups(runs, other, "train")
    with pytest.raises(DataError, match="no run 'e'"):
        ByHeldOut(axis="z", buffer_share=0.1, runs=["e"]).assign(runs)


def test_one_snapshot_is_held_out_where_time_parts_them(runs, unlike):
    split = ByHeldOut(axis="z", buffer_share=0.1, time=[1.1, 1.3], time_buffer=0.3).assign(runs)
    assert set(runs["time"].sel(sample=list(split.sides["test"])).values) == {1.2}
    assert set(runs["time"].sel(sample=list(split.sides["train"])).values) == {0.8}
    assert not audit(runs, split, fingerprints=unlike(runs)).leaky
    with pytest.raises(DataError, match="no sample is left for train and validation"):
        ByHeldOut(axis="z", buffer_share=0.1, time=[1.1, 1.3], time_buffer=0.5).assign(runs)


def test_the_audit_sees_a_run_moved_to_another_side_and_a_slice_moved_into_the_buffer(runs, unlike):
    split = ByHeldOut(axis="z", buffer_share=0.1, fraction=0.5, stratify="transport").assign(runs)
    first = split.sides["test"][0]
    sides = {**split.sides, "test": split.sides["test"][1:], "train": (*split.sides["train"], first)}
    moved = Split(sides, by="held_out", settings=split.settings)
    with pytest.raises(LeakError, match="no group is on two sides"):
        audit(runs, moved, fingerprints=unlike(runs))
    sides = {**split.sides, "train": (*split.sides["train"], *split.excluded)}
    with pytest.raises(LeakError, match="a buffer apart"):
        audit(runs, Split(sides, by="held_out", settings=split.settings), fingerprints=unlike(runs))


def test_groups_by_class_need_three_of_each(runs):
    thirds = {"train": 0.5, "validation": 0.25, "test": 0.25}
    with pytest.raises(DataError, match="2 independent clusters of transport 0 cannot fill 3 sides"):
        ByGroup(fractions=thirds, stratify="transport").assign(runs)
    mixed = runs.assign_coords(transport=("sample", (runs["time"].values > 1).astype(float)))
    with pytest.raises(DataError, match="holds several values of 'transport'"):
        ByGroup(fractions=thirds, stratify="transport").assign(mixed)


def test_groups_by_class_put_every_class_on_every_side(make_table, unlike):
    names = [f"run {i}" for i in range(12)]
    table = make_table(names, transport=np.repeat([0.0, 1.0], 6))
    fractions = {"train": 0.5, "validation": 1 / 6, "test": 1 / 3}
    split = ByGroup(fractions=fractions, stratify="transport", seed=3).assign(table)
    for side, count in (("train", 3), ("validation", 1), ("test", 2)):
        codes = table["transport"].sel(sample=list(split.sides[side])).values
        assert np.bincount(codes.astype(int)).tolist() == [count, count]
    assert not audit(table, split, fingerprints=unlike(table)).leaky


def snapshot(make_table, n: int) -> xr.Dataset:
    return make_table(["run"] * n, box_size=float(n), position=np.arange(float(n)), thickness=np.ones(n))


def test_the_slabs_of_the_repository_of_the_cosmic_ray_paper(make_table, unlike):
    # create_images_multiple_snapshots.py: slices 0 to 84, 171 to 254 and 342 to 425 of 512.
    table = snapshot(make_table, 512)
    slabs = {"train": [0, 85], "validation": [171, 255], "test": [342, 426]}
    split = BySlab(axis="z", buffer=86, slabs=slabs).assign(table)
    assert [len(split.sides[side]) for side in ("train", "validation", "test")] == [85, 84, 84]
    assert not audit(table, split, fingerprints=unlike(table)).leaky
    with pytest.raises(DataError, match="86 apart, buffer 87"):
        BySlab(axis="z", buffer=87, slabs=slabs).assign(table)
    # create_images_split.py: the last slab touches the first across the periodic wrap.
    touching = {"train": [0, 102], "validation": [205, 307], "test": [410, 512]}
    with pytest.raises(DataError, match="test are 0 apart"):
        BySlab(axis="z", buffer=1, slabs=touching).assign(table)


@pytest.mark.parametrize("seed", range(3))
def test_the_fractions_of_the_cosmic_ray_paper(make_table, seed):
    # 5 L / 6, 2 L / 6 and 2 L / 6 of a box of 2 L, three buffers of L / 6: 200, 80, 80 and 3 times 40 of 480.
    table = snapshot(make_table, 480)
    ninths = {"train": 5 / 9, "validation": 2 / 9, "test": 2 / 9}
    split = BySlab(axis="z", buffer=40, fractions=ninths, seed=seed).assign(table)
    sizes = [len(split.sides[side]) for side in ("train", "validation", "test")]
    # A slab that begins within a slice loses it.
    assert all(wanted - 1 <= found <= wanted for found, wanted in zip(sizes, (200, 80, 80), strict=True))


def test_the_shipped_runs_are_held_out_one_of_each_transport(shipped, unlike):
    split = ByHeldOut(axis="x", fraction=0.5, stratify="transport").assign(shipped)
    tested = shipped["transport"].sel(sample=list(split.sides["test"])).values
    assert np.bincount(tested.astype(int)).tolist() == [96] * 5  # one run, two snapshots, 48 slices
    assert len(groups(shipped, split, "test")) == 5
    assert not audit(shipped, split, fingerprints=unlike(shipped)).leaky


def test_single_slices_of_the_shipped_runs_are_dealt_only_where_the_recipe_owns_up(shipped, unlike):
    thirds = {"train": 0.6, "validation": 0.2, "test": 0.2}
    with pytest.raises(LeakError, match="maps of one simulation on all sides"):
        BySample(fractions=thirds)
    honest = BySample(fractions=thirds, leaky=True).assign(shipped)
    claimed = Split(honest.sides, by="group", settings={"key": "group"})
    with pytest.raises(LeakError, match="10 on train and test"):
        audit(shipped, claimed, fingerprints=unlike(shipped))
    assert audit(shipped, honest, fingerprints=unlike(shipped)).leaky
    # Two snapshots are two values of time: too few for three sides by time.
    with pytest.raises(DataError, match="no sample is left for validation"):
        ByTime(test=[1.1, 1.3], validation=[0.9, 1.0], key="time", buffer=0.05).assign(shipped)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"axis": "w", "fraction": 0.5}, "the axis 'w'"),
        ({"axis": "x", "buffer_share": 0.0, "fraction": 0.5}, "a buffer_share of 0.0"),
        ({"axis": "x"}, "by fraction, runs or time"),
        ({"axis": "x", "fraction": 0.5, "runs": ["a"]}, "by fraction, runs or time"),
        ({"axis": "x", "runs": ["a"], "stratify": "transport"}, "without a fraction"),
        ({"axis": "x", "time": [1.0, 2.0]}, "time_buffer of None"),
    ],
)
def test_settings_that_make_no_sense(settings, text):
    with pytest.raises(UsageError, match=text):
        ByHeldOut(**settings)


def test_a_box_without_wrap_has_one_buffer_and_a_slab_that_is_too_large_is_refused(runs):
    open_box = runs.assign_attrs(periodic=0)
    split = ByHeldOut(axis="z", buffer_share=0.1, validation=0.2, runs=["a"]).assign(open_box)
    place = runs["position"].sel(sample=list(split.sides["validation"])).values
    assert (place.min(), place.max()) == (80.0, 95.0)
    assert runs["position"].sel(sample=list(split.sides["train"])).values.max() == 65.0
    with pytest.raises(DataError, match="leave nothing of a box of 100"):
        ByHeldOut(axis="z", buffer_share=0.45, validation=0.2, runs=["a"]).assign(runs)
