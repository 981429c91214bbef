"""The page that compares runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyloom import api
from skyloom.report.artefacts import Artefacts
from skyloom.report.comparison import build_comparison
from skyloom.report.page import Table
from skyloom.report.sections.compared import recipes, scores, training
from skyloom.report.sections.transfer import matrices, of_several
from skyloom.runs import RunFolder, transfers

Maker = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def runs(make_run: Maker, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on the same maps and a leaky one."""
    home = tmp_path_factory.mktemp("compared")
    method = {"name": "moments", "net": {"name": "resnet", "width": 8}}
    return [
        make_run(home / "good", groups=3).path,
        make_run(home / "worse", groups=3, error=0.5, method=method).path,
        make_run(home / "leaky", groups=3, leaky=True).path,
    ]


def named(runs: list[Path]) -> dict[str, Artefacts]:
    return {path.name: Artefacts(path) for path in runs}


def test_the_page_has_every_section_and_says_what_leaks(runs: list[Path], tmp_path: Path) -> None:
    page = api.comparison(runs, tmp_path / "compare.html").read_text(encoding="utf-8")
    for key in ("scores", "differences", "recipes", "training", "predictions"):
        assert f'<section id="{key}"' in page
    assert "Marked as leaky: leaky." in page
    figures = {path.stem for path in (tmp_path / "compare-figures").glob("*.pdf")}
    wanted = {"scores-x_HI", "training-loss", "truth-x_HI-good", "truth-x_HI-worse", "truth-x_HI-leaky"}
    assert wanted <= figures
    # All three were judged on the same 72 maps of three simulations.
    assert page.count("72 maps of 3 simulations in both, of 72 and 72") == 2


def test_other_suites_stand_side_by_side(runs: list[Path]) -> None:
    assert of_several(named(runs)) is None
    members = []
    for path in runs[:2]:
        run = RunFolder.open(path)
        card = run.read_json("evaluate/test/metrics.json")
        members.append(transfers.Tested(path.name, "here", False, {"here": card, "there": card}))
    blocks = matrices(members, ["here", "there"])
    table = blocks[1]
    assert isinstance(table, Table)
    assert table.columns == ["run", "trained on", "tested on here", "tested on there"]
    assert [str(row.cells[0]) for row in table.rows] == ["good", "worse"]
    assert str(table.rows[1].cells[2]) == str(table.rows[1].cells[3]) != str(table.rows[0].cells[2])


def test_only_keys_that_differ_are_shown(runs: list[Path]) -> None:
    (table,) = recipes(named(runs)).blocks
    assert isinstance(table, Table)
    rows = [[str(cell) for cell in row.cells] for row in table.rows]
    code = "<code>{}</code>".format
    assert rows == [[code("method.net.width"), code("32"), code("8"), code("32")]]


def test_scores_stand_with_the_limit_of_each_run(runs: list[Path]) -> None:
    table = scores(named(runs)).blocks[-1]
    assert isinstance(table, Table)
    assert [row.mark for row in table.rows] == ["", "ceiling", "", "ceiling", "leaky", "ceiling"]
    value = named(runs)["worse"].judged("test")[0].scores["r2"].value
    assert f"{value:.3f}" in str(table.rows[2].cells[2])


def test_runs_without_anything_are_compared_in_words(tmp_path: Path) -> None:
    bare = [RunFolder.create(tmp_path / name, {"name": name}).path for name in ("a", "b")]
    page = build_comparison(bare, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "The run <b>a</b> has no scores." in page
    assert "The recipes are the same." in page
    assert training(named(bare)) is None
