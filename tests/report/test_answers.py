"""The first screen: numbers from metrics.json, verdicts from intervals, words where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyloom.report.answers import Opening, looks, opening, population, question
from skyloom.report.artefacts import Artefacts
from skyloom.report.page import number
from skyloom.runs import RunFolder

Maker = Callable[..., RunFolder]


def metrics(**scores: tuple[float, float, float]) -> dict:
    """A scorecard of one parameter."""
    named = {
        name: dict(zip(("value", "low", "high"), bounds, strict=True)) for name, bounds in scores.items()
    }
    baselines = {
        "mean": {"r2": {"value": 0.1, "low": 0.0, "high": 0.2}},
        "spectrum": {"r2": {"value": 0.6, "low": 0.5, "high": 0.7}},
    }
    floors = {"label_noise": {"r2": {"value": 0.98, "low": 0.97, "high": 0.99}}}
    entry = {"unit": "", "scores": named, "baselines": baselines, "floors": floors}
    return {"side": "test", "samples": 96, "groups": 12, "leaky": False, "parameters": {"x_HI": entry}}


def first_screen(path: Path, **scores: tuple[float, float, float]) -> Opening:
    run = RunFolder.create(path / "a", {"name": "a"})
    run.write_json("evaluate/test/metrics.json", metrics(**scores))
    return opening(Artefacts(run.path))


def test_the_network_stands_first_then_the_ceiling_then_the_best_baseline(tmp_path: Path) -> None:
    result = first_screen(tmp_path, r2=(0.97, 0.96, 0.98)).results[0]
    assert [line.label for line in result.lines] == ["network", "ceiling: label noise", "spectrum", "mean"]
    assert (result.value, result.interval) == ("0.970", "[0.960, 0.980]")


@pytest.mark.parametrize(
    ("bounds", "verdict", "good"),
    [
        ((0.66, 0.60, 0.72), "holds", True),
        ((0.40, 0.35, 0.45), "bars too narrow", False),
        ((0.90, 0.85, 0.95), "bars too wide", False),
        ((0.66, float("nan"), float("nan")), "no interval", None),
    ],
)
def test_the_verdict_on_error_bars(tmp_path: Path, bounds, verdict: str, good: bool | None) -> None:
    held = first_screen(tmp_path, r2=(0.9, 0.8, 0.95), coverage_68=bounds).coverage[0]
    assert (held.verdict, held.good, held.nominal) == (verdict, good, "68 %")


def test_without_error_bars_the_page_says_so(tmp_path: Path) -> None:
    missing = first_screen(tmp_path, r2=(0.9, 0.8, 0.95)).missing
    assert "no error bars" in missing[0].what


def test_an_unevaluated_run_names_the_command(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a"})
    found = opening(Artefacts(run.path))
    assert found.missing[0].command == f"skyloom evaluate {run.path}"
    assert found.split_good is None
    assert population(Artefacts(run.path)) == ""


def test_a_claim_without_an_audit_is_not_called_clean(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a"})
    sides = {"train": ["a", "b", "c"], "validation": ["d"], "test": ["e"]}
    run.write_json("split.json", {"by": "group", "leaky": False, "sides": sides})
    assert opening(Artefacts(run.path)).split_good is None
    run.write_text("audit.txt", "clean")
    clean = opening(Artefacts(run.path))
    assert clean.split_good is True
    assert "3 / 1 / 1 maps" in clean.split
    run.write_json("split.json", {"by": "sample", "leaky": True, "sides": sides})
    assert opening(Artefacts(run.path)).split_good is False


@pytest.mark.parametrize(
    ("times", "said"), [(None, "not counted"), (0, "never"), (1, "once"), (2, "2 times"), (9, "fitted to it")]
)
def test_looks_are_told(tmp_path: Path, times: int | None, said: str) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a"})
    if times is not None:
        run.write_json("looks.json", {"test": ["t"] * times})
    assert said in looks(Artefacts(run.path))


def test_simulations_and_maps_are_counted(small_run: RunFolder) -> None:
    assert population(Artefacts(small_run.path)) == "72 maps of <b>3 unseen simulations</b> (test side)"


def test_the_numbers_are_those_of_the_scorecard(make_run: Maker, tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", groups=4, names=["x_HI", "ION_Tvir_MIN"])
    card = run.read_json("evaluate/test/metrics.json")
    for result, entry in zip(opening(Artefacts(run.path)).results, card["parameters"].values(), strict=True):
        assert result.value == number(entry["scores"]["r2"]["value"], 3)


def test_a_question_is_asked_of_any_recipe() -> None:
    assert question({}) == "What is ?, given a map of the field?"
    fields = {"B": ["remove_mean"], "rho": [{"name": "log10"}]}
    recipe = {"task": {"name": "infer", "parameters": ["a", "b", "c"]}, "data": {"fields": fields}}
    plain = question(recipe).replace("<i>", "").replace("</i>", "")
    assert plain == "What are a, b and c, given a map of B and ρ, its mean removed?"
