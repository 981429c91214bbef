"""Summary statistics of fields: pure functions on arrays, and the components that a recipe names."""

from skyloom.statistics.one_point import PDF, Density, Moments, moments, pdf
from skyloom.statistics.two_point import PowerSpectrum, Spectrum, power_spectrum
from skyloom.statistics.wavelets import (
    IsotropicScattering,
    Scattering,
    WaveletScattering,
    isotropic,
    scattering,
    scattering_features,
)

__all__ = [
    "PDF",
    "Density",
    "IsotropicScattering",
    "Moments",
    "PowerSpectrum",
    "Scattering",
    "Spectrum",
    "WaveletScattering",
    "isotropic",
    "moments",
    "pdf",
    "power_spectrum",
    "scattering",
    "scattering_features",
]
