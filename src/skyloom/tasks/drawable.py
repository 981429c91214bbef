"""What must hold of maps that a network draws: transforms that can be undone, and masks that are masks.

The maps of a detector hold a number in every pixel, hit or not. A network that gives numbers draws neither
zeros and ones nor one and the same value wherever there is no hit, and by that alone a drawn map is told from
a true one. What a mask must be is known beforehand, so it need not be learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skyloom import registry
from skyloom.errors import UsageError, nearest


def masked(maps: Mapping[str, np.ndarray], mask: str, empty: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Return maps whose mask is 0 or 1, with nothing where it is 0.

    Args:
        maps: Maps of each field in its unit, shape ``(n, H, W)``.
        mask: The field that is 0 or 1; above one half counts as 1.
        empty: What other fields hold where it is 0, in their units.

    Raises:
        UsageError: There is no such field.

    Example:
        >>> drawn = {"hit": np.array([[[0.9, 0.2]]]), "charge": np.array([[[1.5, -0.7]]])}
        >>> {name: maps.tolist() for name, maps in masked(drawn, "hit", {"charge": -1.0}).items()}
        {'hit': [[[1.0, 0.0]]], 'charge': [[[1.5, -1.0]]]}
    """
    refuse_unknown_fields(maps, mask, empty)
    there = maps[mask] > 0.5
    found = {name: np.where(there, maps[name], np.float32(value)) for name, value in empty.items()}
    return {**maps, **found, mask: there.astype(np.float32)}


def refuse_unknown_fields(known: Mapping[str, Any], mask: str | None, empty: Mapping[str, float]) -> None:
    """Raise unless a mask and the fields beside it are among those that are drawn.

    Args:
        known: The fields that are drawn.
        mask: The mask; None for none.
        empty: The fields that are empty where it is 0.

    Raises:
        UsageError: One is not; the message names it.
    """
    for key, name in [*([] if mask is None else [("mask", mask)]), *(("empty", name) for name in empty)]:
        if name not in known:
            raise UsageError(
                f"task emulate: {key} names {name!r}, which is not among data.fields",
                hint=nearest(name, known),
            )


def refuse_empty_without_mask(mask: str | None, empty: Mapping[str, float]) -> None:
    """Raise if something is to be empty and there is no mask that says where, or the mask itself is.

    Args:
        mask: The mask; None for none.
        empty: The fields that are empty where it is 0.

    Raises:
        UsageError: So it is.
    """
    if empty and (mask is None or mask in empty):
        raise UsageError(
            f"task emulate: mask is {mask!r} and empty is {dict(empty)!r}",
            hint="mask names the field of zeros and ones, empty the others and what they hold where it is 0",
        )


def refuse_what_cannot_be_undone(pipelines: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Raise unless generated maps can be brought back into the units of their fields.

    Args:
        pipelines: Fields and their transforms, as a recipe names them.

    Raises:
        UsageError: A transform takes something out of each map; the message names field and transform.

    Example:
        >>> refuse_what_cannot_be_undone({"T_b": [{"name": "remove_mean"}, {"name": "standardise"}]})
        Traceback (most recent call last):
        skyloom.errors.UsageError: transform 'remove_mean' of field 'T_b' takes mean out of each map; a
        generated map has none to put back
          → use transforms that are the same for all maps: asinh, gaussianise, log10, min_max, standardise
    """
    kinds: dict[str, Any] = {name: registry.get(name, "transform") for name in registry.names("transform")}
    shared = sorted(name for name, kind in kinds.items() if not kind.carries)
    for field, specs in pipelines.items():
        for spec in specs:
            if carries := kinds[spec["name"]].carries:
                raise UsageError(
                    f"transform '{spec['name']}' of field '{field}' takes {', '.join(carries)} out of each"
                    " map; a generated map has none to put back",
                    hint=f"use transforms that are the same for all maps: {', '.join(shared)}",
                )
