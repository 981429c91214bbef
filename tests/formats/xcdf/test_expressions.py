"""Aliases: each expected number follows from the rules of C++ integers and doubles."""

import numpy as np
import pytest

from skyloom.errors import FormatError
from skyloom.formats.xcdf import Alias, Field, File, write
from skyloom.formats.xcdf.expressions import Value, evaluate, parse

N = np.array([2, 0, 3])
FIELDS = [
    Field("rec.n", "uint"),
    Field("i", "int"),
    Field("x", "float", 0),
    Field("q", "float", 0, "rec.n"),
    Field("a-b", "float", 0),
]
DATA = {
    "rec.n": N,
    "i": np.array([-7, 5, 2]),
    "x": np.array([0.5, -2.0, np.nan]),
    "q": (np.array([1.0, 2.0, 4.0, 4.0, 0.0]), N),
    "a-b": np.array([10.0, 20.0, 30.0]),
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aliases")

    def run(expression, kind="float"):
        write(folder / "a.xcd", FIELDS, DATA, aliases=[Alias("result", expression, kind)])
        return File(folder / "a.xcd").read(["result"])["result"]

    return run


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rec.n / 2", [1, 0, 1]),  # unsigned by unsigned is unsigned
        ("rec.n / 2.0", [1, 0, 1.5]),
        ("i / 2", [-3, 2, 1]),  # towards zero
        ("i * 2 + 1", [-13, 11, 5]),
        ("rec.n - 3 > 0", [1, 1, 0]),  # 2 - 3 wraps to 2^64 - 1
        ("rec.n + -3", [-1, -3, 0]),  # a negative number is signed
        ("i % 4", [(2**64 - 7) % 4, 1, 2]),
        ("2 ^ 3 ^ 2", [64] * 3),  # from the left
        ("-x", [-0.5, 2.0, np.nan]),
        ("1 + 2 * 3 == 7 && !0", [1] * 3),
        ("x < 0 || i > 0", [0, 1, 1]),
        ("(rec.n | 4) & 6", [6, 4, 6]),
        ("~0 == 0xFFFFFFFFFFFFFFFF", [1] * 3),
        ("isnan(x)", [0, 0, 1]),
        ("isinf(1 / (x + 2))", [0, 1, 0]),
        ("abs(i) + fabs(x)", [7.5, 7.0, np.nan]),
        ("sum(q)", [3, 0, 8]),
        ("sum(q * rec.n)", [6, 0, 24]),
        ("any(q == 0)", [0, 0, 1]),
        ("all(q > 0)", [1, 1, 0]),
        ("unique(q)", [2, 0, 2]),
        ("in(rec.n, 0, 3)", [0, 1, 1]),
        ("q > 1 || false", [1, 0, 1]),
        ("int(2.9) + unsigned(true)", [3] * 3),
        ("atan2(0, 1) + fmod(7.5, 2) + pow(2, -1)", [2.0] * 3),
        ("log10(100) + log(exp(2)) + sqrt(4) + ceil(0.5) + floor(0.5)", [7.0] * 3),
        ("sin(0) + cos(0) + tan(0) + asin(0) + acos(1) + atan(0) + sinh(0) + cosh(0) + tanh(0)", [2.0] * 3),
        ("currentEventNumber", [0, 1, 2]),
        ("a-b - 5", [5, 15, 25]),  # the longest name counts
        ("1e2 + .5", [100.5] * 3),
    ],
)
def test_value_of_an_expression(evaluated, expression, expected):
    assert np.array_equal(evaluated(expression), expected, equal_nan=True)


def test_a_vector_stays_a_vector_and_the_kind_casts(evaluated):
    values, counts = evaluated("log(q + 1) * 0 + q", "uint")
    assert values.tolist() == [1, 2, 4, 4, 0] and values.dtype == np.uint64 and counts.tolist() == [2, 0, 3]
    assert evaluated("x * 3", "int")[:2].tolist() == [1, -6]


def test_event_numbers_count_over_the_whole_file(tmp_path):
    path = write(tmp_path / "a.xcd", FIELDS, DATA, aliases=[Alias("e", "currentEventNumber", "uint")])
    path.write_bytes(2 * path.read_bytes())
    assert File(path).read(["e"], start=2, stop=5)["e"].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("expression", "match"),
    [
        ("2 *", "is expected here"),
        ("foo(1)", "no field, alias or function 'foo'"),
        ("__import__('os')", "no field, alias or function"),
        ("sin(1, 2)", "sin with 2 arguments, allowed: 1"),
        ("(1", r"'\)' is expected"),
        ("1 2", "not expected here"),
        ("rand()", "other numbers each time"),
        ("i / (i - i)", "divides an integer by 0"),
        ("x & 1", "bits of a double"),
        ("~x", "bits of a double"),
        ("result + 1", "names itself"),
        ("(" * 60 + "1" + ")" * 60, "nested more than 32 deep"),
        ("1" + "+1" * 4000, "more than 200 operators"),
        ("!" * 40 + "1", "nested more than 32 deep"),
        ("1 +" * 5000, "characters, allowed"),
        ("", "is expected here"),
    ],
)
def test_what_is_no_expression(evaluated, expression, match):
    with pytest.raises(FormatError, match=match):
        evaluated(expression)


def test_vectors_of_different_lengths_cannot_be_joined():
    values = {"a": Value(np.ones(2), np.array([1, 1])), "b": Value(np.ones(2), np.array([2, 0]))}
    with pytest.raises(FormatError, match="different lengths"):
        evaluate(parse("a + b", values), values, 0, 2)
