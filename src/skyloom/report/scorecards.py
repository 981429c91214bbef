"""The page of a scorecard, from the two files that a judgement leaves in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from markupsafe import Markup

from skyloom.errors import DataError
from skyloom.report.frame import draw_all, render
from skyloom.report.page import counted, duration, listed, parameter
from skyloom.report.sections.generated import sections
from skyloom.runs import read_json, write_text


def build_scorecard(folder: Path) -> Path:
    """Write ``scorecard.html`` and ``figures/`` from ``scorecard.json`` and ``curves.nc``.

    Args:
        folder: Where the two files are.

    Returns:
        The page.

    Raises:
        DataError: A file is missing or damaged, or the disk is full.
    """
    folder = Path(folder)
    card = read_json(folder / "scorecard.json")
    try:
        with xr.open_dataset(folder / "curves.nc", engine="h5netcdf") as data:
            curves = data.load()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {folder / 'curves.nc'}: {error}", hint="judge again") from error
    made = sections(card, curves)
    shown = draw_all(made, folder / "figures")
    title = f"{card['generated']['suite']} beside {card['real']['suite']}"
    facts = {"title": title, "verdict": verdict(card), "population": _population(card)}
    return write_text(
        folder / "scorecard.html", render("scorecard.html.j2", made, shown, leaky=False, **facts)
    )


def verdict(card: Mapping[str, Any]) -> Markup:
    """Say in a sentence or two what the scorecard found.

    Args:
        card: ``scorecard.json``.

    Example:
        >>> rows = [{"label": "P", "of": "T", "unit": "σ", "real": True}]
        >>> str(verdict({"kind": "ensemble", "rows": rows, "memorisation": None}))
        'By 1 of 1 scores the generated set lies where real sets lie.'
    """
    if card["kind"] == "pairs":
        return Markup(
            "Is the right structure in the right place, and is there as much of it as there should be?"
        )
    found = [row["real"] for row in card["rows"]]
    text = Markup("By {} of {} scores the generated set lies where real sets lie.").format(
        found.count(True), len(found)
    )
    if failed := found.count(False):
        text += f" By {failed} it differs."
    if undecided := found.count(None):
        text += f" {undecided} cannot be decided with so many samples."
    court = card["memorisation"]
    if court is not None and court["memorised"]:
        text += f" It holds {counted(court['copies'], 'copy', 'copies')} of training maps."
    return text


def _population(card: Mapping[str, Any]) -> Markup:
    sets = [
        f"{counted(card[name]['samples'], f'{name} sample')} of {counted(card[name]['groups'], 'group')}"
        for name in ("real", "generated")
    ]
    fields = listed([parameter(name) for name in card["fields"]])
    text = Markup("{}; {}. Fields: {}.").format(sets[0], sets[1], fields)
    seconds = card["seconds_per_sample"]
    return text if seconds is None else text + f" A sample takes {duration(seconds)}."
