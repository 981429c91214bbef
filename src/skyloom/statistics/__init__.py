"""Summary statistics of fields: pure functions on arrays, and the components that a recipe names."""

from skyloom.statistics.events import EventObservables, Observables, observables
from skyloom.statistics.minkowski import (
    Minkowski,
    MinkowskiFunctionals,
    gaussian_minkowski,
    minkowski_functionals,
)
from skyloom.statistics.morphology import CAS, Morphology, morphology
from skyloom.statistics.one_point import (
    PDF,
    Density,
    Moments,
    Quantile,
    Quantiles,
    moments,
    pdf,
    quantiles,
)
from skyloom.statistics.profiles import Profile, RadialProfile, mass_radius, radial_profile
from skyloom.statistics.three_point import (
    Bispectrum,
    TriangleBispectrum,
    bispectrum,
    equilateral,
    isosceles,
    squeezed,
)
from skyloom.statistics.two_point import (
    Coherence,
    CoherenceSpectrum,
    CrossSpectrum,
    PowerSpectrum,
    Spectrum,
    coherence,
    cross_spectrum,
    power_spectrum,
)
from skyloom.statistics.wavelets import (
    IsotropicScattering,
    Scattering,
    WaveletScattering,
    isotropic,
    scattering,
    scattering_features,
)

__all__ = [
    "CAS",
    "PDF",
    "Bispectrum",
    "Coherence",
    "CoherenceSpectrum",
    "CrossSpectrum",
    "Density",
    "EventObservables",
    "IsotropicScattering",
    "Minkowski",
    "MinkowskiFunctionals",
    "Moments",
    "Morphology",
    "Observables",
    "PowerSpectrum",
    "Profile",
    "Quantile",
    "Quantiles",
    "RadialProfile",
    "Scattering",
    "Spectrum",
    "TriangleBispectrum",
    "WaveletScattering",
    "bispectrum",
    "coherence",
    "cross_spectrum",
    "equilateral",
    "gaussian_minkowski",
    "isosceles",
    "isotropic",
    "mass_radius",
    "minkowski_functionals",
    "moments",
    "morphology",
    "observables",
    "pdf",
    "power_spectrum",
    "quantiles",
    "radial_profile",
    "scattering",
    "scattering_features",
    "squeezed",
]
