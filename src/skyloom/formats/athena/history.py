"""Athena++ history files (``.hst``): sums over the box at every output time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from skyloom.errors import FormatError

_COLUMN = re.compile(r"\[(\d+)\]=(\S+)")


def history(path: Path | str) -> xr.Dataset:
    r"""Read a history file.

    Args:
        path: A ``.hst`` file of Athena++.

    Returns:
        One variable a column, along ``time`` [code units]; columns that the header does not name, as the
        cosmic-ray fork writes without cosmic rays, are ``column_13`` and so on. A run that was restarted
        wrote some times twice: the later line counts.

    Raises:
        FormatError: There is no header, or a line has another number of columns; the message names it.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.hst"
        >>> _ = file.write_text("# Athena++ history data\n# [1]=time [2]=mass\n 0.0 1.0\n 0.5 1.0\n")
        >>> history(file)["mass"].values.tolist()
        [1.0, 1.0]
    """
    path = Path(path)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read as text ({error})") from error
    names = [name for line in lines if line.startswith("#") for _, name in _COLUMN.findall(line)]
    # A restart repeats the header.
    names = list(dict.fromkeys(names))
    if "time" not in names:
        raise FormatError(
            f"{path}: has no header with [1]=time ...", hint="is it a history file of Athena++?"
        )
    rows: dict[float, list[float]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError as error:
            raise FormatError(f"{path}:{number}: is no row of numbers ({error})") from error
        width = len(next(iter(rows.values()), row))
        if len(row) != width or width < len(names):
            raise FormatError(
                f"{path}:{number}: has {len(row)} columns, allowed: {max(width, len(names))}",
                hint="the last line may be cut off: remove it",
            )
        rows[row[names.index("time")]] = row
    if not rows:
        raise FormatError(f"{path}: has a header and no line of numbers")
    table = np.array([rows[time] for time in sorted(rows)]).reshape(len(rows), -1)
    names += [f"column_{i + 1}" for i in range(len(names), table.shape[1])]
    columns = {name: ("time", table[:, i]) for i, name in enumerate(names)}
    times = columns.pop("time")
    return xr.Dataset(columns, coords={"time": times})
