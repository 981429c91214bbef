"""Fields with phases: a Gaussian made lognormal, its amplitude a parameter, in groups of two maps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import xarray as xr

from skyloom import fields

N, BOX = 32, 64.0


def make_lognormal(
    groups: int, *, seed: int, per_group: int = 2, prefix: str = "g", theta: np.ndarray | None = None
) -> xr.Dataset:
    """A field set of lognormal maps ``delta`` and of ``gas``, a noisy power of it."""
    rng = np.random.default_rng(seed)
    n = groups * per_group
    if theta is None:
        theta = rng.uniform(0.5, 1.0, groups)
    amplitude = np.repeat(theta, per_group)
    k = np.hypot(np.fft.fftfreq(N)[:, None] * N, scipy.fft.rfftfreq(N)[None] * N)
    gain = np.where(k > 0, np.maximum(k, 1.0) ** -1.2, 0.0)
    white = rng.standard_normal((n, N, N))
    field = scipy.fft.irfft2(scipy.fft.rfft2(white) * gain, s=(N, N))
    field *= amplitude[:, None, None] / field.std()
    delta = np.exp(field)
    gas = delta**0.5 * np.exp(0.1 * rng.standard_normal((n, N, N)))
    return fields.build(
        {"delta": (delta, "", "overdensity"), "gas": (gas, "K", "gas")},
        ids=[f"{prefix}{i}" for i in range(n)],
        groups=np.repeat([f"{prefix}{i}" for i in range(groups)], per_group).tolist(),
        seeds=np.arange(n),
        box_size=BOX,
        suite="lognormal",
        realism="toy",
        labels={"A": fields.Label(amplitude, "parameter", "", "amplitude", 0.5, 1.0)},
    )


@pytest.fixture(scope="session")
def lognormal():
    """The function that makes such a set."""
    return make_lognormal


@pytest.fixture(scope="session")
def real() -> xr.Dataset:
    """Forty groups."""
    return make_lognormal(40, seed=1, prefix="real")


@pytest.fixture(scope="session")
def twin() -> xr.Dataset:
    """Forty others of the same law: what a perfect generator makes."""
    return make_lognormal(40, seed=2, prefix="twin")
