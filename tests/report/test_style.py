"""Editions, symbols, and the mark of a leaky split on the figure itself."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from skyloom.report.style import Plate, draw, edition, grey, shades, symbol, unit_text


def fill(figure: Figure) -> None:
    figure.add_subplot().plot([0, 1], [0, 1], label=symbol("x_HI"))


PLATE = Plate("a", fill, "alt", "caption", size=(2.0, 1.5))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float)


def test_equal_plates_give_equal_bytes() -> None:
    first, second = draw(PLATE), draw(PLATE)
    assert (first.light, first.dark, first.pdf) == (second.light, second.dark, second.pdf)


def test_editions_differ_in_paper_and_agree_in_size() -> None:
    drawn = draw(PLATE)
    light, dark = pixels(drawn.light), pixels(drawn.dark)
    assert light.shape == dark.shape == (300, 400, 3)
    assert light[0, 0].mean() == 255
    assert dark[0, 0].mean() < 40


def test_a_leaky_split_is_written_on_the_figure() -> None:
    clean, leaky = pixels(draw(PLATE).light), pixels(draw(PLATE, leaky=True).light)
    orange = np.array([0xD5, 0x5E, 0x00])
    assert (np.abs(leaky - orange).max(axis=2) < 3).sum() > 1000
    assert (np.abs(clean - orange).max(axis=2) < 3).sum() == 0
    assert leaky.shape[0] - clean.shape[0] == 40  # a strip of 0.2 inch at 200 dots an inch


def test_drawing_leaves_the_settings_as_they_were() -> None:
    before = dict(mpl.rcParams)
    draw(PLATE)
    assert dict(mpl.rcParams) == before


def test_no_colour_of_a_map_vanishes_on_its_paper() -> None:
    for name in ("light", "dark"):
        with edition(name):
            paper = np.array(grey(0.0)).mean()
            assert all(abs(np.mean(shades()(x)[:3]) - paper) > 0.1 for x in np.linspace(0, 1, 11))


@pytest.mark.parametrize("name", ["x_HI", "Omega_m", "sigma_8", "a b$c", "A_SN1", "R_BUBBLE_MAX", "x_^{", ""])
def test_any_name_can_be_drawn(name: str) -> None:
    figure = Figure()
    figure.text(0.5, 0.5, symbol(name) + unit_text("km / s") + unit_text("dex(K)") + unit_text(""))
    figure.draw_without_rendering()
