"""Snapshots and catalogues: units, ranges over files, unwrapping, and files that are not there."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from skyloom.errors import FormatError, UsageError
from skyloom.formats.illustris import Catalogue, Snapshot

from .native_files import BOX, DM_MASS, HALOS, LENGTHS, SUBHALOS, A, H, header, write


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


def test_numbers_become_kpc_solar_masses_and_gauss(output):
    native = write(output)[0]
    names = ["Coordinates", "Masses", "Density", "Velocities", "InternalEnergy", "MagneticField"]
    gas = Snapshot(output, 99).rows("gas", 0, 70, names)
    np.testing.assert_allclose(gas["Coordinates"], native["Coordinates"] * A / H)
    np.testing.assert_allclose(gas["Masses"], native["Masses"] * 1e10 / H)
    np.testing.assert_allclose(gas["Density"], native["Density"] * 1e10 * H**2 / A**3)
    np.testing.assert_allclose(gas["Velocities"], native["Velocities"] * np.sqrt(A))
    np.testing.assert_allclose(gas["InternalEnergy"], native["InternalEnergy"])
    # The TNG documentation gives 2.60e-6 G h / a².
    np.testing.assert_allclose(gas["MagneticField"], native["MagneticField"] * 2.602e-6 * H / A**2, rtol=1e-3)
    moving = Snapshot(output, 99, comoving=True).rows("gas", 0, 70, ["Coordinates", "Density", "Velocities"])
    np.testing.assert_allclose(moving["Coordinates"], native["Coordinates"] / H)
    np.testing.assert_allclose(moving["Density"], native["Density"] * 1e10 * H**2)
    np.testing.assert_allclose(moving["Velocities"], gas["Velocities"])  # velocities stay peculiar
    # Mass over density is a volume, so that units agree: physical kpc³.
    np.testing.assert_allclose(
        gas["Masses"] / gas["Density"], native["Masses"] / native["Density"] * (A / H) ** 3
    )


def test_dark_matter_takes_its_mass_from_the_header(output):
    write(output)
    masses = Snapshot(output, 99).rows("dark_matter", 28, 12, ["Masses"])["Masses"]
    np.testing.assert_allclose(masses, np.full(12, DM_MASS * 1e10 / H))


@pytest.mark.parametrize("files", [1, 3, 7])
def test_halos_and_subhalos_are_the_rows_that_the_catalogue_says(output, files):
    native = write(output, files)
    snapshot, catalogue = Snapshot(output, 99), Catalogue(output, 99)
    for kind, where, length in (
        ("Group", 1, LENGTHS[1]),
        ("Subhalo", 1, SUBHALOS[1]),
        ("Subhalo", 2, SUBHALOS[2]),
    ):
        starts, lengths = catalogue.where(kind, where)
        np.testing.assert_array_equal(lengths, length)
        # By hand: halo 1 begins after halo 0; subhalo 1 after subhalo 0; subhalo 2 with halo 1.
        first = {("Group", 1): LENGTHS[0], ("Subhalo", 1): SUBHALOS[0], ("Subhalo", 2): LENGTHS[0]}[
            kind, where
        ]
        np.testing.assert_array_equal(starts, first)
        for particles, type_ in (("gas", 0), ("stars", 4)):
            found = snapshot.rows(particles, int(starts[type_]), int(lengths[type_]), ["Masses"])["Masses"]
            expected = native[type_]["Masses"][first[type_] : first[type_] + length[type_]]
            np.testing.assert_allclose(found, expected * 1e10 / H)
    assert catalogue.largest("Subhalo", 2) == [0, 2]
    np.testing.assert_allclose(catalogue.read("Group", "GroupPos"), np.array(HALOS) * A / H)
    np.testing.assert_allclose(catalogue.read("Group", "GroupVel"), 1 / A)
    np.testing.assert_allclose(catalogue.read("Subhalo", "SubhaloVel"), 1.0)


def test_offsets_of_a_file_come_first(output, tmp_path):
    write(output)
    with h5py.File(tmp_path / "offsets_099.hdf5", "w") as file:
        file["Group/SnapByType"], file["Subhalo/SnapByType"] = np.full((2, 6), 7), np.full((3, 6), 8)
    catalogue = Catalogue(output, 99, offsets=tmp_path / "offsets_099.hdf5")
    assert catalogue.where("Subhalo", 1)[0].tolist() == [8] * 6


def test_a_sphere_over_the_edge_of_the_box_is_whole(output):
    native = write(output)[0]
    snapshot, centre = Snapshot(output, 99), np.array(HALOS[0]) * A / H
    gas = snapshot.sphere("gas", centre, 15.0, ["Masses"])
    d = native["Coordinates"] - HALOS[0]
    d = (d - BOX * np.round(d / BOX)) * A / H
    inside = np.linalg.norm(d, axis=1) <= 15.0
    assert 20 < inside.sum() <= 40  # most of halo 0, nothing else
    np.testing.assert_allclose(gas["Coordinates"] - centre, d[inside], atol=1e-9)
    np.testing.assert_allclose(gas["Masses"], native["Masses"][inside] * 1e10 / H)
    cube = snapshot.cube("gas", centre, 20.0, [])
    assert len(cube["Coordinates"]) == (np.abs(d) <= 10).all(axis=1).sum()
    assert len(snapshot.sphere("stars", centre + 200, 1.0, ["Masses"])["Masses"]) == 0


def test_missing_files_are_named_and_allowed_only_on_request(output):
    native = write(output, 7)
    (output / "snapdir_099" / "snap_099.2.hdf5").unlink()
    with pytest.raises(
        FormatError, match=r"snapdir_099: 1 of 7 files of the snapshot are missing: 2\n.*allow_missing"
    ):
        Snapshot(output, 99)
    snapshot = Snapshot(output, 99, allow_missing=True)
    assert snapshot.missing == [2]
    # One missing file leaves the rows after it placeable: they are counted from the total.
    last = snapshot.rows("gas", 60, 10, ["Masses"])["Masses"]
    np.testing.assert_allclose(last, native[0]["Masses"][60:70] * 1e10 / H)
    (output / "snapdir_099" / "snap_099.4.hdf5").unlink()
    with pytest.raises(FormatError, match="file 2 is missing, and with 2 missing"):
        Snapshot(output, 99, allow_missing=True).rows("gas", 60, 10, ["Masses"])


def test_errors_name_the_file_and_what_is_missing(output, tmp_path):
    write(output)
    snapshot = Snapshot(output, 99)
    with pytest.raises(FormatError, match=r"snap_099.0.hdf5: PartType0 has no field Densities\n.*Density"):
        snapshot.rows("gas", 0, 1, ["Densities"])
    with pytest.raises(UsageError, match="particles 'star' are unknown"):
        snapshot.counts("star")
    with pytest.raises(FormatError, match="Group 5 is not in the catalogue"):
        Catalogue(output, 99).where("Group", 5)
    with pytest.raises(FormatError, match=r"holds no snapshot\n.*snapdir_050"):
        Snapshot(output, 50)
    (tmp_path / "broken.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(FormatError, match=r"broken.hdf5: cannot be read"):
        Snapshot(tmp_path / "broken.hdf5")
    with h5py.File(tmp_path / "bare.hdf5", "w") as file:
        file.create_group("Header").attrs["Time"] = 1.0
    with pytest.raises(FormatError, match="the header has no HubbleParam, Omega0"):
        Snapshot(tmp_path / "bare.hdf5")


def test_eagle_names_and_units_stand_beside_its_fields(tmp_path):
    """Mpc/h, other names, and powers of a and h as attributes."""
    with h5py.File(tmp_path / "eagle.hdf5", "w") as file:
        header(file, {0: [2]}, 1)
        for key in ("UnitLength_in_cm", "UnitMass_in_g", "UnitVelocity_in_cm_per_s"):
            del file["Header"].attrs[key]
        for name, values, cgs, a, h in (
            ("Coordinates", [[1.0, 2.0, 3.0]] * 2, 3.085678e24, 1, -1),
            ("Mass", [3.0, 4.0], 1.989e43, 0, -1),
            ("Density", [5.0, 6.0], 6.769911e-31, -3, 2),
        ):
            file[f"PartType0/{name}"] = np.array(values)
            file[f"PartType0/{name}"].attrs.update(
                {"CGSConversionFactor": [cgs], "aexp-scale-exponent": [a], "h-scale-exponent": [h]}
            )
    snapshot = Snapshot(tmp_path / "eagle.hdf5")
    gas = snapshot.rows("gas", 0, 2, ["Coordinates", "Masses", "Density"])
    np.testing.assert_allclose(gas["Coordinates"][0], np.array([1, 2, 3]) * 1e3 * A / H)
    np.testing.assert_allclose(gas["Masses"], np.array([3, 4]) * 1e10 / H)
    # 10¹⁰ Msun/h over (Mpc/h)³ is 10 Msun/kpc³ h².
    np.testing.assert_allclose(gas["Density"], np.array([5, 6]) * 10 * H**2 / A**3, rtol=1e-6)
    assert snapshot.box == pytest.approx(BOX * 1e3 * A / H)


def test_a_catalogue_of_two_real_files_of_448(shared_data):
    folder = shared_data / "galaxies" / "TNG100-1_groups_099"
    if not folder.exists():
        pytest.skip("no TNG100-1 catalogue")
    with pytest.raises(FormatError, match="446 of 448 files of the group catalogue are missing: 0, 1, 2"):
        Catalogue(folder)
    catalogue = Catalogue(folder, allow_missing=True)
    # Halos 8 and 13 of TNG100-1 at redshift 0, as their GroupFirstSub's numbers tell.
    assert catalogue.read("Group", "GroupFirstSub").tolist() == [83280, 114388]
    h = catalogue.header.h
    np.testing.assert_allclose(
        catalogue.read("Group", "GroupMass"),
        catalogue.read("Group", "GroupMassType").sum(axis=1), rtol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(catalogue.read("Group", "GroupPos")[0, 0], 23867.799 / h, rtol=1e-6)
    with pytest.raises(FormatError, match="cannot be added up"):
        catalogue.where("Group", 0)


def test_the_real_subbox_without_its_seventh_file(shared_data):
    folder = shared_data / "galaxies" / "TNG50-4-Subbox0" / "output"
    if not folder.exists():
        pytest.skip("no TNG50-4 subbox")
    with pytest.raises(FormatError, match="1 of 11 files of the snapshot are missing: 7"):
        Snapshot(folder, 2332)
    snapshot = Snapshot(folder, 2332, allow_missing=True)
    assert sum(snapshot.counts("gas").values()) == 24_789  # of 45,632, as the data's notes say
    h = snapshot.header.h
    centre = np.array([27_000, 10_000, 26_500]) / h
    gas = snapshot.cube("gas", centre, 4000, ["Masses", "Density", "NeutralHydrogenAbundance"])
    # A cell has about TNG50-4's target mass of 4.3e7 Msun, within the factor of two that refinement keeps.
    assert np.median(gas["Masses"]) == pytest.approx(4.3e7, rel=0.3)
    dm = snapshot.cube("dark_matter", centre, 4000, ["Masses"])
    assert dm["Masses"][0] == pytest.approx(2.3e8, rel=0.02)
