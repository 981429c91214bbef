"""A set that is well."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.fields import Label

K, M, N = 12, 4, 16  # simulations, maps of each, pixels


@pytest.fixture
def healthy() -> xr.Dataset:
    """Gaussian maps in mK, every one another, whose mean knows nothing of the label."""
    rng = np.random.default_rng(0)
    n = K * M
    return fields.build(
        {"T_b": (rng.normal(20, 5, (n, N, N)).astype(np.float32), "mK", "brightness temperature")},
        ids=[f"s{i // M}-{i % M}" for i in range(n)],
        groups=[f"s{i // M}" for i in range(n)],
        seeds=np.arange(n) // M,
        box_size=64.0,
        suite="noise",
        realism="toy",
        labels={"x_HI": Label(rng.random(n), "label", "", "neutral fraction", 0.0, 1.0)},
    )
