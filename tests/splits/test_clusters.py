"""Dependent samples are found through any chain of shared groups, seeds and parents, and dealt whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.errors import DataError, UsageError
from skyloom.splits.arguments import check_fractions, check_ranges, check_share
from skyloom.splits.clusters import clusters, column, components, deal, gather

fifty = settings(max_examples=50)

FRACTIONS = {"train": 0.6, "validation": 0.2, "test": 0.2}


def test_a_chain_of_ties_is_one_cluster(make_table: Callable[..., xr.Dataset]) -> None:
    """A shares a seed with B, B a parent with C; D stands alone."""
    table = make_table(list("ABCD"), seed=[1, 1, 2, 3], parent=["p", "q", "q", "r"])
    assert clusters(table).tolist() == ["A, B, C", "A, B, C", "A, B, C", "D"]


def test_the_twins_of_camels_stay_together(make_table: Callable[..., xr.Dataset]) -> None:
    """Hydrodynamic run i and its N-body twin share seed i; all of 1P share one seed."""
    table = make_table(["LH_0", "Nbody_0", "LH_1", "Nbody_1", "1P_0", "1P_1"], seed=[0, 0, 1, 1, 9, 9])
    assert clusters(table).tolist() == ["LH_0, Nbody_0"] * 2 + ["LH_1, Nbody_1"] * 2 + ["1P_0, 1P_1"] * 2


def test_a_further_key_ties_too(make_table: Callable[..., xr.Dataset]) -> None:
    table = make_table(list("ABC"), halo=["h", "h", "i"])
    assert clusters(table, "halo").tolist() == ["A, B", "A, B", "C"]


def test_a_missing_coordinate_is_named(make_table: Callable[..., xr.Dataset]) -> None:
    table = make_table(list("AB"), redshift=[8.0, np.nan])
    with pytest.raises(DataError, match="no coordinate 'parnt'\n.*'parent'".replace(".*", "[^\n]*")):
        column(table, "parnt")
    with pytest.raises(DataError, match="'redshift' is not known for 1 of 2 samples, such as a1"):
        column(table, "redshift")


@fifty
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30))
def test_components_are_the_transitive_closure(ties: list[tuple[int, int]]) -> None:
    """Against powers of the matrix of direct ties."""
    columns = [np.array(part) for part in zip(*ties, strict=True)]
    reach = np.any([part[:, None] == part[None] for part in columns], axis=0)
    for _ in range(6):  # 2**6 exceeds the 30 samples
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    found = components(columns)
    assert np.array_equal(found[:, None] == found[None], reach)


@fifty
@given(st.sets(st.text(min_size=1), min_size=3, max_size=60), st.integers(-5, 5))
def test_every_side_gets_its_share(names: set[str], seed: int) -> None:
    """Within one of the exact share, unless a side would be empty."""
    counts = Counter(deal(sorted(names), FRACTIONS, seed, what="groups").values())
    assert sum(counts.values()) == len(names)
    for side, fraction in FRACTIONS.items():
        exact = fraction * len(names)
        assert counts[side] >= 1
        assert abs(counts[side] - exact) < 1 or len(names) < 5


def test_ten_names_are_dealt_six_two_two() -> None:
    counts = Counter(deal([str(name) for name in range(10)], FRACTIONS, 0, what="groups").values())
    assert counts == {"train": 6, "validation": 2, "test": 2}


def test_another_seed_is_another_deal_and_zero_is_a_seed() -> None:
    names = [str(name) for name in range(30)]
    deals = {tuple(deal(names, FRACTIONS, seed, what="groups").items()) for seed in range(10)}
    assert len(deals) == 10


def test_too_few_names_say_how_many() -> None:
    with pytest.raises(DataError, match=r"2 boxes cannot fill 3 sides \(train, validation, test\)"):
        deal(["a", "b", "a"], FRACTIONS, 0, what="boxes")


def test_an_empty_side_says_what_there_was(make_table: Callable[..., xr.Dataset]) -> None:
    with pytest.raises(DataError, match="left for validation and test: 3 samples of 2 groups, 1 excluded"):
        gather(make_table(list("ABB")), ["train", "train", ""])


@pytest.mark.parametrize(
    ("fractions", "fault"),
    [
        ({"train": 0.8, "test": 0.2}, "lacks validation"),
        ({"train": 0.6, "validation": 0.2, "test": 0.2, "tset": 0.0}, "no side 'tset'"),
        ({"train": 0.6, "validation": 0.2, "test": 0.1}, "sum to 0.9"),
        ({"train": 0.8, "validation": 0.2, "test": 0.0}, "fraction of test is 0.0"),
        ({"train": 0.8, "validation": 0.2, "test": float("nan")}, "fraction of test is nan"),
    ],
)
def test_wrong_fractions_are_named(fractions: dict[str, float], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        check_fractions(fractions)


@pytest.mark.parametrize("ends", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, float("inf")], [0.0, 1.0, 2.0]])
def test_wrong_ranges_are_named(ends: list[float]) -> None:
    with pytest.raises(UsageError, match="range of Omega_m"):
        check_ranges({"Omega_m": ends})


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_is_a_true_share(share: float) -> None:
    with pytest.raises(UsageError, match="a share of"):
        check_share(share)
