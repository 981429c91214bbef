"""Coverage figures: shares in percent, bars and bands where they were given."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from skyloom.report.figures.calibration import coverage, rank_histogram, tarp


def test_coverage_is_drawn_in_percent_with_its_interval() -> None:
    level, share = np.array([0.68, 0.95]), np.array([0.6, 0.9])
    ax = coverage(level, share, Figure().add_subplot(), low=share - 0.1, high=share + 0.05)
    dots = ax.lines[-1]
    np.testing.assert_allclose(dots.get_xydata(), [[68, 60], [95, 90]])
    bars = next(c for c in ax.collections if isinstance(c, LineCollection)).get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[50, 65], [80, 95]])


def test_the_diagonal_is_there_and_the_sides_are_named() -> None:
    ax = tarp(np.array([0.0, 1.0]), np.array([0.0, 1.0]), Figure().add_subplot())
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [100, 100]])
    assert {text.get_text() for text in ax.texts} == {"bars too wide", "bars too narrow"}


def test_ranks_are_relative_to_a_flat_histogram() -> None:
    share = np.array([0.1, 0.4, 0.3, 0.2])
    ax = rank_histogram(share, Figure().add_subplot(), low=share - 0.05, high=share + 0.05, p_value=0.034)
    np.testing.assert_allclose(ax.patches[-1].get_data().values, [0.4, 1.6, 1.2, 0.8])
    bars = next(c for c in ax.collections if isinstance(c, LineCollection)).get_segments()
    np.testing.assert_allclose(bars[1][:, 1], [1.4, 1.8])
    assert ax.texts[-1].get_text() == "$p = 0.034$"
