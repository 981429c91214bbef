"""The design: a true Latin hypercube, seeds of their own, redshifts that cover reionisation."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import UsageError
from skyloom.simulate.cosmology import Cosmology
from skyloom.simulate.reionisation.design import (
    PARAMETERS,
    REDSHIFT_GRID,
    latin_hypercube,
    neutral_fraction,
)


def test_each_parameter_has_one_point_in_each_of_n_strata():
    points = latin_hypercube(20)
    for name, (low, high, _, _) in PARAMETERS.items():
        values = np.array([point.parameters[name] for point in points])
        strata = np.floor((values - low) / (high - low) * 20).astype(int)
        assert sorted(strata) == list(range(20))


def test_seeds_differ_within_and_between_designs():
    seeds = [point.seed for seed in (0, 1) for point in latin_hypercube(50, seed=seed)]
    assert len(set(seeds)) == 100


def test_a_longer_call_with_the_same_seed_is_the_same_design():
    assert latin_hypercube(12, seed=3) == latin_hypercube(12, seed=3)
    assert latin_hypercube(12, seed=3) != latin_hypercube(12, seed=4)


def test_redshifts_are_distinct_on_the_grid_and_highest_first():
    for point in latin_hypercube(30, redshifts=4):
        assert len(set(point.redshifts)) == 4
        assert list(point.redshifts) == sorted(point.redshifts, reverse=True)
        assert set(point.redshifts) <= set(REDSHIFT_GRID.tolist())


def test_predicted_neutral_fractions_cover_reionisation():
    cosmology = Cosmology()
    predicted = [
        neutral_fraction(point.parameters, z, cosmology)
        for point in latin_hypercube(40)
        for z in point.redshifts
    ]
    counts = np.histogram(predicted, np.linspace(0, 1, 6))[0]
    assert counts.min() > 0.5 * len(predicted) / 5


@pytest.mark.parametrize(
    ("log_T", "z", "measured"),
    # 21cmFAST 4.1.1, zeta 30, seed 7, 32 cells in 64 Mpc, M_MIN_in_Mass off.
    [(4.4, 10, 0.748), (4.4, 8, 0.284), (4.7, 9, 0.782), (4.7, 8, 0.610), (5.1, 10, 0.966), (5.1, 8, 0.858)],
)
def test_the_prediction_lies_near_21cmfast(log_T, z, measured):
    point = {"HII_EFF_FACTOR": 30.0, "ION_Tvir_MIN": log_T}
    assert neutral_fraction(point, z, Cosmology()) == pytest.approx(measured, abs=0.06)


def test_an_unknown_or_empty_range_is_refused():
    with pytest.raises(UsageError, match="did you mean 'R_BUBBLE_MAX'"):
        latin_hypercube(2, ranges={"R_BUBLE_MAX": [1, 2]})
    with pytest.raises(UsageError, match=r"range of R_BUBBLE_MAX is \[3, 3\]"):
        latin_hypercube(2, ranges={"R_BUBBLE_MAX": [3, 3]})
