"""Every error that Skyloom raises on purpose, and the exit code that the command line gives it.

A message names the thing, the value found and what was allowed; ``hint`` is the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SkyloomError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What was found, where, and what was allowed.
        hint: The next step for the user; printed on its own line.

    Example:
        >>> print(SkyloomError("no such file 'a.h5'", hint="check the path"))
        no such file 'a.h5'
          → check the path
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[SkyloomError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(SkyloomError):
    """A command or a function was called in a way that cannot work."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe is wrong; the message gives file and line."""


class RegistryError(UsageError):
    """A component's name is unknown, declared twice, or its plugin cannot be loaded."""


class MissingDependencyError(UsageError):
    """An optional package or a system library is not installed; the message names it."""


class LeakError(SkyloomError):
    """A split lets information pass from one side to another."""

    exit_code = 3


class DataError(SkyloomError):
    """Data on disk or in memory cannot be used as asked."""

    exit_code = 4


class FieldSetError(DataError):
    """A field set breaks the convention; the message lists every fault."""


class FormatError(DataError):
    """A native file cannot be read or written."""


class ShapeError(DataError):
    """An array has the wrong shape; the message gives the shape found."""


class UnitError(DataError):
    """A unit cannot be parsed or converted."""


class StoreError(DataError):
    """A stored field set is damaged, incomplete or cannot be written."""


class DivergedError(SkyloomError):
    """A training left the finite numbers; the message gives the step."""


class Interrupted(SkyloomError):  # noqa: N818 - no fault of anybody
    """Work was stopped from outside and can go on where it stopped."""

    exit_code = 130


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest spelling and lists what is allowed.

    Args:
        word: The word found.
        allowed: The words that would have been right.

    Example:
        >>> nearest("resnt", ["vgg", "resnet"])
        "did you mean 'resnet'? allowed: resnet, vgg"
    """
    options = sorted(allowed)
    listed = "allowed: " + (", ".join(options) if options else "nothing")
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? {listed}" if close else listed
