"""Fields from fields through the real command line, on the shipped turbulence, and what it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from skyloom import api, fields
from skyloom.errors import LeakError, UsageError
from skyloom.fields import store
from skyloom.fields.project import cut
from skyloom.formats.shipped import Shipped

RECIPE = """\
recipe: 1
name: energies
data:
  source: {name: shipped, set: cosmic-rays-athena}
  select: {transport: [1, 4]}
  maps: {cut: slice, axis: [x], count: 12}
  fields:
    E_c: [standardise]
    density: [{name: log10, floor: 1.0e-3}, standardise]
    magnetic_energy: [equalise]
split: {by: held_out, fraction: 0.5, stratify: transport, axis: x, validation: 0.15, seed: 1}
task: {name: translate, inputs: [density], targets: [magnetic_energy, E_c]}
method: {name: regression, net: {name: unet, width: 4, depth: 2}, loss: charbonnier}
train:
  {epochs: 2, batch_size: 8, optimiser: {name: adamw, lr: 5e-3}, augment: [roll, flip], ema: 0.9, threads: 1}
evaluate: {bootstrap: 50}
transfer:
  coarse:
    source: {name: shipped, set: cosmic-rays-athena}
    maps: {cut: slice, axis: [x], count: 6, cells: 24}
"""


@pytest.fixture(scope="module")
def run(run_recipe) -> tuple[Path, str]:
    """A run of the recipe, and what the command line said."""
    return run_recipe("translate", RECIPE)


def network_of(folder: Path, side: str) -> tuple[dict, xr.Dataset]:
    with xr.open_dataset(folder / f"evaluate/{side}/predictions.nc", engine="h5netcdf") as ds:
        return json.loads((folder / f"evaluate/{side}/metrics.json").read_text()), ds.load()


@pytest.mark.slow
def test_scores_are_those_of_the_maps_in_the_folder(run):
    folder, said = run
    assert "R² of E_c" in said and said.rstrip().endswith("report.html")
    card, given = network_of(folder, "test")
    assert card["answers"] == "fields" and card["groups"] == 4 and not card["leaky"]
    fields.check(given)
    cubes = Shipped(set="cosmic-rays-athena").read()
    truth = cut(cubes, kind="slice", axes=["x"], count=12)["E_c"].sel(sample=given["sample"].values).values
    error = np.square(truth - given["E_c"].values).mean()
    entry = card["parameters"]["E_c"]
    # Translated maps are rounded on disk, to one part in 8000.
    assert entry["scores"]["r2"]["value"] == pytest.approx(1 - error / truth.var(), abs=1e-3)
    assert entry["scores"]["total"]["value"] == pytest.approx(
        given["E_c"].values.mean() / truth.mean(), rel=1e-3
    )
    # The regression pixel by pixel stands at the zero of the gain, whatever it is worth itself.
    assert entry["baselines"]["per_pixel"]["skill"]["value"] == 0
    left = (1 - entry["scores"]["r2"]["value"]) / (1 - entry["baselines"]["per_pixel"]["r2"]["value"])
    assert entry["scores"]["skill"]["value"] == pytest.approx(1 - left)
    # The constant is the mean of the train side: never better than the mean of the test side.
    assert -0.5 < entry["baselines"]["constant"]["r2"]["value"] <= 0
    assert entry["space"] == "physical"


@pytest.mark.slow
def test_another_suite_is_translated_and_judged_beside_the_same_baselines(run):
    folder, said = run
    assert "coarse" in said
    card = json.loads((folder / "transfer/coarse/metrics.json").read_text())
    assert (card["groups"], card["samples"], card["side"]) == (4, 48, "coarse")  # the test runs alone
    with xr.open_dataset(folder / "transfer/coarse/predictions.nc", engine="h5netcdf") as ds:
        given = ds["E_c"].load()
    cubes = Shipped(set="cosmic-rays-athena").read()
    truth = cut(cubes, kind="slice", axes=["x"], count=6, cells=24)["E_c"].sel(sample=given["sample"].values)
    error = np.square(truth.values - given.values).mean()
    scores = card["parameters"]["E_c"]["scores"]
    assert scores["r2"]["value"] == pytest.approx(1 - error / truth.values.var(), abs=1e-3)
    # Half the cells: the pixel scale is told.
    assert "pixels of 0.0417" in card["note"]
    header, own = api.transfer_tables([folder])["E_c"]
    assert header[2:] == ("tested on shipped", "tested on coarse")
    assert own[3].startswith(f"R² {scores['r2']['value']:.3f}")


@pytest.mark.slow
def test_an_equalised_field_is_judged_where_it_can_be(run):
    folder, _ = run
    card, given = network_of(folder, "test")
    assert card["parameters"]["magnetic_energy"]["space"] == "transformed"
    assert given["magnetic_energy"].attrs["space"] == "transformed"
    with xr.open_dataset(folder / "evaluate/test/examples.nc", engine="h5netcdf") as few:
        # Ranks from 0 to 1 have mean 1/2 and variance 1/12.
        ranks = few["truth.magnetic_energy"].values
        assert ranks.mean() == pytest.approx(0.5, abs=0.01)
        assert ranks.var(axis=(1, 2)) == pytest.approx(np.full(len(ranks), 1 / 12), rel=0.02)
        assert few["truth.E_c"].values.mean() > 2  # in its own unit
    assert "do not compare with scores in the unit" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_the_page_shows_maps_and_says_whether_there_is_skill(run):
    folder, _ = run
    page = (folder / "report.html").read_text()
    assert "Which map of" in page and "Translated maps" in page
    assert "kill is shown" in page or "not better than pixel by pixel" in page
    for gone in ("Do the error bars hold?", "Truth against prediction", "predicts no error bars"):
        assert gone not in page
    names = {path.name for path in folder.glob("figures/*.png")}
    assert {"maps-E_c-density.png", "ratio-E_c.png", "r-E_c.png", "pdf-E_c.png"} <= names
    assert "`translate`" in (folder / "card.md").read_text()


@pytest.mark.slow
def test_it_translates_new_cubes_into_a_field_set_that_the_scorecard_reads(
    run, skyloom, tmp_path, monkeypatch
):
    folder, _ = run
    monkeypatch.setenv("COLUMNS", "160")
    cubes = Shipped(set="cosmic-rays-athena").read().isel(sample=[0, 8])
    maps = cut(cubes, kind="slice", axes=["z"], count=3)
    store.write(maps, tmp_path / "maps")
    out = tmp_path / "translated"
    done = skyloom("predict", str(folder), str(tmp_path / "maps"), "--output", str(out))
    assert "E_c" in done.stdout and "largest" in done.stdout
    given = store.open(out)
    fields.check(given)
    assert given["sample"].values.tolist() == maps["sample"].values.tolist()
    assert given["shift_p"].attrs["role"] == "label"
    loaded = api.load_run(folder).predict(maps)
    np.testing.assert_allclose(given["E_c"].values, loaded["E_c"].values, rtol=1e-6)
    card = api.scorecard(maps[["E_c"]], out, paired=True, progress="quiet")
    assert card.row("E_c.total")["generated"]["value"] == pytest.approx(
        float(loaded["E_c"].mean() / maps["E_c"].mean()), rel=1e-4
    )


@pytest.mark.slow
def test_a_translation_is_compared_by_its_scores(run, skyloom):
    folder, _ = run
    told = skyloom("compare", str(folder)).stdout
    assert "r2 E_c" in told


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("evaluate.baselines=[mean]", "evaluate.baselines of the recipe names 'mean'"),
        ("explain=[{name: saliency}]", "explain of the recipe names 'saliency'"),
        ("method={name: mean_squared}", "asks for fields, which method 'mean_squared' does not predict"),
    ],
)
def test_what_has_no_answer_for_fields_is_refused_before_anything_is_trained(tmp_path, change, text):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = api.load_recipe(tmp_path / "recipe.yaml", [change])
    with pytest.raises(UsageError, match=text):
        api.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_slices_dealt_one_by_one_are_refused_unless_marked(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    fractions = "{train: 0.5, validation: 0.25, test: 0.25}"
    recipe = api.load_recipe(tmp_path / "recipe.yaml", [f"split={{by: sample, fractions: {fractions}}}"])
    with pytest.raises(LeakError):
        api.split(recipe)
