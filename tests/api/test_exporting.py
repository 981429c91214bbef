"""A run as a graph answers as the run does, through onnxruntime and for maps that it has never seen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from skyloom import api, fields
from skyloom.api import exporting
from skyloom.api.graph import Graph
from skyloom.api.trained import load_run
from skyloom.errors import DataError, UsageError
from skyloom.fields import store
from skyloom.methods.posterior import Posterior
from skyloom.recipe import load

pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")

RECIPE = """
recipe: 1
name: toy
data: {{source: {{name: field_set, path: {path}}}, fields: {{T_b: {transforms}}}}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.2, test: 0.2}}}}
task: {task}
method: {method}
train: {{epochs: 1, batch_size: 16}}
evaluate: {{baselines: [], bootstrap: 20}}
"""
NET = "net: {name: resnet, width: 4, blocks: [1]}"
INFER = {"task": "{name: infer, parameters: [x_HI]}", "method": f"{{name: moments, {NET}}}"}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps") / "set"
    store.write(fields.example(groups=12, per_group=2, size=16), folder)
    return folder


@pytest.fixture(scope="module")
def make(maps, tmp_path_factory):
    def made(transforms="[standardise]", **parts):
        folder = tmp_path_factory.mktemp("runs")
        file = folder / "toy.yaml"
        file.write_text(RECIPE.format(path=maps, transforms=transforms, **parts))
        run = api.train(load(file), folder / "toy", progress="quiet")
        api.evaluate(run, "validation")
        return run

    return made


@pytest.fixture(scope="module")
def run(make):
    return make("[{name: smooth, width: 1.0}, {name: asinh, scale: 10.0}, remove_mean, standardise]", **INFER)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("graph") / "model.onnx"
    return out, api.export_onnx(run, out)


def test_onnxruntime_answers_as_the_run_for_maps_of_another_number(run, exported):
    import onnxruntime

    out, _ = exported
    session = onnxruntime.InferenceSession(out.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == ["mean", "sd", "lower", "upper"]
    opened, ds = load_run(run), fields.example(groups=3, per_group=1, size=16, seed=5)
    own = opened.predict(ds)
    given = Graph(opened).prepared({"T_b": opened.field(ds, "T_b")})
    for name, answer in zip(names, session.run(None, {"maps": given}), strict=True):
        assert answer.shape == own[name].shape
        np.testing.assert_allclose(answer, own[name].values, atol=1e-5)


def test_the_file_says_what_goes_in_and_how_the_check_went(exported):
    import onnx

    out, found = exported
    (told,) = [json.loads(entry.value) for entry in onnx.load(out).metadata_props if entry.key == "skyloom"]
    (given,) = told["inputs"]
    # Smoothing is no arithmetic of pixels: the caller does it; all after it is in the graph.
    assert given["field"] == "T_b" and given["units"] == "mK"
    assert [step["spec"]["name"] for step in given["before"]] == ["smooth"]
    assert told["columns"] == ["x_HI"] and told["levels"] == [0.68, 0.95]
    assert told["check"]["of"] == "validation"
    assert [one["largest"] for one in told["check"]["differences"]] == [one.largest for one in found]
    assert all(one.share < 1e-4 for one in found)


def test_a_graph_that_differs_is_not_written(run, exported, tmp_path, monkeypatch):
    import onnx

    model = onnx.load(exported[0])
    del model.metadata_props[:]
    monkeypatch.setattr(exporting, "_traced", lambda graph, example: model)
    right = exporting._answers
    monkeypatch.setattr(exporting, "_answers", lambda *given: [part + 0.01 for part in right(*given)])
    with pytest.raises(DataError, match="differs by") as caught:
        api.export_onnx(run, tmp_path / "model.onnx")
    assert "--tolerance" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("parts", "outputs"),
    [
        (
            {
                "task": "{name: classify, label: x_HI, bins: [0.5]}",
                "method": f"{{name: cross_entropy, {NET}}}",
            },
            ["probability"],
        ),
        (
            {"task": "{name: infer, parameters: [x_HI]}", "method": f"{{name: mean_squared, {NET}}}"},
            ["mean", "lower", "upper"],
        ),
    ],
)
def test_the_arithmetic_is_that_of_the_run(make, maps, parts, outputs):
    opened = load_run(make("[{name: min_max, low: -1.0}]", **parts))
    graph, ds = Graph(opened).eval(), store.open(maps)
    raw = {"T_b": opened.field(ds, "T_b")}
    np.testing.assert_array_equal(graph.prepared(raw)[:, 0], raw["T_b"])
    own = opened.predict(ds)
    assert graph.outputs == outputs
    for name, answer in zip(outputs, graph(torch.from_numpy(graph.prepared(raw))), strict=True):
        np.testing.assert_allclose(answer.numpy(), own[name].values, atol=1e-5)


def test_translated_fields_come_in_their_units(tmp_path, maps):
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(
        RECIPE.format(
            path=maps,
            transforms="[standardise], neutral_fraction: [{name: log10, floor: 0.01}, standardise]",
            task="{name: translate, inputs: [T_b], targets: [neutral_fraction]}",
            method="{name: regression, net: {name: unet, width: 4, depth: 2}}",
        )
    )
    opened = load_run(api.train(load(recipe), tmp_path / "run", progress="quiet"))
    graph, ds = Graph(opened).eval(), store.open(maps)
    raw = {"T_b": opened.field(ds, "T_b")}
    (answer,) = graph(torch.from_numpy(graph.prepared(raw)))
    assert graph.outputs == ["neutral_fraction"]
    np.testing.assert_allclose(answer.numpy(), opened.predict(ds)["neutral_fraction"].values, rtol=1e-5)


def test_a_method_that_draws_is_refused(run):
    opened = replace(load_run(run), method=Posterior(1, 1, 16, net={"name": "resnet", "width": 4}))
    with pytest.raises(UsageError, match="'posterior' draws its answers"):
        Graph(opened)
