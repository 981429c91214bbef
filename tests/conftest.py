"""Fixtures shared by all tests: one thread, the real data folder, and no global state left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# A shared machine may stall for longer than any deadline.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# Two OpenMP threads on a contended machine are slower than one, by up to thirty times.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files made by others; the test skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data folder ../shared/data is not beside the project")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def leaves_no_global_state() -> Iterator[None]:
    """Fail a test that moves NumPy's global generator or the working directory."""
    # The legacy state is the one that others could have moved.
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    folder = Path.cwd()
    yield
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    moved = before["state"]["pos"] != after["state"]["pos"]
    moved = moved or not np.array_equal(before["state"]["key"], after["state"]["key"])
    np.random.set_state(before)  # noqa: NPY002
    os.chdir(folder)
    if moved:
        pytest.fail("the test moved NumPy's global random state")
