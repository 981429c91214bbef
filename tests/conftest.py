"""Fixtures shared by all tests: one thread, the real data folder, and no global state left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

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
    state = np.random.get_state(legacy=False)
    folder = Path.cwd()
    yield
    after = np.random.get_state(legacy=False)
    same = np.array_equal(state["state"]["key"], after["state"]["key"]) and state["state"]["pos"] == after["state"]["pos"]
    np.random.set_state(state)
    os.chdir(folder)
    if not same:
        pytest.fail("the test moved NumPy's global random state")
