"""Skyloom learns from simulated skies, with numbers that survive a referee.

``skyloom.open(folder)`` gives a stored field set, ``skyloom.read(file)`` a native one,
``skyloom.load_run(folder)`` a trained network that predicts in physical units with errors. What needs torch
is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyloom.api import load_run, run, scorecard
    from skyloom.fields.store import open
    from skyloom.formats import read
    from skyloom.recipe.load import load as load_recipe

__version__ = version("skyloom")
__all__ = ["__version__", "load_recipe", "load_run", "open", "read", "run", "scorecard"]

_HOMES = {
    "load_recipe": ("skyloom.recipe", "load"),
    "load_run": ("skyloom.api", "load_run"),
    "open": ("skyloom.fields.store", "open"),
    "read": ("skyloom.formats", "read"),
    "run": ("skyloom.api", "run"),
    "scorecard": ("skyloom.api", "scorecard"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'skyloom' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
