"""Sections: the arithmetic between artefacts and what is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from skyloom.report.artefacts import Artefacts
from skyloom.report.page import Gallery, Missing, Table
from skyloom.report.sections.errors import coverage_curve, error_bars
from skyloom.report.sections.evidence import data_and_split
from skyloom.report.sections.explanations import explanations
from skyloom.report.sections.results import baselines, predictions, side_by_side
from skyloom.report.sections.training import scores_by_side, training
from skyloom.runs import RunFolder

Maker = Callable[..., RunFolder]
PAIR = ("sample", "parameter")


def test_the_coverage_curve_of_right_errors_is_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((20000, 1))
    values = {"truth": (PAIR, truth), "mean": (PAIR, np.zeros_like(truth)), "sd": (PAIR, np.ones_like(truth))}
    level, share = coverage_curve(xr.Dataset(values, coords={"parameter": ["x"]}), "x")
    # Five standard errors of a share of 20000 independent maps.
    assert np.abs(share - level).max() < 5 * np.sqrt(0.25 / 20000)


def test_the_coverage_curve_from_draws_agrees_with_that_from_sd() -> None:
    rng = np.random.default_rng(1)
    truth = 2.0 * rng.standard_normal((4000, 1))
    bare = {"truth": (PAIR, truth), "mean": (PAIR, np.zeros_like(truth))}
    coords = {"parameter": ["x"]}
    samples = (("sample", "draw", "parameter"), rng.standard_normal((4000, 200, 1)))
    _, from_draws = coverage_curve(xr.Dataset(bare | {"samples": samples}, coords=coords), "x")
    _, from_sd = coverage_curve(xr.Dataset(bare | {"sd": (PAIR, np.ones_like(truth))}, coords=coords), "x")
    # 200 draws place a quantile to a few hundredths.
    assert np.abs(from_draws - from_sd).max() < 0.04
    # Errors are twice as large as said: 68 % bars hold P(|N| < 0.994 / 2) = 38 %.
    assert from_sd[67] == pytest.approx(0.38, abs=0.03)


def test_without_errors_there_is_no_curve() -> None:
    assert coverage_curve(xr.Dataset({"truth": (PAIR, [[1.0]])}, coords={"parameter": ["x"]}), "x") is None


def test_epoch_means_stand_for_single_steps() -> None:
    nan = np.nan
    log = {
        "step": np.array([1.0, 2.0, 2.0, 3.0, 4.0, 4.0]),
        "epoch": np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]),
        "train/loss": np.array([9.0, 8.0, nan, 7.0, 6.0, nan]),
        "train/loss_epoch": np.array([nan, nan, 8.5, nan, nan, 6.5]),
        "lr": np.array([0.1, 0.2, nan, 0.3, 0.4, nan]),
        "seconds": np.arange(6.0),
    }
    curves = scores_by_side(log)
    assert list(curves) == ["loss", "lr"]
    assert [part.tolist() for part in curves["loss"]["train"]] == [[1.0, 2.0], [8.5, 6.5]]
    assert [part.tolist() for part in curves["lr"]["lr"]] == [[0.5, 1.0, 1.5, 2.0], [0.1, 0.2, 0.3, 0.4]]


def test_a_log_without_epochs_counts_steps() -> None:
    curves = scores_by_side({"step": np.array([3.0, 6.0]), "loss": np.array([1.0, 0.5])})
    assert curves["loss"]["loss"][0].tolist() == [3.0, 6.0]


def test_the_best_baseline_is_named_with_what_the_network_adds(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a"})

    def score(value: float) -> dict:
        return {"r2": {"value": value, "low": value - 0.01, "high": value + 0.01}}

    entry = {
        "unit": "",
        "scores": score(0.95),
        "baselines": {"mean": score(0.1), "spectrum": score(0.8)},
        "floors": {},
    }
    run.write_json("evaluate/test/metrics.json", {"side": "test", "parameters": {"x_HI": entry}})
    texts = [block.text for block in baselines(Artefacts(run.path)).blocks if block.kind == "text"]
    # 1 - 0.05 / 0.20 = 75 % of the variance that the spectrum leaves.
    assert "spectrum (R² 0.800); the network removes 75 % of the variance" in texts[0]


def test_a_network_above_the_label_noise_ceiling_is_explained(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a"})
    scores, ceiling = ({"r2": {"value": value, "low": None, "high": None}} for value in (0.96, 0.95))
    for name, above in (("above", True), ("below", False)):
        own, floor = (scores, ceiling) if above else (ceiling, scores)
        entry = {"unit": "", "scores": own, "baselines": {}, "floors": {"label_noise": floor}}
        run.write_json("evaluate/test/metrics.json", {"side": "test", "parameters": {name: entry}})
        texts = [block.text for block in baselines(Artefacts(run.path)).blocks if block.kind == "text"]
        assert any("stands above the label-noise ceiling" in text for text in texts) == above


def test_a_variant_shows_only_what_differs(tmp_path: Path) -> None:
    split = {"by": "group", "fractions": {"train": 0.8, "test": 0.2}, "seed": 1}
    changed = {"split": split | {"by": "sample", "leaky": True}, "train.ema": 0.99}
    run = RunFolder.create(tmp_path / "a", {"name": "a", "split": split, "variants": {"seen": changed}})
    other = RunFolder.create(run.path / "variants/seen", {"name": "a"})
    card = {"side": "test", "groups": 2, "samples": 4, "parameters": {}}
    for folder in (run, other):
        folder.write_json("evaluate/test/metrics.json", card)
    section = side_by_side(Artefacts(run.path))
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    differs = "<code>split: sample, leaky true</code><br><code>train.ema: 0.99</code>"
    assert [row.cells[1] for row in table.rows] == ["", differs]


def test_the_repair_is_told_as_a_stretch(small_run: RunFolder) -> None:
    fitted = small_run.read_json("calibration.json")
    table = next(block for block in error_bars(Artefacts(small_run.path)).blocks if isinstance(block, Table))
    # The 68 % interval of a normal distribution is 0.9945 sd to each side.
    assert table.rows[0].cells[3] == f"{fitted['q'][0][0] / 0.99446:.3f}"


def test_train_simulations_are_counted_from_the_statistics(small_run: RunFolder) -> None:
    table = next(
        block for block in data_and_split(Artefacts(small_run.path)).blocks if isinstance(block, Table)
    )
    assert [list(row.cells) for row in table.rows] == [
        ["train", "216", "9", "–"],
        ["validation", "72", "3", "1"],
        ["test", "72", "3", "1"],
    ]


def test_a_recipe_without_variants_has_no_such_section(small_run: RunFolder) -> None:
    assert side_by_side(Artefacts(small_run.path)) is None


def test_two_parameters_give_two_figures_of_each_kind(make_run: Maker, tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", groups=2, names=["x_HI", "ION_Tvir_MIN"])
    gallery = next(block for block in predictions(Artefacts(run.path)).blocks if isinstance(block, Gallery))
    names = [f"{kind}-{name}" for kind in ("truth", "redshift") for name in ("x_HI", "ION_Tvir_MIN")]
    assert [plate.name for plate in gallery.plates] == names


def test_sections_say_what_is_missing(tmp_path: Path) -> None:
    run = Artefacts(RunFolder.create(tmp_path / "a", {"name": "a"}).path)
    for make in (predictions, baselines, error_bars, explanations, data_and_split, training):
        blocks = make(run).blocks
        assert any(isinstance(block, Missing) and block.command.startswith("skyloom ") for block in blocks)
        assert not any(isinstance(block, Gallery) for block in blocks)
