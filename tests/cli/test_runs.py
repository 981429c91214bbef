"""Verbs on runs: what they ask of the API and what they print."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Command = Callable[..., Result]
METRICS = {
    "side": "test",
    "samples": 48,
    "groups": 6,
    "leaky": False,
    "parameters": {
        "x_HI": {
            "unit": "",
            "scores": {"r2": {"value": 0.98765, "low": 0.97, "high": 0.99}, "rmse": {"value": 0.0251}},
            "baselines": {"mean": {"r2": {"value": -0.01}, "rmse": 0.3}},
        }
    },
}


def test_run_ends_with_the_table_and_the_page(
    api: Any, recipes: list[Any], here: Path, skyloom_command: Command
) -> None:
    api.answers = {
        "run": Path("runs/tiny"),
        "headline": [("run", "R²"), ("seen boxes", "0.99"), ("unseen simulations", "0.98")],
    }
    done = skyloom_command("run", "tiny.yaml", "--set", "train.epochs=3", "--set", "name=tiny", "--quiet")
    assert done.exit_code == 0
    assert recipes == [("tiny.yaml", ("train.epochs=3", "name=tiny"))]
    (name, given, options), headline = api.calls
    assert (name, given[0].name, given[1]) == ("run", "tiny", Path("runs/tiny"))
    assert options == {"resume": False, "force": False, "progress": "quiet"}
    assert headline == ("headline", (Path("runs/tiny"),), {})
    lines = done.stdout.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["seen", "boxes", "0.99"],
        ["unseen", "simulations", "0.98"],
    ]
    assert lines[-1].split() == ["report", "runs/tiny/report.html"]


def test_train_goes_where_it_is_told(
    api: Any, recipes: list[Any], here: Path, skyloom_command: Command
) -> None:
    api.answers = {"train": Path("elsewhere")}
    assert skyloom_command("train", "tiny.yaml", "--out", "elsewhere", "--resume").exit_code == 0
    assert api.calls[0][1][1] == Path("elsewhere")
    options = api.calls[0][2]
    options.pop("making")(1, 2)
    assert options == {"resume": True, "force": False, "progress": None}


def test_the_folder_of_a_run_is_a_recipe(
    api: Any, recipes: list[Any], here: Path, skyloom_command: Command
) -> None:
    api.answers = {"train": Path("runs/first")}
    assert skyloom_command("train", "runs/first", "--resume").exit_code == 0
    assert recipes == [("runs/first/recipe.yaml", ())]
    assert api.calls[0][1][1] == Path("runs/first")


def test_split_prints_the_audit(api: Any, recipes: list[Any], skyloom_command: Command) -> None:
    api.answers = {"split": types.SimpleNamespace(text=lambda: "groups are disjoint [ok]")}
    assert skyloom_command("split", "tiny").stdout == "groups are disjoint [ok]\n"
    api.calls[0][2]["progress"](1, 2)


@pytest.mark.parametrize("leaky", [False, True])
def test_evaluate_prints_scores_with_intervals_and_baselines(
    leaky: bool, api: Any, here: Path, skyloom_command: Command
) -> None:
    api.answers = {"evaluate": {**METRICS, "leaky": leaky}}
    done = skyloom_command("evaluate", "first")
    assert api.calls == [("evaluate", (Path("runs/first"),), {"side": "test"})]
    assert done.stdout.startswith("test side: 48 samples of 6 groups")
    assert ("LEAKY" in done.stdout) is leaky
    network, mean = done.stdout.splitlines()[3:]
    assert network.split() == ["x_HI", "network", "0.988", "[0.970,", "0.990]", "0.025"]
    assert mean.split() == ["mean", "-0.010", "0.300"]


def test_verbs_on_one_run(api: Any, here: Path, skyloom_command: Command) -> None:
    api.answers = {
        "explain": [Path("runs/first/explain/smooth.nc")],
        "report": Path("runs/first/report.html"),
        "predict": Path("maps.predictions.nc"),
        "predicted": [("simulation", "bias"), ("sim0", "+0.012")],
        "doubts": "pixels of 1 Mpc, trained on 2 Mpc",
    }
    assert "explain/smooth.nc" in skyloom_command("explain", "runs/first").stdout
    assert "runs/first/report.html" in skyloom_command("report", "first").stdout
    done = skyloom_command("predict", "first", "data/maps").stdout
    assert "maps.predictions.nc" in done
    assert "+0.012" in done
    skyloom_command("predict", "first", "data/maps", "--output", "a.nc")
    first, second = Path("runs/first"), Path("data/maps")
    assert [call[:2] for call in api.calls] == [
        ("explain", (first,)),
        ("report", (first,)),
        ("predict", (first, second, Path("maps.predictions.nc"))),
        ("predicted", (Path("maps.predictions.nc"),)),
        ("doubts", (Path("maps.predictions.nc"),)),
        ("predict", (first, second, Path("a.nc"))),
        ("predicted", (Path("maps.predictions.nc"),)),
        ("doubts", (Path("maps.predictions.nc"),)),
    ]


def test_compare_shows_all_scores_of_all_runs(api: Any, here: Path, skyloom_command: Command) -> None:
    api.answers = {
        "compare": [{"run": "first", "r2": 0.5, "leaky": True}, {"run": "second", "r2": 1e-5, "seeds": 3}]
    }
    api.answers["transfer_tables"] = {}
    done = skyloom_command("compare", "first", "second")
    assert api.calls[0][1] == ([Path("runs/first"), Path("runs/second")],)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["first", "second"]
    assert lines[2:] == [["r2", "0.500", "1.00e-05"], ["leaky", "yes", "–"], ["seeds", "–", "3"]]


def test_compare_sets_training_suites_against_test_suites(
    api: Any, here: Path, skyloom_command: Command
) -> None:
    head, row = ("run", "trained on", "tested on toy"), ("first", "real", "R² 0.5\n3 % unlike")
    api.answers = {"compare": [{"run": "first", "r2": 0.5}], "transfer_tables": {"x_HI": [head, row]}}
    lines = skyloom_command("compare", "first").stdout.splitlines()
    assert lines[4] == "x_HI: training suites in rows, test suites in columns"
    assert [line.split() for line in lines[7:]] == [["first", "real", "R²", "0.5"], ["3", "%", "unlike"]]


def test_transfer_prints_the_scores_of_each_suite(api: Any, here: Path, skyloom_command: Command) -> None:
    api.answers = {"transfer": {"toy": {**METRICS, "side": "toy"}}}
    done = skyloom_command("transfer", "first").stdout
    assert done.startswith("toy side: 48 samples of 6 groups")
    assert "runs/first/transfer/toy/metrics.json" in done
    api.answers = {"transfer": {}}
    assert "names no other suite" in skyloom_command("transfer", "first").stderr
