"""Units as text: every quantity carries a string that astropy parses.

The empty string is a dimensionless number. The decimal logarithm of a quantity is written ``dex(K)``, not
``log10 K``. A length in units of the reduced Hubble constant must be converted before it comes here: astropy
reads ``Mpc/h`` as megaparsec per *hour*, so that spelling is refused (an hour is ``hr``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import UnitError

_PER_LITTLE_H = re.compile(r"(/\s*h\b|\bh\s*(\*\*|\^)?\s*\(?-\s*1\)?)")


@lru_cache(maxsize=256)
def parse(text: str) -> Any:
    """Return the astropy unit of a string.

    Args:
        text: A unit such as ``"mK"``, ``"Mpc"``, ``"dex(K)"``, or ``""`` for a dimensionless number.

    Returns:
        An ``astropy.units.UnitBase`` (or a function unit for ``dex(...)``).

    Raises:
        UnitError: The text is no unit, or reads as "per hour" where the Hubble constant was meant.

    Example:
        >>> str(parse("mK"))
        'mK'
    """
    import astropy.units as u

    if not isinstance(text, str):
        raise UnitError(f"a unit must be text, found {text!r}", hint='write "" for a dimensionless number')
    if _PER_LITTLE_H.search(text):
        raise UnitError(
            f"unit {text!r} would be read as 'per hour'",
            hint="apply the Hubble constant h to the values and drop it from the unit; an hour is 'hr'",
        )
    try:
        return u.Unit(text)
    except (ValueError, TypeError) as error:
        hint = 'use a spelling that astropy.units.Unit parses, "" for a dimensionless number'
        logarithm = re.match(r"\s*(log10|log|dex)\s*\(?\s*(?P<inner>[^()]*)\)?\s*$", text)
        if logarithm:
            hint = f"the decimal logarithm of a quantity is written 'dex({logarithm['inner'].strip()})'"
        raise UnitError(f"{text!r} is not a unit", hint=hint) from error


def is_length(text: str) -> bool:
    """Tell whether a unit measures a length.

    Args:
        text: A unit.

    Raises:
        UnitError: The text is no unit.

    Example:
        >>> is_length("kpc"), is_length("mK")
        (True, False)
    """
    import astropy.units as u

    return bool(parse(text).physical_type == u.m.physical_type)


def convert(values: ArrayLike, source: str, target: str) -> NDArray[Any]:
    """Convert values from one unit to another.

    Args:
        values: Numbers in ``source``, any shape.
        source: The unit they have.
        target: The unit that is wanted.

    Returns:
        Numbers in ``target``, the same shape; the precision of floating-point input is kept.

    Raises:
        UnitError: A unit cannot be parsed, or one cannot be turned into the other.

    Example:
        >>> convert([0.021], "K", "mK").round(9).tolist()
        [21.0]
        >>> convert([4.0], "dex(K)", "K").tolist()
        [10000.0]
    """
    import astropy.units as u

    numbers = np.asarray(values)
    if not np.issubdtype(numbers.dtype, np.floating):
        numbers = numbers.astype(np.float64)
    try:
        converted = parse(source).to(parse(target), numbers)
    except u.UnitConversionError as error:
        raise UnitError(
            f"{source!r} cannot be converted to {target!r}", hint="the two measure different things"
        ) from error
    return np.asarray(converted, dtype=numbers.dtype)
