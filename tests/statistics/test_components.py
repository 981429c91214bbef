"""The contract of every statistic of maps in the registry, of one field or of two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from skyloom import registry
from skyloom.errors import DataError, ShapeError
from skyloom.units import parse

# Positive, so that a statistic of a mass has something to say of them.
MAPS, OTHERS = np.exp(0.5 * np.random.default_rng(22).standard_normal((2, 3, 16, 16))).astype(np.float32)

OF_MAPS = [
    entry.name
    for entry in registry.entries("statistic")
    if getattr(entry.load(), "inputs", "map") in ("map", "pair")
]

Compute = Callable[[np.ndarray, np.ndarray], xr.Dataset]


@pytest.fixture(params=OF_MAPS)
def compute(request: pytest.FixtureRequest) -> Compute:
    """A statistic as a function of two fields, of which it takes what it needs."""
    statistic = registry.build(request.param, "statistic")
    if getattr(statistic, "inputs", "map") == "pair":
        return lambda first, second: statistic.compute(first, second, 32.0, True, ("mK", ""), box_unit="Mpc")
    return lambda first, second: statistic.compute(first, 32.0, True, "mK", box_unit="Mpc")


def test_one_row_a_map_with_units(compute: Compute) -> None:
    ds = compute(MAPS, OTHERS)
    for variable in (*ds.data_vars.values(), *ds.coords.values()):
        parse(variable.attrs["units"])
        assert variable.attrs["long_name"]
        assert np.isfinite(variable.values).all()
    assert all(v.sizes["sample"] == 3 for v in ds.data_vars.values() if "sample" in v.dims)
    assert any("sample" in v.dims for v in ds.data_vars.values())


def test_symmetries_of_a_periodic_map(compute: Compute) -> None:
    before = compute(MAPS, OTHERS)
    for change in (
        lambda maps: np.roll(maps, (2, 7), axis=(1, 2)),
        lambda maps: maps[:, ::-1],
        lambda maps: np.rot90(maps, axes=(1, 2)),
    ):
        after = compute(change(MAPS), change(OTHERS))
        for name, variable in before.data_vars.items():
            # Numbers near zero, such as a coherence, keep the rounding of single precision of the others.
            atol = 1e-6 * np.abs(variable.values).max()
            np.testing.assert_allclose(after[name].values, variable.values, rtol=1e-5, atol=atol)


def test_a_sample_knows_nothing_of_the_others(compute: Compute) -> None:
    together = compute(MAPS, OTHERS)
    alone = compute(MAPS[1:2], OTHERS[1:2])
    for name, variable in together.data_vars.items():
        if "sample" in variable.dims and all(
            alone[c].equals(together[c]) for c in variable.coords if c in alone.coords
        ):
            np.testing.assert_allclose(
                alone[name].values[0], variable.transpose("sample", ...).values[1], rtol=1e-5, atol=1e-6
            )


def test_nan_and_wrong_shapes_are_errors(compute: Compute) -> None:
    broken = MAPS.copy()
    broken[1, 2, 3] = np.nan
    with pytest.raises(DataError, match="1 of 3"):
        compute(broken, OTHERS)
    with pytest.raises(ShapeError, match=r"\(3, 16, 8\)"):
        compute(MAPS[:, :, :8], OTHERS[:, :, :8])
