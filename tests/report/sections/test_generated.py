"""The page of a scorecard holds its numbers and verdicts, and draws what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from skyloom.evaluate.generated import judge, judge_pairs
from skyloom.fields import example
from skyloom.report.figures.generated import Mark, curve_beside, ladder
from skyloom.report.figures.statistics import Band
from skyloom.report.scorecards import build_scorecard
from skyloom.runs import read_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    real, generated, train = (example(groups=12, seed=s) for s in (0, 1, 2))
    train = train.assign_coords(group=("sample", np.char.add("t", train["group"].values)))
    statistics = ["pdf", {"name": "power_spectrum", "bins": 4}]
    card = judge(
        real,
        generated,
        train=train,
        statistics=statistics,
        network=False,
        splits=3,
        baselines=["shuffled"],
        seconds_per_sample=0.002,
    )
    return card.write(tmp_path_factory.mktemp("card"))


def test_page_shows_every_score_and_asks_for_nothing(folder):
    page = build_scorecard(folder).read_text()
    card = read_json(folder / "scorecard.json")
    text = re.sub(r"<[^>]+>", " ", page)
    for row in card["rows"]:
        assert f"{abs(row['generated']['value']):.1f}" in text, row["key"]
    passed = sum(row["real"] for row in card["rows"])
    assert f"By {passed} of {len(card['rows'])} scores" in text
    assert "A sample takes 2 ms" in text and "The training set was not given" not in text
    assert "no copies" in text
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    drawn = {path.name for path in (folder / "figures").glob("*.png")}
    assert "ladder.png" in drawn and "curve-T_b.power_spectrum.power.png" in drawn


def test_page_of_pairs(tmp_path):
    ds = example()
    other = ds.assign(T_b=(ds["T_b"].dims, 0.5 * ds["T_b"].values, ds["T_b"].attrs))
    page = build_scorecard(judge_pairs(ds, other, bootstrap=50).write(tmp_path)).read_text()
    # Half the field is half the total and a quarter of the power.
    assert re.search("<b>0.50+</b>", page) and re.search("<b>0.250+</b>", page)
    assert "flatters it" in page


def test_ladder_puts_marks_where_the_scores_are():
    mark = Mark("P(k)", 0.3, 0.2, 0.4, (0.1, 0.35), {"shuffled": 5.0})
    ax = ladder([mark], Figure().add_subplot(), x_label="error [σ]")
    drawn = [np.atleast_1d(line.get_xdata()).tolist() for line in ax.lines]
    assert [0.1, 0.35] in drawn and [5.0] in drawn and [0.2, 0.4] in drawn and [0.3] in drawn
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "error [σ]"


def test_difference_is_counted_in_spreads_of_the_real_one():
    upper, lower = Figure().subplots(2)
    bands = {
        "real": Band(np.full(3, 2.0), np.full(3, 0.5)),
        "generated": Band(np.full(3, 3.0), np.full(3, 9.0)),
    }
    curve_beside(np.arange(1.0, 4.0), bands, upper, lower, x_label="k", y_label="P")
    assert lower.lines[-1].get_ydata() == pytest.approx([2.0, 2.0, 2.0])
