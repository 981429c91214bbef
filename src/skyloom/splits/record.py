"""What a split is on paper: which sample stands on which side, and how that was decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from skyloom.errors import UsageError, nearest
from skyloom.runs import SIDES

_KEYS = ("by", "excluded", "leaky", "settings", "sides")


@dataclass(frozen=True)
class Split:
    """Which samples train, validate and test. It claims nothing: only ``audit`` says whether it leaks.

    Ids are kept sorted, so that two splits that say the same are equal.

    Args:
        sides: ``train``, ``validation`` and ``test``, each with the ids of its samples.
        by: How it was made: ``group``, ``slab``, ``corner``, ``time``, ``held_out`` or ``sample``.
        leaky: Whether the recipe allows one simulation on several sides.
        settings: The arguments it was made with, JSON values.
        excluded: Ids of the samples on no side, such as those in a buffer.

    Raises:
        UsageError: The sides are not those three.

    Example:
        >>> split = Split({"train": ("b", "a"), "validation": ("c",), "test": ("d",)}, by="group")
        >>> split.sides["train"], Split.from_dict(split.to_dict()) == split
        (('a', 'b'), True)
    """

    sides: Mapping[str, tuple[str, ...]]
    by: str
    leaky: bool = False
    settings: Mapping[str, Any] | None = None
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sides(self.sides)
        ordered = {side: tuple(sorted(str(name) for name in self.sides[side])) for side in SIDES}
        object.__setattr__(self, "sides", ordered)
        object.__setattr__(self, "settings", dict(self.settings or {}))
        object.__setattr__(self, "excluded", tuple(sorted(str(name) for name in self.excluded)))

    def to_dict(self) -> dict[str, Any]:
        """Return the split as JSON values, as ``split.json`` holds it."""
        return {
            "by": self.by,
            "leaky": self.leaky,
            "settings": dict(self.settings or {}),
            "sides": {side: list(ids) for side, ids in self.sides.items()},
            "excluded": list(self.excluded),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild a split from ``to_dict``.

        Args:
            content: JSON values.

        Raises:
            UsageError: A key is missing or unknown.
        """
        if sorted(content) != list(_KEYS):
            raise UsageError(
                f"a split with the keys {', '.join(sorted(content)) or 'none'}",
                hint=f"needed: {', '.join(_KEYS)}; make the split again",
            )
        return cls(
            sides={side: tuple(ids) for side, ids in content["sides"].items()},
            by=content["by"],
            leaky=content["leaky"],
            settings=content["settings"],
            excluded=tuple(content["excluded"]),
        )

    def with_fewer(self, groups: Mapping[str, str], count: int, seed: int) -> Self:
        """Return the split with so many groups on its train side; the samples of the others stand on no side.

        Args:
            groups: Id to the group of every sample.
            count: Groups that stay, 1 or more; with equal seeds, more of them hold all of fewer.
            seed: Draws which.

        Raises:
            UsageError: The train side has fewer groups.

        Example:
            >>> split = Split({"train": ("a", "b", "c"), "validation": ("d",), "test": ("e",)}, by="group")
            >>> fewer = split.with_fewer({"a": "g", "b": "g", "c": "h"}, 1, seed=0)
            >>> fewer.sides["train"], fewer.excluded
            (('a', 'b'), ('c',))
        """
        there = sorted({groups[name] for name in self.sides["train"]})
        if count > len(there):
            raise UsageError(
                f"train.simulations is {count}, and the train side has {len(there)}",
                hint=f"allowed: 1 to {len(there)}, or null for all",
            )
        kept = {there[row] for row in np.random.default_rng(seed).permutation(len(there))[:count]}
        train = tuple(name for name in self.sides["train"] if groups[name] in kept)
        left = tuple(name for name in self.sides["train"] if groups[name] not in kept)
        return replace(
            self,
            sides={**self.sides, "train": train},
            excluded=(*self.excluded, *left),
            settings={**(self.settings or {}), "simulations": count},
        )

    @property
    def digest(self) -> str:
        """The sha256 of the split, hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode("utf-8")).hexdigest()


def check_sides(sides: Mapping[str, Any]) -> None:
    """Raise unless a mapping has exactly the three sides as its keys.

    Args:
        sides: Any mapping.

    Raises:
        UsageError: A side is missing or unknown; the message names it.

    Example:
        >>> check_sides({"train": 1, "validation": 2, "test": 3})
    """
    for side in sides:
        if side not in SIDES:
            raise UsageError(f"there is no side {side!r}", hint=nearest(str(side), SIDES))
    missing = [side for side in SIDES if side not in sides]
    if missing:
        raise UsageError(f"the split lacks {', '.join(missing)}", hint=f"give all of {', '.join(SIDES)}")
