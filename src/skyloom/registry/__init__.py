"""One registry for every part that a recipe can name.

A component is a class declared as an entry point of the group ``skyloom.<kind>``. Its constructor takes
what the data tells before ``*`` and what the recipe chooses after it; the latter is checked by a model
derived from the signature, so a component needs no schema of its own.
"""

from skyloom.registry.catalogue import KINDS, Entry, broken, entries, find, get, names
from skyloom.registry.describing import describe
from skyloom.registry.faults import Faults, Problem, problems, shown
from skyloom.registry.signatures import (
    Component,
    Kind,
    arguments,
    build,
    data_arguments,
    resolve,
)

__all__ = [
    "KINDS",
    "Component",
    "Entry",
    "Faults",
    "Kind",
    "Problem",
    "arguments",
    "broken",
    "build",
    "data_arguments",
    "describe",
    "entries",
    "find",
    "get",
    "names",
    "problems",
    "resolve",
    "shown",
]
