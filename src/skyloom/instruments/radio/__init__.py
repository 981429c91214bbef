"""Radio interferometers: which waves of the sky they see, and how much noise they add."""

from skyloom.instruments.radio.arrays import ARRAYS, Array
from skyloom.instruments.radio.coverage import Coverage, coverage
from skyloom.instruments.radio.cubes import CubeBeam, Telescope, noise_cube
from skyloom.instruments.radio.observing import Interferometer, channel, noise_maps
from skyloom.instruments.radio.wedge import Wedge, in_wedge, wedge_slope

__all__ = [
    "ARRAYS",
    "Array",
    "Coverage",
    "CubeBeam",
    "Interferometer",
    "Telescope",
    "Wedge",
    "channel",
    "coverage",
    "in_wedge",
    "noise_cube",
    "noise_maps",
    "wedge_slope",
]
