"""Legacy VTK and history files."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import formats
from skyloom.errors import FormatError
from skyloom.formats.athena import Athena, history

from .conftest import write_vtk

N = 4


def parts():
    """A cube of 8 × 4 × 4 cells as two blocks along x, density and velocity known in every cell."""
    density = np.arange(2 * N**3, dtype=float).reshape(N, N, 2 * N)
    velocity = np.stack([density + 1000 * i for i in (1, 2, 3)], axis=-1)
    return density, velocity


def test_one_file_gives_scalars_and_vectors_with_x_running_fastest(tmp_path):
    density = np.arange(N**3, dtype=float).reshape(N, N, N)
    velocity = np.stack([density + 1000 * i for i in (1, 2, 3)], axis=-1)
    write_vtk(tmp_path / "t.out2.00001.vtk", {"rho": density, "vel": velocity}, low=(0, 0, 0), width=0.25)
    ds = formats.read(tmp_path / "t.out2.00001.vtk", fields=["density", "velocity_y"])
    np.testing.assert_array_equal(ds["density"].values[0], density)
    np.testing.assert_array_equal(ds["velocity_y"].values[0], density + 2000)
    assert ds["time"].values.tolist() == [0.5]
    assert ds.attrs["box_size"] == 1.0


def test_blocks_are_put_together_by_the_places_they_name(tmp_path):
    rng = np.random.default_rng(0)
    whole = rng.random((2 * N,) * 3).astype(np.float32)
    number = 0
    for z in (1, 0):
        for y in (0, 1):
            for x in (1, 0):
                part = whole[z * N : z * N + N, y * N : y * N + N, x * N : x * N + N]
                name = f"t.block{number}.out2.00001.vtk"
                write_vtk(tmp_path / name, {"rho": part}, low=(x - 1, y - 1, z - 1), width=1 / N)
                number += 1
    ds = Athena(path=str(tmp_path)).read()
    np.testing.assert_array_equal(ds["density"].values[0], whole)
    assert ds.attrs["box_size"] == 2.0
    (tmp_path / "t.block3.out2.00001.vtk").unlink()
    with pytest.raises(FormatError, match="7 blocks of this snapshot do not fill a box of 8"):
        Athena(path=str(tmp_path)).read()


def test_damaged_files_are_refused_by_name(tmp_path):
    file = tmp_path / "t.out2.00001.vtk"
    write_vtk(file, {"rho": np.ones((N,) * 3)}, low=(0, 0, 0), width=1)
    raw = file.read_bytes()
    file.write_bytes(raw[:-20])
    with pytest.raises(FormatError, match="ends at byte"):
        Athena(path=str(file)).read()
    file.write_bytes(raw.replace(b"BINARY", b"ASCII"))
    with pytest.raises(FormatError, match="is 'ASCII', allowed: BINARY"):
        Athena(path=str(file)).read()
    file.write_bytes(raw.replace(b"RECTILINEAR_GRID", b"UNSTRUCTURED_GRID"))
    with pytest.raises(FormatError, match="UNSTRUCTURED_GRID"):
        Athena(path=str(file)).read()


def test_structured_points_are_read_as_those_of_athena(tmp_path):
    values = np.arange(8, dtype=float).reshape(2, 2, 2)
    text = (
        "# vtk DataFile Version 3.0\nPRIMITIVE vars at time= 2.5, level= 0, domain= 0\nBINARY\n"
        "DATASET STRUCTURED_POINTS\nDIMENSIONS 3 3 3\nORIGIN -1 -1 -1\nSPACING 1 1 1\nCELL_DATA 8\n"
        "SCALARS rho float\nLOOKUP_TABLE default\n"
    )
    file = tmp_path / "t.out.0001.vtk"
    file.write_bytes(text.encode() + values.astype(">f4").tobytes())
    ds = formats.read(file)
    np.testing.assert_array_equal(ds["density"].values[0], values)
    assert ds["time"].values.tolist() == [2.5]


def test_a_history_keeps_the_later_line_of_a_restart(tmp_path):
    file = tmp_path / "t.hst"
    head = "# Athena++ history data\n# [1]=time     [2]=dt       [3]=mass\n"
    file.write_text(head + " 0.0 0.1 1.0\n 0.1 0.1 1.0\n" + head + " 0.1 0.2 1.5\n 0.3 0.2 1.5\n")
    found = history(file)
    assert found["time"].values.tolist() == [0.0, 0.1, 0.3]
    assert found["mass"].values.tolist() == [1.0, 1.5, 1.5]


def test_a_history_that_is_none_or_is_cut_off_is_refused_with_its_line(tmp_path):
    file = tmp_path / "t.hst"
    file.write_text("0.0 1.0\n")
    with pytest.raises(FormatError, match="no header"):
        history(file)
    file.write_text("# [1]=time [2]=mass\n 0.0 1.0\n 0.5\n")
    with pytest.raises(FormatError, match=r"t\.hst:3: has 1 columns, allowed: 2"):
        history(file)


def test_columns_without_a_name_are_numbered(tmp_path):
    (tmp_path / "t.hst").write_text("# [1]=time [2]=mass\n 0.0 1.0 7.0\n")
    assert history(tmp_path / "t.hst")["column_3"].values.tolist() == [7.0]
    (tmp_path / "t.hst").write_text("# [1]=time [2]=mass\n")
    with pytest.raises(FormatError, match="no line of numbers"):
        history(tmp_path / "t.hst")


def test_the_real_history_keeps_its_mass(shared_data):
    found = history(shared_data / "turbulence" / "athena" / "mhd.hst")
    np.testing.assert_allclose(found["mass"], 1.0, rtol=1e-5)
