"""A table of events from training to the page: conditions of real events, even ones, and what is drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import skyloom
from skyloom import api, fields
from skyloom.fields import store
from skyloom.recipe import load

RECIPE = """
recipe: 1
name: toy
data:
  source: {{name: field_set, path: {path}}}
  fields: {{nHit: [{{name: log10, floor: 1}}, standardise], core_x: [standardise]}}
split: {{by: group, fractions: {{train: 0.6, validation: 0.1, test: 0.3}}, seed: 1}}
task: {{name: emulate, parameters: [log_energy], samples: 90}}
method: {{name: density_flow, splines: 1, hidden: [16]}}
train: {{epochs: 12, draw_every: 12, batch_size: 32, threads: 1, optimiser: {{name: adam, lr: 1.0e-2}}}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    n = 300
    E = 2 + rng.exponential(0.5, n)
    ids = [f"event{row}" for row in range(n)]
    columns = {
        "nHit": (10 ** (0.5 * E + 0.1 * rng.standard_normal(n)), "", "PMTs hit"),
        "core_x": (50 * rng.standard_normal(n), "m", "core"),
    }
    ds = fields.build(
        {name: (values[:, None, None], *about) for name, (values, *about) in columns.items()},
        ids=ids,
        groups=ids,
        seeds=np.arange(n),
        box_size=1.0,
        box_size_unit="",
        periodic=False,
        suite="toy",
        realism="toy",
        labels={"log_energy": fields.Label(E, "label", "dex(GeV)", "logarithm of the energy")},
    )
    store.write(ds, folder / "set")
    (folder / "toy.yaml").write_text(RECIPE.format(path=folder / "set"))
    return api.run(load(folder / "toy.yaml"), folder / "run", progress="quiet")


def test_a_table_is_judged_at_real_and_at_even_conditions(run):
    metrics = json.loads((run / "evaluate/test/metrics.json").read_text())
    keys = {row["key"] for row in metrics["scorecard"]["rows"]}
    assert {"nHit.ks", "correlations.rms", "nHit.mean.log_energy", "auc", "auc_trees"} <= keys
    assert metrics["uniform"]["real"]["samples"] == 45  # half of the 90 events of the side
    with xr.open_dataset(run / "evaluate/test/table.nc", engine="h5netcdf") as table:
        # energies fall exponentially, so conditions that are spread evenly are higher on average
        middle = table["condition"].mean("range")
        assert float(middle.sel(labels="uniform")) > float(middle.sel(labels="real")) + 0.05
    assert not (run / "evaluate/test/examples.nc").exists()


def test_events_are_drawn_while_it_trains_at_conditions_of_the_validation_side(run):
    assert (run / "samples/epoch_0012.png").stat().st_size > 0
    with xr.open_dataset(run / "samples/epoch_0012.nc", engine="h5netcdf") as drawn:
        # log10 nHit is half of log E with a scatter of 0.1, at the energies of 30 real events
        assert drawn.sizes["sample"] == 1000 and len(np.unique(drawn["log_energy"])) == 30
        gap = np.log10(drawn["nHit"].values.ravel()) - 0.5 * drawn["log_energy"].values
    assert abs(gap.mean()) < 0.05 and gap.std() < 0.25


def test_the_page_shows_histograms_and_moments(run):
    page = (run / "report.html").read_text()
    assert "Real and generated events" in page and "Under the conditions" in page
    shown = {path.stem for path in (run / "figures").glob("*.png")}
    assert {"histograms-real", "histograms-uniform", "along"} <= shown


def test_events_are_drawn_at_any_condition(run):
    drawn = skyloom.load_run(run).sample({"log_energy": [2.2, 3.0]}, n=300)
    assert drawn["nHit"].shape == (600, 1, 1) and drawn["nHit"].attrs["units"] == ""
    low, high = np.log10(drawn["nHit"].values.reshape(2, 300))
    # log10 nHit = E / 2 with a spread of 0.1, learned from 180 events
    assert low.mean() == pytest.approx(1.1, abs=0.1) and high.mean() == pytest.approx(1.5, abs=0.1)
