"""The data doctor: what a file or field set holds, and what is wrong with it, in one page of text.

Each field with its unit, extremes, mean and spread; each label; the simulations and their seeds; the counts
of a label by redshift, which show at once whether a set is balanced; and the findings of the checks in
``formats.doctor``. Maps are read in blocks, so a set larger than memory can be inspected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import fields
from skyloom.errors import SkyloomError, UsageError, nearest
from skyloom.fields.convention import ROLES
from skyloom.formats import doctor
from skyloom.splits.clusters import clusters

if TYPE_CHECKING:
    import xarray as xr


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
        findings: What the checks found, those where all is well included.
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
    findings: tuple[doctor.Finding, ...] = ()

    def text(self, width: int = 100) -> str:
        """Return the page.

        Args:
            width: Characters of a line; the findings are folded to it.
        """
        lines = [f"{name}: {value}" for name, value in self.attributes.items()]
        lines.append(f"samples: {self.samples}   simulations: {self.groups}   seeds: {self.seeds}")
        for title, roles in (("field", ("field",)), ("parameter or label", ROLES)):
            chosen = [column for column in self.columns if column.role in roles]
            if chosen:
                lines += ["", *_table(title, chosen)]
        if self.histogram_of:
            lines += ["", f"number of samples by {self.histogram_of} (columns) and redshift (rows)"]
            head = ("z", *(f"{low:.4g}-" for low in self.edges[:-1]), "all")
            body = [
                ("-" if np.isnan(z) else f"{z:.2f}", *(str(n) if n else "." for n in row), str(row.sum()))
                for z, row in zip(self.redshifts, self.histogram, strict=True)
            ]
            lines += _aligned([head, *body])
        lines += ["", doctor.render(self.findings, width)]
        return "\n".join(lines)

    def content(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        return asdict(self)


def summarise(
    ds: xr.Dataset,
    *,
    by: str | None = None,
    bins: int = 10,
    stored: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Return what a field set holds and what is wrong with it.

    Args:
        ds: Field set.
        by: Label of the histogram; ``x_HI`` or the first label if not given.
        bins: Its number of bins between the ends of its range.
        stored: Number type of each field on disk; that of ``ds`` if not given.
        progress: Called with the number of samples looked at and to look at, over all fields.

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
    surveys = doctor.survey(ds, progress)
    columns = [_field(survey) for survey in surveys]
    columns += [_label(name, ds[name]) for name in names]
    histogram, redshifts, edges = _histogram(ds, by, bins) if by else (np.zeros((0, 0), int), (), ())
    box = f"{ds.attrs['box_size']:g} {ds.attrs['box_size_unit'] or '(code units)'}"
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
        findings=tuple(_findings(ds, surveys, dict(stored or {}))),
    )


def _findings(
    ds: xr.Dataset, surveys: list[doctor.FieldSurvey], stored: dict[str, str]
) -> list[doctor.Finding]:
    ids, groups = ds["sample"].values.astype(str), ds["group"].values.astype(str)
    try:
        tied = clusters(ds)
    except SkyloomError:  # a seed or parent is not known of every sample
        tied = groups
    labels = {name: ds[name].values for name in fields.parameters(ds)}
    return [
        *doctor.finite(surveys, ids),
        *doctor.constant(surveys, ids),
        *doctor.copies(surveys, ids, tied),
        *doctor.quantities(surveys),
        *doctor.clipped(surveys),
        *doctor.precision(surveys, stored),
        *doctor.monopole(surveys, labels, groups),
        *doctor.simulations(surveys, groups),
    ]


def _field(survey: doctor.FieldSurvey) -> Column:
    low, high = (survey.lowest, survey.highest) if survey.count else (np.nan, np.nan)
    return Column(
        survey.name, "field", survey.units or "", survey.shape, low, high, survey.total_mean, survey.total_sd
    )


def _label(name: str, label: xr.DataArray) -> Column:
    values = label.values
    apart = values - values[0]  # the same value everywhere has no spread, not one of rounding
    return Column(
        name,
        label.attrs["role"],
        label.attrs.get("units", ""),
        label.shape,
        float(values.min()),
        float(values.max()),
        float(values[0] + apart.mean()),
        float(apart.std()),
    )


def _histogram(ds: xr.Dataset, by: str, bins: int) -> tuple[np.ndarray, tuple[float, ...], tuple[float, ...]]:
    values, z = ds[by].values, ds["redshift"].values
    attributes = ds[by].attrs
    low, high = attributes.get("low", np.nanmin(values)), attributes.get("high", np.nanmax(values))
    edges = np.linspace(low, high, bins + 1 if low < high else 2)
    rows = np.unique(z[np.isfinite(z)].round(2))
    if len(rows) > 40:  # a light cone: whole redshifts
        rows = np.unique(np.floor(rows))
        z = np.floor(z)
    counts = [np.histogram(values[np.isclose(z, row, atol=5e-3)], edges)[0] for row in rows]
    if not len(rows):
        rows, counts = np.array([np.nan]), [np.histogram(values, edges)[0]]
    return np.array(counts), tuple(map(float, rows)), tuple(map(float, edges))


def _table(title: str, columns: list[Column]) -> list[str]:
    maps = any(len(column.shape) > 1 for column in columns)
    rows = [(title, "unit", *(["shape"] if maps else []), "minimum", "maximum", "mean", "spread")]
    for column in columns:
        shape = ["×".join(map(str, column.shape))] if maps else []
        numbers = (f"{v:.4g}" for v in (column.minimum, column.maximum, column.mean, column.spread))
        rows.append((column.name, column.unit or "1", *shape, *numbers))
    return _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.lstrip().ljust(widths[0]), *rest]).rstrip())
    return lines
