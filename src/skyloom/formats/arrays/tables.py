"""A table with one row a map: CSV, columns of text, or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.errors import FormatError, nearest
from skyloom.fields import Label

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".parquet")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table.

    Args:
        path: ``.csv``, ``.tsv``, ``.parquet``, or ``.txt`` and ``.dat`` with blanks between the columns;
            names stand in the first line, which may begin with ``#``.

    Raises:
        FormatError: The file is of another kind or cannot be read, or a column has no name or no value.
    """
    import pandas as pd

    if path.suffix not in SUFFIXES:
        raise FormatError(
            f"{path}: a file of this kind holds no table that can be read",
            hint=f"allowed: {', '.join(SUFFIXES)}",
        )
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            with path.open() as file:
                first = file.readline()
            separator = {".csv": ",", ".tsv": "\t"}.get(path.suffix, r"\s+")
            names = first.lstrip("# ").strip()
            split = names.split() if separator == r"\s+" else names.split(separator)
            table = pd.read_csv(path, sep=separator, skiprows=1, header=None, comment="#")
            if len(split) != table.shape[1]:
                raise FormatError(
                    f"{path}: its first line names {len(split)} columns, its rows have {table.shape[1]}",
                    hint="names of the columns stand in the first line",
                )
            table.columns = pd.Index([name.strip().strip("\"'") for name in split])
    except ImportError as error:
        raise FormatError(f"{path}: {error}", hint="pip install pyarrow, or write it as CSV") from error
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read as a table ({error})", hint="write it as CSV") from error
    empty = [str(name) for name in table.columns if table[name].isna().any()]
    if empty:
        row = int(table[empty[0]].isna().to_numpy().argmax())
        raise FormatError(
            f"{path}: row {row} has no value of {empty[0]!r}", hint="fill it, or leave its map out"
        )
    return table


def labels(table: pd.DataFrame, measured: list[str], units: dict[str, str]) -> dict[str, Label]:
    """Return the columns as parameters and labels; columns of words become classes.

    Args:
        table: Columns, one row a map.
        measured: Columns that were measured from the simulation; the others are its parameters.
        units: Column to unit.

    Raises:
        FormatError: There is no such column.
    """
    import pandas as pd

    for name in measured:
        if name not in table:
            raise FormatError(
                f"the table has no column {name!r}", hint=nearest(name, map(str, table.columns))
            )
    found = {}
    for name in map(str, table.columns):
        role = "label" if name in measured else "parameter"
        column = table[name]
        if pd.api.types.is_numeric_dtype(column):
            low, high = float(column.min()), float(column.max())
            found[name] = Label(column.to_numpy(float), role, units.get(name, ""), name, low, high)  # type: ignore[arg-type]
        else:
            words = sorted(column.astype(str).unique())
            codes = column.astype(str).map({word: code for code, word in enumerate(words)}).to_numpy(float)
            found[name] = Label(codes, role, "", name, classes=dict(enumerate(words)))  # type: ignore[arg-type]
    return found
