"""Legacy VTK files as Athena++ and Athena write them: binary, big-endian, cell data on a regular grid.

The header is text, line by line; ``STRUCTURED_POINTS`` gives origin and spacing, ``RECTILINEAR_GRID`` the
faces along each axis. Values follow as big-endian float32 with x running fastest, so a variable is a cube
``(z, y, x)``. A run on several blocks writes one file a block (``name.block3.out1.00010.vtk``); they are
put together by the places that they name. Arrays are memory-mapped: nothing is read before it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError

_MAGIC = b"# vtk DataFile"
_FLOAT = np.dtype(">f4")
_TIME = re.compile(rb"time\s*=\s*([-+0-9.eE]+)")


@dataclass
class Block:
    """One file: where its cells lie and where each variable begins.

    Args:
        path: The file.
        time: Time [code units].
        low: Lower corner along x, y, z.
        spacing: Size of a cell along x, y, z.
        cells: Cells along x, y, z.
        variables: Name to ``(offset in the file, components, component)``.
    """

    path: Path
    time: float
    low: NDArray[np.float64]
    spacing: NDArray[np.float64]
    cells: tuple[int, int, int]
    variables: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def values(self, name: str) -> NDArray[np.float32]:
        """Return a variable, ``(z, y, x)`` in the machine's byte order."""
        offset, components, component = self.variables[name]
        shape = (*self.cells[::-1], components)
        mapped = np.memmap(self.path, _FLOAT, "r", offset, shape)
        return np.asarray(mapped[..., component], dtype=np.float32)


def is_vtk(path: Path) -> bool:
    """Return whether a file is a binary legacy VTK file that names a time; never raises."""
    try:
        with path.open("rb") as file:
            return file.readline().startswith(_MAGIC) and _TIME.search(file.readline()) is not None
    except OSError:
        return False


def read_block(path: Path) -> Block:
    """Read the header of one file.

    Args:
        path: A ``.vtk`` file.

    Raises:
        FormatError: The file is no such VTK file, or is shorter than its header says.
    """
    try:
        with path.open("rb") as file:
            if not file.readline().startswith(_MAGIC):
                raise FormatError(f"{path}: does not begin with {_MAGIC.decode()!r}")
            title = file.readline()
            if (kind := file.readline().strip()) != b"BINARY":
                raise FormatError(f"{path}: is {kind.decode(errors='replace')!r}, allowed: BINARY")
            time = _TIME.search(title)
            block = _geometry(path, file, float(time.group(1)) if time else float("nan"))
            _variables(block, file)
    except (OSError, ValueError, IndexError) as error:
        raise FormatError(f"{path}: its VTK header cannot be read ({error})") from error
    size = path.stat().st_size
    for name, (offset, components, _) in block.variables.items():
        needed = offset + int(np.prod(block.cells)) * components * _FLOAT.itemsize
        if size < needed:
            raise FormatError(
                f"{path}: ends at byte {size:,}, but {name!r} goes on to byte {needed:,}",
                hint="the file is truncated: copy it again, or leave it out",
            )
    return block


def _geometry(path: Path, file: BinaryIO, time: float) -> Block:
    kind = _words(file)
    if kind == [b"DATASET", b"STRUCTURED_POINTS"]:
        found = {words[0]: words[1:] for words in (_words(file) for _ in range(3))}
        points = np.array(found[b"DIMENSIONS"], dtype=np.int64)
        low, spacing = (np.array(found[key], dtype=np.float64) for key in (b"ORIGIN", b"SPACING"))
    elif kind == [b"DATASET", b"RECTILINEAR_GRID"]:
        points = np.array(_words(file)[1:], dtype=np.int64)
        faces = [_faces(file, letter) for letter in (b"X", b"Y", b"Z")]
        low = np.array([face[0] for face in faces])
        spacing = np.array([(face[-1] - face[0]) / max(len(face) - 1, 1) for face in faces])
    else:
        raise FormatError(
            f"{path}: is {b' '.join(kind).decode(errors='replace')!r}, allowed: DATASET STRUCTURED_POINTS or"
            " RECTILINEAR_GRID"
        )
    x, y, z = (int(n) for n in np.maximum(points - 1, 1))
    return Block(path, time, low, spacing, (x, y, z))


def _faces(file: BinaryIO, letter: bytes) -> NDArray[np.float64]:
    words = _words(file)
    if words[0] != letter + b"_COORDINATES":
        raise ValueError(f"{letter.decode()}_COORDINATES is missing")
    count = int(words[1])
    return np.frombuffer(file.read(count * _FLOAT.itemsize), _FLOAT, count).astype(np.float64)


def _variables(block: Block, file: BinaryIO) -> None:
    """Find where each variable begins; the values are skipped."""
    cells = int(np.prod(block.cells))
    while words := _words(file):
        if words[0] == b"SCALARS":
            _words(file)  # LOOKUP_TABLE default
            block.variables[words[1].decode()] = (file.tell(), 1, 0)
            file.seek(cells * _FLOAT.itemsize, 1)
        elif words[0] == b"VECTORS":
            for component in range(3):
                block.variables[f"{words[1].decode()}{component + 1}"] = (file.tell(), 3, component)
            file.seek(3 * cells * _FLOAT.itemsize, 1)
        elif words[0] != b"CELL_DATA":
            raise ValueError(f"unknown entry {words[0][:20]!r}")


def _words(file: BinaryIO) -> list[bytes]:
    """Return the words of the next line that is not empty; none at the end of the file."""
    while line := file.readline():
        if words := line.split():
            return words
    return []


def cube(blocks: Sequence[Block], name: str) -> Any:
    """Return a variable of all blocks of one snapshot as a lazy cube.

    Args:
        blocks: The blocks, in any order.
        name: The variable, as the files name it; a vector's components as ``vel1``, ``vel2``, ``vel3``.

    Returns:
        Dask array ``(z, y, x)``, one chunk a block.

    Raises:
        FormatError: The blocks do not fill a box.
    """
    import dask
    import dask.array as da

    places = _places(blocks)
    lazy = {
        place: da.from_delayed(dask.delayed(block.values)(name), block.cells[::-1], np.float32)
        for place, block in places.items()
    }
    X, Y, Z = (max(place[i] for place in lazy) + 1 for i in range(3))
    return da.block([[[lazy[x, y, z] for x in range(X)] for y in range(Y)] for z in range(Z)])


def box(blocks: Sequence[Block]) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Return the sides of the box and its cells along x, y, z."""
    low = np.min([block.low for block in blocks], axis=0)
    high = np.max([block.low + block.spacing * block.cells for block in blocks], axis=0)
    x, y, z = (int(n) for n in np.rint((high - low) / blocks[0].spacing))
    return high - low, (x, y, z)


def _places(blocks: Sequence[Block]) -> dict[tuple[int, int, int], Block]:
    """Return the blocks by their place in the box, counted in blocks."""
    low = np.min([block.low for block in blocks], axis=0)
    found = {}
    for block in blocks:
        x, y, z = (int(n) for n in np.rint((block.low - low) / (block.spacing * block.cells)))
        found[x, y, z] = block
    whole = np.prod([max(place[i] for place in found) + 1 for i in range(3)])
    if len(found) != whole or len(found) != len(blocks) or len({block.cells for block in blocks}) > 1:
        raise FormatError(
            f"{blocks[0].path}: the {len(blocks)} blocks of this snapshot do not fill a box of {whole}",
            hint="one of the .blockN. files is missing, or there are two of one block",
        )
    return found
