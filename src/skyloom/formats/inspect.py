"""The data doctor: what a file or field set holds, in one page of text.

Each field with its shape, unit, extremes, mean and spread; each label; the simulations and their seeds; and
the counts of a label by redshift, which show at once whether a set is balanced. Maps are read in blocks, so a
set larger than memory can be inspected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom import fields
from skyloom.errors import UsageError, nearest

if TYPE_CHECKING:
    import xarray as xr

BLOCK = 256  #: samples read at once


@dataclass(frozen=True)
class Column:
    """One field or label: what it is and how its values spread."""

    name: str
    role: str
    unit: str
    shape: tuple[int, ...]
    minimum: float
    maximum: float
    mean: float
    spread: float
    bad: int


@dataclass(frozen=True)
class Summary:
    """What :func:`summarise` found.

    Args:
        attributes: Suite, realism, box and periodicity.
        samples: Number of maps, cubes or events.
        groups: Number of simulations.
        seeds: Number of different seeds.
        columns: Fields, then labels.
        histogram: Counts of a label by redshift, shape ``(redshifts, bins)``.
        histogram_of: That label.
        redshifts: Lower edges of the rows, or the redshifts themselves where they are few.
        edges: Bin edges of the label, shape ``(bins + 1,)``.
    """

    attributes: dict[str, str]
    samples: int
    groups: int
    seeds: int
    columns: tuple[Column, ...]
    histogram: np.ndarray
    histogram_of: str
    redshifts: tuple[float, ...]
    edges: tuple[float, ...]

    @property
    def bad(self) -> int:
        """Number of values that are not finite."""
        return sum(column.bad for column in self.columns)

    def text(self) -> str:
        """Return the page."""
        lines = [f"{name}: {value}" for name, value in self.attributes.items()]
        lines.append(f"samples: {self.samples}   simulations: {self.groups}   seeds: {self.seeds}")
        header = ("name", "role", "unit", "shape", "minimum", "maximum", "mean", "spread", "not finite")
        rows = [
            (
                column.name, column.role, column.unit or "1", "×".join(map(str, column.shape)),
                *(f"{value:.4g}" for value in (column.minimum, column.maximum, column.mean, column.spread)),
                str(column.bad) if column.bad else "-",
            )
            for column in self.columns
        ]  # fmt: skip
        lines += ["", *_aligned([header, *rows])]
        if self.histogram_of:
            lines += ["", f"number of samples by {self.histogram_of} (columns) and redshift (rows)"]
            head = ("z", *(f"{low:.2f}-" for low in self.edges[:-1]), "all")
            body = [
                (f"{z:.2f}", *(str(n) if n else "." for n in row), str(row.sum()))
                for z, row in zip(self.redshifts, self.histogram, strict=True)
            ]
            lines += _aligned([head, *body])
        if self.bad:
            lines += ["", f"WARNING: {self.bad} values are not finite; they cannot be trained on"]
        return "\n".join(lines)


def summarise(ds: xr.Dataset, *, by: str | None = None, bins: int = 10) -> Summary:
    """Return what a field set holds.

    Args:
        ds: Field set.
        by: Label of the histogram; ``x_HI`` or the first label if not given.
        bins: Its number of bins between the ends of its range.

    Returns:
        The summary; ``text()`` prints it.

    Raises:
        UsageError: There is no such label.

    Example:
        >>> from skyloom.fields import example
        >>> summary = summarise(example(groups=2, per_group=2))
        >>> summary.groups, summary.histogram.sum()
        (2, np.int64(4))
    """
    names = fields.parameters(ds)
    if by is not None and by not in names:
        raise UsageError(f"no label {by!r}", hint=nearest(by, names))
    by = by or ("x_HI" if "x_HI" in names else next(iter(names), ""))
    columns = [_column(name, "field", ds[name]) for name in fields.fields(ds)]
    columns += [_column(name, ds[name].attrs["role"], ds[name]) for name in names]
    histogram, redshifts, edges = _histogram(ds, by, bins) if by else (np.zeros((0, 0), int), (), ())
    box = f"{ds.attrs['box_size']:g} {ds.attrs['box_size_unit']}"
    return Summary(
        attributes={
            "suite": f"{ds.attrs['suite']} ({ds.attrs['realism']})",
            "box": f"{box}, {'periodic' if ds.attrs['periodic'] else 'not periodic'}",
        },
        samples=ds.sizes["sample"],
        groups=len(np.unique(ds["group"])),
        seeds=len(np.unique(ds["seed"])),
        columns=tuple(columns),
        histogram=histogram,
        histogram_of=by,
        redshifts=redshifts,
        edges=edges,
    )


def _blocks(array: xr.DataArray) -> Iterator[np.ndarray]:
    for start in range(0, array.sizes["sample"], BLOCK):
        yield array[start : start + BLOCK].values


def _column(name: str, role: str, array: xr.DataArray) -> Column:
    unit, shape = array.attrs["units"], array.shape
    count, bad, total, square = 0, 0, 0.0, 0.0
    low, high, shift = np.inf, -np.inf, None
    for block in _blocks(array):
        finite = block[np.isfinite(block)].astype(np.float64)
        bad += block.size - finite.size
        if not finite.size:
            continue
        # Sums about a value of the data: the spread of a large mean stays exact.
        shift = float(finite.flat[0]) if shift is None else shift
        count += finite.size
        total += float((finite - shift).sum())
        square += float(((finite - shift) ** 2).sum())
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if shift is None:
        return Column(name, role, unit, shape, np.nan, np.nan, np.nan, np.nan, bad)
    mean = total / count
    spread = np.sqrt(max(square / count - mean**2, 0.0))
    return Column(name, role, unit, shape, low, high, shift + mean, float(spread), bad)


def _histogram(ds: xr.Dataset, by: str, bins: int) -> tuple[np.ndarray, tuple[float, ...], tuple[float, ...]]:
    values, z = ds[by].values, ds["redshift"].values
    attributes = ds[by].attrs
    edges = np.linspace(
        attributes.get("low", np.nanmin(values)), attributes.get("high", np.nanmax(values)), bins + 1
    )
    rows = np.unique(z[np.isfinite(z)].round(2))
    if len(rows) > 40:  # a light cone: whole redshifts
        rows = np.unique(np.floor(rows))
        z = np.floor(z)
    counts = [np.histogram(values[np.isclose(z, row, atol=5e-3)], edges)[0] for row in rows]
    if not len(rows):
        rows, counts = np.array([np.nan]), [np.histogram(values, edges)[0]]
    return np.array(counts), tuple(map(float, rows)), tuple(map(float, edges))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.lstrip().ljust(widths[0]), *rest]).rstrip())
    return lines
