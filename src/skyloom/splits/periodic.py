"""Intervals along one side of a box whose last face may touch the first.

An interval is ``(start, length)``, both in the unit of the box; on a periodic axis it may wrap.
"""

from __future__ import annotations

import numpy as np

_ROWS = 512


def inside(start: np.ndarray, length: np.ndarray, slab: tuple[float, float], box: float) -> np.ndarray:
    """Tell which intervals lie wholly in a slab, on a periodic axis.

    On an axis that is not periodic, the same holds as long as neither the intervals nor the slab wrap.

    Args:
        start: Lower faces, shape ``(n,)``.
        length: Thicknesses, shape ``(n,)``.
        slab: Start and length of the slab.
        box: Side of the box.

    Returns:
        Shape ``(n,)``, boolean.

    Example:
        >>> inside(np.array([95.0, 2.0, 8.0]), np.array([4.0, 4.0, 4.0]), (90.0, 20.0), 100.0)
        array([ True,  True, False])
    """
    tolerance = 1e-9 * box
    offset = np.mod(start - slab[0], box)
    offset = np.where(offset > box - tolerance, 0.0, offset)
    return np.asarray(offset + length <= slab[1] + tolerance)


def gap(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], box: float, *, periodic: bool
) -> tuple[float, int, int]:
    """Return the smallest distance between two sets of intervals, 0 where any overlap.

    Args:
        a: Starts and lengths, shapes ``(n,)``.
        b: Starts and lengths, shapes ``(m,)``.
        box: Side of the box.
        periodic: Whether the last face touches the first.

    Returns:
        The distance, in the unit of the box, and the index in ``a`` and in ``b`` where it was found.

    Example:
        >>> one = (np.array([0.0]), np.array([10.0]))
        >>> other = (np.array([80.0]), np.array([10.0]))
        >>> gap(one, other, 100.0, periodic=True)[0], gap(one, other, 100.0, periodic=False)[0]
        (10.0, 70.0)
    """
    best = (np.inf, 0, 0)
    for row in range(0, len(a[0]), _ROWS):
        start, length = a[0][row : row + _ROWS, None], a[1][row : row + _ROWS, None]
        forward, backward = b[0][None] - start, start - b[0][None]
        if periodic:
            forward, backward = np.mod(forward, box), np.mod(backward, box)
            # Each starts after the other ends, going round; else they overlap.
            distance = np.minimum(forward - length, backward - b[1][None])
        else:
            distance = np.maximum(forward - length, backward - b[1][None])
        index = np.unravel_index(int(np.argmin(distance)), distance.shape)
        value = max(float(distance[index]), 0.0)
        if value < best[0]:
            best = (value, row + int(index[0]), int(index[1]))
    return best
