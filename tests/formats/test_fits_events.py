"""Event lists in FITS: what becomes a field, a label, a group, and what is left out."""

import json

import numpy as np
import pytest
from astropy.io import fits

from skyloom import fields, formats
from skyloom.errors import FormatError
from skyloom.formats.fits_events import FitsEvents

COLUMNS = {
    "runID": ("K", "", [7, 7, 8, 8, 9]),
    "nHit": ("K", "", [50, 60, 70, 80, 90]),
    "angleFitStatus": ("K", "", [0, 0, 1, 0, 0]),
    "zenithAngle": ("D", "", [0.1, 0.2, 0.3, np.pi, 0.5]),
    "azimuthAngle": ("D", "", [0.0, np.pi / 2, 0.0, 0.0, -np.pi / 2]),
    "extra": ("D", "m", [1.0, 2.0, 3.0, 4.0, 5.0]),
    "ENERGY": ("D", "TeV", [1.0, 2.0, 3.0, 4.0, np.nan]),
}


def save(path, **changes):
    # HAWC's lists have an image in front, which is none.
    columns = [
        fits.Column(name, form, unit=unit or None, array=changes.get(name, values))
        for name, (form, unit, values) in COLUMNS.items()
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    table.header["TELESCOP"] = "HAWC"
    fits.HDUList([fits.PrimaryHDU(np.zeros((4, 4))), table]).writeto(path)
    return path


def test_a_list_by_hand(tmp_path):
    ds = formats.read(save(tmp_path / "a.fits.gz"))
    fields.check(ds)
    assert list(ds.data_vars) == ["nHit", "zenith", "azimuth", "azimuth_cos", "azimuth_sin"]
    assert ds["nHit"].values.tolist() == [[[50.0]], [[60.0]]]
    assert np.allclose(ds["azimuth_sin"].values.ravel(), [0.0, 1.0])
    assert ds["energy"].values.tolist() == [1000.0, 2000.0] and ds["energy"].attrs["units"] == "GeV"
    assert np.allclose(ds["log_energy"], [3.0, np.log10(2000)])
    assert ds["group"].values.tolist() == ["run-7", "run-7"]
    assert ds["sample"].values.tolist() == ["a-0000000", "a-0000001"]
    counts = json.loads(ds.attrs["provenance"])["steps"][0]["counts"]
    assert counts == {"events": 5, "failed fits": 2, "not finite": 1}


def test_columns_and_groups_are_chosen(tmp_path):
    path = save(tmp_path / "a.fits")
    ds = FitsEvents(path=str(path), columns={"extra": "distance", "nHit": "hits"}, group=None).read()
    assert list(ds.data_vars) == ["distance", "hits"] and ds["distance"].attrs["units"] == "m"
    assert len(set(ds["group"].values.tolist())) == ds.sizes["sample"] == 3  # no zenith, no rule on it
    with pytest.raises(FormatError, match="no column 'nhit'"):
        FitsEvents(path=str(path), columns={"nhit": "hits"}).read()
    with pytest.raises(FormatError, match="no event is left of 5"):
        FitsEvents(path=str(save(tmp_path / "b.fits", angleFitStatus=[1] * 5))).read()
    with pytest.raises(FormatError, match="no table EVENTS"):
        fits.HDUList([fits.PrimaryHDU(np.zeros((4, 4)))]).writeto(tmp_path / "c.fits")
        FitsEvents(path=str(tmp_path / "c.fits")).read()


def test_images_stay_images_and_lists_are_lists(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((4, 4)))]).writeto(tmp_path / "map.fits")
    assert formats.recognise(tmp_path / "map.fits") == "fits"
    assert formats.recognise(save(tmp_path / "events.fits")) == "fits_events"
    (tmp_path / "no.fits").write_bytes(b"no")
    assert not FitsEvents.sniff(tmp_path / "no.fits")


def test_the_real_crab_events(shared_data):
    path = shared_data / "hawc" / "EventList_Crab_fHitbin8NN.fits.gz"
    ds = formats.read(path)
    assert ds.sizes["sample"] == 427
    with fits.open(path) as file:
        assert np.array_equal(ds["CxPE40"].values.ravel(), file["EVENTS"].data["CxPE40"])
        assert np.allclose(ds["energy"], 1000 * file["EVENTS"].data["ENERGY"])
    assert {"logNPE", "nHit", "zenith", "azimuth_cos", "core_x", "core_y", "PINC"} <= set(ds.data_vars)
