"""Every kind of leak that we know is planted here, and found; what cannot be checked counts as found."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.errors import LeakError, UsageError
from skyloom.fields.transforms import FieldTransforms, Pipeline, ids_digest
from skyloom.splits import AuditedSplit, ByGroup, BySample, BySlab, Check, Split, audit, fingerprint

FRACTIONS = {"train": 0.5, "validation": 0.25, "test": 0.25}
SIDES = {"train": ("a0", "a1"), "validation": ("a2",), "test": ("a3",)}
Maker = Callable[..., xr.Dataset]
Unlike = Callable[[xr.Dataset], np.ndarray]


class Fitted:
    """Stands for transforms that were fitted on these ids."""

    def __init__(self, ids: Any) -> None:
        self.digest = ids_digest(ids)


def leak(table: xr.Dataset, split: Split, **told: Any) -> str:
    """The text of the one check that fails."""
    with pytest.raises(LeakError) as caught:
        audit(table, split, **told)
    assert caught.value.exit_code == 3
    assert "1 of " in caught.value.message, caught.value.message
    return caught.value.message


def test_a_sound_split_passes(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(list("ABCD"))
    audited = audit(
        table, Split(SIDES, by="group"), fingerprints=unlike(table), transforms=Fitted(["a1", "a0"])
    )
    assert [check.name for check in audited.checks] == [
        "every sample is known and on one side",
        "no group is on two sides",
        "no seed is on two sides",
        "no parent is on two sides",
        "no map is the twin of one on another side",
        "transforms were fitted on train alone",
    ]
    assert all(check.passed for check in audited.checks)
    assert not audited.leaky
    assert audited.ids("train") == ("a0", "a1")
    with pytest.raises(UsageError, match="no side 'tset'"):
        audited.ids("tset")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (
            {"group": list("ABCA"), "seed": range(4), "parent": list("pqrs")},
            "no group is on two sides: 1 on train and test, such as A (a0 in train, a3 in test)",
        ),
        (
            {"seed": [7, 8, 9, 7]},
            "no seed is on two sides: 1 on train and test, such as 7 (a0 in train, a3 in test)",
        ),
        (
            {"parent": list("pqqs")},
            "no parent is on two sides: 1 on train and validation, such as q (a1 in train, a2",
        ),
    ],
    ids=["the same group", "the same seed under another group", "the same parent"],
)
def test_a_shared_origin_is_found(
    make_table: Maker, unlike: Unlike, columns: dict[str, Any], found: str
) -> None:
    table = make_table(list("ABCD"), **{name: np.array(list(column)) for name, column in columns.items()})
    assert found in leak(table, Split(SIDES, by="group"), fingerprints=unlike(table))


def test_a_shared_key_of_the_recipe_is_found(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(list("ABCD"), halo=list("hijh"))
    split = Split(SIDES, by="group", settings={"key": "halo"})
    assert "no halo is on two sides: 1 on train and test" in leak(table, split, fingerprints=unlike(table))


def test_an_unknown_way_of_dealing_gets_the_full_audit(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(list("ABCA"))
    with pytest.raises(LeakError, match="3 of 5 checks failed"):
        audit(table, Split(SIDES, by="somebody's plugin"), fingerprints=unlike(table))


@pytest.mark.parametrize(
    ("sides", "excluded", "found"),
    [
        ({**SIDES, "test": ("a3", "a0")}, (), "1 on two sides, or twice on one (a0)"),
        ({**SIDES, "train": ("a0", "a0", "a1")}, (), "1 on two sides, or twice on one (a0)"),
        ({**SIDES, "test": ("a3", "b9")}, (), "1 not in the table (b9)"),
        (SIDES, ("a3",), "1 on a side and excluded (a3)"),
        ({**SIDES, "validation": ()}, (), "validation is empty"),
    ],
)
@pytest.mark.parametrize("leaky", [False, True])
def test_unsound_ids_are_found_even_in_a_leaky_split(
    make_table: Maker,
    unlike: Unlike,
    sides: dict[str, tuple[str, ...]],
    excluded: tuple[str, ...],
    found: str,
    leaky: bool,
) -> None:
    table = make_table(list("ABCD"))
    with pytest.raises(LeakError) as caught:
        audit(table, Split(sides, by="group", leaky=leaky, excluded=excluded), fingerprints=unlike(table))
    assert found in caught.value.message


def test_a_table_that_names_a_sample_twice_is_found(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(list("ABCDE"), sample=["a0", "a1", "a2", "a3", "a3"])
    assert "1 twice in the table (a3)" in leak(table, Split(SIDES, by="group"), fingerprints=unlike(table))


SLICES = {"position": np.arange(20) * 5.0, "thickness": np.full(20, 5.0)}


def slabs(**sides: list[int]) -> Split:
    named = {side: tuple(f"a{row}" for row in rows) for side, rows in sides.items()}
    return Split(named, by="slab", settings={"axis": "z", "buffer": 10.0})


@pytest.mark.parametrize(
    ("split", "found"),
    [
        (slabs(train=[0, 1], validation=[4, 5], test=[8, 9]), None),
        (slabs(train=[0, 1], validation=[3, 5], test=[8, 9]), "5 apart (a1, a3), the buffer is 10"),
        (slabs(train=[0, 1], validation=[4, 5], test=[8, 18]), "5 apart (a0, a18), the buffer is 10"),
        (slabs(train=[0, 1], validation=[4, 5], test=[8, 17]), None),
        (slabs(train=[0, 9], validation=[4, 5], test=[9, 14]), "0 apart"),
    ],
    ids=["sound", "buffer too thin", "thin across the wrap", "sound across the wrap", "touching"],
)
def test_slabs_that_come_too_near_are_found(
    make_table: Maker, unlike: Unlike, split: Split, found: str
) -> None:
    table = make_table(["A"] * 20, **SLICES)
    if found is None:
        assert "across the periodic wrap too" in audit(table, split, fingerprints=unlike(table)).text()
    else:
        with pytest.raises(LeakError) as caught:
            audit(table, split, fingerprints=unlike(table))
        assert found in caught.value.message


def test_a_box_with_walls_has_no_wrap(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(["A"] * 20, periodic=0, **SLICES)
    split = slabs(train=[0, 1], validation=[4, 5], test=[8, 18])
    assert "the box is not periodic" in audit(table, split, fingerprints=unlike(table)).text()


def test_the_box_of_a_window_is_its_parent(make_table: Maker, unlike: Unlike) -> None:
    """Windows of 20 out of a periodic box of 100: positions wrap at 100, not at 20."""
    table = make_table(["A"] * 20, periodic=0, **SLICES)
    table.attrs |= {"box_size": 20.0, "parent_size": 100.0, "parent_periodic": 1}
    split = slabs(train=[0, 1], validation=[4, 5], test=[8, 18])
    assert "5 apart (a0, a18)" in leak(table, split, fingerprints=unlike(table))


def test_slabs_at_another_time_of_the_same_run_are_dependent(make_table: Maker, unlike: Unlike) -> None:
    """Same seed, other parent: the same place in the box is the same structure. Another run is free."""
    columns = {"position": np.array([0.0, 30.0, 60.0, 0.0]), "thickness": np.full(4, 5.0)}
    split = slabs(train=[0], validation=[1, 2], test=[3])
    table = make_table(list("AAAA"), parent=list("pppq"), **columns)
    assert "0 apart (a0, a3)" in leak(table, split, fingerprints=unlike(table))
    table = make_table(list("AAAB"), **columns)
    assert audit(table, split, fingerprints=unlike(table)).ids("test") == ("a3",)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda table: table.drop_vars("position"), "no coordinate 'position'"),
        (
            lambda table: table.assign_coords(position=table["position"].where(table["position"] > 0)),
            "is not known",
        ),
        (lambda table: table.drop_attrs(), "'box_size' is missing"),
        (
            lambda table: table.assign_coords(axis=("sample", ["x"] * 20)),
            "6 were not cut along z (a0, a1, a4, ...)",
        ),
        (lambda table: table.drop_vars("seed"), "no coordinate 'seed'"),
    ],
)
def test_slabs_that_cannot_be_checked_fail(
    make_table: Maker, unlike: Unlike, change: Callable[[xr.Dataset], xr.Dataset], found: str
) -> None:
    table = change(make_table(["A"] * 20, **SLICES))
    split = slabs(train=[0, 1], validation=[4, 5], test=[8, 9])
    assert found in leak(table, split, fingerprints=unlike(table))


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, "'axis' is missing"),
        ({"axis": "z", "buffer": 0.0}, "buffer 0"),
        ({"axis": "z", "buffer": None}, "float"),
    ],
)
def test_a_slab_split_without_a_buffer_fails(
    make_table: Maker, unlike: Unlike, settings: dict[str, Any], found: str
) -> None:
    table = make_table(["A"] * 20, **SLICES)
    sides = slabs(train=[0, 1], validation=[4, 5], test=[8, 9]).sides
    assert found in leak(table, Split(sides, by="slab", settings=settings), fingerprints=unlike(table))


@pytest.mark.parametrize(
    ("times", "found"),
    [([0.0, 1.0, 3.0, 5.0], None), ([0.0, 1.5, 3.0, 5.0], "1.5 apart (a1, a2) in time, the buffer is 2")],
)
def test_snapshots_that_come_too_near_are_found(
    make_table: Maker, unlike: Unlike, times: list[float], found: str | None
) -> None:
    table = make_table(["A"] * 4, parent=list("pqrs"), time=times)
    split = Split(SIDES, by="time", settings={"key": "time", "buffer": 2.0})
    if found is None:
        assert audit(table, split, fingerprints=unlike(table)).checks[1].passed
    else:
        assert found in leak(table, split, fingerprints=unlike(table))
    lost = Split(SIDES, by="time", settings={"key": "age", "buffer": 2.0})
    assert "no coordinate 'age'" in leak(table, lost, fingerprints=unlike(table))


def test_a_time_split_without_a_buffer_parts_simulations(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(["A"] * 4, parent=list("pqrs"))
    with pytest.raises(LeakError, match="no group is on two sides"):
        audit(table, Split(SIDES, by="time", settings={"buffer": None}), fingerprints=unlike(table))


MAPS = np.random.default_rng(0).normal(20, 5, size=(4, 16, 16)).astype(np.float32)


@pytest.mark.parametrize(
    "twin",
    [
        lambda image: image,
        lambda image: np.rot90(np.roll(image, (3, 5), (0, 1)))[::-1],
        lambda image: image * np.float32(0.5) - 3,
        lambda image: -image,
        lambda image: np.log10(np.roll(image.T, 4, 0) - image.min() + 1),
    ],
    ids=[
        "duplicate",
        "rolled, turned and flipped",
        "rescaled",
        "sign",
        "logarithm of a rolled, transposed copy",
    ],
)
def test_a_twin_is_found(make_table: Maker, twin: Callable[[np.ndarray], np.ndarray]) -> None:
    maps = MAPS.copy()
    maps[3] = twin(maps[1])
    found = leak(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=fingerprint(maps))
    assert "1 twins (a1 in train and a3 in test); 0 of 4 hold too little" in found


def test_a_twin_in_any_field_is_found(make_table: Maker) -> None:
    other = MAPS[::-1].copy()
    other[3] = other[0]
    both = np.stack([fingerprint(MAPS), fingerprint(other)], axis=1)
    assert "1 twins (a0 in train and a3 in test)" in leak(
        make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=both
    )
    swapped = np.stack([fingerprint(MAPS), fingerprint(MAPS[::-1])], axis=1)
    assert audit(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=swapped).checks[-1].passed


def test_a_field_that_is_the_same_in_all_samples_tells_none_apart(make_table: Maker) -> None:
    mask = np.broadcast_to(MAPS[:1], MAPS.shape)
    both = np.stack([fingerprint(MAPS), fingerprint(mask)], axis=1)
    assert audit(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=both).checks[-1].passed
    # Alone it is what every side has seen.
    found = leak(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=both[:, 1:])
    assert "a0 in train and a3 in test" in found


def test_a_twin_on_the_same_side_or_excluded_is_no_leak(make_table: Maker) -> None:
    maps = MAPS.copy()
    maps[1] = maps[0]
    prints = fingerprint(maps)
    assert audit(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=prints).checks[-1].passed
    split = Split({**SIDES, "train": ("a0",)}, by="group", excluded=("a1",))
    assert audit(make_table(list("ABCD")), split, fingerprints=prints).checks[-1].passed


def test_plain_maps_are_counted_and_not_compared(make_table: Maker) -> None:
    maps = MAPS.copy()
    maps[[0, 3]] = 0.0
    audited = audit(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=fingerprint(maps))
    assert "2 of 4 hold too little to be told apart" in audited.text()


@pytest.mark.parametrize(
    ("prints", "found"),
    [
        (None, "no fingerprints were given"),
        (np.array(["a:-:-"] * 3), r"fingerprints (3,) for 4 samples"),
        (np.array(["a:-:-", "", "b:-:-", "c:-:-"]), "1 have no fingerprint (a1)"),
        (np.array("a"), "fingerprints () for 4 samples"),
    ],
)
def test_missing_fingerprints_fail(make_table: Maker, prints: Any, found: str) -> None:
    assert found in leak(make_table(list("ABCD")), Split(SIDES, by="group"), fingerprints=prints)


@pytest.mark.parametrize("name", ["group", "seed", "parent"])
def test_a_missing_coordinate_fails(make_table: Maker, unlike: Unlike, name: str) -> None:
    table = make_table(list("ABCD")).drop_vars(name)
    found = leak(table, Split(SIDES, by="group"), fingerprints=unlike(table))
    assert f"no {name} is on two sides: cannot be checked: the samples have no coordinate {name!r}" in found


@pytest.mark.parametrize(
    ("transforms", "found"),
    [
        (Fitted(["a0", "a1", "a2", "a3"]), "fitted on all sides"),
        (Fitted(["a0"]), "fitted on other samples"),
        (object(), "cannot be checked"),
        (Pipeline(["standardise"]), "cannot be checked: the transforms were not fitted"),
    ],
)
def test_transforms_fitted_elsewhere_are_found(
    make_table: Maker, unlike: Unlike, transforms: Any, found: str
) -> None:
    table = make_table(list("ABCD"))
    assert found in leak(table, Split(SIDES, by="group"), fingerprints=unlike(table), transforms=transforms)


def test_real_transforms_on_a_real_field_set() -> None:
    maps = fields.example(groups=8)
    split = ByGroup(fractions=FRACTIONS).assign(maps)
    prints = fingerprint(maps["T_b"].values)
    for side, sound in (("train", True), ("test", False)):
        ids = split.sides[side]
        values = fields.subset(maps, ids)["T_b"].values
        fitted = FieldTransforms({"T_b": Pipeline(["standardise"])}).fit(
            lambda values=values: iter([{"T_b": values}]), ids
        )
        if sound:
            assert audit(maps, split, fingerprints=prints, transforms=fitted).checks[-1].passed
        else:
            assert "fitted on other samples" in leak(maps, split, fingerprints=prints, transforms=fitted)


def test_a_leaky_split_is_let_through_and_marked(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(["A"] * 8)
    audited = audit(
        table, BySample(fractions=FRACTIONS, leaky=True).assign(table), fingerprints=unlike(table)
    )
    assert audited.leaky
    assert audited.text().startswith("!!! LEAKY SPLIT")
    failed = [check.name for check in audited.checks if not check.passed]
    assert failed == [f"no {name} is on two sides" for name in ("group", "seed", "parent")]
    assert "LEAK  no group is on two sides" in audited.text()


def test_all_failures_are_told_at_once(make_table: Maker) -> None:
    table = make_table(["A"] * 4)
    with pytest.raises(LeakError) as caught:
        audit(table, Split(SIDES, by="group"), transforms=Fitted("a3"))
    assert caught.value.message.startswith("the split by group leaks, 5 of 6 checks failed:\n  - ")
    assert caught.value.message.count("\n  - ") == 5


def test_the_text_counts_each_side(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(["A"] * 20, **SLICES)
    split = BySlab(axis="z", buffer=10.0, slabs={"train": [0, 40], "validation": [50, 60], "test": [70, 90]})
    audited = audit(table, split.assign(table), fingerprints=unlike(table))
    lines = audited.text().splitlines()
    assert lines[0] == f"Split by slab, digest {audited.digest[:12]}"
    table_lines = [
        line.split() for line in lines if line.split()[:1] in (["train"], ["validation"], ["test"])
    ]
    assert table_lines == [
        ["train", "8", "1", "1", "1"],
        ["validation", "2", "1", "1", "1"],
        ["test", "4", "1", "1", "1"],
    ]
    assert "excluded" in audited.text()
    assert "transforms: none fitted yet" in audited.text()


def test_no_audited_split_is_made_by_hand(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(list("ABCD"))
    audited = audit(table, Split(SIDES, by="group"), fingerprints=unlike(table))
    with pytest.raises(UsageError, match="cannot be made by hand"):
        AuditedSplit(object(), audited.split, (Check("all", True, "fine"),), "")
    for name in ("_split", "leaky", "more"):
        with pytest.raises(UsageError, match=f"{name} cannot be set"):
            setattr(audited, name, None)
    for twin in (copy.deepcopy(audited), pickle.loads(pickle.dumps(audited))):
        assert (twin.split, twin.checks, twin.text()) == (audited.split, audited.checks, audited.text())
    assert repr(audited) == "AuditedSplit(by='group', train=2, validation=1, test=1, leaky=False)"


def test_the_audit_writes_to_no_argument(make_table: Maker, unlike: Unlike) -> None:
    table = make_table(list("ABCD"))
    before, prints = table.copy(deep=True), unlike(table)
    audit(table, Split(SIDES, by="group"), fingerprints=prints)
    assert table.identical(before)
    assert prints.tolist() == unlike(table).tolist()
