"""The parts a page is made of, and how numbers and names are written on it.

Sections build these records; the template turns them into HTML. Text is ``Markup`` where it holds tags and
plain ``str`` otherwise, so whatever comes from a file is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from skyloom.report.artefacts import Score
from skyloom.report.style import Plate, in_words, powers_of

MINUS = "−"
_LONG_TABLE = 14  #: rows; a longer table is folded
_LONG_TEXT = 28  #: lines


@dataclass(frozen=True)
class Strip:
    """A score drawn into a table cell: a dot with its interval on a common scale."""

    score: Score
    low: float
    high: float
    role: str = "baseline"

    def place(self, value: float) -> float:
        """Where a value stands on the scale, in percent, kept on it."""
        return round(100 * min(max((value - self.low) / (self.high - self.low), 0.0), 1.0), 2)


Cell = str | Markup | Strip


@dataclass(frozen=True)
class Row:
    """Cells of a table; the first heads the row. ``mark`` is ``leaky``, ``run``, ``ceiling`` or empty."""

    cells: Sequence[Cell]
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption, heads of the columns and rows."""

    caption: str | Markup
    columns: Sequence[str | Markup]
    rows: Sequence[Row]
    facts: bool = False  # names and values in words: no numbers to align

    kind = "table"

    @property
    def folds(self) -> bool:
        """Whether it is long enough to be folded away."""
        return len(self.rows) > _LONG_TABLE


@dataclass(frozen=True)
class Gallery:
    """Figures side by side."""

    plates: Sequence[Plate]

    kind = "gallery"


@dataclass(frozen=True)
class Plot:
    """Curves to zoom into and to read values off.

    Args:
        plate: The same curves drawn, for paper and where no script runs.
        traces: Plotly's traces, as JSON values; a colour is a custom property of the page's style
            (``--run``), with an opacity after a slash where it is see-through (``--run/0.2``).
        layout: Plotly's layout; fonts, colours and margins are those of the page.
    """

    plate: Plate
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]


@dataclass(frozen=True)
class Interactive:
    """Plots side by side."""

    plots: Sequence[Plot]

    kind = "interactive"


@dataclass(frozen=True)
class Verbatim:
    """Text as it stands in a file."""

    text: str
    label: str

    kind = "verbatim"

    @property
    def folds(self) -> bool:
        """Whether it is long enough to be folded away."""
        return self.text.count("\n") >= _LONG_TEXT


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str | Markup

    kind = "text"


@dataclass(frozen=True)
class Missing:
    """What could not be shown, and the command that makes it."""

    what: str | Markup
    command: str

    kind = "missing"


Block = Table | Gallery | Interactive | Verbatim | Text | Missing


@dataclass(frozen=True)
class Section:
    """A titled part of the page with a short lead."""

    key: str
    title: str
    lead: str | Markup
    blocks: Sequence[Block] = field(default_factory=list)


def parameter(name: str) -> Markup:
    """A parameter's name in HTML: ``x_HI`` becomes an italic letter with an index.

    Example:
        >>> str(parameter("x_HI"))
        '<i>x</i><sub>HI</sub>'
    """
    letter, index = in_words(name)
    if len(letter) > 1 and not index:
        return escape(letter)
    return Markup("<i>{}</i>").format(letter) + (
        Markup("<sub>{}</sub>").format(index) if index else Markup("")
    )


def unit_of(unit: str) -> Markup:
    """A unit in HTML, powers raised; what is no product of powers is left as it is.

    Example:
        >>> str(unit_of("mK2 Mpc-2")), str(unit_of("1 / Mpc")), str(unit_of("dex(K)"))
        ('mK<sup>2</sup> Mpc<sup>−2</sup>', 'Mpc<sup>−1</sup>', 'dex(K)')
    """
    powers = powers_of(unit)
    if powers is None:
        return escape(unit)
    raised = Markup("<sup>{}</sup>")
    return Markup(" ").join(
        escape(name) + (raised.format(power.replace("-", MINUS)) if power else Markup(""))
        for name, power in powers
    )


def number(value: float, digits: int | None = None) -> str:
    """A number with a true minus and ``digits`` after the point; left to itself, as many as its size asks.

    Example:
        >>> number(-0.0214), number(0.00012), number(12345.6), number(-0.0002, 2), number(float("nan"))
        ('−0.021', '1.20e−4', '12,346', '0.00', 'n/a')
    """
    if not math.isfinite(value):
        return "n/a"
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif digits is None and 0 < size < 0.005:
        text = f"{value:.2e}".replace("e-0", "e-")
    else:
        text = f"{value:.{3 if digits is None else digits}f}"
    # A negative number that rounds to nothing is no negative zero.
    return text.lstrip("-") if not text.strip("-0.") else text.replace("-", MINUS)


def percent(value: float) -> str:
    """A share in percent with one decimal.

    Example:
        >>> percent(0.6834)
        '68.3 %'
    """
    return f"{100 * value:.1f} %" if math.isfinite(value) else "n/a"


def digits_of(score: Score) -> int:
    """Digits after the point that the interval of a score deserves: three, more where it is narrow.

    Example:
        >>> [digits_of(score) for score in (Score(1.0, 0.99, 1.01), Score(1.0, 0.9998, 1.0002), Score(7.0))]
        [3, 5, 3]
    """
    width = score.high - score.low if score.bounded else 1.0
    return min(max(3, round(1.2 - math.log10(width))), 8) if width > 0 else 3


def interval(score: Score) -> str:
    """The bounds of a score's interval, or that there is none.

    Example:
        >>> interval(Score(0.9, 0.85, 0.95)), interval(Score(0.9))
        ('[0.850, 0.950]', 'no interval')
    """
    if not score.bounded:
        return "no interval"
    digits = digits_of(score)
    return f"[{number(score.low, digits)}, {number(score.high, digits)}]"


def with_interval(score: Score | None) -> Markup:
    """A score and its interval as a table cell.

    Example:
        >>> str(with_interval(Score(0.9, 0.85, 0.95)))
        '<b>0.900</b> <span class="interval">[0.850, 0.950]</span>'
    """
    if score is None:
        return Markup('<span class="none">n/a</span>')
    bounds = Markup(' <span class="interval">{}</span>').format(interval(score)) if score.bounded else ""
    return (
        Markup("<b>{}</b>").format(number(score.value, digits_of(score) if score.bounded else None)) + bounds
    )


def counted(n: int, one: str, many: str = "") -> str:
    """A number of things.

    Example:
        >>> counted(1, "map"), counted(1200, "map"), counted(2, "box", "boxes")
        ('1 map', '1,200 maps', '2 boxes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(words: Sequence[str | Markup]) -> Markup:
    """Words joined by commas and an "and".

    Example:
        >>> str(listed(["a", "b", "c"]))
        'a, b and c'
    """
    if len(words) < 2:
        return Markup("").join(words)
    return Markup(", ").join(words[:-1]) + Markup(" and ") + escape(words[-1])


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Example:
        >>> duration(0.0021), duration(75), duration(7330)
        ('2.1 ms', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
