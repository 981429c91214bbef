"""The section on summary statistics: are the sides drawn from the same skies?

Whatever stands in ``statistics.nc`` is shown by its shape, not by its name: a variable with one axis is a
curve to zoom into, one with two is a matrix, a number or a handful of numbers is a row of the table. Axes of
words (``functional``: area, perimeter, genus) are taken apart first, as are a few values of a second axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from textwrap import wrap

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from skyloom.errors import UnitError
from skyloom.report.artefacts import Artefacts
from skyloom.report.figures.interactive import explorable
from skyloom.report.figures.statistics import Band, matrices_compared, separation, sides_compared
from skyloom.report.page import (
    Block,
    Gallery,
    Interactive,
    Missing,
    Plot,
    Row,
    Section,
    Table,
    Text,
    counted,
    listed,
    number,
    parameter,
    unit_of,
)
from skyloom.report.style import COLUMN, PAGE, Plate, symbol, unit_text
from skyloom.units import parse

_STEEP = 30.0  #: a curve that spans more than this factor gets a logarithmic axis
_WIDE = 8.0  #: an abscissa that spans more than this factor does
_HANDFUL = 4  #: so few values are no curve
_LETTERS = "UOS"  #: numpy's kinds of text


@dataclass(frozen=True)
class Piece:
    """A number, a curve or a matrix of a statistic, on each side.

    Args:
        name: What tells it from all others.
        field: Field or pair of fields.
        words: What it is.
        unit: Its unit.
        axes: Coordinates of its axes.
        bands: Side to mean and spread over groups, the train side first.
        counts: What stands in each bin: words to values of the axes' shape.
    """

    name: str
    field: str
    words: str
    unit: str
    axes: tuple[xr.DataArray, ...]
    bands: Mapping[str, Band]
    counts: Mapping[str, np.ndarray]

    @property
    def title(self) -> Markup:
        """What it is of which field, as a caption begins."""
        return Markup("{} of {}").format(_sentence(self.words), _fields(self.field))

    @property
    def apart(self) -> float | None:
        """Largest difference of two sides' means in units of the larger spread; None without any."""
        if len(self.bands) < 2:
            return None
        first, second, *_ = self.bands.values()
        far = np.abs(separation(first, second))
        far = far[np.isfinite(far)]
        return float(far.max()) if far.size else None


def statistics(run: Artefacts) -> Section:
    """Every statistic that was saved with the side that was judged, beside that of the train side.

    Args:
        run: The artefacts.
    """
    lead = (
        "Statistics of the raw maps: mean over simulations, shaded their spread. Where the bands part, the "
        "score is one of extrapolation."
    )
    data = run.statistics(run.side)
    if data is None:
        what = "No statistics of the sides. Name some in the recipe (evaluate.statistics: [pdf])."
        blocks: list[Block] = [Missing(what, f"skyloom evaluate {run.path}")]
    else:
        blocks = statistics_blocks(data)
    return Section("statistics", "Do the sides look alike?", lead, blocks)


def statistics_blocks(data: xr.Dataset) -> list[Block]:
    """Curves, matrices and numbers of a file of statistics.

    Args:
        data: ``statistics.nc``: variables ``field.statistic.name (side, ...)``, the mean over groups, and
            ``….spread``, their sd; variables without ``side`` count what stands in a bin.
    """
    found = [piece for key in keys(data) for piece in pieces(data, key)]
    sides = listed(
        [f"{side} ({counted(n, 'simulation')})" for side in _order(data) if (n := groups_of(data, side))]
    )
    curves = [piece for piece in found if len(piece.axes) == 1]
    matrices = [piece for piece in found if len(piece.axes) == 2]
    numbers = [piece for piece in found if not piece.axes]
    blocks: list[Block] = []
    if curves:
        blocks.append(Interactive([_curve(piece, sides) for piece in curves]))
    if matrices:
        blocks.append(Gallery([_matrix(piece) for piece in matrices]))
    if numbers:
        blocks.append(_table(numbers))
    floors = [
        Markup("{} of {} {}").format(
            key.split(".")[1].replace("_", " "), _fields(key.split(".")[0]), number(far, 1)
        )
        for key in keys(data)
        if math.isfinite(far := float(data[key].attrs.get("halves_apart", math.nan)))
    ]
    if floors:
        blocks.append(
            Text(
                Markup("Two halves of the train side itself lie apart, in spreads, by at most: {}.").format(
                    listed(floors)
                )
            )
        )
    left = [piece.words for piece in found if len(piece.axes) > 2]
    if left:
        blocks.append(Text(f"In the file and not drawn, since they have more than two axes: {listed(left)}."))
    return blocks


def groups_of(data: xr.Dataset | None, side: str) -> int | None:
    """Number of groups of a side, None where it is not on record.

    Args:
        data: ``statistics.nc`` or None.
        side: ``train``, ``validation`` or ``test``.

    Example:
        >>> groups_of(xr.Dataset(coords={"side": ["train"], "groups": ("side", [36])}), "train")
        36
    """
    if data is None or "groups" not in data.coords or side not in data["side"].values:
        return None
    return int(data["groups"].sel(side=side))


