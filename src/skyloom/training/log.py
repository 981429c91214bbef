"""``log.csv``: every score of a training, one row a logged step, complete after any number of interruptions.

Columns: ``step`` (optimiser steps done), ``epoch`` (from 1), ``seconds`` (of training so far, interruptions
not counted), ``lr`` (used in that step), ``train/loss`` (mean over the maps since the row before in the same
epoch), then at the end of each epoch ``train/loss_epoch`` (mean over all its maps) and ``validation/loss``
(of the averaged weights where EMA is on), and whatever else the method logs. A cell that was not measured is
empty. Numbers are written so that they read back bit for bit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from skyloom import runs

FIRST = ("step", "epoch", "seconds", "lr", "train/loss", "train/loss_epoch", "validation/loss")


class Log:
    """The rows of ``log.csv``, kept in memory and written whole.

    Args:
        text: The file's text so far, as ``text`` returned it.

    Example:
        >>> log = Log()
        >>> log.add({"step": 10, "epoch": 1, "train/loss": 0.5})
        >>> log.add({"step": 20, "epoch": 1, "validation/loss": 0.25, "validation/r2": 0.1})
        >>> print(log.text())
        step,epoch,train/loss,validation/loss,validation/r2
        10,1,0.5,,
        20,1,,0.25,0.1
        >>> Log(log.text()).text() == log.text()
        True
    """

    def __init__(self, text: str = "") -> None:
        reader = csv.DictReader(io.StringIO(text))
        self._rows = [{name: cell for name, cell in row.items() if cell} for row in reader]
        self._names = set(reader.fieldnames or ())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Mapping[str, float | int]) -> None:
        """Append a row.

        Args:
            row: Column names and numbers; names not seen before become columns.
        """
        self._rows.append({name: repr(value) for name, value in row.items()})
        self._names.update(row)

    def text(self) -> str:
        """Return the file's text: the known columns first, then the others by name."""
        names = [name for name in FIRST if name in self._names]
        names += sorted(self._names.difference(FIRST))
        file = io.StringIO()
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        return file.getvalue()

    def write(self, path: Path) -> None:
        """Write the file atomically.

        Args:
            path: The file.

        Raises:
            DataError: It cannot be written.
        """
        runs.write_text(path, self.text())
