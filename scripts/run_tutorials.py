"""Run the tutorials and keep their figures: docs/tutorials/NAME.md becomes docs/tutorials/NAME.ipynb.

python scripts/run_tutorials.py [NAME ...]

The Markdown is what is written by hand; its fenced ``{code-cell}`` blocks are run in order, in an empty
folder. The notebook holds the same text, the same code and what came out; the documentation shows it as it
is and runs nothing.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.M | re.S)
LARGEST = 300_000  # bytes of a notebook


def notebook(text: str) -> Any:
    """Return the notebook of a tutorial's text, not run yet."""
    cells = []
    for place, part in enumerate(CELL.split(text)):
        make = new_code_cell if place % 2 else new_markdown_cell
        if part.strip():
            cells.append(make(part.strip(), id=f"cell-{place}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def run(name: str) -> None:
    """Run one tutorial and write its notebook."""
    made = notebook((TUTORIALS / f"{name}.md").read_text())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(made, timeout=900, resources={"metadata": {"path": folder}}).execute()
    for cell in made.cells:
        cell.metadata.pop("execution", None)
    content = nbformat.writes(made).replace(folder, ".") + "\n"
    size = len(content.encode())
    if size > LARGEST:
        sys.exit(f"{name}: {size} bytes, allowed: {LARGEST}; draw smaller figures")
    (TUTORIALS / f"{name}.ipynb").write_text(content)
    sys.stdout.write(f"{name}: {time.monotonic() - began:.0f} s, {size // 1000} kB\n")


def main(names: list[str]) -> None:
    """Run the tutorials named, or all."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    for name in names or sorted(path.stem for path in TUTORIALS.glob("*.md")):
        run(name)


if __name__ == "__main__":
    main(sys.argv[1:])
