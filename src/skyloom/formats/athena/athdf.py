"""Athena++ HDF5 snapshots (``.athdf``): uniform meshes, and refined ones brought to one level.

A file holds meshblocks; block ``b`` of level ``l`` lies at ``LogicalLocations[b]`` (x1, x2, x3, counted in
blocks of its own level) and every dataset is ``(variables, blocks, x3, x2, x1)``, so a cube assembled from it
has the axes ``z, y, x``. Attributes are big-endian where Athena++ wrote them so; h5py converts.

A cube is a Dask array of one chunk a root block, or of slabs across one axis, which take fewer tasks where
maps are cut along it: nothing is read before it is asked for, and a 512³ snapshot never lies whole in memory.
Blocks finer than the level asked for are averaged over the cells of the coarser
one (exact for densities, as all cells of a level have one volume), coarser ones are repeated.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError
from skyloom.formats.athena.names import AXES

Axis = Literal["x", "y", "z"]
SLAB_BYTES = 128 << 20
"""Most that a chunk holds where chunks are slabs, unless one plane has more."""

_ATTRIBUTES = (
    "Time",
    "MaxLevel",
    "MeshBlockSize",
    "RootGridSize",
    "RootGridX1",
    "RootGridX2",
    "RootGridX3",
    "DatasetNames",
    "VariableNames",
    "NumVariables",
    "Coordinates",
)


def is_athdf(path: Path) -> bool:
    """Return whether a file is an Athena++ HDF5 snapshot; never raises."""
    try:
        if not path.is_file() or not h5py.is_hdf5(path):
            return False
        with h5py.File(path) as file:
            return "MeshBlockSize" in file.attrs and "LogicalLocations" in file
    except OSError:
        return False


@dataclass(frozen=True)
class Mesh:
    """How the blocks of one snapshot lie.

    Args:
        path: The file.
        time: Time [code units].
        root: Root cells along x, y, z.
        block: Cells of a block along x, y, z.
        edges: Lower and upper face of the box along x, y, z, shape ``(3, 2)``.
        levels: Level of each block, shape ``(B,)``.
        locations: Place of each block in blocks of its level, x, y, z, shape ``(B, 3)``.
        variables: Native name to ``(dataset, row)``.
    """

    path: Path
    time: float
    root: tuple[int, int, int]
    block: tuple[int, int, int]
    edges: NDArray[np.float64]
    levels: NDArray[np.int64]
    locations: NDArray[np.int64]
    variables: dict[str, tuple[str, int]]

    @property
    def finest(self) -> int:
        """The highest level that has a block."""
        return int(self.levels.max(initial=0))

    @cached_property
    def root_blocks(self) -> tuple[int, int, int]:
        """Root blocks along x, y, z."""
        x, y, z = (cells // size for cells, size in zip(self.root, self.block, strict=True))
        return x, y, z

    @cached_property
    def within(self) -> dict[tuple[int, int, int], list[int]]:
        """Place of a root block (x, y, z) to the blocks, of whatever level, that lie in it."""
        found: dict[tuple[int, int, int], list[int]] = {}
        for block, (x, y, z) in enumerate((self.locations >> self.levels[:, None]).tolist()):
            found.setdefault((x, y, z), []).append(block)
        return found


def read_mesh(path: Path) -> Mesh:
    """Read how a snapshot is laid out; no cell is read.

    Args:
        path: An ``.athdf`` file.

    Raises:
        FormatError: The file is truncated, is no snapshot, or its blocks do not fill the box.
    """
    try:
        with h5py.File(path) as file:
            missing = [name for name in _ATTRIBUTES if name not in file.attrs]
            missing += [name for name in ("Levels", "LogicalLocations") if name not in file]
            if missing:
                raise FormatError(
                    f"{path}: is no Athena++ snapshot, it lacks {', '.join(missing)}",
                    hint="write the output with file_type = hdf5",
                )
            mesh = _mesh(path, file)
            _check(mesh, file)
            return mesh
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be read as HDF5 ({error})",
            hint="the file may be truncated: copy it again, or leave it out",
        ) from error


def _mesh(path: Path, file: h5py.File) -> Mesh:
    attributes = file.attrs
    if (kind := _text(attributes["Coordinates"])) != "cartesian":
        raise FormatError(f"{path}: has {kind} coordinates, allowed: cartesian")
    variables, row = {}, 0
    names = [_text(name) for name in attributes["VariableNames"]]
    for dataset, count in zip(attributes["DatasetNames"], attributes["NumVariables"], strict=True):
        for place in range(int(count)):
            variables[names[row]] = (_text(dataset), place)
            row += 1
    x, y, z = (int(n) for n in attributes["RootGridSize"])
    bx, by, bz = (int(n) for n in attributes["MeshBlockSize"])
    return Mesh(
        path=path,
        time=float(attributes["Time"]),
        root=(x, y, z),
        block=(bx, by, bz),
        edges=np.array([attributes[f"RootGridX{i}"][:2] for i in (1, 2, 3)], dtype=np.float64),
        levels=np.asarray(file["Levels"][:], dtype=np.int64),
        locations=np.asarray(file["LogicalLocations"][:], dtype=np.int64).reshape(-1, 3),
        variables=variables,
    )


def _check(mesh: Mesh, file: h5py.File) -> None:
    """Refuse meshes that are not whole: blocks that are missing or overlap, datasets of another shape."""
    wanted = (len(mesh.levels), *mesh.block[::-1])
    for dataset in {name for name, _ in mesh.variables.values()}:
        if dataset not in file or file[dataset].shape[1:] != wanted:
            found = file[dataset].shape if dataset in file else "nothing"
            raise FormatError(f"{mesh.path}: dataset {dataset!r} is {found}, its blocks need (n, *{wanted})")
    # Each block fills 8^-level of a root block; a whole mesh has the volume of the box.
    volume = float((8.0 ** -mesh.levels.astype(float)).sum())
    if not np.isclose(volume, np.prod(mesh.root_blocks), rtol=1e-9):
        raise FormatError(
            f"{mesh.path}: its {len(mesh.levels)} blocks fill {volume:g} of {np.prod(mesh.root_blocks)} root"
            " blocks",
            hint="the file is not whole; copy it again, or leave it out",
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def cube(mesh: Mesh, native: str, *, level: int = 0, across: Axis | None = None) -> Any:
    """Return a variable as a lazy cube.

    Args:
        mesh: The layout, from :func:`read_mesh`.
        native: Athena++'s name of the variable.
        level: Level whose cells the cube has; 0 are root cells.
        across: Axis of the slabs that are the chunks, each as thick as a block or thinner, so that it has
            `SLAB_BYTES` at most; None for one chunk a root block.

    Returns:
        Dask array ``(z, y, x)`` of the file's type.
    """
    import dask.array as da

    lazy = _LazyCube(mesh, native, level)
    chunks = list(lazy.block)
    if across is not None:
        place = AXES[::-1].index(across)
        plane = lazy.dtype.itemsize * math.prod(lazy.shape) // lazy.shape[place]
        thick = next(
            n
            for n in range(chunks[place], 0, -1)
            if chunks[place] % n == 0 and n * plane <= max(SLAB_BYTES, plane)
        )
        chunks = [thick if axis == across else -1 for axis in AXES[::-1]]
    return da.from_array(lazy, chunks=tuple(chunks), asarray=True, fancy=False, name=False, meta=lazy.meta)


class _LazyCube:
    """What Dask needs to know of an array: its shape and type, and how to read a part of it."""

    ndim = 3

    def __init__(self, mesh: Mesh, native: str, level: int) -> None:
        self.mesh, self.level = mesh, level
        self.dataset, self.row = mesh.variables[native]
        self.shape = tuple(n << level for n in mesh.root[::-1])
        self.block = tuple(n << level for n in mesh.block[::-1])
        with h5py.File(mesh.path) as file:
            self.dtype = file[self.dataset].dtype.newbyteorder("=")

    @property
    def meta(self) -> NDArray[Any]:
        """An empty array of the type."""
        return np.empty((0, 0, 0), self.dtype)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        """Read a part, root block by root block."""
        parts = [part.indices(n) for part, n in zip(key, self.shape, strict=True)]
        lower, upper = [start for start, _, _ in parts], [stop for _, stop, _ in parts]
        given: NDArray[Any] = np.empty([b - a for a, b in zip(lower, upper, strict=True)], self.dtype)
        data = self._data()
        touched = [range(a // n, -(-b // n)) for a, b, n in zip(lower, upper, self.block, strict=True)]
        for z, y, x in product(*touched):
            there, inside = [], []
            for first, last, n, index in zip(lower, upper, self.block, (z, y, x), strict=True):
                start, stop = max(first, index * n), min(last, (index + 1) * n)
                there.append(slice(start - first, stop - first))
                inside.append(slice(start - index * n, stop - index * n))
            given[tuple(there)] = self._root_block(data, (x, y, z))[tuple(inside)]
        steps = [step for _, _, step in parts]
        # Dask copies what is a view of something else, and most parts are whole.
        return given if steps == [1, 1, 1] else given[tuple(slice(None, None, step) for step in steps)]

    def _data(self) -> Any:
        """Return the dataset; mapped where it lies in one piece, which saves a copy of every block.

        The map is made anew for each part, so that what was read of the file does not add up in memory.
        """
        data = _opened(self.mesh.path, os.getpid())[self.dataset]
        offset = data.id.get_offset()
        if offset is None:
            return data
        return np.memmap(self.mesh.path, data.dtype, mode="r", offset=offset, shape=data.shape)

    def _root_block(self, data: Any, place: tuple[int, int, int]) -> NDArray[Any]:
        """Return the cells of a root block (x, y, z), of the level asked for."""
        blocks = self.mesh.within[place]
        if len(blocks) == 1 and self.mesh.levels[blocks[0]] == self.level:
            return np.asarray(data[self.row, blocks[0]])
        whole: NDArray[Any] = np.empty(self.block, self.dtype)
        for b in blocks:
            self._place(whole, data[self.row, b], b, place)
        return whole

    def _place(
        self, whole: NDArray[Any], values: NDArray[Any], block: int, place: tuple[int, int, int]
    ) -> None:
        """Write a meshblock of any level into its root block."""
        mesh = self.mesh
        depth = int(mesh.levels[block])
        values = _at_level(values, self.level - depth)
        # The block's lower corner inside the root block, in its own cells, then in ours.
        own = (mesh.locations[block] - (np.array(place) << depth)) * mesh.block
        corner = [int(n * 2.0 ** (self.level - depth)) for n in own][::-1]
        whole[tuple(slice(c, c + n) for c, n in zip(corner, values.shape, strict=True))] = values


@lru_cache(maxsize=4)
def _opened(path: Path, process: int) -> h5py.File:
    """Return a file, opened once in each process: opening takes longer than reading a block."""
    return h5py.File(path)


def _at_level(values: NDArray[Any], finer: int) -> NDArray[Any]:
    """Repeat cells (``finer`` > 0 levels) or average them (``finer`` < 0)."""
    if finer == 0:
        return values
    n = 1 << abs(finer)
    if finer > 0:
        return values.repeat(n, axis=0).repeat(n, axis=1).repeat(n, axis=2)
    z, y, x = values.shape
    blocks = values.reshape(z // n, n, y // n, n, x // n, n)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float64), dtype=values.dtype)
