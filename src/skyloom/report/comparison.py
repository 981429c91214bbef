"""One page for several runs: scores, differences, recipes, training curves and predictions side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from skyloom.report.artefacts import Artefacts
from skyloom.report.frame import draw_all, render
from skyloom.report.page import Section, listed
from skyloom.report.sections import compared, transfer
from skyloom.report.sections.compared import Difference, Named
from skyloom.runs import write_text

_SECTIONS: tuple[Callable[[Named], Section | None], ...] = (
    compared.scores,
    transfer.of_several,
    compared.recipes,
    compared.training,
    compared.predictions,
)


def build_comparison(folders: Sequence[Path], out: Path, differences: Sequence[Difference] = ()) -> Path:
    """Write the page that compares runs.

    Args:
        folders: Run folders, two or more; the first is what the others are held against.
        out: The HTML file to write; its figures go beside it, to ``<stem>-figures/``, as PNG and PDF.
        differences: Paired differences to the first run, one for each other run.

    Returns:
        ``out``.

    Raises:
        DataError: A folder is no run, or a file in it is damaged.

    Example:
        >>> import tempfile
        >>> from skyloom.runs import RunFolder
        >>> home = Path(tempfile.mkdtemp())
        >>> runs = [RunFolder.create(home / name, {"name": name}).path for name in ("a", "b")]
        >>> build_comparison(runs, home / "compare.html").name
        'compare.html'
    """
    runs = dict(zip(labels(folders), map(Artefacts, folders), strict=True))
    sections = [section for make in _SECTIONS if (section := make(runs)) is not None]
    if differences:
        sections.insert(1, compared.differences(runs, differences))
    shown = draw_all(sections, out.parent / f"{out.stem}-figures")
    leaky = [name for name, run in runs.items() if run.leaky]
    title = str(listed(list(runs))) if len(runs) < 4 else f"{len(runs)} runs"
    lead = f"Marked as leaky: {listed(leaky)}." if leaky else "No split of these runs is marked as leaky."
    page = render("comparison.html.j2", sections, shown, title=title, lead=lead, leaky=False)
    return write_text(out, page)


def labels(folders: Sequence[Path]) -> list[str]:
    """Name folders by as much of the end of their path as tells them apart.

    Example:
        >>> labels([Path("runs/a"), Path("runs/b/variants/c"), Path("runs/d/variants/c")])
        ['a', 'b/variants/c', 'd/variants/c']
    """
    parts = [Path(folder).resolve().parts for folder in folders]

    def label(own: tuple[str, ...], length: int) -> str:
        rivals = [other for other in parts if other != own and other[-length:] == own[-length:]]
        return label(own, length + 1) if rivals and length < len(own) else "/".join(own[-length:])

    return [label(own, 1) for own in parts]
