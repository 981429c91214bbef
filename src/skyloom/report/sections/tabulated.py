"""What an emulator of tables drew: its histograms beside the real ones, then the scorecard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.tables import along, histograms
from skyloom.report.page import Gallery, Missing, Row, Section, Table, duration, number
from skyloom.report.sections.generated import sections
from skyloom.report.style import PAGE, Plate, symbol, unit_text

COLUMNS = 4
_LABELS = {
    "real": "at the conditions of the real events",
    "uniform": "at conditions that are spread evenly",
}


def tabulated(run: Artefacts) -> list[Section]:
    """Histograms real against generated, moments along a condition, and the sections of the scorecard.

    Args:
        run: The artefacts of a run of task ``emulate`` on maps of one pixel.
    """
    card, table, curves = run.metrics(run.side), run.table(run.side), run.curves(run.side)
    if card is None or table is None or curves is None:
        missing = Missing("No events were drawn and judged.", f"skyloom evaluate {run.path}")
        return [Section("events", "Real and generated events", "", [missing])]
    names = [str(name).removesuffix(".density") for name in table.data_vars if str(name).endswith(".density")]
    plates = [_histogram_plate(table, names, str(which)) for which in table["labels"].values]
    if "condition" in table:
        plates.append(_along_plate(table, names))
    lead = Markup(
        "Real events are those of the {} side, which the generator has never seen. To draw an event takes {}."
    ).format(run.side, duration(float(card["seconds_per_sample"])))
    blocks: list[Any] = [Gallery(plates)]
    if card.get("uniform"):
        blocks.append(_even(card["scorecard"], card["uniform"]))
    return [
        Section("events", "Real and generated events", lead, blocks),
        *sections(card["scorecard"], curves),
    ]


def _histogram_plate(table: xr.Dataset, names: Sequence[str], which: str) -> Plate:
    caption = f"Distribution of every number, {_LABELS[which]}: real (filled) and generated (line)."
    alt = f"Histograms of {', '.join(map(symbol, names))}, real and generated, {_LABELS[which]}."
    draw = partial(fill_histograms, table.sel(labels=which), names)
    return Plate(f"histograms-{which}", draw, alt, caption, size=(PAGE, histogram_height(len(names))))


def histogram_height(numbers: int) -> float:
    """Return the height of a page of histograms [inch].

    Args:
        numbers: How many there are.

    Example:
        >>> histogram_height(COLUMNS) < histogram_height(COLUMNS + 1)
        True
    """
    return 1.45 * -(-numbers // COLUMNS) + 0.2


def fill_histograms(table: xr.Dataset, names: Sequence[str], figure: Figure) -> None:
    """Draw the histograms of a table, real and generated.

    Args:
        table: ``table.nc`` at one kind of conditions.
        names: The numbers.
        figure: Where to draw.
    """
    axes = _grid(figure, len(names))
    for name, ax in zip(names, axes, strict=True):
        density = table[f"{name}.density"]
        real, generated = (density.sel(kind=kind).values for kind in ("real", "generated"))
        histograms(table[f"{name}.bin"].values, real, generated, ax, label=_label(name, density.attrs))
    axes[0].legend(loc="upper right", fontsize=7)


def _along_plate(table: xr.Dataset, names: Sequence[str]) -> Plate:
    condition = str(table["condition"].attrs["name"])
    caption = f"Mean and standard deviation of every number along {condition}, real (band) and generated."
    alt = f"Mean and width of {', '.join(map(symbol, names))} along {condition}."
    rows = -(-len(names) // COLUMNS)
    draw = partial(_fill_along, table.sel(labels="real"), names)
    return Plate("along", draw, alt, caption, size=(PAGE, 1.6 * rows + 0.2))


def _fill_along(table: xr.Dataset, names: Sequence[str], figure: Figure) -> None:
    condition = table["condition"]
    x = condition.values
    for name, ax in zip(names, _grid(figure, len(names)), strict=True):
        mean, width = (table[f"{name}.{what}"] for what in ("mean", "width"))
        labels = _label(str(condition.attrs["name"]), condition.attrs), _label(name, mean.attrs)
        along(x, mean.values, width.values, ax, labels=labels)


def _grid(figure: Figure, count: int) -> list[Any]:
    axes = figure.subplots(-(-count // COLUMNS), COLUMNS, squeeze=False).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    return list(axes[:count])


def _label(name: str, attrs: Mapping[Any, Any]) -> str:
    unit = unit_text(str(attrs.get("units", "")))
    return symbol(name) + (f"  [{unit}]" if unit else "")


def _even(real: Mapping[str, Any], even: Mapping[str, Any]) -> Table:
    """The scores that matter most, at both kinds of conditions."""
    rows = []
    for label, chosen in _CHOSEN.items():
        cells: list[Any] = [label]
        for card in (real, even):
            found = [row for row in card["rows"] if chosen(row)]
            values = [row[who]["value"] for who in ("generated", "floor") for row in found]
            known = np.array([np.nan if value is None else value for value in values], float).reshape(2, -1)
            cells += [number(float(np.nanmax(part))) if np.isfinite(part).any() else "n/a" for part in known]
        rows.append(Row(cells))
    head = ["", "real conditions", "real halves", "even conditions", "real halves "]
    return Table("Scores at real and at even conditions, the worst of all numbers", head, rows)


_CHOSEN: dict[str, Any] = {
    "classifier AUC": lambda row: row["key"] == "auc",
    "classifier AUC, trees that see conditions": lambda row: row["key"] == "auc_trees",
    "Kolmogorov–Smirnov": lambda row: row["section"] == "marginals",
    "Wasserstein [sd]": lambda row: row["key"].endswith(".wasserstein") and row["of"],
    "rank correlations": lambda row: row["key"] == "correlations.largest",
    "mean under a condition [sd]": lambda row: row["section"] == "conditionals" and ".mean." in row["key"],
    "ln of the width under a condition": lambda row: (
        row["section"] == "conditionals" and ".width." in row["key"]
    ),
}
