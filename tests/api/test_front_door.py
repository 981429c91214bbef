"""The front door on a toy set: one small run, opened again, asked, resumed and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import skyloom
from skyloom import api, fields
from skyloom.errors import DataError, LeakError, UnitError, UsageError
from skyloom.fields import store
from skyloom.formats import fits
from skyloom.recipe import load

RECIPE = """
recipe: 1
name: toy
data:
  source: {{name: field_set, path: {path}}}
  fields: {{T_b: [standardise]}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.2, test: 0.2}}, seed: 1}}
task: {{name: infer, parameters: [x_HI]}}
method: {{name: moments, net: {{name: resnet, width: 4, blocks: [1, 1]}}}}
train: {{epochs: 8, batch_size: 16, threads: 1, optimiser: {{name: adamw, lr: 1e-2}}, augment: [roll]}}
evaluate: {{baselines: [mean, {{name: moments, moments: 2}}], statistics: [pdf], bootstrap: 200}}
explain: [{{name: smooth, widths: [0, 2]}}]
"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "set"
    store.write(fields.example(groups=20, per_group=6, size=16), folder)
    return folder


def recipe(path: Path, folder: Path, *changes: str):
    file = folder / "toy.yaml"
    file.write_text(RECIPE.format(path=path))
    return load(file, changes)


