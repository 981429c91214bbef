"""The plugin's components are found, described, checked and run as Skyloom's own are."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

pytest.importorskip(
    "skyloom_example", reason="the example plugin is not installed: pip install -e examples/plugin"
)

import skyloom
from skyloom import api, formats, recipe, registry
from skyloom.errors import DataError, FormatError

RECIPE = """
recipe: 1
name: plugin
data: {{source: {{name: text_maps, path: {path}}}, fields: {{map: [remove_mean]}}}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.2, test: 0.2}}}}
task: {{name: infer_log, parameters: [amplitude]}}
method: {{name: mean_squared, net: {{name: spectrum_mlp, width: 16}}}}
train: {{epochs: 30, batch_size: 16, optimiser: {{name: adamw, lr: 1e-2}}}}
evaluate: {{baselines: [mean], bootstrap: 50}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise whose amplitude is spread over two decades: its spectrum tells all of it."""
    path, rng = tmp_path_factory.mktemp("text"), np.random.default_rng(0)
    for number in range(30):
        for piece in range(4):
            amplitude = 10 ** rng.uniform(0, 2)
            values = amplitude * rng.standard_normal((8, 8))
            text = "\n".join(" ".join(f"{value:.5g}" for value in row) for row in values)
            (path / f"run{number}_{piece}.txt").write_text(f"# amplitude={amplitude}\n{text}\n")
    return path


def test_the_registry_finds_and_describes_them():
    for kind, name in (("format", "text_maps"), ("net", "spectrum_mlp"), ("task", "infer_log")):
        assert registry.describe(kind, name)["distribution"] == "skyloom-example"


def test_text_becomes_a_field_set(folder):
    ds = formats.read(folder)
    assert ds.sizes["sample"] == 120
    one = np.loadtxt(folder / "run3_1.txt", dtype=np.float32)
    np.testing.assert_array_equal(ds["map"].sel(sample="run3_1").values, one)
    assert len(set(ds["group"].values)) == 30


def test_a_file_that_is_no_map_is_named(tmp_path):
    (tmp_path / "a_1.txt").write_text("# x=1\n1 2\n3 four\n")
    with pytest.raises(FormatError, match=r"a_1\.txt: is no map"):
        formats.read(tmp_path, format="text_maps")


def test_the_network_sees_the_spectrum_and_no_phases():
    net = registry.build("spectrum_mlp", "net", data=(1, 2, 8)).eval()
    maps = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(net(maps), net(maps.roll((3, 2), (-2, -1))), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net(maps), net(-maps), rtol=1e-4, atol=1e-5)


def test_a_recipe_runs_to_its_page_and_answers_in_dex(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    (tmp_path / "r.yaml").write_text(RECIPE.format(path=folder))
    done = api.run(recipe.load(tmp_path / "r.yaml"), tmp_path / "run", progress="quiet")
    found = json.loads((done / "evaluate/test/metrics.json").read_text())["parameters"]["amplitude"]
    # The scatter of a mean power over 63 modes in pairs: (1/2) √(2/63)/ln 10, some 0.04 dex.
    assert found["scores"]["rmse"]["value"] < 0.25
    assert found["scores"]["r2"]["value"] > 0.8
    answer = skyloom.load_run(done).predict(formats.read(folder).isel(sample=[0]))
    assert abs(answer["mean"].item() - np.log10(formats.read(folder)["amplitude"].values[0])) < 0.6
    assert answer["mean"].attrs.get("units", "dex()") in ("dex()", "")
    assert (done / "report.html").is_file()


def test_what_has_no_logarithm_is_refused(folder):
    ds = formats.read(folder)
    table = ds.drop_vars("map").assign_coords(
        amplitude=("sample", -ds["amplitude"].values, ds["amplitude"].attrs)
    )
    with pytest.raises(DataError, match="is not positive"):
        registry.build({"name": "infer_log", "parameters": ["amplitude"]}, "task").fit(table)
