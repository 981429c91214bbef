"""The section on statistics: what is drawn follows from the shape of what was saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from skyloom.report.page import Gallery, Interactive, Table, Text
from skyloom.report.sections.statistics import Piece, pieces, statistics_blocks
from skyloom.report.style import draw

SIDES = ["train", "test"]


def saved(dims: tuple[str, ...], coords: dict[str, Any], mean: np.ndarray, spread: float = 0.5) -> xr.Dataset:
    """A file of one statistic whose test side lies one unit above the train side."""
    both = np.stack([mean, mean + 1.0])
    named = tuple(f"T_b.s.{dim}" for dim in dims)
    variables = {
        "T_b.s.v": (("side", *named), both, {"units": "mK2", "long_name": "some value"}),
        "T_b.s.v.spread": (("side", *named), np.full_like(both, spread)),
    }
    placed = {f"T_b.s.{name}": (f"T_b.s.{name}", values, attrs) for name, (values, attrs) in coords.items()}
    return xr.Dataset(variables, coords={"side": SIDES, "groups": ("side", [36, 12])} | placed)


def block(data: xr.Dataset, kind: type) -> Any:
    """The only block of a kind."""
    (found,) = [item for item in statistics_blocks(data) if isinstance(item, kind)]
    return found


def test_a_number_is_a_row_with_its_spread_and_distance() -> None:
    table = block(saved((), {}, np.array(2.0)), Table)
    head, train, test, apart = map(str, table.rows[0].cells)
    assert "mK<sup>2</sup>" in head
    assert train == '<b>2.000</b> <span class="interval">± 0.500</span>'
    assert test.startswith("<b>3.000</b>")
    # One unit apart, at a spread of half a unit.
    assert apart == "2.0"


def test_a_side_that_hardly_varies_makes_no_huge_distance() -> None:
    data = saved((), {}, np.array(2.0))
    data["T_b.s.v.spread"][0] = 1e-12  # the train side; half a unit on the test side
    assert str(block(data, Table).rows[0].cells[3]) == "2.0"
    data["T_b.s.v.spread"][:] = 0.0
    assert str(block(data, Table).rows[0].cells[3]) == "–"


def test_a_curve_can_be_explored_and_tells_the_number_of_modes() -> None:
    k = np.linspace(0.1, 2.0, 9)
    data = saved(("k",), {"k": (k, {"units": "1 / Mpc", "long_name": "wavenumber"})}, 1.0 / k**2)
    data["T_b.s.modes"] = ("T_b.s.k", np.arange(9), {"long_name": "Fourier modes"})
    (plot,) = block(data, Interactive).plots
    line = plot.traces[1]
    assert line["x"] == pytest.approx(k, rel=1e-4)
    assert line["y"] == pytest.approx(1.0 / k**2, rel=1e-4)
    assert line["customdata"][3] == [0.5, 3.0]
    assert "Fourier modes: %{customdata[1]:,d}" in line["hovertemplate"]
    assert "Mpc<sup>−1</sup>" in line["hovertemplate"]
    # 1/k² spans a factor of 400, and a wavenumber is read in decades.
    assert plot.layout["xaxis"]["type"] == plot.layout["yaxis"]["type"] == "log"
    assert "At most 2.0 spreads apart" in str(plot.plate.caption)


def test_a_symbol_keeps_its_small_letter() -> None:
    data = saved(("k",), {}, np.arange(1.0, 9.0))
    data["T_b.s.v"].attrs["long_name"] = "dP/dlnR of sizes"
    (plot,) = block(data, Interactive).plots
    assert str(plot.plate.caption).startswith("dP/dlnR of sizes of")


def test_a_pair_of_fields_is_named_as_a_pair() -> None:
    data = saved(("k",), {}, np.arange(1.0, 9.0)).rename(
        {f"T_b.s.{n}": f"T_b-delta.s.{n}" for n in ("v", "v.spread")}
    )
    (plot,) = block(data, Interactive).plots
    assert "of <i>T</i><sub>b</sub> and <i>δ</i>:" in str(plot.plate.caption)


def test_what_changes_sign_or_is_even_in_value_is_linear() -> None:
    value = np.linspace(0.4, 40.0, 11)
    data = saved(("value",), {"value": (value, {"units": "mK"})}, value - 20.0)
    (plot,) = block(data, Interactive).plots
    assert plot.layout["xaxis"]["type"] == plot.layout["yaxis"]["type"] == "linear"


def test_an_axis_of_words_is_taken_apart() -> None:
    nu = np.linspace(-2.0, 2.0, 9)
    mean = np.stack([nu, nu**2 + 1.0])
    data = saved(("which", "nu"), {"which": (["area", "genus"], {}), "nu": (nu, {})}, mean)
    plots = block(data, Interactive).plots
    assert [plot.plate.name for plot in plots] == ["s-T_b-v-area", "s-T_b-v-genus"]
    assert [plot.traces[1]["y"] for plot in plots] == [pytest.approx(row, abs=1e-6) for row in mean]


def test_a_few_values_are_numbers_and_a_few_rows_are_curves() -> None:
    few = saved(("order",), {"order": ([2.0, 3.0], {"long_name": "order"})}, np.array([4.0, 5.0]))
    heads = [str(row.cells[0]) for row in block(few, Table).rows]
    assert [head.split(" of ")[0] for head in heads] == ["some value, order 2", "some value, order 3"]
    rows = saved(("order", "lag"), {"lag": (np.arange(1.0, 10.0), {})}, np.ones((2, 9)))
    assert [plot.plate.name for plot in block(rows, Interactive).plots] == ["s-T_b-v-0", "s-T_b-v-1"]


def test_a_matrix_is_drawn_and_more_axes_are_told() -> None:
    mean = np.arange(30.0).reshape(5, 6)
    (plate,) = block(saved(("a", "b"), {}, mean), Gallery).plates
    assert draw(plate).pdf.startswith(b"%PDF")
    assert "at most 2.0 spreads apart" in str(plate.caption)
    told = block(saved(("a", "b", "c"), {}, np.ones((5, 6, 7))), Text)
    assert "some value" in str(told.text)


def test_bins_without_anything_do_not_count() -> None:
    data = saved(("k",), {}, np.arange(6.0))
    data["T_b.s.v"][1, 2:] = np.nan
    (piece,) = pieces(data, "T_b.s.v")
    assert isinstance(piece, Piece)
    assert piece.apart == pytest.approx(2.0)
    (plot,) = block(data, Interactive).plots
    assert plot.traces[3]["y"][2:] == [None] * 4
    data["T_b.s.v"][:] = np.nan
    assert statistics_blocks(data) == []
