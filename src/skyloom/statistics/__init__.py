"""Summary statistics of fields: pure functions on arrays, and the components that a recipe names."""

from skyloom.statistics.one_point import PDF, Density, Moments, moments, pdf
from skyloom.statistics.two_point import PowerSpectrum, Spectrum, power_spectrum

__all__ = ["PDF", "Density", "Moments", "PowerSpectrum", "Spectrum", "moments", "pdf", "power_spectrum"]
