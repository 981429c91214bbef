"""Classes through the real command line: a recipe on the shipped set, its answers, and what it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from skyloom import api
from skyloom.errors import UsageError
from skyloom.formats.shipped import Shipped

RECIPE = """\
recipe: 1
name: neutral-classes
data:
  source: {name: shipped, set: reionisation-21cmfast}
  select: {x_HI: [0.2, 0.8]}
  fields: {T_b: [remove_mean, standardise]}
split: {by: group, fractions: {train: 0.6, validation: 0.2, test: 0.2}, seed: 1}
task: {name: classify, label: x_HI, bins: [0.4, 0.6], names: [ionised, half, neutral]}
method: {name: cross_entropy, net: {name: strided_cnn, widths: [4, 8], dropout: 0.0}, label_smoothing: 0.02}
train: {epochs: 1, batch_size: 32, optimiser: {name: adamw, lr: 5e-3}, seed: 0, threads: 1}
evaluate: {baselines: [majority, {name: spectrum, degree: 1, classifier: lda}], bootstrap: 50}
explain: [{name: smooth, widths: [0, 4]}]
"""


@pytest.fixture(scope="module")
def run(run_recipe) -> tuple[Path, str]:
    """A run of the recipe, and what the command line said."""
    return run_recipe("classify", RECIPE)


@pytest.mark.slow
def test_the_end_table_names_both_accuracies_and_the_best_baseline(run):
    folder, said = run
    assert "balanced accuracy of x_HI" in said and "accuracy of x_HI" in said
    assert "best baseline: spectrum" in said and said.rstrip().endswith("report.html")
    card = json.loads((folder / "evaluate/test/metrics.json").read_text())
    entry = card["parameters"]["x_HI"]
    scores, prediction = entry["scores"], xr.open_dataset(folder / "evaluate/test/predictions.nc")
    with prediction:
        given = prediction["probability"].values.argmax(axis=1)
        right = prediction["truth"].values
        assert scores["accuracy"]["value"] == pytest.approx((given == right).mean())
        # The truth is the bin of the label, for the maps of the test side.
        edges = np.digitize(_label(prediction["sample"].values), [0.4, 0.6])
        assert right.tolist() == edges.tolist()
    # The commonest class for every map: one of three recalls is 1, the others 0.
    assert entry["baselines"]["majority"]["balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    # Even this tiny network and a spectrum tell three kinds of sky apart better than chance.
    assert scores["balanced_accuracy"]["low"] > 1 / 3
    assert entry["baselines"]["spectrum"]["accuracy"]["value"] > 0.6
    assert 1 < scores["log_loss"]["effective"] <= card["samples"]
    assert np.sum(entry["confusion"]["counts"]) == card["samples"]
    assert sum(told["samples"] for told in entry["classes"].values()) == card["samples"]
    assert entry["classes"].keys() == {"ionised", "half", "neutral"}


def _label(ids: np.ndarray) -> np.ndarray:
    ds = Shipped(set="reionisation-21cmfast").read()
    return ds["x_HI"].sel(sample=ids).values


@pytest.mark.slow
def test_page_card_and_table_tell_of_classes(run, skyloom):
    folder, _ = run
    page = (folder / "report.html").read_text()
    for text in (
        "Which is taken for which",
        "Do the probabilities hold?",
        "balanced accuracy",
        "Confusion of",
    ):
        assert text in page
    for gone in ("Do the error bars hold?</a>", "Truth against prediction", "R²"):
        assert gone not in page
    assert {"confusion-x_HI.png", "reliability-x_HI.png"} <= {p.name for p in folder.glob("figures/*.png")}
    card = (folder / "card.md").read_text()
    assert "Task `classify` of `x_HI`" in card and "| `x_HI` | one_vs_rest |" in card
    table = skyloom("evaluate", str(folder), "--side", "validation").stdout
    head = next(line for line in table.splitlines() if "network" in line)
    # "worth independent maps" may fold.
    assert head.split()[:2] == ["x_HI", "network"] and head.split()[-2:] == ["majority", "spectrum"]
    assert any(line.startswith("balanced_accuracy  ") for line in table.splitlines())
    assert any(line.startswith("ionised") for line in table.splitlines())


@pytest.mark.slow
def test_it_predicts_classes_by_name(run, skyloom, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    folder, _ = run
    source = Shipped(set="reionisation-21cmfast").folder
    done = skyloom("predict", str(folder), str(source), "--output", str(tmp_path / "p.nc"))
    header = done.stdout.splitlines()[0]
    assert "mean probability" in header and "given to" in header
    with xr.open_dataset(tmp_path / "p.nc", engine="h5netcdf") as p:
        assert p["class"].values.tolist() == ["ionised", "half", "neutral"] and p.attrs["temperature"] > 0
        assert p["probability"].sum("class").values == pytest.approx(np.ones(p.sizes["sample"]))
        # Where everything is ionised, it says so.
        empty = p["truth"].values == 0
        assert p["probability"].values[empty, 0].mean() > p["probability"].values[~empty, 0].mean() + 0.2


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("method={name: moments}", "asks for classes, which method 'moments' does not predict"),
        ("evaluate.baselines=[mean]", "asks for classes, which baseline 'mean' does not predict"),
        ("task={name: infer, parameters: [x_HI]}", "asks for parameters, which method 'cross_entropy'"),
    ],
)
def test_what_cannot_answer_is_refused_before_anything_is_trained(tmp_path, change, text):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = api.load_recipe(tmp_path / "recipe.yaml", [change])
    with pytest.raises(UsageError, match=text):
        api.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
