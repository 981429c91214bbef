"""The reader of the CAMELS Multifield Dataset: order, orientation, units, tables, seeds and its cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import astropy.cosmology.units as cu
import astropy.units as u
import numpy as np
import pytest
import xarray as xr

from skyloom import fields, formats
from skyloom.errors import FormatError, LeakError
from skyloom.fields.project import cut
from skyloom.formats import camels
from skyloom.formats.camels import Camels
from skyloom.formats.camels.names import FIELDS, HUBBLE, Name, parse
from skyloom.formats.camels.tables import PARAMETERS, by_rule, parameters, seeds
from skyloom.splits import ByGroup, audit, fingerprint

FIDUCIAL = [0.3, 0.8, 1.0, 1.0, 1.0, 1.0]


def write_maps(folder: Path, maps: np.ndarray, *, field="HI", suite="SIMBA", set="LH", rows=None) -> Path:
    path = folder / f"Maps_{field}_{suite}_{set}_z=0.00.npy"
    np.save(path, maps.astype(np.float32))
    rows = [FIDUCIAL] * (len(maps) // 15) if rows is None else rows
    np.savetxt(folder / f"params_{set}_{suite}.txt", rows, fmt="%.5f")
    return path


def random_maps(simulations: int, size: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((simulations * 15, size, size))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("Maps_B_IllustrisTNG_LH_z=0.00.npy", Name("IllustrisTNG", "LH", "0.00", None, "B")),
        ("Maps_Mtot_Nbody_Astrid_EX_z=0.00.npy", Name("Nbody_Astrid", "EX", "0.00", None, "Mtot")),
        ("Maps_ne_SIMBA_1P_z=0.00.npy", Name("SIMBA", "1P", "0.00", None, "ne")),
        ("Grids_T_IllustrisTNG_SB28_128_z=1.5.npy", Name("IllustrisTNG", "SB28", "1.5", 128, "T")),
        ("Maps_T_IllustrisTNG_CV_128_z=0.00.npy", None),
        ("Grids_T_IllustrisTNG_CV_z=0.00.npy", None),
        ("params_LH_SIMBA.txt", None),
    ],
)
def test_a_name_says_suite_set_redshift_and_field(file, expected):
    assert parse(Path(file)) == expected
    if expected is not None:
        assert expected.file == file


def test_map_number_is_simulation_axis_and_slice(tmp_path):
    numbers = np.arange(30)[:, None, None] * np.ones((1, 4, 4))
    ds = Camels(path=str(write_maps(tmp_path, numbers))).read()
    fields.check(ds)
    np.testing.assert_allclose(ds["HI"].values[:, 0, 0], np.arange(30) * HUBBLE, rtol=1e-6)
    side = 25 / HUBBLE
    assert ds.attrs["box_size"] == pytest.approx(37.2523, abs=1e-4)
    for number in (0, 7, 14, 15, 29):
        simulation, axis, part = number // 15, "xyz"[number % 15 // 5], number % 5
        row = ds.isel(sample=number)
        assert row["sample"].item() == f"SIMBA-LH_{simulation}-z0.00-{axis}{part}"
        assert (row["group"].item(), row["axis"].item()) == (f"SIMBA-LH_{simulation}", axis)
        assert row["position"].item() == pytest.approx(part * side / 5)
        assert row["thickness"].item() == pytest.approx(side / 5)
        assert row["redshift"].item() == 0.0


def test_maps_and_grids_of_one_box_agree_with_a_cut(tmp_path):
    """CMD's maps, made as its authors make them, are the slabs that a field set cuts from CMD's grid."""
    grid = np.random.default_rng(1).random((10, 10, 10))  # [x, y, z]
    maps = []
    for axis in range(3):
        shown = ((axis + 1) % 3, (axis + 2) % 3)  # rows and columns of CMD
        layers = grid.transpose(axis, *shown)
        maps += [layers[2 * i : 2 * i + 2].sum(axis=0) for i in range(5)]
    write_maps(tmp_path, np.stack(maps))
    np.save(tmp_path / "Grids_HI_SIMBA_LH_10_z=0.00.npy", grid[None].astype(np.float32))
    flat = Camels(path=str(tmp_path), grid=0).read()
    cube = Camels(path=str(tmp_path), grid=10).read()
    fields.check(cube)
    np.testing.assert_allclose(cube["HI"].values[0, 1, 2, 3], grid[3, 2, 1] * HUBBLE**2, rtol=1e-6)
    slabs = cut(cube, kind="slab", axes=["x", "y", "z"], count=5, depth=5 / HUBBLE)
    assert slabs["axis"].values.tolist() == flat["axis"].values.tolist()
    np.testing.assert_allclose(slabs["position"], flat["position"])
    # A map is the sum of two cells, with one power of h less.
    np.testing.assert_allclose(flat["HI"].values, 2 * slabs["HI"].values / HUBBLE, rtol=1e-5)


@pytest.mark.parametrize("kind", [0, 1], ids=["maps", "grids"])
@pytest.mark.parametrize("field", FIELDS)
def test_powers_of_h_follow_from_the_documented_units(field, kind):
    h, A = cu.littleh, 2 + kind
    density = (u.Msun / h) / (u.Mpc / h) ** A
    native = {
        "T": u.K, "Z": u.one, "MgFe": u.one, "B": u.cgs.Gauss, "Vgas": u.km / u.s, "Vcdm": u.km / u.s,
        "P": h**2 * u.Msun * (u.km / u.s) ** 2 / u.kpc**3,
        "ne": h**2 / u.cm**3 * (u.Mpc / h) ** (3 - A),
    }.get(field, density)  # fmt: skip
    known = FIELDS[field]
    converted = (1 * native).to(known.units[kind], cu.with_H0(100 * HUBBLE * u.km / u.s / u.Mpc))
    assert HUBBLE ** known.powers[kind] == pytest.approx(converted.value, rel=1e-10)


def test_the_mean_of_total_matter_is_that_of_the_universe(tmp_path):
    # 2.775e11 h^2 Msun/Mpc^3 is critical; a slab of 5 Mpc/h holds five times Omega_m of it.
    native = np.full((15, 4, 4), 0.3 * 2.77536627e11 * 5)
    ds = Camels(path=str(write_maps(tmp_path, native, field="Mtot"))).read()
    depth = float(ds["thickness"][0])
    assert float(ds["Mtot"].mean()) == pytest.approx(0.3 * 2.77536627e11 * HUBBLE**2 * depth, rel=1e-6)


def test_columns_of_the_official_tables_are_in_the_papers_order(shared_data):
    folder = shared_data / "camels"
    found = parameters(folder / "params_EX_IllustrisTNG.txt", Name("IllustrisTNG", "EX", "0.00", None, "T"))
    assert list(found) == list(PARAMETERS)
    # Extreme black holes, then extreme supernovae, then neither.
    assert found["A_AGN1"][0].tolist() == [1, 100, 1, 0]
    assert found["A_SN1"][0].tolist() == [1, 1, 100, 0]
    assert found["A_SN2"][0].tolist() == found["A_AGN2"][0].tolist() == [1, 1, 1, 0]
    assert (found["A_AGN1"][1].low, found["A_AGN1"][1].high) == (0, 100)
    name = Name("IllustrisTNG", "LH", "0.00", None, "T")
    for symbol, (values, limit) in parameters(folder / f"params_LH_{name.suite}.txt", name).items():
        assert limit == PARAMETERS[symbol]  # the prior holds all thousand, none widens it
        assert len(values) == 1000
        assert values.min() < limit.low * 1.01
        assert values.max() > limit.high * 0.99


@pytest.mark.parametrize("set", ["LH", "EX"])
def test_swapped_columns_are_refused(shared_data, tmp_path, set):
    rows = np.loadtxt(shared_data / "camels" / f"params_{set}_IllustrisTNG.txt")
    path = tmp_path / "params.txt"
    np.savetxt(path, rows[:, [0, 1, 2, 4, 3, 5]])
    with pytest.raises(FormatError, match="columns seem swapped") as caught:
        parameters(path, Name("IllustrisTNG", set, "0.00", None, "T"))
    assert "A_SN1, A_AGN1, A_SN2, A_AGN2" in caught.value.hint


@pytest.mark.parametrize(("set", "count"), [("LH", 1000), ("CV", 27), ("EX", 4), ("1P", 66)])
def test_seeds_without_a_table_are_those_of_the_official_one(shared_data, set, count):
    for suite in ("IllustrisTNG", "Nbody_IllustrisTNG"):
        name = Name(suite, set, "0.00", None, "Mtot")
        found, path = seeds([shared_data / "camels"], name, count)
        assert path is not None
        np.testing.assert_array_equal(found, by_rule(name, count))


def test_a_table_of_another_set_of_simulations_is_refused(tmp_path):
    lines = ["#Name ...", "LH_0 0.1 0.9 1 1 1 1 5000", "LH_1 0.2 0.8 1 1 1 1 5001"]
    (tmp_path / "CosmoAstroSeed_SIMBA_L25n256_LH.txt").write_text("\n".join(lines))
    name = Name("SIMBA", "LH", "0.00", None, "T")
    with pytest.raises(FormatError, match=r"row 1 has Omega_m, sigma_8 = \[0.2, 0.8\]"):
        seeds([tmp_path], name, 2, np.array([[0.1, 0.9], [0.3, 0.8]]))
    with pytest.raises(FormatError, match="2 simulations, but the table of parameters has 3"):
        seeds([tmp_path], name, 3)


def test_gravity_only_twins_stay_on_the_side_of_their_hydrodynamic_run(tmp_path):
    rng = np.random.default_rng(5)
    rows = np.column_stack([rng.uniform(0.1, 0.5, 12), rng.uniform(0.6, 1, 12), np.ones((12, 4))])
    write_maps(tmp_path, random_maps(12), field="Mtot", rows=rows)
    write_maps(tmp_path, random_maps(12, seed=1), field="Mtot", suite="Nbody_SIMBA", rows=rows)
    hydro, nbody = (Camels(path=str(tmp_path), suite=suite).read() for suite in ("SIMBA", "Nbody_SIMBA"))
    assert fields.parameters(nbody) == ["Omega_m", "sigma_8"]
    np.testing.assert_array_equal(hydro["seed"], nbody["seed"])
    both = xr.concat([hydro.drop_vars(list(PARAMETERS)[2:]), nbody], "sample", combine_attrs="override")
    split = ByGroup(fractions={"train": 0.5, "validation": 0.25, "test": 0.25}).assign(both)
    assert not audit(both, split, fingerprints=fingerprint(both["Mtot"].values)).leaky
    for ids in split.sides.values():
        ends = {name.removeprefix("Nbody_") for name in ids}
        assert len(ids) == 2 * len(ends)  # every map with its twin


def test_the_sets_of_one_seed_cannot_be_parted(tmp_path):
    write_maps(tmp_path, random_maps(6), set="1P")
    ds = Camels(path=str(tmp_path)).read()
    assert np.unique(ds["seed"]).tolist() == [67]
    assert len(np.unique(ds["group"])) == 6
    by_hand = {"train": slice(0, 30), "validation": slice(30, 60), "test": slice(60, 90)}
    from skyloom.splits.record import Split

    sides = {side: tuple(sorted(ds["sample"].values[rows].tolist())) for side, rows in by_hand.items()}
    with pytest.raises(LeakError, match="seed"):
        audit(ds, Split(sides, by="group", settings={}), fingerprints=fingerprint(ds["HI"].values))


def test_fields_are_paired_by_index_and_checked(tmp_path):
    write_maps(tmp_path, random_maps(2))
    write_maps(tmp_path, random_maps(2, seed=1), field="Mgas")
    ds = Camels(path=str(tmp_path)).read()
    assert fields.fields(ds) == ["Mgas", "HI"]  # in the order of CMD's table
    assert fields.fields(Camels(path=str(tmp_path), fields=["HI"]).read()) == ["HI"]
    with pytest.raises(FormatError, match="no field 'H1'") as caught:
        Camels(path=str(tmp_path), fields=["H1"]).read()
    assert "HI" in caught.value.hint
    np.save(tmp_path / "Maps_B_SIMBA_LH_z=0.00.npy", random_maps(3))
    with pytest.raises(FormatError, match=r"shape \(45, 8, 8\), but Mgas has \(30, 8, 8\)"):
        Camels(path=str(tmp_path)).read()
    np.save(tmp_path / "Maps_B_SIMBA_LH_z=0.00.npy", random_maps(2, seed=1).astype(np.float32))
    with pytest.raises(FormatError, match="hold the same values"):
        Camels(path=str(tmp_path)).read()


def test_a_folder_of_several_sets_asks_which(tmp_path):
    for set in ("LH", "CV"):
        write_maps(tmp_path, random_maps(1), set=set)
    with pytest.raises(FormatError, match=r"maps of SIMBA CV at z = 0\.00; maps of SIMBA LH"):
        Camels(path=str(tmp_path)).read()
    assert Camels(path=str(tmp_path), set="CV").read()["group"].values[0] == "SIMBA-CV_0"
    assert formats.recognise(tmp_path) == "camels"
    with pytest.raises(FormatError, match="none of these is asked for: maps of SIMBA CV"):
        Camels(path=str(tmp_path), set="EX").read()


def test_what_is_missing_or_cut_off_is_named(tmp_path):
    path = write_maps(tmp_path, random_maps(2))
    rows = (tmp_path / "params_LH_SIMBA.txt").read_text()
    (tmp_path / "params_LH_SIMBA.txt").write_text(rows + rows)
    with pytest.raises(FormatError, match=r"4 simulations, but .* has 2"):
        Camels(path=str(path)).read()
    (tmp_path / "params_LH_SIMBA.txt").unlink()
    with pytest.raises(FormatError, match=r"looked for params_LH_SIMBA.txt"):
        Camels(path=str(path)).read()
    (tmp_path / "params_LH_SIMBA.txt").write_text(rows)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="cannot be opened") as caught:
        Camels(path=str(path)).read()
    assert "skyloom fetch camels" in caught.value.hint


def test_smaller_maps_are_means_over_blocks_of_pixels(tmp_path):
    maps = random_maps(1, size=12)
    small = Camels(path=str(write_maps(tmp_path, maps)), size=4).read()["HI"].values
    assert small[7, 1, 2] == pytest.approx(maps[7, 3:6, 6:9].mean() * HUBBLE, rel=1e-5)  # along y: not turned
    assert small[0, 1, 2] == pytest.approx(maps[0, 6:9, 3:6].mean() * HUBBLE, rel=1e-5)
    with pytest.raises(FormatError, match="12 pixels cannot be averaged to 5"):
        Camels(path=str(tmp_path), size=5).read()


def test_sb28_needs_to_be_told_which_h(tmp_path):
    rows = np.ones((1, 28))
    rows[0, [0, 1, 7, 11]] = 0.3, 0.8, 0.6, -2.3
    write_maps(tmp_path, random_maps(1), suite="IllustrisTNG", set="SB28", rows=rows)
    with pytest.raises(FormatError, match="a Hubble constant of its own"):
        Camels(path=str(tmp_path)).read()
    ds = Camels(path=str(tmp_path), h=0.6711).read()
    assert ds["h"].values[0] == 0.6
    assert ds["seed"].values[0] == 20000


def test_what_is_written_is_read_again(tmp_path):
    rows = [[0.2, 0.7, 0.5, 2.0, 1.5, 0.75], [0.4, 0.9, 3.0, 0.3, 0.6, 1.25]]
    path = write_maps(tmp_path, random_maps(2), rows=rows)
    ds = Camels(path=str(path)).read()
    camels.write(ds, tmp_path / "again", suite="SIMBA", set="LH")
    again = Camels(path=str(tmp_path / "again")).read()
    np.testing.assert_allclose(np.load(tmp_path / "again" / path.name), np.load(path), rtol=3e-7)
    np.testing.assert_allclose(again["HI"].values, ds["HI"].values, rtol=3e-7)
    for name in (*PARAMETERS, "seed", "group", "axis", "position"):
        np.testing.assert_array_equal(again[name], ds[name])
    with pytest.raises(FormatError, match="not fifteen a simulation"):
        camels.write(ds.isel(sample=slice(1, 16)), tmp_path / "third", suite="SIMBA", set="LH")


OPEN = """
import json, os, sys, time
import numpy as np, xarray, dask.array
from skyloom.formats.camels import Camels
from skyloom.fields import check
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
Camels(path=sys.argv[2]).read()  # what is imported on first use is not the data's
before, start = resident(), time.process_time()
ds = Camels(path=sys.argv[1]).read()
took, opened = time.process_time() - start, resident() - before
value = ds["B"][14999].values.sum()
print(json.dumps([took, opened, resident() - before, dict(ds.sizes), float(value)]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_the_whole_latin_hypercube_opens_in_a_second_and_little_memory(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    write_maps(small, random_maps(1))
    for field in ("Mgas", "HI", "B"):
        path = tmp_path / f"Maps_{field}_IllustrisTNG_LH_z=0.00.npy"
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (15000, 256, 256)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 15000 * 256**2 * 4)  # sparse: takes no room
            file.seek(-4, 2)
            file.write(np.float32(3).tobytes())
    np.savetxt(tmp_path / "params_LH_IllustrisTNG.txt", [FIDUCIAL] * 1000)
    words = [sys.executable, "-c", OPEN, str(tmp_path), str(small)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    took, opened, after, sizes, value = json.loads(done.stdout)
    assert sizes == {"sample": 15000, "y": 256, "x": 256}
    assert value == 3.0
    assert took < 1.0
    assert max(opened, after) < 200e6
