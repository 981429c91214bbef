"""How every figure looks: one set of fonts, sizes and colours, in a light and a dark edition.

Figures are drawn at their printed size (a journal column is 3.5 in wide), so the letters have the same
height in all of them. The light edition goes to ``figures/`` as PNG and PDF; the dark one is only embedded
in the page. Fonts are those that Matplotlib brings along, so a figure is the same on every machine.
Colours follow Okabe and Ito (2008), which readers with any colour vision can tell apart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.colors import Colormap, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

COLUMN = 3.5
PAGE = 7.2
DOTS_PER_INCH = 200

_SHARED: dict[str, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.labelsize": 10.0,
    "axes.titlesize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.borderaxespad": 0.4,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "pdf.fonttype": 42,
}
_EDITIONS = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1b2430",
        "cycle": ["#0072b2", "#d55e00", "#009e73", "#b0578d", "#c98a00", "#3f9bd6"],
    },
    "dark": {
        "paper": "#151b24",
        "ink": "#dde4ec",
        "cycle": ["#62b8f0", "#f08a4b", "#35c99b", "#dd9cc6", "#ecc04f", "#a9c4ff"],
    },
}


@contextmanager
def edition(name: str) -> Iterator[None]:
    """Draw in the ``light`` or the ``dark`` edition while the block lasts.

    Example:
        >>> with edition("dark"):
        ...     is_dark()
        True
    """
    colours: dict[str, Any] = _EDITIONS[name]
    ink, paper = colours["ink"], colours["paper"]
    of_ink = ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"]
    of_paper = ["figure.facecolor", "axes.facecolor", "savefig.facecolor"]
    settings = dict.fromkeys(of_ink, ink) | dict.fromkeys(of_paper, paper)
    with mpl.rc_context(_SHARED | settings | {"axes.prop_cycle": cycler(color=colours["cycle"])}):
        yield


def is_dark() -> bool:
    """Whether the axes are darker than their labels."""
    return bool(np.mean(to_rgb(mpl.rcParams["axes.facecolor"])) < 0.5)


def grey(strength: float = 0.5) -> tuple[float, float, float]:
    """A grey between paper (0) and ink (1) of the edition being drawn.

    Example:
        >>> with edition("light"):
        ...     grey(0.0)
        (1.0, 1.0, 1.0)
    """
    paper, ink = (
        np.array(to_rgb(mpl.rcParams["axes.facecolor"])),
        np.array(to_rgb(mpl.rcParams["text.color"])),
    )
    red, green, blue = ((1.0 - strength) * paper + strength * ink).tolist()
    return red, green, blue


def shades() -> Colormap:
    """Viridis without the end that would vanish on the paper of the edition being drawn."""
    low, high = (0.2, 1.0) if is_dark() else (0.0, 0.88)
    return ListedColormap(mpl.colormaps["viridis"](np.linspace(low, high, 256)), name="viridis_part")


@dataclass(frozen=True)
class Plate:
    """A figure that is yet to be drawn.

    Args:
        name: Stem of the files in ``figures/``.
        draw: Fills an empty ``Figure``; called once for each edition.
        alt: What a reader who cannot see the figure should know, with its numbers.
        caption: The sentence under the figure.
        size: Width and height [inch].
    """

    name: str
    draw: Callable[[Figure], Any]
    alt: str
    caption: str
    size: tuple[float, float] = (COLUMN, 2.8)


@dataclass(frozen=True)
class Drawn:
    """The files of one figure: bytes of the light PNG, the dark PNG and the PDF."""

    plate: Plate
    light: bytes
    dark: bytes
    pdf: bytes


def draw(plate: Plate, *, leaky: bool = False) -> Drawn:
    """Draw a plate in both editions; a leaky split is written on the figure itself.

    Args:
        plate: What to draw.
        leaky: Whether the numbers behind it come from a split that leaks.

    Returns:
        PNG bytes of both editions and a PDF of the light one; equal input gives equal bytes.
    """
    with edition("light"):
        figure = _filled(plate, leaky)
        # Laid out once: all files of a figure have their axes in the same places, and it is faster.
        figure.get_layout_engine().execute(figure)  # type: ignore[union-attr]
        figure.set_layout_engine("none")
        light, pdf = _saved(figure, "png"), _saved(figure, "pdf")
    with edition("dark"):
        twin = _filled(plate, leaky)
        twin.set_layout_engine("none")
        for ax, like in zip(twin.axes, figure.axes, strict=True):
            ax.set_position(like.get_position())
        dark = _saved(twin, "png")
    return Drawn(plate, light, dark, pdf)


def drawn_alone(draw: Callable[[Figure], Any], *, size: tuple[float, float], kind: str) -> bytes:
    """Draw a figure that stands on no page, in the light edition.

    Args:
        draw: Fills an empty ``Figure``.
        size: Width and height [inch].
        kind: ``png`` or ``pdf``.

    Returns:
        The bytes of the file.
    """
    with edition("light"):
        return _saved(_filled(Plate("", draw, "", "", size), leaky=False), kind)


def _filled(plate: Plate, leaky: bool) -> Figure:
    width, height = plate.size
    # The strip above the axes holds the mark, so that it never covers a title.
    strip = 0.2 if leaky else 0.0
    engine = ConstrainedLayoutEngine(rect=(0.0, 0.0, 1.0, height / (height + strip)))
    figure = Figure(figsize=(width, height + strip), dpi=DOTS_PER_INCH, layout=engine)
    plate.draw(figure)
    if leaky:
        figure.text(
            0.99,
            1.0 - 0.04 / (height + strip),
            "leaky split",
            ha="right",
            va="top",
            fontsize=8.5,
            weight="bold",
            color=paper_colour(),
            bbox={"boxstyle": "square,pad=0.25", "facecolor": "C1", "edgecolor": "none"},
        )
    return figure


def paper_colour() -> str:
    """The background colour of the edition being drawn."""
    return str(mpl.rcParams["axes.facecolor"])


def _saved(figure: Figure, kind: str) -> bytes:
    # Dates and versions would make two equal runs differ.
    metadata = (
        {"Software": None} if kind == "png" else {"CreationDate": None, "Creator": None, "Producer": None}
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


_KNOWN = {
    "HII_EFF_FACTOR": ("ζ", ""),
    "ION_Tvir_MIN": ("T", "vir, min"),
    "R_BUBBLE_MAX": ("R", "max"),
}
_GREEK = {
    "Omega": "Ω",
    "sigma": "σ",
    "delta": "δ",
    "zeta": "ζ",
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "tau": "τ",
    "rho": "ρ",
    "kappa": "κ",
    "mu": "μ",
    "theta": "θ",
}


def in_words(name: str) -> tuple[str, str]:
    """Split a name into letter and index, as physicists write it; words stay words, without an index.

    Example:
        >>> in_words("x_HI_slice"), in_words("Omega_m"), in_words("shower_energy")
        (('x', 'HI, slice'), ('Ω', 'm'), ('shower energy', ''))
    """
    if name in _KNOWN:
        return _KNOWN[name]
    head, *rest = name.split("_")
    if (len(head) == 1 and head.isalpha()) or head in _GREEK:
        return _GREEK.get(head, head), ", ".join(rest)
    return name.replace("_", " "), ""


def symbol(name: str) -> str:
    r"""A parameter's name as Matplotlib text: ``x_HI`` becomes ``$x_\mathrm{HI}$``.

    Example:
        >>> print(symbol("x_HI_slice"), symbol("energy"))
        $x_\mathrm{HI,\,slice}$ energy
    """
    letter, index = in_words(name)
    if len(letter) != 1 or not re.fullmatch(r"[\w, ]*", index):
        return escaped(name.replace("_", " "))
    subscript = index.replace("_", r"\_").replace(" ", r"\,")
    return rf"${letter}_\mathrm{{{subscript}}}$" if index else f"${letter}$"


def escaped(text: str) -> str:
    r"""Text that Matplotlib prints as it is, dollar signs included.

    Example:
        >>> print(escaped("cost $5"))
        cost \$5
    """
    return text.replace("$", r"\$")


def unit_text(unit: str) -> str:
    r"""A unit as Matplotlib text, powers raised; what is no product of powers is left as it is.

    Example:
        >>> print(unit_text("mK2 Mpc2"), unit_text("1 / Mpc"), unit_text("dex(K)"))
        $\mathrm{mK^{2}\,Mpc^{2}}$ $\mathrm{Mpc^{-1}}$ dex(K)
    """
    powers = powers_of(unit)
    if powers is None:
        return escaped(unit)
    raised = [f"{name}^{{{power}}}" if power else name for name, power in powers]
    return r"$\mathrm{" + r"\,".join(raised) + "}$"


def powers_of(unit: str) -> list[tuple[str, str]] | None:
    """The units of a product and their powers, empty for a power of one; None for what is no product.

    Example:
        >>> powers_of("mK2 Mpc"), powers_of("1 / Mpc"), powers_of("dex(K)")
        ([('mK', '2'), ('Mpc', '')], [('Mpc', '-1')], None)
    """
    words = re.sub(r"^1 / (\w+)$", r"\1-1", unit).split()
    found = [re.fullmatch(r"([A-Za-z]+)(-?\d+)?", word) for word in words]
    if not words or not all(found):
        return None
    return [(power[1], power[2] or "") for power in found if power]


def labelled(name: str, unit: str) -> str:
    r"""An axis label: the symbol and its unit in brackets.

    Example:
        >>> labelled("energy", "TeV"), labelled("energy", "")
        ('energy  [$\\mathrm{TeV}$]', 'energy')
    """
    return f"{symbol(name)}  [{unit_text(unit)}]" if unit else symbol(name)
