"""Aliases of XCDF files: expressions over fields, parsed by hand and evaluated with numpy.

Rules of the reference library: numbers without point are unsigned; of two operands a double makes the result
a double, a signed integer a signed one; integers divide to integers and wrap at 64 bits; ``%`` works on
unsigned integers, ``^`` on doubles. ``^`` binds strongest and from the left, then ``! ~``, ``* / %``,
``+ -``, ``< > <= >=``, ``== !=``, ``&``, ``|``, ``&&``, ``||``. ``sum any all unique`` make one number an
event of a vector, and so does ``||``. One difference is meant: ``-5`` is signed here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, nearest

Array = NDArray[Any]

_LONGEST, _DEEPEST, _MOST = 10_000, 32, 200
_DTYPES = {"uint": np.uint64, "int": np.int64, "float": np.float64}
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\s,/*%^)(=><&|!~+\-]+")
_OPERATOR = re.compile(r"==|!=|>=|<=|\|\||&&|[-+*/%^()><|&!~,]")
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("|",), ("&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip

_REAL: Mapping[str, Callable[[Any], Any]] = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "exp": np.exp, "log": np.log, "log10": np.log10,
    "sqrt": np.sqrt, "ceil": np.ceil, "floor": np.floor,
}  # fmt: skip
_PAIRS: Mapping[str, Callable[[Any, Any], Any]] = {"atan2": np.arctan2, "fmod": np.fmod, "pow": np.power}
_CASTS = {"int": "int", "unsigned": "uint", "float": "float", "double": "float"}
_OTHERS = ("abs", "fabs", "isnan", "isinf", "sum", "any", "all", "unique", "in")
FUNCTIONS = sorted([*_REAL, *_PAIRS, *_CASTS, *_OTHERS])
"""Functions that an expression may call."""
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_COMPUTED: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_,
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """Numbers of all events in a row.

    Args:
        data: The numbers, shape ``(data,)``, or one number that is the same for all.
        counts: Numbers of an event, shape ``(events,)``; None where there is one an event.
    """

    data: Array
    counts: Array | None = None


@dataclass(frozen=True)
class Node:
    """A part of an expression.

    Args:
        what: ``number``, ``name``, or the operator or function.
        parts: Its operands.
        value: The number, or the name.
    """

    what: str
    parts: tuple[Node, ...] = ()
    value: Any = None


def parse(expression: str, names: Collection[str]) -> Node:
    """Parse an expression.

    Args:
        expression: The text.
        names: Fields and aliases that it may name.

    Raises:
        FormatError: It is no expression; the message points at the character.

    Example:
        >>> parse("2*n", ["n"]).parts[1].value
        'n'
    """
    return _Parser(expression, names).whole()


def names_in(node: Node) -> set[str]:
    """Return the fields and aliases that an expression names."""
    own = {node.value} if node.what == "name" else set()
    return own.union(*(names_in(part) for part in node.parts))


def evaluate(node: Node, values: Mapping[str, Value], first: int, events: int) -> Value:
    """Evaluate an expression for a range of events.

    Args:
        node: The parsed expression.
        values: Name -> value of everything that it names.
        first: Number of the first event.
        events: How many.

    Raises:
        FormatError: Two vectors have different lengths, an integer is divided by 0, or bits of doubles are
            asked.

    Example:
        >>> n = Value(np.array([3, 4], np.uint64))
        >>> evaluate(parse("n / 2 + 0.5", ["n"]), {"n": n}, 0, 2).data.tolist()
        [1.5, 2.5]
    """
    with np.errstate(all="ignore"):
        return _Evaluator(values, first, events).of(node)


def cast(data: Array, kind: str) -> Array:
    """Return numbers in the type ``uint``, ``int`` or ``float``."""
    with np.errstate(all="ignore"):
        return data.astype(_DTYPES[kind])


class _Parser:
    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text, self.at, self.depth, self.made = text, 0, 0, 0
        self.names = sorted(names, key=len, reverse=True)
        if len(text) > _LONGEST:
            self.fail(f"{len(text)} characters, allowed: {_LONGEST}")

    def fail(self, fault: str, hint: str = "") -> NoReturn:
        raise FormatError(f"expression {self.text[:200]!r}, character {self.at}: {fault}", hint=hint)

    def whole(self) -> Node:
        node = self.level(0)
        if self.at != len(self.text):
            self.fail(f"{self.text[self.at]!r} is not expected here")
        return node

    def peek(self) -> str:
        """Return the operator that follows, empty where none does."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        found = _OPERATOR.match(self.text, self.at)
        return found[0] if found else ""

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self.unary()
        node = self.level(depth + 1)
        while (sign := self.peek()) in _LEVELS[depth]:
            self.at += len(sign)
            node = self.joined(sign, node, self.level(depth + 1))
        return node

    def unary(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(f"nested more than {_DEEPEST} deep")
        if (sign := self.peek()) in ("!", "~", "-", "+"):
            self.at += 1
            inner = self.unary()
            node = inner if sign == "+" else Node("negative" if sign == "-" else sign, (inner,))
        else:
            node = self.atom()
            while self.peek() == "^":
                self.at += 1
                node = self.joined("pow", node, self.power())
        self.depth -= 1
        return node

    def joined(self, sign: str, *parts: Node) -> Node:
        """Return an operation; there may not be so many that a chain of them is too long to follow."""
        self.made += 1
        if self.made > _MOST:
            self.fail(f"more than {_MOST} operators")
        return Node(sign, parts)

    def power(self) -> Node:
        """Return an exponent, which may have a sign."""
        if self.peek() in ("-", "+"):
            sign = self.text[self.at]
            self.at += 1
            return Node("negative", (self.atom(),)) if sign == "-" else self.atom()
        return self.atom()

    def atom(self) -> Node:
        if self.peek() == "(":
            self.at += 1
            node = self.level(0)
            self.close()
            return node
        for name in self.names:
            end = self.at + len(name)
            if self.text.startswith(name, self.at) and not _WORD.match(self.text[end : end + 1]):
                self.at = end
                return Node("name", value=name)
        if found := _NUMBER.match(self.text, self.at):
            word = _WORD.match(self.text, found.end())
            if not word:
                self.at = found.end()
                return Node("number", value=self.number(found[0]))
        if not (found := _WORD.match(self.text, self.at)):
            self.fail("a number, a field or a function is expected here")
        return self.word(found[0])

    def word(self, word: str) -> Node:
        if word in ("true", "false"):
            self.at += len(word)
            return Node("number", value=np.uint64(word == "true"))
        if word == "currentEventNumber":
            self.at += len(word)
            return Node("event")
        if word == "rand":
            self.fail("rand gives other numbers each time", "draw random numbers from a seeded generator")
        if word not in FUNCTIONS:
            self.fail(f"no field, alias or function {word!r}", nearest(word, [*self.names, *FUNCTIONS]))
        self.at += len(word)
        if self.peek() != "(":
            self.fail(f"'(' is expected after {word}")
        self.at += 1
        parts = [self.level(0)]
        while self.peek() == ",":
            self.at += 1
            parts.append(self.level(0))
        self.close()
        wanted = 2 if word in _PAIRS else 1
        if (word == "in" and len(parts) < 2) or (word != "in" and len(parts) != wanted):
            self.fail(
                f"{word} with {len(parts)} arguments, allowed: {'2 or more' if word == 'in' else wanted}"
            )
        return Node(word, tuple(parts))

    def close(self) -> None:
        if self.peek() != ")":
            self.fail("')' is expected here")
        self.at += 1

    def number(self, text: str) -> Any:
        if text[:2].lower() == "0x" or text.isdigit():
            whole = int(text, 16 if text[:2].lower() == "0x" else 10)
            return np.uint64(whole) if whole < 2**64 else np.float64(whole)
        return np.float64(text)


class _Evaluator:
    def __init__(self, values: Mapping[str, Value], first: int, events: int) -> None:
        self.values, self.first, self.events = values, first, events

    def of(self, node: Node) -> Value:
        if node.what == "number":
            return Value(np.asarray(node.value))
        if node.what == "name":
            return self.values[node.value]
        if node.what == "event":
            return Value(self.first + np.arange(self.events, dtype=np.uint64))
        parts = [self.of(part) for part in node.parts]
        return self.one(node.what, parts[0]) if len(parts) == 1 else self.several(node.what, parts)

    def one(self, what: str, value: Value) -> Value:
        data = value.data
        if what in ("sum", "any", "all", "unique"):
            return self.reduced(what, value)
        if what in _REAL:
            data = _REAL[what](data.astype(np.float64))
        elif what in _CASTS:
            data = cast(data, _CASTS[what])
        elif what == "negative":
            data = -(data.astype(np.int64) if data.dtype.kind == "u" else data)
        elif what in ("abs", "fabs"):
            data = np.abs(data)
        elif what in ("isnan", "isinf"):
            found = np.isnan(data) if what == "isnan" else np.isinf(data)
            data = found.astype(np.uint64)
        elif what == "!":
            data = (data == 0).astype(np.uint64)
        elif data.dtype.kind == "f":
            raise FormatError("the bits of a double are asked with '~'", hint="cast it: ~int(...)")
        else:
            data = ~data
        return Value(np.asarray(data), value.counts)

    def reduced(self, what: str, value: Value) -> Value:
        """Return one number an event."""
        data, counts = value.data, value.counts
        if counts is None:
            data, counts = np.broadcast_to(data, self.events), np.ones(self.events, dtype=np.int64)
        event = np.repeat(np.arange(self.events), counts)
        if what == "sum":
            total = np.zeros(self.events, dtype=data.dtype)
            np.add.at(total, event, data)
            return Value(total)
        if what == "unique":
            order = np.lexsort((data, event))
            first = np.ones(len(data), dtype=bool)
            first[1:] = (np.diff(event[order]) != 0) | (data[order][1:] != data[order][:-1])
            return Value(np.bincount(event[order][first], minlength=self.events).astype(np.uint64))
        hits = np.bincount(event[data != 0], minlength=self.events)
        return Value((hits > 0 if what == "any" else hits == counts).astype(np.uint64))

    def several(self, what: str, parts: list[Value]) -> Value:
        if what == "in":
            alike = [self.several("==", [parts[0], part]) for part in parts[1:]]
            return Value(np.max([one.data for one in alike], axis=0), alike[0].counts)
        if what == "||":
            ors = [self.reduced("any", part).data for part in parts]
            return Value(ors[0] | ors[1])
        first, second, counts = self.paired(*parts)
        return Value(_combined(what, first, second), counts)

    def paired(self, first: Value, second: Value) -> tuple[Array, Array, Array | None]:
        """Return two values of equal length; one number an event stands for all of a vector."""
        if first.counts is None and second.counts is None:
            return first.data, second.data, None
        if first.counts is None:
            return _spread(first.data, second.counts), second.data, second.counts
        if second.counts is None:
            return first.data, _spread(second.data, first.counts), first.counts
        if not np.array_equal(first.counts, second.counts):
            raise FormatError("an expression joins two vectors of different lengths")
        return first.data, second.data, first.counts


def _spread(data: Array, counts: Any) -> Array:
    """Return one number an event once for each of the event's values."""
    return np.repeat(data, counts) if data.ndim else data


def _combined(what: str, first: Array, second: Array) -> Array:
    """Return what an operator or a function of two arguments makes of arrays of equal length."""
    if what in _PAIRS:
        return np.asarray(_PAIRS[what](first.astype(np.float64), second.astype(np.float64)))
    kinds = {first.dtype.kind, second.dtype.kind}
    common: Any = np.float64 if "f" in kinds else np.int64 if "i" in kinds else np.uint64
    if what == "%":
        common = np.uint64
    a, b = first.astype(common), second.astype(common)
    if what in _COMPARED:
        return np.asarray(_COMPARED[what](a, b)).astype(np.uint64)
    if what == "&&":
        return np.asarray((a != 0) & (b != 0)).astype(np.uint64)
    if what in ("&", "|") and "f" in kinds:
        raise FormatError(f"the bits of a double are asked with {what!r}", hint="cast it: int(...)")
    return np.asarray(_COMPUTED[what](a, b)) if what in _COMPUTED else _divided(what, a, b)


def _divided(what: str, a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if np.any(b == 0):
        raise FormatError("an expression divides an integer by 0", hint="write a point: 2.0 instead of 2")
    if what == "%" or a.dtype.kind == "u":
        return np.asarray(a % b if what == "%" else a // b)
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))
