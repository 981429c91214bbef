"""Each way of dealing keeps its promise, whatever the order of the samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError, LeakError, UsageError
from skyloom.splits import ByCorner, ByGroup, BySample, BySlab, ByTime, Split

FRACTIONS = {"train": 0.5, "validation": 0.25, "test": 0.25}
Maker = Callable[..., xr.Dataset]


def shuffled(table: xr.Dataset) -> xr.Dataset:
    return table.isel(sample=np.random.default_rng(3).permutation(table.sizes["sample"]))


def groups_of(split: Split, table: xr.Dataset, side: str) -> set[str]:
    return set(table["group"].values[np.isin(table["sample"].values, split.sides[side])].tolist())


@pytest.fixture
def boxes(make_table: Maker) -> xr.Dataset:
    """Twelve simulations at two redshifts, four slices each; x_HI rises with the simulation's number."""
    groups = [f"s{number:02d}" for number in range(12) for _ in range(8)]
    redshift = np.tile([8.0] * 4 + [9.0] * 4, 12)
    parents = [f"{group} z{z:.0f}" for group, z in zip(groups, redshift, strict=True)]
    position = np.tile([0.0, 25.0, 50.0, 75.0], 24)
    return make_table(
        groups,
        parent=parents,
        redshift=redshift,
        position=position,
        thickness=np.full(96, 5.0),
        zeta=np.repeat(np.arange(12.0), 8),
    )


@pytest.mark.parametrize(
    "way",
    [
        ByGroup(fractions=FRACTIONS, seed=4),
        BySlab(axis="z", buffer=10.0, slabs={"train": [20, 60], "validation": [70, 85], "test": [95, 10]}),
        ByCorner(parameters={"zeta": [9, 11]}, validation=0.25),
        ByTime(test=[8.5, 9.5], fractions=FRACTIONS),
        BySample(fractions=FRACTIONS, leaky=True),
    ],
    ids=lambda way: type(way).__name__,
)
def test_the_order_of_the_samples_plays_no_part(way: ByGroup, boxes: xr.Dataset) -> None:
    split = way.assign(boxes)
    assert way.assign(shuffled(boxes)) == split
    assert all(split.sides.values())


def test_groups_are_dealt_by_their_names(boxes: xr.Dataset) -> None:
    """Six, three and three of twelve; a sample less in a group moves no group."""
    way = ByGroup(fractions=FRACTIONS)
    split = way.assign(boxes)
    sizes = {side: len(groups_of(split, boxes, side)) for side in split.sides}
    assert sizes == {"train": 6, "validation": 3, "test": 3}
    assert split.excluded == ()
    fewer = boxes.isel(sample=slice(1, None))
    assert groups_of(way.assign(fewer), fewer, "test") == groups_of(split, boxes, "test")


def test_the_order_of_the_fractions_plays_no_part(boxes: xr.Dataset) -> None:
    turned = dict(reversed(FRACTIONS.items()))
    assert ByGroup(fractions=turned).assign(boxes) == ByGroup(fractions=FRACTIONS).assign(boxes)


def test_groups_that_share_a_seed_stay_together(make_table: Maker) -> None:
    """Forty runs and their twins of the same seeds, on one side for ten seeds of the deal."""
    numbers = np.arange(40)
    table = make_table(
        [f"{suite}{i}" for suite in ("hydro", "nbody") for i in numbers], seed=np.tile(numbers, 2)
    )
    for seed in range(10):
        split = ByGroup(fractions=FRACTIONS, seed=seed).assign(table)
        for side in split.sides:
            names = groups_of(split, table, side)
            assert {name.replace("nbody", "hydro") for name in names} == {n for n in names if n[0] == "h"}


def test_too_few_groups_say_how_many(make_table: Maker) -> None:
    table = make_table(list("ABCD"), seed=[1, 1, 2, 2])
    with pytest.raises(DataError, match="2 independent clusters made of 4 groups cannot fill 3 sides"):
        ByGroup(fractions=FRACTIONS).assign(table)


def test_a_slab_takes_whole_maps_only(make_table: Maker) -> None:
    """Slices of 5 at 0, 5, ..., 95: by hand, train holds 8, validation and test 2 each, 8 are excluded."""
    table = make_table(["A"] * 20, position=np.arange(20) * 5.0, thickness=np.full(20, 5.0))
    slabs = {"train": [0, 40], "validation": [50, 62], "test": [79, 90]}
    split = BySlab(axis="z", buffer=10.0, slabs=slabs).assign(table)
    assert split.sides == {
        "train": tuple(sorted(f"a{i}" for i in range(8))),
        "validation": ("a10", "a11"),
        "test": ("a16", "a17"),
    }
    assert len(split.excluded) == 8
    assert split.settings is not None
    assert split.settings["slabs"]["test"] == [79, 90]


