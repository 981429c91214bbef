"""``skyloom export sky``: model galaxies from the simulator to files that others read."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from skyloom import api
from skyloom.errors import DataError, UsageError
from skyloom.fields import store
from skyloom.simulate.galaxies import Galaxies


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("galaxies") / "set"
    settings = {"galaxies": 1, "pixels": 24, "rotations": 2, "gas": 400, "stars": 200, "dark_particle": 7.9e8}
    return Galaxies(**settings, domains=["HI", "T_b", "v_los"]).simulate(folder)


def test_the_image_and_the_table_hold_the_mass_of_the_set(galaxies, tmp_path):
    ds = store.open(galaxies)
    name = str(ds["sample"].values[1])
    done = api.export_sky(galaxies, tmp_path / "a" / "sky.fits", sample=name, distance=20.0, beam=60.0)
    with fits.open(done.files[0]) as file:
        header, values = file[0].header, file[0].data.astype(float)
    pixels = np.pi * header["BMAJ"] ** 2 / (4 * np.log(2)) / header["CDELT2"] ** 2
    mass = 2.356e5 * 20.0**2 * values.sum() / pixels * header["VELWIDTH"]
    assert mass == pytest.approx(float(ds["M_HI"].values[1]), rel=1e-6)
    assert header["OBJECT"] == name == done.told["sample"]
    assert float(done.told["mass of H I"].split()[0]) == pytest.approx(mass, rel=1e-5)
    table = api.export_sky(galaxies, tmp_path / "sky.txt", sample="1", distance=20.0, keep=1.0)
    found = np.loadtxt(table.files[0])[:, 2].sum()
    assert found == pytest.approx(values.sum() / pixels, rel=1e-6)


def test_the_temperature_of_the_line_has_the_flux_of_its_mass(galaxies, tmp_path):
    """The simulator's T_b is the mean over 1000 km/s, as the band of the export is."""
    by_mass, by_temperature = (
        api.export_sky(galaxies, tmp_path / f"{field}.fits", field=field, distance=20.0).told
        for field in ("HI", "T_b")
    )
    flux = [float(told["flux of the line"].split()[0]) for told in (by_mass, by_temperature)]
    assert flux[1] == pytest.approx(flux[0], rel=6e-3)
    assert "mass of H I" not in by_temperature


@pytest.mark.parametrize(
    ("out", "options", "error", "message"),
    [
        ("a.png", {}, UsageError, "the ending says"),
        ("a.fits", {"keep": 0.9}, UsageError, "keeps all pixels"),
        ("a.txt", {"beam": 9.0}, UsageError, "have no beam"),
        ("a.fits", {"sample": "nobody"}, DataError, "no sample 'nobody'"),
    ],
)
def test_what_does_not_go_together_is_refused(galaxies, tmp_path, out, options, error, message):
    with pytest.raises(error, match=message):
        api.export_sky(galaxies, tmp_path / out, distance=20.0, **options)
