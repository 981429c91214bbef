"""A maker of small tables of samples, with unique fingerprints to go with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr


@pytest.fixture(scope="session")
def make_table() -> Callable[..., xr.Dataset]:
    """Coordinates of samples named a0, a1, ...; every group has its own seed and parent unless told."""

    def make(
        groups: Sequence[str], *, box_size: float = 100.0, periodic: int = 1, **columns: Any
    ) -> xr.Dataset:
        n = len(groups)
        names = sorted(set(groups))
        told = {
            "sample": [f"a{row}" for row in range(n)],
            "group": list(groups),
            "seed": np.array([names.index(group) for group in groups], dtype=np.int64),
            "parent": [f"box of {group}" for group in groups],
            "axis": ["z"] * n,
            "position": np.zeros(n),
            "thickness": np.full(n, box_size),
            "redshift": np.full(n, 8.0),
            **columns,
        }
        coordinates = {name: ("sample", np.asarray(column)) for name, column in told.items()}
        return xr.Dataset(coords=coordinates, attrs={"box_size": box_size, "periodic": periodic})

    return make


@pytest.fixture(scope="session")
def unlike() -> Callable[[xr.Dataset], np.ndarray]:
    """Fingerprints that all differ, for tables without maps."""
    return lambda table: np.array([f"{row:032x}:-:-" for row in range(table.sizes["sample"])])
