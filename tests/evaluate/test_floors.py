"""The ceiling of noisy labels: its score is the squared correlation of the labels."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.errors import DataError
from skyloom.evaluate import scores
from skyloom.evaluate.floors import cosmic_variance, halves, halves_apart, label_noise


def make_table(K: int = 200, m: int = 8, noise: float = 0.06, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    box = np.repeat(rng.random(K), m)
    coords = {
        "sample": np.arange(K * m).astype(str),
        "group": ("sample", np.repeat(np.arange(K), m).astype(str)),
        "x_HI": ("sample", box, {"role": "label", "units": ""}),
        "x_HI_slice": ("sample", box + noise * rng.normal(size=K * m), {"role": "label", "units": ""}),
        "zeta": ("sample", box, {"role": "parameter", "units": ""}),
    }
    return xr.Dataset(coords=coords)


def test_r2_is_what_the_noise_leaves():
    train, test = make_table(seed=0), make_table(seed=1)
    floor = label_noise(train, test, ["x_HI"])
    # Uniform truth has variance 1/12; a slice with noise s explains 1 / (1 + 12 s²) of it.
    assert scores.evaluate("r2", floor)[0] == pytest.approx(1 / (1 + 12 * 0.06**2), abs=0.01)
    assert scores.evaluate("chi2", floor)[0] == pytest.approx(1, abs=0.1)
    assert scores.evaluate("coverage_68", floor)[0] == pytest.approx(0.68, abs=0.05)


def test_real_simulations_give_the_known_ceiling(shared_data):
    data = np.load(shared_data / "reionisation" / "eor_21cmfast_64.npz")
    coords = {"sample": np.arange(len(data["sim"])), "group": ("sample", data["sim"])}
    for name, key in (("x_HI", "xhi_box"), ("x_HI_slice", "xhi_slice")):
        coords[name] = ("sample", data[key].astype(float))
    table = xr.Dataset(coords=coords)
    # Straight line of box on slice over all 264 maps: its R² is the squared correlation of the two labels.
    expected = np.corrcoef(data["xhi_box"], data["xhi_slice"])[0, 1] ** 2
    assert scores.evaluate("r2", label_noise(table, table, ["x_HI"]))[0] == pytest.approx(expected, abs=1e-6)
    assert expected == pytest.approx(0.975, abs=0.005)


def test_only_pairs_have_a_ceiling():
    table = make_table(K=5)
    assert label_noise(table, table, ["x_HI_slice", "zeta"]) is None
    assert label_noise(table, table, ["zeta", "x_HI"]).parameter.values.tolist() == ["x_HI"]


def test_line_is_fitted_on_train_alone():
    train, test = make_table(seed=0), make_table(seed=1)
    shifted = test.assign_coords(x_HI=("sample", test.x_HI.values + 0.3))
    before, after = (label_noise(train, side, ["x_HI"]) for side in (test, shifted))
    assert after["mean"].equals(before["mean"])
    assert scores.evaluate("bias", after)[0] == pytest.approx(scores.evaluate("bias", before)[0] - 0.3)


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_broken_labels_are_refused(value):
    table = make_table(K=5)
    table.x_HI_slice.values[:] = value
    with pytest.raises(DataError, match="'x_HI_slice' must be finite"):
        label_noise(table, table, ["x_HI"])


def test_halves_keep_groups_whole_and_parameters_alike():
    groups = np.repeat(np.arange(40), 5)
    theta = np.repeat(np.random.default_rng(0).normal(size=(40, 2)), 5, axis=0)
    gaps = []
    for covariates in (None, theta):
        found = []
        for seed in range(20):
            first = halves(groups, covariates, seed=seed)
            assert first.reshape(40, 5).all(axis=1).sum() == 20 and first.sum() == 100
            found.append(np.abs(theta[first].mean(axis=0) - theta[~first].mean(axis=0)))
        gaps.append(np.mean(found))
    # Plain halves differ by sqrt(2 / 20 * 2 / pi) = 0.25 sd; the best of 64 deals in two parameters by
    # about 1 / sqrt(64) of that.
    assert gaps[0] == pytest.approx(np.sqrt(0.2 / np.pi), rel=0.25) and gaps[1] < gaps[0] / 4
    with pytest.raises(DataError, match="1 group cannot be split"):
        halves(np.zeros(4))


def test_cosmic_variance_is_that_between_groups():
    rng = np.random.default_rng(0)
    own = rng.normal(3.0, 2.0, size=4000)
    mean, sd = cosmic_variance(
        np.repeat(own, 3) + 0.1 * rng.normal(size=12_000), np.repeat(np.arange(4000), 3)
    )
    assert mean == pytest.approx(3.0, abs=0.1) and sd == pytest.approx(2.0, rel=0.04)


def test_halves_lie_apart_by_chance_alone():
    rng = np.random.default_rng(0)
    # The mean of |N(0, 4 / K)| is sqrt(8 / (pi K)), in spreads, whatever the unit.
    found = [halves_apart(1e4 * rng.normal(size=64), np.arange(64), seed=100 * i) for i in range(40)]
    assert np.mean(found) == pytest.approx(np.sqrt(8 / np.pi / 64), rel=0.1)
    assert np.isnan(halves_apart(np.ones(3), np.arange(3)))
