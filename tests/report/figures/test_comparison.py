"""Rows of scores: places, intervals, marks, and values that fall off the axis."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from skyloom.report.figures.comparison import Row, scores_in_rows, seeds

ROWS = [
    Row("this run", 0.98, 0.97, 0.99, "run"),
    Row("ceiling", 0.985, 0.98, 0.99, "ceiling"),
    Row("cost $5", 0.6, 0.4, 0.7),
    Row("seen", 0.999, 0.998, 0.9995, "variant", leaky=True),
    Row("hopeless", -3.0, -5.0, -1.0),
]


def test_each_row_has_its_dot_and_its_interval() -> None:
    ax = scores_in_rows(ROWS, Figure().add_subplot())
    dots = [tuple(line.get_xydata()[0]) for line in ax.lines]
    assert dots == [(0.98, 0), (0.985, 1), (0.6, 2), (0.999, 3)]
    bars = [c.get_segments()[0] for c in ax.collections if isinstance(c, LineCollection)]
    np.testing.assert_allclose(
        [bar[:, 0] for bar in bars], [[0.97, 0.99], [0.98, 0.99], [0.4, 0.7], [0.998, 0.9995]]
    )


def test_a_row_off_the_axis_is_told_in_words() -> None:
    ax = scores_in_rows(ROWS, Figure().add_subplot())
    assert ax.get_xlim()[0] > -0.6
    assert "-3.00" in ax.texts[0].get_text()


def test_leaky_rows_say_so_and_look_different() -> None:
    labels = scores_in_rows(ROWS, Figure().add_subplot()).get_yticklabels()
    assert labels[3].get_text() == "seen (leaky)"
    assert labels[3].get_color() != labels[2].get_color()
    assert labels[0].get_fontweight() == "bold"
    assert labels[2].get_text() == r"cost \$5"


def test_without_an_interval_there_is_only_a_dot() -> None:
    ax = scores_in_rows([Row("a", 0.5)], Figure().add_subplot())
    assert not [c for c in ax.collections if isinstance(c, LineCollection)]
    assert ax.lines[0].get_xydata().tolist() == [[0.5, 0.0]]


def test_seeds_stand_beside_their_mean() -> None:
    ax = seeds(np.array([0.9, 0.94, 0.98]), Figure().add_subplot(), interval=(0.85, 0.99))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.94)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.9, 0.94, 0.98])