def pieces(data: xr.Dataset, key: str) -> Iterator[Piece]:
    """Take a variable apart until what is left can be drawn or printed.

    Args:
        data: ``statistics.nc``.
        key: Name of a variable with the axis ``side``.

    Yields:
        Pieces; a variable that has no finite value gives none.

    Example:
        >>> mean = xr.DataArray([[[1.0, 2.0]]], dims=("side", "f.s.functional", "f.s.nu"))
        >>> coords = {"side": ["train"], "f.s.functional": ["area"], "f.s.nu": [0.0, 1.0]}
        >>> [(piece.name, piece.words) for piece in pieces(xr.Dataset({"f.s.v": mean}, coords), "f.s.v")]
        [('s-f-v-area-0', 'v, area, nu 0'), ('s-f-v-area-1', 'v, area, nu 1')]
    """
    field, statistic, variable = key.rsplit(".", 2)
    mean = data[key].transpose("side", ...)
    spread = data[f"{key}.spread"] if f"{key}.spread" in data else xr.full_like(mean, np.nan)
    spread = spread.transpose(*mean.dims)
    axes = tuple(_axis(data, str(dim)) for dim in mean.dims[1:])
    counts = {
        _words(data[other]): data[other].values
        for other in map(str, data.data_vars)
        if other.startswith(f"{field}.{statistic}.") and data[other].dims == mean.dims[1:]
    }
    bands = {side: Band(mean.sel(side=side).values, spread.sel(side=side).values) for side in _order(data)}
    whole = Piece(
        f"{statistic}-{field}-{variable}",
        field,
        _words(mean),
        str(mean.attrs.get("units", "")),
        axes,
        bands,
        counts,
    )
    if any(np.isfinite(band.mean).any() for band in bands.values()):
        yield from _apart(whole)


def _apart(piece: Piece) -> Iterator[Piece]:
    place = next((i for i, axis in enumerate(piece.axes) if _splits(axis, piece.axes)), None)
    if place is None:
        yield piece
        return
    axis = piece.axes[place]
    spoken = axis.dtype.kind in _LETTERS
    for index, label in enumerate(axis.values):
        said = str(label) if spoken else f"{label:.4g}"
        unit = str(axis.attrs.get("units", ""))
        cut = partial(np.take, indices=index, axis=place)
        part = replace(
            piece,
            name=f"{piece.name}-{said}",
            words=f"{piece.words}, {said if spoken else f'{_words(axis)} {said} {unit}'.strip()}",
            axes=piece.axes[:place] + piece.axes[place + 1 :],
            bands={side: Band(cut(band.mean), cut(band.spread)) for side, band in piece.bands.items()},
            counts={words: cut(values) for words, values in piece.counts.items()},
        )
        yield from _apart(part)


def _splits(axis: xr.DataArray, axes: tuple[xr.DataArray, ...]) -> bool:
    """Whether an axis is rather a list of things than a line to draw along."""
    if axis.dtype.kind in _LETTERS:
        return True
    handful = axis.size <= _HANDFUL and (len(axes) == 1 or max(other.size for other in axes) > 2 * axis.size)
    return handful and len(axes) <= 2


def curve_labels(piece: Piece) -> tuple[str, str, tuple[bool, bool]]:
    """What stands at the axes of a curve, and whether they are logarithmic.

    Args:
        piece: A piece with one axis.
    """
    (axis,) = piece.axes
    log = (_is_scale(axis), _spans(np.stack([b.mean for b in piece.bands.values()]), _STEEP))
    return _label(_words(axis), axis), _value_label(piece), log


def _curve(piece: Piece, sides: Markup) -> Plot:
    (axis,) = piece.axes
    *labels, log = curve_labels(piece)
    apart = f" At most {number(piece.apart, 1)} spreads apart." if piece.apart is not None else ""
    caption = Markup("{}: {}.{}").format(piece.title, sides, apart)
    alt = f"{piece.words} of {piece.field} of the sides {', '.join(piece.bands)}.{apart}"
    draw = partial(_fill_curve, axis.values, piece.bands, (labels[0], labels[1]), log)
    plate = Plate(piece.name, draw, alt, caption, size=(COLUMN, 2.9))
    names = (_words(axis), unit_of(str(axis.attrs.get("units", ""))))
    broken = Markup("<br>").join(_lines(f"{piece.words} of"))
    values = (Markup("{} {}").format(broken, _fields(piece.field)), unit_of(piece.unit))
    traces, layout = explorable(axis.values, piece.bands, names, values, log=log, counts=piece.counts)
    return Plot(plate, traces, layout)


def _fill_curve(
    x: np.ndarray, bands: Mapping[str, Band], labels: tuple[str, str], log: tuple[bool, bool], figure: Figure
) -> None:
    sides_compared(x, bands, figure.add_subplot(), x_label=labels[0], y_label=labels[1], log=log)


