"""Checks of the values of a field: finite, not all alike, in their unit, not clipped, precise enough."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from skyloom import units
from skyloom.errors import UnitError
from skyloom.formats.doctor.findings import Finding, named, or_ok
from skyloom.formats.doctor.surveying import FieldSurvey

_REPEATED = 1e-3  # a share of pixels that a continuous field does not spend on one value
_STEPS = 100.0  # of the precision within one spread: fewer, and rounding shows

_POSITIVE = {"mass", "mass density", "surface mass density", "column density", "number density", "energy"}
_LOGARITHM = re.compile(r"(decimal )?(log10|log|lg)([_\s(]|arithm|$)")


def finite(fields: Sequence[FieldSurvey], ids: np.ndarray) -> list[Finding]:
    """Find NaN and infinities.

    Args:
        fields: What ``survey`` returned.
        ids: Names of the samples, shape ``(n,)``.
    """
    found = []
    for f in fields:
        lost = f.bad > 0
        if lost.any():
            message = (
                f"{f.name}: {f.bad.sum()} values are NaN or infinite, in {lost.sum()} of {len(lost)} "
                f"samples: {named(ids[lost])}. One of them makes a training diverge"
            )
            found.append(Finding("error", "finite", message, "drop these samples, or repair their file"))
    return or_ok("finite", found)


def constant(fields: Sequence[FieldSurvey], ids: np.ndarray) -> list[Finding]:
    """Find maps that hold one value only.

    Args:
        fields: What ``survey`` returned.
        ids: Names of the samples, shape ``(n,)``.
    """
    found = []
    for f in fields:
        same = f.maximum == f.minimum
        if f.maps and same.any():
            message = (
                f"{f.name}: {same.sum()} of {len(same)} maps hold one value only: {named(ids[same])}. They "
                "have no structure to learn from, and all look the same"
            )
            step = "leave them out unless they are meant (a box that is ionised everywhere)"
            found.append(Finding("warning", "constant", message, step))
    return or_ok("constant", found)


def clipped(fields: Sequence[FieldSurvey]) -> list[Finding]:
    """Find fields that spend many pixels on their extreme value, or whose maps all have the same range.

    Args:
        fields: What ``survey`` returned.
    """
    found = []
    for f in fields:
        if not f.maps or not f.count or f.lowest == f.highest:
            continue
        natural = {0.0, 1.0} if f.units == "" else {0.0}
        shares = (("smallest", f.lowest, f.at_lowest), ("largest", f.highest, f.at_highest))
        repeated = [
            (word, value, hits / f.count) for word, value, hits in shares if hits / f.count > _REPEATED
        ]
        for word, value, share in repeated:
            message = f"{f.name}: {share:.1%} of all pixels hold exactly the {word} value, {value:.6g}"
            if value in natural:
                found.append(Finding("note", "clipped", message, _zero_step(value)))
            else:
                step = "look for a limit in the code that wrote it, and read the values before it"
                found.append(Finding("warning", "clipped", f"{message}. They look cut off there", step))
        if not repeated and len(f.mean) > 2 and np.ptp(f.minimum) == 0 and np.ptp(f.maximum) == 0:
            message = (
                f"{f.name}: every map runs from exactly {f.lowest:.6g} to {f.highest:.6g}, as if scaled by "
                "its own range. Its amplitude is lost, and maps cannot be compared"
            )
            found.append(Finding("warning", "clipped", message, "read the values before that scaling"))
    return or_ok("clipped", found)


def _zero_step(value: float) -> str:
    return "its logarithm is infinite there: use asinh or an offset" if value == 0 else ""


def precision(fields: Sequence[FieldSurvey], stored: dict[str, str]) -> list[Finding]:
    """Find fields whose number type is too coarse for their structure.

    Args:
        fields: What ``survey`` returned.
        stored: Type on disk of each field; that of the survey where it is absent.
    """
    found = []
    for f in fields:
        kind = np.dtype(stored.get(f.name, f.dtype))
        if not f.maps or kind.kind not in "fiu" or not np.isfinite(f.sd).any():
            continue
        size = max(abs(f.lowest), abs(f.highest))
        step = float(np.finfo(kind).eps) * size if kind.kind == "f" else 1.0
        spread = float(np.nanmedian(f.sd))
        if 0 < spread < _STEPS * step:
            message = (
                f"{f.name}: {kind} near {size:.4g} moves in steps of {step:.2g}, and a map's spread is "
                f"{spread:.2g}, {spread / step:.0f} steps: fine structure is lost"
            )
            found.append(
                Finding("warning", "precision", message, "store the deviation from the mean, or a wider type")
            )
    return or_ok("precision", found)


def quantities(fields: Sequence[FieldSurvey]) -> list[Finding]:
    """Find units that are missing, cannot be parsed, or do not fit the values.

    Args:
        fields: What ``survey`` returned.
    """
    return or_ok("units", [finding for f in fields for finding in _of_one(f)])


def _of_one(f: FieldSurvey) -> Iterator[Finding]:
    if f.units is None:
        step = 'give one that astropy parses, "" for a pure number'
        yield Finding("error", "units", f"{f.name} has no unit", step)
        return
    try:
        unit = units.parse(f.units)
    except UnitError as error:
        yield Finding("error", "units", f"{f.name}: {error.message}", error.hint)
        return
    if not f.count:
        return
    if "dex" in f.units:
        doubt, step = _doubt_of_logarithm(f)
    else:
        doubt, step = _doubt(f, "" if f.units == "" else str(unit.physical_type))
    if doubt:
        yield Finding("warning", "units", f"{f.name}: {doubt}", step)


def _doubt_of_logarithm(f: FieldSurvey) -> tuple[str, str]:
    if f.highest <= 60:
        return "", ""
    doubt = f"the logarithm of a quantity reaches {f.highest:.4g}, the quantity 10 to that power"
    return doubt, "if the values are linear, take 'dex' from the unit"


def _doubt(f: FieldSurvey, kind: str) -> tuple[str, str]:
    """Return why values do not fit a linear unit of a physical kind, and what to do; empty if they do."""
    ends = f"{f.lowest:.4g} to {f.highest:.4g}"
    largest = max(abs(f.lowest), abs(f.highest))
    log = f"if it is a logarithm, its unit is dex({f.units or 1})"
    if _LOGARITHM.match(f.name.lower()) or _LOGARITHM.match(f.long_name.lower()):
        return f"its name says logarithm, its unit {f.units!r} does not", log
    if f.lowest < 0 and set(kind.split("/")) & _POSITIVE:
        return f"a {kind} of {f.lowest:.4g} {f.units} cannot be", log
    if f.units in ("Msun", "solMass") and 0 < f.highest < 25:
        return f"masses of {ends} {f.units} are those of stars", log
    if "fraction" in f.long_name.lower() and (f.lowest < -1e-3 or f.highest > 1 + 1e-3):
        return (
            f"a fraction runs over {ends}, beyond 0 to 1",
            "per cent? divide by 100; a contrast? name it so",
        )
    other = {"mK": "K" if 0 < largest < 0.5 else "", "K": "mK" if largest > 5 else ""}.get(f.units or "", "")
    if f.name == "T_b" and other:
        doubt = f"a 21-cm brightness temperature of {ends} {f.units} is about a thousand times off"
        return doubt, f"are the values in {other}?"
    return "", ""
