"""From a run folder to one page: draws every figure, writes ``figures/`` and ``report.html``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skyloom.report.answers import opening
from skyloom.report.artefacts import Artefacts
from skyloom.report.frame import draw_all, render
from skyloom.report.page import Section
from skyloom.report.sections import (
    class_statistics,
    classes,
    directions,
    emulated,
    errors,
    evidence,
    explanations,
    results,
    statistics,
    training,
    transfer,
    translation,
)

_SECTIONS: tuple[Callable[[Artefacts], Section | None], ...] = (
    results.side_by_side,
    results.predictions,
    directions.angular_resolution,
    translation.translation,
    classes.classes,
    class_statistics.class_statistics,
    results.baselines,
    errors.error_bars,
    classes.probabilities,
    transfer.other_suites,
    explanations.explanations,
    evidence.data_and_split,
    statistics.statistics,
    training.training,
    evidence.provenance,
    evidence.recipe,
)

#: Of a run that draws maps: what it drew and how that was judged stands in front of these.
_EMULATOR: tuple[Callable[[Artefacts], Section | None], ...] = (
    evidence.data_and_split,
    training.training,
    evidence.provenance,
    evidence.recipe,
)


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
    emulates = (run.recipe.get("task") or {}).get("name") == "emulate"
    made = [section for make in (_EMULATOR if emulates else _SECTIONS) if (section := make(run)) is not None]
    sections = [*(emulated.drawn(run) if emulates else ()), *made]
    shown = draw_all(sections, run.path / "figures", leaky=run.leaky)
    page = render("report.html.j2", sections, shown, title=run.name, leaky=run.leaky, opening=opening(run))
    return run.run.write_text("report.html", page)
