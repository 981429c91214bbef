"""Run the tutorials and keep their figures: docs/tutorials/NAME.md becomes docs/tutorials/NAME.ipynb.

python scripts/run_tutorials.py [--text] [NAME ...]

The Markdown is what is written by hand; its fenced ``{code-cell}`` blocks are run in order, in an empty
folder. The notebook holds the same text, the same code and what came out; the documentation shows it as it
is and runs nothing. With ``--text`` nothing is run: changed text is taken over beside the old output.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.M | re.S)
LARGEST = 300_000  # bytes of a notebook
NOISE = "IProgress not found"  # tqdm misses widgets that nobody needs


def cells(text: str) -> list[tuple[str, str]]:
    """Return the cells of a tutorial's text, ``markdown`` or ``code`` and what stands in each."""
    parts = enumerate(CELL.split(text))
    return [(("markdown", "code")[place % 2], part.strip()) for place, part in parts if part.strip()]


def notebook(text: str) -> Any:
    """Return the notebook of a tutorial's text, not run yet."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    make = {"markdown": new_markdown_cell, "code": new_code_cell}
    made = [make[kind](source, id=f"cell-{place}") for place, (kind, source) in enumerate(cells(text))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=made, metadata={"kernelspec": kernel})


def run(name: str) -> None:
    """Run one tutorial and write its notebook."""
    import nbformat
    from nbclient import NotebookClient

    made = notebook((TUTORIALS / f"{name}.md").read_text())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(made, timeout=900, resources={"metadata": {"path": folder}}).execute()
    for cell in made.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if NOISE not in output.get("text", "")]
    size = _write(name, nbformat.writes(made).replace(folder, ".") + "\n")
    sys.stdout.write(f"{name}: {time.monotonic() - began:.0f} s, {size // 1000} kB\n")


def retell(name: str) -> None:
    """Take over the text of a tutorial; its code must be that of the notebook."""
    import nbformat

    made, old = notebook((TUTORIALS / f"{name}.md").read_text()), nbformat.read(_file(name), as_version=4)
    ran = [cell for cell in old.cells if cell.cell_type == "code"]
    code = [place for place, cell in enumerate(made.cells) if cell.cell_type == "code"]
    if [cell.source for cell in ran] != [made.cells[place].source for place in code]:
        sys.exit(f"{name}: its code has changed, run it again")
    for place, cell in zip(code, ran, strict=True):
        cell.id = made.cells[place].id
        made.cells[place] = cell
    made.metadata = old.metadata
    _write(name, nbformat.writes(made) + "\n")


def _file(name: str) -> Path:
    return TUTORIALS / f"{name}.ipynb"


def _write(name: str, content: str) -> int:
    size = len(content.encode())
    if size > LARGEST:
        sys.exit(f"{name}: {size} bytes, allowed: {LARGEST}; draw smaller figures")
    _file(name).write_text(content)
    return size


def main(names: list[str]) -> None:
    """Run the tutorials named, or all."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    doing = retell if "--text" in names else run
    names = [name for name in names if name != "--text"]
    for name in names or sorted(path.stem for path in TUTORIALS.glob("*.md")):
        doing(name)


if __name__ == "__main__":
    main(sys.argv[1:])
