"""FITS images: axes, world coordinates, units, and files that are not whole."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from skyloom import fields, formats
from skyloom.errors import FormatError
from skyloom.fields import store
from skyloom.formats.fits import KNOWN, Fits, write

CUBE = np.arange(4**3, dtype=np.float32).reshape(4, 4, 4)


def image(values, **cards):
    hdu = fits.ImageHDU(values)
    for key, value in cards.items():
        hdu.header[key] = value
    return hdu


def save(path, *images):
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path)
    return path


def test_a_cube_without_world_coordinates_counts_pixels(tmp_path):
    ds = formats.read(save(tmp_path / "a.fits", image(CUBE)))
    fields.check(ds)
    np.testing.assert_array_equal(ds["image"].values[0], CUBE)
    assert (ds.attrs["box_size"], ds.attrs["box_size_unit"]) == (4.0, "")


def test_the_first_axis_of_the_header_is_x(tmp_path):
    marked = np.zeros((4, 4), np.float32)
    marked[3, 1] = 1  # NAXIS1 = x = 1, NAXIS2 = y = 3
    path = save(tmp_path / "a.fits", image(marked, EXTNAME="T_b", BUNIT="mK"))
    ds = Fits(path=str(path)).read()
    assert float(ds["T_b"].isel(sample=0, y=3, x=1)) == 1
    assert float(Fits(path=str(path), axes="xyz").read()["T_b"].isel(sample=0, y=1, x=3)) == 1


def test_the_box_comes_from_a_length_and_an_angle_is_kept_apart(tmp_path):
    length = image(CUBE[0], EXTNAME="T_b", BUNIT="mK", CDELT1=2.0, CUNIT1="Mpc")
    ds = Fits(path=str(save(tmp_path / "a.fits", length))).read()
    assert (ds.attrs["box_size"], ds.attrs["box_size_unit"], ds["T_b"].attrs["units"]) == (8.0, "Mpc", "mK")
    sky = image(CUBE[0], EXTNAME="T_b", CTYPE1="RA---TAN", CDELT1=-6.0, CUNIT1="arcsec")
    ds = Fits(path=str(save(tmp_path / "b.fits", sky))).read()
    assert ds.attrs["pixel_angle"] == pytest.approx(6 / 3600)
    assert (ds.attrs["box_size"], ds.attrs["box_size_unit"]) == (4.0, "")
    given = Fits(path=str(tmp_path / "b.fits"), box_size=40.0, box_size_unit="kpc").read()
    assert (given.attrs["box_size"], given.attrs["box_size_unit"]) == (40.0, "kpc")


def test_radio_maps_have_two_axes_of_one_pixel_which_are_dropped(tmp_path):
    ds = formats.read(save(tmp_path / "a.fits", image(CUBE[0][None, None], EXTNAME="I", BUNIT="Jy")))
    assert ds["I"].dims == ("sample", "y", "x")
    np.testing.assert_array_equal(ds["I"].values[0], CUBE[0])


def test_scaled_integers_are_read_as_the_numbers_they_stand_for(tmp_path):
    hdu = fits.ImageHDU(np.array([[10.0, 10.5], [11.0, 11.5]]))
    hdu.scale("int16", bscale=0.5, bzero=10.0)
    path = save(tmp_path / "a.fits", hdu)
    assert fits.getheader(path, 1)["BITPIX"] == 16
    assert formats.read(path)["image"].values[0].tolist() == [[10.0, 10.5], [11.0, 11.5]]


def test_a_folder_is_a_sample_a_file_and_each_file_its_own_group(tmp_path):
    for name in "ba":
        save(tmp_path / f"{name}.fits", image(CUBE[0] + ord(name)))
    ds = formats.read(tmp_path)
    assert ds["sample"].values.tolist() == ds["group"].values.tolist() == ["a", "b"]
    assert ds["image"].values[:, 0, 0].tolist() == [97.0, 98.0]
    together = Fits(path=str(tmp_path), group="m31").read()
    assert set(together["group"].values) == {"m31"}
    assert len(set(together["seed"].values.tolist())) == 1


def test_turb_full_goes_out_under_its_own_names_and_comes_back(tmp_path):
    names = {ours: theirs for theirs, ours in KNOWN.items()}
    ds = fields.build(
        {name: (CUBE[None] + i, "", name) for i, name in enumerate(names)},
        ids=["t"], groups=["t"], seeds=[0], box_size=2.0, box_size_unit="",
        suite="Athena++", realism="simulation",
    )  # fmt: skip
    write(ds, tmp_path / "turb_full.fits", names=names)
    with fits.open(tmp_path / "turb_full.fits") as file:
        assert [hdu.header["EXTNAME"] for hdu in file[1:]] == ["Ec", "magnetic_energy_density", "density"]
        np.testing.assert_array_equal(file["density"].data, CUBE + 2)
    back = formats.read(tmp_path / "turb_full.fits")
    assert back.attrs["box_size"] == 2.0
    for name in names:
        np.testing.assert_array_equal(back[name].values, ds[name].values)


def test_only_the_fields_that_are_named_are_read(tmp_path):
    path = save(tmp_path / "a.fits", image(CUBE, EXTNAME="Ec"), image(CUBE + 1, EXTNAME="density"))
    ds = Fits(path=str(path), fields={"2": "rho"}).read()
    assert list(ds) == ["rho"]
    np.testing.assert_array_equal(ds["rho"].values[0], CUBE + 1)
    with pytest.raises(FormatError, match="has no image 'dens'"):
        Fits(path=str(path), fields={"dens": "rho"}).read()


def test_files_are_read_when_they_are_asked_for(tmp_path):
    path = save(tmp_path / "a.fits", image(CUBE))
    ds = formats.read(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        ds["image"].values  # noqa: B018


def test_a_stored_set_of_fits_maps_holds_their_pixels(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        save(tmp_path / "in" / f"m{i}.fits", image(CUBE[i]))
    store.write(formats.read(tmp_path / "in"), tmp_path / "out")
    np.testing.assert_array_equal(store.open(tmp_path / "out")["image"].values, CUBE[:3])


def test_what_cannot_be_used_is_refused_by_name(tmp_path):
    whole = save(tmp_path / "a.fits", image(np.zeros((64, 64), np.float32)))
    (tmp_path / "short.fits").write_bytes(whole.read_bytes()[:9000])
    with pytest.raises(FormatError, match=r"short\.fits"):
        Fits(path=str(tmp_path / "short.fits")).read()
    (tmp_path / "text.fits").write_text("no FITS")
    with pytest.raises(FormatError, match=r"text\.fits: cannot be read as FITS"):
        Fits(path=str(tmp_path / "text.fits")).read()
    with pytest.raises(FormatError, match="no FITS file"):
        Fits(path=str(tmp_path / "none")).read()
    with pytest.raises(FormatError, match="BUNIT 'furlongs per'"):
        formats.read(save(tmp_path / "u.fits", image(CUBE, BUNIT="furlongs per")), format="fits")
    with pytest.raises(FormatError, match="allowed: squares or cubes"):
        formats.read(save(tmp_path / "r.fits", image(CUBE[0, :2])), format="fits")
    with pytest.raises(FormatError, match="no length and no angle"):
        formats.read(save(tmp_path / "v.fits", image(CUBE, CDELT1=1.0, CUNIT1="Hz")), format="fits")
    assert not Fits.sniff(tmp_path / "text.fits")


def test_images_of_another_shape_than_the_first_are_refused(tmp_path):
    save(tmp_path / "a.fits", image(CUBE[0]))
    save(tmp_path / "b.fits", image(CUBE))
    with pytest.raises(FormatError, match=r"b\.fits: holds image 4 × 4 × 4, but .*a\.fits image 4 × 4"):
        formats.read(tmp_path)
