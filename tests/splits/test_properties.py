"""No split of any kind leaks, for random tables; and a sample moved by hand is always caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from skyloom.errors import DataError, LeakError
from skyloom.splits import ByCorner, ByGroup, BySlab, ByTime, Split, audit

BOX = 64.0
FRACTIONS = {"train": 0.5, "validation": 0.2, "test": 0.3}
TIES = ("group", "seed", "parent")
Maker = Callable[..., xr.Dataset]
Unlike = Callable[[xr.Dataset], np.ndarray]

quick = settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """Groups of several samples; a few share seeds or parents; cuts anywhere along any axis."""
    n = draw(st.integers(6, 40))
    group = draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
    seeds = draw(st.lists(st.integers(0, 20), min_size=13, max_size=13))
    shared = draw(st.lists(st.integers(0, 40), min_size=n, max_size=n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return {
        "groups": [f"g{number}" for number in group],
        "seed": np.array([seeds[number] for number in group]),
        "parent": [f"p{number}" if number < 3 else f"own{row}" for row, number in enumerate(shared)],
        "axis": rng.choice(["z", "z", "z", "z", "x"], n),
        "position": rng.uniform(0, BOX, n),
        "thickness": rng.uniform(0.5, 3.0, n),
        "redshift": rng.uniform(6, 12, n),
        "zeta": rng.uniform(0, 1, 13)[group],
        "periodic": draw(st.integers(0, 1)),
    }


def sides_of(split: Split, table: xr.Dataset) -> np.ndarray:
    where = {sample: side for side, ids in split.sides.items() for sample in ids}
    assert len(where) == sum(map(len, split.sides.values()))
    return np.array([where.get(sample, "") for sample in table["sample"].values.tolist()])


def tied(table: xr.Dataset) -> np.ndarray:
    """Whether two samples share a group, a seed or a parent, shape ``(n, n)``."""
    columns = (table[name].values for name in TIES)
    return np.any([column[:, None] == column for column in columns], axis=0)


def parted(sides: np.ndarray) -> np.ndarray:
    """Whether two samples are on two sides, shape ``(n, n)``."""
    return (sides[:, None] != sides) & (sides[:, None] != "") & (sides != "")


def assigned(way: Any, table: xr.Dataset) -> Split:
    """The split; tables that cannot be split, which the way says itself, are passed over."""
    try:
        split: Split = way.assign(table)
    except DataError:
        assume(False)
    return split


@pytest.mark.parametrize(
    "way",
    [
        lambda seed: ByGroup(fractions=FRACTIONS, seed=seed),
        lambda seed: ByCorner(parameters={"zeta": [0.7, 1.0]}, validation=0.3, seed=seed),
        lambda seed: ByCorner(parameters={"zeta": [0.2, 1.0], "redshift": [6, 9]}, seed=seed),
        lambda seed: ByTime(test=[6, 9], fractions=FRACTIONS, seed=seed),
        lambda seed: ByTime(test=[6, 8], validation=[8.5, 10], fractions=FRACTIONS, seed=seed),
    ],
    ids=["group", "corner", "corner of two", "time", "time and validation"],
)
@quick
@given(told=columns(), seed=st.integers(0, 100), moved=st.integers(0, 10**6))
def test_no_split_of_simulations_leaks(
    make_table: Maker, unlike: Unlike, way: Callable[[int], Any], told: dict[str, Any], seed: int, moved: int
) -> None:
    table = make_table(box_size=BOX, **told)
    split = assigned(way(seed), table)
    assert not (tied(table) & parted(sides_of(split, table))).any()
    assert all(split.sides.values())
    assert audit(table, split, fingerprints=unlike(table)).split == split
    order = np.random.default_rng(moved).permutation(table.sizes["sample"])
    assert way(seed).assign(table.isel(sample=order)) == split
    assert_a_moved_sample_is_caught(table, split, unlike, moved)


def assert_a_moved_sample_is_caught(table: xr.Dataset, split: Split, unlike: Unlike, moved: int) -> None:
    """Take a sample away from one that it is tied to."""
    sides = sides_of(split, table)
    together = tied(table) & (sides[:, None] == sides) & (sides != "") & ~np.eye(len(sides), dtype=bool)
    if not together.any():
        return
    alone = np.flatnonzero(together.any(axis=1))
    i = int(alone[moved % len(alone)])
    names = table["sample"].values
    target = next(side for side in split.sides if side != sides[i])
    changed = {side: [name for name in ids if name != names[i]] for side, ids in split.sides.items()}
    changed[target].append(names[i])
    told = {side: tuple(ids) for side, ids in changed.items()}
    with pytest.raises(LeakError, match=r"no (group|seed|parent) is on two sides"):
        audit(table, Split(told, by=split.by, settings=split.settings), fingerprints=unlike(table))


@quick
@given(told=columns(), seed=st.integers(0, 100), buffer=st.floats(0.5, 15), moved=st.integers(0, 10**6))
def test_no_split_by_slab_leaks(
    make_table: Maker, unlike: Unlike, told: dict[str, Any], seed: int, buffer: float, moved: int
) -> None:
    """Each pair on two sides is measured point by point, with images of the box where it is periodic."""
    table = make_table(box_size=BOX, **told)
    split = assigned(BySlab(axis="z", buffer=buffer, fractions=FRACTIONS, seed=seed), table)
    sides = sides_of(split, table)
    assert set(table["axis"].values[sides != ""]) == {"z"}
    images = (-BOX, 0.0, BOX) if told["periodic"] else (0.0,)
    start, end = table["position"].values, (table["position"] + table["thickness"]).values
    apart = np.min(
        [
            np.maximum(start[None] + image - end[:, None], start[:, None] - image - end[None])
            for image in images
        ],
        axis=0,
    )
    assert (apart[parted(sides)] >= buffer - 1e-6).all()
    audited = audit(table, split, fingerprints=unlike(table))
    assert not audited.leaky
    wider = dict(split.settings or {}, buffer=BOX)
    if "none depend" not in str(audited.checks[1]):
        with pytest.raises(LeakError, match="a buffer apart"):
            audit(table, Split(split.sides, by="slab", settings=wider), fingerprints=unlike(table))


@quick
@given(told=columns(), buffer=st.floats(0.1, 2))
def test_no_split_of_snapshots_leaks(
    make_table: Maker, unlike: Unlike, told: dict[str, Any], buffer: float
) -> None:
    n = len(told["groups"])
    table = make_table(box_size=BOX, **{**told, "parent": [f"own{row}" for row in range(n)]})
    split = assigned(ByTime(test=[6, 7.5], validation=[8, 9], buffer=buffer), table)
    sides, times = sides_of(split, table), table["redshift"].values
    assert (np.abs(times[:, None] - times)[parted(sides)] >= buffer).all()
    audit(table, split, fingerprints=unlike(table))
