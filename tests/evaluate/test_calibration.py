"""Calibration on Gaussian posteriors in closed form: right ones pass, narrow ones are caught and repaired."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from skyloom.errors import DataError, LeakError, ShapeError, UsageError
from skyloom.evaluate import scores
from skyloom.evaluate.calibration import sbc, tarp
from skyloom.evaluate.conformal import Conformal

LEVELS = (0.68, 0.95)


def gaussian(n: int, *, width: float = 1.0, draws: int = 0, seed: int = 0, P: int = 1, per_group: int = 1):
    """Truth N(0, 1) seen with noise 0.5: the posterior has mean 0.8 d and sd 1/sqrt(5), times ``width``.

    Maps of a group share the truth, each has its own noise.
    """
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.normal(size=(n // per_group, P)), per_group, axis=0)
    mean = (truth + 0.5 * rng.normal(size=truth.shape)) / 1.25
    sd = np.full(truth.shape, width / np.sqrt(5))
    pair = ("sample", "parameter")
    variables = {"truth": (pair, truth), "mean": (pair, mean), "sd": (pair, sd)}
    if draws:
        samples = mean[:, None] + sd[:, None] * rng.normal(size=(n, draws, P))
        variables["samples"] = (("sample", "draw", "parameter"), samples)
    coords = {
        "sample": [f"s{i}" for i in range(n)],
        "group": ("sample", np.arange(n) // per_group),
        "parameter": [f"p{i}" for i in range(P)],
    }
    return xr.Dataset(variables, coords=coords, attrs={"side": "validation", "intervals": "raw"})


def bare(p):
    return p.truth.values, p.samples.values, p.group.values


def coverage_of(p, level=0.95):
    return float(scores.evaluate(f"coverage_{100 * level:g}", p)[0])


class TestSBC:
    def test_exact_posteriors_are_uniform(self):
        ranks = sbc(*bare(gaussian(2000, draws=100)), bins=10)
        assert ranks.share.sum(axis=0) == pytest.approx([1.0])
        assert ranks.share == pytest.approx(np.full((10, 1), 0.1), abs=4 * np.sqrt(0.1 * 0.9 / 2000))
        assert ranks.p_value[0] > 0.01

    def test_p_value_is_uniform_if_calibrated(self):
        p_values = [
            sbc(*bare(gaussian(100, draws=20, seed=s)), bootstrap=1, bins=5).p_value[0] for s in range(200)
        ]
        for level in (0.1, 0.5):
            error = np.sqrt(level * (1 - level) / 200)
            assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=3 * error)

    def test_p_value_is_not_fooled_by_many_maps_of_one_truth(self):
        # Every map of a group has the same posterior and truth: the maps add nothing to the 60 groups.
        rejected = 0
        for seed in range(30):
            truth, samples, groups = bare(gaussian(60, draws=20, seed=seed))
            many = [np.repeat(values, 20, axis=0) for values in (truth, samples, groups)]
            rejected += bool(sbc(*many, bootstrap=1, bins=6).p_value[0] < 0.05)
        assert rejected <= 5  # binomial(30, 0.05) exceeds 5 with probability 0.3 %

    def test_narrow_posterior_is_caught(self):
        ranks = sbc(*bare(gaussian(2000, width=0.8, draws=100)), bins=10)
        # The outermost tenths of a posterior 0.8 as wide hold P(|z| > 0.8 * 1.2816) / 2 of the truths each.
        expected = norm.sf(0.8 * norm.isf(0.1))
        assert ranks.share[[0, -1], 0] == pytest.approx([expected] * 2, abs=4 * np.sqrt(0.15 * 0.85 / 2000))
        assert ranks.p_value[0] < 1e-6 and ranks.low[0, 0] > 0.1

    def test_few_groups_give_no_p_value(self):
        ranks = sbc(*bare(gaussian(40, draws=20, per_group=8)))
        assert ranks.groups == 5 and np.isnan(ranks.p_value).all() and ranks.share.shape == (2, 1)

    def test_equal_values_are_ranked_by_chance(self):
        ranks = sbc(np.zeros((4000, 1)), np.zeros((4000, 9, 1)), np.arange(4000), bins=10, bootstrap=1)
        assert ranks.share == pytest.approx(np.full((10, 1), 0.1), abs=4 * np.sqrt(0.09 / 4000))

    def test_wrong_shapes_are_refused(self):
        with pytest.raises(ShapeError, match=r"samples \(10, 1\)"):
            sbc(np.zeros((10, 1)), np.zeros((10, 1)), np.arange(10))
        with pytest.raises(UsageError, match="bins is 1"):
            sbc(np.zeros((10, 1)), np.zeros((10, 2, 1)), np.arange(10), bins=1)


class TestTARP:
    def test_exact_posteriors_lie_on_the_diagonal(self):
        curve = tarp(*bare(gaussian(2000, draws=100, P=2)), references=2)
        assert curve.level[0] == 0 and curve.level[-1] == 1 and curve.coverage[-1] == 1
        assert curve.deviation < 3 * np.sqrt(0.25 / 2000)
        assert (curve.low <= curve.coverage).all() and (curve.coverage <= curve.high).all()

    def test_narrow_and_biased_posteriors_are_caught(self):
        truth, samples, groups = bare(gaussian(2000, draws=100, P=2))
        centre = samples.mean(axis=1, keepdims=True)
        for wrong in (centre + 0.5 * (samples - centre), samples + 0.5):
            curve = tarp(truth, wrong, groups, references=2)
            outside = (curve.low > curve.level) | (curve.high < curve.level)
            assert curve.deviation > 0.05 and outside.sum() > 5

    def test_change_of_units_is_no_matter(self):
        truth, samples, groups = bare(gaussian(200, draws=20, P=2))
        unit = np.array([1.0, 1000.0])
        first, other = tarp(truth, samples, groups), tarp(truth * unit, samples * unit, groups)
        assert other.coverage == pytest.approx(first.coverage)

    def test_band_is_as_wide_as_the_groups_say(self):
        # One map a group, copied 20 times: a by-map band is too narrow by up to sqrt(20), less what the
        # copies' own references add.
        truth, samples, groups = (np.repeat(v, 20, axis=0) for v in bare(gaussian(200, width=0.01, draws=20)))
        width = []
        for unit in (groups, np.arange(len(groups))):
            curve = tarp(truth, samples, unit, points=3, references=32)
            width.append(curve.high[1] - curve.low[1])
        assert width[0] > 2 * width[1]


class TestConformal:
    def test_exact_posterior_needs_no_repair(self):
        p = gaussian(10_000)
        fitted = Conformal.fit(p, LEVELS)
        assert fitted.q[0] == pytest.approx(norm.isf((1 - np.array(LEVELS)) / 2), rel=0.03)
        for level in LEVELS:
            assert coverage_of(fitted.apply(gaussian(10_000, seed=1)), level) == pytest.approx(
                level, abs=0.01
            )

    @pytest.mark.parametrize("draws", [0, 400])
    def test_narrow_posterior_is_caught_and_repaired(self, draws):
        n = 2000 if draws else 10_000
        validation, test = (gaussian(n, width=0.8, draws=draws, seed=s) for s in (0, 1))
        fitted = Conformal.fit(validation, LEVELS)
        error = 3 * np.sqrt(2 * 0.68 * 0.32 / n)
        lower, upper = (test["mean"] + s * norm.isf(0.16) * test["sd"] for s in (-1, 1))
        raw = scores.coverage(test.truth.values, lower.values, upper.values)
        assert raw == pytest.approx([1 - 2 * norm.sf(0.8 * norm.isf(0.16))], abs=error) and raw < 0.61
        for level in LEVELS:
            assert coverage_of(fitted.apply(test), level) == pytest.approx(level, abs=error)
        assert fitted.q[0, 1] == pytest.approx(1.96 / 0.8, rel=0.06)

    def test_without_an_error_the_interval_has_one_width(self):
        fitted = Conformal.fit(gaussian(10_000).drop_vars("sd"), (0.68,))
        assert fitted.width == "constant" and fitted.q[0, 0] == pytest.approx(
            norm.isf(0.16) / np.sqrt(5), rel=0.03
        )

    def test_skewed_samples_stay_skewed(self):
        rng = np.random.default_rng(0)
        p = gaussian(500, draws=200)
        p["samples"].values[:] = rng.exponential(size=p.samples.shape)
        p["truth"].values[:] = rng.exponential(size=p.truth.shape)
        repaired = Conformal.fit(p, (0.95,)).apply(p)
        median, low, high = (
            float(norm_or) for norm_or in (np.log(2), repaired.lower.mean(), repaired.upper.mean())
        )
        # Quantiles of the exponential: ln 2 - (-ln 0.975) below the median, -ln 0.025 - ln 2 above.
        ratio = (-np.log(0.025) - np.log(2)) / (np.log(2) + np.log(0.975))
        assert (high - median) / (median - low) == pytest.approx(ratio, rel=0.1)

    @pytest.mark.parametrize("K", [12, 40])
    def test_coverage_of_new_groups_is_the_level_on_average(self, K):
        """Errors shared in a group: corrected by groups it is at least the level, effectively the level."""
        rng = np.random.default_rng(0)
        mean_coverage = {"effective": [], "groups": []}
        for _ in range(300):
            z = np.sqrt(0.5) * rng.normal(size=(K, 1)) + np.sqrt(0.5) * rng.normal(size=(K, 8))
            p = gaussian(8 * K, per_group=8)
            p["truth"].values[:, 0] = z.ravel()
            p["mean"].values[:], p["sd"].values[:] = 0, 1
            for correction, found in mean_coverage.items():
                q = Conformal.fit(p, (0.8,), correction=correction).q[0, 0]
                found.append(1 - 2 * norm.sf(q))
        error = {name: np.std(found) / np.sqrt(300) for name, found in mean_coverage.items()}
        assert np.mean(mean_coverage["effective"]) == pytest.approx(0.8, abs=3 * error["effective"] + 0.01)
        assert np.mean(mean_coverage["groups"]) > 0.8 - 3 * error["groups"]
        # At most the guarantee's own slack of 2 / (K + 1) too much.
        assert np.mean(mean_coverage["groups"]) < 0.8 + 2 / (K + 1)

    def test_effective_number_is_between_groups_and_maps(self):
        alone = Conformal.fit(gaussian(2000), (0.68,)).effective[0, 0]
        assert alone == pytest.approx(2000, rel=0.01)
        p = gaussian(100)
        copies = p.isel(sample=np.repeat(np.arange(100), 10))
        assert Conformal.fit(copies, (0.68,)).effective[0, 0] == pytest.approx(100, rel=0.02)

    def test_hand_calculated_quantile(self):
        # Scores 1..4 in four groups of one: level 0.5 is corrected to 0.625, reached by the third.
        p = gaussian(4)
        p["truth"].values[:, 0], p["mean"].values[:], p["sd"].values[:] = [2, 4, 1, 3], 0, 1
        assert Conformal.fit(p, (0.5,), correction="groups").q[0, 0] == 3

    def test_small_groups_count_as_much_as_large_ones(self):
        # One group of 8 maps with score 1, one of a single map with score 5: half of the mass each.
        p = gaussian(9)
        p["truth"].values[:, 0], p["mean"].values[:], p["sd"].values[:] = [1] * 8 + [5], 0, 1
        p = p.assign_coords(group=("sample", [0] * 8 + [1]))
        assert Conformal.fit(p, (0.3,), correction="groups").q[0, 0] == 1
        assert Conformal.fit(p, (0.4,), correction="groups").q[0, 0] == 5

    def test_too_few_groups_are_said(self):
        with pytest.raises(DataError, match="a guaranteed 95 % needs 19 validation groups; there are 18"):
            Conformal.fit(gaussian(18), LEVELS, correction="groups")
        assert np.isfinite(Conformal.fit(gaussian(19), LEVELS, correction="groups").q).all()
        fitted = Conformal.fit(gaussian(12), LEVELS)
        assert not fitted.attained[0, 1] and fitted.attained[0, 0]

    def test_one_group_gives_the_largest_score(self):
        p = gaussian(8, per_group=8)
        largest = (abs(p["truth"] - p["mean"]) / p["sd"]).max()
        fitted = Conformal.fit(p, LEVELS)
        assert fitted.q[0] == pytest.approx([float(largest)] * 2) and not fitted.attained.any()

    @pytest.mark.parametrize("draws", [0, 50])
    def test_state_is_json_and_repairing_twice_changes_nothing(self, draws):
        p = gaussian(200, draws=draws, P=2)
        fitted = Conformal.fit(p, LEVELS)
        again = Conformal.from_state(json.loads(json.dumps(fitted.state())))
        once = fitted.apply(p)
        xr.testing.assert_identical(again.apply(once), once)
        assert once.attrs["intervals"] == "conformal" and once["mean"].equals(p["mean"])

    def test_bounds_clip_only_where_asked(self):
        p = gaussian(100, P=2)
        free = Conformal.fit(p, LEVELS).apply(p)
        clipped = Conformal.fit(p, LEVELS).apply(p, bounds={"p1": (-0.5, 0.5)})
        assert clipped.isel(parameter=0).equals(free.isel(parameter=0))
        assert clipped.lower[:, 1].min() == -0.5 and clipped.upper[:, 1].max() == 0.5

    def test_what_cannot_be_repaired_is_refused(self):
        p = gaussian(20)
        with pytest.raises(LeakError, match="test side"):
            Conformal.fit(p.assign_attrs(side="test"))
        with pytest.raises(UsageError, match="did you mean 'groups'"):
            Conformal.fit(p, correction="group")
        fitted = Conformal.fit(p)
        with pytest.raises(UsageError, match="are for p0; found p0, p1"):
            fitted.apply(gaussian(20, P=2))
        with pytest.raises(UsageError, match="found x"):
            fitted.apply(p, bounds={"x": (0, 1)})
        with pytest.raises(DataError, match="fitted on 'sd'"):
            fitted.apply(p.drop_vars("sd"))
        p["sd"].values[3] = 0
        with pytest.raises(DataError, match="sample 's3'"):
            Conformal.fit(p)
