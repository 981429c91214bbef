"""The card says what the run folder holds, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from skyloom.errors import DataError
from skyloom.runs import RunFolder, card

RECIPE = {
    "name": "neutral-fraction",
    "data": {
        "source": {"name": "shipped", "set": "reionisation-21cmfast", "path": None},
        "fields": {"T_b": []},
    },
    "split": {"by": "group"},
    "task": {"name": "infer", "parameters": ["x_HI", "HII_EFF_FACTOR"]},
    "method": {"name": "moments", "net": {"name": "resnet", "width": 32}},
}
METRICS = {
    "samples": 240,
    "groups": 12,
    "parameters": {
        "x_HI": {
            "unit": "",
            "scores": {
                "r2": {"value": 0.98123, "low": 0.97, "high": 0.9887, "effective": 31.2},
                "coverage_68": {"value": 0.7, "low": 0.6, "high": 0.8},
                "bias": {"value": None, "low": None, "high": None},
            },
            "baselines": {"mean": {"r2": {"value": -0.01, "low": None, "high": None}}},
        },
        "R_BUBBLE_MAX": {"unit": "Mpc", "scores": {"rmse": 2.5}, "baselines": {}},
    },
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "run", RECIPE)
    run.mark("started")
    run.mark("trained")
    return run


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_a_run_without_results_says_so(run: RunFolder) -> None:
    text = card(run.path)
    assert "The test side has not been evaluated." in text
    assert "audit: **none was made**" in text
    assert "not measured, so its error bars, if any, are not to be trusted" in text
    assert "Leaky" not in text


def test_the_head_is_yaml_for_the_hub(run: RunFolder) -> None:
    head = yaml.safe_load(card(run).split("---\n")[1])
    assert head["library_name"] == "skyloom"
    assert {"infer", "moments"} <= set(head["tags"])


def test_scores_stand_beside_baselines_with_intervals(run: RunFolder) -> None:
    run.write_json("evaluate/test/metrics.json", METRICS)
    run.look("test")
    text = card(run)
    assert "On the test side: 240 maps of 12 simulations, looked at 1 time." in text
    assert "The validation side has not been evaluated." in text
    assert rows(text) == [
        ["parameter", "score", "this network", "worth independent maps", "baseline mean"],
        ["---"] * 5,
        ["`x_HI`", "r2", "0.9812 [0.97, 0.9887]", "31", "-0.01"],
        ["`x_HI`", "coverage_68", "0.7 [0.6, 0.8]", "–", "–"],
        ["`x_HI`", "bias", "–", "–", "–"],
        ["`R_BUBBLE_MAX` [Mpc]", "rmse", "2.5", "–", "–"],
    ]
    assert "inside the error bars: `x_HI` 68 %: 0.7 [0.6, 0.8]." in text


def test_purpose_data_and_provenance_are_told(run: RunFolder) -> None:
    run.record(inputs=[{"path": "a.h5", "sha256": "0f"}], seeds={"train": 0})
    run.write_json(
        "split.json", {"leaky": False, "sides": {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}}
    )
    run.write_text("audit.txt", "")
    text = card(run)
    assert (
        "Task `infer` of `x_HI`, `HII_EFF_FACTOR` from maps of `T_b`, learnt by the method `moments` "
        "with the network `resnet`." in text
    )
    assert "- source: `shipped` (set=reionisation-21cmfast)" in text
    assert "- input `a.h5`, sha256 `0f`" in text
    assert "- split by group: train 2 maps, validation 1 maps, test 1 maps" in text
    assert "- seeds: train 0" in text
    assert "status trained" in text
    assert 'skyloom.load_run("run")' in text


@pytest.mark.parametrize("where", ["recipe", "split.json"])
def test_a_leaky_run_is_marked_at_the_top(tmp_path: Path, where: str) -> None:
    split = {"by": "sample", "leaky": where == "recipe"}
    run = RunFolder.create(tmp_path / "run", {**RECIPE, "split": split})
    if where == "split.json":
        run.write_json("split.json", {"leaky": True, "sides": {}})
    text = card(run)
    assert text.index("**Leaky split") < text.index("## What it does")
    assert "- Its scores are of boxes that it has seen." in text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks recipe.yaml, provenance.json"):
        card(tmp_path)
