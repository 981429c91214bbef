"""What simple methods reach: the constant, the moments of a map, its power spectrum, its scattering.

A score means little without them. They see exactly what the network sees (the same transformed maps of the
same train samples) and predict the same targets, parameters with an error or classes with probabilities.
Penalties and errors come from folds of whole groups.
"""

from skyloom.evaluate.baselines.base import Baseline
from skyloom.evaluate.baselines.constant import Majority, Mean
from skyloom.evaluate.baselines.features import MapMoments, Scattering, Spectrum
from skyloom.evaluate.baselines.readings import Readings

__all__ = ["Baseline", "Majority", "MapMoments", "Mean", "Readings", "Scattering", "Spectrum"]
