"""Radio interferometers: which waves of the sky they see, and how much noise they add."""

from skyloom.instruments.radio.arrays import ARRAYS, Array
from skyloom.instruments.radio.coverage import Coverage, coverage
from skyloom.instruments.radio.observing import Interferometer, noise_maps

__all__ = ["ARRAYS", "Array", "Coverage", "Interferometer", "coverage", "noise_maps"]