@pytest.fixture(scope="module")
def run(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return api.run(recipe(maps, folder, "train.repeats=2"), folder / "toy", progress="quiet")


def metrics(folder: Path):
    return json.loads((folder / "evaluate/test/metrics.json").read_text())


def test_a_run_beats_the_mean_on_simulations_that_it_has_never_seen(run):
    found = metrics(run)["parameters"]["x_HI"]
    assert found["scores"]["r2"]["value"] > 0.7
    # The mean of the train side explains nothing of another side: R² is at most zero.
    assert found["baselines"]["mean"]["r2"]["value"] <= 0
    assert metrics(run)["groups"] == 4


def test_each_answer_is_explained_and_what_is_no_longer_asked_goes(run):
    made = run / "explain/smooth-x_HI.nc"
    stale = run / "explain/saliency.nc"
    stale.write_bytes(made.read_bytes())
    assert api.explain(run) == [made]
    assert sorted(stale.parent.iterdir()) == [made]


def test_repeats_give_the_spread_over_seeds(run):
    seeds = metrics(run)["parameters"]["x_HI"]["scores"]["r2"]["seeds"]
    assert len(seeds["values"]) == 2
    other = json.loads((run / "repeats/seed-1/evaluate/test/metrics.json").read_text())
    assert seeds["values"][1] == other["parameters"]["x_HI"]["scores"]["r2"]["value"]
    assert seeds["mean"] == pytest.approx(np.mean(seeds["values"]))


def test_an_opened_run_predicts_what_the_evaluation_stored(run, maps):
    import xarray as xr

    with xr.open_dataset(run / "evaluate/test/predictions.nc", engine="h5netcdf") as stored:
        here = fields.subset(store.open(maps), stored["sample"].values)
        found = skyloom.load_run(run).predict(here)
        np.testing.assert_allclose(found["mean"], stored["mean"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["lower"], stored["lower"], rtol=1e-4, atol=1e-5)
    assert found.attrs["note"] == ""
    assert np.all(found["upper"] > found["lower"])


def test_labels_are_not_needed_to_predict(run, maps):
    ds = store.open(maps).isel(sample=slice(0, 3)).drop_vars("x_HI")
    found = skyloom.load_run(run).predict(ds)
    assert np.isnan(found["truth"]).all()
    assert np.isfinite(found["mean"]).all()


def test_maps_unlike_those_of_the_training_are_told_or_refused(run, maps):
    opened = skyloom.load_run(run)
    ds = store.open(maps).isel(sample=slice(0, 2)).compute()
    with pytest.raises(DataError, match="no field 'T_b'"):
        opened.predict(ds.rename(T_b="temperature"))
    kelvin = ds.copy()
    kelvin["T_b"] = (ds["T_b"] / 1e3).assign_attrs(ds["T_b"].attrs, units="K")
    # The same maps in another unit have the same answer; another kind of quantity has none.
    np.testing.assert_allclose(opened.predict(kelvin)["mean"], opened.predict(ds)["mean"], rtol=1e-4)
    with pytest.raises(UnitError):
        opened.predict(ds.assign(T_b=ds["T_b"].assign_attrs(units="Mpc")))
    torn = ds.copy(deep=True)
    torn["T_b"][1, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"of sample '.*' is not finite"):
        opened.predict(torn)
    coarse = ds.assign_attrs(box_size=2 * ds.attrs["box_size"])
    assert "trained on 8 Mpc" in opened.predict(coarse).attrs["note"]


def test_an_observed_map_of_finer_pixels_is_answered_as_the_map_itself(run, maps, tmp_path):
    """The same sky with four pixels for each of the training's, as FITS and as npy, half a pixel masked."""
    ds = store.open(maps).isel(sample=[3])
    fine = np.repeat(np.repeat(ds["T_b"].values, 2, axis=1), 2, axis=2)
    sky = ds.drop_vars(list(ds.data_vars)).assign(T_b=(ds["T_b"].dims, fine, ds["T_b"].attrs))
    fits.write(sky.assign_attrs(periodic=0), tmp_path / "sky.fits")
    np.save(tmp_path / "sky.npy", fine[0])
    mask = np.ones(fine.shape[1:])
    mask[5, 8] = 0
    np.save(tmp_path / "mask.npy", mask)
    known = skyloom.load_run(run).predict(ds)["mean"].values
    size = {"box_size": float(ds.attrs["box_size"]), "box_size_unit": "Mpc", "units": {"sky": "mK"}}
    for name, more in (("sky.fits", {}), ("sky.npy", {"options": size, "mask": tmp_path / "mask.npy"})):
        output = api.predict(run, tmp_path / name, tmp_path / f"{name}.nc", **more)
        with xr.open_dataset(output, engine="h5netcdf") as found:
            np.testing.assert_allclose(found["mean"].values, known, rtol=1e-4, atol=1e-5)
        assert "opposite edges touch" in api.doubts(output)
    with pytest.raises(DataError, match="side of the map is 32 pixels"):
        api.predict(run, tmp_path / "sky.npy", tmp_path / "no.nc")


def test_predictions_are_written_and_told_by_simulation(run, maps, tmp_path):
    output = api.predict(run, maps, tmp_path / "p.nc")
    header, *rows = api.predicted(output)
    assert header[-2:] == ("bias", "unlike")
    assert len(rows) == 20 * 2  # simulations times redshifts
    assert api.doubts(output) == ""


def test_resuming_a_finished_run_changes_nothing(run, maps, tmp_path):
    before = (run / "weights/best.safetensors").read_bytes(), metrics(run)
    api.run(recipe(maps, tmp_path, "train.repeats=2"), run, resume=True, progress="quiet")
    assert ((run / "weights/best.safetensors").read_bytes(), metrics(run)) == before


def test_every_look_at_the_test_side_is_counted(maps, tmp_path):
    folder = api.train(recipe(maps, tmp_path, "train.epochs=1"), tmp_path / "run", progress="quiet")
    assert [api.evaluate(folder)["looks"], api.evaluate(folder)["looks"]] == [1, 2]
    with pytest.raises(UsageError, match="did you mean 'test'"):
        api.evaluate(folder, "tests")


def test_a_planted_leak_stops_before_training_and_leaves_the_audit(tmp_path):
    ds = fields.example(groups=20, per_group=2, size=16)
    twin = ds["T_b"].values
    twin[-1] = np.rot90(np.roll(twin[0], 3, axis=1))  # of another simulation
    ds["T_b"] = (ds["T_b"].dims, twin, ds["T_b"].attrs)
    store.write(ds, tmp_path / "set")
    split = api.split  # whichever sides the two stand on, some seed parts them
    with pytest.raises(LeakError, match="twin"):
        for seed in range(20):
            split(recipe(tmp_path / "set", tmp_path, f"split.seed={seed}"))


def test_headline_and_comparison_name_network_and_baseline(run):
    header, network, best = api.headline(run)
    assert header == ("", "R² of x_HI")
    assert network[0] == "network, 4 unseen simulations"
    assert best[0].startswith("best baseline: moments")
    (row,) = api.compare([run])
    assert row["r2 x_HI"] == metrics(run)["parameters"]["x_HI"]["scores"]["r2"]["value"]


def test_a_field_that_the_data_lack_gets_a_suggestion(maps, tmp_path):
    with pytest.raises(DataError, match="field 'Tb' of the recipe is not in field_set"):
        api.split(recipe(maps, tmp_path, "data.fields={Tb: [standardise]}"))


def test_cubes_are_cut_and_stored_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    source = "{name: reionisation, simulations: 6, redshifts: 1, size: 16, box_size: 64.0, slices: 0}"
    cubes = recipe(
        Path("unused"), tmp_path, f"data.source={source}", "data.maps={cut: slice, count: 4, axis: [x]}"
    )
    first = api.samples(cubes)
    assert len(first.rows) == 6 * 4
    assert set(first.table["axis"].values) == {"x"}
    stamp = first.reader.folder.stat().st_mtime_ns
    assert api.samples(cubes).reader.folder.stat().st_mtime_ns == stamp


def test_the_doctor_looks_at_the_installation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {name: (well, found) for name, well, found in api.doctor()}
    assert rows["plugins"] == (True, "all load")
    assert rows["shipped sets"] == (True, "cosmic-rays-athena, reionisation-21cmfast")
    assert rows["folder can be written"][0]


def test_native_files_are_imported_and_inspected(tmp_path):
    from skyloom.formats import pandas_pickle

    pandas_pickle.write(fields.example(groups=2), tmp_path / "maps.gzip")
    made = api.import_(tmp_path / "maps.gzip", tmp_path / "set", progress="quiet")
    np.testing.assert_array_equal(skyloom.open(made)["T_b"], fields.example(groups=2)["T_b"])
    assert "simulations: 2" in api.inspect(made).text()


def foreign(path: Path, groups: int, seed: int, *, scale: float = 1.0, suite: str = "other"):
    """A set like the toy's with seeds of its own, its temperatures in kelvin and ``scale`` times as large."""
    ds = fields.example(groups=groups, per_group=6, size=16, seed=seed)
    numbers = np.unique(ds["group"].values, return_inverse=True)[1]
    ds = ds.assign_coords(seed=("sample", 1000 * seed + numbers, ds["seed"].attrs)).assign_attrs(suite=suite)
    ds["T_b"] = (1e-3 * scale * ds["T_b"]).assign_attrs(ds["T_b"].attrs, units="K")
    store.write(ds, path)
    return path


@pytest.fixture(scope="module")
def transferred(maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    same, hotter = foreign(folder / "same", 12, 5), foreign(folder / "hotter", 12, 6, scale=3.0)
    suites = {"toy": maps, "same": same, "hotter": hotter}
    listed = ", ".join(
        f"{name}: {{source: {{name: field_set, path: {path}}}}}" for name, path in suites.items()
    )
    back = f"{{back: {{data.source: {{name: field_set, path: {same}}}}}}}"
    made = recipe(maps, folder, f"transfer={{{listed}}}", f"variants={back}", "explain=[]")
    return api.run(made, folder / "run", progress="quiet")


def transferred_card(folder: Path, suite: str):
    return json.loads((folder / f"transfer/{suite}/metrics.json").read_text())


def test_a_run_is_tested_on_every_other_suite_in_its_own_units(transferred):
    assert sorted(path.name for path in (transferred / "transfer").iterdir()) == ["hotter", "same"]
    same, hotter = (transferred_card(transferred, name) for name in ("same", "hotter"))
    # The same physics in kelvin is read as well as the test side; thrice the signal is not.
    assert same["parameters"]["x_HI"]["scores"]["r2"]["value"] > 0.7
    assert hotter["parameters"]["x_HI"]["scores"]["r2"]["value"] < 0
    assert abs(hotter["parameters"]["x_HI"]["scores"]["pull"]["value"]) > 1
    assert (same["groups"], same["samples"]) == (12, 72)
    assert same["shift"]["unlike"] is False
    assert hotter["shift"]["unlike"] is True and hotter["shift"]["share"]["value"] > 0.5
    assert metrics(transferred)["shift"]["beside"] == 16  # train and validation simulations


def test_suites_stand_in_a_matrix_both_ways(transferred):
    header, own, back = api.transfer_tables([transferred])["x_HI"]
    assert header == ("run", "trained on", "tested on toy", "tested on same", "tested on hotter")
    assert own[:2] == ("run", "toy") and back[:2] == ("back", "same")
    value = metrics(transferred)["parameters"]["x_HI"]["scores"]["r2"]["value"]
    assert own[2].startswith(f"R² {value:.3f}") and "flagged" in own[4] and "flagged" not in own[3]
    value = transferred_card(transferred / "variants/back", "toy")["parameters"]["x_HI"]["scores"]["r2"][
        "value"
    ]
    assert back[2].startswith(f"R² {value:.3f}")
    page = (transferred / "report.html").read_text()
    assert "On other suites" in page and "Are these maps like those it learnt from?" in page
    assert (transferred / "figures/transfer-x_HI.png").is_file()


def test_a_suite_that_was_seen_is_refused(transferred, tmp_path):
    from skyloom.runs import RunFolder

    ds = store.open(source_of(transferred, "toy"))
    store.write(ds.assign_attrs(suite="copy").compute(), tmp_path / "copy")
    run = RunFolder.open(transferred)
    before = run.read_text("recipe.yaml")
    run.write_text("recipe.yaml", before.replace(str(source_of(transferred, "same")), str(tmp_path / "copy")))
    try:
        with pytest.raises(LeakError, match="'same' is not unseen, 2 of 3 checks failed"):
            api.transfer(transferred)
    finally:
        run.write_text("recipe.yaml", before)


def source_of(folder: Path, suite: str) -> str:
    return load(folder / "recipe.yaml").transfer[suite].source["path"]


def test_predictions_tell_maps_that_the_run_does_not_know(transferred, tmp_path):
    output = api.predict(transferred, Path(source_of(transferred, "hotter")), tmp_path / "hotter.nc")
    header, *rows = api.predicted(output)
    assert header[-1] == "unlike"
    assert sum(int(row[-1]) for row in rows) > 36  # of 72 maps
    assert "are unlike the training maps" in api.doubts(output)
