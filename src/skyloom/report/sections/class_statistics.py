"""The section on what the classes themselves look like: each statistic by class, and its ratio to the first.

Where the bands of two classes part, a curve would do to tell them apart; where they lie on each other, a
network that tells them apart reads something else, or knows its simulations.
"""

from __future__ import annotations

from functools import partial

from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.classes import classes_compared
from skyloom.report.page import Gallery, Section, counted, listed
from skyloom.report.sections.statistics import Piece, curve_labels, groups_of, keys, pieces
from skyloom.report.style import PAGE, Plate


def class_statistics(run: Artefacts) -> Section | None:
    """Curves of every statistic by class; None where none were saved by class.

    Args:
        run: The artefacts.
    """
    data = run.class_statistics(run.side)
    if data is None:
        return None
    found = [piece for key in keys(data) for piece in pieces(data, key) if len(piece.axes) == 1]
    if not found:
        return None
    sizes = [counted(groups_of(data, str(name)) or 0, "simulation") for name in data["side"].values]
    named = [
        f"{str(name).replace('_', ' ')} ({size})"
        for name, size in zip(data["side"].values, sizes, strict=True)
    ]
    lead = Markup(
        "Statistics of the raw maps of the train side and of the side that is judged, together: {}. Shaded: "
        "the spread (sd) over simulations."
    ).format(listed(named))
    return Section(
        "class-statistics", "What do the classes look like?", lead, [Gallery([_plate(p) for p in found])]
    )


def _plate(piece: Piece) -> Plate:
    first = next(iter(piece.bands)).replace("_", " ")
    caption = Markup("{} by class, and its ratio to {}.").format(piece.title, first)
    alt = f"{piece.words} of {piece.field} of the classes {', '.join(piece.bands)}."
    return Plate(f"classes-{piece.name}", partial(_fill, piece), alt, caption, size=(PAGE, 2.9))


def _fill(piece: Piece, figure: Figure) -> None:
    x_label, y_label, log = curve_labels(piece)
    left, right = figure.subplots(1, 2)
    classes_compared(
        piece.axes[0].values, piece.bands, (left, right), x_label=x_label, y_label=y_label, log=log
    )
