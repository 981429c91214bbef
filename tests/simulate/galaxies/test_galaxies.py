"""The simulator: native files that our reader reads, maps that keep the mass, the same bits after a stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import skyloom
from skyloom.errors import UsageError
from skyloom.formats.illustris import Catalogue, Illustris, Snapshot
from skyloom.simulate.galaxies import Galaxies, native
from skyloom.simulate.galaxies.design import HUBBLE

SMALL = {"galaxies": 3, "gas": 300, "stars": 200, "dark_particle": 5e8, "pixels": 16, "rotations": 2}


@pytest.fixture(scope="module")
def simulator():
    return Galaxies(**SMALL)


@pytest.fixture(scope="module")
def folder(simulator, tmp_path_factory):
    """The native files, and where they are."""
    folder = tmp_path_factory.mktemp("galaxies")
    lengths = simulator.lengths()
    for galaxy in simulator.design():
        simulator.write_one(galaxy, folder, lengths)
    native.write_offsets(folder, lengths)
    return folder


def test_files_hold_the_masses_that_were_drawn(simulator, folder):
    catalogue = Catalogue(folder / "output", native.SNAPSHOT, offsets=native.offsets_file(folder))
    summed = Catalogue(folder / "output", native.SNAPSHOT)  # offsets added up from the lengths
    snapshot = Snapshot(folder / "output", native.SNAPSHOT)
    masses = catalogue.read("Group", "GroupMassType")
    for galaxy in simulator.design():
        wanted = {"gas": galaxy.M_gas + galaxy.M_corona, "dark_matter": galaxy.M_dark, "stars": galaxy.M_star}
        starts, counts = catalogue.where("Group", galaxy.index)
        assert starts.tolist() == summed.where("Group", galaxy.index)[0].tolist()
        for kind, type_ in (("gas", 0), ("dark_matter", 1), ("stars", 4)):
            read = snapshot.rows(kind, int(starts[type_]), int(counts[type_]), ["Masses"])["Masses"]
            assert read.sum() == pytest.approx(wanted[kind], rel=1e-6)
            assert masses[galaxy.index, type_] == pytest.approx(wanted[kind], rel=1e-6)
    radii = catalogue.read("Group", "Group_R_Crit200")
    assert radii == pytest.approx([galaxy.R_virial for galaxy in simulator.design()], rel=1e-6)


def test_the_first_galaxy_lies_across_the_box_and_is_read_whole(simulator, folder):
    snapshot = Snapshot(folder / "output", native.SNAPSHOT)
    galaxy = simulator.design()[0]
    dark = snapshot.rows("dark_matter", 0, simulator.lengths()[0][1], ["Coordinates"])["Coordinates"]
    assert np.ptp(dark, axis=0).min() > 0.9 * native.box(3) / HUBBLE
    assert np.linalg.norm(snapshot.unwrapped(dark, (0, 0, 0)), axis=1).max() <= galaxy.R_virial * (1 + 1e-6)


def whole(simulator, folder, **look):
    """Maps wide enough to hold all of galaxy 1, without a rim."""
    galaxy = simulator.design()[1]
    width = 4 * galaxy.R_virial  # cells of the corona reach beyond the virial radius
    return galaxy, Illustris(
        path=str(folder / "output"), snapshot=native.SNAPSHOT, ids=[1], width=width, radius=2 * width,
        rim=0.0, two_phase=False, pixels=24, **look,
    ).read()  # fmt: skip


def test_projection_keeps_the_mass_from_every_direction(simulator, folder):
    galaxy, ds = whole(simulator, folder, domains=["Mgas", "Mstar"], rotations=3)
    area = (ds.attrs["box_size"] / 24) ** 2
    for name, wanted in (("Mgas", galaxy.M_gas + galaxy.M_corona), ("Mstar", galaxy.M_star)):
        summed = ds[name].values.sum(axis=(1, 2), dtype=float) * area
        np.testing.assert_allclose(summed, wanted, rtol=1e-6)


def test_the_scale_length_comes_back_from_the_projected_profile(tmp_path):
    simulator = Galaxies(galaxies=1, gas=12_000, stars=200, dark_particle=5e8, domains=["Mgas"], rotations=0)
    drawn = simulator.design()[0]
    smooth = replace(drawn, contrast=0.0, lopsided=0.0, clump_gas=1e-9, M_corona=1.0)
    simulator.write_one(smooth, tmp_path, simulator.lengths())
    native.write_offsets(tmp_path, simulator.lengths())
    image = simulator.one(smooth, tmp_path)["Mgas"].values[0].astype(float)
    pixel = 60 / 64
    y, x = (np.indices(image.shape) + 0.5) * pixel - 30
    R = np.hypot(x, y)
    rings = np.linspace(0.5, 2.0, 9) * smooth.R_gas
    profile = [image[(low <= R) & (low + 0.1 * smooth.R_gas > R)].mean() for low in rings]
    slope = np.polyfit(rings, np.log(profile), 1)[0]
    assert -1 / slope == pytest.approx(smooth.R_gas, rel=0.03)


def test_the_set_says_what_it_is(simulator, folder):
    ds = simulator.one(simulator.design()[2], folder)
    skyloom.fields.check(ds)
    assert ds.attrs["realism"] == "painted"
    assert set(ds["group"].values) == {"galaxy00002"}
    assert ds["log_M_total"].values[0] == pytest.approx(np.log10(simulator.design()[2].M_total))
    # Hydrogen makes 76 % of the gas, and part of it is ionised or molecular.
    assert (ds["HI"].sum(("y", "x")) < 0.76 * ds["Mgas"].sum(("y", "x"))).all()
    assert ds["M_HI"].values[0] == pytest.approx(float(ds["HI"][0].sum()) * (60 / 16) ** 2, rel=1e-5)
    a, b = ds["Mcdm"].sum(("y", "x")).values
    assert not np.array_equal(ds["Mgas"][0], ds["Mgas"][1])
    assert a == pytest.approx(b, rel=0.2)  # the same halo in the same sphere, seen in a square


def test_molecules_take_their_part_of_the_hydrogen(folder):
    settings = {**SMALL, "domains": ["HI", "H2", "SFR"]}
    simulator = Galaxies(**settings)
    split = simulator.one(simulator.design()[1], folder)
    atoms = Galaxies(**{**settings, "domains": ["HI"], "molecules": "none"})
    neutral = atoms.one(simulator.design()[1], folder)["HI"].values
    both = (split["HI"] + split["H2"]).values
    np.testing.assert_allclose(both, neutral, rtol=1e-5, atol=1e-5 * float(neutral.max()))
    assert float(split["H2"].sum()) > 0


def test_sets_are_equal_to_the_bit_and_go_on_after_a_stop(tmp_path):
    settings = {**SMALL, "domains": ["Mgas", "HI"]}
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    simulator = Galaxies(**settings)
    with pytest.raises(KeyboardInterrupt):
        simulator.simulate(tmp_path / "a", progress=stop)
    assert seen[-1] == (4, 6)  # three native files and one shard
    kept = sorted((tmp_path / "a" / "native" / "output").rglob("*.hdf5"))
    times = [path.stat().st_mtime_ns for path in kept]
    counts = []
    simulator.simulate(tmp_path / "a", progress=lambda done, total: counts.append(done))
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert counts[-1] == 6
    stored = skyloom.open(tmp_path / "a").load()
    again = Galaxies(**settings)
    again.write_one(again.design()[1], tmp_path / "b", again.lengths())
    first, second = (native.files(tmp_path / name, 1)[0].read_bytes() for name in ("a/native", "b"))
    assert first == second
    maps = again.one(again.design()[1], tmp_path / "a" / "native")
    for name in ("Mgas", "HI"):
        np.testing.assert_array_equal(stored[name].sel(sample=maps["sample"]), maps[name])
    assert Galaxies(**settings, seed=1).design()[1] != again.design()[1]


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="Mgas"):
        Galaxies(domains=["Mgaz"])
    with pytest.raises(UsageError, match="200 cells"):
        Galaxies(gas=10)
