"""Small Athena++ files written as the code writes them, of values known everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

Field = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def centres(level: int, location: Sequence[int], block: Sequence[int], root: Sequence[int]):
    """Cell centres (z, y, x) of one block in a box from 0 to 1."""
    axes = []
    for place, n, cells in zip(location, block, root, strict=True):
        width = 1 / (cells << level)
        axes.append((place * n + np.arange(n) + 0.5) * width)
    x, y, z = axes
    return np.meshgrid(z, y, x, indexing="ij")


def write_athdf(
    path: Path,
    fields: Mapping[str, Field],
    *,
    root: Sequence[int] = (8, 8, 8),
    block: Sequence[int] = (4, 4, 4),
    blocks: Sequence[tuple[int, Sequence[int]]] | None = None,
    time: float = 1.0,
) -> None:
    """Write a snapshot; ``blocks`` are (level, place x y z), left out, all root blocks, x fastest."""
    if blocks is None:
        X, Y, Z = (n // b for n, b in zip(root, block, strict=True))
        blocks = [(0, (x, y, z)) for z in range(Z) for y in range(Y) for x in range(X)]
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(fields)
    # Scalars and vectors in one dataset, the magnetic field in another, as Athena++ does.
    parts = {
        "prim": [n for n in names if not n.startswith("Bcc")],
        "B": [n for n in names if n.startswith("Bcc")],
    }
    parts = {key: value for key, value in parts.items() if value}
    with h5py.File(path, "w") as file:
        for dataset, members in parts.items():
            values = [
                [fields[name](*centres(level, place, block, root)) for level, place in blocks]
                for name in members
            ]
            file[dataset] = np.array(values, dtype=np.float32)
        file["Levels"] = np.array([level for level, _ in blocks], dtype=">i4")
        file["LogicalLocations"] = np.array([place for _, place in blocks], dtype=">i8")
        file.attrs.update(
            Coordinates=np.bytes_(b"cartesian"),
            DatasetNames=np.array(list(parts), dtype="S21"),
            VariableNames=np.array([n for members in parts.values() for n in members], dtype="S21"),
            NumVariables=np.array([len(members) for members in parts.values()], dtype=">i4"),
            MaxLevel=np.int32(max(level for level, _ in blocks)),
            MeshBlockSize=np.array(block, dtype=">i4"),
            NumMeshBlocks=np.int32(len(blocks)),
            RootGridSize=np.array(root, dtype=">i4"),
            Time=np.float32(time),
        )
        for axis in (1, 2, 3):
            file.attrs[f"RootGridX{axis}"] = np.array([0.0, 1.0, 1.0], dtype=np.float32)


def write_vtk(
    path: Path, fields: Mapping[str, np.ndarray], *, low: Sequence[float], width: float, time: float = 0.5
) -> None:
    """Write a VTK file as Athena++ does; scalars are (z, y, x), vectors (z, y, x, 3)."""
    cells = next(iter(fields.values())).shape[:3][::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"# vtk DataFile Version 2.0\n")
        file.write(f"# Athena++ data at time= {time} cycle= 7 variables= prim\n".encode())
        file.write(b"BINARY\nDATASET RECTILINEAR_GRID\n")
        file.write(f"DIMENSIONS {cells[0] + 1} {cells[1] + 1} {cells[2] + 1}\n".encode())
        for letter, n, start in zip("XYZ", cells, low, strict=True):
            file.write(f"{letter}_COORDINATES {n + 1} float\n".encode())
            file.write((start + width * np.arange(n + 1)).astype(">f4").tobytes() + b"\n")
        file.write(f"CELL_DATA {np.prod(cells)}".encode())
        for name, values in fields.items():
            head = (
                f"\nVECTORS {name} float\n"
                if values.ndim == 4
                else (f"\nSCALARS {name} float\nLOOKUP_TABLE default\n")
            )
            file.write(head.encode() + values.astype(">f4").tobytes())


@pytest.fixture
def ramp() -> Field:
    """A field that is linear in every coordinate: its mean over a cell is its value at the centre."""
    return lambda z, y, x: 1 + x + 10 * y + 100 * z
