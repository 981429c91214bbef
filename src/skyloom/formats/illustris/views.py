"""Many galaxies, each seen from several directions, as the lazy fields of a set."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skyloom.fields.particles import random_rotation
from skyloom.formats.illustris.domains import DOMAINS, Look


def directions(seed: int, name: str, count: int) -> list[tuple[tuple[float, ...], ...] | None]:
    """Return the rotations of a galaxy, uniform on SO(3); one that leaves it as it is for a count of 0.

    Args:
        seed: Seed of the set.
        name: The galaxy's; its directions do not depend on which others are there.
        count: How many.

    Example:
        >>> directions(0, "halo0000003", 0), len(directions(0, "halo0000003", 2))
        ([None], 2)
    """
    drawn = [random_rotation(zlib.crc32(f"{seed}-{name}-{r}".encode())) for r in range(count)]
    return list(drawn) or [None]


def lazy_fields(
    make: Callable[[Any], Any], galaxies: Sequence[Any], views: int, look: Look
) -> dict[str, tuple[Any, str, str]]:
    """Return the domains of all galaxies, each galaxy one task that makes all its maps.

    Args:
        make: A galaxy -> its maps ``(views, D, N, N)`` float32.
        galaxies: What ``make`` is called with.
        views: Directions of each.
        look: Domains and pixels.

    Returns:
        Domain -> ``(values (n views, N, N), unit, long_name)``, as ``fields.build`` takes them.
    """
    import dask
    import dask.array as da

    shape = (views, len(look.domains), look.pixels, look.pixels)
    task = dask.delayed(make, pure=False)
    stack = da.concatenate([da.from_delayed(task(galaxy), shape, dtype=np.float32) for galaxy in galaxies])
    return {
        name: (stack[:, d], DOMAINS[name].unit, DOMAINS[name].long_name)
        for d, name in enumerate(look.domains)
    }
