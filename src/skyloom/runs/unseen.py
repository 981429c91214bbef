"""What a network had not seen of the simulations that it is tested on, by how the sides were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHOLE = "unseen simulations"


def unseen(split: Mapping[str, Any]) -> str:
    """Return what the test side of a split is made of; a leaky split is not asked for here.

    Args:
        split: The content of ``split.json``.

    Example:
        >>> unseen({"by": "slab"})
        'simulations, in slabs that were not trained on'
        >>> unseen({"by": "held_out", "settings": {"time_buffer": None}})
        'unseen simulations'
    """
    by, settings = str(split.get("by", "group")), split.get("settings") or {}
    snapshots = {"time": settings.get("buffer"), "held_out": settings.get("time_buffer")}
    if by == "slab":
        return "simulations, in slabs that were not trained on"
    if snapshots.get(by) is not None:
        return "simulations, at times that were not trained on"
    if by == "time":
        return f"{WHOLE}, at times that were not trained on"
    if by == "corner":
        return f"{WHOLE}, in a corner of parameters that was never trained on"
    return "simulations" if by == "sample" else WHOLE
