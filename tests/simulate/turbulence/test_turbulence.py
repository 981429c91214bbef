"""The simulator: what it writes, that it goes on where it stopped, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import DivergedError, UsageError
from skyloom.fields import store
from skyloom.formats.shipped import Shipped
from skyloom.simulate.turbulence import REGIMES, Turbulence
from skyloom.simulate.turbulence.design import Point
from skyloom.simulate.turbulence.driving import Driving
from skyloom.simulate.turbulence.evolve import evolve
from skyloom.simulate.turbulence.grid import Grid
from skyloom.simulate.turbulence.mhd import Gas

SMALL = {"simulations": 5, "size": 12, "times": [0.05, 0.1]}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A set whose making was stopped after three runs by one worker, and ended by two."""
    folder = tmp_path_factory.mktemp("sets") / "one"
    simulator = Turbulence(**SMALL, vectors=True)

    def stop(count, total):
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulator.simulate(folder, progress=stop)
    counts = []
    simulator.simulate(folder, workers=2, progress=lambda count, total: counts.append(count))
    assert counts == [3, 4, 5]  # what was whole is not run again
    return folder


def test_the_set_holds_five_regimes_in_the_shape_of_the_shipped_one(small):
    ds, real = store.open(small), Shipped(set="cosmic-rays-athena").read()
    fields.check(ds)
    fields.check_values(ds)
    assert dict(ds.sizes) == {"sample": 10, "z": 12, "y": 12, "x": 12}
    assert len(np.unique(ds["group"])) == len(np.unique(ds["seed"])) == 5
    assert json.loads(ds["transport"].attrs["classes"]) == json.loads(real["transport"].attrs["classes"])
    assert ds.attrs["mean_field"] == real.attrs["mean_field"] == "x"
    for name in real.data_vars:
        assert ds[name].attrs["units"] == real[name].attrs["units"]
        assert ds[name].attrs["long_name"] == real[name].attrs["long_name"]
    assert ds["transport"].values.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert ds["time"].values.tolist() == [0.05, 0.1] * 5
    assert ds["kappa"].values[::2].tolist() == pytest.approx([0, 0, 1 / 30, 10 / 3, 1 / 30])


def test_values_are_those_of_the_model(small):
    ds = store.open(small)
    np.testing.assert_allclose(ds["density"].mean(("z", "y", "x")), 1, rtol=1e-6)
    assert np.all(ds["E_c"].values[:2] == 0)  # no cosmic rays
    np.testing.assert_allclose(ds["E_c"].mean(("z", "y", "x"))[2:], 3, rtol=0.05)  # P_c = P_g = 1 at first
    square = sum(ds[f"B_{axis}"].values ** 2 for axis in "xyz")
    np.testing.assert_allclose(ds["magnetic_energy"], square / 2, rtol=1e-5)
    np.testing.assert_allclose(ds["B_x"].mean(("z", "y", "x")), np.sqrt(2 / 10), rtol=1e-5)
    speed = sum(ds[f"velocity_{axis}"].values ** 2 for axis in "xyz").mean((1, 2, 3))
    np.testing.assert_allclose(ds["mach"], np.sqrt(speed), rtol=1e-5)
    # Work of the stirring so far bounds the motion: M^2 / 2 <= energy_input t, with the density near one.
    assert np.all(0.5 * speed < 1.1 * ds["time"].values)
    assert np.all(0.5 * speed > 0.5 * ds["time"].values)


def test_cosmic_rays_change_the_gas_in_every_regime():
    """A force that is off gives the gas without cosmic rays, whatever the transport."""
    common = {"pressure_ratio": 1.0, "light_speed": 20.0, "solenoidal": 0.5, "correlation_time": 0.5}
    cubes = {}
    for regime in REGIMES:
        point = Point(0, 1, regime, {"energy_input": 1.0, "beta": 10.0, "kappa": 1 / 30})
        cubes[regime] = next(evolve(point, size=12, times=[0.2], **common)).density
    for one in REGIMES:
        for two in REGIMES:
            if one < two:
                assert np.abs(cubes[one] - cubes[two]).max() > 1e-3, (one, two)
    # Pressure of tied cosmic rays keeps the gas from being squeezed.
    assert cubes["advect"].std() < 0.8 * cubes["mhd"].std()


def test_a_stop_and_the_number_of_workers_change_nothing(small):
    """Runs made here, one after the other, are those of the set to the last bit."""
    ds, simulator = store.open(small), Turbulence(**SMALL, vectors=True)
    runs = [simulator.one(point) for point in simulator.design()]
    assert ds["sample"].values.tolist() == [name for run in runs for name in run["sample"].values]
    for name in ds.data_vars:
        np.testing.assert_array_equal(ds[name], np.concatenate([run[name].values for run in runs]))


