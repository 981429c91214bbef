"""The contract of every statistic in the registry."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import registry
from skyloom.errors import DataError, ShapeError
from skyloom.units import parse

# Positive, so that a statistic of a mass has something to say of them.
MAPS = np.exp(0.5 * np.random.default_rng(22).standard_normal((3, 16, 16))).astype(np.float32)

OF_MAPS = [
    entry.name for entry in registry.entries("statistic") if getattr(entry.load(), "inputs", "map") == "map"
]


@pytest.fixture(params=OF_MAPS)
def statistic(request: pytest.FixtureRequest):
    return registry.build(request.param, "statistic")


def test_one_row_a_map_with_units(statistic) -> None:
    ds = statistic.compute(MAPS, 32.0, True, "mK", box_unit="Mpc")
    for variable in (*ds.data_vars.values(), *ds.coords.values()):
        parse(variable.attrs["units"])
        assert variable.attrs["long_name"]
        assert np.isfinite(variable.values).all()
    assert all(v.sizes["sample"] == 3 for v in ds.data_vars.values() if "sample" in v.dims)
    assert any("sample" in v.dims for v in ds.data_vars.values())


def test_symmetries_of_a_periodic_map(statistic) -> None:
    before = statistic.compute(MAPS, 32.0, True, "mK")
    for changed in (np.roll(MAPS, (2, 7), axis=(1, 2)), MAPS[:, ::-1], np.rot90(MAPS, axes=(1, 2))):
        after = statistic.compute(changed, 32.0, True, "mK")
        for name in before.data_vars:
            np.testing.assert_allclose(after[name].values, before[name].values, rtol=1e-5)


def test_nan_and_wrong_shapes_are_errors(statistic) -> None:
    broken = MAPS.copy()
    broken[1, 2, 3] = np.nan
    with pytest.raises(DataError, match="1 of 3"):
        statistic.compute(broken, 32.0, True, "mK")
    with pytest.raises(ShapeError, match=r"\(3, 16, 8\)"):
        statistic.compute(MAPS[:, :, :8], 32.0, True, "mK")
