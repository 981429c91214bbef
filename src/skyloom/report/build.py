"""From a run folder to one page: draws every figure, writes ``figures/`` and ``report.html``.

The page is one file: images are inside it, in a light and a dark edition, and it asks for nothing else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from skyloom.report.answers import opening
from skyloom.report.artefacts import Artefacts
from skyloom.report.page import Gallery, Section
from skyloom.report.sections import errors, evidence, explanations, results, training
from skyloom.report.style import Drawn, Plate, draw

_SECTIONS: tuple[Callable[[Artefacts], Section | None], ...] = (
    results.side_by_side,
    results.predictions,
    results.baselines,
    errors.error_bars,
    explanations.explanations,
    evidence.data_and_split,
    training.training,
    evidence.provenance,
    evidence.recipe,
)
_PIXELS_PER_INCH = 114


@dataclass(frozen=True)
class Shown:
    """A figure on the page: its number, its size on screen [pixel] and its two editions as data URIs."""

    number: int
    light: str
    dark: str
    width: int
    height: int
    wide: bool


def build(folder: Path) -> Path:
    """Write the report of a run from the artefacts in its folder.

    Args:
        folder: A run folder. Only its recipe and provenance must be there; for everything else that is
            missing the page says which command makes it.

    Returns:
        The path of ``report.html``; every figure is in ``figures/`` too, as PNG and PDF.

    Raises:
        DataError: The folder is no run, a file in it is damaged, or the disk is full.

    Example:
        >>> import tempfile
        >>> from skyloom.runs import RunFolder
        >>> run = RunFolder.create(Path(tempfile.mkdtemp()) / "a", {"name": "a", "task": {"name": "infer"}})
        >>> build(run.path).name
        'report.html'
    """
    run = Artefacts(Path(folder))
    first = opening(run)
    sections = [section for make in _SECTIONS if (section := make(run)) is not None]
    drawn = [draw(plate, leaky=run.leaky) for plate in _plates(sections)]
    _save(run, drawn)
    shown = {figure.plate.name: _shown(number, figure) for number, figure in enumerate(drawn, start=1)}
    page = _template().render(opening=first, sections=sections, shown=shown, run=run)
    return run.run.write_text("report.html", page)


def _plates(sections: Sequence[Section]) -> Iterator[Plate]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Gallery):
                yield from block.plates


def _save(run: Artefacts, drawn: Sequence[Drawn]) -> None:
    written = set()
    for figure in drawn:
        stem = file_stem(figure.plate.name)
        written |= {run.run.write_bytes(f"figures/{stem}.png", figure.light).name}
        written |= {run.run.write_bytes(f"figures/{stem}.pdf", figure.pdf).name}
    # A figure of an earlier report would look as if it belonged to this one.
    for path in run.path.glob("figures/*"):
        if path.suffix in (".png", ".pdf") and path.name not in written:
            path.unlink()


def file_stem(name: str) -> str:
    """A figure's name without characters that a file system or a link could stumble over.

    Example:
        >>> file_stem("variants-x_HI (box)")
        'variants-x_HI-box'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


def _shown(number: int, figure: Drawn) -> Shown:
    width = figure.plate.size[0]
    pixels = int.from_bytes(figure.light[16:20], "big"), int.from_bytes(figure.light[20:24], "big")
    on_screen = round(width * _PIXELS_PER_INCH)
    return Shown(
        number,
        _data_uri(figure.light),
        _data_uri(figure.dark),
        on_screen,
        round(on_screen * pixels[1] / pixels[0]),
        wide=width > 5,
    )


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("skyloom.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
