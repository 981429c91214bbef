"""Our statistics of TurbuStat's test cube against the values that TurbuStat publishes for it.

Definitions agree for the spatial power spectrum of the integrated intensity, the spectrum of all channels
(its VCA), their slopes, and the PDF of the standardised intensity. TurbuStat has no structure function. Its
other published values are other quantities: the delta variance, the wavelet transform and the genus smooth
the map first, the modified centroids (MVC) combine spectra of several maps, SCF divides before it averages
over pixels, VCS runs along velocity, and PCA, the Cramér distance, Tsallis fits, dendrograms and local
moments have no counterpart here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skyloom.statistics import pdf, power_spectrum


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict[str, np.ndarray]:
    with np.load(shared_data / "turbulence" / "turbustat_checkVals.npz") as file:
        return {
            name: file[name]
            for name in ("pspec_val", "pspec_slope", "vca_val", "vca_slope", "pdf_val", "pdf_bins")
        }


@pytest.fixture(scope="module")
def cube(shared_data: Path) -> np.ndarray:
    """All 500 channels of 32² pixels [K]: those without signal hold the noise that TurbuStat's tests draw."""
    noise = np.random.RandomState(121212)
    with np.load(shared_data / "turbulence" / "turbustat_dataset1.npz") as file:
        kept = iter(file["cube"])
        return np.stack(
            [next(kept) if signal else noise.normal(0.005, 0.005, (32, 32)) for signal in file["channels"][1]]
        )


def slope(power: np.ndarray) -> float:
    """Their fit: least squares in logarithms at the centres of the bins above 1/16 per pixel."""
    edges = np.linspace(1 / 32, 1 / 2, 25)
    k = 0.5 * (edges[1:] + edges[:-1])
    return float(np.polyfit(np.log10(k[2:]), np.log10(power[2:]), 1)[0])


def test_spatial_power_spectrum(cube: np.ndarray, published: dict[str, np.ndarray]) -> None:
    # Theirs is |FFT|² in 24 equal bins from 1/32 to 1/2 per pixel, ours times V / N⁴ = 1 / 32². What is left
    # is the square of the width of a channel, 40.08 m/s, by which their integrated intensity is multiplied.
    power = power_spectrum(cube.sum(axis=0), 32.0, bins=24).power
    ratio = published["pspec_val"] / (power * 32**2)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)
    assert np.sqrt(ratio[0]) == pytest.approx(40.08, abs=0.005)
    assert slope(power) == pytest.approx(float(published["pspec_slope"]), rel=1e-10)


def test_spectrum_of_all_channels(cube: np.ndarray, published: dict[str, np.ndarray]) -> None:
    # They sum |FFT|² in three dimensions over velocity: 500 times the sum over channels, by Parseval.
    power = power_spectrum(cube, 32.0, bins=24).power.sum(axis=0)
    np.testing.assert_allclose(published["vca_val"], 500 * 32**2 * power, rtol=1e-10)
    assert slope(power) == pytest.approx(float(published["vca_slope"]), rel=1e-10)


def test_distribution_of_the_intensity(cube: np.ndarray, published: dict[str, np.ndarray]) -> None:
    intensity = cube.sum(axis=0)
    bins = published["pdf_bins"]
    p = pdf((intensity - intensity.mean()) / intensity.std(), bins=31, low=bins[0], high=bins[-1])
    np.testing.assert_allclose(p.density, published["pdf_val"], atol=1e-12)
