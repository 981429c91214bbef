"""Curves to zoom into: what Plotly is given."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import pytest
from markupsafe import Markup

from skyloom.report.figures.interactive import explorable
from skyloom.report.figures.statistics import Band

X = np.array([0.1, 0.2, 0.4])
BANDS = {
    "train": Band(np.array([100.0, 10.0, 1.0]), np.array([10.0, 12.0, np.nan])),
    "test": Band(np.array([90.0, 11.0, 2.0]), np.array([9.0, 1.0, 0.5])),
}
LABELS = (("k", Markup("Mpc")), ("P", Markup("mK")))


def test_plotly_knows_every_key() -> None:
    traces, layout = explorable(X, BANDS, *LABELS, log=(True, True), counts={"modes": X})
    colours = [trace.pop("fillcolor", None) for trace in traces]
    for trace in traces:
        trace["line"].pop("color", None)
        trace.get("marker", {}).pop("color", None)
    figure = go.Figure(data=traces, layout=layout)
    assert [trace.name for trace in figure.data[1::2]] == ["train", "test"]
    assert colours[::2] == ["--soft/0.2", "--curve-0/0.2"]


def test_a_spread_below_zero_ends_at_the_edge_of_a_logarithmic_axis() -> None:
    traces, layout = explorable(X, BANDS, *LABELS, log=(True, True))
    # The third bin of the train side has one group and no spread: two points up and two points back.
    assert traces[0]["y"] == [110.0, 22.0, 0.3, 90.0]
    # From 0.3 times the smallest mean to 1.5 times the highest band.
    assert layout["yaxis"]["range"] == pytest.approx([math.log10(0.3), math.log10(165.0)])


def test_names_from_files_are_escaped() -> None:
    traces, layout = explorable(X, {"<b>": BANDS["test"]}, ("<i>", Markup()), ("P", Markup()))
    assert "&lt;b&gt;" in traces[1]["hovertemplate"]
    assert layout["xaxis"]["title"]["text"] == "&lt;i&gt;"
