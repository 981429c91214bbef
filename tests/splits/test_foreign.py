"""Another suite is foreign only if it shares no simulation, no seed and no map with what was seen."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import LeakError
from skyloom.splits import check_foreign


def prints(table, start):
    return np.array([f"{start + row:032x}:-:-" for row in range(table.sizes["sample"])])


def named(table, suite):
    return table.assign_attrs(suite=suite)


def test_a_suite_with_seeds_of_its_own_passes_under_the_same_names(make_table):
    seen = named(make_table(["a", "b"]), "one")
    other = named(make_table(["a", "b"], seed=np.array([7, 8])), "one")
    checks = check_foreign(seen, other, fingerprints=(prints(seen, 0), prints(other, 9)), name="two")
    assert [check.passed for check in checks] == [True] * 3


def test_a_shared_seed_is_refused_even_of_another_code(make_table):
    seen = named(make_table(["a", "b"]), "one")
    other = named(make_table(["x", "y"], seed=np.array([1, 8])), "other code")
    with pytest.raises(LeakError, match=r"'two' is not unseen, 1 of 3 .*\n.*no seed is on two sides: 1 .*"):
        check_foreign(seen, other, fingerprints=(prints(seen, 0), prints(other, 9)), name="two")


def test_a_copied_map_is_refused(make_table):
    seen = named(make_table(["a", "b"]), "one")
    other = named(make_table(["x", "y"], seed=np.array([7, 8])), "other code")
    twin = prints(other, 9)
    twin[1] = prints(seen, 0)[0]
    with pytest.raises(LeakError, match=r"1 twins .*seen/a0 in train and two/a1 in test"):
        check_foreign(seen, other, fingerprints=(prints(seen, 0), twin), name="two")


def test_the_same_simulation_is_refused_by_name_and_seed(make_table):
    seen = named(make_table(["a", "b"]), "one")
    with pytest.raises(
        LeakError, match=r"no simulation is on two sides: 2 .*, such as one a \(seed 0\) \(seen/a0"
    ):
        check_foreign(seen, seen, fingerprints=(prints(seen, 0), prints(seen, 9)), name="itself")
