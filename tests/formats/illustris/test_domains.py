"""Domains: closed forms of the line, the phases of hydrogen, and maps that agree with their particles."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import fields, formats
from skyloom.errors import UsageError
from skyloom.fields import store
from skyloom.formats.illustris import Illustris, densest
from skyloom.formats.illustris.analogs import M31Analogs
from skyloom.formats.illustris.domains import DOMAINS, Look
from skyloom.formats.illustris.hydrogen import (
    brightness,
    cold_share,
    molecular_share,
    neutral_mass,
    temperature,
)

from .native_files import LENGTHS, A, H, write


def cell(**values):
    base = {"Masses": 1.0, "Density": 1e7, "InternalEnergy": 200.0, "ElectronAbundance": 0.0,
            "StarFormationRate": 0.0, "NeutralHydrogenAbundance": 0.5, "GFM_Metallicity": 0.0127}  # fmt: skip
    return {name: np.atleast_1d(np.asarray(value, float)) for name, value in {**base, **values}.items()}


def test_brightness_is_that_of_an_optically_thin_line():
    """∫T dv = N_HI / 1.823e18 K km/s at rest, divided by 1 + z when it is seen."""
    N_HI = 3e20
    column = N_HI * 1.6735e-24 / 1.989e33 * 3.085678e21**2
    for a, h in ((1.0, 0.7), (0.5, 0.6774)):
        hubble = 100 * h * np.sqrt(0.3 / a**3 + 0.7)
        T = brightness(np.array(column), a=a, h=h, hubble=hubble, channel=50.0)
        assert float(T) / 1e3 == pytest.approx(N_HI / 1.823e18 / 50.0 * a, rel=0.01)
    with pytest.raises(UsageError, match="channel is 0"):
        brightness(np.array(column), a=1.0, h=0.7, hubble=70.0, channel=0.0)


def test_temperature_of_neutral_and_ionised_gas():
    # u = 1.5 k T / (μ m_p); μ = 4 / (1 + 3 X) neutral, and with 1.158 electrons a hydrogen atom ionised.
    for electrons, mu in ((0.0, 4 / 3.28), (1.158, 4 / (3.28 + 3.04 * 1.158))):
        u = 1.5 * 1.380649e-16 * 2e4 / (mu * 1.67262e-24) / 1e10
        assert temperature(cell(InternalEnergy=u, ElectronAbundance=electrons))[0] == pytest.approx(
            2e4, rel=1e-4
        )


def test_two_phases_are_mostly_cold_clouds_and_only_where_stars_form():
    threshold = 0.106 * 1.67262e-24 / 0.76 / (1.989e33 / 3.085678e21**3)  # n_H = 0.106 in Msun/kpc³
    ionised = 1.5 * 1.380649e-16 * 1e4 / (4 / 6.8 * 1.67262e-24) / 1e10  # u(10⁴ K), where the two laws meet
    # There u_h = u(5.73e7 K) / 574 + u(1000 K, neutral) and the share (u_h - u) / (u_h - u_c).
    u_c = ionised * 0.1 * 3.28 / 6.8
    u_h = ionised * 5730 / 574 + u_c
    share = cold_share(cell(Density=threshold, InternalEnergy=ionised))
    assert share[0] == pytest.approx((u_h - ionised) / (u_h - u_c), rel=1e-4)
    both = cell(Masses=[1, 1], Density=[threshold] * 2, InternalEnergy=[ionised] * 2,
                StarFormationRate=[0, 1], NeutralHydrogenAbundance=[0.3, 0.3])  # fmt: skip
    np.testing.assert_allclose(neutral_mass(both), [0.76 * 0.3, 0.76 * share[0]])
    np.testing.assert_allclose(neutral_mass(both, two_phase=False), 0.76 * 0.3)


def test_half_is_molecular_at_the_pressure_of_blitz_and_rosolowsky():
    # P/k = (2/3) ρ u / k = 4.3e4 K/cm³ gives R = 1.
    density = 1e7
    u = 1.5 * 4.3e4 * 1.380649e-16 / (density * 1.989e33 / 3.085678e21**3) / 1e10
    assert molecular_share(cell(InternalEnergy=u), "blitz_rosolowsky")[0] == pytest.approx(0.5, rel=1e-4)
    assert molecular_share(cell(InternalEnergy=10 * u), "blitz_rosolowsky")[0] == pytest.approx(
        10**0.92 / (1 + 10**0.92), rel=1e-4
    )


def test_molecules_of_gnedin_and_kravtsov_follow_column_dust_and_light():
    def share(uv=1.0, **values):
        return float(molecular_share(cell(**values), "gnedin_kravtsov", uv=uv)[0])

    # At the critical column the share is 1/4; solar dust and field, by hand: Λ = ln(1 + g 15^(-4/7)),
    # D* = 1.5e-3 ln(1 + 3^1.7) = 0.00302, s = 0.0399, α = 2, g = 1.0399, Λ = 0.1999, Σ_c = 20 Λ^(4/7) / √2.
    critical = 20 * 0.1999 ** (4 / 7) / np.sqrt(2)
    density, rate = 1e8, 5 / 3 * 2 / 3
    needed = critical / (density / 1e9 * 0.76) * 3.085678e18  # Jeans length in cm
    u = needed**2 * 6.6743e-8 * density * 1.989e33 / 3.085678e21**3 / rate / 1e10
    assert share(Density=density, InternalEnergy=u) == pytest.approx(0.25, rel=2e-3)
    assert share(Density=10 * density) > share(Density=density)
    poor = {"Density": density, "GFM_Metallicity": 0.00127}  # light matters where there is little dust
    assert share(**poor) > share(**poor, uv=30.0)
    assert share(Density=density, GFM_Metallicity=0.02) > share(Density=density, GFM_Metallicity=0.001)


def test_maps_hold_the_mass_of_their_halo_in_every_direction(tmp_path):
    native = write(tmp_path / "output")
    # A view and a sphere far wider than the halo keep all of it.
    reader = Illustris(
        path=str(tmp_path / "output"), snapshot=99, count=2, rotations=3, width=400.0, pixels=24,
        radius=1000.0, rim=0.0, two_phase=False,
        domains=["Mgas", "HI", "Mcdm", "Mstar", "SFR", "T", "B", "Z", "T_b"],
    )  # fmt: skip
    ds = reader.read()
    assert ds["Mgas"].chunks is not None  # nothing was made yet
    ds = ds.compute()
    fields.check(ds)
    fields.check_values(ds)
    assert ds["group"].values.tolist() == ["halo0000000"] * 3 + ["halo0000001"] * 3
    assert float(ds["redshift"][0]) == 1.0
    area, start = (400.0 / 24) ** 2, {0: 0, 1: 40}
    for view in range(6):
        halo = view // 3
        rows = slice(start[halo], start[halo] + LENGTHS[halo, 0])
        gas = {name: values[rows] for name, values in native[0].items()}
        mass = gas["Masses"].sum() * 1e10 / H
        total = {
            name: float(ds[name][view].sum(dtype="f8")) * area
            for name in ("Mgas", "HI", "Mcdm", "SFR", "Mstar")
        }
        assert total["Mgas"] == pytest.approx(mass, rel=1e-5)
        assert total["HI"] == pytest.approx(0.75 * 0.5 * mass, rel=1e-5)
        assert total["Mcdm"] == pytest.approx(LENGTHS[halo, 1] * 0.05e10 / H, rel=1e-5)
        assert total["SFR"] == pytest.approx(gas["StarFormationRate"].sum(), rel=1e-5)
        first = (0, 20)[halo]
        stars = native[4]["Masses"][first : first + LENGTHS[halo, 4]]
        wind = (np.arange(first, first + LENGTHS[halo, 4]) % 5) == 0
        assert total["Mstar"] == pytest.approx(stars[~wind].sum() * 1e10 / H, rel=1e-5)
        for name, value in (("B", 5 * 2.602e-6 * H / A**2), ("Z", 0.01)):  # the same everywhere
            seen = ds[name].values[view]
            np.testing.assert_allclose(seen[seen > 0], value, rtol=1e-3)
    hubble = 100 * H * np.sqrt(0.3 / A**3 + 0.7)
    expected = brightness(ds["HI"].values, a=A, h=H, hubble=hubble, channel=500.0)
    np.testing.assert_allclose(ds["T_b"], expected, rtol=1e-5)
    np.testing.assert_allclose(ds["M_gas"][0], 2e10 / H)


def test_a_halo_keeps_its_group_through_snapshots(tmp_path):
    """Numbers of particles tell which halo it was; here all 15 of halo 1 lie in halo 0 later."""
    write(tmp_path / "output")
    write(tmp_path / "output", number=91, swapped=True)
    ds = Illustris(
        path=str(tmp_path / "output"), snapshot=99, followed=[91], ids=[1], rotations=2, domains=["Mcdm"]
    ).read()
    assert set(ds["group"].values) == {"halo0000001"}
    assert ds["parent"].values.tolist() == ["group0000001"] * 2 + ["group0000001-s091"] * 2
    np.testing.assert_allclose(ds["M_dark_matter"][[0, 2]], np.array([1.8, 2.5]) * 1e10 / H)  # halo 1, then 0
    with pytest.raises(UsageError, match="followed from the numbered snapshot"):
        Illustris(path=str(tmp_path), followed=[91])


def test_velocities_turn_with_the_galaxy(tmp_path):
    write(tmp_path / "output")
    ds = Illustris(
        path=str(tmp_path / "output"), snapshot=99, ids=[0], rotations=2, domains=["Mgas", "v_los"]
    ).read()
    for view in range(2):  # weighted by mass, nothing moves relative to the whole
        weight, v = ds["Mgas"].values[view], ds["v_los"].values[view]
        assert abs((weight * v).sum() / weight.sum()) < 0.05 * v.std()
    assert not np.allclose(ds["v_los"][0], ds["v_los"][1])


def test_a_selection_has_no_corners():
    """A uniform medium seen through the tapered sphere is round: what is left at one radius is one value."""
    axis = np.linspace(-1, 1, 40) * 60
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    spacing = axis[1] - axis[0]
    gas = {
        "Coordinates": grid,
        "Masses": np.ones(len(grid)),
        "SmoothingLength": np.full(len(grid), 3 * spacing),
    }
    from skyloom.formats.illustris.domains import maps

    image = maps({"gas": gas}, (0.0, 0.0, 0.0), [None], Look(("Mgas",), 100.0, 50, 50.0), None)[0, 0]
    at = np.arange(50) + 0.5 - 25
    r = np.hypot(at[:, None], at[None, :])
    assert image[r > 27].max() < 1e-3 * image.max()
    ring = image[(r > 14) & (r < 15)]
    assert ring.std() < 0.03 * ring.mean()


def test_a_cube_leaves_its_turned_corners_in_the_map():
    """Turned by 45 degrees about the line of sight, a cube is a diamond: the corners of its map are empty."""
    from skyloom.formats.illustris.domains import maps

    axis = np.linspace(-1, 1, 40) * 60
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    gas = {"Coordinates": grid, "Masses": np.ones(len(grid)), "SmoothingLength": np.full(len(grid), 4.0)}
    c = np.sqrt(0.5)
    look = Look(("Mgas",), 100.0, 50, 87.0, selection="cube")
    image = maps({"gas": gas}, (0.0, 0.0, 0.0), [None, ((c, -c, 0), (c, c, 0), (0, 0, 1))], look, None)[:, 0]
    inside = int((np.abs(axis) <= 50).sum())
    assert image[0].sum() * 2.0**2 == pytest.approx(inside**3, rel=0.01)  # 40³ particles less those outside
    x = np.abs(np.arange(50) + 0.5 - 25) * 2
    diamond = x[:, None] + x[None, :]
    assert image[1][diamond > 80].max() < 1e-6 < image[0][diamond > 80].min()


def test_import_is_resumable_and_each_galaxy_is_made_once(tmp_path, monkeypatch):
    write(tmp_path / "output")
    reader, made = Illustris(path=str(tmp_path / "output"), snapshot=99, domains=["Mgas", "Z"], pixels=8), []
    original = reader._maps
    monkeypatch.setattr(reader, "_maps", lambda galaxy: made.append(galaxy.name) or original(galaxy))
    store.write(reader.read(), tmp_path / "set", shard_size=4)
    assert sorted(made) == ["group0000000", "group0000001"]
    store.write(reader.read(), tmp_path / "set", shard_size=4)
    assert len(made) == 2  # both shards lay there


def test_errors_say_what_goes_together(tmp_path):
    for wrong, message in (
        ({"domains": ["Mgass"]}, "did you mean 'Mgas'"),
        ({"domains": ["H2"]}, "needs a model"),
        ({"objects": "regions"}, "regions need centres"),
        ({"width": -1.0}, "lengths above 0"),
        ({"selection": "cube", "radius": 40.0}, "a cube has no radius"),
    ):
        with pytest.raises(UsageError, match=message):
            Illustris(path=str(tmp_path), **wrong)
    with pytest.raises(UsageError, match="the files hold no 'B'"):
        M31Analogs(path=str(tmp_path), domains=["B"])


def test_the_densest_place_is_found_beside_a_neighbour():
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(0, 1, (3000, 3)), rng.normal(30, 1, (500, 3))])
    np.testing.assert_allclose(densest(places), 0, atol=0.3)


def test_a_real_galaxy_of_tng(shared_data):
    folder = shared_data / "galaxies" / "TNG50-4-Subbox0" / "output"
    if not folder.exists():
        pytest.skip("no TNG50-4 subbox")
    names = [name for name in DOMAINS if name != "H2"]
    ds = Illustris(
        path=str(folder), snapshot=2332, objects="regions", centres=[[38282.0, 15326.0, 37358.0]],
        domains=names, rotations=1, pixels=32, allow_missing=True, molecules="blitz_rosolowsky",
    ).read().compute()  # fmt: skip
    fields.check_values(ds)
    seen = {name: ds[name].values[0] for name in names}
    assert (seen["HI"] <= 0.76 * seen["Mgas"] * 1.001).all()
    assert 1e-8 < seen["B"].max() < 1e-4  # microgauss, as in galaxies
    assert seen["T"][seen["T"] > 0].min() > 1e3 and seen["T"].max() < 1e8
    for name in ("Mgas", "Mcdm"):  # one grid: both peak in the middle
        y, x = np.unravel_index(seen[name].argmax(), (32, 32))
        assert abs(y - 15.5) < 8 and abs(x - 15.5) < 8


def test_real_cutouts_and_camels(shared_data):
    galaxies, camels = shared_data / "galaxies", shared_data / "camels" / "camels_snap_c9ca760a1c.hdf5"
    if not galaxies.exists() or not camels.exists():
        pytest.skip("no cutouts")
    for name, domains in (("IllustrisTNG", ["Mgas", "Mstar", "T"]), ("EAGLE", ["Mgas", "Mstar", "T", "Z"])):
        path = galaxies / f"simspin_{name}.hdf5"
        ds = formats.read(
            path, objects="cutouts", domains=domains, rotations=2, width=60.0, pixels=16
        ).compute()
        fields.check_values(ds)
        assert set(ds["group"].values) == {f"simspin_{name}"}
        assert float(ds["Mstar"].values[0].max()) > 0
        assert 1e3 < float(ds["T"].values.max()) < 1e9
    centre = np.array([12_500, 17_400, 8_700]) * 0.909047 / 0.6711
    ds = Illustris(
        path=str(camels), objects="regions", centres=[centre.tolist()], width=4e4, pixels=16, rotations=0,
        domains=["Mgas", "SFR", "Mstar"], radius=1e5, rim=0.0,
    ).read()  # fmt: skip
    import h5py

    with h5py.File(camels) as file:
        mass = file["PartType0/Masses"][:].sum(dtype=float) * 1e10 / 0.6711
        assert float(ds["Mgas"].values[0].sum(dtype="f8")) * (4e4 / 16) ** 2 == pytest.approx(mass, rel=1e-4)


def test_the_real_m31_analogs_keep_their_rotations_together(shared_data):
    folder = shared_data / "galaxies" / "illustris1_m31analogs"
    if not folder.exists():
        pytest.skip("no M31 analogs")
    assert formats.recognise(folder) == "m31_analogs"
    ds = M31Analogs(path=str(folder), rotations=2, pixels=16, width=1000.0, radius=2000.0, rim=0.0).read()
    assert ds.sizes["sample"] == 60 and len(set(ds["group"].values)) == 30
    two = ds.isel(sample=slice(0, 2)).compute()
    with np.load(folder / f"gas_{two['group'].values[0]}.npz") as file:
        mass, neutral = file["mass"].astype(float), file["neutral_hydrogen_abundance"].astype(float)
    total = two["Mgas"].sum(["y", "x"], dtype="f8").values * (1000.0 / 16) ** 2
    np.testing.assert_allclose(total, mass.sum() * 1e10 / 0.704, rtol=0.02)  # a few cells lie outside
    HI = two["HI"].sum(["y", "x"], dtype="f8").values * (1000.0 / 16) ** 2
    np.testing.assert_allclose(HI, 0.76 * (mass * neutral).sum() * 1e10 / 0.704, rtol=0.02)
