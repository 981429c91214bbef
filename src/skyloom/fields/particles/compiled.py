"""The loops over particles and pixels, compiled when they are first used.

Lengths are in pixels and the pixel ``i`` reaches from ``i`` to ``i + 1``. A particle inside one pixel is
added to it. One whose radius is below ``SMALL`` pixels is integrated over every pixel from the table of
corners. Of a larger one the column density is taken at the pixels' centres with the second-order correction
to the mean over the pixel, ``F + ∇²F / 24``; the rim of a sphere, where that series fails, is integrated.
The nested way of ``nested.py`` has its two loops here too: the making of stamps, and their adding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from skyloom.fields.particles.nested import HALF, PAD, SIDE, SMALLEST

SMALL = 6.0
"""Radius below which every pixel is integrated [pixels]."""
RIM = 1.5
"""Depth of the rim of a sphere that is integrated [pixels]."""
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": True, "error_model": "numpy"}


@njit(**_OPTIONS)
def _corner(dx, dy, table):  # type: ignore[no-untyped-def]
    """Return the signed mass between the centre and the point (dx, dy), in units of the radius."""
    cells = table.shape[0] - 1
    a, b = min(abs(dx), 1.0) * cells, min(abs(dy), 1.0) * cells
    i, j = min(int(a), cells - 1), min(int(b), cells - 1)
    f, g = a - i, b - j
    low = table[j, i] + f * (table[j, i + 1] - table[j, i])
    high = table[j + 1, i] + f * (table[j + 1, i + 1] - table[j + 1, i])
    value = low + g * (high - low)
    return value if (dx < 0) == (dy < 0) else -value


@njit(**_OPTIONS)
def _integrate(x, y, R, i0, j0, nx, ny, table, edges, stamp):  # type: ignore[no-untyped-def]
    """Fill the stamp with the mass in each pixel, from the table of corners."""
    for j in range(ny + 1):
        dy = (j0 + j - y) / R
        now = j & 1
        for i in range(nx + 1):
            edges[now, i] = _corner((i0 + i - x) / R, dy, table)
        if j > 0:
            for i in range(nx):
                mass = edges[now, i + 1] - edges[now, i] - edges[1 - now, i + 1] + edges[1 - now, i]
                stamp[j - 1, i] = max(mass, 0.0)


@njit(**_OPTIONS)
def _sample(x, y, R, i0, j0, nx, ny, column, stamp):  # type: ignore[no-untyped-def]
    """Fill the stamp with the mass in each pixel, from corrected samples of the column density."""
    steps = column.shape[0] - 2
    first, second = 1 / (R * R), 1 / (24 * R**4)
    for j in range(ny):
        dy2 = (j0 + j + 0.5 - y) ** 2
        for i in range(nx):
            dx = i0 + i + 0.5 - x
            u = min((dx * dx + dy2) * first, 1.0) * steps
            k = int(u)
            f = u - k
            F = column[k, 0] + f * (column[k + 1, 0] - column[k, 0])
            laplacian = column[k, 1] + f * (column[k + 1, 1] - column[k, 1])
            stamp[j, i] = F * first + laplacian * second


@njit(**_OPTIONS)
def _sphere(x, y, R, i0, j0, nx, ny, table, stamp):  # type: ignore[no-untyped-def]
    """Fill the stamp with the mass of a sphere: samples inside, integrals over the pixels of its rim."""
    R2 = R * R
    scale = 3 / (2 * np.pi * R**3)
    for j in range(ny):
        dy = j0 + j + 0.5 - y
        near = max(abs(dy) - 0.5, 0.0)
        outer = np.sqrt(max(R2 - near * near, 0.0)) + 0.5
        inner = np.sqrt(max((R - RIM) ** 2 - dy * dy, 0.0))
        a = min(max(int(np.ceil(x - inner - 0.5)) - i0, 0), nx)
        b = min(max(int(np.floor(x + inner - 0.5)) - i0 + 1, a), nx)
        if inner == 0.0:
            b = a
        for i in range(a, b):
            dx = i0 + i + 0.5 - x
            w = R2 - dx * dx - dy * dy
            q = 1 / np.sqrt(w)
            stamp[j, i] = scale * q * (w - (w + R2) * q * q * (1 / 24))
        for side in range(2):
            for i in range(0 if side == 0 else b, a if side == 0 else nx):
                dx = i0 + i + 0.5 - x
                if abs(dx) > outer:
                    stamp[j, i] = 0.0
                    continue
                left, right, low, high = (dx - 0.5) / R, (dx + 0.5) / R, (dy - 0.5) / R, (dy + 0.5) / R
                mass = _corner(right, high, table) - _corner(left, high, table)
                mass += _corner(left, low, table) - _corner(right, low, table)
                stamp[j, i] = max(mass, 0.0)


@njit(**_OPTIONS)
def _add(stamp, i0, j0, nx, ny, scale, weights, periodic, image):  # type: ignore[no-untyped-def]
    """Add the stamp times each weight to the images."""
    N = image.shape[1]
    for q in range(image.shape[0]):
        w = weights[q] * scale
        if w == 0.0:
            continue
        if not periodic or (i0 >= 0 and i0 + nx <= N and j0 >= 0 and j0 + ny <= N):
            for j in range(ny):
                for i in range(nx):
                    image[q, j0 + j, i0 + i] += w * stamp[j, i]
        else:
            for j in range(ny):
                row = (j0 + j) % N
                for i in range(nx):
                    image[q, row, (i0 + i) % N] += w * stamp[j, i]


@njit(**_OPTIONS)
def add_exactly(x, y, radii, weights, table, column, rim, periodic, image):  # type: ignore[no-untyped-def]
    """Add particles to images; ``x, y, radii`` (n,) in pixels, ``weights`` (n, Q), ``image`` (Q, N, N).

    ``rim`` is 0 for a kernel that ends smoothly, 1 for the sphere, 2 for one that is integrated at all sizes.
    """
    N = image.shape[1]
    widest = 2 * int(np.ceil(radii.max())) + 3 if len(radii) else 1
    side = widest if periodic else min(widest, N)
    stamp, edges = np.empty((side, side)), np.empty((2, max(side, int(2 * SMALL) + 3) + 2))
    for p in range(len(x)):
        R = radii[p]
        i0, i1 = int(np.floor(x[p] - R)), int(np.floor(x[p] + R))
        j0, j1 = int(np.floor(y[p] - R)), int(np.floor(y[p] + R))
        whole = True
        if not periodic:
            whole = i0 >= 0 and j0 >= 0 and i1 < N and j1 < N
            i0, i1, j0, j1 = max(i0, 0), min(i1, N - 1), max(j0, 0), min(j1, N - 1)
            if i0 > i1 or j0 > j1:
                continue
        if whole and i0 == i1 and j0 == j1:
            for q in range(image.shape[0]):
                image[q, j0 % N, i0 % N] += weights[p, q]
            continue
        nx, ny = i1 - i0 + 1, j1 - j0 + 1
        scale = 1.0
        if R < SMALL or rim == 2:
            _integrate(x[p], y[p], R, i0, j0, nx, ny, table, edges, stamp)
        else:
            if rim == 1:
                _sphere(x[p], y[p], R, i0, j0, nx, ny, table, stamp)
            else:
                _sample(x[p], y[p], R, i0, j0, nx, ny, column, stamp)
            if whole:
                total = 0.0
                for j in range(ny):
                    for i in range(nx):
                        total += stamp[j, i]
                scale = 1 / total
        _add(stamp, i0, j0, nx, ny, scale, weights[p], periodic, image)


@njit(**_OPTIONS)
def cut_stamps(table, radii, offsets, stamps):  # type: ignore[no-untyped-def]
    """Fill ``stamps`` (S, K, K, side, side) with particles of radii (S,) at offsets (K,) in a cell."""
    edges = np.empty((2, SIDE + 1))
    for s in range(len(radii)):
        for a in range(len(offsets)):
            for b in range(len(offsets)):
                x, y = offsets[b], offsets[a]
                _integrate(x, y, radii[s], -HALF, -HALF, SIDE, SIDE, table, edges, stamps[s, a, b])


@njit(**_OPTIONS)
def add_stamps(x, y, radii, weights, stamps, starts, sides, grids):  # type: ignore[no-untyped-def]
    """Add each particle's nearest stamp to the grid on which its radius is 1 to 2 times ``SMALLEST`` cells.

    ``x, y, radii`` (n,) in pixels of the finest grid, ``weights`` (n, Q); grid ``l`` is the square of side
    ``sides[l]`` that begins at ``starts[l]`` of ``grids`` (Q, cells), with ``PAD`` cells before the map.
    """
    S, K = stamps.shape[0], stamps.shape[1]
    for p in range(len(x)):
        level, share = 0, 1.0
        size = radii[p] / SMALLEST
        while size >= 2.0:
            size, share, level = 0.5 * size, 0.5 * share, level + 1
        column, row = x[p] * share, y[p] * share
        i, j = int(np.floor(column)), int(np.floor(row))
        stamp = stamps[int((size - 1) * S), int((row - j) * K), int((column - i) * K)]
        i, j, n = i - HALF + PAD, j - HALF + PAD, sides[level]
        if i < 0 or j < 0 or i + SIDE > n or j + SIDE > n:
            continue
        for q in range(grids.shape[0]):
            w = weights[p, q]
            for a in range(SIDE):
                place = starts[level] + (j + a) * n + i
                for b in range(SIDE):
                    grids[q, place + b] += w * stamp[a, b]