def test_a_slab_may_wrap(make_table: Maker) -> None:
    table = make_table(["A"] * 20, position=np.arange(20) * 5.0, thickness=np.full(20, 5.0))
    slabs = {"train": [90, 10], "validation": [20, 30], "test": [40, 50]}
    assert BySlab(axis="z", buffer=10.0, slabs=slabs).assign(table).sides["train"] == (
        "a0",
        "a1",
        "a18",
        "a19",
    )


def test_maps_cut_along_another_axis_cross_all_slabs(make_table: Maker) -> None:
    position = np.tile(np.arange(20) * 5.0, 2)
    table = make_table(
        ["A"] * 40, position=position, thickness=np.full(40, 5.0), axis=["z"] * 20 + ["x"] * 20
    )
    split = BySlab(axis="z", buffer=5.0, fractions=FRACTIONS).assign(table)
    assert {f"a{row}" for row in range(20, 40)} <= set(split.excluded)
    with pytest.raises(
        DataError, match=r"no sample is left for train and validation and test: 40 .* 40 excluded"
    ):
        BySlab(axis="y", buffer=5.0, fractions=FRACTIONS).assign(table)


@pytest.mark.parametrize(("periodic", "free"), [(1, 100 - 3 * 8), (0, 100 - 2 * 8)])
def test_drawn_slabs_share_what_the_buffers_leave(make_table: Maker, periodic: int, free: float) -> None:
    """Three buffers in a periodic box, two in one that is not."""
    table = make_table(["A"] * 100, position=np.arange(100.0), thickness=np.ones(100), periodic=periodic)
    seen = set()
    for seed in range(6):
        split = BySlab(axis="z", buffer=8.0, fractions=FRACTIONS, seed=seed).assign(table)
        assert split.settings is not None
        slabs = split.settings["slabs"]
        lengths = {side: high - low for side, (low, high) in slabs.items()}
        assert lengths == pytest.approx({side: fraction * free for side, fraction in FRACTIONS.items()})
        if not periodic:
            assert (min(low for low, _ in slabs.values()), max(high for _, high in slabs.values())) == (
                0,
                100,
            )
        seen.add(slabs["train"][0])
    assert len(seen) > 1, "the seed moves the slabs"


@pytest.mark.parametrize(
    ("slabs", "periodic", "fault"),
    [
        (
            {"train": [0, 40], "validation": [45, 60], "test": [70, 90]},
            1,
            "train and validation are 5 apart, buffer 10",
        ),
        ({"train": [0, 40], "validation": [50, 60], "test": [70, 95]}, 1, "train and test are 5 apart"),
        ({"train": [0, 40], "validation": [30, 60], "test": [70, 90]}, 0, "train and validation are 0 apart"),
        ({"train": [0, 40], "validation": [50, 60], "test": [70, 101]}, 0, r"slab of test is \[70, 101\]"),
        ({"train": [0, 40], "validation": [50, 60], "test": [95, 5]}, 0, r"slab of test is \[95, 5\]"),
    ],
)
def test_slabs_that_do_not_fit_are_named(
    make_table: Maker, slabs: dict[str, list[float]], periodic: int, fault: str
) -> None:
    with pytest.raises(DataError, match=fault):
        BySlab(axis="z", buffer=10.0, slabs=slabs).assign(make_table(["A"], periodic=periodic))


