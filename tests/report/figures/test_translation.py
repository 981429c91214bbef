"""Figures of translated maps: shared scales, the ideal line, the truth first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from skyloom.report.artefacts import Judged, Score
from skyloom.report.figures.translation import Triplet, against_ideal, pixel_values, triplets
from skyloom.report.sections.translation import _verdict


def test_truth_and_translation_share_a_scale_and_the_difference_is_centred():
    truth = np.linspace(0.0, 10.0, 400).reshape(20, 20)
    rows = [Triplet("one", truth, truth, truth / 2), Triplet("two", truth, truth + 10, truth)]
    axes = triplets(rows, Figure(), given="density", wanted="E_c")
    images = [ax.get_images()[0] for ax in axes]
    assert len(images) == 8
    limits = {images[place].get_clim() for place in (1, 2, 5, 6)}
    assert len(limits) == 1
    low, high = limits.pop()
    assert 0 <= low < 0.2 and 19.8 < high <= 20
    for place, row in ((3, rows[0]), (7, rows[1])):
        shown = images[place]
        np.testing.assert_allclose(np.asarray(shown.get_array()), row.translated - row.truth)
        assert shown.get_clim() == (-(high - low), high - low)


def test_curves_stand_beside_the_line_of_a_perfect_translation():
    ax = Figure().add_subplot()
    curves = {"network": (np.full(4, 0.8), np.full(4, 0.1)), "pixels": (np.full(4, 0.2), np.full(4, 0.1))}
    against_ideal(np.arange(1.0, 5.0), curves, ax, x_label="k", y_label="r")
    assert [float(line.get_ydata()[0]) for line in ax.lines] == [1.0, 0.8, 0.2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["truth", "network", "pixels"]


def test_empty_bins_are_gaps():
    ax = Figure().add_subplot()
    pixel_values(
        np.arange(3.0), {"truth": np.ones(3), "translated": np.array([0.0, 2.0, 0.0])}, ax, x_label="E"
    )
    assert np.isnan(ax.lines[1].get_ydata()).tolist() == [True, False, True]


def judged(r2: tuple[float, float], skill: tuple[float, float]) -> Judged:
    scores = {name: Score(sum(ends) / 2, *ends) for name, ends in (("r2", r2), ("skill", skill))}
    return Judged("E_c", "", scores, {}, {})


def test_the_verdict_follows_from_the_intervals_alone():
    assert "Skill is shown" in _verdict(judged((0.1, 0.3), (0.05, 0.2)))
    assert "not better than pixel by pixel" in _verdict(judged((0.1, 0.3), (-0.05, 0.2)))
    assert "No skill is shown" in _verdict(judged((-0.1, 0.3), (0.05, 0.2)))
    nan = float("nan")
    assert "cannot be said" in _verdict(judged((nan, nan), (nan, nan)))
