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
    from skyloom.api import from_pretrained, load_run, push_to_hub, run, scorecard
    from skyloom.fields.store import open
    from skyloom.formats import read
    from skyloom.recipe.load import load as load_recipe

__version__ = version("skyloom")
__all__ = [
    "__version__",
    "from_pretrained",
    "load_recipe",
    "load_run",
    "open",
    "push_to_hub",
    "read",
    "run",
    "scorecard",
]

_HOMES = {
    "from_pretrained": ("skyloom.api", "from_pretrained"),
    "load_recipe": ("skyloom.recipe", "load"),
    "load_run": ("skyloom.api", "load_run"),
    "open": ("skyloom.fields.store", "open"),
    "push_to_hub": ("skyloom.api", "push_to_hub"),
    "read": ("skyloom.formats", "read"),
    "run": ("skyloom.api", "run"),
    "scorecard": ("skyloom.api", "scorecard"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'skyloom' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