def test_buffers_larger_than_the_box_are_named(make_table: Maker) -> None:
    with pytest.raises(DataError, match="buffers of 40 leave nothing of a box of 100"):
        BySlab(axis="z", buffer=40.0, fractions=FRACTIONS).assign(make_table(["A"]))
    table = make_table(["A"])
    del table.attrs["box_size"]
    with pytest.raises(DataError, match="no attribute 'box_size'"):
        BySlab(axis="z", buffer=10.0, fractions=FRACTIONS).assign(table)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"axis": "w", "buffer": 1.0, "fractions": FRACTIONS}, "axis 'w'"),
        ({"axis": "z", "buffer": 0.0, "fractions": FRACTIONS}, "a buffer of 0.0"),
        ({"axis": "z", "buffer": 1.0}, "either fractions or slabs"),
        ({"axis": "z", "buffer": 1.0, "fractions": FRACTIONS, "slabs": {}}, "either fractions or slabs"),
        ({"axis": "z", "buffer": 1.0, "slabs": {"train": [0, 1]}}, "lacks validation"),
        (
            {"axis": "z", "buffer": 1.0, "slabs": {"train": [0, 0], "validation": [2, 3], "test": [4, 5]}},
            "range of train",
        ),
    ],
)
def test_wrong_words_on_slabs_are_named(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        BySlab(**arguments)  # type: ignore[arg-type]


def test_the_corner_is_the_test_side(boxes: xr.Dataset) -> None:
    """Simulations 9, 10 and 11 of twelve; a quarter of the other nine, rounded, for validation."""
    split = ByCorner(parameters={"zeta": [9, 11]}, validation=0.25).assign(boxes)
    assert groups_of(split, boxes, "test") == {"s09", "s10", "s11"}
    assert len(groups_of(split, boxes, "validation")) == 2
    assert split.excluded == ()


def test_a_corner_needs_all_its_parameters(boxes: xr.Dataset) -> None:
    """x_HI in [0.5, 1] holds for the second redshift only: the first of the same runs is excluded."""
    table = boxes.assign_coords(x_HI=("sample", np.where(boxes["redshift"] > 8.5, 0.8, 0.2)))
    split = ByCorner(parameters={"zeta": [9, 11], "x_HI": [0.5, 1]}).assign(table)
    kept = table["sample"].values[(table["zeta"] >= 9) & (table["redshift"] > 8.5)]
    left = table["sample"].values[(table["zeta"] >= 9) & (table["redshift"] < 8.5)]
    assert split.sides["test"] == tuple(sorted(kept))
    assert split.excluded == tuple(sorted(left))


def test_a_corner_with_nothing_in_it_or_all_is_named(boxes: xr.Dataset) -> None:
    with pytest.raises(DataError, match=r"none of 96 samples is in the corner .*zeta"):
        ByCorner(parameters={"zeta": [90, 110]}).assign(boxes)
    with pytest.raises(DataError, match=r"1 clusters with no sample in the corner .*12 groups"):
        ByCorner(parameters={"zeta": [1, 11]}).assign(boxes)
    with pytest.raises(UsageError, match="a corner without parameters"):
        ByCorner(parameters={})


def test_a_time_split_parts_times_and_simulations(boxes: xr.Dataset) -> None:
    split = ByTime(test=[8.5, 9.5], fractions=FRACTIONS).assign(boxes)
    times = {
        side: set(boxes["redshift"].values[np.isin(boxes["sample"], ids)])
        for side, ids in split.sides.items()
    }
    assert times == {"train": {8.0}, "validation": {8.0}, "test": {9.0}}
    sides = [groups_of(split, boxes, side) for side in split.sides]
    assert [len(side) for side in sides] == [6, 3, 3]
    assert len(set.union(*sides)) == 12
    assert len(split.excluded) == 48


def test_validation_may_have_a_time_of_its_own(make_table: Maker) -> None:
    groups = [f"s{number}" for number in range(8) for _ in range(3)]
    table = make_table(groups, time=np.tile([1.0, 2.0, 3.0], 8))
    split = ByTime(key="time", test=[2.5, 3.5], validation=[1.5, 2.5 - 1e-9], fractions=FRACTIONS).assign(
        table
    )
    times = {
        side: set(table["time"].values[np.isin(table["sample"], ids)]) for side, ids in split.sides.items()
    }
    assert times == {"train": {1.0}, "validation": {2.0}, "test": {3.0}}
    with pytest.raises(DataError, match="8 samples are in the ranges of test and validation"):
        ByTime(key="time", test=[2.5, 3.5], validation=[1.5, 3.0], fractions=FRACTIONS).assign(table)


def test_snapshots_of_one_flow_are_parted_by_a_buffer(make_table: Maker) -> None:
    """Times 0..9 of one run, buffer 2: by hand 0..2 train, 4 and 5 validate, 7..9 test."""
    table = make_table(["A"] * 10, parent=[f"A t{t}" for t in range(10)], time=np.arange(10.0))
    split = ByTime(key="time", test=[7, 9], validation=[4, 6], buffer=2.0).assign(table)
    assert split.sides == {
        "train": ("a0", "a1", "a2"),
        "validation": ("a4", "a5"),
        "test": ("a7", "a8", "a9"),
    }
    assert split.excluded == ("a3", "a6")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "either fractions or a buffer"),
        ({"fractions": FRACTIONS, "buffer": 1.0}, "either fractions or a buffer"),
        ({"buffer": -1.0, "validation": [1, 2]}, "a buffer of -1.0"),
        ({"buffer": 1.0}, "no validation range"),
        ({"fractions": FRACTIONS, "test": [9, 8]}, "range of test"),
    ],
)
def test_wrong_words_on_time_are_named(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        ByTime(**{"test": [8, 9], **arguments})  # type: ignore[arg-type]


def test_a_split_by_sample_must_own_up(boxes: xr.Dataset) -> None:
    with pytest.raises(LeakError, match="leaky: true") as caught:
        BySample(fractions=FRACTIONS)
    assert caught.value.exit_code == 3
    split = BySample(fractions=FRACTIONS, leaky=True).assign(boxes)
    assert split.leaky
    assert [len(ids) for ids in split.sides.values()] == [48, 24, 24]
