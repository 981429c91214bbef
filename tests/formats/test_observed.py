"""A field set through instruments: the true field stays, the seen one is that of each sample."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skyloom import api, fields, formats, recipe
from skyloom.errors import DataError, UsageError
from skyloom.fields import store
from skyloom.formats.observed import Observed
from skyloom.instruments.base import Scene
from skyloom.instruments.radio import Wedge

N = 8
STEPS = [{"name": "wedge", "angle": 30.0}, {"name": "interferometer", "hours": 100.0}]


@pytest.fixture
def boxes(tmp_path):
    values = np.random.default_rng(0).normal(10, 3, (2, N, N, N)).astype(np.float32)
    values[1] = values[0]
    ds = fields.build(
        {"T_b": (values, "mK", "brightness")},
        ids=["a", "b"], groups=["a", "b"], seeds=[0, 1], box_size=200.0, suite="test", realism="toy",
        redshifts=[8.0, 8.0],
    )  # fmt: skip
    store.write(ds, tmp_path / "boxes")
    return tmp_path / "boxes"


def test_the_seen_field_stands_beside_the_true_one(boxes, tmp_path):
    ds = formats.read(boxes, format="observed", steps=STEPS)
    there = store.open(boxes)
    np.testing.assert_array_equal(ds["T_b"].values, there["T_b"].values)
    seen = ds["T_b_seen"]
    assert seen.attrs["units"] == "mK" and seen.attrs["long_name"] == "brightness, as seen"
    # Two samples of one sky: the same but for their noise, and the same again when read again.
    noise = seen.values[1] - seen.values[0]
    assert noise.std() > 0.1
    np.testing.assert_array_equal(formats.read(boxes, format="observed", steps=STEPS)["T_b_seen"], seen)
    other = formats.read(boxes, format="observed", steps=STEPS, seed=1)
    assert not np.array_equal(other["T_b_seen"], seen)
    record = json.loads(ds.attrs["provenance"])
    assert record["steps"][-1]["instruments"][0] == {
        "name": "wedge", "angle": 30.0, "slope": None, "buffer": 0.0, "foreground": 0.0,
    }  # fmt: skip
    assert [entry["path"].endswith("manifest.json") for entry in record["inputs"]] == [True]
    store.write(ds, tmp_path / "seen")
    np.testing.assert_array_equal(store.open(tmp_path / "seen")["T_b_seen"], seen)


def test_the_set_tells_side_and_redshift(boxes):
    cut = formats.read(boxes, format="observed", steps=["wedge"], redshift=10.0, comoving=False)
    true = store.open(boxes)["T_b"].values[0].astype(float)
    expected = Wedge().observe(true, Scene(200.0 * 11, 10.0, True, "mK"), seed=0)
    np.testing.assert_allclose(cut["T_b_seen"].values[0], expected, atol=1e-5)


def test_what_cannot_be_is_refused(boxes):
    assert not Observed.sniff(boxes)
    with pytest.raises(UsageError, match="no instrument is named"):
        Observed(path=str(boxes), steps=[])
    with pytest.raises(DataError, match="no field 'Tb'"):
        Observed(path=str(boxes), steps=["wedge"], field="Tb").read()
    with pytest.raises(DataError, match=r"'a' has redshift 0.0, allowed: above 0"):
        Observed(path=str(boxes), steps=["wedge"], redshift=0.0).read()


def test_a_recipe_cuts_maps_from_cubes_that_were_observed(boxes, tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    text = f"""
recipe: 1
name: seen
data:
  source: {{name: observed, path: {boxes}, steps: [wedge, {{name: interferometer, hours: 100}}]}}
  maps: {{cut: slice, axis: [z], count: 2}}
  fields: {{T_b_seen: [standardise], T_b: [standardise]}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.2, test: 0.2}}, seed: 1}}
task: {{name: translate, inputs: [T_b_seen], targets: [T_b]}}
method: {{name: regression, net: {{name: unet}}}}
"""
    (tmp_path / "seen.yaml").write_text(text)
    data = api.samples(recipe.load(tmp_path / "seen.yaml"))
    assert data.inputs == ("T_b_seen",) and data.fields == ("T_b_seen", "T_b")
    maps = data.maps(np.arange(4))
    cubes = formats.read(boxes, format="observed", steps=["wedge", {"name": "interferometer", "hours": 100}])
    for name in data.fields:
        layers = {tuple(layer.ravel().round(4)) for layer in cubes[name].values[0]}
        assert all(tuple(one.ravel().round(4)) in layers for one in maps[name][:2])
