"""Distances on a circle, against points painted on it one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.splits.periodic import gap, inside

fifty = settings(max_examples=50)

BOX = 24


def painted(start: int, length: int, *, periodic: bool) -> set[int]:
    """Cells covered by an interval of whole cells."""
    cells = range(start, start + length)
    return {cell % BOX for cell in cells} if periodic else set(cells)


intervals = st.tuples(st.integers(0, BOX - 1), st.integers(1, BOX // 2))


@fifty
@given(intervals, intervals, st.booleans())
def test_the_gap_is_the_count_of_cells_between(
    a: tuple[int, int], b: tuple[int, int], periodic: bool
) -> None:
    one, other = painted(*a, periodic=periodic), painted(*b, periodic=periodic)
    apart = [abs(i - j) for i in one for j in other]
    steps = min(min(d, BOX - d) if periodic else d for d in apart)
    expected = max(steps - 1, 0)
    arrays = [(np.array([float(start)]), np.array([float(length)])) for start, length in (a, b)]
    assert gap(arrays[0], arrays[1], float(BOX), periodic=periodic)[0] == expected


@fifty
@given(intervals, st.tuples(st.integers(0, BOX - 1), st.integers(1, BOX - 1)))
def test_an_interval_is_inside_when_all_its_cells_are(a: tuple[int, int], slab: tuple[int, int]) -> None:
    found = inside(np.array([a[0]]), np.array([a[1]]), (float(slab[0]), float(slab[1])), float(BOX))
    assert found.tolist() == [painted(*a, periodic=True) <= painted(*slab, periodic=True)]


def test_the_nearest_pair_is_named_across_blocks_of_rows() -> None:
    """2000 intervals of length 0 at 0, 10^-3, ...; the other set lies 0.25 beyond the last."""
    start = np.arange(2000) / 1000
    found = gap((start, np.zeros(2000)), (np.array([50.0, 2.249]), np.zeros(2)), 100.0, periodic=False)
    assert np.isclose(found[0], 0.25)
    assert found[1:] == (1999, 1)


def test_rounding_at_the_face_of_a_slab_does_not_exclude_a_map() -> None:
    """Seven slices of a seventh each: 6 * (100 / 7) + 100 / 7 differs from 100 in the last digits."""
    start = np.arange(7) * (100 / 7)
    assert inside(start, np.full(7, 100 / 7), (0.0, 100.0), 100.0).all()
    assert inside(np.array([0.3]), np.array([0.1]), (0.1 + 0.2, 0.1), 1.0).all()
