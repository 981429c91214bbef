"""What an emulator drew: its maps beside real ones at equal conditions, then the scorecard."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.maps import field_map, shared_limits
from skyloom.report.page import Gallery, Missing, Section, duration, number, parameter
from skyloom.report.sections.detector import event_plates
from skyloom.report.sections.generated import sections
from skyloom.report.sections.tabulated import tabulated
from skyloom.report.style import PAGE, Plate, symbol, unit_text


def drawn(run: Artefacts) -> list[Section]:
    """Generated maps beside real ones, and the sections of the scorecard.

    Args:
        run: The artefacts of a run of task ``emulate``.
    """
    if run.table(run.side) is not None:
        return tabulated(run)
    card, examples, curves = run.metrics(run.side), run.examples(run.side), run.curves(run.side)
    if card is None or examples is None or curves is None:
        missing = Missing("No maps were drawn and judged.", f"skyloom evaluate {run.path}")
        return [Section("maps", "Real and generated maps", "", [missing])]
    # A field that is one and the same everywhere, such as the mask of a detector, shows nothing.
    names = [name for name in map(str, examples.data_vars) if _varies(examples[name])]
    plates = [*event_plates(examples), *(_plate(examples[name]) for name in names)]
    lead = Markup(
        "Each row is one condition: at the left real maps of the {} side, which the generator has never "
        "seen, at the right maps that it drew. It is not to repeat the real ones, but to be of their kind. "
        "A map takes {}."
    ).format(run.side, duration(float(card["seconds_per_sample"])))
    judged = sections(card["scorecard"], curves)
    return [Section("maps", "Real and generated maps", lead, [Gallery(plates)]), *judged]


def _varies(maps: xr.DataArray) -> bool:
    values = maps.values.reshape(-1, *maps.shape[-2:])
    return bool((values != values[0]).any())


def _plate(maps: xr.DataArray) -> Plate:
    name, points = str(maps.name), [str(point) for point in maps["point"].values]
    rows, columns = maps.sizes["point"], 2 * maps.sizes["column"]
    size = PAGE / (columns + 0.6)
    unit = unit_text(str(maps.attrs.get("units", "")))
    low, high = shared_limits(maps.values)
    caption = Markup("{} at {}. One colour scale, from {} to {}{}.").format(
        parameter(name), "; ".join(points), number(low), number(high), f" {unit}" if unit else ""
    )
    alt = f"Real and generated maps of {symbol(name)} at {', '.join(points)}, side by side."
    return Plate(f"drawn-{name}", partial(_fill, maps), alt, caption, size=(PAGE, size * rows + 0.3))


def _fill(maps: xr.DataArray, figure: Figure) -> None:
    each = maps.sizes["column"]
    limits = shared_limits(maps.values)
    ratios = [1.0] * each + [0.12] + [1.0] * each
    axes = figure.subplots(maps.sizes["point"], 2 * each + 1, squeeze=False, width_ratios=ratios)
    for row, point in enumerate(maps["point"].values):
        axes[row, each].set_axis_off()
        for kind, start in (("real", 0), ("generated", each + 1)):
            values = maps.sel(kind=kind).isel(point=row).values
            for column in range(each):
                title = kind if row == 0 and column == 0 else ""
                ax = axes[row, start + column]
                if np.isfinite(values[column]).all():
                    field_map(values[column], ax, title=title, limits=limits)
                else:
                    ax.set_axis_off()
        axes[row, 0].set_ylabel(str(point).replace(", ", "\n"), fontsize=7.5)
