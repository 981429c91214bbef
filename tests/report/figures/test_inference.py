"""Truth against prediction: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from skyloom.report.figures.inference import residuals, residuals_by_redshift, truth_against_prediction

RNG = np.random.default_rng(3)
TRUTH = RNG.uniform(0.1, 0.9, 300)
MEAN = TRUTH + 0.03 * RNG.standard_normal(300)


def points(ax) -> np.ndarray:
    drawn = [c for c in ax.collections if isinstance(c, PathCollection)]
    return np.concatenate([np.asarray(c.get_offsets()) for c in drawn if len(c.get_offsets())])


@pytest.mark.parametrize("redshift", [None, np.repeat([7.0, 8.0, 9.0], 100), np.linspace(6.0, 12.0, 300)])
def test_every_map_is_drawn_once(redshift: np.ndarray | None) -> None:
    ax = truth_against_prediction(TRUTH, MEAN, Figure().add_subplot(), name="x_HI", redshift=redshift)
    found = points(ax)
    order, expected = np.lexsort(found.T), np.column_stack([TRUTH, MEAN])
    np.testing.assert_allclose(found[order], expected[np.lexsort(expected.T)])


def test_the_legend_names_each_redshift() -> None:
    redshift = np.repeat([7.0, 8.5], 150)
    ax = truth_against_prediction(TRUTH, MEAN, Figure().add_subplot(), name="x_HI", redshift=redshift)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["$z = 7$", "$z = 8.5$"]


def test_the_axes_are_equal_and_carry_units() -> None:
    ax = truth_against_prediction(TRUTH, MEAN, Figure().add_subplot(), name="R_BUBBLE_MAX", unit="Mpc")
    assert ax.get_xlim() == ax.get_ylim()
    assert all("Mpc" in label for label in (ax.get_xlabel(), ax.get_ylabel()))


def test_error_bars_are_thinned_and_reach_from_bound_to_bound() -> None:
    bounds = (MEAN - 0.05, MEAN + 0.02)
    ax = truth_against_prediction(TRUTH, MEAN, Figure().add_subplot(), name="x_HI", bounds=bounds)
    bars = next(c for c in ax.collections if isinstance(c, LineCollection)).get_segments()
    assert 20 < len(bars) <= 40
    for bar in bars:
        which = int(np.abs(TRUTH - bar[0][0]).argmin())
        np.testing.assert_allclose(bar[:, 1], [MEAN[which] - 0.05, MEAN[which] + 0.02])


def test_residuals_are_prediction_minus_truth() -> None:
    ax = residuals(TRUTH, TRUTH + 0.1, Figure().add_subplot(), name="x_HI")
    np.testing.assert_allclose(points(ax)[:, 1], 0.1)
    running = ax.lines[-1].get_ydata()
    np.testing.assert_allclose(running, 0.1)


def test_median_and_ranges_at_each_redshift() -> None:
    # 101 equally spaced residuals about c: quantile q is c + 2 (q - 1/2).
    one = np.linspace(-1.0, 1.0, 101)
    redshift = np.repeat([7.0, 8.0], 101)
    ax = residuals_by_redshift(
        redshift, np.concatenate([one, one + 0.5]), Figure().add_subplot(), name="x_HI"
    )
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), [0.0, 0.5], atol=1e-12)
    outer = ax.collections[0].get_segments()
    np.testing.assert_allclose(outer[0][:, 1], [-0.95, 0.95])
    inner = ax.collections[1].get_segments()
    np.testing.assert_allclose(inner[1][:, 1], [0.5 - 0.68, 0.5 + 0.68])


def test_many_redshifts_are_binned_without_losing_a_map() -> None:
    redshift = np.linspace(6.0, 14.0, 400)
    ax = residuals_by_redshift(redshift, redshift - 10.0, Figure().add_subplot(), name="x_HI")
    # Eight bins of 50: the median residual of a bin is its mean redshift less ten.
    places = redshift.reshape(8, 50).mean(axis=1)
    np.testing.assert_allclose(ax.lines[-1].get_xdata(), places)
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), places - 10.0)
