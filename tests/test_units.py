"""Units as text: what is read, what is refused, and conversions known by heart."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import UnitError
from skyloom.units import convert, is_length, parse


@pytest.mark.parametrize("text", ["", "mK", "Mpc", "dex(K)", "solMass / kpc2", "1 / Mpc", "km s-1", "hr"])
def test_units_that_are_read(text: str) -> None:
    assert parse(parse(text).to_string()) == parse(text)


@pytest.mark.parametrize(
    ("text", "next_step"),
    [
        ("Mpc/h", "an hour is 'hr'"),
        ("Mpc / h", "an hour is 'hr'"),
        ("1e10 Msun h-1", "an hour is 'hr'"),
        ("kpc h^-1", "an hour is 'hr'"),
        ("log10 K", r"'dex\(K\)'"),
        ("log10(K)", r"'dex\(K\)'"),
        ("furlongs", "astropy.units.Unit"),
        (None, "dimensionless"),
    ],
)
def test_units_that_are_refused_say_what_to_write(text: str, next_step: str) -> None:
    with pytest.raises(UnitError, match=next_step) as caught:
        parse(text)
    assert repr(text) in caught.value.message


def test_conversions() -> None:
    assert convert(1.0, "Mpc", "kpc") == pytest.approx(1000.0)
    assert convert(np.array([[0.0, 2.0]]), "K", "mK").tolist() == [[0.0, 2000.0]]
    assert convert(2, "dex(K)", "mK") == pytest.approx(1e5)  # integers become floating-point numbers
    assert convert(np.float32([1.5]), "K", "mK").dtype == np.float32


def test_conversion_between_different_things_is_refused() -> None:
    with pytest.raises(UnitError, match="'mK' cannot be converted to 'Mpc'"):
        convert(1.0, "mK", "Mpc")


def test_lengths() -> None:
    assert [is_length(u) for u in ("Mpc", "cm", "", "s", "kpc2")] == [True, True, False, False, False]
