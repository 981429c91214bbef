"""Skies as others read them: flux and mass come back from the files, and pixels lie where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.cosmology import Planck18
from astropy.io import fits
from astropy.wcs import WCS

from skyloom import fields, formats
from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.formats.sky import COLUMNS, Sky, on_the_sky, sources, write_image, write_sources
from skyloom.instruments.radio.line import Sight, line_mass

N, WIDTH = 16, 40.0  # pixels, kpc


@pytest.fixture
def galaxy():
    """A disc that turns, off the middle; H I column and velocity."""
    y, x = (np.indices((N, N)) - (N - 1) / 2) * WIDTH / N
    column = 1e7 * np.exp(-np.hypot(x - 4, y + 2) / 4) * (np.hypot(x, y) < 18)
    return fields.build(
        {
            "HI": (column[None], "Msun / kpc2", "H I"),
            "v_los": (200 * np.tanh(x / 5)[None], "km / s", "velocity"),
        },
        ids=["disc"], groups=["disc"], seeds=[0], box_size=WIDTH, box_size_unit="kpc", periodic=False,
        suite="test", realism="toy", redshifts=[0.0],
    )  # fmt: skip


def mass_of(path):
    """What a reader who knows only the header finds [Msun]."""
    with fits.open(path) as file:
        header, values = file[0].header, file[0].data.astype(float)
    pixels = 1.0
    if header["BUNIT"] == "Jy/beam":
        area = np.pi * header["BMAJ"] * header["BMIN"] / (4 * np.log(2))
        pixels = area / abs(header["CDELT1"] * header["CDELT2"])
    width = abs(header["CDELT3"]) / header["CRVAL3"] * 299792.458  # [km/s], in the frame of the source
    z = header["RESTFRQ"] / header["CRVAL3"] - 1
    return 2.356e5 * header["LUMDIST"] ** 2 / (1 + z) * values.sum() / pixels * width


@pytest.mark.parametrize(
    "options", [{"distance": 12.0}, {"redshift": 0.2}, {"redshift": 0.01, "distance": 50.0}]
)
@pytest.mark.parametrize("beam", [None, 2.5])
@pytest.mark.parametrize("count", [1, 40])
def test_the_mass_comes_back_from_the_file(galaxy, tmp_path, options, beam, count):
    true = float(galaxy["HI"].values.sum()) * (WIDTH / N) ** 2
    seen = on_the_sky(galaxy, count=count, band=800.0, **options)
    wide = None if beam is None else beam * seen.sky.pixel * 3600
    path = write_image(seen.sky, tmp_path / "disc.fits", beam=wide)
    assert mass_of(path) == pytest.approx(true, rel=1e-6)
    assert seen.sky.mass == pytest.approx(true, rel=1e-9)
    assert seen.kept == pytest.approx(1.0, abs=1e-9)


def test_pixels_lie_where_their_kiloparsecs_are(galaxy, tmp_path):
    path = write_image(on_the_sky(galaxy, distance=10.0, centre=(83.0, 60.0)).sky, tmp_path / "disc.fits")
    with fits.open(path) as file:
        header, values = file[0].header, file[0].data
    wcs = WCS(header)
    assert header["BUNIT"] == "Jy/pixel" and values.shape == (1, N, N)
    middle = SkyCoord(83.0, 60.0, unit="deg")
    # Half a pixel beyond the last one of the middle's row is 20 kpc west, at 10 Mpc.
    ra, dec, frequency = wcs.pixel_to_world_values(N - 0.5, (N - 1) / 2, 0)
    edge = SkyCoord(float(ra), float(dec), unit="deg")
    assert middle.separation(edge).rad == pytest.approx(20e-3 / 10, rel=1e-5)
    assert middle.position_angle(edge).deg == pytest.approx(270, abs=0.2)
    assert float(frequency) == pytest.approx(1420.405751768e6)
    # The centroid of the flux is that of the map, from the middle of the field.
    ra, dec, _ = wcs.pixel_to_world_values(*np.meshgrid(np.arange(N), np.arange(N)), 0)
    weights = values[0] / values.sum()
    north = float((weights * (dec - 60)).sum())
    column = galaxy["HI"].values[0]
    y = ((np.arange(N) - (N - 1) / 2) * WIDTH / N)[:, None]
    # Parallels bend: x² tan(60°) / 2 of a disc of some 7 kpc at 10 Mpc.
    assert np.radians(north) == pytest.approx(float((column * y).sum() / column.sum()) / 1e4, abs=6e-7)


def test_channels_fall_in_frequency_and_hold_the_velocities(galaxy, tmp_path):
    seen = on_the_sky(galaxy, distance=10.0, count=40, band=800.0, dispersion=8.0)
    path = write_image(seen.sky, tmp_path / "cube.fits")
    with fits.open(path) as file:
        values, spectral = file[0].data.astype(float), WCS(file[0].header).spectral
    frequency = spectral.pixel_to_world_values(np.arange(40))
    velocity = 299792.458 * (1 - frequency / 1420.405751768e6)
    np.testing.assert_allclose(velocity, (np.arange(40) - 19.5) * 20, atol=1e-6)
    bright = galaxy["HI"].values[0] > 0
    found = np.tensordot(velocity, values, 1)[bright] / values.sum(0)[bright]
    np.testing.assert_allclose(found, galaxy["v_los"].values[0][bright], atol=0.5)
    # Half of the band loses what moves by more than 100 km/s, and says so.
    narrow = on_the_sky(galaxy, distance=10.0, count=10, band=200.0)
    fast = np.abs(galaxy["v_los"].values[0]) > 100
    lost = float(galaxy["HI"].values[0][fast].sum() / galaxy["HI"].values[0].sum())
    assert narrow.kept == pytest.approx(1 - lost, abs=0.05)


def test_a_box_of_temperatures_is_a_cube_of_the_expanding_universe():
    ds = fields.build(
        {"T_b": (np.full((1, 4, 4, 4), 20.0), "mK", "T_b")},
        ids=["box"], groups=["box"], seeds=[0], box_size=40.0, suite="test", realism="toy", redshifts=[7.0],
    )  # fmt: skip
    sky = on_the_sky(ds, comoving=True).sky
    distance = Planck18.comoving_distance(7.0).value
    assert np.radians(sky.pixel) == pytest.approx(10 / distance, rel=1e-9)
    # A layer of 10 comoving Mpc between the frequencies of its faces, about its middle.
    faces = [1420.405751768e6 / (1 + z) for z in _redshifts(distance, 10.0)]
    assert sky.bandwidth == pytest.approx(faces[0] - faces[1], rel=1e-4)
    # 2 k T Ω / λ² by hand.
    wavelength = 0.21106114054 * 8
    by_hand = 2 * 1.380649e-23 * 0.02 * (10 / distance) ** 2 / wavelength**2 / 1e-26
    np.testing.assert_allclose(sky.flux, by_hand, rtol=1e-9)


def _redshifts(distance, depth):
    from astropy import units
    from astropy.cosmology import z_at_value

    ends = distance - depth / 2, distance + depth / 2
    found = Planck18.comoving_distance
    return [float(z_at_value(found, d * units.Mpc, zmin=6.5, zmax=7.5, method="bounded")) for d in ends]


def test_a_cube_of_densities_has_the_mass_of_its_cells():
    density = np.random.default_rng(0).uniform(1, 9, (1, 6, 6, 6))
    ds = fields.build(
        {"HI": (density, "Msun / kpc3", "H I")},
        ids=["box"], groups=["box"], seeds=[0], box_size=1.2, suite="test", realism="toy", redshifts=[0.3],
    )  # fmt: skip
    sky = on_the_sky(ds).sky
    assert sky.mass == pytest.approx(density.sum() * 200.0**3, rel=1e-12)
    assert sky.width == pytest.approx(Planck18.H(0.3).value * 0.2, rel=1e-12)


def test_the_table_of_sources_is_the_image(galaxy, tmp_path):
    sky = on_the_sky(galaxy, distance=10.0, centre=(10.0, -30.0)).sky
    (path,) = write_sources(sky, tmp_path / "disc.txt", keep=0.99)
    table = np.loadtxt(path)
    assert table.shape[1] == len(COLUMNS) == 12
    kept = table[:, 2].sum() / sky.flux.sum()
    assert 0.99 <= kept < 0.995
    assert f"{len(table)} of 256 pixels, {kept:.6%} of the absolute flux" in path.read_text().splitlines()[0]
    # The first row is the brightest pixel; the last is needed, the next is not.
    y, x = np.unravel_index(sky.flux[0].argmax(), (N, N))
    write_image(sky, tmp_path / "disc.fits")
    with fits.open(tmp_path / "disc.fits") as file:
        ra, dec, _ = WCS(file[0].header).pixel_to_world_values(x, y, 0)
    np.testing.assert_allclose(table[0, :2], [ra, dec], atol=1e-9)
    assert table[:-1, 2].sum() < 0.99 * sky.flux.sum()
    assert (np.diff(table[:, 2]) <= 0).all()
    np.testing.assert_array_equal(table[:, [3, 4, 5, 7, 8, 9, 10, 11]], 0)
    np.testing.assert_allclose(table[:, 6], 1420.405751768e6, rtol=1e-9)
    # All of the flux: the mass comes back, and no pixel without flux is there.
    whole = np.loadtxt(write_sources(sky, tmp_path / "whole.txt", keep=1.0)[0])
    assert len(whole) == (sky.flux > 0).sum()
    assert line_mass(whole[:, 2].sum() * sky.width, sky.seen) == pytest.approx(sky.mass, rel=1e-9)


def test_channels_are_tables_of_their_own_frequency(galaxy, tmp_path):
    sky = on_the_sky(galaxy, distance=10.0, count=3, band=1500.0).sky
    files = write_sources(sky, tmp_path / "cube.txt")
    assert [file.name for file in files] == ["cube-000.txt", "cube-001.txt", "cube-002.txt"]
    middle = np.loadtxt(files[1])
    np.testing.assert_allclose(middle[:, 6], sky.frequencies[1], rtol=1e-9)
    assert sky.frequencies[0] > sky.frequencies[2]
    empty = Sky(np.zeros((1, 4, 4)), 10.0, 0.1, (0.0, 0.0), Sight(0.0, 1.0), False, "nothing")
    assert len(sources(empty)[0]) == 0
    lines = write_sources(empty, tmp_path / "empty.txt")[0].read_text().splitlines()
    assert all(line.startswith("#") for line in lines) and "0 of 16 pixels" in lines[0]


def test_absorption_counts_as_flux_of_its_size():
    flux = np.array([[[3.0, -6.0], [0.0, 1.0]]])
    table = sources(Sky(flux, 10.0, 0.1, (0.0, 0.0), Sight(0.0, 1.0), False, "box"), keep=0.9)[0]
    assert table[:, 2].tolist() == [-6.0, 3.0]


def test_our_own_reader_finds_the_beam_and_the_angle(galaxy, tmp_path):
    sky = on_the_sky(galaxy, distance=10.0).sky
    write_image(sky, tmp_path / "disc.fits", beam=2 * sky.pixel * 3600)
    back = formats.read(tmp_path / "disc.fits")
    assert back.attrs["pixel_angle"] == pytest.approx(sky.pixel)
    assert back.attrs["beam_pixels"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "nothing tells how far"),
        ({"distance": 1.0, "field": "H1"}, DataError, "no field 'H1'"),
        ({"distance": 1.0, "field": "v_los"}, DataError, "tells no flux of a map"),
        ({"distance": 1.0, "centre": (400.0, 0.0)}, UsageError, "right ascension 400"),
        ({"distance": 0.01}, UsageError, "the field measures"),
    ],
)
def test_what_cannot_be_is_refused(galaxy, options, error, message):
    with pytest.raises(error, match=message):
        on_the_sky(galaxy, **options)


def test_what_is_not_there_is_named(galaxy, tmp_path):
    with pytest.raises(DataError, match="need the field 'v_los'"):
        on_the_sky(galaxy.drop_vars("v_los"), distance=1.0, count=2)
    with pytest.raises(DataError, match="no field 'HI' and no 'T_b'"):
        on_the_sky(galaxy.drop_vars("HI"), distance=1.0)
    with pytest.raises(ShapeError, match="shape"):
        Sky(np.zeros((4, 4)), 1.0, 0.1, (0.0, 0.0), Sight(0.0, 1.0), False, "map")
    sky = on_the_sky(galaxy, distance=10.0).sky
    with pytest.raises(UsageError, match="a beam of 9000"):
        write_image(sky, tmp_path / "a.fits", beam=9000.0)
    with pytest.raises(UsageError, match="keep is 2"):
        sources(sky, keep=2.0)
