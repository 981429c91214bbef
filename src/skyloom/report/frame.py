"""The frame of a page: numbers and draws its figures and puts its sections into one HTML file.

Every page of the package is made here, so all have the same contents, light and dark edition, print style and
anchors. A page asks for nothing else: images are inside it once for each edition, as lossless WebP; the PNG
and the PDF of a figure stand in ``figures/``. Curves to zoom into come with Plotly, packed, and only where
there are any; paper and a browser without scripts show the drawn figure instead.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from PIL import Image

from skyloom.report.page import Gallery, Interactive, Section
from skyloom.report.style import Drawn, Plate, draw
from skyloom.runs import write_bytes

_PIXELS_PER_INCH = 114


@dataclass(frozen=True)
class Shown:
    """A figure on the page: number, anchor, size on screen [pixel] and its editions as data URIs."""

    number: int
    stem: str
    light: str
    dark: str
    width: int
    height: int
    wide: bool


def draw_all(sections: Sequence[Section], figures: Path, *, leaky: bool = False) -> dict[str, Shown]:
    """Draw every figure of a page, save it, and number it in the order of the page.

    Args:
        sections: The sections of the page.
        figures: Folder for the PNG and the PDF of each figure; those of an earlier page are removed.
        leaky: Whether the numbers come from a split that leaks; every figure then says so.

    Returns:
        Name of each plate to what the page shows of it.

    Raises:
        DataError: The disk is full.
    """
    shown, written = {}, set()
    for number, plate in enumerate(plates_of(sections), start=1):
        drawn = draw(plate, leaky=leaky)
        stem = file_stem(plate.name)
        written |= {write_bytes(figures / f"{stem}.png", drawn.light).name}
        written |= {write_bytes(figures / f"{stem}.pdf", drawn.pdf).name}
        shown[plate.name] = _shown(number, stem, drawn)
    # A figure of an earlier report would look as if it belonged to this one.
    for path in figures.glob("*"):
        if path.suffix in (".png", ".pdf") and path.name not in written:
            path.unlink()
    return shown


def render(template: str, sections: Sequence[Section], shown: Mapping[str, Shown], **facts: Any) -> str:
    """Fill a template that extends ``page.html.j2``.

    Args:
        template: Its file name.
        sections: The sections of the page.
        shown: What :func:`draw_all` returned.
        facts: What the template names besides; ``title`` is needed.

    Returns:
        The page.

    Example:
        >>> page = render("comparison.html.j2", [], {}, title="a and b", lead="", leaky=False)
        >>> "<title>a and b – Skyloom</title>" in page
        True
    """
    explorable = any(isinstance(block, Interactive) for section in sections for block in section.blocks)
    bundle = plotly_packed() if explorable else ""
    return (
        _environment().get_template(template).render(sections=sections, shown=shown, plotly=bundle, **facts)
    )


def plates_of(sections: Sequence[Section]) -> Iterator[Plate]:
    """Every figure of the sections, in the order of the page."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Gallery):
                yield from block.plates
            elif isinstance(block, Interactive):
                yield from (plot.plate for plot in block.plots)


def file_stem(name: str) -> str:
    """A figure's name without characters that a file system or a link could stumble over.

    Example:
        >>> file_stem("variants-x_HI (box)")
        'variants-x_HI-box'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


@cache
def plotly_packed() -> str:
    """Plotly's script as base64 of gzip, which every browser since 2023 unpacks by itself.

    The Python package ships no smaller bundle than the whole one (4.8 MB); packed it takes 2.0 MB of a page.
    """
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode("ascii")


def _shown(number: int, stem: str, figure: Drawn) -> Shown:
    width = figure.plate.size[0]
    pixels = Image.open(io.BytesIO(figure.light)).size
    on_screen = round(width * _PIXELS_PER_INCH)
    return Shown(
        number,
        stem,
        _data_uri(figure.light),
        _data_uri(figure.dark),
        on_screen,
        round(on_screen * pixels[1] / pixels[0]),
        wide=width > 5,
    )


def _data_uri(png: bytes) -> str:
    packed = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(packed, "WEBP", lossless=True, quality=60, method=2)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("skyloom.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.filters["as_json"] = _as_json
    return environment


def _unbroken(text: str | Markup) -> Markup:
    """Keep a number and its percent sign on one line."""
    return Markup(escape(text).replace(" %", "\u00a0%"))


def _as_json(value: Any) -> Markup:
    """JSON that may stand inside a script element: no tag can begin or end in it."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
