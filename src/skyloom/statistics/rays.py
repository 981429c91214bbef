"""Straight rays through the pixels of a map or cube: where they start, and how far they go inside a region.

Every pixel sends the same rays, and these come with all mirror images that a square or a cube has. What is
counted along them is then left as it is by turns, flips and periodic shifts of the field, exactly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Rays(NamedTuple):
    """Rays that every pixel sends; of a map the first component is 0."""

    directions: Array
    """Unit vectors, shape ``(K, 3)``."""
    places: Array
    """Where they start: the share of the pixel that lies before it, seen along the ray, shape ``(K, 3)``."""
    ahead: Array
    """Way from there out of the pixel [pixels], shape ``(K,)``."""
    chord: Array
    """Length of the ray's line inside the pixel [pixels], shape ``(K,)``."""


def symmetric_rays(dims: int, rays: int, seed: int) -> Rays:
    """Draw directions and starting places, with all their mirror images.

    Args:
        dims: 2 for maps, 3 for cubes.
        rays: How many, rounded up to a multiple of the 8 (maps) or 48 (cubes) mirror images.
        seed: Seed of the generator.

    Returns:
        ``Rays(directions, places, ahead, chord)``, shapes ``(K, 3)``, ``(K, 3)``, ``(K,)``, ``(K,)``.

    Example:
        >>> directions = symmetric_rays(2, 10, 0).directions
        >>> directions.shape, bool(np.abs(directions.mean(axis=0)).max() < 1e-15)
        ((16, 3), True)
    """
    orders = list(itertools.permutations(range(dims)))
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=dims)))
    K = -(-rays // (len(orders) * len(signs)))
    rng = np.random.default_rng(seed)
    # A Latin hypercube: every coordinate takes each of K strata once.
    u = (
        np.stack([rng.permutation(K) for _ in range(2 * dims - 1)], axis=1) + rng.random((K, 2 * dims - 1))
    ) / K
    phi = 0.5 * np.pi * u[:, 0]
    if dims == 2:
        one = np.stack([np.cos(phi), np.sin(phi)], axis=1)
    else:
        z = u[:, 1]
        rho = np.sqrt(1 - z**2)
        one = np.stack([rho * np.cos(phi), rho * np.sin(phi), z], axis=1)
    place = u[:, dims - 1 :]
    directions = np.concatenate([one[:, order] * sign for order in orders for sign in signs])
    places = np.concatenate([place[:, order] for order in orders for _ in signs])
    flat = ((0, 0), (3 - dims, 0))
    ahead, behind = (
        (share / np.abs(directions)).min(axis=1, initial=np.inf) for share in (1 - places, places)
    )
    return Rays(np.pad(directions, flat), np.pad(places, flat), ahead, ahead + behind)


@lru_cache(maxsize=1)
def tracer() -> Callable[..., tuple[Array, float]]:
    """Return the kernel, compiled when it is first used.

    Returns:
        A function ``(inside, rays, periodic, limit, edges) -> (counts, total)``: the histogram
        of the lengths of all rays from every pixel of ``inside`` (Z, Y, X), in bins of equal width in the
        logarithm between ``edges``, and the sum of the lengths, cut at ``limit``, all in pixels. Both are
        averaged over all starts on the line of a ray through its pixel.

    Example:
        >>> inside = np.zeros((1, 1, 8), dtype=bool)
        >>> inside[0, 0, :3] = True
        >>> along = Rays(np.array([[0.0, 0.0, 1.0]]), np.full((1, 3), 0.5), np.array([0.5]), np.array([1.0]))
        >>> tracer()(inside, along, True, 8.0, np.array([1.0, 2.0, 4.0]))[1]  # 2.5 + 1.5 + 0.5
        4.5
    """
    import numba

    return numba.njit(cache=True)(_trace)  # type: ignore[no-any-return]


def _trace(
    inside: Array, rays: Rays, periodic: bool, limit: float, edges: Array
) -> tuple[Array, float]:  # pragma: no cover - compiled
    """Go from face to face of pixels as Amanatides & Woo (1987) do."""
    shape = inside.shape
    bins = len(edges) - 1
    width = np.log(edges[bins] / edges[0]) / bins
    counts, total = np.zeros(bins), 0.0
    at, step = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    between, following = np.zeros(3), np.zeros(3)
    for start in range(inside.size):
        z, rest = start // (shape[1] * shape[2]), start % (shape[1] * shape[2])
        if not inside[z, rest // shape[2], rest % shape[2]]:
            continue
        for ray in range(len(rays.chord)):
            at[0], at[1], at[2] = z, rest // shape[2], rest % shape[2]
            for a in range(3):
                d = rays.directions[ray, a]
                step[a] = 1 if d > 0 else -1
                between[a] = 1 / abs(d) if d != 0 else np.inf
                following[a] = (1 - rays.places[ray, a]) * between[a] if d != 0 else np.inf
            length = 0.0
            while length < limit:
                a = 0
                if following[1] < following[a]:
                    a = 1
                if following[2] < following[a]:
                    a = 2
                length = following[a]
                following[a] += between[a]
                at[a] += step[a]
                if at[a] < 0 or at[a] >= shape[a]:
                    if not periodic:
                        break
                    at[a] = at[a] % shape[a]
                if not inside[at[0], at[1], at[2]]:
                    break
            if length >= limit:
                total += limit
                continue
            # The start could have been anywhere on the chord of its pixel, with equal right.
            high = length - rays.ahead[ray] + rays.chord[ray]
            low = max(high - rays.chord[ray], edges[0])
            total += high - 0.5 * rays.chord[ray]
            place = int(np.log(low / edges[0]) / width)
            while place < bins and edges[place] < high:
                share = min(high, edges[place + 1]) - max(low, edges[place])
                counts[place] += max(share, 0.0) / rays.chord[ray]
                place += 1
    return counts, total
