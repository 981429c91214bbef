"""Lazy arrays over the big files: nothing is read before a block of them is computed.

Each block opens the memory map, takes its part and lets the map go, so the process never holds pages of maps
that it has read. CMD shows a slab along axis ``a`` as rows ``a+1`` and columns ``a+2`` (x, y, z in turn); a
field set shows rows ``z`` or ``y`` above columns ``y`` or ``x``, so maps along x and z are turned over their
diagonal. Grids are stored ``[x, y, z]`` and handed on as ``(z, y, x)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError
from skyloom.formats.camels.names import AXES, MAPS, SLICES

if TYPE_CHECKING:
    import dask.array as da

BLOCK_BYTES = 16_000_000  #: of a block, about


def opened(path: Path) -> NDArray[Any]:
    """Return the memory map of a file.

    Args:
        path: A ``.npy`` file of floating-point maps ``(n, N, N)`` or grids ``(n, N, N, N)``.

    Raises:
        FormatError: It is cut off, or no such array.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(
            f"{path}: cannot be opened: {error}",
            hint="the file is cut off or no array; 'skyloom fetch camels' goes on with a broken download",
        ) from error
    if array.ndim not in (3, 4) or array.dtype.kind != "f" or len(set(array.shape[1:])) > 1:
        raise FormatError(
            f"{path}: shape {array.shape}, type {array.dtype}",
            hint="allowed: floating-point maps (n, N, N) or grids (n, N, N, N)",
        )
    return array


def lazy_maps(path: Path, *, factor: float, size: int | None, identity: str) -> da.Array:
    """Return the maps of a file, lazily.

    Args:
        path: The file.
        factor: What every value is multiplied by.
        size: Pixels along a side, by means over whole blocks of pixels; None keeps those of the file.
        identity: Tells this content from another of the same path.

    Returns:
        Shape ``(n, size, size)``, rows and columns as the convention has them.

    Raises:
        FormatError: The file is damaged, or its maps cannot be divided into ``size`` pixels.
    """
    import dask.array as da

    array = opened(path)
    n, N = array.shape[:2]
    side = N if size is None else size
    if N % side:
        raise FormatError(f"{path}: maps of {N} pixels cannot be averaged to {side}", hint="take a divisor")
    rows = MAPS * max(1, BLOCK_BYTES // (MAPS * array.dtype.itemsize * N**2))
    chunks = (tuple(min(rows, n - start) for start in range(0, n, rows)), (side,), (side,))
    dtype = array.dtype.newbyteorder("=")
    meta = np.empty((0, 0, 0), dtype)
    settings = {"path": str(path), "rows": rows, "factor": factor, "side": side, "identity": identity}
    return da.map_blocks(_map_block, chunks=chunks, dtype=dtype, meta=meta, **settings)


def _map_block(
    *, path: str, rows: int, factor: float, side: int, identity: str, block_id: tuple[int, ...] = (0, 0, 0)
) -> NDArray[Any]:
    array = opened(Path(path))
    start = block_id[0] * rows
    part = array[start : start + rows]
    out: NDArray[Any] = np.array(part, dtype=part.dtype.newbyteorder("="))
    turned = np.flatnonzero(np.arange(start, start + len(out)) // SLICES % AXES != 1)
    out[turned] = out[turned].swapaxes(1, 2)
    if side != out.shape[1]:
        step = out.shape[1] // side
        out = out.reshape(-1, side, step, side, step).mean(axis=(2, 4), dtype=np.float64).astype(out.dtype)
    return out if factor == 1 else out * out.dtype.type(factor)


def lazy_grids(path: Path, *, factor: float, identity: str) -> da.Array:
    """Return the grids of a file, lazily.

    Args:
        path: The file.
        factor: What every value is multiplied by.
        identity: Tells this content from another of the same path.

    Returns:
        Shape ``(n, N, N, N)``, axes ``z, y, x``.

    Raises:
        FormatError: The file is damaged.
    """
    import dask.array as da

    array = opened(path)
    n, N = array.shape[:2]
    planes = max(1, min(N, 4 * BLOCK_BYTES // (array.dtype.itemsize * N**2)))
    along = tuple(min(planes, N - start) for start in range(0, N, planes))
    dtype = array.dtype.newbyteorder("=")
    meta = np.empty((0, 0, 0, 0), dtype)
    settings = {"path": str(path), "planes": planes, "factor": factor, "identity": identity}
    return da.map_blocks(
        _grid_block, chunks=((1,) * n, (N,), (N,), along), dtype=dtype, meta=meta, **settings
    )


def _grid_block(
    *, path: str, planes: int, factor: float, identity: str, block_id: tuple[int, ...] = (0, 0, 0, 0)
) -> NDArray[Any]:
    start = block_id[3] * planes
    part = opened(Path(path))[block_id[0], start : start + planes]
    turned = np.array(part.transpose(2, 1, 0), dtype=part.dtype.newbyteorder("="), order="C")
    return (turned if factor == 1 else turned * turned.dtype.type(factor))[None]
