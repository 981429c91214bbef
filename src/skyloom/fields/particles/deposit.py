"""Particles onto pixels: checks, threads, and the choice between the exact and the nested way."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import DataError, ShapeError, UsageError, nearest
from skyloom.fields.particles import nested
from skyloom.fields.particles.kernels import KERNELS, tables

Array = NDArray[Any]
WAYS = ("exact", "nested")
RIMS = {"sphere": 1, "epanechnikov": 2}
"""How the rim of a kernel is met, as ``compiled.add_exactly`` counts; 0 for the smooth ones."""
SHARE = 20_000
"""Particles below which a further thread costs more than it gives."""


def deposit(
    places: ArrayLike,
    radii: ArrayLike,
    weights: ArrayLike,
    *,
    pixels: int,
    kernel: str = "sphere",
    periodic: bool = False,
    way: str = "exact",
    threads: int | None = None,
) -> Array:
    """Share every particle's weights among the pixels that its projected kernel covers.

    ``exact`` integrates the kernel over every pixel, at a cost that grows with the square of the radius;
    a pixel is right to a few 1e-4 of the particle's peak. ``nested`` costs the same for every radius; maps of
    many particles are right to about half a per cent. Both keep the weight of a particle that lies inside
    (``nested`` to about 1e-5 of it where particles reach to the edge of an open map).

    Args:
        places: Centres ``(x, y)`` [pixels], shape ``(n, 2)``; pixel ``i`` reaches from ``i`` to ``i + 1``.
        radii: Radii at which the kernel ends [pixels], shape ``(n,)``; 0 is a point.
        weights: What is shared out, any unit ``u``, shape ``(n,)`` or ``(n, Q)``: all in one pass.
        pixels: Side of the map.
        kernel: ``sphere`` (uniform ball), ``spline`` (cubic), ``wendland`` (C2) or ``epanechnikov``.
        periodic: Whether opposite edges of the map touch. If not, what falls outside is left out.
        way: ``exact`` or ``nested``.
        threads: Threads, each with its own map; one per core if not given.

    Returns:
        Sum of weights in every pixel [u], shape ``(N, N)`` or ``(Q, N, N)``, axes ``y, x``.

    Raises:
        ShapeError: The arrays do not belong together.
        DataError: A number is not finite, or a radius negative.
        UsageError: Kernel or way is unknown, or there is no pixel.

    Example:
        >>> one = deposit([[2.5, 1.5]], [0.1], [3.0], pixels=4)
        >>> one[1].tolist(), float(one.sum())
        ([0.0, 0.0, 3.0, 0.0], 3.0)
        >>> float(deposit([[2.0, 2.0]], [1.5], [3.0], pixels=4, kernel="spline").sum().round(12))
        3.0
    """
    x, y, radii, columns = _checked(places, radii, weights)
    if kernel not in KERNELS:
        raise UsageError(f"the kernel {kernel!r} is unknown", hint=nearest(kernel, KERNELS))
    if way not in WAYS:
        raise UsageError(f"the way {way!r} is unknown", hint=nearest(way, WAYS))
    if pixels < 1 or (threads is not None and threads < 1):
        raise UsageError(f"pixels is {pixels} and threads {threads}, allowed: 1 or more")
    if periodic:
        x, y = x % pixels, y % pixels
    small = np.ones(len(x), dtype=bool)
    image = np.zeros((columns.shape[1], pixels, pixels))
    if way == "nested" and len(x):
        grids = nested.nest(pixels, float(radii.max()), periodic)
        small = (radii < nested.SMALLEST) | (radii >= nested.SMALLEST * 2.0 ** len(grids.sides))
        many = (x[~small], y[~small], radii[~small], columns[~small])
        image += nested.collapse(_nested(many, kernel, grids, threads), grids, pixels, periodic)
    image += _exactly((x[small], y[small], radii[small], columns[small]), kernel, pixels, periodic, threads)
    return image[0] if np.ndim(weights) == 1 else image


def _checked(places: ArrayLike, radii: ArrayLike, weights: ArrayLike) -> tuple[Array, Array, Array, Array]:
    """Return x, y, radii and weights (n, Q) as contiguous float64."""
    xy, R, w = (np.asarray(part, dtype=np.float64) for part in (places, radii, weights))
    n = len(R) if R.ndim == 1 else -1
    if xy.shape != (n, 2) or w.ndim not in (1, 2) or len(w) != n:
        raise ShapeError(
            f"particles have places {xy.shape}, radii {R.shape} and weights {w.shape}",
            hint="allowed: (n, 2), (n,) and (n,) or (n, Q)",
        )
    for name, part in (("place", xy), ("radius", R), ("weight", w)):
        if not np.isfinite(part).all():
            bad = int(np.flatnonzero(~np.isfinite(part.reshape(n, -1)).all(axis=1))[0])
            raise DataError(f"particle {bad} has the {name} {part[bad]}", hint="leave such particles out")
    if n and R.min() < 0:
        bad = int(R.argmin())
        raise DataError(f"particle {bad} has the radius {R[bad]:g}, allowed: 0 or more")
    columns = np.ascontiguousarray(w[:, None] if w.ndim == 1 else w)
    return np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1]), R, columns


def _threads(n: int, threads: int | None) -> int:
    return min(threads or os.cpu_count() or 1, max(1, n // SHARE))


def _added(particles: tuple[Array, ...], threads: int | None, shape: tuple[int, ...], add: Any) -> Array:
    """Call ``add(x, y, radii, weights, image)`` for interleaved parts; return the sum of images."""
    count = _threads(len(particles[0]), threads)
    if count == 1:
        image = np.zeros(shape)
        add(*particles, image)
        return image
    images = np.zeros((count, *shape))
    parts = [tuple(np.ascontiguousarray(column[t::count]) for column in particles) for t in range(count)]
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda part, image: add(*part, image), parts, images))
    return np.asarray(images.sum(axis=0))


def _exactly(
    particles: tuple[Array, ...], kernel: str, pixels: int, periodic: bool, threads: int | None
) -> Array:
    from skyloom.fields.particles.compiled import add_exactly

    table = tables(kernel)

    def add(x: Array, y: Array, radii: Array, weights: Array, image: Array) -> None:
        add_exactly(x, y, radii, weights, table.corner, table.column, RIMS.get(kernel, 0), periodic, image)

    return _added(particles, threads, (particles[3].shape[1], pixels, pixels), add)


def _nested(particles: tuple[Array, ...], kernel: str, grids: nested.Nest, threads: int | None) -> Array:
    from skyloom.fields.particles.compiled import add_stamps

    stamps = nested.stamps(kernel)

    def add(x: Array, y: Array, radii: Array, weights: Array, image: Array) -> None:
        add_stamps(x, y, radii, weights, stamps, grids.starts, grids.sides, image)

    return _added(particles, threads, (particles[3].shape[1], grids.cells), add)
