"""The page of a run that tells classes apart, and its figures."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from skyloom.evaluate.repair import fit_repair
from skyloom.evaluate.scorecard import scorecard
from skyloom.report import build
from skyloom.report.answers import opening
from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.classes import confusion_matrix, reliability_diagram
from skyloom.runs import RunFolder
from skyloom.tasks.classify import Classify

NAMES = '{"0": "MHD", "1": "CR_Advect", "2": "CR_withStreaming"}'


def predicted(task: Classify, groups: int, side: str, seed: int) -> xr.Dataset:
    """A classifier that is too sure: right in about four maps of five."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups) % 3, 8)
    n = len(codes)
    table = xr.Dataset(
        coords={
            "sample": [f"{side}{i}" for i in range(n)],
            "group": ("sample", [f"{side}-{i // 8}" for i in range(n)]),
            "transport": ("sample", codes.astype(float), {"role": "parameter", "classes": NAMES}),
        }
    )
    task = task if task.columns else task.fit(table)
    logits = 3 * (2 * np.eye(3)[codes] + rng.normal(size=(n, 3)))
    mean = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return task.interpret({"mean": mean}, table, side=side)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    """What evaluation writes of a run of classes."""
    recipe = {
        "name": "transport",
        "task": {"name": "classify", "label": "transport"},
        "data": {"fields": {"density": []}},
    }
    folder = RunFolder.create(tmp_path_factory.mktemp("runs") / "classes", recipe)
    task = Classify(label="transport")
    fitted = fit_repair(predicted(task, 24, "validation", 0), (0.95,))
    own = fitted.apply(predicted(task, 24, "test", 1))
    majority = own.copy(deep=True)
    majority["probability"].values[:] = [0.4, 0.3, 0.3]
    card = scorecard(own, baselines={"majority": majority}, bootstrap=50, looks=1)
    folder.write_json("evaluate/test/metrics.json", card)
    folder.write_json("calibration.json", fitted.state())
    path = folder.path_of("evaluate/test/predictions.nc")
    path.parent.mkdir(parents=True, exist_ok=True)
    own.to_netcdf(path, engine="h5netcdf")
    return folder


def test_the_first_screen_asks_for_a_class_and_shows_the_balanced_accuracy(run):
    first = opening(Artefacts(run.path))
    assert "Which class of transport is it, given a map of density" in str(first.question)
    (result,) = first.results
    assert result.title == "balanced accuracy" and [line.label for line in result.lines] == [
        "network",
        "majority",
    ]
    # The only check of intervals is that of the prediction sets.
    assert [line.nominal for line in first.coverage] == ["95 %"]


def test_the_page_has_the_sections_of_classes_and_none_of_parameters(run):
    page = build(run.path).read_text()
    for text in (
        "Which is taken for which",
        "Do the probabilities hold?",
        "CR withStreaming",
        "one-versus-rest accuracy",
        "The network was too sure by itself.",
        "a classifier whose probabilities are right",
        "worth independent maps",
        "of the errors that it makes",
    ):
        assert text in page
    for text in ("Truth against prediction", "R²", "There are no error bars to test"):
        assert text not in page


def test_confusion_figure_shows_each_row_in_percent_with_the_right_class_on_top():
    ax = confusion_matrix(np.array([[3, 1], [0, 0]]), ["none", "with_streaming"], Figure().add_subplot())
    assert [text.get_text() for text in ax.texts] == ["75 %\n3", "25 %\n1", "0 %\n0", "0 %\n0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["none", "with streaming"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_reliability_figure_has_bars_only_where_they_are_known():
    ax = reliability_diagram(
        np.array([0.5, 0.9]),
        np.array([0.4, 0.8]),
        Figure().add_subplot(),
        low=np.array([0.3, np.nan]),
        high=np.array([0.5, np.nan]),
        chance=0.2,
    )
    assert ax.get_xlim() == (20, 100)
    segments = ax.collections[0].get_segments()
    assert np.ptp(segments[0][:, 1]) == pytest.approx(20) and np.ptp(segments[1][:, 1]) == 0