def _matrix(piece: Piece) -> Plate:
    rows, columns = piece.axes
    labels = (_row_label(rows), _label(_words(columns), columns))
    ticks = (_ticks(rows), _ticks(columns))

    def fill(figure: Figure) -> None:
        matrices_compared(piece.bands, figure, labels=labels, ticks=ticks, value=_value_label(piece))

    apart = f" at most {number(piece.apart, 1)} spreads apart" if piece.apart is not None else ""
    beside = " Right: their difference in units of the larger spread" if apart else ""
    caption = Markup("{} of {}: {}.{}{}").format(
        _sentence(piece.words),
        _fields(piece.field),
        listed(list(piece.bands)),
        beside,
        f",{apart}." if apart else "",
    )
    alt = f"{piece.words} of {piece.field} as a matrix of the sides {', '.join(piece.bands)}{apart}."
    return Plate(piece.name, fill, alt, caption, size=(PAGE, 2.7))


def _table(numbers: list[Piece]) -> Table:
    sides = list(dict.fromkeys(side for piece in numbers for side in piece.bands))
    rows = []
    for piece in numbers:
        head = Markup("{} of {}").format(piece.words, _fields(piece.field))
        if piece.unit:
            head += Markup(' <span class="unit">[{}]</span>').format(unit_of(piece.unit))
        cells = [_with_spread(piece.bands[side]) for side in sides]
        rows.append(Row([head, *cells, "–" if piece.apart is None else number(piece.apart, 1)]))
    caption = "Mean and spread (sd) over simulations; apart: the difference in units of the larger spread."
    return Table(caption, ["statistic", *sides, "apart"], rows)


def _with_spread(band: Band) -> Markup:
    mean, spread = float(band.mean), float(band.spread)
    tail = Markup(' <span class="interval">± {}</span>').format(number(spread)) if np.isfinite(spread) else ""
    return Markup("<b>{}</b>").format(number(mean)) + tail


def _fields(field: str) -> Markup:
    """A field, or the pair ``first-second``, in HTML."""
    return listed([parameter(name) for name in field.split("-")])


def _symbols(field: str) -> str:
    return " and ".join(symbol(name) for name in field.split("-"))


def keys(data: xr.Dataset) -> list[str]:
    """Variables that hold a mean on each side.

    Args:
        data: ``statistics.nc``.
    """
    return [
        str(key)
        for key, variable in data.data_vars.items()
        if "side" in variable.dims and not str(key).endswith(".spread")
    ]


def _order(data: xr.Dataset) -> list[str]:
    """The sides, the train side first: it is what the others are held against."""
    return sorted((str(side) for side in data["side"].values), key=lambda side: side != "train")


def _axis(data: xr.Dataset, dim: str) -> xr.DataArray:
    if dim in data.coords:
        return data[dim].drop_vars("side", errors="ignore")
    return xr.DataArray(np.arange(data.sizes[dim]), dims=dim, name=dim)


def _ticks(axis: xr.DataArray) -> list[str]:
    """Labels of the entries of an axis: what its other coordinates say, else its own values."""
    columns = [axis[name].values for name in _others(axis)] or [axis.values]
    return [", ".join(f"{value:.3g}" for value in row) for row in zip(*columns, strict=True)]


def _others(axis: xr.DataArray) -> list[str]:
    return [str(name) for name in axis.coords if name != axis.name and axis[name].dims == axis.dims]


def _row_label(axis: xr.DataArray) -> str:
    others = _others(axis)
    if not others:
        return _label(_words(axis), axis)
    names = ", ".join(name.rsplit(".", 1)[-1].replace("_", " ") for name in others)
    return _label(f"{_words(axis)} ({names})", axis[others[0]])


def _value_label(piece: Piece) -> str:
    return _label("\n".join(_lines(f"{piece.words} of")) + f" {_symbols(piece.field)}", piece.unit)


def _lines(words: str) -> list[str]:
    """Words that fit beside an axis."""
    return wrap(words, 32, break_long_words=False)


def _spans(values: np.ndarray, factor: float) -> bool:
    """Whether values are nowhere negative and the positive ones span more than a factor."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    return bool(positive.size and finite.min() >= 0 and positive.max() / positive.min() > factor)


def _is_scale(axis: xr.DataArray) -> bool:
    """Whether an abscissa is logarithmic: wide, and a length, a wavenumber or growing by factors."""
    if not _spans(axis.values, _WIDE):
        return False
    try:
        kind = str(parse(str(axis.attrs.get("units", ""))).physical_type)
    except UnitError:
        kind = ""
    steps = np.diff(axis.values)
    return "length" in kind or "wavenumber" in kind or not np.allclose(steps, steps[0], rtol=1e-3)


def _words(values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name") or str(values.name).rsplit(".", 1)[-1].replace("_", " "))


def _label(words: str, of: xr.DataArray | str) -> str:
    unit = of if isinstance(of, str) else str(of.attrs.get("units", ""))
    return words + (f"  [{unit_text(unit)}]" if unit else "")


def _sentence(words: str) -> str:
    """Words with a capital, unless they begin with a symbol such as dP/dlnR."""
    return words[:1].upper() + words[1:] if words[1:2].islower() else words
