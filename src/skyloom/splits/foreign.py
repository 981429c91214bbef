"""The proof that another suite holds nothing that a network was trained on, before it is tested there.

The checks are those of ``audit``, between what was seen (train and validation side) on one hand and the other
suite on the other. The name of a group is unique in its own set only, so a simulation is its suite, its group
and its seed together. A seed that both share is refused whatever else differs: two codes may have begun from
one initial density, as CAMELS's N-body twins did.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from skyloom.errors import LeakError
from skyloom.splits.checks import Check, check_disjoint, check_twins
from skyloom.splits.clusters import column
from skyloom.splits.record import Split

SEEN, OTHER = "train", "test"


def check_foreign(
    seen: xr.Dataset, other: xr.Dataset, *, fingerprints: tuple[np.ndarray, np.ndarray], name: str
) -> list[Check]:
    """Raise unless another suite shares no simulation, no seed and no map with what was seen.

    Args:
        seen: Coordinates and attributes of the samples of the train and the validation side.
        other: Those of the other suite.
        fingerprints: ``fingerprint(maps)`` of both in their order, each of shape ``(n,)`` or ``(n, fields)``.
        name: What the other suite is called.

    Returns:
        The checks that passed.

    Raises:
        LeakError: Something is shared, or cannot be looked at.

    Example:
        >>> from skyloom.fields import example
        >>> from skyloom.splits import fingerprint
        >>> maps = example()
        >>> prints = fingerprint(maps["T_b"].values)
        >>> check_foreign(maps, maps, fingerprints=(prints, prints), name="itself")
        Traceback (most recent call last):
        skyloom.errors.LeakError: the suite 'itself' is not unseen, 3 of 3 checks failed:
        ...
    """
    tables = [_named(seen, "seen"), _named(other, name)]
    both = xr.concat(tables, dim="sample")
    here, there = (tuple(table["sample"].values.tolist()) for table in tables)
    split = Split({SEEN: here, "validation": (), OTHER: there}, by="group")
    prints = np.concatenate(fingerprints)
    checks = [
        check_disjoint(both, split, "simulation"),
        check_disjoint(both, split, "seed"),
        check_twins(both, split, prints),
    ]
    failed = [check for check in checks if not check.passed]
    if failed:
        listed = "\n".join(f"  - {check.name}: {check.detail}" for check in failed)
        raise LeakError(
            f"the suite {name!r} is not unseen, {len(failed)} of {len(checks)} checks failed:\n{listed}",
            hint="test on simulations with seeds of their own, for instance another source.seed",
        )
    return checks


def _named(table: xr.Dataset, name: str) -> xr.Dataset:
    """Sample ids, simulations and seeds of a table, the ids prefixed by where they are from."""
    suite = str(table.attrs.get("suite", ""))
    seeds, groups = column(table, "seed"), column(table, "group").astype(str)
    coords = {
        "sample": [f"{name}/{sample}" for sample in table["sample"].values.astype(str)],
        "simulation": [f"{suite} {group} (seed {seed})" for group, seed in zip(groups, seeds, strict=True)],
        "seed": seeds,
    }
    return xr.Dataset(coords={key: ("sample", np.asarray(values)) for key, values in coords.items()})
