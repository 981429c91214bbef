r"""Transforms that take scales, or the power spectrum, out of every map by itself.

They are the interventions of `skyloom.fields.interventions` as a step of training: a network is trained and
tested on what is left. Nothing is learnt from other maps. What was taken out is carried, so that

.. math:: \mathrm{apply}(m) = m - r, \qquad \mathrm{inverse}(m - r, r) = m .

A transform sees the maps as they were cut. Windows that do not span their periodic box need ``periodic:
false`` to be smoothed or cut off in wavenumber: their opposite edges do not touch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.fields import interventions
from skyloom.fields.invertible import Carry, Maps, Transform, positive


class Removing(Transform):
    """Base of the transforms whose carry is what was taken out."""

    carries = ("removed",)
    keeps_order = False

    @abstractmethod
    def left(self, maps: Maps) -> Maps:
        """Return what is left of checked maps, shape ``(n, H, W)``."""

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return what is left, and what was ``removed`` ``(n, H, W)``."""
        # One map at a time: a Fourier transform of many at once rounds differently.
        kept = np.stack([self.left(one) for one in maps]) if len(maps) else maps.copy()
        return kept, {"removed": maps - kept}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return the maps with what was removed."""
        return np.asarray(np.add(maps, carry["removed"], dtype=maps.dtype))


class FlattenSpectrum(Removing):
    """Give every map a white power spectrum at its own mean and variance: only the phases tell it apart.

    Args:
        each_mode: Divide every Fourier mode by its own amplitude, as Bustard & Wu (2024, arXiv:2402.03518)
            do, instead of by the root of the mean power of its ring of wavenumbers.

    Example:
        >>> maps = np.random.default_rng(0).normal(size=(1, 8, 8)).cumsum(axis=2)
        >>> flat, _ = FlattenSpectrum(each_mode=True).apply(maps)
        >>> amplitude = np.abs(np.fft.fft2(flat - flat.mean())).ravel()[1:]
        >>> bool(np.allclose(amplitude, amplitude[0]))
        True
    """

    def __init__(self, *, each_mode: bool = False) -> None:
        self.each_mode = each_mode

    def left(self, maps: Maps) -> Maps:
        """Return the whitened maps."""
        return interventions.flatten_spectrum(maps, each_mode=self.each_mode)


class Smooth(Removing):
    """Smooth every map with a Gaussian, so that nothing smaller is seen, such as noise at the grid scale.

    Args:
        width: Standard deviation of the Gaussian [pixels], more than 0.
        periodic: Whether opposite edges of the maps touch.

    Raises:
        UsageError: The width is not a positive number.

    Example:
        >>> checkers = np.indices((1, 8, 8)).sum(axis=0) % 2 * 1.0
        >>> bool(np.ptp(Smooth(width=2.0).apply(checkers)[0]) < 1e-6)
        True
    """

    def __init__(self, *, width: float, periodic: bool = True) -> None:
        self.width, self.periodic = positive("width", width), periodic

    def left(self, maps: Maps) -> Maps:
        """Return the smoothed maps."""
        return interventions.smooth(maps, self.width, periodic=self.periodic)


class FilterBand(Removing):
    """Keep the waves of a band of wavenumbers, and the mean of each map.

    Args:
        low: First wavenumber kept [waves along the side of the map].
        high: End of the band, not included; a map of N pixels has N / 2 up to the Nyquist frequency.
        periodic: Whether opposite edges of the maps touch.

    Raises:
        UsageError: The band is empty or begins below 0.

    Example:
        >>> x = 2 * np.pi * np.arange(16) / 16
        >>> maps = (np.cos(2 * x) + np.cos(7 * x) + np.zeros((16, 1)))[None]
        >>> bool(np.allclose(FilterBand(high=6).apply(maps)[0], np.cos(2 * x)))
        True
    """

    def __init__(self, *, low: float = 0.0, high: float, periodic: bool = True) -> None:
        if not 0 <= low < high:
            raise UsageError(f"the band is {low!r} to {high!r}, allowed: 0 <= low < high")
        self.low, self.high, self.periodic = low, high, periodic

    def left(self, maps: Maps) -> Maps:
        """Return the waves of the band."""
        return interventions.filter_band(maps, self.low, self.high, periodic=self.periodic)
