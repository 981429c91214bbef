"""Athena++ snapshots: where every cell lies, which output is taken, and what is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from skyloom import fields, formats
from skyloom.errors import FormatError, UsageError
from skyloom.fields import store
from skyloom.fields.project import cut
from skyloom.formats.athena import Athena, athdf

from .conftest import write_athdf

N = 8
REFINED = [
    (level, place)
    for level, place in [
        *[(0, (x, y, z)) for z in range(2) for y in range(2) for x in range(2) if (x, y, z) != (1, 0, 0)],
        *[(1, (2 + x, y, z)) for z in range(2) for y in range(2) for x in range(2)],
    ]
]  # the root block at (1, 0, 0) stands as eight of the next level


def cells(n):
    centre = (np.arange(n) + 0.5) / n
    return np.meshgrid(centre, centre, centre, indexing="ij")


def test_every_cell_of_a_uniform_mesh_lies_where_its_centre_says(tmp_path, ramp):
    write_athdf(tmp_path / "turb.out1.00003.athdf", {"rho": ramp, "Ec": ramp})
    ds = formats.read(tmp_path / "turb.out1.00003.athdf")
    fields.check(ds)
    np.testing.assert_allclose(ds["density"].values[0], ramp(*cells(N)), rtol=1e-6)
    assert ds["sample"].values.tolist() == ["turb.00003"]
    assert ds["time"].values.tolist() == [1.0]


def test_blocks_may_stand_in_any_order(tmp_path, ramp):
    places = [(0, (x, y, z)) for x in range(2) for z in range(2) for y in range(2)][::-1]
    write_athdf(tmp_path / "t.o.0.athdf", {"rho": ramp}, blocks=places)
    ds = Athena(path=str(tmp_path)).read()
    np.testing.assert_allclose(ds["density"].values[0], ramp(*cells(N)), rtol=1e-6)


def test_a_refined_mesh_is_averaged_to_the_root_and_repeated_at_the_finest(tmp_path, ramp):
    file = tmp_path / "amr.out1.00000.athdf"
    write_athdf(file, {"rho": ramp}, blocks=REFINED)
    # The mean of eight cells of a linear field is its value at the centre of the coarse one.
    coarse = Athena(path=str(file), level=0).read()["density"].values[0]
    np.testing.assert_allclose(coarse, ramp(*cells(N)), rtol=1e-6)
    fine = Athena(path=str(file)).read()["density"].values[0]
    assert fine.shape == (2 * N,) * 3
    refined = np.s_[:N, :N, N:]
    np.testing.assert_allclose(fine[refined], ramp(*cells(2 * N))[refined], rtol=1e-6)
    # Elsewhere each root cell stands eight times.
    np.testing.assert_allclose(
        fine[N:, N:, :N], coarse[N // 2 :, N // 2 :, : N // 2].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    )
    # Mass is the same at both levels.
    assert fine.mean(dtype=np.float64) == pytest.approx(coarse.mean(dtype=np.float64), rel=1e-7)


def test_block_size_need_not_be_the_same_along_the_axes(tmp_path, ramp):
    write_athdf(tmp_path / "t.o.0.athdf", {"rho": ramp}, block=(8, 4, 2))
    ds = Athena(path=str(tmp_path)).read()
    assert ds["density"].chunks == ((1,), (2,) * 4, (4,) * 2, (8,))
    np.testing.assert_allclose(ds["density"].values[0], ramp(*cells(N)), rtol=1e-6)


def test_magnetic_energy_is_half_the_square_of_the_field(tmp_path):
    parts = {f"Bcc{i}": lambda z, y, x, i=i: i + 0 * x for i in (1, 2, 3)}
    write_athdf(tmp_path / "t.o.0.athdf", {"rho": lambda z, y, x: 1 + 0 * x, **parts})
    ds = Athena(path=str(tmp_path), fields=["magnetic_energy", "B_y"], mean_field="x").read()
    assert np.unique(ds["magnetic_energy"].values).tolist() == [(1 + 4 + 9) / 2]
    assert ds["B_y"].attrs["rank"] == 1
    assert ds["B_y"].attrs["component"] == "y"
    assert ds.attrs["mean_field"] == "x"


def test_runs_are_groups_and_snapshots_stand_in_the_order_of_time(tmp_path, ramp):
    for run in ("a", "b"):
        for number, time in ((1, 2.0), (0, 1.0)):
            write_athdf(tmp_path / run / f"cr.out1.{number:05d}.athdf", {"rho": ramp}, time=time)
    ds = Athena(path=str(tmp_path), seeds={"a/cr": 7}).read()
    assert ds["group"].values.tolist() == ["a/cr", "a/cr", "b/cr", "b/cr"]
    assert ds["time"].values.tolist() == [1.0, 2.0, 1.0, 2.0]
    seeds = ds["seed"].values
    assert seeds[0] == seeds[1] == 7
    assert len(set(seeds.tolist())) == 2
    with pytest.raises(FormatError, match="names the run 'c'"):
        Athena(path=str(tmp_path), seeds={"c": 1}).read()


def test_patterns_of_run_names_tell_the_transport(tmp_path, ramp):
    for run in ("CR_Diff_1", "CR_Diff_2", "MHD_1"):
        write_athdf(tmp_path / run / "cr.out1.00000.athdf", {"rho": ramp})
    classes = {"MHD*": "MHD", "CR_Diff_*": "CR_Diff_Fiducial"}
    ds = Athena(path=str(tmp_path), classes=classes).read()
    assert fields.class_names(ds, "transport") == {0: "MHD", 1: "CR_Diff_Fiducial"}
    told = dict(zip(ds["group"].values.tolist(), ds["transport"].values.tolist(), strict=True))
    assert told == {"CR_Diff_1/cr": 1.0, "CR_Diff_2/cr": 1.0, "MHD_1/cr": 0.0}
    with pytest.raises(FormatError, match="'MHD_1/cr' fits none of them"):
        Athena(path=str(tmp_path), classes={"*_1x": "a", "CR*": "b"}).read()
    with pytest.raises(FormatError, match="is of CR_Diff_Fiducial and of all"):
        Athena(path=str(tmp_path), classes={**classes, "*": "all"}).read()
    with pytest.raises(UsageError, match="two or more"):
        Athena(path=str(tmp_path), classes={"*": "all"})


def test_of_several_outputs_the_one_that_holds_the_fields_is_taken(tmp_path, ramp):
    for number in range(3):
        write_athdf(tmp_path / f"cr.rho.{number:05d}.athdf", {"rho": ramp}, time=number)
    write_athdf(tmp_path / "cr.prim.00001.athdf", {"rho": ramp, "Ec": ramp}, time=2)
    assert list(Athena(path=str(tmp_path)).read()) == ["density", "E_c"]
    assert Athena(path=str(tmp_path), fields=["density"]).read()["time"].values.tolist() == [0, 1, 2]
    assert Athena(path=str(tmp_path), output="rho").read().sizes["sample"] == 3
    with pytest.raises(FormatError, match="no output 'rhoo'"):
        Athena(path=str(tmp_path), output="rhoo").read()


def test_only_the_blocks_that_are_asked_for_are_read(tmp_path, ramp, monkeypatch):
    write_athdf(tmp_path / "t.o.0.athdf", {"rho": ramp})
    asked = []
    real = athdf._LazyCube._root_block
    monkeypatch.setattr(
        athdf._LazyCube, "_root_block", lambda cube, data, at: asked.append(at) or real(cube, data, at)
    )
    ds = Athena(path=str(tmp_path)).read()
    maps = cut(ds, kind="slice", axes=["z"], count=N)
    assert asked == []
    maps["density"][0].compute(scheduler="synchronous")
    assert sorted(asked) == [(x, y, 0) for x in (0, 1) for y in (0, 1)]


@pytest.mark.parametrize("across", ["x", "y", "z"])
def test_slabs_across_an_axis_are_the_same_cube_in_fewer_pieces(tmp_path, ramp, across, monkeypatch):
    write_athdf(tmp_path / "t.o.0.athdf", {"rho": ramp})
    blocks = Athena(path=str(tmp_path)).read()["density"]
    monkeypatch.setattr(athdf, "SLAB_BYTES", 2 * 4 * N**2)  # two planes of float32
    slabs = Athena(path=str(tmp_path), across=across).read()["density"]
    assert np.array_equal(slabs.values, blocks.values)
    chunks = dict(zip(slabs.dims, slabs.chunks, strict=True))
    assert {dim: sizes for dim, sizes in chunks.items() if dim != across} == {
        "sample": (1,),
        **{dim: (N,) for dim in "zyx" if dim != across},
    }
    assert chunks[across] == (2,) * (N // 2)
    maps = cut(Athena(path=str(tmp_path), across=across).read(), kind="slice", axes=[across], count=N)
    assert np.array_equal(maps["density"][3].values, blocks.isel({across: [3]}).squeeze().values)


def test_a_cut_cube_is_stored_and_read_back(tmp_path, ramp):
    write_athdf(tmp_path / "in" / "t.o.0.athdf", {"rho": ramp})
    maps = cut(Athena(path=str(tmp_path / "in")).read(), kind="slice", axes=["z", "x"], count=4)
    store.write(maps, tmp_path / "out")
    back = store.open(tmp_path / "out")
    z, y, x = cells(N)
    np.testing.assert_allclose(back["density"].values[1], ramp(z, y, x)[2], rtol=1e-6)
    np.testing.assert_allclose(back["density"].values[5], ramp(z, y, x)[:, :, 2], rtol=1e-6)


def test_real_snapshots_have_the_density_and_energies_of_their_run(shared_data):
    folder = shared_data / "turbulence" / "athena"
    ds = formats.read(folder)
    assert ds["group"].values.tolist() == ["crdiff", "mhd"]
    density = ds["density"].values.astype(np.float64)
    assert density.mean((1, 2, 3)) == pytest.approx([1.0, 1.0], rel=1e-6)
    # What the history file of the same run says of the magnetic energy at the same time.
    for row, run in enumerate(ds["group"].values):
        history = formats.athena.history(folder / f"{run}.hst")
        energy = sum(history[f"{i}-ME"] for i in (1, 2, 3)).interp(time=float(ds["time"][row]))
        mean = float(ds["magnetic_energy"][row].mean(dtype=np.float64))
        assert mean == pytest.approx(float(energy), rel=0.02)


def test_real_snapshots_of_one_time_agree_in_both_outputs(shared_data):
    folder = shared_data / "turbulence" / "athena"
    both = [Athena(path=str(folder), fields=["density"], output=output).read() for output in ("prim", "rho")]
    late = both[1].isel(sample=both[1]["time"].values > 0.9)
    np.testing.assert_array_equal(both[0]["density"].values, late["density"].values)


def test_what_is_no_whole_snapshot_is_refused_by_name(tmp_path, ramp):
    whole = tmp_path / "whole.o.0.athdf"
    write_athdf(whole, {"rho": ramp})
    short = tmp_path / "short.o.0.athdf"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(FormatError, match=r"short\.o\.0\.athdf: cannot be read as HDF5"):
        Athena(path=str(short)).read()
    foreign = tmp_path / "foreign.o.0.athdf"
    with h5py.File(foreign, "w") as file:
        file["rho"] = np.ones(3)
    with pytest.raises(FormatError, match=r"foreign.*is no Athena\+\+ snapshot, it lacks Time"):
        Athena(path=str(foreign)).read()
    with pytest.raises(FormatError, match="holds no snapshot"):
        Athena(path=str(tmp_path / "nothing")).read()


def test_missing_blocks_and_foreign_coordinates_are_refused(tmp_path, ramp):
    file = tmp_path / "t.o.0.athdf"
    write_athdf(file, {"rho": ramp}, blocks=[(0, (0, 0, 0)), (0, (1, 0, 0))])
    with pytest.raises(FormatError, match="2 blocks fill 2 of 8 root blocks"):
        Athena(path=str(file)).read()
    write_athdf(file, {"rho": ramp})
    with h5py.File(file, "a") as opened:
        opened.attrs["Coordinates"] = np.bytes_(b"spherical_polar")
    with pytest.raises(FormatError, match="spherical_polar coordinates, allowed: cartesian"):
        Athena(path=str(file)).read()


def test_boxes_that_are_no_cubes_or_differ_are_refused(tmp_path, ramp):
    write_athdf(tmp_path / "a.o.0.athdf", {"rho": ramp}, root=(16, 8, 8))
    with pytest.raises(FormatError, match="16 × 8 × 8 cells along x, y, z, allowed: cubes"):
        Athena(path=str(tmp_path)).read()
    write_athdf(tmp_path / "a.o.0.athdf", {"rho": ramp})
    write_athdf(tmp_path / "b.o.0.athdf", {"rho": ramp}, root=(16, 16, 16))
    with pytest.raises(FormatError, match="has 16³ cells"):
        Athena(path=str(tmp_path)).read()


def test_unknown_fields_and_levels_are_refused(tmp_path, ramp):
    write_athdf(tmp_path / "t.o.0.athdf", {"rho": ramp})
    with pytest.raises(FormatError, match="no field 'densty'") as caught:
        Athena(path=str(tmp_path), fields=["densty"]).read()
    assert "density" in str(caught.value.hint)
    with pytest.raises(UsageError, match="level is -1"):
        Athena(path=str(tmp_path), level=-1)


def test_a_passive_scalar_keeps_its_name(tmp_path, ramp):
    write_athdf(tmp_path / "t.o.0.athdf", {"r0": ramp})
    with pytest.raises(FormatError, match="no snapshot-wide field"):
        Athena(path=str(tmp_path)).read()
    assert list(Athena(path=str(tmp_path), fields=["r0"]).read()) == ["r0"]
