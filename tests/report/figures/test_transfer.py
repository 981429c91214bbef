"""The matrix of suites: numbers as given, colours centred where there is a sign, own suites framed."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from skyloom.report.figures.transfer import score_matrix

VALUES = np.array([[0.997, -2.5], [np.nan, 0.4]])


def drawn(**options):
    return score_matrix(VALUES, ["this run", "other"], ["real", "toy"], Figure().add_subplot(), **options)


def test_scores_are_written_and_clipped_to_the_scale():
    ax = drawn(title="R²")
    assert [text.get_text() for text in ax.texts] == ["0.997", "−2.500", "–", "0.400"]
    (image,) = ax.images
    assert image.get_clim() == (0.0, 1.0)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["this run", "other"]


def test_signed_scores_are_centred_on_zero():
    (image,) = drawn(signed=True).images
    assert image.get_clim() == (-2.5, 2.5)
    red, _, blue, _ = image.to_rgba(np.array(0.0))
    assert abs(red - blue) < 0.02


def test_letters_stand_out_from_their_square_and_own_suites_are_framed():
    ax = drawn(own=[0, 1])
    (image,) = ax.images
    for value, text in zip(VALUES.ravel(), ax.texts, strict=True):
        if np.isfinite(value):
            square = np.mean(image.to_rgba(np.array(value))[:3])
            assert abs(np.mean(to_rgb(text.get_color())) - square) > 0.3
    frames = [patch.get_xy() for patch in ax.patches if isinstance(patch, Rectangle)]
    assert frames == [(-0.5, -0.5), (0.5, 0.5)]
