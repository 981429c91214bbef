"""The painted cosmic web: gravity against linear theory, conservation, signs of feedback, and the sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import UsageError
from skyloom.fields import store
from skyloom.formats import camels
from skyloom.simulate.cosmic_web import BOX, CosmicWeb, cosmology, project
from skyloom.simulate.cosmic_web.design import FIDUCIAL, design
from skyloom.simulate.cosmic_web.mesh import deposit, evolve, gather, moments
from skyloom.simulate.cosmic_web.painting import ball, paint, spread
from skyloom.simulate.cosmology import CRITICAL_DENSITY, Cosmology
from skyloom.simulate.lagrangian import linear_field, to_modes, to_space, wavenumbers
from skyloom.statistics import power_spectrum

COSMOLOGY = cosmology()


def spectrum(delta: np.ndarray, box: float, bins: int):
    return power_spectrum(delta.astype(np.float32), box=box, bins=bins, dims=3)


def matter(seed=0, cells=32, box=BOX, universe=COSMOLOGY, **settings):
    linear = linear_field(cells, box, np.random.default_rng(seed), universe)
    return linear, evolve(linear, universe, box_size=box, **settings)


@pytest.fixture(scope="module")
def box():
    return moments(matter(seed=3)[1])


def density(particles) -> np.ndarray:
    """The density contrast, the smoothing by cloud in cell divided out."""
    N = particles.cells
    modes = to_modes(deposit(particles.positions, N) - 1)
    for q in wavenumbers(N, float(N)):
        modes = modes / np.sinc(q / (2 * np.pi)) ** 2
    return to_space(modes, N)


@pytest.mark.parametrize("Omega_m", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("redshift", [3.0, 0.0])
def test_large_scales_grow_as_linear_theory_says(Omega_m, redshift):
    """Same phases, so sample variance drops out: what grew over what linear theory makes of it."""
    universe = Cosmology(Omega_m=Omega_m, Omega_b=0.049, h=0.6711, sigma_8=0.8, n_s=0.9624)
    linear, particles = matter(box=1500.0, universe=universe, redshift=redshift)
    D = universe.growth(redshift)
    grown, theory = (spectrum(field, 1500.0, 8) for field in (density(particles), D * linear))
    # Waves of eight cells and more; cells of 47 Mpc are linear to a few per cent.
    ratio = grown.power / theory.power
    assert ratio[0] == pytest.approx(1, abs=0.012)
    assert ratio[1] == pytest.approx(1, abs=0.05)


def test_power_agrees_with_theory_within_sample_variance():
    """Independent boxes against the closed form, with the transfer function that made them."""
    seeds, side = 6, 1500.0
    ratios = []
    for seed in range(seeds):
        found = spectrum(density(matter(seed=seed, box=side, steps=4)[1]), side, 8)
        ratios.append(found.power[:2] / COSMOLOGY.power(found.k[:2]))
    modes = seeds * found.modes[:2] / 2  # a wave and its opposite are one
    # A bin's mean of P lies off P at its middle by up to 5 %; Gaussian modes scatter as 1 / sqrt(modes).
    np.testing.assert_array_less(np.abs(np.mean(ratios, axis=0) - 1), 0.05 + 3 / np.sqrt(modes))


def test_the_rate_of_growth_is_the_slope_of_growth():
    for Omega_m in (0.1, 0.3, 0.5):
        universe = Cosmology(Omega_m=Omega_m)
        for a in (0.1, 0.5, 1.0):
            D = [universe.growth(1 / b - 1) for b in (a * 0.999, a * 1.001)]
            assert universe.growth_rate(1 / a - 1) == pytest.approx(np.diff(np.log(D))[0] / 0.002, rel=1e-4)
    # Einstein-de Sitter: D = a, f = 1.
    assert Cosmology(Omega_m=1.0).growth_rate(2.0) == pytest.approx(1.0)


def test_velocities_are_those_of_linear_theory():
    wave = 0.02 * np.sin(2 * np.pi * np.arange(32) / 32) * np.ones((32, 32, 32))
    particles = evolve(wave, COSMOLOGY, box_size=500.0, redshift=1.0, steps=3)
    # v = a H f D psi, with psi the displacement per unit growth.
    moved = particles.positions - np.indices((32, 32, 32)).reshape(3, -1) - 0.5
    rate = 100 * COSMOLOGY.h * COSMOLOGY.expansion(1.0) / 2 * COSMOLOGY.growth_rate(1.0)
    speed = moved * (500.0 / 32) * rate
    slope = (particles.velocities * speed).sum() / (speed**2).sum()
    assert slope == pytest.approx(1.0, abs=0.01)


def test_mass_and_momentum_are_kept(box):
    Delta, sigma = box
    assert Delta.mean() == pytest.approx(1.0, rel=1e-9)
    assert (sigma >= 0).all()
    _, particles = matter(seed=4)
    # No net force: the sum of momenta is that of rounding.
    drift = np.abs(particles.velocities.mean(axis=1, dtype=np.float64))
    assert (drift < 0.02 * particles.velocities.std()).all()


def test_cloud_in_cell_shares_by_distance_and_reads_back():
    x = np.array([[1.25], [7.5], [3.0]], np.float32)
    shared = deposit(x, 8)
    assert shared.sum() == pytest.approx(1.0)
    assert shared[1, 7, 3] == pytest.approx(0.75 * 0.5)
    assert shared[2, 0, 3] == pytest.approx(0.25 * 0.5)  # over the face of the box
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 8, 8))[None].copy()
    assert gather(ramp, x)[0, 0] == pytest.approx(1.25)


def test_a_box_is_the_same_bit_for_bit_and_periodic():
    linear = linear_field(16, BOX, np.random.default_rng(1), COSMOLOGY)
    one, two = (moments(evolve(linear, COSMOLOGY, box_size=BOX, steps=4)) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    # In a linear box; in a collapsed one rounding is amplified.
    weak = 0.1 * linear
    rolled = np.roll(weak, (3, 5, 7), (0, 1, 2))
    a, b = (moments(evolve(field, COSMOLOGY, box_size=BOX, steps=4))[0] for field in (weak, rolled))
    np.testing.assert_allclose(np.roll(a, (3, 5, 7), (0, 1, 2)), b, atol=2e-2)


def test_gas_is_moved_and_none_is_lost(box):
    for extreme in ({"A_SN1": 4.0, "A_SN2": 0.5}, {"A_AGN1": 4.0, "A_AGN2": 2.0}, {}):
        painted = paint(*box, COSMOLOGY, cell=BOX / 32, **extreme)
        mean = CRITICAL_DENSITY * COSMOLOGY.h**2 * COSMOLOGY.Omega_b
        assert painted.Mgas.mean() == pytest.approx(mean, rel=1e-5)
        assert painted.Mtot.mean() == pytest.approx(COSMOLOGY.mean_density, rel=1e-9)
        assert (painted.HI > 0).all()
        assert (painted.Mgas > painted.HI).all()


def test_feedback_acts_in_the_direction_that_is_stated(box):
    def painted(**feedback):
        return paint(*box, COSMOLOGY, cell=BOX / 32, **feedback)

    plain, shallow = painted(), (box[0] > 15) & (box[1] < 80)
    deep = (box[0] > 15) & (box[1] > 150)
    assert shallow.sum() > 20
    assert deep.sum() > 20
    more = {name: painted(**{name: 2.0}) for name in ("A_SN1", "A_AGN1", "A_SN2", "A_AGN2")}
    # Stronger feedback empties dense places, heats, and carries field out.
    for name, where in (("A_SN1", shallow), ("A_AGN1", deep)):
        assert more[name].Mgas[where].sum() < plain.Mgas[where].sum()
        assert more[name].T.mean() > plain.T.mean()
        assert np.median(more[name].B) >= np.median(plain.B)
        assert more[name].HI.sum() < plain.HI.sum()
    # Faster winds carry less mass out of shallow wells, but farther.
    assert more["A_SN2"].Mgas[shallow].sum() > plain.Mgas[shallow].sum()
    for name in ("A_SN2", "A_AGN2"):
        assert (more[name].B > 1e-12).mean() > (plain.B > 1e-12).mean()
    # Each kind of feedback acts in its own wells: the share of their gas that goes.
    for name, own, other in (("A_SN1", shallow, deep), ("A_AGN1", deep, shallow)):
        left = [more[name].Mgas[where].sum() / plain.Mgas[where].sum() for where in (own, other)]
        assert left[0] < left[1]


def test_more_clustering_and_more_matter_show():
    low, high = (
        moments(matter(seed=2, universe=cosmology({**FIDUCIAL, "sigma_8": s}))[1])[0] for s in (0.6, 1.0)
    )
    assert high.var() > 1.5 * low.var()


def test_a_ball_spreads_evenly_and_keeps_the_sum():
    field = np.zeros((16, 16, 16))
    field[3, 0, 15] = 7.0
    for radius in (0.3, 1.0, 4.4):
        out = spread(field, ball(16, radius))
        assert out.sum() == pytest.approx(7.0)
        # Beyond the radius and the half diagonal of a cell lies nothing.
        apart = np.minimum(np.arange(16), 16 - np.arange(16))
        r = np.sqrt(
            sum(
                np.roll(apart, c).reshape(s) ** 2
                for c, s in ((3, (-1, 1, 1)), (0, (1, -1, 1)), (15, (1, 1, -1)))
            )
        )
        assert out[r > radius + np.sqrt(3) / 2].max(initial=0) < 1e-12
        for axis, place in enumerate((3, 0, 15)):
            centred = np.roll(out, 8 - place, axis)
            np.testing.assert_allclose(np.take(centred, 9, axis), np.take(centred, 7, axis), atol=1e-12)


def test_the_five_maps_of_an_axis_hold_the_mass_of_the_box(box):
    cubes = paint(*box, COSMOLOGY, cell=BOX / 32)
    maps = project(cubes, ["Mtot", "Mgas", "T"], 16)
    for name in ("Mtot", "Mgas"):
        total = maps[name].reshape(3, 5, 16, 16).sum(axis=1).mean(axis=(1, 2))
        np.testing.assert_allclose(total, getattr(cubes, name).mean() * BOX, rtol=1e-5)
    # The first slab along z: six whole cells and two fifths of the seventh.
    by_hand = (cubes.Mgas[:6].sum(axis=0) + 0.4 * cubes.Mgas[6]) * BOX / 32
    np.testing.assert_allclose(maps["Mgas"][10], by_hand.reshape(16, 2, 16, 2).mean(axis=(1, 3)), rtol=1e-5)
    assert cubes.T.min() <= maps["T"].min() <= maps["T"].max() <= cubes.T.max()


def test_designs_are_those_of_camels():
    hypercube = design("LH", simulations=50)
    assert len({point.seed for point in hypercube}) == 50
    for name in FIDUCIAL:
        low, high = camels.tables.PARAMETERS[name].low, camels.tables.PARAMETERS[name].high
        values = np.array([point.parameters[name] for point in hypercube])
        unit = (
            (values - low) / (high - low)
            if name in ("Omega_m", "sigma_8")
            else np.log(values / low) / np.log(high / low)
        )
        np.testing.assert_array_equal(np.sort((unit * 50).astype(int)), np.arange(50))  # one in each stratum
    single = design("1P")
    assert len(single) == 66
    assert len({point.seed for point in single}) == 1
    changed = [{n for n in FIDUCIAL if p.parameters[n] != FIDUCIAL[n]} for p in single]
    assert sum(not names for names in changed) == 6  # the fiducial one, once for each parameter
    assert max(map(len, changed)) == 1
    fixed = design("CV")
    assert len({point.seed for point in fixed}) == len(fixed) == 27
    assert all(point.parameters == FIDUCIAL for point in fixed)
    seeds = [{point.seed for point in points} for points in (hypercube, single, fixed)]
    assert not seeds[0] & seeds[1] | seeds[0] & seeds[2] | seeds[1] & seeds[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return CosmicWeb(simulations=2, size=16, cells=16).simulate(tmp_path_factory.mktemp("web") / "one")


def test_the_set_follows_the_convention_and_goes_through_cmds_files(small, tmp_path):
    ds = store.open(small)
    fields.check(ds)
    fields.check_values(ds)
    assert ds.attrs["realism"] == "painted"
    assert all((ds[name] > 0).all() for name in ("Mgas", "HI", "B", "T", "Mtot"))  # their logarithms exist
    camels.write(ds, tmp_path, suite="CosmicWeb", set="LH")
    again = camels.Camels(path=str(tmp_path)).read()
    assert again.attrs["suite"] == ds.attrs["suite"]
    assert fields.fields(again) == fields.fields(ds)
    for name in ds.coords:
        if ds[name].dtype.kind == "f":
            np.testing.assert_allclose(again[name], ds[name], rtol=1e-12)
            assert again[name].attrs == ds[name].attrs
        else:
            assert again[name].values.tolist() == ds[name].values.tolist()
    for name in ds.data_vars:
        np.testing.assert_allclose(again[name], ds[name], rtol=1e-6)
        assert again[name].attrs == ds[name].attrs


def test_an_interrupted_set_goes_on_and_workers_change_nothing(small, tmp_path):
    simulator = CosmicWeb(simulations=2, size=16, cells=16)

    def stop(count, total):
        if count == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulator.simulate(tmp_path / "b", progress=stop)
    counts = []
    simulator.simulate(tmp_path / "b", workers=2, progress=lambda count, total: counts.append(count))
    assert counts[0] == 1
    for name in ("HI", "B"):
        np.testing.assert_array_equal(store.open(small)[name], store.open(tmp_path / "b")[name])


@pytest.mark.parametrize(
    "wrong",
    [{"set": "EX"}, {"simulations": 0}, {"set": "1P", "simulations": 5}, {"size": 48}, {"fields": ["Z"]}],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(UsageError):
        CosmicWeb(**wrong)