# --- stirring


def stirred(seed=1, N=8, power=2.0, solenoidal=0.5):
    grid = Grid((N, N, N), 1 / N)
    rng = np.random.default_rng(0)
    field = np.zeros((3, *grid.shape))
    gas = Gas(grid, 1 + 0.3 * rng.random(grid.shape), rng.standard_normal(field.shape), field)
    return gas, Driving(grid, seed, power=power, solenoidal=solenoidal)


def test_every_push_adds_the_energy_that_was_asked_for_and_no_momentum():
    gas, driving = stirred()

    def kinetic():
        return float((0.5 * (gas.momentum**2).sum(0) / gas.density).mean())

    for step in range(1, 4):
        energy, momentum = kinetic(), gas.momentum.mean((1, 2, 3))
        driving.apply(gas, 0.02 * step, 0.02)
        assert kinetic() - energy == pytest.approx(2.0 * 0.02, rel=1e-10)
        np.testing.assert_allclose(gas.momentum.mean((1, 2, 3)), momentum, atol=1e-14)


@pytest.mark.parametrize(("solenoidal", "share"), [(1.0, 0.0), (0.0, 1.0), (0.5, 1 / 3)])
def test_the_stirring_is_on_large_scales_with_the_share_along_k_that_was_asked_for(solenoidal, share):
    """Of three random components one lies along k: weights w and 1 - w give (1-w)^2 / ((1-w)^2 + 2 w^2)."""
    along = total = 0.0
    for seed in range(8):
        modes = np.fft.fftn(stirred(seed, 16, solenoidal=solenoidal)[1].acceleration, axes=(1, 2, 3))
        k = np.fft.fftfreq(16) * 16
        K = np.stack(np.meshgrid(k, k, k, indexing="ij"))[::-1]  # components x, y, z over axes z, y, x
        square = (K**2).sum(0)
        power = (np.abs(modes) ** 2).sum(0)
        assert power[(square > 9) | (square == 0)].max() < 1e-20 * power.max()
        along += float((np.abs((K * modes).sum(0)) ** 2 / np.maximum(square, 1)).sum())
        total += float(power.sum())
    assert along / total == pytest.approx(share, abs=0.08)


def test_the_same_seed_stirs_alike_at_any_resolution():
    fine, coarse = (Driving(Grid((N, N, N), 1 / N), 3, power=1.0).acceleration for N in (16, 8))
    spectrum = [np.fft.fftn(cube, axes=(1, 2, 3)) / cube[0].size for cube in (fine, coarse)]
    # Cell centres are shifted by a quarter of a coarse cell: compare amplitudes.
    low = np.ix_(range(3), [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3])
    np.testing.assert_allclose(np.abs(spectrum[0][low]), np.abs(spectrum[1][low]), atol=1e-12)


def test_a_run_that_goes_on_is_stirred_as_one_that_never_stopped():
    gas, driving = stirred()
    for step in range(1, 5):
        driving.apply(gas, 0.015 * step, 0.015)
    later = stirred()[1]
    later.advance(0.06)
    np.testing.assert_array_equal(later.acceleration, driving.acceleration)


# --- what is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"regimes": ["diffuse"]}, "did you mean 'diff'"),
        ({"simulations": 0}, "simulations >= 1"),
        ({"times": [1.0, 0.5]}, "rising times"),
        ({"solenoidal": 1.5}, "solenoidal"),
        ({"beta": 0.0}, "beta is 0"),
        ({"ranges": {"bta": [1, 2]}}, "did you mean 'beta'"),
        ({"ranges": {"beta": [2, 1]}}, "low < high"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Turbulence(**wrong)


def test_a_speed_of_light_near_the_fastest_wave_is_refused():
    simulator = Turbulence(size=8, regimes=["diff"], times=[0.1], light_speed=3.0)
    with pytest.raises(DivergedError, match=r"speed of light is 3 .* allowed: [0-9.]+ and more"):
        simulator.one(simulator.design()[0])


def test_ranges_fill_a_hypercube_and_a_mach_number_sets_the_power():
    points = Turbulence(simulations=40, ranges={"beta": [1.0, 100.0]}, mach=2.0).design()
    betas = np.sort(np.log10([point.parameters["beta"] for point in points]) / 2)
    assert np.all(np.floor(betas * 40) == np.arange(40))  # one in each stratum of the logarithm
    assert {point.parameters["energy_input"] for point in points} == {12.0}  # 1.5 Mach^3
    assert len({point.seed for point in points}) == 40
