"""Reading a run folder: absent is None, damaged is an error that names the file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from skyloom.errors import DataError
from skyloom.report.artefacts import Artefacts, Score, summary
from skyloom.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run in which nothing but the recipe was written."""
    return RunFolder.create(tmp_path / "a", {"name": "a", "variants": {"late": {}, "early": {}}})


def test_what_is_absent_is_none(run: RunFolder) -> None:
    found = Artefacts(run.path)
    nothing = [found.split, found.audit, found.timing, found.looks, found.calibration, found.log, found.side]
    nothing += [
        found.metrics("test"),
        found.prediction("test"),
        found.statistics("test"),
        found.metrics(None),
    ]
    assert nothing == [None] * len(nothing)
    assert found.explanations == {} == found.variants
    assert found.judged("test") == []
    assert not found.leaky


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run folder"):
        Artefacts(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("evaluate/test/metrics.json", lambda a: a.metrics("test")),
        ("evaluate/test/predictions.nc", lambda a: a.prediction("test")),
        ("split.json", lambda a: a.split),
        ("explain/smooth.nc", lambda a: a.explanations),
    ],
)
@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"\x89HDF\r\n\x1a\n and no more"])
def test_a_damaged_file_is_named(run: RunFolder, name: str, read, content: bytes) -> None:
    run.write_bytes(name, content)
    with pytest.raises(DataError, match=name.rpartition("/")[2]):
        read(Artefacts(run.path))


def test_the_test_side_is_preferred(run: RunFolder) -> None:
    run.write_json("evaluate/validation/metrics.json", {"side": "validation", "parameters": {}})
    assert Artefacts(run.path).side == "validation"
    run.write_json("evaluate/test/metrics.json", {"side": "test", "parameters": {}})
    assert Artefacts(run.path).side == "test"


@pytest.mark.parametrize(
    "name", ["split.json", "evaluate/test/metrics.json", "evaluate/validation/metrics.json"]
)
def test_one_word_of_a_leak_is_enough(run: RunFolder, name: str) -> None:
    run.write_json(name, {"leaky": True})
    assert Artefacts(run.path).leaky


def test_variants_stand_in_the_order_of_the_recipe(run: RunFolder) -> None:
    for name in ("early", "another", "late"):
        RunFolder.create(run.path / "variants" / name, {"name": name})
    assert list(Artefacts(run.path).variants) == ["late", "early", "another"]


def test_the_log_keeps_gaps(run: RunFolder) -> None:
    run.write_text("log.csv", "step,train/loss,validation/loss\n1,0.5,\n2,,0.25\n")
    log = Artefacts(run.path).log
    assert log is not None
    np.testing.assert_array_equal(log["train/loss"], [0.5, np.nan])
    np.testing.assert_array_equal(log["validation/loss"], [np.nan, 0.25])
    run.write_text("log.csv", "step,train/loss\n")
    assert Artefacts(run.path).log is None


def test_scores_of_several_seeds_are_their_mean() -> None:
    spread = {"values": [0.9, None], "mean": 0.95, "low": 0.8, "high": 0.99}
    score = Score.read({"value": 0.9, "low": 0.7, "high": 0.97, "seeds": spread})
    assert score is not None
    assert (score.value, score.low, score.high) == (0.95, 0.8, 0.99)
    assert score.seeds[0] == 0.9
    assert math.isnan(score.seeds[1])


@pytest.mark.parametrize("node", [None, {}, {"value": None, "low": 0.1, "high": 0.2}])
def test_an_undefined_score_is_none(node: dict | None) -> None:
    assert Score.read(node) is None


def test_a_nominal_value_holds_inside_the_closed_interval() -> None:
    score = Score(0.66, 0.6, 0.68)
    assert [score.holds(nominal) for nominal in (0.6, 0.68, 0.69)] == [True, True, False]
    assert Score(0.66).holds(0.68) is None


def test_a_summary_that_is_absent_is_empty(run: RunFolder) -> None:
    import xarray as xr

    assert summary(xr.Dataset()) == {}
    assert summary(xr.Dataset(attrs={"summary": "[1]"})) == {}
