"""A Gaussian beam: its width, its area, and what it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import UsageError
from skyloom.instruments.radio.beam import SIGMA, beam_area, beam_margin, convolved


def test_a_point_becomes_the_beam():
    point = np.zeros((48, 48))
    point[24, 24] = 1.0
    r = np.hypot(*np.meshgrid(np.arange(48) - 24, np.arange(48) - 24))
    beam = np.exp(-4 * np.log(2) * (r / 6.0) ** 2)
    np.testing.assert_allclose(convolved(point, 6.0, periodic=True) * beam_area(6.0), beam, atol=1e-6)
    assert beam.sum() == pytest.approx(beam_area(6.0), rel=1e-9)


def test_two_beams_are_one_of_the_root_of_their_squares():
    maps = np.random.default_rng(0).normal(size=(2, 32, 32))
    twice = convolved(convolved(maps, 3.0, periodic=True), 4.0, periodic=True)
    np.testing.assert_allclose(twice, convolved(maps, 5.0, periodic=True), atol=1e-12)


def test_open_edges_lose_what_is_carried_over_them_and_nothing_comes_back():
    edge = np.zeros((32, 32))
    edge[:, 0] = 1.0
    lost = convolved(edge, 8.0, periodic=False)
    # The middle row of a line at the edge: half of it and its own column stay.
    profile = np.exp(-0.5 * (np.arange(32) / (8 * SIGMA)) ** 2) / (np.sqrt(2 * np.pi) * 8 * SIGMA)
    np.testing.assert_allclose(lost[16], profile, atol=1e-5)
    margin = beam_margin(8.0)
    grown = convolved(np.pad(edge, margin), 8.0, periodic=False)
    assert grown.sum() == pytest.approx(32.0, rel=1e-8)


def test_no_width_is_refused():
    with pytest.raises(UsageError, match="beam is 0 pixels wide"):
        convolved(np.zeros((4, 4)), 0, periodic=True)
