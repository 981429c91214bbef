"""The difference of two runs on the same maps."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.evaluate.bootstrap import clustered
from skyloom.evaluate.paired import paired
from skyloom.evaluate.scores import evaluate

PAIR = ("sample", "parameter")


def judged(error: np.ndarray, *, groups: int = 20, per_group: int = 10) -> xr.Dataset:
    """A prediction of ``groups · per_group`` maps that errs by ``error``."""
    n = groups * per_group
    truth = np.linspace(0.0, 1.0, n)[:, None]
    coords = {
        "sample": [f"{i:04d}" for i in range(n)],
        "group": ("sample", np.repeat([f"g{i}" for i in range(groups)], per_group)),
        "parameter": ["x_HI"],
    }
    values = {"truth": (PAIR, truth), "mean": (PAIR, truth + error[:, None])}
    return xr.Dataset(values, coords=coords, attrs={"scores": "rmse bias"})


def errors(seed: int) -> np.ndarray:
    """Errors that the maps of a simulation share in part."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.standard_normal(20), 10) + 0.3 * rng.standard_normal(200)


def test_a_common_error_cancels_in_the_difference() -> None:
    first, second = judged(errors(0)), judged(errors(0) + 0.1)
    bias = paired(first, second).differences["x_HI"]["bias"]
    # Both err by the same amount in each map, the second by 0.1 more: no draw of groups can change that.
    assert float(bias.value) == pytest.approx(0.1)
    assert float(bias.high - bias.low) == pytest.approx(0.0, abs=1e-9)
    alone = clustered(lambda w: np.asarray(evaluate("bias", first, w)), first["group"].values)
    assert float((alone.high - alone.low)[0]) > 0.5


def test_equal_runs_differ_by_nothing_and_order_does_not_matter() -> None:
    first = judged(errors(1))
    found = paired(first, first.isel(sample=slice(None, None, -1)))
    assert found.shared == 200
    assert found.groups == 20
    assert float(found.differences["x_HI"]["rmse"].value) == 0.0


def test_swapping_the_runs_changes_the_sign() -> None:
    first, second = judged(errors(2)), judged(errors(3))
    there, back = (paired(*pair).differences["x_HI"]["rmse"] for pair in ((first, second), (second, first)))
    assert float(there.value) == pytest.approx(-float(back.value))
    assert float(there.low) == pytest.approx(-float(back.high), abs=0.02)


def test_only_maps_of_both_count() -> None:
    first, second = judged(errors(4)), judged(errors(5))
    found = paired(first.isel(sample=slice(0, 120)), second.isel(sample=slice(80, 200)))
    assert (found.shared, found.sizes, found.groups) == (40, (120, 120), 4)
    part = slice(80, 120)
    rmse = [np.sqrt((errors(seed)[part] ** 2).mean()) for seed in (4, 5)]
    assert float(found.differences["x_HI"]["rmse"].value) == pytest.approx(rmse[1] - rmse[0])


def test_what_does_not_agree_is_said() -> None:
    first = judged(errors(6))
    renamed = first.assign_coords(sample=[f"other-{i}" for i in range(200)])
    assert paired(first, renamed).reason == "no map is in both test sides"
    assert "different truths" in paired(first, first.assign(truth=first["truth"] + 0.1)).reason
    moved = first.assign_coords(group=("sample", np.roll(first["group"].values, 10)))
    assert "different simulations" in paired(first, moved).reason
    other = first.assign_coords(parameter=["Omega_m"])
    assert paired(first, other).reason == "they answer different questions, or give fields"


def test_classes_are_compared_by_their_own_scores() -> None:
    truth = np.tile([0, 1], 100)
    right, half = np.eye(2)[truth], np.eye(2)[np.where(np.arange(200) % 4 < 2, truth, 1 - truth)]
    one, two = (
        xr.Dataset(
            {"truth": ("sample", truth), "probability": (("sample", "class"), values)},
            coords={
                "sample": np.arange(200).astype(str),
                "group": ("sample", np.repeat(np.arange(20), 10)),
                "class": ["a", "b"],
            },
            attrs={"answers": "classes", "target": "regime", "scores": "accuracy"},
        )
        for values in (right, half)
    )
    # The second is wrong for every other pair of maps.
    assert float(paired(one, two).differences["regime"]["accuracy"].value) == pytest.approx(-0.5)
    assert paired(one, judged(errors(7))).reason
