"""Noise by the radiometer equation, waves that are seen, and what a map loses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.instruments.radio import ARRAYS, Coverage, Interferometer, channel, coverage, noise_maps
from skyloom.instruments.radio.arrays import LIGHT
from skyloom.instruments.radio.coverage import STEPS
from skyloom.instruments.radio.line import BOLTZMANN

N = 32
LOW = ARRAYS["ska_low"]
OBSERVED = {"size": N, "side": 0.02, "frequency": 150e6, "bandwidth": 2e5, "hours": 1000.0}


def test_even_coverage_gives_the_sensitivity_of_the_whole_array():
    """σ = λ² T / (A Ω √(n_pol N (N-1) B t)), the visibilities shared evenly over the waves of the map."""
    array = replace(LOW, stations=40)
    each = 60
    pairs = 40 * 39 / 2 * each  # at every step of the track, in half of the plane
    even = Coverage(np.full((N, N), 2 * 2 * pairs / N**2), _noise(array), 0.02)
    pixel = (0.02 / N) ** 2
    wavelength = LIGHT / 150e6
    expected = (
        wavelength**2
        * array.system_temperature(150e6)
        / (array.effective_area(150e6) * pixel * np.sqrt(2 * 40 * 39 * 2e5 * 1000 * 3600))
    )
    found = noise_maps(even, 400, seed=1).std()
    assert found == pytest.approx(expected, rel=0.01)


def _noise(array):
    return coverage(array, **OBSERVED).noise


def test_noise_falls_with_the_root_of_time_and_bandwidth():
    one = coverage(LOW, **OBSERVED)
    four = coverage(LOW, **{**OBSERVED, "hours": 4000.0})
    wide = coverage(LOW, **{**OBSERVED, "bandwidth": 8e5})
    assert four.noise == pytest.approx(one.noise / 2)
    assert wide.noise == pytest.approx(one.noise / 2)
    np.testing.assert_array_equal(four.visibilities, one.visibilities)


def test_every_visibility_of_a_baseline_is_counted_with_its_conjugate():
    found = coverage(LOW, **OBSERVED).visibilities
    np.testing.assert_array_equal(found[1:, 1:], found[1:, 1:][::-1, ::-1])
    assert found[0, 0] == 0
    # All that lies within the grid: 2 polarisations, both halves of the plane, 60 times, all pairs.
    wide = coverage(replace(LOW, core=100.0), **{**OBSERVED, "size": 64, "side": 0.05})
    pairs = 512 * 511 / 2
    assert wide.visibilities.sum() == pytest.approx(2 * 2 * 60 * pairs, rel=0.1)
    assert wide.visibilities.sum() < 2 * 2 * 60 * pairs


def test_a_compact_array_sees_long_waves_only():
    compact = coverage(replace(LOW, core=100.0), **OBSERVED).seen
    wide = coverage(replace(LOW, core=3000.0), **OBSERVED).seen
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(N, 1 / N), np.fft.fftfreq(N, 1 / N)))
    # No baseline of three times √2 × 100 m × √2... beyond some 1000 m: 500 wavelengths, ten waves a side.
    assert not compact[k > 12].any()
    assert wide[(k > 12) & (k < 15)].mean() > compact[(k > 12) & (k < 15)].mean()


def test_a_wave_that_is_seen_stays_and_the_mean_goes():
    telescope = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=None, weighting="uniform")
    wave = np.cos(2 * np.pi * 2 * np.arange(N) / N)[None, None, :] * np.ones((1, N, 1)) + 7.0
    observed, carry = telescope.apply(wave)
    np.testing.assert_allclose(observed[0], wave[0] - 7.0, atol=1e-9)
    np.testing.assert_allclose(telescope.inverse(observed, carry), wave, atol=1e-9)


def test_the_noise_of_a_map_is_its_own_and_always_the_same():
    telescope = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=100.0)
    maps = np.random.default_rng(0).normal(size=(2, N, N))
    first, _ = telescope.apply(maps)
    again, _ = telescope.apply(maps[::-1])
    np.testing.assert_array_equal(first, again[::-1])
    quiet, _ = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=None).apply(maps)
    noise = first - quiet
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.15
    # In millikelvin, ten times the time is √10 less noise.
    longer, _ = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=1000.0).apply(maps)
    assert (longer - quiet).std() == pytest.approx(noise.std() / np.sqrt(10), rel=1e-6)
    kelvin, _ = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=100.0, units="K").apply(maps)
    assert (kelvin - quiet).std() == pytest.approx(noise.std() / 1000, rel=1e-6)


def test_natural_weights_are_the_share_of_the_visibilities_and_have_the_least_noise():
    seen = coverage(LOW, **OBSERVED)
    natural = seen.weights("natural")
    assert natural.max() == 1.0
    np.testing.assert_allclose(natural * seen.visibilities.max(), seen.visibilities)
    quiet, loud = (noise_maps(seen, 50, weighting=way).std() for way in ("natural", "uniform"))
    # Of waves with a noise of one over the root of n: weights n give the sum of n, no weights that of 1/n.
    n = seen.visibilities[seen.seen]
    assert quiet / loud == pytest.approx(np.sqrt((n / n.max() ** 2).sum() / (1 / n).sum()), rel=0.03)


def test_the_channel_is_as_wide_as_the_depth():
    """At z = 8 a comoving Mpc is some 60 kHz of the 21-cm line: H(z) ν / (c (1 + z))."""
    _, bandwidth = channel(8.0, 100.0, 1.0)
    assert bandwidth == pytest.approx(60e3, rel=0.1)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="redshift is 0"):
        Interferometer(redshift=0.0, box=1.0, depth=1.0)
    with pytest.raises(UsageError, match="hours of an observation is -1"):
        coverage(LOW, **{**OBSERVED, "hours": -1.0})
    assert "interferometer" in registry.names("transform")


def test_noise_is_drawn_anew_in_every_epoch_where_that_is_asked():
    maps = np.random.default_rng(0).normal(size=(2, N, N))
    telescope = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=100.0)
    quiet, _ = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=None).apply(maps)
    noise = [telescope.in_epoch(epoch).apply(maps)[0] - quiet for epoch in (0, 1, 2)]
    np.testing.assert_array_equal(noise[0], telescope.apply(maps)[0] - quiet)
    np.testing.assert_array_equal(noise[1], telescope.in_epoch(1).apply(maps)[0] - quiet)
    for first, second in ((0, 1), (1, 2)):
        assert abs(np.corrcoef(noise[first].ravel(), noise[second].ravel())[0, 1]) < 0.1
        assert noise[first].std() == pytest.approx(noise[second].std(), rel=0.1)
    fixed = Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=100.0, redraw=False)
    assert not fixed.redraws and fixed.in_epoch(3) is fixed
    assert not Interferometer(redshift=8.0, box=300.0, depth=3.0, hours=None).redraws


@pytest.mark.filterwarnings("ignore")  # of tools21cm
def test_noise_is_that_of_tools21cm():
    """Its arrays have one polarisation; ours have two, and √2 less noise in the image."""
    tools21cm = pytest.importorskip("tools21cm")
    z, bandwidth, hours = 8.0, 1e5, 1000.0
    frequency = 1420e6 / (1 + z)
    seen = coverage(LOW, size=N, side=0.02, frequency=frequency, bandwidth=bandwidth, hours=hours)
    image, visibility = tools21cm.sigma_noise_radio(
        z, bandwidth / 1e6, hours, 3600 * hours / STEPS, N_ant=512, verbose=False,
        T_sys=LOW.system_temperature(frequency), D_station=2 * np.sqrt(962 / np.pi),
    )  # fmt: skip
    janskys = 2 * BOLTZMANN / (LIGHT / frequency) ** 2
    assert janskys * seen.noise * 1e6 == pytest.approx(visibility, rel=1e-4)
    pairs = 512 * 511 / 2 * STEPS
    assert janskys * seen.noise * 1e6 / np.sqrt(pairs) == pytest.approx(image, rel=1e-4)
