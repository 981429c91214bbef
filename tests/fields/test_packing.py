"""Rounding to few bits: the error bound, exact values, and what a packed set remembers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skyloom import fields
from skyloom.errors import UsageError
from skyloom.fields.packing import pack, round_bits


@given(
    arrays(np.float32, 20, elements=st.floats(2**-60, 2**60, width=32)),
    st.integers(1, 23),
)
def test_the_relative_error_keeps_its_bound_and_rounding_twice_changes_nothing(values, bits):
    rounded = round_bits(values, bits)
    assert np.all(np.abs(rounded - values) <= 2.0 ** -(bits + 1) * np.abs(values))
    np.testing.assert_array_equal(round_bits(rounded, bits), rounded)
    np.testing.assert_array_equal(round_bits(-values, bits), -rounded)


def test_ties_go_to_even_and_zero_stays_zero():
    # One mantissa bit: the neighbours of 1.25 are 1 (even) and 1.5; those of 1.75 are 1.5 and 2 (even).
    values = np.array([0.0, 1.25, 1.75], np.float16)
    assert round_bits(values, 1).tolist() == [0.0, 1.0, 2.0]


def test_all_bits_are_the_identity():
    values = np.random.default_rng(0).normal(size=50).astype(np.float16)
    np.testing.assert_array_equal(round_bits(values, 10), values)


def test_a_packed_set_is_a_field_set_that_remembers():
    ds = fields.example()
    small = pack(ds, {"T_b": 7, "neutral_fraction": None})
    fields.check(small)
    assert fields.provenance(small)["steps"][-1]["mantissa_bits"] == {"T_b": 7, "neutral_fraction": None}
    np.testing.assert_allclose(small["T_b"], ds["T_b"], rtol=2**-8 + 2**-11)
    np.testing.assert_array_equal(small["neutral_fraction"], ds["neutral_fraction"])


@pytest.mark.parametrize(
    ("dtype", "bits"), [(np.float16, 11), (np.float16, 0), (np.float64, 5), (np.int32, 5)]
)
def test_impossible_roundings_are_refused(dtype, bits):
    with pytest.raises(UsageError):
        round_bits(np.ones(3, dtype), bits)


def test_an_unknown_field_gets_a_suggestion():
    with pytest.raises(UsageError, match="did you mean 'T_b'"):
        pack(fields.example(), {"Tb": 7})
