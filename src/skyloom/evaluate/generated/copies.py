r"""The memorisation court: is a generated map a training map, shifted, flipped or turned?

Two maps are as alike as their largest correlation over all cyclic shifts and the eight symmetries of a
square,

.. math:: r = \max_{g, \mathbf s} \; \frac{1}{C} \sum_c
          \mathrm{corr}\big(x_c(\mathbf r), (g y_c)(\mathbf r + \mathbf s)\big) .

Shifts are tried all at once by Fourier transform, on the few training maps whose invariants (quantiles of the
values, radial spectrum) are nearest; a copy has equal invariants, so it is among them. Held-out real maps say
how alike two maps are that have nothing to do with each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skyloom.errors import ShapeError
from skyloom.statistics import power_spectrum
from skyloom.statistics.distances import exceeds
from skyloom.statistics.grouped import jackknifed

Array = NDArray[Any]

CANDIDATES = 8
DUPLICATE = 0.99  #: correlation above which two maps of one set count as one
CERTAIN = 0.01  #: probability below which copies are no chance


def likeness(
    maps: Array, others: Array, *, same: bool = False, candidates: int = CANDIDATES
) -> tuple[Array, Array]:
    """Return how alike each map is to its nearest of others, and which that is.

    Args:
        maps: Shape ``(n, C, N, N)``, any units.
        others: Shape ``(m, C, N, N)``, the same fields.
        same: Whether both are the same set: a map is not its own neighbour.
        candidates: Others that are tried for each map, nearest in what no shift, flip or turn changes.

    Returns:
        ``(r, nearest)``: largest correlation, and the row of the other, shapes ``(n,)``. Constant maps
        correlate with nothing but a constant: 1 with another such, else 0.

    Raises:
        ShapeError: The maps are not square, or the two sets differ in fields or size.

    Example:
        >>> maps = np.random.default_rng(0).random((5, 1, 16, 16))
        >>> copy = np.roll(np.rot90(maps[3], axes=(1, 2)), (5, 2), (1, 2))
        >>> r, nearest = likeness(copy[None], maps)
        >>> round(float(r[0]), 6), int(nearest[0])
        (1.0, 3)
    """
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3] or maps.shape[1:] != others.shape[1:]:
        raise ShapeError(f"maps {maps.shape} and {others.shape} cannot be compared, allowed: (n, C, N, N)")
    mine, theirs = _invariants(maps), _invariants(others)
    mean, sd = theirs.mean(axis=0), np.maximum(theirs.std(axis=0), 1e-12)
    count = min(candidates + same, len(others))
    _, found = cKDTree((theirs - mean) / sd).query((mine - mean) / sd, k=count)
    found = np.asarray(found).reshape(len(maps), count)
    modes, known = _modes(others), _varies(others)
    best, nearest = np.full(len(maps), -np.inf), np.zeros(len(maps), dtype=np.int64)
    for row in range(len(maps)):
        tried = [other for other in found[row] if not (same and other == row)][:candidates]
        r = _largest(maps[row], modes[tried], known[tried])
        if r.size:
            best[row], nearest[row] = r.max(), tried[int(r.argmax())]
    return best, nearest


def court(generated: Array, held_out: Array, train: Array, groups: tuple[Array, Array]) -> dict[str, Any]:
    r"""Hold a generator's maps and held-out real ones against the maps that it was trained on.

    If neither knows the training maps, each order of all ``n + m`` likenesses is equally probable, so the
    chance that the ``c`` largest are all of generated maps is :math:`\prod_{i<c} (n - i) / (n + m - i)`.

    Args:
        generated: Shape ``(n, C, N, N)``, any units.
        held_out: Real maps of other simulations than the training ones, shape ``(m, C, N, N)``.
        train: Shape ``(l, C, N, N)``.
        groups: Group of each generated and of each held-out map.

    Returns:
        JSON values: ``copies``, generated maps more like a training map than any held-out one, ``chance`` of
        so many, ``memorised``; ``closer``, the probability that a generated map is more like its nearest
        training map than a held-out one is (0.5 for a generator that has learned no map by heart), with its
        error; medians ``generated`` and ``held_out``; ``nearest``, for the most alike generated maps the row
        in train and the likeness.

    Raises:
        ShapeError: As ``likeness``.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((30, 1, 16, 16))
        >>> groups = np.arange(10), np.arange(20, 30)
        >>> verdict = court(np.roll(maps[:10], 3, 3), maps[20:], maps[:20], groups)
        >>> verdict["copies"], verdict["memorised"]
        (10, True)
    """
    mine, nearest = likeness(generated, train)
    theirs, _ = likeness(held_out, train)
    # Rounding must not decide between two copies.
    mine, theirs = np.round(mine, 9), np.round(theirs, 9)
    copies = int((mine > theirs.max()).sum())
    n, m = len(mine), len(theirs)
    chance = float(np.prod([(n - i) / (n + m - i) for i in range(copies)]))
    closer = jackknifed(lambda i, j: exceeds(mine[i], theirs[j]), *groups)
    order = np.argsort(-mine, kind="stable")[:4]
    return {
        "copies": copies,
        "samples": n,
        "held_out_samples": m,
        "train_samples": len(train),
        "chance": chance,
        "memorised": chance < CERTAIN,
        "closer": {
            "value": float(closer.value),
            "low": float(closer.value - 1.96 * closer.error),
            "high": float(closer.value + 1.96 * closer.error),
        },
        "generated": float(np.median(mine)),
        "held_out": float(np.median(theirs)),
        "nearest": [
            {"generated": int(row), "train": int(nearest[row]), "likeness": float(mine[row])} for row in order
        ],
    }


def duplicates(maps: Array) -> float:
    """Return the share of maps that have a twin in the same set, up to a shift, flip or turn.

    Args:
        maps: Shape ``(n, C, N, N)``, any units.

    Example:
        >>> maps = np.random.default_rng(0).random((6, 1, 16, 16))
        >>> duplicates(maps), duplicates(np.concatenate([maps, maps[:2, :, ::-1]])) == 4 / 8
        (0.0, True)
    """
    if len(maps) < 2:
        return 0.0
    return float((likeness(maps, maps, same=True, candidates=2)[0] > DUPLICATE).mean())


def _invariants(maps: Array) -> Array:
    """What no cyclic shift, flip or turn changes: quantiles of the values and the radial spectrum."""
    flat = maps.reshape(*maps.shape[:2], -1).astype(np.float64)
    quantiles = np.moveaxis(np.quantile(flat, np.linspace(0, 1, 17), axis=2), 0, 2)
    spectrum = power_spectrum(maps.astype(np.float64), 1.0, bins=12)
    power = spectrum.power[..., spectrum.modes > 0]
    floor = 1e-12 * max(float(power.max()), 1e-300)
    return np.concatenate([quantiles, np.log(np.maximum(power, floor))], axis=2).reshape(len(maps), -1)


def _normalised(maps: Array) -> Array:
    values = maps.astype(np.float64) - maps.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
    norm = np.sqrt(np.square(values).sum(axis=(-2, -1), keepdims=True))
    return np.asarray(np.divide(values, norm, out=np.zeros_like(values), where=norm > 1e-12))


def _varies(maps: Array) -> Array:
    return np.asarray(np.ptp(maps, axis=(-2, -1)) > 0)


def _modes(maps: Array) -> Array:
    return np.asarray(scipy.fft.rfft2(_normalised(maps)).astype(np.complex64))


def _largest(sample: Array, modes: Array, known: Array) -> Array:
    """Largest correlation of one sample with each candidate, shape ``(candidates,)``."""
    mine = _normalised(sample)
    constant = (~_varies(sample) & ~known).mean(axis=1)
    best = np.full(len(modes), -np.inf)
    for flipped in (mine, mine[:, ::-1]):
        for turns in range(4):
            moved = scipy.fft.rfft2(np.rot90(flipped, turns, axes=(1, 2)))
            product = (modes * moved.conj()[None]).sum(axis=1)
            r = scipy.fft.irfft2(product, s=sample.shape[-2:]).max(axis=(1, 2)) / len(sample)
            best = np.maximum(best, r + constant)
    return best
